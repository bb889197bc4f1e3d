"""Scales and folds in balls against mpmath at 100 digits: the loss of a group, its derivative, and where its roots end."""

import math
from itertools import product

import pytest
from flint import arb
from mpmath import mp

from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.proof.balls import precision
from landscape.proof.scales import EnclosedGroup, Group, GroupRoot
from landscape.proof.statement import NoPoint, Proof, Unproved
from landscape.proof.structures import prove_structure
from tests.proof.enclosures import scale_enclosures
from tests.proof.oracles import dnc_counts, dnc_decay, dnc_peak, dnc_scale, loss_slope

CASES = [(10, 5, 2, 2**-10), (4, 2, 2, 1e-3), (4, 2, 2, 1e-10), (5, 3, 4, 0.06443059911283797), (6, 1, 3, 1e-5), (3, 1, 1, 0.1)]


def neighbours(value: mp.mpf) -> tuple[float, float]:
    """The doubles on both sides of a number."""
    near = float(value)
    below = near if mp.mpf(near) < value else math.nextafter(near, 0.0)
    return below, math.nextafter(below, math.inf)


@pytest.mark.parametrize(("classes", "samples", "depth", "decay"), CASES)
@pytest.mark.parametrize("root", ["large", "small"])
def test_the_slope_of_the_loss_changes_its_sign_in_every_enclosure(
    classes: int, samples: int, depth: int, decay: float, root: GroupRoot
) -> None:
    problem = Problem.balanced(classes, samples, classes, depth, decay)
    for size in (classes, 2):
        groups = [Group(size, samples, root), *[Group(1, samples, "off")] * (classes - size)]
        found = scale_enclosures(problem, groups)
        if depth == 1 and root == "small":
            assert isinstance(found, NoPoint)
            continue
        assert not isinstance(found, Unproved | NoPoint)
        low, high = found[0]
        assert 0 < high - low <= 8 * math.ulp(high)
        with mp.workdps(100):
            share = mp.mpf(samples) / problem.total_samples
            ends = [loss_slope(classes, size, share, samples, mp.mpf(decay), depth, mp.mpf(end)) for end in (low, high)]
        # the loss falls towards the large root and rises towards the small one
        assert (ends[0] < 0 < ends[1]) if root == "large" else (ends[0] > 0 > ends[1])
        assert all(bounds == (0.0, 0.0) for bounds in found[1:])


@pytest.mark.parametrize(("samples", "depth"), list(product((1, 2), range(1, 6))))
def test_the_double_beside_every_fold_is_decided_on_both_sides(samples: int, depth: int) -> None:
    for classes in range(2, 9):
        with mp.workdps(60):
            peak = dnc_peak(classes, depth) if depth > 1 else mp.mpf(0)
            fold = dnc_decay(classes, samples, depth, peak)
            below, above = neighbours(fold)
            assert mp.mpf(below) < fold < mp.mpf(above) or mp.mpf(above) == fold
            for root in ("large", "small"):
                group = [Group(classes, samples, root)]
                assert isinstance(prove_structure(Problem.balanced(classes, samples, classes + 1, depth, above), group), NoPoint)
                found = prove_structure(Problem.balanced(classes, samples, classes + 1, depth, below), group)
                if depth == 1 and root == "small":
                    assert isinstance(found, NoPoint)
                    continue
                scale = dnc_scale(classes, samples, depth, below, root)
                assert isinstance(found, Proof)
                assert scale is not None
                assert (found.nullity, found.index) == dnc_counts(classes, samples, classes + 1, depth, below, scale)


@pytest.mark.parametrize("depth", range(1, 6))
@pytest.mark.parametrize("samples", [1, 2])
def test_the_double_beside_the_fold_of_squared_error_is_decided(samples: int, depth: int) -> None:
    for classes in range(2, 7):
        with mp.workdps(60):
            z = mp.mpf(depth - 1) / (2 * depth)
            right = (1 - z) * (z ** (mp.mpf(depth - 1) / (depth + 1)) if depth > 1 else 1) / classes
            below, above = neighbours(right * mp.mpf(samples) ** (-mp.mpf(1) / (depth + 1)))
            exact_tie = mp.mpf(above) == right * mp.mpf(samples) ** (-mp.mpf(1) / (depth + 1))
        for root in ("large", "small") if depth > 1 else ("large",):
            groups = [Group(1, samples, root)] * classes
            beyond = math.nextafter(above, 1.0) if exact_tie and depth > 1 else above
            assert isinstance(prove_structure(Problem.balanced(classes, samples, classes, depth, beyond, "mse"), groups), NoPoint)
            found = prove_structure(Problem.balanced(classes, samples, classes, depth, below, "mse"), groups)
            assert isinstance(found, Proof)
            assert found.index == (0 if root == "large" else classes + classes * (classes - 1) // 2)


def test_the_stiffness_increases_as_lemma_1_says() -> None:
    for classes, size in [(2, 2), (3, 2), (4, 3), (10, 2), (10, 9), (1000, 2), (1000, 999), (1000, 500)]:
        problem = Problem.balanced(classes, 1, classes, 2, 1e-3)
        with precision(128):
            last = None
            for step in range(-60, 110):
                here = EnclosedGroup.at(problem, Group(size, 1, "large"), arb(2) ** (arb(step) / 10)).stiffness
                assert last is None or here > last
                last = here


def test_logits_too_small_for_doubles_are_not_stated() -> None:
    answer = scale_enclosures(Problem.balanced(3, 1, 3, 2, 1e-200), [Group(3, 1, "small")])
    assert isinstance(answer, Unproved)
    assert "below 1e-300" in answer.reason


@pytest.mark.parametrize(
    ("problem", "groups", "message"),
    [
        (Problem.balanced(4, 1, 4, 2, 1e-3, "ce", "relu"), [Group(4, 1, "large")], "linear layers"),
        (Problem.balanced(4, 1, 4, 2, 1e-3), [Group(3, 1, "large")], "consecutive classes"),
        (Problem.balanced(4, 1, 4, 2, 1e-3), [Group(4, 2, "large")], "consecutive classes"),
        (Problem((1, 2, 1), 4, 2, 1e-3), [Group(2, 1, "large"), Group(1, 2, "off")], "consecutive classes"),
        (Problem.balanced(4, 1, 4, 2, 1e-3), [Group(4, 1, "off")], "large"),
        (Problem.balanced(4, 1, 2, 2, 1e-3), [Group(4, 1, "large")], "width >= 3, the rank of DNC, got 2"),
        (Problem.balanced(4, 1, 4, 2, 1e-3, "mse"), [Group(4, 1, "large")], "one class"),
        (Problem.balanced(2, 1, 4, 2, 1e-3), [Group(3, 1, "large"), Group(-1, 1, "large")], "consecutive classes"),
    ],
)
def test_what_does_not_fit_is_refused(problem: Problem, groups: list[Group], message: str) -> None:
    with pytest.raises(InputError, match=message):
        scale_enclosures(problem, groups)
