"""What theory says of a point that was recognised as a partition: its row of the atlas, which has not seen the point."""

from landscape.codes import Simplex
from landscape.degeneracy_report import DegeneracyReport
from landscape.entries import Entry, partition_entry


def predicted(report: DegeneracyReport) -> Entry | None:
    """Returns the entry of the partition of equal classes that a point was recognised as; None for any other point.

    Computed from the problem and the name alone, by the scale equations and the representations of the partition's symmetry.
    """
    problem, parts = report.problem, report.found.parts
    if not parts or not problem.is_balanced or not all(isinstance(part.block, Simplex) for part in parts):
        return None
    samples = problem.class_sizes[0]
    return partition_entry(problem, [(part.block, samples, part.root or "large") for part in parts])
