"""Third step of `analyse`: whether the count may be stated, judged by its evidence, or proved."""

from landscape.degeneracy.count import Count
from landscape.degeneracy.judgement import Doubt, Verdict, judge, not_critical
from landscape.degeneracy.locate import Located
from landscape.degeneracy.methods import hessian_change
from landscape.degeneracy.proved import Wanted, recognised_groups, with_proof
from landscape.structures.recognition import recognise

_WEYL = 10  # the smallest non-zero eigenvalue must exceed the change of the Hessian on the way there this many times
_STRAY = 10  # the polished point may be this many times (gradient norm / smallest eigenvalue) away: Newton's own estimate is 1


def decide(place: Located, found: Count | None, wanted: Wanted) -> Verdict:
    """Returns the verdict on a count, after the proof that was wanted or that a doubt asks for.

    A saved point that is too far from where its count was made gets no count.

    Args:
        place: Where the count was made.
        found: The count; None where there is a doubt already.
        wanted: Which counts are to be proved.
    """
    if place.doubt is not None:
        return place.doubt
    assert found is not None
    assert place.orbital is not None
    zeros, core = found.zeros, place.core
    first = judge(zeros, place.orbital.dimension, place.formula, place.gradient_norm, found.smallest)
    if core is None:
        return first
    if first.certain and (far := _too_far(place, zeros.smallest_nonzero)):
        return not_critical(place.gradient_norm, far)
    if first.doubt is Doubt.TOO_FAINT and not place.stray <= place.rounding and wanted.effort != "any":
        return first  # what lies below rounding at the critical point need not hold here
    groups = wanted.groups
    if groups is None and place.found is not None:
        groups = recognised_groups(place.problem, place.found, core.class_logits)
    if groups is None and not first.certain and place.theta is not None:  # at a fold the polished copy may have moved away
        groups = recognised_groups(place.problem, recognise(place.problem, place.logits, core.rank), place.logits)
    return with_proof(first, core, groups, wanted.effort)


def _too_far(place: Located, gap: float) -> str:
    """Returns why the counts at the nearest critical point do not hold for a point, or nothing."""
    if place.theta is None or place.nearest is None:
        return ""
    if not place.stray <= place.rounding + _STRAY * place.gradient_norm / gap:
        return f"the nearest critical point of its rank is {place.stray:.1e} away"
    change = hessian_change(place.problem, place.theta, place.nearest)
    if not _WEYL * change <= gap:
        return f"the Hessian changes by {change:.1e} on the way to the nearest critical point of its rank"
    return ""
