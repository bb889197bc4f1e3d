"""Every method gives the same exact counts or says why not; the choice rule; what happens when routes disagree."""

from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
import torch

import landscape.degeneracy.count
from landscape.degeneracy.analysis import analyse
from landscape.degeneracy.methods import MethodName, Plan, choose, half_of_memory
from landscape.degeneracy.reduction import EigenvalueFamily, EigenvalueKind, reduce
from landscape.errors import InputError
from landscape.model.gauge import rotate
from landscape.model.logit_form import write_parameters
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.points.point import CriticalPoint, Origin
from landscape.solver.run import solve
from landscape.solver.starts import Random, random_start
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Collapse, Partition

ALL: list[MethodName] = ["reduction", "dense", "inertia", "deflated", "lowrank", "lanczos"]
PAPER = Problem.balanced(10, 5, 70, 2, 2**-10)


def given_point(problem: Problem, theta: torch.Tensor) -> CriticalPoint:
    return CriticalPoint.at(problem, theta, Origin("test"))


def turned(problem: Problem, theta: torch.Tensor, seed: int = 4) -> torch.Tensor:
    return rotate(problem, theta, torch.Generator().manual_seed(seed))


@cache
def optimised() -> CriticalPoint:
    problem = Problem((2, 1, 3), 5, 2, 1e-2)
    return solve(problem, random_start(problem, Random(seed=0)))


# ------------------------------------------------------------------------------------------------------------ equal counts


def numpy_counts(problem: Problem, theta: torch.Tensor) -> tuple[int, int]:
    """Nullity and index from the loss as the paper writes it, by torch.func.hessian and numpy."""
    labels = torch.arange(problem.classes).repeat_interleave(torch.tensor(problem.class_sizes))

    def loss(flat: torch.Tensor) -> torch.Tensor:
        parts = flat.split([rows * columns for rows, columns in problem.shapes])
        features, first, last = (part.reshape(shape) for part, shape in zip(parts, problem.shapes, strict=True))
        fit = torch.nn.functional.cross_entropy((last @ first @ features).T, labels)
        return fit + problem.mean_decay / 2 * flat.square().sum()

    values = np.linalg.eigvalsh(torch.func.hessian(loss)(theta).numpy())
    return int((abs(values) < 1e-12).sum()), int((values < -1e-9).sum())


@pytest.mark.slow
@pytest.mark.parametrize("groups", [(6,), (3, 3), (2, 2, 2), (4, 2)])
def test_every_method_agrees_at_partitions_in_any_gauge(groups):
    problem = Problem.balanced(6, 1, 7, 2, 1e-3)
    rank = 6 - len(groups)
    theta = write_parameters(problem, logit_form(problem, Partition(groups)), gauge=0)
    nullity, index = numpy_counts(problem, theta)
    assert nullity == 2 * (7 * rank - rank * (rank + 1) // 2)
    assert (index > 0) == (groups == (3, 3))
    for place in (theta, turned(problem, theta)):
        methods: list[MethodName] = ["auto", *ALL[2:], "quotient"] if index == 0 else ["auto", *ALL[2:]]
        for method in methods:
            report = analyse(given_point(problem, place), method)
            assert (report.nullity, report.index, report.excess, report.reason) == (nullity, index, 0, ""), method
            if method == "auto":
                assert report.second is not None
                assert (report.second.count, report.second.negative, report.second.resolved) == (nullity, index, True)
                assert report.second.delta <= 1e-9
            else:
                assert report.second is None


def test_every_method_agrees_at_a_point_that_an_optimiser_found():
    point = optimised()
    problem = point.problem
    methods: list[MethodName] = [*ALL, "quotient", "auto"]
    for place in (point.theta, turned(problem, point.theta)):
        reports = [analyse(given_point(problem, place), method) for method in methods]
        counts = {(report.nullity, report.index, report.rank) for report in reports}
        assert len(counts) == 1, counts
        assert all(report.resolved for report in reports)
        assert reports[0].nullity == reports[0].orbit_formula > 0


COUNTS = {(10,): (1170, 0), (3, 3, 2, 2): (798, 4), (5, 5): (1048, 18)}  # nullity and index in the paper's setting


BY_MATRIX = [("inertia", (3, 3, 2, 2)), ("dense", (5, 5))]  # most of a minute each; DNC by dense: test_analysis.py


@pytest.mark.slow
@pytest.mark.parametrize(("method", "groups"), [*product(["auto", "deflated", "lowrank"], COUNTS), *BY_MATRIX])
def test_the_paper_setting(method, groups):
    theta = write_parameters(PAPER, logit_form(PAPER, Partition(groups)), gauge=1)
    report = analyse(given_point(PAPER, theta), method)
    assert (report.nullity, report.index, report.reason) == (*COUNTS[groups], "")


@pytest.mark.slow
def test_an_optimiser_found_point_of_the_paper_setting_in_any_gauge():
    point = solve(PAPER, random_start(PAPER, Random(seed=3)))
    for place in (point.theta, turned(PAPER, point.theta)):
        for method in ("auto", "deflated"):
            report = analyse(given_point(PAPER, place), method)
            assert (report.nullity, report.index, report.reason) == (report.orbit_formula, 0, ""), method


# --------------------------------------------------------------------------------------------------------- right or undecided


@pytest.mark.parametrize(("depth", "truth"), [(2, 18), (3, 27)])
@pytest.mark.parametrize("method", ["auto", *ALL[2:]])
def test_an_eigenvalue_of_1e_18_is_never_counted_as_zero(depth, truth, method):
    """The small-root rank-2 saddles: float64 sees two more zeros than there are, a proof sees them."""
    problem = Problem.balanced(4, 2, 6, depth, 1e-3)
    theta = write_parameters(problem, logit_form(problem, Partition((2, 2), "small")), gauge=1)
    report = analyse(given_point(problem, theta), method)
    assert (report.nullity, report.index, report.orbit_dimension) == (truth, 3, truth)
    assert report.verdict.proof is not None
    assert report.verdict.near_zero == 0


@pytest.mark.parametrize("size", [1e-8, 1e-6, 1e-4, 1e-2])
def test_the_noise_ladder_is_right_or_undecided(size):
    problem = Problem.balanced(4, 1, 5, 2, 1e-3)
    for groups, index in (((4,), 0), ((2, 2), 0)):
        point = write_parameters(problem, logit_form(problem, Partition(groups)), gauge=1)
        noise = torch.randn(point.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
        rank = 4 - len(groups)
        right = (2 * (5 * rank - rank * (rank + 1) // 2), index)
        for method in ("auto", "inertia", "deflated", "lowrank", "quotient", "recurrence", "lanczos"):
            report = analyse(given_point(problem, point + size * noise), method)
            assert (report.nullity, report.index) in (right, (None, None)), (groups, method)
            assert report.resolved or report.reason


def test_a_method_without_a_proof_says_so():
    problem = Problem.balanced(4, 1, 5, 2, 1e-3)
    saddle = write_parameters(problem, logit_form(problem, Partition((4,), "small")), gauge=1)
    report = analyse(given_point(problem, saddle), "quotient")
    assert report.nullity is None
    assert "no proof" in report.reason
    assert analyse(given_point(problem, saddle), "deflated").index == 6


# --------------------------------------------------------------------------------------------------------------- disagreement


def test_a_reduction_that_is_wrong_is_caught(monkeypatch):
    """One core eigenvalue with its sign turned: no rule about the null space sees it, the second route does."""
    problem = Problem.balanced(4, 2, 6, 2, 1e-3)
    core = Core.from_form(problem, logit_form(problem, Collapse()))

    def wrong(core: Core):
        right = reduce(core)
        blocks = []
        for block in right.blocks:
            values = block.values.clone()
            if block.kind is EigenvalueKind.CORE:
                values[-1] = -values[-1]
            blocks.append(EigenvalueFamily(block.kind, values, block.multiplicity))
        return replace(right, blocks=tuple(blocks))

    assert analyse(core).index == 0
    monkeypatch.setattr(landscape.degeneracy.count, "reduce", wrong)
    assert analyse(core, "reduction").index == 1  # alone it would be believed
    for source in (core, given_point(problem, write_parameters(problem, logit_form(problem, Collapse()), gauge=3))):
        report = analyse(source)
        assert (report.nullity, report.index) == (None, None)
        assert "routes disagree" in report.reason
        assert report.as_dict()["certificate"]["second"]["index"] == 0


# ---------------------------------------------------------------------------------------------------------------- choice rule


def test_the_choice_rule():
    def relu(width: int, decay=1e-3) -> Problem:
        return Problem.balanced(10, 5, width, 2, decay, activation="relu")

    assert choose(PAPER, "auto") == Plan("reduction", "deflated")
    assert choose(Problem.balanced(10, 5, 20_000, 6, 1e-3), "auto") == Plan("reduction")
    assert choose(relu(70), "auto", memory=8e9) == Plan("dense", "deflated")
    assert choose(relu(70), "auto", memory=1e9) == Plan("lowrank", "deflated")
    assert choose(relu(128), "auto", memory=64e9) == Plan("lowrank", "deflated")
    assert choose(relu(128, (1e-3, 1e-3, 2e-3)), "auto", memory=64e9) == Plan("inertia", "deflated")
    assert choose(relu(128, (1e-3, 1e-3, 2e-3)), "auto", memory=1e9) == Plan("deflated")
    assert choose(PAPER, "deflated") == Plan("deflated")
    with pytest.raises(InputError, match="linear"):
        choose(relu(4), "reduction")
    with pytest.raises(InputError, match="GB"):
        choose(relu(200), "dense")
    with pytest.raises(InputError, match="one decay"):
        choose(relu(4, (1e-3, 1e-3, 2e-3)), "lowrank")


def test_memory_is_that_of_the_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1_600_000_000, 80_000_000_000))
    relu = Problem.balanced(10, 5, 70, 2, 1e-3, activation="relu")
    assert half_of_memory(torch.device("cuda", 1)) == 8e8
    assert choose(relu, "auto", device=torch.device("cuda", 1)).first == "lowrank"  # all eigenvalues take three matrices of 0.66 GB
    assert choose(relu, "auto").first == "dense"
    assert half_of_memory(torch.device("cpu")) > 1e8


def test_beyond_the_second_route_the_reduction_stands_alone():
    problem = Problem.balanced(10, 5, 2_000, 6, 1e-3)
    report = analyse(Core.from_form(problem, logit_form(problem, Collapse())))
    assert report.resolved
    assert report.second is None
