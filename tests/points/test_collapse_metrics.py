"""The neural-collapse metrics against numpy, and their zeros where collapse is exact."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from landscape.model.logit_form import write_parameters
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.points.collapse_metrics import collapse_metrics
from landscape.solver.starts import Random, random_start
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Collapse, Pairs


def reference(problem, theta):
    features, *layers = (factor.numpy() for factor in Objective.of(problem).split(theta))
    ends = np.cumsum((0, *problem.class_sizes))
    rows, signal = [], features
    for index in range(problem.depth):
        groups = [signal[:, a:b] for a, b in pairwise(ends.tolist())]
        means = np.stack([group.mean(1) for group in groups], 1)
        within = sum(((group - group.mean(1, keepdims=True)) ** 2).sum() for group in groups) / problem.total_samples
        centred = means - means.mean(1, keepdims=True)
        gram = centred.T @ centred
        simplex = np.eye(problem.classes) - 1 / problem.classes
        tail = np.linalg.multi_dot(layers[index:][::-1]) if index < problem.depth - 1 else layers[-1]
        tail = (tail - tail.mean(0)).T
        rows.append(
            (
                within / ((centred**2).sum() / problem.classes),
                np.linalg.norm(gram / np.linalg.norm(gram) - simplex / np.linalg.norm(simplex)),
                np.linalg.norm(tail / np.linalg.norm(tail) - centred / np.linalg.norm(centred)),
            )
        )
        signal = layers[index] @ signal
    return list(zip(*rows, strict=True))


@pytest.mark.parametrize("problem", [Problem.balanced(4, 3, 6, 3, 1e-2), Problem((1, 4, 2), 5, 2, 1e-2)], ids=str)
def test_against_numpy(problem):
    theta = random_start(problem, Random(seed=3))
    metrics = collapse_metrics(problem, theta)
    for ours, theirs in zip((metrics.nc1, metrics.nc2, metrics.nc3), reference(problem, theta), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-12)


def test_collapse_is_zero_and_pairs_are_not():
    problem = Problem.balanced(6, 2, 8, 3, 1e-3)
    collapsed = collapse_metrics(problem, write_parameters(problem, logit_form(problem, Collapse()), 1))
    assert max(*collapsed.nc1, *collapsed.nc2, *collapsed.nc3, collapsed.balancedness) < 1e-13
    pairs = collapse_metrics(problem, write_parameters(problem, logit_form(problem, Pairs()), 1))
    assert min(pairs.nc2) > 0.1
    assert pairs.balancedness < 1e-13


def test_balance_of_unequal_decays():
    problem = Problem.balanced(4, 2, 5, 2, (1e-3, 4e-3, 2e-3))
    theta = write_parameters(problem, logit_form(problem, Collapse()), 1)
    assert collapse_metrics(problem, theta).balancedness < 1e-13
    assert collapse_metrics(problem, 1.0 * theta.roll(1)).balancedness > 1e-2


def test_nothing_to_normalise_by_is_none():
    problem = Problem.balanced(3, 2, 4, 2, 1e-2)
    metrics = collapse_metrics(problem, torch.zeros(problem.parameters, dtype=torch.float64))
    assert (metrics.nc1, metrics.nc2, metrics.nc3) == ((None, None),) * 3
