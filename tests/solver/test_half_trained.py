"""scripts/half_trained.py: its committed table, and the paper setting computed again.

Polished weights end where plain descent ends, whatever the step at which training stopped, and never at zero.
"""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from landscape.model.problem import Problem

PATH = Path(__file__).parents[2] / "scripts" / "half_trained.py"
SMALL = Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
LOSSES = {"DNC": 0.0906621832, "partition:8,2": 0.0884334205, "partition:6,2,2": 0.0860816013, "pairs": 0.0800126592}


def load():
    specification = importlib.util.spec_from_file_location("half_trained", PATH)
    module = importlib.util.module_from_spec(specification)
    sys.modules["half_trained"] = module  # dataclasses look their module up by name
    specification.loader.exec_module(module)
    return module


half_trained = load()


def check(row) -> None:
    assert row.outcome == "converged"
    assert row.polished == row.continued
    assert row.polished_loss == pytest.approx(row.continued_loss, abs=1e-13)
    assert row.before in ("not critical", row.polished)


def test_the_committed_table_has_every_stop_and_no_zero_point() -> None:
    table = half_trained.read()
    places = [(row.seed, row.steps) for row in table]
    assert places == [(seed, steps) for seed in half_trained.SEEDS for steps in half_trained.STOPS]
    for row in table:
        check(row)
        assert row.polished_loss == pytest.approx(LOSSES[row.polished], abs=1e-9)
    assert len({row.polished for row in table}) == 3
    swamped = [row for row in table if 10 * row.gradient_norm / half_trained.PAPER.mean_decay > 3.2]
    assert len(swamped) >= 9  # a tolerance above every singular value: (sqrt(5) 14)^(1/3) = 3.2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_small_model_stopped_anywhere(seed: int) -> None:
    for steps, theta in half_trained.trained(SMALL, seed, (50, 200, 800)).items():
        row = half_trained.row(SMALL, seed, steps, theta, half_trained.continued(SMALL, theta))
        check(row)
        assert row.before == "not critical"
        assert row.polished in ("DNC", "pairs")
        assert row.moved > 1e-3


@pytest.mark.slow
def test_the_paper_setting_again() -> None:
    table = {(row.seed, row.steps): row for row in half_trained.read()}
    stops = half_trained.trained(half_trained.PAPER, 2, half_trained.STOPS)
    end = half_trained.continued(half_trained.PAPER, stops[max(stops)])
    for steps, theta in stops.items():
        row = half_trained.row(half_trained.PAPER, 2, steps, theta, end)
        check(row)
        assert row.polished == table[2, steps].polished
        assert row.loss == pytest.approx(table[2, steps].loss, rel=1e-3)  # float32 rounding depends on the machine


def test_weights_are_float32_numbers() -> None:
    (theta,) = half_trained.trained(SMALL, 0, (10,)).values()
    assert theta.dtype == torch.float64
    assert torch.equal(theta.float().double(), theta)
