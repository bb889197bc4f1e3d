"""Slices of a loss as values: directions, lines and planes, of the model and of any network."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.display import brief
from landscape.errors import InputError

Along = Literal["stiffest", "negative", "null", "gauge"]
NetworkAlong = Literal["random", "stiffest", "second", "lowest", "given"]
DEFAULT_SPAN = 0.25  # of the norm of the parameters
MOST_STEPS = 501


@dataclass(frozen=True)
class Direction:
    """A unit vector at a point.

    Attributes:
        name: Name of the choice of direction. Of a multiple eigenvalue it is the projection of a random vector onto the eigenspace,
            or any vector of it for a network.
        vector: Direction as a vector of length 1.
        curvature: Curvature v'Hv, the second derivative of the loss along it: the eigenvalue, 0 up to rounding for null and gauge.
        turns: Skew matrices, one per interface, whose rotations are the orbit's curve through this tangent; gauge only.
        quartic: Coefficient w'Hw / 8 of t^4 on the straight line; gauge only, and None where the point is so far from critical that
            the curvature -w'gradient of the line matters beside it.
    """

    name: Along | NetworkAlong
    vector: Float[Tensor, " p"]
    curvature: float
    turns: tuple[Float[Tensor, "d d"], ...] = ()
    quartic: float | None = None

    __repr__ = brief


@dataclass(frozen=True)
class Line:
    """The loss along one direction.

    Attributes:
        direction: Direction along which the loss is sampled.
        places: Signed distances from the point.
        loss: Losses on the straight line, with weight decay.
        orbit: Losses on the orbit's own curve at the same parameters; gauge only, constant up to rounding.
    """

    direction: Direction
    places: Float[Tensor, " t"]
    loss: Float[Tensor, " t"]
    orbit: Float[Tensor, " t"] | None

    __repr__ = brief


@dataclass(frozen=True)
class Plane:
    """The loss on the plane of two directions.

    Attributes:
        horizontal: Direction of the horizontal axis.
        vertical: Direction of the vertical axis, orthogonal to the other up to rounding.
        places: Signed distances from the point, on both axes.
        loss: Losses, one row for each vertical place.
        shadow: Horizontal and vertical place of the orbit's own curve, which leaves the plane, where one of the directions is a
            gauge direction; the valley of the loss follows it to second order.
    """

    horizontal: Direction
    vertical: Direction
    places: Float[Tensor, " t"]
    loss: Float[Tensor, "t t"]
    shadow: Float[Tensor, "t 2"] | None = None

    __repr__ = brief


def spaced(theta: Float[Tensor, " p"], span: float | None = None, steps: int = 51) -> Float[Tensor, " t"]:
    """Returns the places of a slice, from -span to span; `DEFAULT_SPAN` of the norm of the parameters if not given.

    Raises:
        InputError: If the span is not positive or there are not 3 to `MOST_STEPS` steps.
    """
    if span is not None and not 0 < span < math.inf:
        raise InputError(f"expected a positive finite span, got {span:g}")
    if not 3 <= steps <= MOST_STEPS:
        raise InputError(f"expected 3 to {MOST_STEPS} steps, got {steps}")
    reach = (DEFAULT_SPAN * float(theta.norm()) or 1.0) if span is None else span
    return torch.linspace(-reach, reach, steps, dtype=theta.dtype, device=theta.device)
