"""The law of a width against dense starts of that width: moments, and the shapes of Bartlett's factors."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from landscape.errors import InputError
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.solver.starts import Random, random_start
from landscape.studies.starts.law import bartlett, draw_law, generator_of

MODEL = Problem.balanced(3, 1, 9, 2, 1e-2)  # three groups fill it to 9 of 9: the last one is cut
SCALES = (0.8, 1.3)


def moments(problem: Problem, theta: torch.Tensor) -> torch.Tensor:
    """Seven second and fourth moments that need up to three groups of directions."""
    features, middle, last = Objective.of(problem, theta).split(theta)
    inner, outer = middle @ features, last @ middle
    logits = last @ inner
    return torch.stack(
        [
            features.square().sum(),
            (features.mT @ features).square().sum(),
            logits.square().sum(),
            (inner.mT @ inner).square().sum(),
            (outer @ middle.mT).square().sum(),
            (middle.mT @ inner).square().sum(),
            logits.square().sum() ** 2,
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize("width", [9, 14])
def test_seven_moments_of_the_law_are_those_of_dense_starts(width: int) -> None:
    problem, draws = replace(MODEL, width=width), 6000
    dense = torch.stack([moments(problem, random_start(problem, Random(*SCALES, seed))) for seed in range(draws)])
    starts = (draw_law(problem, SCALES, 3, seed).reduced() for seed in range(draws))
    law = torch.stack([moments(start.problem, start.theta) for start in starts])
    error = (dense.var(0) / draws + law.var(0) / draws).sqrt()
    assert float(((dense.mean(0) - law.mean(0)) / error).abs().max()) < 4


def test_three_groups_are_the_beginning_of_four() -> None:
    problem = replace(MODEL, width=10**6)
    few, many = (draw_law(problem, SCALES, groups, 5) for groups in (3, 4))
    assert many.rows == (3, 3, 3, 3)
    torch.testing.assert_close(few.ends.features, many.ends.features, atol=0, rtol=0)
    for place, block in few.blocks.items():
        torch.testing.assert_close(block, many.blocks[place], atol=0, rtol=0)


def test_the_last_group_is_cut_to_the_room() -> None:
    start = draw_law(Problem.balanced(4, 2, 14, 2, 1e-2), SCALES, 6, 0)
    assert (start.rows, start.columns) == ((4, 8, 2), (8, 4, 2))
    assert start.reduced().exact
    assert start.reduced().sizes == (14, 14)
    assert not draw_law(Problem.balanced(4, 2, 15, 2, 1e-2), SCALES, 2, 0).reduced().exact


@pytest.mark.parametrize(("freedom", "size"), [(7, 4), (3, 5), (4, 4), (0, 3)])
def test_bartletts_factor_has_the_wishart_mean(freedom: int, size: int) -> None:
    generator = generator_of(0, "law")
    factors = [bartlett(generator, freedom, size) for _ in range(4000)]
    assert factors[0].shape == (min(freedom, size), size)
    mean = torch.stack([factor.mT @ factor for factor in factors]).mean(0)
    assert float((mean - freedom * torch.eye(size)).abs().max()) < 5 * np.sqrt(2 * max(freedom, 1) / 4000)


def test_streams_of_parts_differ() -> None:
    assert len({generator_of(seed, part).random() for seed in (0, 1) for part in ("law", "features", "weights", "block")}) == 8


def test_deeper_models_have_no_exact_law() -> None:
    with pytest.raises(InputError, match="expected depth 2 for the exact law"):
        draw_law(Problem.balanced(3, 1, 30, 3, 1e-2), SCALES, 2, 0)
