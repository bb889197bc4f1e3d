"""The point of Theorem 7 against its own statement: logits, signs, stationary scales, and when it lies below linear DNC."""

from dataclasses import replace

import pytest
import torch

from landscape.errors import InputError
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.paper.theorem7_point import nonnegative_pairs
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Collapse

PAPER = Problem.balanced(10, 5, 12, 3, 2**-9, activation="relu")  # of Fig. 6, at a smaller width, which does not matter


@pytest.mark.parametrize("problem", [PAPER, Problem.balanced(6, 3, 8, 2, 1e-3, activation="relu"), replace(PAPER, depth=5)])
def test_logits_are_pairs_and_the_rectifiers_do_nothing(problem: Problem) -> None:
    theta = nonnegative_pairs(problem)
    logits = Objective.of(problem).logits(theta)
    torch.testing.assert_close(logits, Objective.of(replace(problem, activation="linear")).logits(theta))
    block = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)
    expected = torch.block_diag(*[block] * (problem.classes // 2)).repeat_interleave(problem.class_sizes[0], 1)
    torch.testing.assert_close(logits / logits.max(), expected, rtol=0, atol=1e-12)
    signals = Objective.of(problem).preactivations(theta)
    assert all(float(signal.min()) > -1e-12 for signal in signals[:-1])


def test_every_factors_scale_is_stationary() -> None:
    theta, objective = nonnegative_pairs(PAPER), Objective.of(PAPER)

    def scaled(scales: torch.Tensor) -> torch.Tensor:
        factors = objective.split(theta)
        return objective.loss(torch.cat([(scale * part).flatten() for scale, part in zip(scales, factors, strict=True)]))

    slope = torch.func.grad(scaled)(torch.ones(PAPER.depth + 1, dtype=torch.float64))
    assert slope.abs().max() < 1e-7
    assert objective.value_and_gradient(theta)[1].norm() > 1e-3  # but it is not critical


def gain(classes: int, depth: int, decay: float) -> float:
    """Returns the loss of linear DNC, which no DNC solution of the ReLU model beats, minus that of the construction."""
    linear = Problem.balanced(classes, 1, classes, depth, decay)
    relu = replace(linear, activation="relu")
    core, theta = Core.from_form(linear, logit_form(linear, Collapse())), nonnegative_pairs(relu)
    return float(core.objective.loss(core.theta)) - float(Objective.of(relu).loss(theta))


@pytest.mark.parametrize(("classes", "depth"), [(10, 5), (16, 4), (10, 4), (10, 3), (6, 2), (6, 5)])
def test_where_it_beats_linear_collapse(classes: int, depth: int) -> None:
    """The inequality of Theorem 7's proof, which compares the decay terms: it decides once the decay is small."""
    K, L = classes, depth
    below = 2 * K + 4 < (K - 1) * 2 ** (2 * (L - 1) / (L + 1)) * ((K + 2) / K) ** (3 / (L + 1))
    assert (gain(K, L, 1e-7) > 0) is below


def test_other_models_are_refused() -> None:
    others = [replace(PAPER, class_sizes=(5,) * 9), replace(PAPER, width=9), replace(PAPER, loss="mse"), replace(PAPER, depth=1)]
    for other in others:
        with pytest.raises(InputError, match="for Theorem 7"):
            nonnegative_pairs(other)
    with pytest.raises(InputError, match="one decay"):
        nonnegative_pairs(replace(PAPER, decay=(1e-3, 1e-3, 1e-3, 2e-3)))
