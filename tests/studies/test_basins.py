"""Basin tools against closed forms, brute force and points whose answer is known."""

import itertools
import math

import pytest
import torch

from landscape.errors import InputError
from landscape.model.gauge import rotate
from landscape.model.logit_form import write_parameters
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.points.point import CriticalPoint, Origin
from landscape.solver.starts import Random, random_start
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Collapse, Pairs
from landscape.studies.basins import alignment, gauge_aligned, perturb, segment

SMALL = Problem.balanced(4, 2, 6, 2, 1e-3)
QUICK = Problem.balanced(4, 1, 4, 2, 5e-2)  # the decay sets the pace of plain descent


def at(structure: Collapse | Pairs, gauge: int | None = 3) -> CriticalPoint:
    return CriticalPoint.at(SMALL, write_parameters(SMALL, logit_form(SMALL, structure), gauge), Origin("analytic"))


def test_a_small_push_comes_home_and_a_large_one_need_not() -> None:
    point = at(Pairs())
    near = perturb(point, 1e-3, 2)
    assert [(back.structure, back.home) for back in near] == [("pairs", True)] * 2
    assert all(back.point.loss == pytest.approx(point.loss, rel=1e-12) for back in near)
    far = perturb(point, 20.0, 4)
    assert {back.structure for back in far} == {"DNC", "pairs"}
    assert not any(back.home for back in far)  # other classes are paired, or none


@pytest.mark.parametrize(("radius", "draws"), [(-1.0, 1), (math.nan, 1), (1.0, 0)])
def test_bad_pushes(radius: float, draws: int) -> None:
    with pytest.raises(InputError, match="expected a radius"):
        perturb(at(Collapse()), radius, draws)


def test_alignment_undoes_a_rotation() -> None:
    theta = random_start(SMALL, Random(seed=2))
    turned = rotate(SMALL, theta, torch.Generator().manual_seed(4))
    assert (turned - theta).norm() > 1
    back = gauge_aligned(SMALL, theta, turned)
    torch.testing.assert_close(back, theta, rtol=0, atol=1e-10)
    other = gauge_aligned(SMALL, random_start(SMALL, Random(seed=6)), turned)
    torch.testing.assert_close(Objective.of(SMALL).logits(other), Objective.of(SMALL).logits(theta))


def test_alignment_brings_gauge_copies_of_an_end_point_together() -> None:
    one, other = at(Collapse(), 3), at(Collapse(), 4)
    apart = segment(SMALL, one.theta, other.theta)
    together = segment(SMALL, one.theta, gauge_aligned(SMALL, one.theta, other.theta))
    assert apart.barrier > 0.1
    assert together.barrier < 1e-12
    assert together.distance < 1e-10 < apart.distance


def test_a_segment_has_the_loss_of_its_points() -> None:
    one, other = at(Collapse()).theta, at(Pairs()).theta
    line = segment(SMALL, one, other, places=5)
    objective = Objective.of(SMALL)
    expected = [float(objective.loss(one + t * (other - one))) for t in (0, 0.25, 0.5, 0.75, 1)]
    assert line.loss.tolist() == pytest.approx(expected, rel=1e-14)
    chord = [expected[0] + t * (expected[-1] - expected[0]) for t in (0, 0.25, 0.5, 0.75, 1)]
    assert line.barrier == pytest.approx(max(0, *(a - b for a, b in zip(expected, chord, strict=True))))


def test_alignment_of_the_structures_themselves() -> None:
    dnc, pairs = alignment(SMALL, at(Collapse()).theta), alignment(SMALL, at(Pairs()).theta)
    assert dnc.simplex == pytest.approx(1)
    assert pairs.pairs == pytest.approx(1)
    # <S_4, pairs> = tr pairs = 4, norms sqrt(3) and sqrt(8)
    assert [dnc.pairs, pairs.simplex] == pytest.approx([4 / math.sqrt(24)] * 2)


def test_the_best_pairing_is_the_best_of_all() -> None:
    problem = Problem.balanced(6, 1, 6, 1, 1e-2)
    theta = random_start(problem, Random(seed=8))
    logits = Objective.of(problem).logits(theta)
    best = -math.inf
    for order in itertools.permutations(range(6)):
        target = torch.zeros(6, 6, dtype=torch.float64)
        for i, j in zip(order[::2], order[1::2], strict=True):
            target[i, i] = target[j, j] = 1
            target[i, j] = target[j, i] = -1
        best = max(best, float((logits * target).sum() / logits.norm() / target.norm()))
    assert alignment(problem, theta).pairs == pytest.approx(best, rel=1e-12)
    assert alignment(Problem.balanced(3, 1, 3, 1, 1e-2), torch.ones(18, dtype=torch.float64)).pairs is None
    with pytest.raises(InputError, match="at most 16 classes"):
        alignment(Problem.balanced(18, 1, 2, 1, 1e-2), torch.ones(72, dtype=torch.float64))
