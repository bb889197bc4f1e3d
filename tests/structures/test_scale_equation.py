"""Roots and folds of the scale equation against independent root finding and the group's loss."""

import math
import re
import sys
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.solver.starts import place
from landscape.structures.notation import parse_structure
from landscape.structures.scale_equation import ScaleEquation, mode_equation, simplex_equation

PAPER = Problem.balanced(10, 5, 70, 2, 2**-10)


def group_loss(a: float, g: int, K: int, n: int, L: int, decay: float) -> float:
    """Share of one group in the loss of a partition point (theory.md, section 2)."""
    fit = math.log(math.exp(a * (1 - 1 / g)) + (g - 1) * math.exp(-a / g) + K - g) - a * (1 - 1 / g)
    return g / K * fit + decay * (L + 1) / 2 * (g - 1) * (a * math.sqrt(n)) ** (2 / (L + 1))


@pytest.mark.parametrize("group", [2, 3, 5, 8, 10])
@pytest.mark.parametrize(("depth", "decay"), [(1, 1e-3), (2, 2**-10), (4, 1e-4), (2, 1e-8)])
def test_roots_are_stationary_points_of_the_group_loss(group, depth, decay):
    problem = Problem.balanced(10, 5, 10, depth, decay)
    large = simplex_equation(problem, group, 5).root("large")
    found = minimize_scalar(
        lambda a: group_loss(a, group, 10, 5, depth, decay), bounds=(0.8 * large, 1.2 * large), method="bounded",
        options={"xatol": 1e-10},
    )  # fmt: skip
    assert large == pytest.approx(found.x, rel=1e-5)
    if depth > 1:
        small = simplex_equation(problem, group, 5).root("small")
        step = 1e-4 * small
        slope = (group_loss(small + step, group, 10, 5, depth, decay) - group_loss(small - step, group, 10, 5, depth, decay)) / step
        beside = group_loss(2 * small, group, 10, 5, depth, decay) - group_loss(small, group, 10, 5, depth, decay)
        assert beside < 0 or abs(slope) < 1e-3
        assert small < large


@pytest.mark.parametrize(
    ("partition", "loss"),
    [((10,), 0.0906621832), ((8, 2), 0.0884334205), ((6, 2, 2), 0.0860816013), ((2,) * 5, 0.0800126592)],
)
def test_losses_of_the_papers_four_minima(partition, loss):
    total = 0.0
    for group in partition:
        alpha = simplex_equation(PAPER, group, 5).root("large")
        total += group_loss(alpha, group, 10, 5, 2, 2**-10)
        scan = [group_loss(a, group, 10, 5, 2, 2**-10) for a in np.linspace(3, 30, 28)]
        assert group_loss(alpha, group, 10, 5, 2, 2**-10) < min(scan)
    assert total == pytest.approx(loss, abs=6e-11)


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
@pytest.mark.parametrize("group", [2, 5, 10])
def test_the_largest_decay_is_the_fold(group, depth):
    problem = Problem.balanced(10, 3, 10, depth, 1e-3)
    largest = simplex_equation(problem, group, 3).largest_decay

    def roots(decay):
        equation = simplex_equation(Problem.balanced(10, 3, 10, depth, decay), group, 3)
        return equation.root("large"), equation.root("small")

    below = roots(largest * (1 - 1e-6))
    assert below[0] is not None
    assert roots(largest * (1 + 1e-6)) == (None, None)
    if depth > 1:
        assert below[1] is not None
        assert 1 < below[0] / below[1] < 1.2, "the two roots meet at the fold"
        scan = np.geomspace(1e-4, 50, 200_001)
        pull = (group * np.exp(-scan) + (10 - group) * np.exp(-scan * (1 - 1 / group))) / (
            1 + (group - 1) * np.exp(-scan) + (10 - group) * np.exp(-scan * (1 - 1 / group))
        )
        peak = (pull / 10 * scan ** ((depth - 1) / (depth + 1))).max() / 3 ** (1 / (depth + 1))
        assert largest == pytest.approx(peak, rel=1e-7)
    else:
        assert below[1] is None
        assert largest == pytest.approx(1 / 10 / math.sqrt(3), rel=1e-12), "the pull at zero logits"


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_modes_of_squared_error(depth):
    problem = Problem.balanced(5, 3, 5, depth, 1e-3, "mse")
    target = 1e-3 * 3 ** (1 / (depth + 1))
    for which in ("large", "small") if depth > 1 else ("large",):
        z = mode_equation(problem, 3).root(which)
        assert (1 - z) * z ** ((depth - 1) / (depth + 1)) / 5 == pytest.approx(target, rel=1e-12)
    if depth > 1:
        peak = (depth - 1) / (2 * depth)  # of (1 - z) z^p, p = (L-1)/(L+1): z = p / (1 + p)
        largest = (1 - peak) * peak ** ((depth - 1) / (depth + 1)) / 5 / 3 ** (1 / (depth + 1))
        assert mode_equation(problem, 3).largest_decay == pytest.approx(largest, rel=1e-10)
        assert mode_equation(problem, 3).root("small") < peak < mode_equation(problem, 3).root("large")


@pytest.mark.parametrize("decay", [1e-8, 1e-12, 1e-40])
def test_tiny_decays_have_roots(decay):
    problem = Problem.balanced(10, 1, 10, 2, decay)
    for which in ("large", "small"):
        alpha = simplex_equation(problem, 10, 1).root(which)
        log_q = -alpha - math.log1p(9 * math.exp(-alpha))
        assert log_q + math.log(alpha) / 3 == pytest.approx(math.log(decay), rel=1e-12)


@pytest.mark.parametrize("decay", [1e-40, 1e-100, 1e-300])
def test_roots_beyond_double_precision_are_refused(decay):
    equation = simplex_equation(Problem.balanced(4, 2, 6, 2, decay), 4, 2)
    large = equation.root("large")
    assert large is not None
    assert 50 < large < 1100
    if decay > 1e-80:
        small = equation.root("small")
        assert small is not None
        assert 0 < small < 1e-100
    else:
        with pytest.raises(InputError, match="larger decay"):
            equation.root("small")


@pytest.mark.parametrize("text", ["blocks:polygon5", "blocks:polygon5+2", "blocks:polygon7+3+2"])
@pytest.mark.parametrize("root", ["large", "small"])
def test_the_scale_of_a_block_makes_a_critical_point(text: str, root: Literal["large", "small"]) -> None:
    """The gradient of the full loss, which knows nothing of scale equations."""
    classes = sum(int(digits) for digits in re.findall(r"\d+", text))
    problem = Problem.balanced(classes, 2, classes, 2, 2.0**-10)
    assert place(problem, parse_structure(text, root)).gradient_norm < 1e-12


@pytest.mark.parametrize("sharper", [1e-3, 1.0, 1e3])
def test_the_fold_is_as_wide_as_the_rounding_of_its_logarithms(sharper: float) -> None:
    """The right side is log_pull + x/3 with its peak at 1/3; a weak pull makes the logarithm of the decay there large."""
    equation = ScaleEquation(lambda scale: math.log(sharper) - scale, 1, 2, 1.0)
    fold = equation.largest_decay
    width = 8 * sys.float_info.epsilon * max(1.0, abs(math.log(fold)))
    for inside in (-0.7, 0.7):
        assert replace(equation, decay=fold * math.exp(-inside * width)).root("large") == pytest.approx(1 / 3, rel=1e-6)
    assert replace(equation, decay=fold * math.exp(1.4 * width)).root("large") is None
    below = replace(equation, decay=fold * math.exp(-4 * width))
    large, small = below.root("large"), below.root("small")
    assert large is not None
    assert small is not None
    assert small < 1 / 3 < large
