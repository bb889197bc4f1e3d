"""Explicit descent: plain gradient descent, for any number of starts at once, and L-BFGS."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from landscape.display import brief
from landscape.model.objective import Objective
from landscape.solver.methods import LBFGS, GradientDescent
from landscape.solver.state import State

_REPORT_EVERY = 200  # steps between two looks at the gradient norm, each of which waits for the device


@dataclass(frozen=True)
class Descent:
    """The state of a batch of plain descents.

    Attributes:
        theta: Current parameters, one row per start.
        loss: Loss of every row.
        gradient: Gradient of every row.
        steps: Number of steps taken so far.
    """

    theta: Float[Tensor, "b p"]
    loss: Float[Tensor, " b"]
    gradient: Float[Tensor, "b p"]
    steps: Int[Tensor, " b"]

    __repr__ = brief

    @classmethod
    def begin(cls, objective: Objective, theta: Float[Tensor, "b p"]) -> "Descent":
        """Returns the descent at its start."""
        loss, gradient = objective.value_and_gradient(theta)
        return cls(theta, loss, gradient, torch.zeros_like(loss, dtype=torch.int64))

    @property
    def norm(self) -> Float[Tensor, " b"]:
        """Norm of the gradient of every row."""
        return self.gradient.norm(dim=-1)

    @property
    def products(self) -> Int[Tensor, " b"]:
        """Gradients, which cost about as much as Hessian products."""
        return self.steps

    @property
    def stalled(self) -> Bool[Tensor, " b"]:
        """Nobody: plain descent never knows."""
        return torch.zeros_like(self.steps, dtype=torch.bool)


def descend(objective: Objective, descent: Descent, settings: GradientDescent) -> Descent:
    """Returns the descent after `_REPORT_EVERY` steps of every row, or as many as the row closest to its last has left."""
    count = min(_REPORT_EVERY, settings.max_steps - int(descent.steps.max()))
    theta, gradient = descent.theta, descent.gradient
    for step in range(count):
        theta = theta - settings.learning_rate * gradient
        if step < count - 1:
            gradient = objective.gradient(theta)
    loss, gradient = objective.value_and_gradient(theta)
    return Descent(theta, loss, gradient, descent.steps + count)


def gradient_descent(objective: Objective, theta: Float[Tensor, " p"], settings: GradientDescent) -> Iterator[State]:
    """Yields the state every `_REPORT_EVERY` steps, for ever."""
    descent = Descent.begin(objective, theta[None])
    while True:
        yield State(descent.theta[0], float(descent.loss), float(descent.gradient.norm()), int(descent.steps))
        descent = descend(objective, descent, settings)


def lbfgs(objective: Objective, theta: Float[Tensor, " p"], settings: LBFGS) -> Iterator[State]:
    """Yields the state every few iterations until the line search gives up."""
    point = theta.clone().requires_grad_(True)
    optimizer = torch.optim.LBFGS(
        [point],
        max_iter=10,
        history_size=settings.history,
        line_search_fn="strong_wolfe",
        tolerance_grad=0.0,
        tolerance_change=0.0,
    )

    def closure() -> Tensor:
        loss, point.grad = objective.value_and_gradient(point.detach())
        return loss

    last = None
    while True:
        loss, gradient = objective.value_and_gradient(point.detach())
        steps = optimizer.state[point].get("n_iter", 0)
        stalled = last is not None and bool(torch.equal(last, point.detach()))
        last = point.detach().clone()
        yield State(last, float(loss), float(gradient.norm()), steps, stalled)
        optimizer.step(closure)
