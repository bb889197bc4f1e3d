"""The invariant flow against that of the whole model, the cheapest start against an optimiser, the share against counts."""

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import minimize
from scipy.stats import wishart

from landscape.errors import InputError
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.studies.prediction import formula
from landscape.studies.prediction.formula import design, effective_width, predict_by_formula
from landscape.studies.prediction.invariant import InvariantModel
from landscape.studies.tables import PrevalenceRow, read_table

PAPER = Problem.balanced(10, 5, 70, 2, 2.0**-10)
SMALL = Problem.balanced(5, 2, 30, 2, 2.0**-6)


def class_bases(classes: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Orthonormal directions of the logits and of the classes, a pair for every copy of every block: q .. q, p, u."""
    rest = classes - 2
    contrasts = np.linalg.qr(np.eye(rest) - 1 / rest)[0][:, : rest - 1]
    q = [np.r_[0, 0, contrasts[:, i]] for i in range(rest - 1)]
    p = np.r_[1, -1, np.zeros(rest)] / math.sqrt(2)
    u = np.r_[0.5, 0.5, -np.ones(rest) / rest]
    u /= np.linalg.norm(u)
    one = np.ones(classes) / math.sqrt(classes)
    return [*((v[:, None], v[:, None]) for v in [*q, p]), (u[:, None], np.stack([one, u], axis=1))]


def whole(model: InvariantModel, parameters: np.ndarray) -> tuple[Problem, torch.Tensor]:
    """Writes an invariant start as parameters of an ordinary model: one block of directions per copy of a block."""
    K, n, size = model.problem.classes, model.problem.class_sizes[0], model.size
    features, middle, weights = (part[0] for part in model._split(parameters[None]))
    bases = class_bases(K)
    wide = replace(model.problem, width=size * len(bases))
    H, W1, W2 = np.zeros((wide.width, K)), np.zeros((wide.width, wide.width)), np.zeros((K, wide.width))
    for copy, (left, right) in enumerate(bases):
        block, here = max(0, copy - (K - 4)), slice(copy * size, (copy + 1) * size)
        H[here] = features[block][:, : right.shape[1]] @ right.T
        W1[here, here] = middle[block]
        W2[:, here] = left @ weights[block]
    samples = np.repeat(H, n, axis=1) / math.sqrt(n)
    return wide, torch.from_numpy(np.concatenate([part.ravel() for part in (samples, W1, W2)]))


def drawn(model: InvariantModel, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(len(model.mean))
    return model.starts((model.mean + 0.2 * noise)[None])


def test_four_groups_have_forty_eight_coordinates() -> None:
    assert len(InvariantModel(PAPER, 1.0, 1.0).entries) == 48


def test_the_flow_of_the_blocks_is_the_flow_of_the_model() -> None:
    model = InvariantModel(SMALL, 0.8, 1.3)
    for seed in range(3):
        start = drawn(model, seed)
        wide, theta = whole(model, start[0])
        gradient = Objective.of(wide, theta).gradient(theta)
        _, velocity = whole(model, model.velocity(start)[0])
        torch.testing.assert_close(-gradient / SMALL.mean_decay, velocity, atol=1e-10, rtol=1e-10)


def test_the_steps_follow_the_flow() -> None:
    model = InvariantModel(SMALL, 1.0, 1.0)
    start = drawn(model, 3)
    mine = model.flow(start, 0.7)
    theirs = solve_ivp(lambda t, y: model.velocity(y[None])[0], (0, 0.7), start[0], method="DOP853", rtol=1e-11, atol=1e-12).y[
        :, -1
    ]
    np.testing.assert_allclose(mine[0], theirs, atol=2e-5)


def test_the_cost_is_the_rate_of_wishart_and_gaussian_parts() -> None:
    model = InvariantModel(PAPER, 1.0, 1.0)
    point = model.mean.copy()
    places = {(e.block, e.factor, e.place): i for i, e in enumerate(model.entries)}
    a, b, c = (places[2, "features", place] for place in ((0, 0), (0, 1), (1, 1)))
    point[[a, b, c]] = 1.2, -0.3, 0.7
    gram = np.array([[1.2, -0.3], [0, 0.7]]).T @ np.array([[1.2, -0.3], [0, 0.7]])
    # the log density of a Wishart matrix over its degrees of freedom, relative to the mean, per degree and many degrees
    degrees = 10**7
    drop = wishart.logpdf(degrees * np.eye(2), degrees, np.eye(2)) - wishart.logpdf(degrees * gram, degrees, np.eye(2))
    costs = np.array([float(entry.copies) for entry in model.entries])
    assert float(formula._cost(point, model.mean, costs).sum()) == pytest.approx(drop / degrees, rel=1e-5)
    point = model.mean.copy()
    point[places[0, "middle", (0, 0)]] = 0.4
    assert float(formula._cost(point, model.mean, costs).sum()) == pytest.approx(7 * 0.4**2 / 2)


def test_the_cheapest_point_of_a_plane_is_the_cheapest() -> None:
    mean, costs = np.array([1.0, 1.0, 0.0]), np.array([1.0, 7.0, 2.0])
    normal = np.array([0.8, -0.5, 0.33])
    mine = formula._cheapest(normal, 0.9, mean, costs)
    plane = {"type": "eq", "fun": lambda x: normal @ x - 0.9}
    found = minimize(lambda x: formula._cost(x, mean, costs).sum(), [1.3, 0.9, 0.1], constraints=plane, tol=1e-14)
    np.testing.assert_allclose(mine, found.x, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "decay", "r"), [(70, 2.0**-10, 0.258), (150, 2.0**-10, 0.261), (70, 2.0**-13, 0.292)])
def test_r_is_what_another_program_found(width: int, decay: float, r: float) -> None:
    found = design(InvariantModel(Problem.balanced(10, 5, width, 2, decay), 1.0, 1.0))
    assert found.r == pytest.approx(r, abs=0.005)  # that program stopped the flow at lambda t = 8
    assert found.feature_share > 0.85


@pytest.mark.slow
def test_the_boundary_is_a_boundary_and_the_share_follows_from_it() -> None:
    model = InvariantModel(SMALL, 1.0, 1.0)
    found = design(model)
    ends = []
    for factor in (0.98, 1.02):
        parameters = model.starts((model.mean + factor * (found.point - model.mean))[None])
        ends.append(model.logits(model.flow(parameters, 12.0))[0])
    alive, dead = ends
    assert alive[3] == pytest.approx(alive[0], rel=1e-2)
    assert abs(dead[3]) < 1e-2 * dead[0]
    answer = predict_by_formula(SMALL, (1.0, 1.0))
    assert answer.effective_width == pytest.approx(30 - 5 - 0.4 * 5)
    normal = math.erfc(-found.r * math.sqrt(answer.effective_width) / math.sqrt(2)) / 2
    assert answer.share == pytest.approx(normal**10, rel=1e-9)


@pytest.mark.slow
def test_the_counts_of_figure_2_are_predicted_almost_as_well_as_they_can_be() -> None:
    table = read_table(Path(__file__).parents[3] / "figures" / "data" / "figure2.csv", PrevalenceRow)
    scores, bounds = [], []
    for row in table:
        problem = Problem.balanced(row.classes, row.samples // row.classes, row.width, row.depth, row.decay)
        if row.structure == "DNC" and effective_width(problem) >= 2 * row.classes:
            predicted, share = predict_by_formula(problem, (row.weight_scale, row.feature_scale)).share, row.count / row.seeds
            scores.append(share * (1 - predicted) ** 2 + (1 - share) * predicted**2)
            bounds.append(share * (1 - share))
    assert len(scores) == 16
    assert np.mean(scores) - np.mean(bounds) < 0.003
    page = (Path(__file__).parents[3] / "docs" / "why-collapse.md").read_text()
    said = re.search(r"its Brier score per start is (0\.\d+); knowing\s+every share exactly would give (0\.\d+)", page)
    assert said
    assert [float(number) for number in said.groups()] == pytest.approx([np.mean(scores), np.mean(bounds)], abs=6e-5)


@pytest.mark.parametrize(
    ("problem", "match"),
    [
        (replace(PAPER, depth=3), "expected a linear balanced model of depth 2"),
        (replace(PAPER, loss="mse"), "expected a linear balanced model of depth 2"),
        (replace(PAPER, activation="relu"), "expected a linear balanced model of depth 2"),
        (replace(PAPER, class_sizes=(4, 6) * 5), "expected a linear balanced model of depth 2"),
        (Problem.balanced(3, 1, 70, 2, 1e-3), "at least 4 classes"),
        (replace(PAPER, width=45), "expected an effective width >= 20"),
        (replace(PAPER, decay=(1e-3, 1e-3, 2e-3)), "expected one decay"),
        (replace(PAPER, decay=0.5), "symmetric start ends at DNC"),
    ],
)
def test_where_it_does_not_apply_it_is_refused(problem: Problem, match: str) -> None:
    with pytest.raises(InputError, match=match):
        predict_by_formula(problem, (1.0, 1.0))
