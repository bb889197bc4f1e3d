"""Symmetries that a ReLU model has near a point without kinks, against tangents that are written out one by one."""

import math

import numpy as np
import pytest
import torch

from landscape.model.gate_orbit import alike, components, gate_orbit
from landscape.model.objective import Objective
from landscape.model.problem import Problem

PROBLEM = Problem.balanced(classes=3, samples=2, width=7, depth=2, decay=1e-2, activation="relu")
GROUPS = ([0, 1, 2], [3, 4], [5, 6])  # units that are open for the samples of one class


def blocks(ranks: tuple[int, ...] = (1, 1, 1)) -> torch.Tensor:
    """Returns a point whose classes use units of their own, with obtuse angles between the features of two classes."""
    draw = torch.Generator().manual_seed(0)
    centres = torch.eye(7, dtype=torch.float64)[:3]
    centres[:, :3] -= 1 / 3  # inner products -1/3 between classes
    features, first = torch.zeros(7, 6, dtype=torch.float64), torch.zeros(7, 7, dtype=torch.float64)
    for label, units in enumerate(GROUPS):
        for place in range(2):
            features[:, 2 * label + place] = centres[label]
            features[3 + label, 2 * label + place] += 0.1 * place * (ranks[label] - 1)
        sizes = 1 + torch.rand(len(units), dtype=torch.float64, generator=draw)
        first[units] = sizes[:, None] * features[:, 2 * label]
        first[units[0]] += 0.3 * (ranks[label] - 1) * (features[:, 2 * label + 1] - features[:, 2 * label])
    last = torch.randn(3, 7, dtype=torch.float64, generator=draw)
    if ranks == (1, 1, 1):  # as at a critical point: the columns of a group are multiples of its column of sizes
        last = torch.stack([first[:, :3].norm(dim=1) * (1.0 + unit) for unit in range(3)])
    return torch.cat([part.flatten() for part in (features, first, last)])


def tangents(theta: torch.Tensor) -> np.ndarray:
    """Every rotation of two hidden directions of one class, and of two units of one group, by finite rotations."""
    features, first, last = Objective.of(PROBLEM, theta).split(theta)
    columns = []
    for label, units in enumerate(GROUPS):
        samples = [2 * label, 2 * label + 1]
        for i in range(7):
            for j in range(i):
                moves = [torch.zeros_like(part) for part in (features, first, last)]
                moves[0][i, samples], moves[0][j, samples] = features[j, samples], -features[i, samples]
                for unit in units:
                    moves[1][unit, i], moves[1][unit, j] = first[unit, j], -first[unit, i]
                columns.append(torch.cat([move.flatten() for move in moves]))
        for a in units:
            for b in units[: units.index(a)]:
                moves = [torch.zeros_like(part) for part in (features, first, last)]
                moves[1][a], moves[1][b] = first[b], -first[a]
                moves[2][:, a], moves[2][:, b] = last[:, b], -last[:, a]
                columns.append(torch.cat([move.flatten() for move in moves]))
    return torch.stack(columns, dim=1).numpy()


@pytest.mark.parametrize("ranks", [(1, 1, 1), (2, 1, 1), (2, 2, 2)])
def test_the_dimension_is_the_rank_of_the_tangents(ranks: tuple[int, ...]) -> None:
    theta = blocks(ranks)
    values = np.linalg.svd(tangents(theta), compute_uv=False)
    assert gate_orbit(PROBLEM, theta, 1e-9).dimension == int((values > 1e-9).sum())


def test_the_dimension_of_three_directions_is_known() -> None:
    """Each class turns its direction in R^7, each group of g units its direction in R^g."""
    assert gate_orbit(PROBLEM, blocks(), 1e-9).dimension == 3 * 6 + 2 + 1 + 1


def test_the_loss_does_not_change_along_the_tangents() -> None:
    """The derivative of the loss along every tangent is zero, and so is its second difference but for the fourth order."""
    theta = blocks((2, 1, 2))
    loss = Objective.of(PROBLEM, theta).loss
    gradient = torch.func.grad(loss)(theta).numpy()
    assert np.abs(gradient @ tangents(theta)).max() < 1e-14


def test_the_smallest_size_bounds_that_of_all_generators() -> None:
    """Where every rotation moves its two factors equally; here three equal units and columns, so that the bound is attained."""
    problem = Problem.balanced(classes=2, samples=1, width=2, depth=2, decay=1e-2, activation="relu")
    theta = torch.cat([torch.eye(2, dtype=torch.float64).flatten() for _ in range(3)])
    theta[1] = theta[2] = theta[5] = theta[6] = -0.1
    found = gate_orbit(problem, theta, 1e-9)
    rows = torch.tensor([[-0.1, 1.0], [1.0, -0.1]], dtype=torch.float64)
    size = math.sqrt(2) * float(rows[0].norm())
    assert found.dimension == 2
    assert found.smallest_singular == pytest.approx(size * math.sqrt(0.5), rel=1e-14)


def test_components_and_patterns_of_gates() -> None:
    gates = np.array([[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]], dtype=bool)
    assert sorted(components(gates)) == [([], [2]), ([0, 1], [0, 1]), ([2, 3], [3]), ([4], [])]
    assert alike(gates) == [[0], [1], [2, 3], [4]]
