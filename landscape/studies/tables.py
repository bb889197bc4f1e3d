"""Many experiments as one table: a row per experiment and structure, ready to be drawn or read by anything."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, cast, get_args

from landscape.archive.experiment import Experiment
from landscape.archive.records import Archive
from landscape.atomic_files import atomic_write
from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.points.point import CriticalPoint
from landscape.solver.methods import BatchMethod, PseudoTransient, Random
from landscape.studies.ends import EndPoint
from landscape.studies.intervals import share_interval
from landscape.studies.prevalence import Prevalence, measure_prevalence, random_of


@dataclass(frozen=True)
class PrevalenceRow:
    """How often the starts of one experiment ended at one structure.

    Attributes:
        classes: Number K of classes.
        samples: Number N of samples, of all classes together.
        width: Width d of the model.
        depth: Number L of weight matrices.
        decay: Weight decay lambda (geometric mean over the factors).
        weight_scale: Scale of the weights at the start.
        feature_scale: Scale of the features at the start.
        structure: Name of the structure; "DNC" and what did not converge always have a row, the others where they occurred.
        rank: Rank of the structure's logits.
        count: Number of seeds that ended at this structure.
        seeds: Number of starts of the experiment.
        low: Lower end of the 95 % interval of the share.
        high: Upper end of the 95 % interval of the share.
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
        width: Width d of the model.
        decay: Weight decay lambda (geometric mean over the factors).
        seed: Seed of the random start.
        structure: Name of the structure where the first method ends.
        other_structure: Name of the structure where the second method ends.
        distance: Distance between the class-mean logits of the two ends, relative to the first: 0 means the same point up to the
            gauge.
        products: Number of gradients and Hessian products of the first method.
        other_products: Number of gradients and Hessian products of the second method.
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
        problem: The model whose starts are followed.
        seeds: Number of starts, with seeds from 0 on.
        start: Scales of the starts, whatever its seed; None for those of `Random()`.
        method: The descent that follows them; None for `PseudoTransient()`.
        folder: Archive that keeps every end point; an interrupted call goes on from it. None keeps nothing.
        device: Where to compute.

    Raises:
        InputError: If the start is not random, a number is out of range, or the folder holds something else or cannot be written.
    """
    experiment = Experiment(problem, start or Random(), method or PseudoTransient())
    return measure_prevalence(experiment, seeds, None if folder is None else Path(folder), device=device)


def survey(
    experiments: Sequence[Experiment], seeds: int, folder: Path, watch: Callable[[Prevalence], None] = lambda done: None
) -> list[PrevalenceRow]:
    """Returns the table of the experiments, whose records share one archive, so that an interruption loses nothing.

    Args:
        experiments: Experiments of the grid.
        seeds: Number of seeds of each experiment.
        folder: The archive; made if missing. Its records are without parameters.
        watch: Called with the result of each experiment when it is done.
    """
    table: list[PrevalenceRow] = []
    for experiment in experiments:
        result = measure_prevalence(experiment, seeds, folder, keep_points=False)
        watch(result)
        table += rows(result)
    return table


def rows(result: Prevalence) -> list[PrevalenceRow]:
    """Returns the rows of one experiment."""
    problem, start = result.experiment.problem, random_of(result.experiment)
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
            start.weight_scale,
            start.feature_scale,
            structure,
            ranks.get(structure, problem.classes - 1),
            count,
            len(result.ends),
            *(result.interval(structure) if structure not in lost else share_interval(count, len(result.ends))),
        )
        for structure, count in counts.items()
    ]


def compare_methods(experiment: Experiment, method: BatchMethod, seeds: int, folder: Path) -> list[MethodComparison]:
    """Returns where the experiment's method and another one end from the same starts; the archive keeps records and end points."""
    both = (experiment, replace(experiment, method=method))
    one, other = (measure_prevalence(each, seeds, folder).ends for each in both)
    archive = Archive.existing(folder)
    paths = [[archive.path(each.with_seed(seed).digest) for seed in range(seeds)] for each in both]
    return [_comparison(*row) for row in zip(range(seeds), one, other, *paths, strict=True)]


def _comparison(seed: int, end: EndPoint, other: EndPoint, path: Path, other_path: Path) -> MethodComparison:
    point = CriticalPoint.load(path)
    logits, others = point.class_logits, CriticalPoint.load(other_path).class_logits
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
    """Returns a cell as its column's type; an empty cell of a column that may hold nothing is None."""
    choices = [choice for choice in get_args(kind) if choice is not NoneType]
    if not choices:
        return kind(text)
    return None if text == "" else choices[0](text)
