"""ReLU kinks against finite differences, scipy's bounded least squares and a point that was worked out by hand."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq, lsq_linear

from landscape.degeneracy.analysis import analyse
from landscape.degeneracy.relu_kinks import gated_loss, kinks_of, one_sided_slopes, shortest_gradient
from landscape.model.gauge import orbit
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.points.point import CriticalPoint, Origin
from landscape.solver.methods import GradientDescent, Newton, PseudoTransient
from landscape.solver.run import solve
from landscape.solver.starts import Random, random_start

PROBLEM = Problem((2, 1), 3, 2, 1e-2, activation="relu")


def at_kinks(seed: int, count: int) -> torch.Tensor:
    """A random point, moved so that some hidden pre-activations are exactly 0: features orthogonal to a row of W_1."""
    theta = torch.randn(PROBLEM.parameters, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    features, first, _ = Objective.of(PROBLEM, theta).split(theta)
    for sample in range(count):
        row = first[sample]
        features[:, sample] -= row * (row @ features[:, sample]) / (row @ row)
    return theta


def parts(theta: torch.Tensor, tolerance: float = 1e-12) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    hidden = Objective.of(PROBLEM, theta).preactivations(theta)[:-1]
    return [(signal > tolerance).double() for signal in hidden], [signal.abs() <= tolerance for signal in hidden]


@pytest.mark.parametrize("seed", range(4))
def test_slopes_are_one_sided_differences(seed):
    theta = at_kinks(seed, 2)
    loss = Objective.of(PROBLEM, theta).loss
    directions = torch.randn(6, PROBLEM.parameters, generator=torch.Generator().manual_seed(100 + seed), dtype=torch.float64)
    slopes = one_sided_slopes(PROBLEM, theta, torch.cat([directions, -directions]), *parts(theta))
    for direction, slope in zip(torch.cat([directions, -directions]), slopes, strict=True):
        steps = [float(loss(theta + h * direction) - loss(theta)) / h for h in (2e-6, 1e-6)]
        assert 2 * steps[1] - steps[0] == pytest.approx(float(slope), abs=1e-7)
    assert float((slopes[:6] + slopes[6:]).abs().max()) > 1e-4  # the two sides do differ: it is a kink


@pytest.mark.parametrize("seed", range(4))
def test_the_shortest_gradient_is_the_bounded_least_squares_solution(seed):
    """With one hidden layer the gradient is affine in the masks."""
    theta = at_kinks(seed, 3)
    opened, places = parts(theta)

    def gradient(*masks: float) -> np.ndarray:
        gate = opened[0].clone()
        gate[places[0]] = torch.tensor(masks, dtype=torch.float64)
        return torch.func.grad(lambda flat: gated_loss(PROBLEM, flat, [gate]))(theta).numpy()

    origin = gradient(0, 0, 0)
    matrix = np.stack([gradient(*unit) - origin for unit in np.eye(3).tolist()], axis=1)
    expected = lsq_linear(matrix, -origin, bounds=(0, 1), tol=1e-14)
    masks, residual = shortest_gradient(PROBLEM, theta, opened, places)
    assert residual == pytest.approx(math.sqrt(2 * expected.cost), rel=1e-7)
    assert np.linalg.norm(gradient(*masks.tolist())) == pytest.approx(residual, rel=1e-7)
    assert bool(((masks >= 0) & (masks <= 1)).all())


def test_without_kinks_it_is_the_gradient():
    theta = at_kinks(0, 0)
    found = kinks_of(PROBLEM, theta, 1e-12)
    assert (found.count, found.smallest_slope, found.manifold) == (0, None, None)
    assert found.residual == pytest.approx(float(Objective.of(PROBLEM, theta).gradient(theta).norm()), rel=1e-12)
    assert found.smallest > 1e-3


def by_hand(decay: float) -> tuple[Problem, torch.Tensor, np.ndarray]:
    """One neuron, two classes of one sample: the second feature is 0 and stays there, the first solves a smooth problem.

    Fit of class 1: log(1 + exp(-(u1 - u2) w h)) / 2. Stationary and balanced, u = (v, -v), h^2 = w^2 = 2 v^2 = s^2:
    decay s = q s sqrt(2) s / 2 with q = 1 / (1 + exp(sqrt(2) s^3)). The Hessian in (h1, w, u1, u2) is written out by differences.
    """
    problem = Problem((1, 1), 1, 2, decay, activation="relu")
    s = brentq(lambda x: x / math.sqrt(2) / (1 + math.exp(math.sqrt(2) * x**3)) - decay, 0.8, 4)
    smooth = np.array([s, s, s / math.sqrt(2), -s / math.sqrt(2)])

    def loss(x: np.ndarray) -> float:
        h, w, u1, u2 = x
        return math.log1p(math.exp(-(u1 - u2) * w * h)) / 2 + math.log(2) / 2 + decay / 2 * float(x @ x)

    def second(i: int, j: int, step: float = 1e-4) -> float:
        a, b = step * np.eye(4)[i], step * np.eye(4)[j]
        return (loss(smooth + a + b) - loss(smooth + a - b) - loss(smooth - a + b) + loss(smooth - a - b)) / (4 * step**2)

    hessian = np.array([[second(i, j) for j in range(4)] for i in range(4)])
    theta = torch.tensor([s, 0.0, s, s / math.sqrt(2), -s / math.sqrt(2)], dtype=torch.float64)
    return problem, theta, np.linalg.eigvalsh(hessian)


def test_a_critical_kink_worked_out_by_hand():
    problem, theta, values = by_hand(1e-2)
    found = kinks_of(problem, theta, 1e-12)
    assert (found.count, found.smallest) == (1, 0.0)
    assert found.residual < 1e-8
    assert found.smallest_slope == pytest.approx(0.0, abs=1e-10)  # closing: only the decay of a feature at 0
    assert found.manifold is not None
    assert found.manifold.certain
    assert np.abs(values).min() > 1e-5  # no doubt about the signs that differences give
    assert (found.manifold.nullity, found.manifold.index) == (0, int((values < 0).sum()))
    report = analyse(CriticalPoint.at(problem, theta, Origin("test")))
    assert report.nullity is None
    assert report.index is None
    assert "kink" in report.reason
    told = report.as_dict()["certificate"]["kinks"]
    assert told["count"] == 1
    assert told["manifold"] == {"nullity": 0, "index": found.manifold.index}


def test_a_tolerance_among_the_preactivations_has_no_manifold():
    """What lies above it could be a kink as well as what lies below."""
    problem, theta, _ = by_hand(1e-2)
    sizes = torch.cat([part.abs().flatten() for part in Objective.of(problem, theta).preactivations(theta)[:-1]]).sort().values
    least = float(sizes[sizes > 0][0])
    for factor in (0.4, 0.9, 1.1, 2.9):
        assert kinks_of(problem, theta, factor * least).manifold is None
    assert kinks_of(problem, theta, 0.3 * least).manifold is not None


def test_dependent_kinks_have_no_manifold():
    """At 0 every pre-activation is 0 to second order."""
    theta = torch.zeros(PROBLEM.parameters, dtype=torch.float64)
    found = kinks_of(PROBLEM, theta, 1e-12)
    assert found.count == 9
    assert found.manifold is None
    assert found.smallest_slope is None


def test_a_linear_model_has_no_kinks():
    problem = Problem((1, 1), 2, 2, 0.3)
    report = analyse(CriticalPoint.at(problem, torch.zeros(problem.parameters, dtype=torch.float64), Origin("test")))
    assert report.as_dict()["certificate"]["kinks"] is None


@pytest.mark.slow
@pytest.mark.parametrize(("width", "seed", "count", "everywhere"), [(10, 0, 42, 30), (24, 1, 112, 86)])
def test_local_symmetries_explain_every_zero_of_a_smooth_minimum(width, seed, count, everywhere):
    """All methods see the same zeros. Rotations that hold for any gates explain fewer: each class has features of its own."""
    problem = Problem.balanced(4, 2, width, 2, 1e-3, activation="relu")
    point = solve(problem, random_start(problem, Random(seed=seed)), [GradientDescent(0.5, 15_000, 1e-5)])
    point = solve(problem, solve(problem, point.theta, [PseudoTransient()]).theta, [Newton()])
    assert point.gradient_norm < 1e-13
    for method in ("dense", "inertia", "deflated", "lowrank"):
        report = analyse(point, method)
        assert (report.zeros.count, report.zeros.negative, report.zeros.resolved) == (count, 0, True), method
        assert report.orbit_dimension == count
        stated = (None, None) if method == "inertia" else (count, 0)  # which knows no eigenvalue, so that one may be faint
        assert (report.nullity, report.index) == stated
        assert orbit(problem, list(point.factors().values()), 1e-9).dimension == everywhere
        assert report.kinks.count == 0
        assert report.kinks.residual < 1e-13
