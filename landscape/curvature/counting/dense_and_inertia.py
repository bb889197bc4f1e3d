"""The two counting methods that form the matrix: all eigenvalues, and the signs of the pivots."""

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from landscape.curvature.checks import require_bound
from landscape.curvature.counting.zeros import UNDECIDED_FACTOR, Nullity, count_zeros
from landscape.curvature.krylov import estimate_norm, seeded
from landscape.curvature.operators.counted import Counted
from landscape.curvature.operators.operator import SymmetricOperator, dense
from landscape.curvature.spectra.spectrum import eigenvalues, rounding_radius


@runtime_checkable
class Measured(Protocol):
    """An operator that knows how far from critical its point is."""

    def measured_radius(self) -> float:
        """Returns the gradient radius of the point, or refuses a count there."""
        ...


@dataclass(frozen=True)
class Dense:
    """All eigenvalues of the formed matrix: exact up to rounding, index included. N products, O(N^3), three N^2 arrays.

    Attributes:
        memory: Memory that may be used, in bytes; None for no bound.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> matrix = ls.Matrix(torch.tensor([0.0, 0.0, 1.0, 2.0], dtype=torch.float64).diag())
        >>> count = ls.nullity(matrix, ls.Dense())
        >>> count.count, count.negative, count.resolved
        (2, 0, True)
    """

    memory: float | None = None

    def count(self, operator: SymmetricOperator, gradient_radius: float) -> Nullity:
        """Counts from the whole spectrum."""
        needed = 3.0 * operator.size**2 * operator.like.element_size()
        require_bound(needed, self.memory, "use Deflated or LowRank")
        counted = Counted.of(operator)
        before = counted.products
        result = count_zeros(eigenvalues(counted), gradient_radius)
        return replace(result, products=counted.products - before, method="dense")


@dataclass(frozen=True)
class Inertia:
    """Sylvester's law of inertia: signs of the pivots of LDL' at four shifts, +-cutoff and +-1000 cutoff.

    Deterministic, at saddles too. Bunch-Kaufman factorisations (LAPACK sytrf) are about N^3/3 each; the inertia is that of a
    matrix which differs from the operator by the backward error, and this is measured by solving with the factors: a
    backward error above half the cutoff leaves the count uncertified. Zeros and others are only bounded, by the shifts.

    Attributes:
        memory: Memory that may be used, in bytes; None for no bound.
        seed: Seed of the right-hand sides that measure the backward error.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> matrix = ls.Matrix(torch.tensor([0.0, 0.0, 1.0, 2.0], dtype=torch.float64).diag())
        >>> count = ls.nullity(matrix, ls.Inertia())
        >>> count.count, count.negative, count.sharp
        (2, 0, False)
    """

    memory: float | None = None
    seed: int = 0

    def count(self, operator: SymmetricOperator, gradient_radius: float) -> Nullity:
        """Counts from the inertia at four shifts."""
        size = operator.size
        require_bound(3.0 * size**2 * operator.like.element_size(), self.memory, "use Deflated or LowRank")
        counted = Counted.of(operator)
        before = counted.products
        matrix = dense(counted)
        norm = estimate_norm(counted, self.seed)
        rounding = rounding_radius(size, norm, matrix.dtype)
        cutoff = rounding + gradient_radius
        start = Nullity(
            count=size,
            negative=0,
            undecided=0,
            cutoff=cutoff,
            largest_zero=0.0,
            smallest_nonzero=float("inf"),
            rounding=rounding,
            gradient=gradient_radius,
            norm=norm,
            products=counted.products - before,
            seed=self.seed,
            method="inertia",
        )
        return start if cutoff == 0 else self._at_shifts(matrix, start).checked(size)  # 0 is the zero matrix

    def _at_shifts(self, matrix: Float[Tensor, "p p"], start: Nullity) -> Nullity:
        """Returns the count with what the inertia at the four shifts says, and why it is not sound where it is not."""
        cutoff = start.cutoff
        shifts = (-UNDECIDED_FACTOR * cutoff, -cutoff, cutoff, UNDECIDED_FACTOR * cutoff)
        below, errors = zip(*(_negative_pivots(matrix, shift, self.seed) for shift in shifts), strict=True)
        count, zone = below[2] - below[1], below[3] - below[0]
        sound = list(below) == sorted(below) and all(error <= cutoff / 2 for error in errors)
        listed = ", ".join(f"{error:.1e}" for error in errors)
        reason = "" if sound else f"backward errors {listed} of the factorisations against a zero radius of {cutoff:.1e}"
        if zone > count:
            reason = f"{zone - count} eigenvalues within {UNDECIDED_FACTOR:g} times the zero radius"
        return replace(
            start,
            count=count,
            negative=below[1],
            undecided=zone - count,
            largest_zero=cutoff if count else 0.0,
            smallest_nonzero=UNDECIDED_FACTOR * cutoff if zone == count else cutoff,
            sharp=False,
            certified=sound,
            reason=reason,
        )


def _negative_pivots(matrix: Float[Tensor, "p p"], shift: float, seed: int) -> tuple[int, float]:
    """Returns the number of eigenvalues below a shift, and the backward error of the factorisation that says so."""
    shifted = matrix.clone()
    shifted.diagonal().sub_(shift)
    factors, pivots = torch.linalg.ldl_factor(shifted)
    drawn = torch.randn(matrix.shape[0], 4, generator=seeded(seed, "inertia"), dtype=torch.float64)
    right = drawn.to(device=matrix.device, dtype=matrix.dtype)
    solution = torch.linalg.ldl_solve(factors, pivots, right)
    residual = matrix @ solution - shift * solution - right
    error = float((residual.norm(dim=0) / solution.norm(dim=0)).max())
    return inertia(factors, pivots), error


def inertia(factors: Float[Tensor, "p p"], pivots: Int[Tensor, " p"]) -> int:
    """Returns the number of negative eigenvalues of D in LDL', from LAPACK's packed form (lower triangle).

    Negative entries of `pivots` come in pairs and mark the 2 x 2 blocks of D.
    """
    diagonal = factors.diagonal()
    single = pivots > 0
    ones = int(((diagonal < 0) & single).sum())
    paired = (~single).nonzero().squeeze(-1)
    first, second = paired[0::2], paired[1::2]
    upper, lower, coupling = diagonal[first], diagonal[second], factors[second, first]
    determinant = upper * lower - coupling.square()
    twos = torch.where(determinant < 0, 1, torch.where(upper + lower < 0, 2, 0))
    return ones + int(twos.sum())
