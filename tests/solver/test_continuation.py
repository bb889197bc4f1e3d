"""Softplus continuation: the smoothed loss against torch's own softplus, and its ends against plain descent."""

import math
from functools import partial

import pytest
import torch

from landscape.degeneracy.relu_kinks import kinks_of
from landscape.errors import InputError
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.solver.continuation import sharpnesses, smoothed, softplus_continuation
from landscape.solver.methods import GradientDescent, SoftplusContinuation
from landscape.solver.run import solve
from landscape.solver.starts import Random, random_start

DEEP = Problem((2, 1, 2), 4, 3, (0.01, 0.02, 0.03, 0.04), activation="relu")
SMALL = Problem.balanced(2, 2, 3, 2, 2e-2, activation="relu")


def draw(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def naive(theta: torch.Tensor, sharpness: float) -> torch.Tensor:
    """The loss of `DEEP` with torch's own softplus and cross-entropy."""
    features, *layers = Objective.of(DEEP).split(theta)
    signal, decayed = features, DEEP.decays[0] / 2 * features.square().sum()
    for index, (layer, decay) in enumerate(zip(layers, DEEP.decays[1:], strict=True)):
        entering = torch.nn.functional.softplus(signal, sharpness, threshold=1e9) if index else signal
        signal, decayed = layer @ entering, decayed + decay / 2 * layer.square().sum()
    return torch.nn.functional.cross_entropy(signal.T, torch.tensor([0, 0, 1, 2, 2])) + decayed


@pytest.mark.parametrize("sharpness", [0.5, 3.0, 40.0])
def test_derivatives_of_the_smoothed_loss(sharpness):
    theta, direction = draw(DEEP.parameters, 1), draw(DEEP.parameters, 2)
    objective = smoothed(Objective.of(DEEP), sharpness)
    loss, gradient = objective.value_and_gradient(theta)
    assert float(loss) == pytest.approx(float(naive(theta, sharpness)), rel=1e-13)
    slopes = torch.func.grad(partial(naive, sharpness=sharpness))
    expected, image, *_ = torch.func.jvp(slopes, (theta,), (direction,))
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-12 * float(expected.norm()))
    torch.testing.assert_close(objective.linearize(theta)(direction), image, rtol=0, atol=1e-11 * float(image.norm()))
    step = 1e-6
    slope = float(naive(theta + step * direction, sharpness) - naive(theta - step * direction, sharpness)) / (2 * step)
    assert float(gradient @ direction) == pytest.approx(slope, abs=1e-7)


def test_the_smoothed_loss_tends_to_the_relu_loss():
    theta, plain = draw(DEEP.parameters, 1), Objective.of(DEEP)
    distances = [abs(float(smoothed(plain, b).loss(theta) - plain.loss(theta))) for b in (1e1, 1e3, 1e8)]
    assert distances[0] > 1e-3
    assert distances[1] < distances[0] / 50
    assert distances[2] < 1e-9
    torch.testing.assert_close(smoothed(plain, 1e8).gradient(theta), plain.gradient(theta), rtol=0, atol=1e-12)


def test_at_a_kink_the_softplus_is_log_two_over_the_sharpness():
    problem = Problem((1, 1), 2, 2, 0.1, activation="relu")
    theta = draw(problem.parameters, 3)
    theta[4:8] = 0.0  # W_1 = 0: all pre-activations are 0
    last = theta[8:].reshape(2, 2)
    logits = smoothed(Objective.of(problem), 7.0).logits(theta)
    torch.testing.assert_close(logits, (last.sum(1) * math.log(2) / 7)[:, None].expand(2, 2))


def test_the_sharpness_grows_to_its_last_value():
    assert sharpnesses(SoftplusContinuation(2.0, 3.0, 50.0)) == [2, 6, 18, 50]
    assert sharpnesses(SoftplusContinuation(2.0, 5.0, 50.0)) == [2, 10, 50]
    assert sharpnesses(SoftplusContinuation(2.0, 5.0, 1.0)) == [2]


def test_the_loss_reported_is_that_of_the_relu_model():
    start = random_start(SMALL, Random(seed=0))
    for state, _ in zip(softplus_continuation(SMALL, start, SoftplusContinuation()), range(8), strict=False):
        objective = Objective.of(SMALL)
        assert state.loss == pytest.approx(float(objective.loss(state.theta)), rel=1e-14)
        assert state.gradient_norm == pytest.approx(float(torch.func.grad(objective.loss)(state.theta).norm()), rel=1e-12)


def not_above_descent(problem: Problem, seed: int) -> None:
    start = random_start(problem, Random(seed=seed))
    plain = solve(problem, start, (GradientDescent(0.5, 3_000, 1e-7),))
    smooth = solve(problem, start, (SoftplusContinuation(),))
    assert smooth.loss <= plain.loss + 1e-10
    assert kinks_of(problem, smooth.theta, 1e-5).residual < 1e-8
    assert float(smooth.trace[-1, 0]) == smooth.steps


def test_it_ends_no_higher_than_plain_descent():
    not_above_descent(SMALL, 0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_it_ends_no_higher_than_plain_descent_where_that_ends_on_kinks(seed):
    not_above_descent(Problem.balanced(3, 2, 4, 3, 2e-2, activation="relu"), seed)


def test_models_without_a_rectifier_are_refused():
    for problem in (Problem((2, 1), 3, 2, 1e-2), Problem((2, 1), 3, 1, 1e-2, activation="relu")):
        with pytest.raises(InputError, match="ReLU model of depth >= 2"):
            solve(problem, random_start(problem, Random()), (SoftplusContinuation(),))
    with pytest.raises(InputError, match="growth above 1"):
        solve(SMALL, random_start(SMALL, Random()), (SoftplusContinuation(growth=1.0),))
