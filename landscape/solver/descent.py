"""Explicit descent: plain gradient descent and L-BFGS, as streams of states."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.objective import Objective
from landscape.solver.methods import LBFGS, GradientDescent, State

_REPORT_EVERY = 200  # steps between two looks at the gradient norm, each of which waits for the device


def gradient_descent(objective: Objective, theta: Float[Tensor, " p"], settings: GradientDescent) -> Iterator[State]:
    """Yields the state every `_REPORT_EVERY` steps, for ever."""
    steps = 0
    while True:
        loss, gradient = objective.value_and_gradient(theta)
        yield State(theta, float(loss), float(gradient.norm()), steps)
        for _ in range(min(_REPORT_EVERY, settings.max_steps - steps)):
            theta = theta - settings.learning_rate * gradient
            gradient = objective.gradient(theta)
            steps += 1


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
