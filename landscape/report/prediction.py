"""What theory says of a point that was recognised as a partition: its row of the atlas, which has not seen the point."""

from landscape.catalogue.row import AtlasRow, partition_row
from landscape.degeneracy.report import DegeneracyReport
from landscape.structures.blocks import Simplex


def predicted(report: DegeneracyReport) -> AtlasRow | None:
    """Returns the entry of the partition of equal classes that a point was recognised as; None for any other point.

    Computed from the problem and the name alone, by the scale equations and the representations of the partition's symmetry.
    """
    problem, parts = report.problem, report.found.parts if report.found else ()
    if not parts or not problem.is_balanced or not all(isinstance(part.block, Simplex) for part in parts):
        return None
    samples = problem.class_sizes[0]
    return partition_row(problem, [(part.block, samples, part.root or "large") for part in parts])
