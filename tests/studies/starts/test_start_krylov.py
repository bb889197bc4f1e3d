"""Reduced starts against the full starts that they come from: products that agree exactly, and where descent ends."""

from dataclasses import replace

import pytest
import torch

from landscape.degeneracy.analysis import analyse
from landscape.errors import InputError
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.points.point import CriticalPoint, Origin
from landscape.solver.methods import PseudoTransient
from landscape.solver.pool import Start, solve_batch
from landscape.solver.starts import Random, random_start
from landscape.studies.starts.krylov import ReducedStart, gauge_zeros_outside, reduce_start

WIDE = Problem.balanced(4, 2, 40, 2, 2.0**-6)
DEEP = Problem.balanced(3, 2, 25, 3, 2.0**-6)


def full_start(problem: Problem, seed: int, feature_scale: float = 1.0) -> torch.Tensor:
    return random_start(problem, Random(1.0, feature_scale, seed))


def ends(problem: Problem, starts: list[torch.Tensor]) -> list[CriticalPoint]:
    named = (Start(theta, Origin("given", seed=seed)) for seed, theta in enumerate(starts))
    return sorted((a.point for a in solve_batch(problem, named, PseudoTransient())), key=lambda point: point.origin.seed or 0)


def names(problem: Problem, starts: list[torch.Tensor]) -> list[str]:
    return [analyse(point, "reduction").structure for point in ends(problem, starts)]


def agreement(problem: Problem, seeds: int, groups: int, feature_scale: float = 1.0) -> int:
    starts = [full_start(problem, seed, feature_scale) for seed in range(seeds)]
    small = [reduce_start(problem, theta, groups) for theta in starts]
    pairs = zip(names(problem, starts), names(small[0].problem, [start.theta for start in small]), strict=True)
    return sum(one == other for one, other in pairs)


def words(start: ReducedStart) -> dict[str, torch.Tensor]:
    """The products of the factors that T groups keep, by the number of factors W_1 in them."""
    features, middle, last = Objective.of(start.problem, start.theta).split(start.theta)
    inner = middle @ features
    return {
        "gram": features.mT @ features,
        "logits": last @ inner,
        "one": inner.mT @ inner,
        "back": last @ middle @ middle.mT @ last.mT,
    }


def test_two_groups_keep_the_start_and_its_first_products() -> None:
    theta = full_start(WIDE, 3)
    whole, small = words(ReducedStart(WIDE, theta, (40, 40), True)), words(reduce_start(WIDE, theta, 2))
    assert small.keys() == whole.keys()
    for name, product in small.items():
        torch.testing.assert_close(product, whole[name], atol=1e-12, rtol=1e-12)


def test_sizes_alternate_and_the_last_group_takes_the_room() -> None:
    theta = full_start(WIDE, 0)
    assert [reduce_start(WIDE, theta, groups).sizes for groups in (1, 2, 3)] == [(8, 4), (12, 12), (20, 16)]
    filled = reduce_start(replace(WIDE, width=14), full_start(replace(WIDE, width=14), 0), 4)
    assert filled.sizes == (14, 14)
    assert filled.exact
    assert not reduce_start(WIDE, theta, 3).exact


@pytest.mark.parametrize("problem", [WIDE, DEEP])
def test_fewer_groups_are_the_beginning_of_more(problem: Problem) -> None:
    theta = full_start(problem, 1)
    few, many = reduce_start(problem, theta, 2), reduce_start(problem, theta, 3)
    for old, new in zip(*(Objective.of(s.problem, s.theta).split(s.theta) for s in (few, many)), strict=True):
        torch.testing.assert_close(old, new[: old.shape[0], : old.shape[1]], atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("problem", [WIDE, DEEP])
def test_when_the_width_is_filled_the_flow_is_the_same(problem: Problem) -> None:
    theta = full_start(problem, 2)
    start = reduce_start(problem, theta, 12)
    assert start.exact
    whole, small = ends(problem, [theta])[0], ends(start.problem, [start.theta])[0]
    logits = [Objective.of(point.problem, point.theta).logits(point.theta) for point in (whole, small)]
    torch.testing.assert_close(logits[0], logits[1], atol=1e-9, rtol=1e-9)


def test_padding_stays_zero_under_descent() -> None:
    start = reduce_start(WIDE, full_start(WIDE, 4), 3)
    assert start.sizes == (20, 16)
    gradient = Objective.of(start.problem, start.theta).split(Objective.of(start.problem, start.theta).gradient(start.theta))
    assert float(gradient[1][16:].abs().max()) == 0.0
    assert float(gradient[2][:, 16:].abs().max()) == 0.0


@pytest.mark.slow
def test_seed_by_seed_the_end_is_that_of_the_full_start() -> None:
    assert agreement(Problem.balanced(6, 1, 40, 2, 2.0**-7), 20, 2) >= 19


@pytest.mark.slow
def test_seed_by_seed_in_the_setting_of_the_paper() -> None:
    assert agreement(Problem.balanced(10, 5, 110, 2, 2.0**-10), 40, 2) >= 39


@pytest.mark.slow
def test_seed_by_seed_from_small_features() -> None:
    assert agreement(Problem.balanced(8, 1, 60, 2, 2.0**-8), 60, 4, feature_scale=0.02) >= 59


@pytest.mark.slow
def test_seed_by_seed_with_three_layers() -> None:
    assert agreement(Problem.balanced(6, 1, 60, 3, 2.0**-8), 40, 2) >= 38


def test_the_nullity_is_that_of_the_wide_model() -> None:
    start = reduce_start(WIDE, full_start(WIDE, 5), 2)
    point = ends(start.problem, [start.theta])[0]
    report = analyse(point, "reduction")
    assert report.nullity is not None
    assert report.rank
    factors = Objective.of(start.problem, point.theta).split(point.theta)
    parts = []
    for factor, (rows, columns) in zip(factors, WIDE.shapes, strict=True):
        parts.append(torch.nn.functional.pad(factor, (0, columns - factor.shape[1], 0, rows - factor.shape[0])).flatten())
    wide = analyse(CriticalPoint.at(WIDE, torch.cat(parts), Origin("padded")), "dense")
    assert wide.nullity == report.nullity + gauge_zeros_outside(start.problem, report.rank, WIDE.width)


@pytest.mark.parametrize(
    ("problem", "groups", "match"),
    [
        (replace(WIDE, activation="relu"), 2, "linear layers"),
        (replace(WIDE, depth=1), 2, "depth >= 2"),
        (replace(WIDE, width=11), 2, "width >= 12"),
        (WIDE, 0, "at least 1 groups"),
        (DEEP, 1, "at least 2 groups at depth 3"),
    ],
)
def test_what_has_no_reduction_is_refused(problem: Problem, groups: int, match: str) -> None:
    with pytest.raises(InputError, match=match):
        reduce_start(problem, torch.zeros(problem.parameters, dtype=torch.float64), groups)
