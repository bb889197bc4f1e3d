"""Counting zero eigenvalues by a choice of methods: the question, the methods that form the matrix, and the choice rule.

Each method is a frozen settings class with a `count` method. `nullity` checks the operator and asks one of them. The methods
that never form the matrix are in `deflation`, `lowrank` and `locking`; the one for minima with a known null space is in
`quotient`.
"""

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from landscape.curvature.krylov import estimate_norm, random_block, seeded
from landscape.curvature.nullity import UNDECIDED_FACTOR, Nullity, count_zeros
from landscape.curvature.operator import SymmetricOperator, dense
from landscape.curvature.spectrum import eigenvalues, rounding_radius
from landscape.errors import InputError

_RANGE = 0.45  # exponent: beyond this power of the smallest and largest number of a dtype squares under- and overflow


@runtime_checkable
class Counting(Protocol):
    """A way to count zero eigenvalues: settings that know how to run."""

    def count(self, operator: SymmetricOperator, gradient_radius: float) -> Nullity:
        """Counts the eigenvalues of size at most the rounding radius plus `gradient_radius`."""
        ...


@runtime_checkable
class Measured(Protocol):
    """An operator that knows how far from critical its point is."""

    def measured_radius(self) -> float:
        """Returns the gradient radius of the point, or refuses a count there."""
        ...


def nullity(operator: SymmetricOperator, method: Counting, gradient_radius: float | None = None) -> Nullity:
    """Counts the zero eigenvalues of an operator.

    Args:
        operator: Symmetric; this is checked on random vectors, which costs four products.
        method: `Dense`, `Inertia`, `QuotientCholesky`, `Deflated`, `LowRank` or `BlockLanczos`.
        gradient_radius: How far from zero a null eigenvalue may lie because the point is not exactly critical. None for what the
            operator measures (`ModuleHessian`: the norm of the gradient), and 0 where it measures nothing.

    Raises:
        InputError: If a product is not finite, the operator is not symmetric, or the radius is negative.
    """
    if gradient_radius is None:
        gradient_radius = operator.measured_radius() if isinstance(operator, Measured) else 0.0
    if not 0 <= gradient_radius < float("inf"):
        raise InputError(f"expected a finite gradient radius >= 0, got {gradient_radius}")
    require_symmetric(operator)
    return method.count(operator, gradient_radius)


def require_symmetric(operator: SymmetricOperator, seed: int = 0) -> None:
    """Checks x'(Hy) = y'(Hx) on random vectors; an asymmetry of rank one and small entries can hide from it.

    Raises:
        InputError: If the dtype is no real floating point, a product is not finite or of another shape or so large or small that
            its square leaves the range of the dtype, or the operator is not symmetric to rounding.
    """
    if operator.size == 0:
        raise InputError("expected an operator of size >= 1, got 0")
    if operator.like.dtype not in (torch.float64, torch.float32):
        raise InputError(f"expected an operator in float64 or float32, got {operator.like.dtype}: convert it")
    probes = random_block(operator, 4, seeded(seed, "symmetry"))
    images = operator @ probes
    if images.shape != probes.shape:
        raise InputError(f"expected products of shape {tuple(probes.shape)}, got {tuple(images.shape)}")
    if not bool(torch.isfinite(images).all()):
        raise InputError("expected finite products of the operator, got NaN or infinity: is the point finite?")
    kind, largest = torch.finfo(images.dtype), float(images.abs().max())
    low, high = kind.tiny**_RANGE, kind.max**_RANGE
    if largest and not low < largest < high:
        raise InputError(f"expected an operator of norm between {low:.0e} and {high:.0e}, got about {largest:.0e}: scale it")
    form = probes.mT @ images
    asymmetry = float((form - form.mT).abs().max())
    scale = float(probes.norm(dim=0).max() * images.norm(dim=0).max())
    if asymmetry > 1e3 * torch.finfo(images.dtype).eps * scale:
        raise InputError(f"expected a symmetric operator, got x'Hy and y'Hx that differ by {asymmetry:.1e} of {scale:.1e}")


def require_positive(**settings: int | None) -> None:
    """Raises InputError if a setting that counts something is below 1; None stands for a default."""
    for name, value in settings.items():
        if value is not None and value < 1:
            raise InputError(f"expected {name} >= 1, got {value}")


def require_memory(needed: float, bound: float | None, remedy: str) -> None:
    """Raises InputError if a method needs more bytes than its settings allow."""
    if bound is not None and needed > bound:
        raise InputError(f"expected a memory bound of at least {needed / 1e9:.3g} GB, got {bound / 1e9:.3g} GB: {remedy}")


@dataclass(frozen=True)
class Dense:
    """All eigenvalues of the formed matrix: exact up to rounding, index included. N products, O(N^3), three N^2 arrays.

    Attributes:
        memory: Bytes that may be used; None for no bound.
    """

    memory: float | None = None

    def count(self, operator: SymmetricOperator, gradient_radius: float) -> Nullity:
        """Counts from the whole spectrum."""
        needed = 3.0 * operator.size**2 * operator.like.element_size()
        require_memory(needed, self.memory, "use Deflated or LowRank")
        result = count_zeros(eigenvalues(operator), gradient_radius)
        return replace(result, products=operator.size, method="dense")


@dataclass(frozen=True)
class Inertia:
    """Sylvester's law of inertia: signs of the pivots of LDL' at four shifts, +-cutoff and +-1000 cutoff.

    Deterministic, at saddles too. Bunch-Kaufman factorisations (LAPACK sytrf) are about N^3/3 each; the inertia is that of a
    matrix which differs from the operator by the backward error, and this is measured by solving with the factors: a
    backward error above half the cutoff leaves the count uncertified. Zeros and others are only bounded, by the shifts.

    Attributes:
        memory: Bytes that may be used; None for no bound.
        seed: Of the right-hand sides that measure the backward error.
    """

    memory: float | None = None
    seed: int = 0

    def count(self, operator: SymmetricOperator, gradient_radius: float) -> Nullity:
        """Counts from the inertia at four shifts."""
        size = operator.size
        require_memory(3.0 * size**2 * operator.like.element_size(), self.memory, "use Deflated or LowRank")
        matrix = dense(operator)
        norm = estimate_norm(operator, self.seed)
        rounding = rounding_radius(size, norm, matrix.dtype)
        cutoff = rounding + gradient_radius
        if cutoff == 0:  # the zero matrix
            return Nullity(size, 0, 0, 0.0, 0.0, float("inf"), products=size, method="inertia")
        below, errors = [], []
        for shift in (-UNDECIDED_FACTOR * cutoff, -cutoff, cutoff, UNDECIDED_FACTOR * cutoff):
            negative, error = _negative_pivots(matrix, shift, self.seed)
            below.append(negative)
            errors.append(error)
        count, zone = below[2] - below[1], below[3] - below[0]
        sound = below == sorted(below) and max(errors) <= cutoff / 2
        reason = "" if sound else f"backward error {max(errors):.1e} of the factorisation against a zero radius of {cutoff:.1e}"
        if zone > count:
            reason = f"{zone - count} eigenvalues within {UNDECIDED_FACTOR:g} times the zero radius"
        return Nullity(
            count=count,
            negative=below[1],
            undecided=zone - count,
            cutoff=cutoff,
            largest_zero=cutoff if count else 0.0,
            smallest_nonzero=UNDECIDED_FACTOR * cutoff if zone == count else cutoff,
            rounding=rounding,
            gradient=gradient_radius,
            norm=norm,
            products=size,
            seed=self.seed,
            method="inertia",
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
