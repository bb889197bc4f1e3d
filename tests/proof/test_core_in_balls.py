"""The core in balls against torch's own derivatives of the objective, which shares no code with it."""

import numpy as np
import pytest
import torch
from flint import arb

from landscape.problem import Problem
from landscape.proof.balls import exact, midpoints, upper
from landscape.proof.hessian import CoreModel, CorePoint
from landscape.reduction import Core

PROBLEMS = [
    Problem(sizes, 7, depth, tuple(0.01 * (i + 1) for i in range(depth + 1)), loss)
    for loss in ("ce", "mse")
    for sizes, depth in (((2, 2, 3), 1), ((2, 3, 3, 2), 2), ((1, 1, 2), 3))
]


def at_random(problem: Problem, rank: int) -> tuple[Core, CorePoint]:
    model = CoreModel(problem, rank)
    x = torch.randn(model.size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return Core(problem, rank, x), model.at([exact(value) for value in x.tolist()])


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_loss_gradient_and_hessian(problem: Problem, rank: int) -> None:
    core, point = at_random(problem, rank)
    loss = core.objective.loss
    assert float(point.loss) == pytest.approx(float(loss(core.theta)), rel=1e-13)
    gradient = torch.func.grad(loss)(core.theta).numpy()
    assert np.abs(np.array([float(value) for value in point.gradient()]) - gradient).max() < 1e-13
    hessian = torch.func.hessian(loss)(core.theta).numpy()
    assert np.abs(midpoints(point.hessian(range(core.theta.numel()))) - hessian).max() < 1e-13
    some = [i for i in range(core.theta.numel()) if i % 3 != 1]
    assert np.abs(midpoints(point.hessian(some)) - hessian[np.ix_(some, some)]).max() < 1e-13


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_generators_are_tangent_to_level_sets_everywhere(problem: Problem) -> None:
    _, point = at_random(problem, 3)
    gradient = point.gradient()
    generators = point.generators()
    sizes = problem.class_sizes
    twins = sum(a == b for i, a in enumerate(sizes) for b in sizes[i + 1 :]) if problem.loss == "mse" else 0
    assert len(generators) == 3 * problem.depth + twins
    for generator in generators:
        along = sum((value * gradient[i] for i, value in generator.items()), arb(0))
        assert along.contains(0)
        assert upper(along.abs_upper()) < 1e-12


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_a_box_encloses_its_points(problem: Problem) -> None:
    core, _ = at_random(problem, 2)
    model, radius = CoreModel(problem, 2), 1e-3
    box = model.at([exact(value) + arb(0, radius) for value in core.theta.tolist()])
    generator = torch.Generator().manual_seed(1)
    for _ in range(5):
        move = radius * (2 * torch.rand(core.theta.numel(), dtype=torch.float64, generator=generator) - 1)
        inside = model.at([exact(value) for value in (core.theta + 0.99 * move).tolist()])
        assert box.loss.contains(inside.loss)
        assert all(wide.contains(value) for wide, value in zip(box.gradient(), inside.gradient(), strict=True))
        assert box.hessian(range(model.size)).contains(inside.hessian(range(model.size)))


def test_probabilities_keep_their_digits() -> None:
    """A class that is almost certain: one minus its probability is not lost, whatever the logits."""
    problem = Problem.balanced(2, 1, 2, 1, 1e-3)
    point = CoreModel(problem, 1).at([arb(value) for value in (20.0, -20.0, 20.0, -20.0)])
    pull = point.pull.entries()[0]
    assert pull < 0
    assert pull.rel_accuracy_bits() > 40
