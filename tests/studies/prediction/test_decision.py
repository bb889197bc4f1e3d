"""The walk of a start against another integrator in other coordinates, its end against the solver, and when it tells the end."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from landscape.archive.experiment import Experiment
from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.solver.starts import Random, random_start
from landscape.studies.ends import start_of
from landscape.studies.prediction.decision import decided_as_dict, walk, when_decided
from landscape.studies.prevalence import measure_prevalence

PLAIN = Problem.balanced(6, 1, 25, 2, 2.0**-7)


def clocked(theta: np.ndarray, time: float) -> np.ndarray:
    """The class-mean logits at a time by the flow without decay, W = e^(-lambda t) V in tau, and a gradient written out here."""
    K, d, decay = PLAIN.classes, PLAIN.width, PLAIN.mean_decay

    def split(flat: np.ndarray) -> list[np.ndarray]:
        H, W1, W2 = np.split(flat, np.cumsum([d * K, d * d]))
        return [H.reshape(d, K), W1.reshape(d, d), W2.reshape(K, d)]

    def velocity(tau: float, flat: np.ndarray) -> np.ndarray:
        H, W1, W2 = split(flat)
        shrink = 1 - decay * tau  # e^(-lambda t) at L = 2
        Z = shrink**3 * W2 @ W1 @ H
        P = np.exp(Z - Z.max(0))
        G = (P / P.sum(0) - np.eye(K)) / K
        parts = [(W2 @ W1).T @ G, W2.T @ G @ H.T, G @ (W1 @ H).T]
        return -np.concatenate([part.ravel() for part in parts])

    last = (1 - math.exp(-time)) / decay
    H, W1, W2 = split(solve_ivp(velocity, (0, last), theta, "DOP853", rtol=1e-10, atol=1e-12).y[:, -1])
    return math.exp(-3 * time) * W2 @ W1 @ H


@pytest.mark.parametrize("time", [0.003, 0.7])
def test_the_walk_is_that_of_the_flow_without_decay_in_the_clock(time: float) -> None:
    theta = random_start(PLAIN, Random(seed=1))
    logits = clocked(theta.numpy(), time)
    expected = np.linalg.svd(logits - logits.mean(0), compute_uv=False)[:-1]
    np.testing.assert_allclose(walk(PLAIN, theta, (0.0, time)).values[-1], expected, rtol=1e-3)


@pytest.mark.slow
def test_the_walk_ends_where_the_solver_ends() -> None:
    result = measure_prevalence(Experiment(PLAIN), 6)
    for end in result.ends:
        found = walk(PLAIN, start_of(result.experiment.with_seed(end.seed)).theta, (0.0, 25.0))
        alive = int((found.values[-1] > 0.01 * found.values[-1, 0]).sum())
        assert alive == end.rank
        np.testing.assert_allclose(found.values[-1, :alive], end.singular[:alive], rtol=1e-3)
        assert (found.openness[-1] > 0.9) is (end.structure == "DNC")


@pytest.mark.slow
def test_the_end_is_told_better_the_later_one_looks() -> None:
    result = measure_prevalence(Experiment(PLAIN), 24)
    rows = when_decided(result, (0.1, 8.0))
    areas = [row.separation.area for row in rows if row.separation is not None]
    assert 0.5 < areas[0] < areas[1] == 1.0
    shown = decided_as_dict(rows)
    assert [row["lambda_t"] for row in shown] == [0.1, 8.0]
    assert shown[1]["auc"] == 1.0


def test_nothing_is_told_where_all_do_the_same() -> None:
    result = measure_prevalence(Experiment(Problem.balanced(4, 1, 40, 2, 2.0**-6)), 3)
    assert result.counts == {"DNC": 3}
    assert decided_as_dict(when_decided(result, (0.0, 1.0)))[0] == {"lambda_t": 0.0, "auc": None, "auc_interval": None}


@pytest.mark.parametrize(
    ("problem", "times", "match"),
    [
        (Problem.balanced(4, 1, 6, 2, 1e-2, activation="relu"), (0.0, 1.0), "linear layers"),
        (Problem.balanced(4, 1, 6, 2, (1e-2, 1e-2, 2e-2)), (0.0, 1.0), "one decay"),
        (PLAIN, (1.0, 0.5), "ascend from 0"),
        (PLAIN, (-1.0, 0.5), "ascend from 0"),
        (PLAIN, (0.0, math.nan), "ascend from 0"),
        (PLAIN, (), "ascend from 0"),
    ],
)
def test_walks_that_cannot_be_are_refused(problem: Problem, times: tuple[float, ...], match: str) -> None:
    with pytest.raises(InputError, match=match):
        walk(problem, torch.zeros(problem.parameters, dtype=torch.float64), times)
