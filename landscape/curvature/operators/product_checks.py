"""What an operator of second derivatives is asked before its products are believed: repetition, symmetry, a finite difference."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.operators.reverse import AGREEMENT
from landscape.errors import InputError


class WrongProducts(InputError):
    """Products that fail a check, whatever the cause."""


Multiply = Callable[[Tensor], Tensor]
# Relative steps along a random direction, largest first, and what the difference quotient may be off by: errors in the field were
# 0.06 to 1.5, quotients of smooth networks are right to 1e-6.
_STEPS = {torch.float64: (1e-4, 1e-5, 1e-6, 1e-7), torch.float32: (3e-2, 1e-2, 3e-3, 1e-3)}
_FEW_DIGITS = 1e-4  # relative: a smaller error is rounding in float32 or bfloat16, a larger one a wrong formula
_SEED = 20240229  # of the probes: any fixed number
_TOLERANCE = {torch.float64: 1e-3, torch.float32: 5e-2}


def require_linear_and_symmetric(product: Multiply, probes: Float[Tensor, "p 3"]) -> Float[Tensor, "p 3"]:
    """Checks that products of one block repeat to rounding and that u'(Hv) = v'(Hu). Two blocks of three and one of two columns.

    Returns:
        The products.

    Raises:
        InputError: If a product is not finite, they do not repeat, or they are not those of a symmetric matrix.
    """
    first, second = product(probes), product(probes)
    if not bool(torch.isfinite(first).all()):
        raise InputError("expected finite products of the operator, got NaN or infinity: is the point finite?")
    allowed = AGREEMENT * torch.finfo(first.dtype).eps
    apart = float((first - second).norm())
    if not apart <= allowed * float(first.norm()):
        raise InputError(
            f"expected equal products of one vector, got a relative difference of {apart / float(first.norm()):.1e}: the loss or "
            "its derivative is random, or keeps something between calls; call module.eval()"
        )
    mixed = probes[:, :2] @ probes.new_tensor([[1.0, 0.5], [-1.0, 2.0]])
    expected = first[:, :2] @ probes.new_tensor([[1.0, 0.5], [-1.0, 2.0]])
    apart = float((product(mixed) - expected).norm())
    if not apart <= allowed * float(first.norm()) * 4:
        raise WrongProducts(f"expected linear products, got H(u + v) off by {apart:.1e}: {_why(apart / float(first.norm()))}")
    form = probes.mT @ first
    skew, scale = float((form - form.mT).abs().max()), float(probes.norm() * first.norm())
    if not skew <= allowed * scale:
        raise WrongProducts(
            f"expected a symmetric Hessian, got u'(Hv) and v'(Hu) that differ by {skew:.1e} of {scale:.1e}: {_why(skew / scale)}"
        )
    return first


def probes_like(at: Float[Tensor, " p"]) -> Float[Tensor, "p 3"]:
    """Returns three random columns, the same at every call and on every device."""
    drawn = torch.randn(at.numel(), 3, generator=torch.Generator().manual_seed(_SEED), dtype=torch.float64)
    return drawn.to(device=at.device, dtype=at.dtype)


def require_hessian(product: Multiply, gradient: Multiply, at: Float[Tensor, " p"]) -> None:
    """Checks products against each other and against a difference quotient of gradients.

    Raises:
        InputError: If a check fails.
    """
    probes = probes_like(at)
    images = require_linear_and_symmetric(product, probes)
    error = difference_quotient_error(gradient, at, probes[:, 0], images[:, 0])
    if not error <= 1:
        raise WrongProducts(
            f"expected products equal to differences of gradients, got {error:.1e} times the allowed difference: the point is at a "
            "kink of the loss, or the derivative of an operation is wrong; pass check=False to go on without"
        )


def _why(relative: float) -> str:
    """Returns what makes products of an operator wrong, from how wrong they are."""
    if relative < _FEW_DIGITS:
        return "something inside computes in fewer digits than the parameters have, or these are so large that digits are lost"
    return "a backward pass (an autograd.Function, padding_idx of a tied embedding) is not the derivative of its forward pass"


def difference_quotient_error(
    gradient: Callable[[Tensor], Tensor], at: Float[Tensor, " p"], direction: Float[Tensor, " p"], product: Float[Tensor, " p"]
) -> float:
    """Returns how far a product is from central differences of gradients, in units of what the differences can tell.

    At most 1 for a right product of a smooth function. The best of four steps counts: large ones cross kinks, small ones round.
    Two to eight gradients.
    """
    norm, best = float(direction.norm()), float("inf")
    scale = max(float(at.norm()), 1.0)
    for step in _STEPS[at.dtype]:
        move = direction * (step * scale / norm)
        up, down = gradient(at + move), gradient(at - move)
        quotient = (up - down) * (norm / (2 * step * scale))
        rounding = 1e2 * torch.finfo(at.dtype).eps * (float(up.norm()) + float(down.norm()) + 1e-3) * norm / (step * scale)
        allowed = _TOLERANCE[at.dtype] * max(float(product.norm()), float(quotient.norm())) + rounding
        best = min(best, float((quotient - product).norm()) / allowed)
        if best <= 1:
            break
    return best
