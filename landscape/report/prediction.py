"""What theory says of a point that has the name of a partition: its row of the atlas, which has not seen the point."""

import re

from landscape.codes import Simplex
from landscape.degeneracy_report import DegeneracyReport
from landscape.entries import Entry, partition_entry
from landscape.theory import Root

_PARTITION = re.compile(r"partition \((\d+(?:,\d+)*)\)")
_SMALL = " at the small root"


def predicted(report: DegeneracyReport) -> Entry | None:
    """Returns the entry of the partition of equal classes that a point was recognised as; None for any other point.

    Computed from the problem and the name alone, by the scale equations and the representations of the partition's symmetry.
    """
    problem = report.problem
    if not (problem.is_linear and problem.is_balanced and problem.loss == "ce"):
        return None
    name = report.structure.removesuffix(_SMALL)
    root: Root = "large" if name == report.structure else "small"
    sizes = _sizes(name, problem.classes)
    if sizes is None:
        return None
    return partition_entry(problem, [(Simplex(size), problem.class_sizes[0], root) for size in sizes])


def _sizes(name: str, classes: int) -> list[int] | None:
    if name == "DNC":
        return [classes]
    if name == "pairs":
        return [2] * (classes // 2)
    match = _PARTITION.fullmatch(name)
    return [int(size) for size in match.group(1).split(",")] if match else None
