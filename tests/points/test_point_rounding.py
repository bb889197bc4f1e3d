"""The bound on rounding between machines, against sums in another order and in more digits."""

import itertools

import numpy as np
import pytest
import torch

from landscape.model.logit_form import write_parameters
from landscape.model.objective import Objective
from landscape.model.problem import ActivationName, LossName, Problem
from landscape.points.point_rounding import rounding_of
from landscape.solver.starts import Random, random_start
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Partition

EPS = torch.finfo(torch.float64).eps
LOSSES: tuple[LossName, ...] = ("ce", "mse")
ACTIVATIONS: tuple[ActivationName, ...] = ("linear", "relu")
PROBLEMS = [
    Problem(sizes, width, depth, decay, loss, activation)
    for sizes, width, depth, decay, loss, activation in itertools.product(
        ((3, 1, 2), (5,) * 10), (4, 40), (1, 2, 4), (1e-8, 1e-3, 0.3), LOSSES, ACTIVATIONS
    )
]


def permuted(problem: Problem, theta: torch.Tensor, seed: int) -> torch.Tensor:
    """Returns a point of the same loss and gradient norm, whose inner products are summed in another order."""
    generator = torch.Generator().manual_seed(seed)
    features, *layers = Objective.of(problem, theta).split(theta)
    orders = [torch.randperm(problem.width, generator=generator) for _ in range(problem.depth)]
    parts = [features[orders[0]]]
    for index, layer in enumerate(layers):
        moved = layer[:, orders[index]]
        parts.append(moved[orders[index + 1]] if index + 1 < problem.depth else moved)
    return torch.cat([part.flatten() for part in parts])


def in_more_digits(problem: Problem, theta: torch.Tensor) -> float:
    """Returns the loss in the machine's extended precision, by numpy."""
    features, *layers = (part.numpy().astype(np.longdouble) for part in Objective.of(problem, theta).split(theta))
    penalty = sum(
        np.longdouble(decay) / 2 * (part * part).sum() for decay, part in zip(problem.decays, (features, *layers), strict=True)
    )
    signal = features
    for index, layer in enumerate(layers):
        signal = layer @ signal
        if index + 1 < len(layers) and not problem.is_linear:
            signal = np.maximum(signal, 0)
    columns = np.repeat(np.arange(problem.classes), problem.class_sizes)
    if problem.loss == "ce":
        top = signal.max(0)
        fit = (top + np.log(np.exp(signal - top).sum(0)) - signal[columns, np.arange(len(columns))]).mean()
    else:
        fit = ((signal - np.eye(problem.classes)[:, columns]) ** 2).sum() / (2 * len(columns))
    return float(fit + penalty)


@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
def test_no_order_of_summation_leaves_the_bound(scale):
    for seed, problem in enumerate(PROBLEMS):
        theta = scale * random_start(problem, Random(seed=seed))
        value, gradient = Objective.of(problem, theta).value_and_gradient(theta)
        bound = rounding_of(problem, theta, float(value), EPS)
        other, turned = Objective.of(problem, theta).value_and_gradient(permuted(problem, theta, seed))
        assert abs(float(value) - float(other)) <= bound.loss / 4, problem
        assert abs(float(gradient.norm()) - float(turned.norm())) <= bound.gradient / 4, problem
        assert abs(float(value) - in_more_digits(problem, theta)) <= bound.loss / 4, problem
        assert (bound.gradient == float("inf")) is not problem.is_linear


@pytest.mark.parametrize("decay", [1e-2, 1e-3, 1e-5])
def test_at_critical_points_the_bound_is_still_a_test(decay):
    problem = Problem.balanced(10, 5, 70, 2, decay)
    form = logit_form(problem, Partition((5, 3, 2)))
    points = [write_parameters(problem, form, gauge=seed) for seed in (1, 2)]
    values = [Objective.of(problem, theta).value_and_gradient(theta) for theta in points]
    bound = rounding_of(problem, points[0], float(values[0][0]), EPS)
    assert abs(float(values[0][0]) - float(values[1][0])) <= bound.loss / 4
    assert abs(float(values[0][1].norm()) - float(values[1][1].norm())) <= bound.gradient / 4
    assert bound.loss <= 1e-7 * float(values[0][0])
    assert bound.gradient <= 1e-8
