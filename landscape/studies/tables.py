"""Many studies as one table: a row per study and structure, ready to be drawn or read by anything."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from jaxtyping import Float
from torch import Tensor

from landscape.atomic_files import atomic_write
from landscape.errors import InputError
from landscape.model.objective import Objective, class_means
from landscape.model.problem import Problem
from landscape.points.point import CriticalPoint
from landscape.solver.methods import PseudoTransient
from landscape.solver.pool import BatchMethod
from landscape.solver.starts import Random
from landscape.studies.prevalence import EndPoint, Prevalence, Study, measure_prevalence, point_path, wilson


@dataclass(frozen=True)
class PrevalenceRow:
    """How often one study ended at one structure.

    Attributes:
        classes: K.
        samples: N, of all classes together.
        width: d.
        depth: L.
        decay: lambda (geometric mean over the factors).
        weight_scale: Of the start.
        feature_scale: Of the start.
        structure: "DNC" always has a row, and so has what did not converge; the others where they occurred.
        rank: Of the structure.
        count: Seeds that ended there.
        seeds: Of the study.
        low: Of the 95 % interval of the share.
        high: Likewise.
    """

    classes: int
    samples: int
    width: int
    depth: int
    decay: float
    weight_scale: float
    feature_scale: float
    structure: str
    rank: int
    count: int
    seeds: int
    low: float
    high: float


@dataclass(frozen=True)
class MethodComparison:
    """One start followed by two methods.

    Attributes:
        width: d.
        decay: lambda (geometric mean over the factors).
        seed: Of the start.
        structure: Where the first method ends.
        other_structure: Where the second ends.
        distance: Between the class-mean logits of the two ends, relative to the first: 0 means the same point up to the gauge.
        products: Gradients and Hessian products of the first.
        other_products: Of the second.
    """

    width: int
    decay: float
    seed: int
    structure: str
    other_structure: str
    distance: float
    products: int
    other_products: int

    @property
    def same(self) -> bool:
        """Whether both end at one structure."""
        return self.structure == self.other_structure


T = TypeVar("T")  # any dataclass of numbers and words


def prevalence(
    problem: Problem,
    seeds: int,
    start: Random | None = None,
    method: BatchMethod | None = None,
    folder: Path | str | None = None,
    device: str = "cpu",
) -> Prevalence:
    """Returns where random starts of seeds 0 .. seeds - 1 end: a count of every structure, with intervals.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> found = ls.prevalence(problem, seeds=6)
        >>> found.counts
        {'DNC': 5, 'pairs': 1}

    Args:
        problem: The model.
        seeds: How many starts.
        start: Scales of the starts, whatever its seed; None for those of `Random()`.
        method: The descent that follows them; None for `PseudoTransient()`.
        folder: Keeps every end point, and an interrupted call goes on from it; None keeps nothing.
        device: Where to compute.

    Raises:
        InputError: As `measure_prevalence`.
    """
    start = start or Random()
    study = Study(problem, start.weight_scale, start.feature_scale, method or PseudoTransient())
    return measure_prevalence(study, seeds, None if folder is None else Path(folder), device=device)


def survey(
    studies: Sequence[Study], seeds: int, folder: Path, watch: Callable[[Prevalence], None] = lambda done: None
) -> list[PrevalenceRow]:
    """Returns the table of the studies; each keeps its records in its own folder, so that an interruption loses nothing.

    Args:
        studies: The grid.
        seeds: Of each.
        folder: Of all; made if missing. End points are not saved, only their records.
        watch: Called with each study when it is done.
    """
    table: list[PrevalenceRow] = []
    for study in studies:
        result = measure_prevalence(study, seeds, folder / study.folder_name, keep_points=False)
        watch(result)
        table += rows(result)
    return table


def rows(result: Prevalence) -> list[PrevalenceRow]:
    """Returns the rows of one study."""
    problem, study = result.study.problem, result.study
    ranks = {label: end.rank for label, end in zip(result.labels, result.ends, strict=True)}
    counts = {"DNC": 0, **result.counts}
    lost = [label for label, end in zip(result.labels, result.ends, strict=True) if not end.converged]
    counts |= {label: lost.count(label) for label in sorted(set(lost))}
    return [
        PrevalenceRow(
            problem.classes,
            problem.total_samples,
            problem.width,
            problem.depth,
            problem.mean_decay,
            study.weight_scale,
            study.feature_scale,
            structure,
            ranks.get(structure, problem.classes - 1),
            count,
            len(result.ends),
            *(result.interval(structure) if structure not in lost else wilson(count, len(result.ends))),
        )
        for structure, count in counts.items()
    ]


def compare_methods(study: Study, method: BatchMethod, seeds: int, folder: Path) -> list[MethodComparison]:
    """Returns where the study's method and another one end from the same starts; both keep records and end points in the folder."""
    studies = (study, replace(study, method=method))
    folders = [folder / one.folder_name for one in studies]
    one, other = (measure_prevalence(each, seeds, place) for each, place in zip(studies, folders, strict=True))
    paths = [[point_path(place, seed) for seed in range(seeds)] for place in folders]
    return [_comparison(*row) for row in zip(range(seeds), one.ends, other.ends, *paths, strict=True)]


def _comparison(seed: int, end: EndPoint, other: EndPoint, path: Path, other_path: Path) -> MethodComparison:
    point = CriticalPoint.load(path)
    logits, others = _class_logits(point), _class_logits(CriticalPoint.load(other_path))
    return MethodComparison(
        width=point.problem.width,
        decay=point.problem.mean_decay,
        seed=seed,
        structure=end.structure,
        other_structure=other.structure,
        distance=float((logits - others).norm() / logits.norm()),
        products=end.products,
        other_products=other.products,
    )


def _class_logits(point: CriticalPoint) -> Float[Tensor, "k k"]:
    return class_means(point.problem, Objective.of(point.problem, point.theta).logits(point.theta))


def write_table(table: Sequence[T], path: Path) -> None:
    """Writes the table, which must not be empty, as CSV, whole or not at all."""
    names = [column.name for column in fields(cast(Any, table[0]))]
    with atomic_write(path) as temporary, temporary.open("w", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([[getattr(row, name) for name in names] for row in table])


def read_table(path: Path, kind: type[T]) -> list[T]:
    """Reads a table of rows of this kind that `write_table` wrote.

    Raises:
        InputError: If it is missing or another file.
    """
    try:
        with path.open(newline="") as handle:
            columns = fields(cast(Any, kind))
            return [kind(*(_typed(column.type, text[column.name]) for column in columns)) for text in csv.DictReader(handle)]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"expected a table of prevalences in {path}, got {error}") from error


def _typed(kind: Any, text: str) -> Any:
    return kind(text)
