"""Softplus continuation: a ReLU model is descended with ever sharper softplus in place of its kinks, then as it is."""

from collections.abc import Iterator
from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from landscape.errors import InputError
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.solver.flow import pseudo_transient
from landscape.solver.methods import PseudoTransient, SoftplusContinuation
from landscape.solver.state import State


def smoothed(objective: Objective, sharpness: float) -> Objective:
    """Returns the ReLU objective with log(1 + e^(bx)) / b, b the sharpness, for every rectifier."""
    return replace(objective, sharpness=sharpness)


def sharpnesses(settings: SoftplusContinuation) -> list[float]:
    """Returns the b of every smooth stage, the last one exactly `last_sharpness`."""
    values = [settings.first_sharpness]
    while values[-1] * settings.growth < settings.last_sharpness:
        values.append(values[-1] * settings.growth)
    return [*values, settings.last_sharpness] if values[-1] < settings.last_sharpness else values


def softplus_continuation(problem: Problem, theta: Float[Tensor, " p"], settings: SoftplusContinuation) -> Iterator[State]:
    """Returns the states of all stages; loss and gradient norm are those of the ReLU loss throughout.

    Every stage is a pseudo-transient continuation of the smoothed loss from the end of the one before.

    Raises:
        InputError: If the model has no rectifier, or the settings do not make b grow.
    """
    if problem.is_linear:
        raise InputError(f"expected a ReLU model of depth >= 2 for softplus, got a {problem}: use ptc, gd or lbfgs")
    if not (settings.first_sharpness > 0 and settings.growth > 1):
        raise InputError(f"expected a positive first sharpness and a growth above 1, got {settings}")
    return _stages(Objective.of(problem, theta), theta, settings)


def _stages(objective: Objective, theta: Tensor, settings: SoftplusContinuation) -> Iterator[State]:
    before, taken = 0, 0
    flow = PseudoTransient(tolerance=settings.stage_tolerance, max_steps=settings.stage_steps)
    for sharpness in sharpnesses(settings):
        for state in pseudo_transient(smoothed(objective, sharpness), theta, flow):
            theta, taken = state.theta, before + state.steps
            loss, gradient = objective.value_and_gradient(theta)
            yield State(theta, float(loss), float(gradient.norm()), taken)
            if state.gradient_norm <= flow.tolerance or state.stalled or state.steps >= flow.max_steps:
                break
        before = taken
    for state in pseudo_transient(objective, theta, PseudoTransient(tolerance=settings.tolerance)):
        yield replace(state, steps=before + state.steps)
