"""Newton polishing: to the nearest critical point of any index, the null space left untouched."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse.linalg import LinearOperator, minres
from torch import Tensor

from landscape.curvature.operator import Product, dense
from landscape.curvature.spectrum import rounding_radius
from landscape.errors import InputError
from landscape.objective import Objective
from landscape.problem import Problem
from landscape.reduction import Core, compress
from landscape.solver.methods import Newton, State


def rank_tolerance(problem: Problem, theta: Float[Tensor, " p"], gradient_norm: float) -> float:
    """Returns the size up to which a singular value of a factor counts as zero at a nearly critical point.

    A direction that no factor uses at the critical point has gradient decay * s at a singular value s, so s is at most of the
    order of the gradient norm over the decay; ten times that, and never below the rounding of the factors themselves.
    """
    rounding = 1e3 * torch.finfo(theta.dtype).eps * float(theta.norm())
    return max(rounding, 10 * gradient_norm / min(problem.decays))


def polish_core(core: Core, settings: Newton) -> Core:
    """Returns the critical point of the core next to `core`, to machine precision."""
    last = core.theta
    for state in _dense_newton(core.objective, core.theta):
        last = state.theta
        if state.gradient_norm <= settings.tolerance or state.steps >= settings.max_steps:
            break
    return replace(core, theta=last)


def newton(problem: Problem, theta: Float[Tensor, " p"]) -> Iterator[State]:
    """Yields the state after every Newton step, until none lowers the gradient norm.

    Linear models whose factors share a rank are polished in their core and written back in their own frames; what lies outside
    the core is dropped, which the first state after the start shows. Anything else takes MINRES steps on the full space.
    """
    objective = Objective.of(problem, theta)
    loss, gradient = objective.value_and_gradient(theta)
    norm = float(gradient.norm())
    yield State(theta, float(loss), norm, 0)
    try:
        core, frames = compress(problem, theta, rank_tolerance(problem, theta, norm))
    except InputError:  # not linear, or not yet of one rank: no core
        yield from _krylov_newton(objective, theta)
        return
    for state in _dense_newton(core.objective, core.theta):
        full = replace(core, theta=state.theta).embed(frames)
        loss, gradient = objective.value_and_gradient(full)
        yield State(full, float(loss), float(gradient.norm()), state.steps + 1, state.stalled)


def _dense_newton(objective: Objective, theta: Tensor) -> Iterator[State]:
    """Pseudo-inverse steps from the eigendecomposition; eigenvalues within reach of the gauge zeros are left alone."""
    loss, gradient = objective.value_and_gradient(theta)
    norm, steps = float(gradient.norm()), 0
    while True:
        if not objective.size:
            yield State(theta, float(loss), norm, steps, stalled=True)
            return
        values, vectors = torch.linalg.eigh(dense(Product(objective.linearize(theta), theta)))
        cutoff = max(rounding_radius(objective.size, float(values.abs().max())), norm)
        inverse = torch.where(values.abs() > cutoff, 1 / values, 0.0)
        moved = theta - vectors @ (inverse * (vectors.mT @ gradient))
        new_loss, new_gradient = objective.value_and_gradient(moved)
        stalled = not float(new_gradient.norm()) < norm
        yield State(theta, float(loss), norm, steps, stalled)
        if stalled:
            return
        theta, loss, gradient, norm, steps = moved, new_loss, new_gradient, float(new_gradient.norm()), steps + 1


def _on_host(product: Callable[[Tensor], Tensor], like: Tensor) -> Callable[[np.ndarray], np.ndarray]:
    return lambda vector: product(torch.from_numpy(vector).to(like)).cpu().numpy()


def _krylov_newton(objective: Objective, theta: Tensor) -> Iterator[State]:
    """MINRES steps: the minimum-norm Newton step, which has no component along directions that the gradient does not see."""
    loss, gradient = objective.value_and_gradient(theta)
    norm, steps = float(gradient.norm()), 0
    while True:
        apply = _on_host(objective.linearize(theta), theta)
        operator = LinearOperator((theta.numel(), theta.numel()), matvec=apply, dtype="float64")
        step, _ = minres(operator, -gradient.cpu().numpy(), rtol=min(1e-3, norm), maxiter=2000)
        moved = theta + torch.from_numpy(step).to(theta)
        new_loss, new_gradient = objective.value_and_gradient(moved)
        stalled = not float(new_gradient.norm()) < norm
        yield State(theta, float(loss), norm, steps, stalled)
        if stalled:
            return
        theta, loss, gradient, norm, steps = moved, new_loss, new_gradient, float(new_gradient.norm()), steps + 1
