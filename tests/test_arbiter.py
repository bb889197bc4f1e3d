"""The arbiter: small eigenvalues that are not zero, and zeros that no symmetry explains."""

import math
from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from landscape.arbiter import LARGEST_CORE, arbitrate
from landscape.degeneracy import analyse
from landscape.errors import InputError
from landscape.problem import Problem
from landscape.reduction import Core
from landscape.structures import Collapse, LogitForm, Partition, Structure, analytic
from landscape.theory import simplex_equation, stability_threshold


def at(problem: Problem, structure: Structure) -> Core:
    return Core.from_form(problem, analytic(problem, structure))


def threshold_decay(classes: int, depth: int) -> float:
    alpha = stability_threshold(classes, depth)
    return math.exp(-alpha) / (1 + (classes - 1) * math.exp(-alpha)) * alpha ** ((depth - 1) / (depth + 1))


@pytest.mark.parametrize(("depth", "zeros", "smallest"), [(2, 18, 2.048e-18), (3, 27, 6.400e-14)])
def test_small_root_saddles_have_only_gauge_zeros(depth: int, zeros: int, smallest: float) -> None:
    report = analyse(at(Problem.balanced(4, 2, 6, depth, 1e-3), Partition((2, 2), "small")))
    assert (report.nullity, report.index, report.excess) == (zeros, 3, 0)
    assert report.smallest_positive == pytest.approx(smallest, rel=1e-3)


@pytest.mark.parametrize(("classes", "depth"), [(2, 2), (4, 2), (5, 3)])
def test_the_fold_has_one_zero_too_many(classes: int, depth: int) -> None:
    fold = simplex_equation(Problem.balanced(classes, 1, 6, depth, 1e-3), classes, 1).largest_decay
    below = Problem.balanced(classes, 1, 6, depth, fold * (1 - 2e-16))
    assert analyse(at(below, Collapse())).excess == 1
    further = analyse(at(Problem.balanced(classes, 1, 6, depth, fold * (1 - 1e-12)), Collapse()))
    assert (further.excess, further.resolved) == (0, True)


@pytest.mark.parametrize(("classes", "depth"), [(4, 2), (5, 3), pytest.param(6, 2, marks=pytest.mark.slow)])
def test_the_stability_threshold_has_a_zero_for_every_symmetric_direction(classes: int, depth: int) -> None:
    modes, decay = classes * (classes - 3) // 2, threshold_decay(classes, depth)
    for shift, excess, index in ((0.0, modes, 0), (1e-12, 0, modes), (-1e-12, 0, 0)):
        report = analyse(at(Problem.balanced(classes, 1, classes + 3, depth, decay * (1 + shift)), Collapse()))
        assert (report.excess, report.index, report.resolved) == (excess, index, True)
    assert report.arbitration is not None
    assert report.arbitration.within_input == 0


@pytest.mark.parametrize("groups", [(4,), (2, 2), (3, 1)])
@pytest.mark.parametrize("loss", ["ce", "mse"])
def test_well_separated_spectra_agree_with_double_precision(groups: tuple[int, ...], loss: str) -> None:
    problem = Problem.balanced(4, 3, 6, 2, 1e-3, loss)
    core = at(problem, Collapse() if loss == "mse" else Partition(groups))
    verdict, report = arbitrate(core), analyse(core)
    outside = problem.depth * core.rank * (problem.width - core.rank)
    assert (verdict.count + outside, verdict.negative) == (report.nullity, report.index)
    assert verdict.cluster == ()
    assert verdict.gradient_norm < 1e-59


def test_the_arbiter_moves_a_rough_point_to_the_critical_one() -> None:
    core = at(Problem.balanced(4, 2, 6, 2, 1e-3), Collapse())
    noise = torch.randn(core.theta.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rough = Core(core.problem, core.rank, core.theta + 1e-9 * noise)
    verdict = arbitrate(rough)
    assert verdict.gradient_norm < 1e-59
    assert 1e-10 < verdict.distance < 1e-7


def test_a_large_core_is_refused() -> None:
    with pytest.raises(InputError, match=f"at most {LARGEST_CORE} parameters"):
        arbitrate(at(Problem.balanced(20, 1, 30, 2, 1e-3), Collapse()))


# ---------------------------------------------------------------------------------- what is outside the core, below the rounding


def squared(sizes: tuple[int, ...], decay: float) -> Core:
    """One layer, squared error, the largest class alone; the others wait behind [[decay, -n/N], [-n/N, decay]]."""
    size = torch.tensor([math.sqrt(max(sizes)) - sum(sizes) * decay], dtype=torch.float64)
    first = torch.eye(len(sizes), dtype=torch.float64)[:, :1]
    return Core.from_form(Problem(sizes, 4, 1, decay, loss="mse"), LogitForm(first, size, first))


@pytest.mark.parametrize("steps", [-1000, -40, -10, -1, 0, 1, 10, 40, 1000])
def test_a_class_at_the_threshold_of_one_layer_is_right_or_undecided(steps: int) -> None:
    """In exact arithmetic the block of the class left out has decay - 1/5: its sign is that of the steps."""
    decay = 0.2 + steps * math.ulp(0.2)
    assert Fraction(decay) != Fraction(1, 5)
    index = 3 if Fraction(decay) < Fraction(1, 5) else 0
    report = analyse(squared((4, 1), decay))
    assert (report.nullity, report.index) in ((3, index), (None, None))
    apart = analyse(squared((4, 1), 0.2 + (-1e-5 if index else 1e-5)))
    assert (apart.nullity, apart.index) == (3, index)


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("decay", [1e-8, 1e-15, 1e-50])
def test_decays_below_the_rounding_error_are_no_zeros(depth: int, decay: float) -> None:
    report = analyse(at(Problem.balanced(3, 2, 5, depth, decay, "mse"), Collapse()))
    assert (report.nullity, report.index) in ((9 * depth, 0), (None, None))
    assert report.resolved or decay < 1e-8


@pytest.mark.parametrize(
    ("problem", "structure", "nullity", "index"),
    [
        (Problem.balanced(4, 1, 7, 2, (0.000708453, 7.29298e-14, 4.18848e6)), Partition((3, 1)), 22, 2),
        (Problem.balanced(2, 2, 2, 2, (1.85194e-10, 87484.8, 0.00193409)), Collapse("small"), 2, 1),
        (Problem.balanced(3, 2, 6, 2, (1e5, 1e-7, 1e-7), loss="mse"), Collapse(), 24, 0),
    ],
)
def test_decays_of_very_different_size_count_as_their_geometric_mean(problem, structure, nullity, index) -> None:
    report = analyse(at(problem, structure))
    assert (report.nullity, report.index) in ((nullity, index), (None, None))
    mean = replace(problem, decay=problem.mean_decay)
    assert (analyse(at(mean, structure)).nullity, analyse(at(mean, structure)).index) == (nullity, index)
