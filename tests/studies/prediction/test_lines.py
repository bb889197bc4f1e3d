"""Line sampling: the starts that normal numbers stand for, the quantiles in both tails, the probability against plain counts."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import chi2, norm

from landscape.errors import InputError
from landscape.model.objective import class_logits
from landscape.model.problem import Problem
from landscape.solver.starts import Random, random_start
from landscape.studies.prediction import lines
from landscape.studies.prediction.formula import design
from landscape.studies.prediction.invariant import InvariantModel
from landscape.studies.prediction.lines import class_frames, pair_probability
from tests.studies.starts.test_law import moments

SMALL = Problem.balanced(4, 2, 14, 2, 2.0**-6)
SCALES = (0.8, 1.3)


def standard(problem: Problem, seed: int) -> dict[str, np.ndarray]:
    zero = {name: np.zeros(shape) for name, shape in lines._shapes(problem).items()}
    return lines._across(problem, zero, seed)  # across nothing: the whole of the noise


@pytest.mark.slow
def test_standard_normal_numbers_are_starts_with_the_moments_of_dense_ones() -> None:
    model, draws = InvariantModel(SMALL, *SCALES, groups=2), 800
    dense = torch.stack([moments(SMALL, random_start(SMALL, Random(*SCALES, seed))) for seed in range(draws)])
    starts = (lines._start(model, standard(SMALL, seed)).reduced() for seed in range(draws))
    law = torch.stack([moments(start.problem, start.theta) for start in starts])
    known = [0, 1, 2, 3, 4, 6]  # the sixth needs a third group of directions
    error = (dense.var(0) / draws + law.var(0) / draws).sqrt()
    assert float(((dense.mean(0) - law.mean(0)) / error)[known].abs().max()) < 4


def test_an_invariant_start_has_the_logits_of_its_blocks() -> None:
    wide = Problem.balanced(5, 2, 10**4, 2, 2.0**-6)
    model = InvariantModel(wide, 0.8, 0.1, groups=2)
    noise = np.random.default_rng(0).standard_normal(len(model.mean))
    point = model.mean + 1e-2 * noise  # the blocks are those of an infinite width
    normals = lines._normals_of(model, point)
    start = lines._start(model, normals).reduced()
    logits = class_logits(start.problem, start.theta).numpy() * math.sqrt(2)
    inside, outside = class_frames(5)
    found = outside.T @ logits @ inside
    z_q, z_p, z_1, z_u = model.logits(model.starts(point[None]))[0]
    expected = np.zeros((5, 5))
    expected[0, 0] = expected[1, 1] = z_q
    expected[2, 2], expected[3, 3], expected[3, 4] = z_p, z_1, z_u
    np.testing.assert_allclose(found[:4], expected[:4], atol=5e-3 * abs(expected).max())


def test_the_quantiles_are_those_of_both_tails() -> None:
    for freedom in (3, 70, 10**4):
        normals = np.array([-7.0, -1.0, 0.0, 2.0, 9.0])
        chi = lines._chi(normals, np.full(5, freedom))
        assert [lines._normal(value, freedom) for value in chi] == pytest.approx(list(normals), abs=1e-6)
        assert chi2.logsf(chi[-1] ** 2, freedom) == pytest.approx(norm.logsf(9.0), rel=1e-8)
        assert chi2.cdf(chi[0] ** 2, freedom) == pytest.approx(norm.cdf(-7.0), rel=1e-6)


@pytest.mark.slow
def test_noise_is_across_the_lines() -> None:
    problem = Problem.balanced(6, 1, 16, 2, 2.0**-7)
    model = InvariantModel(problem, 1.0, 1.0, groups=2)
    target = lines._normals_of(model, design(model).point)
    beta = math.sqrt(lines._inner(target, target))
    along = {name: part / beta for name, part in target.items()}
    assert abs(lines._inner(lines._across(problem, along, 3), along)) < 1e-12
    assert beta / math.sqrt(problem.width) == pytest.approx(design(model).r, rel=0.25)  # equal as the width grows


@pytest.mark.slow
def test_the_probability_is_that_of_plain_counts() -> None:
    problem = Problem.balanced(6, 1, 16, 2, 2.0**-7)
    model, draws = InvariantModel(problem, 1.0, 1.0, groups=2), 120
    lost = sum(not lines._keeps_pair(model, standard(problem, 10_000 + seed)) for seed in range(draws)) / draws
    found = pair_probability(problem, (1.0, 1.0), 12)
    assert 0.03 < lost < 0.5
    assert abs(found.value - lost) < 4 * math.hypot(found.error, math.sqrt(lost * (1 - lost) / draws))
    assert norm.sf(found.r * math.sqrt(found.effective_width)) == pytest.approx(found.value)


@pytest.mark.parametrize(
    ("problem", "count", "match"),
    [
        (SMALL, 5, "even number of at least 4 lines"),
        (SMALL, 2, "even number of at least 4 lines"),
        (Problem.balanced(4, 2, 11, 2, 2.0**-6), 4, "width >= 12"),
        (Problem.balanced(3, 2, 20, 2, 2.0**-6), 4, "at least 4 classes"),
        (Problem.balanced(4, 2, 20, 3, 2.0**-6), 4, "depth 2"),
    ],
)
def test_what_has_no_lines_is_refused(problem: Problem, count: int, match: str) -> None:
    with pytest.raises(InputError, match=match):
        pair_probability(problem, SCALES, count)
