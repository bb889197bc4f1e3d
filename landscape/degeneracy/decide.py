"""Third step of `analyse`: whether the count may be stated, judged by its evidence, or proved."""

from dataclasses import dataclass

from landscape.degeneracy.count import Count
from landscape.degeneracy.judgement import Doubt, Verdict, judge, not_critical
from landscape.degeneracy.locate import Located
from landscape.degeneracy.methods import hessian_change
from landscape.degeneracy.proved import Named, Wanted, recognised, with_proof
from landscape.display import brief
from landscape.structures.recognition import recognise

_WEYL = 10  # the smallest non-zero eigenvalue must exceed the change of the Hessian on the way there this many times
_STRAY = 10  # the polished point may be this many times (gradient norm / smallest eigenvalue) away: Newton's own estimate is 1


@dataclass(frozen=True)
class Decision:
    """Verdict on a count, with the distance from the structure that it is about.

    Attributes:
        verdict: The counts, or the doubt that keeps them from being stated.
        distance: How far the given point's class logits are from the known structure that it was taken for (relative): from the
            proved one where that was proved. None without a structure.
    """

    verdict: Verdict
    distance: float | None = None

    __repr__ = brief


def decide(place: Located, found: Count | None, wanted: Wanted) -> Decision:
    """Returns the verdict on a count, after the proof that was wanted or that a doubt asks for.

    A saved point that is too far from where its count was made gets no count.

    Args:
        place: Where the count was made.
        found: The count; None where there is a doubt already.
        wanted: Which counts are to be proved.
    """
    if place.doubt is not None:
        return Decision(place.doubt)
    assert found is not None
    assert place.orbital is not None
    zeros, core = found.zeros, place.core
    first = judge(zeros, place.orbital.dimension, place.formula, place.gradient_norm, found.smallest)
    if core is None:
        return Decision(first, _distance(place))
    if first.certain and (far := _too_far(place, zeros.smallest_nonzero)):
        return Decision(not_critical(place.gradient_norm, far))
    if first.doubt is Doubt.TOO_FAINT and not place.stray <= place.rounding and wanted.effort != "any":
        return Decision(first, _distance(place))  # what lies below rounding at the critical point need not hold here
    named = None if wanted.groups is None else Named.written(wanted.groups)
    if named is None and place.found is not None:
        named = recognised(place.problem, place.found, core.class_logits)
    if named is None and not first.certain and place.theta is not None:  # at a fold the polished copy may have moved away
        named = recognised(place.problem, recognise(place.problem, place.logits, core.rank), place.logits)
    verdict = with_proof(first, core, named, wanted.effort)
    proof = verdict.proof
    if named is not None and proof is not None and proof.kind == "structure":
        return Decision(verdict, named.apart(proof, place.logits))
    return Decision(verdict, _distance(place))


def _distance(place: Located) -> float | None:
    """Returns how far the given point's class logits are from the structure that they were recognised as."""
    return place.found.distance(place.logits) if place.found and place.found.parts else None


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
