"""The enclosed scales of a structure as doubles, for tests that compare them with a root in mpmath."""

from collections.abc import Sequence

from landscape.model.problem import Problem
from landscape.proof.balls import enclosure, precision
from landscape.proof.scales import BITS, Group, enclose_all, normalised, undecided
from landscape.proof.statement import NoPoint, Unproved


def scale_enclosures(problem: Problem, groups: Sequence[Group]) -> tuple[tuple[float, float], ...] | Unproved | NoPoint:
    """Returns lower and upper bound of every group's scale, in the order of the groups.

    The class logits of the structure are the scale times S_g on a group (cross-entropy) or the scale itself (squared error), so
    the entries of a saved point's logits can be compared with them. Enclosed to about the last place of a double.

    Raises:
        InputError: As `normalised`.
    """
    made = normalised(problem, groups)
    for bits in BITS:
        with precision(bits):
            found = enclose_all(problem, made)
            if isinstance(found, NoPoint):
                return found
            if found is not None:
                bounds = {kind.group: enclosure(kind.scale) if kind.group.root != "off" else (0.0, 0.0) for kind in found}
                return tuple(bounds[group] for group in made)
    return undecided()
