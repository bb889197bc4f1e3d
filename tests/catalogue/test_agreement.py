"""Three commands, one answer: degeneracy, atlas and phase around every fold and threshold, against 60 digits of the closed form."""

import csv
import itertools
import math
import random
from functools import cache
from pathlib import Path

import mpmath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landscape.catalogue.phase_diagram import cell
from landscape.catalogue.row import Scales, partition_row
from landscape.catalogue.table import AtlasOptions, atlas
from landscape.degeneracy.analysis import analyse
from landscape.degeneracy.proved import Wanted, named_groups
from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.structures.analytic import logit_form
from landscape.structures.blocks import Simplex
from landscape.structures.kinds import Collapse, Root

PLACES = (0, 1, -1, 2, -2, 4, -4, 8, -8, 16, -16, 64, -64)
RELATIVE = tuple(sign * 10.0**power for power in range(-14, -2) for sign in (1, -1))
Counts = tuple[int, int]


def pull(classes: int, depth: int, alpha: mpmath.mpf) -> mpmath.mpf:
    """The decay (n = 1) at which alpha is a critical scale of DNC."""
    e = mpmath.exp(-alpha)
    return e / (1 + (classes - 1) * e) * alpha ** (mpmath.mpf(depth - 1) / (depth + 1))


@cache
def peak(classes: int, depth: int) -> mpmath.mpf:
    """The scale at the fold: a e^a / (e^a + K - 1) = (L-1)/(L+1), whose left side grows."""
    part = mpmath.mpf(depth - 1) / (depth + 1)

    def excess(a: mpmath.mpf) -> mpmath.mpf:
        return a - part * (1 + (classes - 1) * mpmath.exp(-a))

    return mpmath.findroot(excess, (mpmath.mpf("1e-9"), classes + 1), solver="anderson", tol=1e-110)


def scale(classes: int, depth: int, decay: float, root: Root) -> mpmath.mpf | None:
    """The critical scale at an exact double, by bisection; None above the fold."""
    target, top = mpmath.mpf(decay), peak(classes, depth)
    if pull(classes, depth, top) < target:
        return None
    inside, outside = top, mpmath.mpf(400) if root == "large" else mpmath.mpf("1e-60")
    for _ in range(260):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if pull(classes, depth, middle) >= target else (inside, middle)
    return (inside + outside) / 2


def exact(classes: int, depth: int, width: int, decay: float, root: Root) -> Counts | None:
    """Nullity and index of DNC, n = 1, from the closed form of its spectrum (docs/mathematics.md); None where DNC is not."""
    K, L, r = classes, depth, classes - 1
    alpha = scale(K, L, decay, root)
    if alpha is None:
        return None
    lam = mpmath.mpf(decay)
    q = mpmath.exp(-alpha) / (1 + (K - 1) * mpmath.exp(-alpha))
    w, b = 1 - K * q, lam * alpha / K
    f_s, f_t = b * (1 + (K - 2) * w), b * (1 + (K - 1) * w)
    signs = [((1 - L) * lam + (L + 1) * b, K * (K - 3) // 2 if K > 3 else 0), ((1 - L) * lam + (L + 1) * f_t, 1)]
    second = lam + b * (2 - K * q)
    if K == 2:
        signs.append((second, 1))
    else:
        first, coupling = 2 * lam + (L + 1) * (f_s - lam), mpmath.sqrt(L + 1) * b * w * mpmath.sqrt(K - 2)
        mean, radius = (first + second) / 2, mpmath.hypot((first - second) / 2, coupling)
        low = (first * second - coupling**2) / (mean + radius)  # the smaller one without cancellation where both are positive
        signs += [(low if mean > 0 else mean - radius, K - 1), (mean + radius, K - 1)]
    assert all(abs(value) > mpmath.mpf(10) ** -50 for value, times in signs if times), "at 110 digits no double is a threshold"
    return L * (width * r - r * (r + 1) // 2), sum(times for value, times in signs if value < 0)


def standard(classes: int, depth: int, alpha: mpmath.mpf) -> mpmath.mpf:
    """The determinant of the standard representation's pair of eigenvalues over decay^2; as in `exact`."""
    K, L = classes, depth
    q = mpmath.exp(-alpha) / (1 + (K - 1) * mpmath.exp(-alpha))
    w, b = 1 - K * q, alpha / K
    first, second = 2 + (L + 1) * (b * (1 + (K - 2) * w) - 1), 1 + b * (2 - K * q)
    return first * second - (L + 1) * (b * w) ** 2 * (K - 2)


@cache
def thresholds(classes: int, depth: int) -> list[float]:
    """The decays of the fold, of alpha = K (L-1)/(L+1), and where the standard representation changes sign, as doubles."""
    scales = [peak(classes, depth), mpmath.mpf(classes * (depth - 1)) / (depth + 1)]
    walk = [mpmath.mpf(step) * classes / 100 for step in range(1, 201)]
    for one, other in itertools.pairwise(walk):
        if classes > 2 and standard(classes, depth, one) * standard(classes, depth, other) < 0:
            scales.append(mpmath.findroot(lambda a: standard(classes, depth, a), (one, other), solver="anderson", tol=1e-100))
    return sorted({float(pull(classes, depth, alpha)) for alpha in scales})


def moved(decay: float, places: int, relative: float) -> float:
    value = decay * (1 + relative)
    for _ in range(abs(places)):
        value = math.nextafter(value, math.inf if places > 0 else 0.0)
    return value


def by_degeneracy(problem: Problem, root: Root) -> Counts | None:
    structure = Collapse(root)
    try:
        form = logit_form(problem, structure)
    except InputError:
        return None
    report = analyse(Core.from_form(problem, form), "reduction", Wanted("doubtful", named_groups(problem, structure)))
    return None if report.nullity is None or report.index is None else (report.nullity, report.index)


def by_atlas(problem: Problem, root: Root) -> Counts | None:
    if root == "small":  # a table of one partition has the large root alone
        blocks = [(Simplex(problem.classes), 1, root)]
        row = partition_row(problem, blocks) if Scales(problem).all_exist(blocks) else None
    else:
        try:
            (row,) = atlas(problem, AtlasOptions(groups=((problem.classes,),))).entries
        except InputError:
            return None
    return None if row is None or row.nullity is None or row.index is None else (row.nullity, row.index)


@st.composite
def places(draw: st.DrawFn) -> tuple[int, int, float]:
    classes, depth = draw(st.integers(2, 8)), draw(st.integers(2, 5))
    near = draw(st.sampled_from(thresholds(classes, depth)))
    offset = draw(st.one_of(st.tuples(st.sampled_from(PLACES), st.just(0.0)), st.tuples(st.just(0), st.sampled_from(RELATIVE))))
    return classes, depth, moved(near, *offset)


@pytest.fixture(autouse=True)
def _digits() -> object:
    with mpmath.workdps(110):
        yield


def check(classes: int, depth: int, decay: float) -> int:
    """Compares both roots; returns how many answers were undecided although the point exists."""
    undecided = 0
    problem = Problem.balanced(classes, 1, classes + 1, depth, decay)
    for root in ("large", "small"):
        with mpmath.workdps(110):
            truth = exact(classes, depth, problem.width, decay, root)
        answers = {"degeneracy": by_degeneracy(problem, root), "atlas": by_atlas(problem, root)}
        assert all(answer in (truth, None) for answer in answers.values()), (problem, root, truth, answers)
        undecided += truth is not None and None in answers.values()
        if root == "large":
            found = cell(problem)
            if found.state == "undecided":
                continue
            assert (found.index is None) == (found.state == "no DNC point") == (truth is None), (problem, truth, found)
            assert found.index == (truth and truth[1]), (problem, truth, found)
    return undecided


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(places())
def test_commands_agree_around_every_fold_and_threshold(chosen: tuple[int, int, float]) -> None:
    check(*chosen)


def every_place() -> list[tuple[int, int, float]]:
    """Classes, depth and decay at each offset from every fold and threshold."""
    with mpmath.workdps(110):
        walks = [(K, L, near) for K in range(2, 9) for L in range(2, 6) for near in thresholds(K, L)]
    offsets = [(place, 0.0) for place in (0, 1, -1, 2, -2, 4, -4)]
    offsets += [(0, sign * relative) for relative in (1e-14, 1e-12, 1e-9, 1e-6, 1e-3) for sign in (1, -1)]
    return [(classes, depth, moved(near, *offset)) for classes, depth, near in walks for offset in offsets]


@pytest.mark.slow
def test_commands_agree_at_a_tenth_of_the_offsets() -> None:
    """All of them are walked by scripts/agreement.py, whose answer is committed."""
    chosen = random.Random(0).sample(places := every_place(), len(places) // 10)
    undecided = [check(*place) for place in chosen]
    assert sum(undecided) <= 0.02 * len(undecided), f"{sum(undecided)} of {len(undecided)} undecided"


def test_the_whole_walk_found_no_two_answers() -> None:
    (line,) = csv.DictReader((Path(__file__).parents[2] / "figures" / "data" / "agreement.csv").read_text().splitlines())
    assert int(line["places"]) == len(every_place())
    assert int(line["disagreements"]) == 0
    assert int(line["undecided"]) <= 0.02 * int(line["places"])


def test_the_oracle_knows_the_closed_form_of_theory() -> None:
    from landscape.structures.scale_equation import simplex_equation
    from tests.structures.closed_forms import dnc_spectrum

    for classes, depth in ((4, 2), (6, 3), (2, 2), (3, 4)):
        problem = Problem.balanced(classes, 1, classes + 1, depth, 1e-2)
        alpha = simplex_equation(problem, classes, 1).root("large")
        assert alpha is not None
        values = [value for part, times in dnc_spectrum(problem, alpha) for value in part.tolist() * times]
        counts = (sum(abs(value) < 1e-12 for value in values), sum(value < -1e-12 for value in values))
        assert exact(classes, depth, classes + 1, 1e-2, "large") == counts
        assert float(scale(classes, depth, 1e-2, "large")) == pytest.approx(alpha, rel=1e-13)
