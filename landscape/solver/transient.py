"""Pseudo-transient continuation (Kelley and Keyes 1998) of the gradient flow, for any number of starts at once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from landscape.objective import Objective
from landscape.solver.methods import PseudoTransient, State

_CHECK_EVERY = 8  # conjugate-gradient iterations between two looks at whether anyone still needs one
_SMALLEST_STEP = 1e-10
_SHRINK, _GROW = 0.5, 2.0  # slow growth keeps the flow's path; 4 changed the end of one start in twelve


@dataclass(frozen=True)
class Flow:
    """The state of a batch of implicit gradient flows; each start has its own time step.

    Attributes:
        theta: One row per start.
        loss: There.
        gradient: There.
        time_step: h of the next step.
        products: Hessian products used so far.
    """

    theta: Float[Tensor, "b p"]
    loss: Float[Tensor, " b"]
    gradient: Float[Tensor, "b p"]
    time_step: Float[Tensor, " b"]
    products: Int[Tensor, " b"]

    @classmethod
    def begin(cls, objective: Objective, theta: Float[Tensor, "b p"], settings: PseudoTransient) -> "Flow":
        """Returns the flow at its start."""
        loss, gradient = objective.value_and_gradient(theta)
        return cls(theta, loss, gradient, torch.full_like(loss, settings.first_step), torch.zeros_like(loss, dtype=torch.int64))


def advance(objective: Objective, flow: Flow, settings: PseudoTransient) -> Flow:
    """Returns the flow after one attempt at a step: taken where the linear model held, else only the time step shrinks."""
    norm = flow.gradient.norm(dim=-1)
    tolerance = norm.sqrt().clamp(max=0.01)  # forcing term: superlinear at the end, cheap at the start
    shift = 1 / flow.time_step
    solution, residual, broken, products = conjugate_gradients(
        objective.linearize(flow.theta), shift, -flow.gradient, tolerance, settings.max_products
    )
    theta = flow.theta + solution
    loss, gradient = objective.value_and_gradient(theta)
    bent = -flow.gradient - residual - shift[:, None] * solution  # H s, from the residual of the solve
    error = (gradient - flow.gradient - bent).norm(dim=-1) / norm
    slack = 8 * torch.finfo(loss.dtype).eps * flow.loss.abs()
    taken = ~broken & (error < settings.curvature_tolerance) & (loss <= flow.loss + slack)
    growth = (0.5 * settings.curvature_tolerance / error).sqrt().clamp(_SHRINK, _GROW)
    factor = torch.where(taken, growth, torch.where(broken, _SHRINK / 2, _SHRINK))
    return Flow(
        torch.where(taken[:, None], theta, flow.theta),
        torch.where(taken, loss, flow.loss),
        torch.where(taken[:, None], gradient, flow.gradient),
        flow.time_step * factor,
        flow.products + products,
    )


def conjugate_gradients(
    apply: Callable[[Tensor], Tensor],
    shift: Float[Tensor, " b"],
    right: Float[Tensor, "b p"],
    tolerance: Float[Tensor, " b"],
    limit: int,
) -> tuple[Float[Tensor, "b p"], Float[Tensor, "b p"], Bool[Tensor, " b"], Int[Tensor, " b"]]:
    """Solves (A + shift) x = right row by row.

    Returns:
        The solutions, their residuals, which rows met negative curvature (and stopped there), and the products of each row.
    """
    solution, residual, direction = torch.zeros_like(right), right, right
    size = residual.square().sum(-1)
    goal = tolerance.square() * size
    broken = torch.zeros_like(size, dtype=torch.bool)
    products = torch.zeros_like(size, dtype=torch.int64)
    for iteration in range(limit):
        wanted = ~broken & (size > goal)
        if iteration % _CHECK_EVERY == 0 and not bool(wanted.any()):
            break
        image = apply(direction) + shift[:, None] * direction
        curvature = (direction * image).sum(-1)
        broken = broken | (wanted & (curvature <= 0))
        moving = wanted & ~broken
        length = torch.where(moving, size / curvature, 0.0)
        solution = solution + length[:, None] * direction
        residual = residual - length[:, None] * image
        renewed = residual.square().sum(-1)
        direction = torch.where(moving[:, None], residual + (renewed / size)[:, None] * direction, direction)
        size = torch.where(moving, renewed, size)
        products = products + wanted
    return solution, residual, broken, products


def pseudo_transient(objective: Objective, theta: Float[Tensor, " p"], settings: PseudoTransient) -> Iterator[State]:
    """Yields the state of one flow after every attempt."""
    flow, steps = Flow.begin(objective, theta[None], settings), 0
    while True:
        stalled = float(flow.time_step) < _SMALLEST_STEP
        yield State(flow.theta[0], float(flow.loss), float(flow.gradient.norm()), steps, stalled)
        flow, steps = advance(objective, flow, settings), steps + 1
