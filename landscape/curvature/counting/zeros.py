"""The exact number of zero eigenvalues, or the word that it is undecided."""

import math
from dataclasses import dataclass, replace

from landscape.curvature.spectra.spectrum import Spectrum

UNDECIDED_FACTOR = 1e3  # an eigenvalue between the zero radius and this many times it is neither zero nor non-zero


@dataclass(frozen=True)
class Nullity:
    """A count of zero eigenvalues and of negative ones, with the evidence.

    An eigenvalue is zero when it is at most `cutoff` in size and non-zero when it exceeds `UNDECIDED_FACTOR` times that; one
    in between is undecided, and then nothing is claimed. A true eigenvalue far below the rounding error of the operator cannot be
    told from zero by any computation in the same precision: whoever knows the symmetries must compare the count with what
    they explain.

    Attributes:
        count: Number of eigenvalues of size <= cutoff.
        negative: Number of eigenvalues below -cutoff: the Morse index, when resolved. None if the method cannot tell.
        undecided: Number of eigenvalues seen between the zero radius and what counts as non-zero.
        cutoff: The zero radius, the sum of a rounding part and a gradient part.
        largest_zero: The largest size among the zeros (0 if there are none), or a bound on it, see `sharp`.
        smallest_nonzero: The smallest size among the others (infinity if there are none), or a bound on it, see `sharp`.
        rounding: The part of the zero radius that comes from arithmetic.
        gradient: The part of the zero radius that comes from the point being only nearly critical.
        norm: Norm of the operator, which the rounding is relative to.
        delta: Chance that the count is wrong, over the random start vectors; 0 for a deterministic method.
        products: Products of the operator with one vector.
        seed: Seed of the random draws; None if there were none.
        method: Name of the method that counted.
        sharp: Whether `largest_zero` and `smallest_nonzero` are eigenvalues; if not, the first is an upper bound of the zeros
            and the second a lower bound of the others.
        certified: Whether the method completed its proof. One that ran out of its budget says False, and why in `reason`.
        reason: What keeps the count from being resolved; empty if nothing does.
    """

    count: int
    negative: int | None
    undecided: int
    cutoff: float
    largest_zero: float
    smallest_nonzero: float
    rounding: float = 0.0
    gradient: float = 0.0
    norm: float = 0.0
    delta: float = 0.0
    products: int = 0
    seed: int | None = None
    method: str = ""
    sharp: bool = True
    certified: bool = True
    reason: str = ""

    @property
    def resolved(self) -> bool:
        """Whether the proof is complete and no eigenvalue is in the forbidden zone."""
        return self.undecided == 0 and self.certified

    def checked(self, size: int) -> "Nullity":
        """Returns the count as it stands, or without its certificate where its own evidence contradicts it.

        A count is kept only if its numbers are numbers, the counts fit the operator, and the norm exceeds the forbidden zone. At a
        radius near the norm every eigenvalue looks like a zero, so such a radius proves nothing: the point is not critical enough.
        The zero operator is the exception, at a radius of exactly 0.

        Args:
            size: Rows of the operator.
        """
        reason = self._contradiction(size)
        return replace(self, certified=False, reason=reason) if reason else self

    def _contradiction(self, size: int) -> str:
        """Returns what in the evidence contradicts the count, or nothing."""
        evidence = (self.cutoff, self.rounding, self.gradient, self.norm, self.largest_zero, self.delta)
        if not all(0 <= value < math.inf for value in evidence) or not self.smallest_nonzero >= 0:
            return f"the evidence holds numbers that are none: zero radius {self.cutoff}, norm {self.norm}, delta {self.delta}"
        if not 0 <= self.count <= self.count + (self.negative or 0) <= size or not (self.negative or 0) >= 0:
            return f"{self.count} zero and {self.negative} negative eigenvalues do not fit a size of {size}"
        if self.cutoff == self.norm == 0:
            return ""
        if not UNDECIDED_FACTOR * self.cutoff < self.norm:
            return (
                f"the zero radius {self.cutoff:.1e} (from the gradient {self.gradient:.1e}) is not below a thousandth of the norm "
                f"{self.norm:.1e}: the point is not critical enough"
            )
        return ""

    @property
    def gap(self) -> float:
        """How many times the smallest non-zero eigenvalue exceeds the largest that counts as zero or the cutoff."""
        return self.smallest_nonzero / max(self.largest_zero, self.cutoff) if self.cutoff > 0 else float("inf")


def count_zeros(spectrum: Spectrum, gradient_radius: float) -> Nullity:
    """Counts the zeros of a complete spectrum. An eigenvalue that is NaN is undecided, and so is every one at a radius of NaN.

    Args:
        spectrum: All eigenvalues with the rounding error they carry.
        gradient_radius: How far from zero a null eigenvalue may lie because the point is not exactly critical.
    """
    cutoff = spectrum.error + gradient_radius
    sized = [(abs(value), times) for value, times in spectrum.pairs()]
    zeros = [(size, times) for size, times in sized if size <= cutoff]
    others = [(size, times) for size, times in sized if not size <= cutoff]
    undecided = sum(times for size, times in others if not size > UNDECIDED_FACTOR * cutoff)
    result = Nullity(
        count=sum(times for _, times in zeros),
        negative=sum(times for value, times in spectrum.pairs() if value < -cutoff),
        undecided=undecided,
        cutoff=cutoff,
        largest_zero=max((size for size, _ in zeros), default=0.0),
        smallest_nonzero=min((size for size, _ in others), default=math.inf),
        rounding=spectrum.error,
        gradient=gradient_radius,
        norm=spectrum.norm,
        reason=f"{undecided} eigenvalues within {UNDECIDED_FACTOR:g} times the zero radius" if undecided else "",
    )
    return result if undecided else result.checked(spectrum.size)
