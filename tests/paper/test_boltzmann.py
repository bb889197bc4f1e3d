"""Sampling: an identity that holds for any density, the page's table, and a second run against the committed one."""

import math
from pathlib import Path

import pytest
import torch

from figures import DATA
from landscape.errors import InputError
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.paper.boltzmann import Share, Tempering, chains, shares
from landscape.studies.tables import read_table

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "mathematics.md").read_text()
SMALL = Problem.balanced(3, 1, 3, 2, 0.19)


def committed() -> list[Share]:
    return read_table(DATA / "sampling.csv", Share)


@pytest.mark.slow
@pytest.mark.parametrize("problem", [Problem.balanced(2, 1, 2, 1, 0.3), Problem.balanced(2, 2, 2, 2, 0.2, "mse")], ids=str)
def test_the_virial_identity(problem: Problem) -> None:
    """E[theta . gradient] = P T for exp(-loss/T) (integrate by parts), whatever the loss: it catches a wrong test or swap."""
    settings = Tempering((0.01, 0.02), ladders=64, trajectories=300, step=0.3)
    objective = Objective.of(problem)
    starts = torch.zeros(64, problem.parameters, dtype=torch.float64)
    states = list(chains(objective, starts, settings))[60:]
    looks = [(theta * objective.gradient(theta)).sum(-1) for theta in states]
    means = torch.stack(looks).mean(0)  # of each ladder and temperature
    for place, temperature in enumerate(settings.temperatures):
        error = float(means[:, place].std()) / math.sqrt(64)
        wanted = problem.parameters * temperature
        assert error < 0.05 * wanted
        assert abs(float(means[:, place].mean()) - wanted) < 4 * error


def test_the_page_shows_the_committed_table() -> None:
    for row in committed():
        shown = f"{row.predicted:.4f} | {row.sampled:.4f} | {row.error:.4f}"
        assert f"| {row.decay:.4f} | {row.temperature:g} | {row.structure} | {shown} |" in PAGE


def test_prediction_and_sample_agree_where_the_page_says_so() -> None:
    deep = min(row.decay for row in committed())
    rows = [row for row in committed() if row.decay == deep and max(row.predicted, row.sampled) > 0.01]
    assert len(rows) == 6
    assert all(abs(row.predicted - row.sampled) < 2 * row.error for row in rows)


@pytest.mark.slow
def test_another_seed_samples_the_same_shares() -> None:
    rows = [row for row in committed() if row.decay == min(line.decay for line in committed())]
    problem = Problem.balanced(3, 1, 3, 2, rows[0].decay)
    again = shares(problem, Tempering((0.003, 0.004, 0.006), ladders=24, trajectories=1_500, seed=5))
    for row, other in zip(rows, again, strict=True):
        assert (row.structure, row.temperature) == (other.structure, other.temperature)
        assert other.predicted == pytest.approx(row.predicted, rel=1e-6)
        assert abs(row.sampled - other.sampled) < 4 * math.hypot(row.error, other.error) + 1e-3


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="at most 200"):
        shares(Problem.balanced(10, 5, 70, 2, 1e-3), Tempering((0.1,)))
    for ladder in ((), (0.2, 0.1), (0.0, 0.1), (0.1, 0.1), (math.nan,), (0.1, math.nan), (0.1, math.inf)):
        with pytest.raises(InputError, match="rising"):
            shares(SMALL, Tempering(ladder))
