"""The fast projector against the dense projector made from every generator by numpy."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from landscape.curvature.counting.deflation import Deflated
from landscape.curvature.counting.dense_and_inertia import Dense, Inertia
from landscape.curvature.counting.interface import Counting, nullity
from landscape.curvature.counting.lowrank import LowRank
from landscape.curvature.counting.zeros import Nullity, count_zeros
from landscape.curvature.operators.operator import Product
from landscape.curvature.projection import Projector
from landscape.degeneracy.reduction import reduce
from landscape.errors import InputError
from landscape.model.gauge import data_generators, generators, orbit, rotate
from landscape.model.gauge_projector import orbit_projector
from landscape.model.logit_form import write_parameters
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Partition


def dense_projector(problem: Problem, theta: torch.Tensor) -> np.ndarray:
    columns = torch.cat([generators(problem, theta), data_generators(problem, theta)], dim=1)
    left, values, _ = np.linalg.svd(columns.numpy(), full_matrices=False)
    left = left[:, values > 1e-9]
    return left @ left.T


def assert_equal_to_dense(problem: Problem, theta: torch.Tensor) -> None:
    projector = orbit_projector(problem, theta, 1e-9)
    assert isinstance(projector, Projector)
    identity = torch.eye(problem.parameters, dtype=torch.float64)
    dense = dense_projector(problem, theta)
    np.testing.assert_allclose(projector.apply(identity).numpy(), dense, rtol=0, atol=1e-12)
    assert projector.rank == round(float(np.trace(dense)))
    assert projector.rank == orbit(problem, Objective.of(problem, theta).split(theta), 1e-9).dimension


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("groups", [(4,), (2, 2)])
def test_at_critical_points_in_any_gauge(depth, groups):
    problem = Problem.balanced(4, 2, 6, depth, 1e-3)
    theta = write_parameters(problem, logit_form(problem, Partition(groups)), gauge=3)
    assert_equal_to_dense(problem, theta)
    assert_equal_to_dense(problem, rotate(problem, theta, torch.Generator().manual_seed(1)))


@pytest.mark.parametrize(
    "problem",
    [
        Problem((2, 1, 3), 5, 2, 0.1),
        Problem((2, 1, 3), 2, 2, 0.1),
        Problem((1, 1), 5, 3, 0.1),
        Problem((2, 2), 5, 2, 0.1, activation="relu"),
        Problem((2, 2), 5, 1, 0.1, activation="relu"),
        Problem((2, 2, 2), 5, 2, 0.1, "mse"),
        Problem((2, 1, 2, 1), 2, 3, (0.1, 0.2, 0.3, 0.4), "mse"),
        Problem((1, 1, 1), 2, 1, 0.1, "mse"),
        Problem((2, 2), 5, 2, 0.1, "mse", "relu"),
    ],
    ids=str,
)
def test_where_the_factors_have_full_rank(problem):
    draw = torch.randn(problem.parameters, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    assert_equal_to_dense(problem, draw)


def test_at_zero_there_is_no_orbit():
    problem = Problem.balanced(3, 1, 4, 2, 0.1)
    projector = orbit_projector(problem, torch.zeros(problem.parameters, dtype=torch.float64), 1e-9)
    assert projector.rank == 0
    assert not projector.apply(torch.ones(problem.parameters, 2, dtype=torch.float64)).any()


def counted_by_every_method(problem: Problem, theta: torch.Tensor, dense: bool) -> list[Nullity]:
    objective = Objective.of(problem, theta)
    operator = Product(objective.linearize(theta), theta)
    found = orbit(problem, objective.split(theta), 1e-9)
    radius = 2 * float(objective.gradient(theta).norm()) / found.smallest_singular
    methods: list[Counting] = [Deflated(orbit_projector(problem, theta, 1e-9))]
    methods += [Dense(), Inertia(), LowRank(problem.mean_decay)] if dense else []
    return [nullity(operator, method, radius) for method in methods]


@pytest.mark.parametrize("groups", [(6,), (4, 2), (3, 3), (2, 2, 2)])
@pytest.mark.parametrize("depth", [1, 2])
def test_every_count_is_that_of_the_reduction(groups, depth):
    problem = Problem.balanced(6, 2, 8, depth, 1e-3)
    form = logit_form(problem, Partition(groups))
    expected = count_zeros(reduce(Core.from_form(problem, form)).spectrum, 0.0)
    for result in counted_by_every_method(problem, write_parameters(problem, form, gauge=2), dense=True):
        assert result.resolved, result
        assert (result.count, result.negative) == (expected.count, expected.negative), result


@pytest.mark.slow
@pytest.mark.parametrize(("groups", "count", "index"), [((10,), 1170, 0), ((3, 3, 2, 2), 798, 4), ((5, 5), 1048, 18)])
def test_the_paper_setting(groups, count, index):
    problem = Problem.balanced(10, 5, 70, 2, 2**-10)
    theta = write_parameters(problem, logit_form(problem, Partition(groups)), gauge=1)
    (result,) = counted_by_every_method(problem, theta, dense=False)
    assert (result.count, result.negative, result.resolved) == (count, index, True)
    assert result.delta <= 1e-9


@pytest.mark.slow
def test_the_noise_ladder_is_right_or_undecided():
    problem = Problem.balanced(4, 2, 6, 2, 1e-3)
    point = write_parameters(problem, logit_form(problem, Partition((4,))), gauge=1)
    noise = torch.randn(point.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    resolved = 0
    for size in (0.0, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2):
        theta = point + size * noise
        objective = Objective.of(problem, theta)
        operator = Product(objective.linearize(theta), theta)
        gradient = float(objective.gradient(theta).norm())
        tolerance = max(1e-9, 100 * size)
        turns = orbit(problem, objective.split(theta), tolerance)
        radius = 2 * gradient / turns.smallest_singular
        for method in (Deflated(orbit_projector(problem, theta, tolerance)), Dense(), Inertia(), LowRank(problem.mean_decay)):
            result = nullity(operator, method, radius)
            resolved += result.resolved
            assert not result.resolved or (result.count, result.negative) == (24, 0), (size, method, result)
    assert resolved >= 8


@pytest.mark.parametrize("size", [(4, 2, 6, 2), (3, 1, 5, 3), (6, 4, 24, 2)])
def test_the_trace_is_measured_on_the_factors(size):
    """Against the sum over the unit vectors; a rank that is off by one is refused, below and beyond that many rows."""
    classes, samples, width, depth = size
    problem = Problem.balanced(classes, samples, width, depth, 1e-3)
    theta = write_parameters(problem, logit_form(problem, Partition((classes,))), gauge=3)
    projector = orbit_projector(problem, theta, 1e-9)
    identity = torch.eye(problem.parameters, dtype=torch.float64)
    assert projector.trace == pytest.approx(float(projector.apply(identity).trace()), abs=1e-9)
    operator = Product(Objective.of(problem, theta).linearize(theta), theta)
    assert nullity(operator, Deflated(projector)).count == projector.rank
    for off in (-1, 1):
        with pytest.raises(InputError, match=f"of rank {projector.rank + off}"):
            nullity(operator, Deflated(replace(projector, rank=projector.rank + off)))
