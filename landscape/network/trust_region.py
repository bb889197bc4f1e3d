"""The step of a Newton method in a ball: conjugate gradients that stop at negative curvature or at the boundary (Steihaug 1983)."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.operators.operator import SymmetricOperator
from landscape.display import brief


@dataclass(frozen=True)
class Trial:
    """A step and what the quadratic model says of it.

    Attributes:
        step: Step to be added to the point.
        decrease: Decrease of the quadratic model by the step; positive.
        products: Products with the operator that it took.
        boundary: Whether the step ends on the boundary of the ball.
        curvature: The smallest quotient d'Hd / d'd of a search direction; negative at a saddle.
    """

    step: Float[Tensor, " p"]
    decrease: float
    products: int
    boundary: bool
    curvature: float

    __repr__ = brief


def steihaug(hessian: SymmetricOperator, gradient: Float[Tensor, " p"], radius: float, tolerance: float, most: int) -> Trial:
    """Minimises g's + s'Hs/2 over |s| <= radius by conjugate gradients from 0.

    A singular H needs no care where the gradient is orthogonal to its null space, as it is to the orbit of a symmetry.

    Args:
        hessian: Hessian H of the quadratic model.
        gradient: Gradient g of the quadratic model.
        radius: Radius of the ball that holds the step.
        tolerance: Residual, relative to the gradient, at which to stop.
        most: Products at most.
    """
    step = torch.zeros_like(gradient)
    residual, direction = gradient.clone(), -gradient
    squared = float(gradient @ gradient)
    goal, smallest = tolerance * math.sqrt(squared), math.inf
    for spent in range(1, most + 1):
        image = (hessian @ direction[:, None])[:, 0]
        length = float(direction @ direction)
        bend = float(direction @ image)
        if not length > 0:
            return Trial(step, _decrease(gradient, step, residual), spent, False, smallest)
        smallest = min(smallest, bend / length)
        if not bend > 0:
            edge = step + _to_boundary(step, direction, radius) * direction
            return Trial(edge, _gain(gradient, residual, step, edge, image, direction), spent, True, smallest)
        width = squared / bend
        following = step + width * direction
        if not float(following.norm()) < radius:
            edge = step + _to_boundary(step, direction, radius) * direction
            return Trial(edge, _gain(gradient, residual, step, edge, image, direction), spent, True, smallest)
        step, residual = following, residual + width * image
        before, squared = squared, float(residual @ residual)
        if not math.sqrt(squared) > goal:
            return Trial(step, _decrease(gradient, step, residual), spent, False, smallest)
        direction = -residual + (squared / before) * direction
    return Trial(step, _decrease(gradient, step, residual), most, False, smallest)


def _decrease(gradient: Tensor, step: Tensor, residual: Tensor) -> float:
    """Returns the decrease of the model at a step whose residual g + Hs is known."""
    return -float(step @ (gradient + residual)) / 2


def _gain(gradient: Tensor, residual: Tensor, step: Tensor, edge: Tensor, image: Tensor, direction: Tensor) -> float:
    """Returns the decrease of the model at a step on the boundary, from the residual at the step before it."""
    length = float((edge - step) @ direction) / float(direction @ direction)
    return -float(edge @ (gradient + residual + length * image)) / 2


def _to_boundary(step: Tensor, direction: Tensor, radius: float) -> float:
    """Returns the positive factor with |step + factor * direction| = radius."""
    a, b = float(direction @ direction), 2 * float(step @ direction)
    c = float(step @ step) - radius**2
    return (-b + math.sqrt(max(b * b - 4 * a * c, 0.0))) / (2 * a)
