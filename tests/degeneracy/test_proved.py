"""Doubtful counts are proved or undecided: faint eigenvalues, folds, thresholds, points that do not exist; proofs unasked."""

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import mpmath
import numpy as np
import pytest
import torch

from landscape.catalogue.phase_diagram import cell
from landscape.catalogue.row import partition_row
from landscape.catalogue.table import AtlasOptions, atlas
from landscape.degeneracy.analysis import analyse
from landscape.degeneracy.judgement import Doubt
from landscape.degeneracy.proved import Effort, Wanted, in_order_of, named_groups, prove, recognised
from landscape.degeneracy.report import DegeneracyReport
from landscape.errors import InputError
from landscape.model.logit_form import LogitForm, write_parameters
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.points.point import CriticalPoint, Origin
from landscape.structures.analytic import logit_form
from landscape.structures.blocks import Simplex
from landscape.structures.dnc import stability_threshold
from landscape.structures.kinds import Apex, Collapse, Pairs, Partition, Structure
from landscape.structures.recognition import recognise
from landscape.structures.scale_equation import simplex_equation

PAPER = Problem.balanced(10, 5, 70, 2, 2**-10)


def at(problem: Problem, structure: Structure) -> Core:
    return Core.from_form(problem, logit_form(problem, structure))


def asked(problem: Problem, structure: Structure, effort: Effort = "small") -> DegeneracyReport:
    """What `landscape degeneracy --problem .. --start ..` reports."""
    return analyse(at(problem, structure), "auto", Wanted(effort, named_groups(problem, structure)))


def threshold_decay(classes: int, depth: int) -> float:
    alpha = stability_threshold(classes, depth)
    return math.exp(-alpha) / (1 + (classes - 1) * math.exp(-alpha)) * alpha ** ((depth - 1) / (depth + 1))


# ---------------------------------------------------------------------------------------------- wrong integers that were printed


def test_another_critical_point_beside_dnc_is_not_taken_for_it() -> None:
    """K=5, L=4: alpha - 3 is -1.8e-15; the index of DNC is 5, that of points 1e-15 away is 3 or 4."""
    report = asked(Problem.balanced(5, 3, 6, 4, 0.06443059911283797), Collapse())
    assert (report.nullity, report.index, report.excess) == (56, 5, 0)
    assert report.verdict.proof is not None
    assert report.second is None  # double precision has no say


def test_phase_atlas_and_degeneracy_agree_above_the_stability_threshold() -> None:
    problem = Problem.balanced(6, 2, 8, 3, 0.058060360421295205)
    (row,) = atlas(problem, AtlasOptions(groups=((6,),))).entries
    assert asked(problem, Collapse()).index == row.index == cell(problem).index == 9
    assert cell(problem).state == "saddle"


@pytest.mark.parametrize(
    ("classes", "depth", "sizes", "decay", "nullity"),
    [(4, 2, (2, 2), 3e-6, 18), (4, 2, (2, 2), 1e-7, 18), (4, 3, (2, 2), 1e-8, None), (5, 2, (3, 2), 1e-8, None)],
)
def test_small_roots_have_only_gauge_zeros(
    classes: int, depth: int, sizes: tuple[int, ...], decay: float, nullity: int | None
) -> None:
    problem = Problem.balanced(classes, 2, 6, depth, decay)
    rank = classes - len(sizes)
    report = asked(problem, Partition(sizes, "small"))
    assert report.nullity == (nullity or depth * (6 * rank - rank * (rank + 1) // 2))
    row = partition_row(problem, [(Simplex(size), 2, "small") for size in sizes])
    assert (row.nullity, row.index) == (report.nullity, report.index)


@pytest.mark.parametrize("above", ["1e-13", "1e-12"])
def test_squared_error_above_the_fold_is_never_counted(above: str, tmp_path: Path) -> None:
    """One mode at the peak of (1-z) z^(1/3), at a decay a little larger than any that has such a point."""
    with mpmath.workdps(40):
        z = mpmath.mpf(1) / 4
        decay = float((1 - z) * z ** (mpmath.mpf(1) / 3) / 3 * (1 + mpmath.mpf(above)))
    size = 0.25 ** (1 / 3)
    theta = torch.zeros(4 * 3 + 4 * 4 + 3 * 4, dtype=torch.float64)
    theta[[0, 12, 28]] = size
    report = analyse(CriticalPoint.at(Problem.balanced(3, 1, 4, 2, decay, "mse"), theta, Origin("test")))
    assert (report.nullity, report.index) == (None, None)


def test_cross_entropy_above_the_fold_is_never_counted() -> None:
    fold = simplex_equation(Problem.balanced(3, 1, 5, 2, 1e-3), 3, 1).largest_decay
    for distance in (1e-14, 2e-15, 1e-15):
        problem = Problem.balanced(3, 1, 5, 2, fold * (1 + distance))
        if simplex_equation(problem, 3, 1).root("large") is not None:
            report = asked(problem, Collapse())
            assert (report.nullity, report.index, report.verdict.doubt) == (None, None, Doubt.NO_POINT)
        assert cell(problem).state == "no DNC point"


# --------------------------------------------------------------------------------------------- folds, thresholds, faint values


@pytest.mark.parametrize(("depth", "zeros", "smallest"), [(2, 18, 2.048e-18), (3, 27, 6.4e-14)])
def test_small_root_saddles(depth: int, zeros: int, smallest: float) -> None:
    """At L = 2 two eigenvalues of 2.0e-18 are below what double precision sees, at L = 3 they are 6.4e-14."""
    report = analyse(at(Problem.balanced(4, 2, 6, depth, 1e-3), Partition((2, 2), "small")))
    assert (report.nullity, report.index, report.excess) == (zeros, 3, 0)
    assert report.verdict.proof is not None
    assert report.smallest_positive == pytest.approx(smallest, rel=1e-3)


@pytest.mark.parametrize(("classes", "depth"), [(2, 2), (4, 2), (5, 3)])
def test_beside_the_fold_one_eigenvalue_is_near_zero(classes: int, depth: int) -> None:
    fold = simplex_equation(Problem.balanced(classes, 1, 6, depth, 1e-3), classes, 1).largest_decay
    below = asked(Problem.balanced(classes, 1, 6, depth, math.nextafter(fold, 0)), Collapse())
    assert below.verdict.doubt in (None, Doubt.NO_POINT)
    if below.resolved:
        assert (below.excess, below.verdict.near_zero) == (0, 1)
    further = asked(Problem.balanced(classes, 1, 6, depth, fold * (1 - 1e-12)), Collapse())
    assert (further.excess, further.resolved, further.verdict.near_zero) == (0, True, 0)


@pytest.mark.parametrize(("classes", "depth"), [(4, 2), (5, 3), (6, 2)])
def test_at_the_stability_threshold_every_symmetric_direction_is_near_zero(classes: int, depth: int) -> None:
    modes, decay = classes * (classes - 3) // 2, threshold_decay(classes, depth)
    for shift, near, indices in ((0.0, modes, (0, modes)), (1e-12, 0, (modes,)), (-1e-12, 0, (0,))):
        report = asked(Problem.balanced(classes, 1, classes + 3, depth, decay * (1 + shift)), Collapse())
        assert (report.excess, report.resolved, report.verdict.near_zero) == (0, True, near)
        assert report.index in indices


def squared(sizes: tuple[int, ...], decay: float) -> Core:
    """One layer, squared error, the largest class alone; the others wait behind [[decay, -n/N], [-n/N, decay]]."""
    size = torch.tensor([math.sqrt(max(sizes)) - sum(sizes) * decay], dtype=torch.float64)
    first = torch.eye(len(sizes), dtype=torch.float64)[:, :1]
    return Core.from_form(Problem(sizes, 4, 1, decay, loss="mse"), LogitForm(first, size, first))


@pytest.mark.parametrize("steps", [-1000, -40, -10, -1, 0, 1, 10, 40, 1000])
def test_a_class_at_the_threshold_of_one_layer(steps: int) -> None:
    """In exact arithmetic the block of the class left out has decay - 1/5: its sign is that of the steps."""
    decay = 0.2 + steps * math.ulp(0.2)
    assert Fraction(decay) != Fraction(1, 5)
    index = 3 if Fraction(decay) < Fraction(1, 5) else 0
    report = analyse(squared((4, 1), decay))
    assert (report.nullity, report.index) == (3, index)
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
    report = asked(problem, structure)
    assert (report.nullity, report.index) == (nullity, index)
    mean = asked(replace(problem, decay=problem.mean_decay), structure)
    assert (mean.nullity, mean.index) == (nullity, index)


# ------------------------------------------------------------------------------------------------------- what is proved, and how


def test_a_saved_point_is_proved_by_the_structure_that_it_is() -> None:
    theta = write_parameters(PAPER, logit_form(PAPER, Pairs()), gauge=1)
    report = analyse(CriticalPoint.at(PAPER, theta, Origin("test")), "auto", Wanted("small"))
    proof = report.verdict.proof
    assert proof is not None
    assert (proof.kind, proof.name, proof.nullity, proof.index) == ("structure", "pairs", 670, 0)
    assert report.distance is not None
    assert report.distance < 1e-13
    shown = float(report.proved.partition("within ")[2].split()[0])
    assert report.distance <= shown <= 1.2 * report.distance
    told = report.as_dict()
    assert (told["proved"], told["bits"], told["near_zero"]) == (True, proof.bits, 0)
    assert told["statement"] == report.proved


def test_the_distance_is_that_of_the_point_and_not_of_its_polished_copy() -> None:
    problem = Problem.balanced(4, 2, 6, 2, 1e-3)
    theta = write_parameters(problem, logit_form(problem, Collapse()), gauge=1)
    noise = torch.randn(theta.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    report = analyse(CriticalPoint.at(problem, theta + 1e-10 * noise, Origin("test")), "auto", Wanted("small"))
    assert report.verdict.proof is not None
    assert report.distance is not None
    assert 1e-12 < report.distance < 1e-9


def test_small_cores_without_a_name_are_proved_by_a_box() -> None:
    problem = Problem.balanced(5, 2, 8, 2, 1e-3)
    report = analyse(at(problem, Apex()), "auto", Wanted("small"))
    proof = report.verdict.proof
    assert proof is not None
    assert (proof.kind, proof.name) == ("point", None)
    assert proof.distance is not None
    assert proof.distance < 1e-12
    assert (proof.nullity, proof.index) == (report.nullity, report.index)
    assert "a critical point within" in report.proved


def test_clear_counts_are_proved_only_where_that_is_wanted() -> None:
    report = analyse(at(PAPER, Collapse()))
    assert (report.nullity, report.index, report.verdict.proof) == (1170, 0, None)
    assert report.proved == "no: run landscape prove"
    assert analyse(at(PAPER, Collapse()), "reduction", Wanted("named")).verdict.proof is not None
    assert analyse(at(Problem.balanced(5, 2, 8, 2, 1e-3), Apex()), "reduction", Wanted("named")).verdict.proof is None


def test_a_point_away_from_the_structure_has_no_proof_by_its_name() -> None:
    problem = Problem.balanced(4, 2, 6, 2, 1e-3)
    logits = at(problem, Collapse()).class_logits
    near, far = recognise(problem, logits, 3), recognise(problem, logits * (1 + 1e-9), 3)
    assert near.kind == far.kind == Collapse()
    assert far.distance(logits * (1 + 1e-9)) == pytest.approx(1e-9, rel=1e-3)
    assert recognised(problem, far, logits * (1 + 1e-9)) is None
    named = recognised(problem, near, logits)
    assert named is not None
    assert [(group.size, group.samples, group.root) for group in named.groups] == [(4, 2, "large")]


def test_unequal_classes_are_put_in_the_order_of_the_groups() -> None:
    problem = Problem((2, 1, 2, 1), 6, 2, 1e-3)
    plain = Problem((2, 2, 1, 1), 6, 2, 1e-3)
    order = [0, 2, 1, 3]
    logits = at(plain, Partition((2, 2))).class_logits
    mixed = torch.zeros_like(logits)
    mixed[np.ix_(order, order)] = logits
    named = recognised(problem, recognise(problem, mixed, 2), mixed)
    assert named is not None
    groups = named.groups
    assert sorted(named.members) == [(0, 2), (1, 3)]
    ordered = in_order_of(problem, groups)
    assert sorted(ordered.class_sizes) == [1, 1, 2, 2]
    assert all(ordered.class_sizes[2 * i] == ordered.class_sizes[2 * i + 1] == group.samples for i, group in enumerate(groups))


def test_beside_a_fold_a_saved_point_has_no_name_since_its_scale_has_half_the_digits() -> None:
    """The roots are 1e-8 apart; the scale in doubles is the fold's. By name the index of the other root was stated."""
    problem = Problem.balanced(3, 1, 4, 2, 0.221291427573336)
    for root in ("large", "small"):
        theta = write_parameters(problem, logit_form(problem, Collapse(root)), gauge=1)
        report = analyse(CriticalPoint.at(problem, theta, Origin("test")))
        proof = report.verdict.proof
        assert proof is not None
        assert proof.kind == "point"
        assert 1e-9 < (proof.distance or 0.0) < 1e-6
    named = analyse(at(problem, Collapse("small")), "reduction", Wanted("doubtful", named_groups(problem, Collapse("small"))))
    assert (named.nullity, named.index) == (10, 3)
    assert named.distance is not None
    assert 1e-9 < named.distance < 1e-6  # of the proved scale, not of the double that the logits were made from


@pytest.mark.parametrize("structure", [Collapse(), Partition((2, 1)), Partition((1, 2))])
def test_a_structure_of_another_problem_is_not_proved(structure: Structure) -> None:
    """Groups of unequal classes are no structure: a proof of them would be about other class sizes."""
    problem = Problem((1, 2, 4), 4, 2, 1e-2)
    with pytest.raises(InputError, match="expected classes of equal size in each group, got a group with"):
        prove(problem, structure)
