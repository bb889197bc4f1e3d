"""What every method asks before it runs: a symmetric operator, positive settings, enough memory."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.krylov import random_block, seeded
from landscape.curvature.operators.counted import Counted
from landscape.curvature.operators.operator import SymmetricOperator, asymmetry_allowed, require_finite
from landscape.errors import InputError

_RANGE = 0.45  # exponent: beyond this power of the smallest and largest number of a dtype squares under- and overflow
_SYMMETRY_PROBES = 4


def require_symmetric(operator: SymmetricOperator, seed: int = 0) -> None:
    """Checks x'(Hy) = y'(Hx) on random vectors; an asymmetry of rank one and small entries can hide from it.

    Four products, and four more where all of them are zero: the vectors are then scaled up, since entries below the smallest
    normal number times a small one round to zero.

    Raises:
        InputError: If the dtype is no real floating point, a product is not finite or of another shape or so large or small that
            its square leaves the range of the dtype, or the operator is not symmetric to rounding.
    """
    if operator.size == 0:
        raise InputError("expected an operator of size >= 1, got 0")
    if operator.like.dtype not in (torch.float64, torch.float32):
        raise InputError(f"expected an operator in float64 or float32, got {operator.like.dtype}: convert it")
    operator = Counted.of(operator)
    probes = random_block(operator, _SYMMETRY_PROBES, seeded(seed, "symmetry"))
    images = operator @ probes
    require_finite(images)
    kind = torch.finfo(images.dtype)
    low, high = kind.tiny**_RANGE, kind.max**_RANGE
    largest = float(images.abs().max())
    is_zero = not largest and not bool((operator @ (high * probes)).any())
    if not is_zero and not low < largest < high:
        raise InputError(f"expected an operator of norm between {low:.0e} and {high:.0e}, got about {largest:.0e}: scale it")
    form = probes.mT @ images
    asymmetry = float((form - form.mT).abs().max())
    scale = float(probes.norm(dim=0).max() * images.norm(dim=0).max())
    if not asymmetry <= asymmetry_allowed(images.dtype) * scale:
        raise InputError(f"expected a symmetric operator, got x'Hy and y'Hx that differ by {asymmetry:.1e} of {scale:.1e}")


def require_radius(gradient_radius: float) -> None:
    """Refuses a gradient radius that bounds nothing.

    Raises:
        InputError: If it is negative, infinite or NaN.
    """
    if not 0 <= gradient_radius < math.inf:
        raise InputError(f"expected a finite gradient radius >= 0, got {gradient_radius}")


def require_positive(**settings: int | None) -> None:
    """Refuses a setting that counts something and is below 1; None stands for a default.

    Raises:
        InputError: If one is.
    """
    for name, value in settings.items():
        if value is not None and not value >= 1:
            raise InputError(f"expected {name} >= 1, got {value}")


def require_bound(needed: float, bound: float | None, remedy: str) -> None:
    """Refuses a method that needs more bytes than its settings allow; a bound of None allows any number.

    Raises:
        InputError: If it needs more; the line ends with the remedy.
    """
    if bound is not None and not needed <= bound:
        raise InputError(f"expected a memory bound of at least {needed / 1e9:.3g} GB, got {bound / 1e9:.3g} GB: {remedy}")


def require_orthonormal(basis: Float[Tensor, "p m"]) -> None:
    """Refuses columns that are not orthonormal to rounding, such as a column of zeros among them.

    Raises:
        InputError: If an entry of the Gram matrix is off by more than a thousand roundings per column.
    """
    if basis.shape[1]:
        gram = basis.mT @ basis
        gram.diagonal().sub_(1)
        off = float(gram.abs().amax())
        if not off <= gram.shape[0] * 1e3 * torch.finfo(gram.dtype).eps:
            raise InputError(f"expected an orthonormal basis, got columns off by {off:.1e}: use torch.linalg.qr")
