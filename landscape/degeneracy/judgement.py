"""The one judge: whether a count of zero and negative eigenvalues may be stated, and if not, why and what to do.

Every nullity, index and verdict "minimum" or "saddle" of the package is a `Verdict` made here. It is a value: counts, or a doubt
with its remedy. Sentences are made from it for people; no code reads them again.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol, runtime_checkable

from landscape.curvature.counting.zeros import UNDECIDED_FACTOR, Nullity, count_zeros
from landscape.curvature.spectra.spectrum import Spectrum
from landscape.display import brief
from landscape.proof.statement import NoPoint, Proof, Unproved

FAINT = 1e-7  # a non-zero eigenvalue below this part of the norm is not trusted in double precision: a fold halves the digits


class Doubt(Enum):
    """Why no count is stated; the value of each member is its remedy."""

    NOT_CRITICAL = "run landscape solve --start FILE --out NEW"
    KINK = "count along the kinks, or solve from another start"
    TOO_FAINT = "double precision cannot tell, landscape prove may"
    UNEXPLAINED = "double precision cannot tell, and nothing is proved for ReLU models"
    UNCERTIFIED = "use --method reduction, dense or deflated"
    DISAGREEMENT = "count with --method dense, or run landscape prove"
    NO_POINT = "take a smaller decay"
    UNPROVED = "solve again, or take a decay further from folds and thresholds"

    @property
    def lead(self) -> str:
        """The first words of the sentence that a person reads."""
        match self:
            case Doubt.NOT_CRITICAL:
                return "not critical enough"
            case Doubt.NO_POINT:
                return "no such point"
            case _:
                return "undecided"


@dataclass(frozen=True)
class Verdict:
    """Counts that are certain, or the doubt that forbids them.

    Attributes:
        nullity: Number of zero eigenvalues; None with a doubt.
        index: Number of negative eigenvalues; None with a doubt.
        doubt: Reason of a missing count, as a value; None where the counts are certain.
        detail: Evidence for the doubt, in words for people.
        proof: Proof of the counts in ball arithmetic; None where they rest on double precision.
        near_zero: Eigenvalues, not in the nullity, that a decay within a few last places would make zero; None if not known.
        unproved: Why a proof that was tried proves nothing; empty where none was tried or it succeeded.
        smallest_positive: Smallest positive eigenvalue where it is known from a proof; None where double precision is asked.
    """

    nullity: int | None
    index: int | None
    doubt: Doubt | None = None
    detail: str = ""
    proof: Proof | None = None
    near_zero: int | None = None
    unproved: str = ""
    smallest_positive: float | None = None

    __repr__ = brief

    @classmethod
    def doubtful(cls, doubt: Doubt, detail: str) -> "Verdict":
        """Returns a verdict that states nothing."""
        return cls(None, None, doubt, detail)

    @property
    def certain(self) -> bool:
        """Whether the counts may be stated."""
        return self.doubt is None

    @property
    def critical(self) -> bool:
        """Whether there is a critical point here at all, as far as anything is known."""
        return self.doubt not in (Doubt.NOT_CRITICAL, Doubt.NO_POINT)

    @property
    def reason(self) -> str:
        """The doubt as one line for people: what is wrong, the evidence, and the remedy; empty where nothing is."""
        return "" if self.doubt is None else f"{self.doubt.lead}: {self.detail}; {self.doubt.value}"


@runtime_checkable
class _HasVerdict(Protocol):
    @property
    def verdict(self) -> Verdict: ...


class StatesCounts:
    """What holds a verdict states its counts as its own."""

    @property
    def resolved(self: _HasVerdict) -> bool:
        """Whether nullity and index may be stated."""
        return self.verdict.certain

    @property
    def nullity(self: _HasVerdict) -> int | None:
        """Number of zero eigenvalues; None where that is not certain."""
        return self.verdict.nullity

    @property
    def index(self: _HasVerdict) -> int | None:
        """Number of negative eigenvalues; None where that is not certain."""
        return self.verdict.index


def judge(
    zeros: Nullity, explained: int | None, formula: int | None = None, gradient_norm: float = 0.0, smallest: float | None = None
) -> Verdict:
    """Judges a count made in double precision, which is stated only where nothing about it is doubtful.

    Args:
        zeros: The count with its evidence.
        explained: Zeros that symmetries explain, measured at the point; None where no symmetry is known and nothing is compared.
        formula: Zeros that theory says they explain; None where there is no theory, as for ReLU models.
        gradient_norm: Gradient norm of the point, for the words of the doubt.
        smallest: Smallest size among the non-zero eigenvalues, where the count itself has only a bound.
    """
    detail, doubt = _doubt(zeros, explained, formula, smallest)
    if doubt is Doubt.NOT_CRITICAL:
        detail = f"at gradient norm {gradient_norm:.1e} {detail}"
    return Verdict(zeros.count, zeros.negative, near_zero=0) if doubt is None else Verdict.doubtful(doubt, detail)


def judge_spectrum(spectrum: Spectrum, explained: int | None, radius: float = 0.0) -> Verdict:
    """Judges the count in a complete spectrum.

    Args:
        spectrum: All eigenvalues with their rounding error.
        explained: Zeros that symmetries must explain; None where no symmetry is known.
        radius: How far from zero a null eigenvalue may lie because the point is not exactly critical.
    """
    return judge(counted(spectrum, radius), explained, explained)


def counted(spectrum: Spectrum, radius: float = 0.0) -> Nullity:
    """Returns the count in a complete spectrum, which still has to be judged."""
    return count_zeros(spectrum, radius)


def _doubt(zeros: Nullity, explained: int | None, formula: int | None, smallest: float | None) -> tuple[str, Doubt | None]:
    """Returns the first doubt about a count with its evidence: an incomplete proof, a point that is not critical, faint values."""
    if not zeros.undecided:
        if not zeros.certified:
            return f"{zeros.method} has no proof: {zeros.reason}", Doubt.UNCERTIFIED
        if zeros.negative is None:
            return f"{zeros.method} counts {zeros.count} zero eigenvalues but cannot tell how many are negative", Doubt.UNCERTIFIED
    swamped = not UNDECIDED_FACTOR * zeros.cutoff <= zeros.norm
    if (zeros.undecided or swamped) and not zeros.cutoff <= 2 * zeros.rounding:
        told = "that it implies swamps the spectrum" if swamped else f"is too close to {zeros.undecided} eigenvalues"
        return f"the zero radius {zeros.cutoff:.1e} {told}", Doubt.NOT_CRITICAL
    faint = _faint(zeros, explained, formula, smallest)
    return faint, (Doubt.UNEXPLAINED if formula is None and explained is not None else Doubt.TOO_FAINT) if faint else None


def _faint(zeros: Nullity, explained: int | None, formula: int | None, smallest: float | None) -> str:
    """Returns why rounding may hide a zero or make one up, or nothing."""
    if zeros.undecided:
        return f"{zeros.undecided} eigenvalues are too close to the rounding error {zeros.cutoff:.1e}"
    if explained is None:
        return ""
    if formula is not None and explained != formula:
        return f"the generators have rank {explained}, but a critical point of this rank has {formula}"
    if zeros.count != explained:
        return f"{zeros.count} eigenvalues are below {zeros.cutoff:.1e} but symmetry explains {explained}"
    return f"an eigenvalue has the size {smallest_nonzero(zeros, smallest):.1e}" if is_faint(zeros, smallest) else ""


def smallest_nonzero(zeros: Nullity, smallest: float | None = None) -> float:
    """Returns the smallest size among the non-zero eigenvalues, from elsewhere where the count has only a bound."""
    return zeros.smallest_nonzero if smallest is None else smallest


def is_faint(zeros: Nullity, smallest: float | None = None) -> bool:
    """Returns whether an eigenvalue is neither clearly zero nor clearly not, so that a small change of the decay may matter."""
    return bool(zeros.undecided) or not smallest_nonzero(zeros, smallest) > FAINT * zeros.norm


def confirmed(verdict: Verdict, zeros: Nullity, name: str, second: Nullity) -> Verdict:
    """Returns the verdict, or a doubt if a second count contradicts it; a second one that is undecided contradicts nothing.

    Args:
        verdict: Verdict on the first count, without a doubt.
        zeros: The first count.
        name: Name of the first method.
        second: The count of another method.
    """
    indices = {zeros.negative, second.negative} - {None}
    if not second.resolved or (zeros.count == second.count and len(indices) <= 1):
        return verdict
    other = "an unknown number" if second.negative is None else second.negative
    return Verdict.doubtful(
        Doubt.DISAGREEMENT,
        f"routes disagree: {name} counts {zeros.count} zero and {zeros.negative} negative eigenvalues, "
        f"{second.method} {second.count} and {other}",
    )


def weighed(first: Verdict, proved: Proof | Unproved | NoPoint) -> Verdict:
    """Returns the verdict after a proof was tried.

    A proof settles any doubt of double precision; two different counts, of which one is proved, show a defect and state nothing.
    """
    match proved:
        case Proof():
            if first.certain and (first.nullity, first.index) != (proved.nullity, proved.index):
                detail = f"double precision counts {first.nullity} zero and {first.index} negative eigenvalues"
                detail += f", a proof {proved.nullity} and {proved.index}"
                return Verdict.doubtful(Doubt.DISAGREEMENT, detail)
            near_zero = first.near_zero if first.certain else proved.near_zero
            return Verdict(proved.nullity, proved.index, proof=proved, near_zero=near_zero)
        case NoPoint(reason):
            return Verdict.doubtful(Doubt.NO_POINT, reason)
        case Unproved(reason):
            if first.certain:
                return replace(first, unproved=reason)
            return replace(first, doubt=Doubt.UNPROVED, detail=f"{first.detail}, and no proof: {reason}", unproved=reason)


def not_critical(gradient_norm: float, evidence: str) -> Verdict:
    """Returns the doubt about a point that is too far from critical for a count, with the evidence for that."""
    return Verdict.doubtful(Doubt.NOT_CRITICAL, f"at gradient norm {gradient_norm:.1e} {evidence}")


def known_smallest_positive(verdict: Verdict, zeros: Nullity, spectrum: Spectrum) -> float | None:
    """Returns the smallest positive eigenvalue, or None where neither a proof nor double precision tells it from the zeros."""
    if verdict.smallest_positive is not None:
        return verdict.smallest_positive
    agree = (zeros.count, zeros.negative, zeros.undecided) == (verdict.nullity, verdict.index, 0)
    if not verdict.certain or not agree:
        return None
    return min((value for value, _ in spectrum.pairs() if value > zeros.cutoff), default=None)
