"""Many studies as one table: a row per study and structure, ready to be drawn or read by anything."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from landscape.errors import InputError
from landscape.prevalence import Prevalence, Study, measure, wilson
from landscape.store import replacing


@dataclass(frozen=True)
class Row:
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


def survey(
    studies: Sequence[Study], seeds: int, folder: Path, watch: Callable[[Prevalence], None] = lambda done: None
) -> list[Row]:
    """Returns the table of the studies; each keeps its records in its own folder, so that an interruption loses nothing.

    Args:
        studies: The grid.
        seeds: Of each.
        folder: Of all; made if missing. End points are not saved, only their records.
        watch: Called with each study when it is done.
    """
    table: list[Row] = []
    for study in studies:
        result = measure(study, seeds, folder / study.folder_name, keep_points=False)
        watch(result)
        table += rows(result)
    return table


def rows(result: Prevalence) -> list[Row]:
    """Returns the rows of one study."""
    problem, study = result.study.problem, result.study
    ranks = {label: end.rank for label, end in zip(result.labels, result.ends, strict=True)}
    counts = {"DNC": 0, **result.counts}
    lost = [label for label, end in zip(result.labels, result.ends, strict=True) if not end.converged]
    counts |= {label: lost.count(label) for label in sorted(set(lost))}
    return [
        Row(
            problem.classes,
            problem.samples,
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


def write_table(table: Sequence[Row], path: Path) -> None:
    """Writes the table as CSV, whole or not at all."""
    with replacing(path) as temporary, temporary.open("w", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow([column.name for column in fields(Row)])
        writer.writerows([[getattr(row, column.name) for column in fields(Row)] for row in table])


def read_table(path: Path) -> list[Row]:
    """Reads a table that `write_table` wrote.

    Raises:
        InputError: If it is missing or another file.
    """
    try:
        with path.open(newline="") as handle:
            return [Row(*(_typed(column.type, text[column.name]) for column in fields(Row))) for text in csv.DictReader(handle)]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"expected a table of prevalences in {path}, got {error}") from error


def _typed(kind: Any, text: str) -> Any:
    return kind(text)
