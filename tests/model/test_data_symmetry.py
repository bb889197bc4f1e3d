"""Critical points under squared error with equal classes: what symmetry says against dense Hessians, circles and integrals."""

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.integrate import dblquad
from scipy.special import ive

from landscape.catalogue.free_energy import log_orbit_volume, log_stiefel_volume
from landscape.catalogue.row import at_temperature, core_row
from landscape.curvature.counting.deflation import Deflated
from landscape.curvature.counting.dense_and_inertia import Inertia
from landscape.curvature.counting.interface import Counting, nullity
from landscape.curvature.counting.quotient import QuotientCholesky
from landscape.curvature.operators.operator import Product
from landscape.degeneracy.analysis import analyse
from landscape.model.dimensions import equal_classes, orbit_dimension
from landscape.model.gauge import data_generators, generators, orbit
from landscape.model.gauge_projector import orbit_projector
from landscape.model.logit_form import LogitForm, factor_singular_values, write_parameters
from landscape.model.objective import Objective, class_means
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.points.point import CriticalPoint, Origin
from landscape.solver.run import solve
from landscape.solver.starts import Random, random_start
from landscape.structures.kinds import Root
from landscape.structures.modes import ModeCount, mode_counts, mode_of, orbit_dimension_at
from landscape.structures.relabelling import copies_at
from landscape.structures.scale_equation import mode_equation
from tests.model.actions import rotate_classes

Marks = tuple[Root | None, ...]


def mode_point(problem: Problem, marks: Marks, seed: int) -> LogitForm | None:
    """A critical point with these modes on, the modes of equal classes turned at random; None where a root does not exist."""
    rng, size = np.random.default_rng(seed), problem.classes
    frame, columns, singular = np.zeros((size, size)), [], []
    for n in set(problem.class_sizes):
        members = [c for c in range(size) if problem.class_sizes[c] == n]
        frame[np.ix_(members, members)] = np.linalg.qr(rng.normal(size=(len(members), len(members))))[0]
    for c, mark in enumerate(marks):
        if mark is not None:
            scale = mode_equation(problem, problem.class_sizes[c]).root(mark)
            if scale is None:
                return None
            columns.append(frame[:, c])
            singular.append(scale * math.sqrt(problem.class_sizes[c]))
    basis = torch.from_numpy(np.array(columns).reshape(-1, size).T.copy())
    return LogitForm(basis, torch.tensor(singular, dtype=torch.float64), basis.clone())


def dense_hessian(problem: Problem, theta: torch.Tensor) -> np.ndarray:
    """Of the loss as the paper writes it, by plain double backward."""
    labels = torch.arange(problem.classes).repeat_interleave(torch.tensor(problem.class_sizes))
    targets = torch.nn.functional.one_hot(labels, problem.classes).double().T
    point = theta.clone().requires_grad_(True)
    parts = [
        part.reshape(shape) for part, shape in zip(point.split([m * n for m, n in problem.shapes]), problem.shapes, strict=True)
    ]
    signal = parts[0]
    for layer in parts[1:]:
        signal = layer @ signal
    loss = (signal - targets).square().sum() / (2 * len(labels))
    loss = loss + sum(decay / 2 * part.square().sum() for decay, part in zip(problem.decays, parts, strict=True))
    (slope,) = torch.autograd.grad(loss, point, create_graph=True)
    assert float(slope.detach().norm()) < 1e-13, "critical"
    rows = [torch.autograd.grad(entry, point, retain_graph=True)[0] for entry in slope]
    return torch.stack(rows).numpy()


def zeros(problem: Problem, theta: torch.Tensor) -> tuple[int, int]:
    """Nullity and index, where the spectrum leaves no doubt."""
    values = np.linalg.eigvalsh(dense_hessian(problem, theta))
    assert np.all((np.abs(values) < 1e-12) | (np.abs(values) > 1e-9)), "no eigenvalue in between"
    return int((np.abs(values) < 1e-12).sum()), int((values < -1e-9).sum())


@st.composite
def points(draw: st.DrawFn) -> tuple[dict[str, Any], Marks, int]:
    """Fields of a problem (beartype, which checks it, may not draw inside a strategy), modes that are on, and a seed."""
    depth = draw(st.integers(1, 3))
    classes = draw(st.integers(2, 6 if depth < 3 else 4))
    samples = draw(st.integers(1, 2))
    sizes = draw(st.one_of(st.just((samples,) * classes), st.tuples(*[st.integers(1, 2)] * classes)))
    width = draw(st.integers(max(1, classes - 3), classes))
    decay = st.floats(1e-3, 1.5e-2)
    decays = draw(st.one_of(decay, st.tuples(*[decay] * (depth + 1))))
    problem = {"class_sizes": sizes, "width": width, "depth": depth, "decay": decays, "loss": "mse"}
    kinds: list[Root | None] = [None, "large", "small"] if depth > 1 else [None, "large"]
    marks = tuple(draw(st.sampled_from(kinds)) for _ in range(classes))
    assume(sum(mark is not None for mark in marks) <= width)
    return problem, marks, draw(st.integers(0, 1000))


@pytest.mark.slow
@settings(max_examples=30)
@given(points())
def test_symmetry_explains_every_zero(case: tuple[dict[str, Any], Marks, int]) -> None:
    fields, marks, seed = case
    problem = Problem(**fields)
    form = mode_point(problem, marks, seed)
    assume(form is not None)
    assert form is not None
    theta = write_parameters(problem, form, gauge=seed)
    count, index = zeros(problem, theta)
    assert orbit_dimension_at(problem, form.singular.tolist()) == count
    measured = orbit(problem, Objective.of(problem).split(theta), 1e-9)
    core = Core.from_form(problem, form)
    assert measured.dimension == orbit(problem, core.objective.split(core.theta), 1e-9).dimension == count
    assert measured.data == sum(kind.turns for kind in mode_counts(problem, form.singular.tolist()))
    projector = orbit_projector(problem, theta, 1e-9)
    assert projector.rank == count
    probe = torch.randn(problem.parameters, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    flat = projector.apply(probe)
    np.testing.assert_allclose(projector.apply(flat), flat, rtol=0, atol=1e-12)
    np.testing.assert_allclose(dense_hessian(problem, theta) @ flat.numpy(), 0, atol=1e-12)
    report = analyse(CriticalPoint.at(problem, theta, Origin("test")))
    assert report.orbit_formula in (None, count)
    if report.resolved:
        assert (report.nullity, report.index, report.excess) == (count, index, 0)
    turned = rotate_classes(problem, theta, torch.Generator().manual_seed(seed))
    assert zeros(problem, turned) == (count, index)


@pytest.mark.slow
@pytest.mark.parametrize("classes", [4, 5, 6])
@pytest.mark.parametrize("depth", [1, 2])
def test_all_ways_to_switch_modes_on(classes: int, depth: int) -> None:
    """Below width K and at it; equal classes make the order of the modes matter as little as their frame."""
    seen = 0
    for width in (classes - 1, classes):
        problem = Problem.balanced(classes, 1, width, depth, 5e-3, "mse")
        for large in range(width + 1):
            for small in range(width + 1 - large if depth > 1 else 1):
                marks: Marks = tuple("large" if i < large else "small" if i < large + small else None for i in range(classes))
                form = mode_point(problem, marks, large)
                assert form is not None
                off = classes - large - small
                added = math.comb(classes, 2) - math.comb(large, 2) - math.comb(small, 2) - math.comb(off, 2)
                rank = large + small
                expected = depth * (width * rank - rank * (rank + 1) // 2) + added
                assert orbit_dimension_at(problem, form.singular.tolist()) == expected
                core = Core.from_form(problem, form)
                assert orbit(problem, core.objective.split(core.theta), 1e-9).dimension == expected
                report = analyse(core)
                assert (report.nullity, report.excess) == (expected, 0) or not report.resolved
                seen += report.resolved
    assert seen >= 2 * classes


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (2, 1, 2, 1)], ids=str)
def test_every_counting_method_takes_the_whole_orbit_out(sizes: tuple[int, ...]) -> None:
    problem = Problem(sizes, 3, 2, (5e-3, 7e-3, 4e-3), "mse")
    form = mode_point(problem, ("large", None, "small", None), 3)
    assert form is not None
    theta = write_parameters(problem, form, gauge=1)
    operator, projector = Product(Objective.of(problem).linearize(theta), theta), orbit_projector(problem, theta, 1e-9)
    count, index = zeros(problem, theta)
    for method in (Deflated(projector), Inertia()):
        found = nullity(operator, method, 1e-13)
        assert (found.count, found.negative, found.resolved) == (count, index, True), method
    minimum = Problem(sizes, 3, 2, (5e-3, 7e-3, 4e-3), "mse")
    best = mode_point(minimum, ("large", None, "large", "large") if sizes[1] == sizes[3] else ("large",) * 3 + (None,), 3)
    assert best is not None
    theta = write_parameters(minimum, best, gauge=1)
    count, index = zeros(minimum, theta)
    assert index == 0
    operator, projector = Product(Objective.of(minimum).linearize(theta), theta), orbit_projector(minimum, theta, 1e-9)
    quotients: list[Counting] = [Deflated(projector), QuotientCholesky(projector)]
    for quotient in quotients:
        found = nullity(operator, quotient, 1e-13)
        assert (found.count, found.negative, found.resolved) == (count, 0, True), quotient


@pytest.mark.slow
@settings(max_examples=6)
@given(
    sizes=st.lists(st.integers(1, 3), min_size=2, max_size=5),
    width=st.integers(1, 5),
    depth=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_solved_points_are_mode_points(sizes: list[int], width: int, depth: int, seed: int) -> None:
    """The lemma behind the formula: scaled logits are symmetric, keep class sizes apart, and have the roots as eigenvalues."""
    problem = Problem(tuple(sizes), width, depth, 5e-3, "mse")
    point = solve(problem, random_start(problem, Random(seed=seed)))
    assume(point.gradient_norm < 1e-11)
    scaled = class_means(problem, Objective.of(problem).logits(point.theta)).numpy() * np.sqrt(sizes)
    np.testing.assert_allclose(scaled, scaled.T, atol=1e-7)
    np.testing.assert_allclose(scaled * np.sqrt(sizes), np.sqrt(sizes)[:, None] * scaled, atol=1e-7)
    for value in np.linalg.eigvalsh(scaled):
        if value > 1e-5:
            n, root = mode_of(problem, float(value))
            scale = mode_equation(problem, n).root(root)
            assert scale is not None
            assert value == pytest.approx(scale * math.sqrt(n), rel=1e-7)


def test_the_modes_of_uneven_classes_are_told_apart_by_their_values() -> None:
    problem = Problem((4, 1, 4, 2, 1), 5, 2, 3e-3, "mse")
    form = mode_point(problem, ("large", "small", "small", "large", None), 0)
    assert form is not None
    assert mode_counts(problem, form.singular.tolist()) == (ModeCount(4, 2, 1, 1), ModeCount(1, 2, 0, 1))
    assert equal_classes(problem) == ((0, 2), (1, 4))
    assert [mode_of(problem, v) for v in form.singular.tolist()] == [(4, "large"), (1, "small"), (4, "small"), (2, "large")]


# Volumes.


def rotations(count: int) -> np.ndarray:
    """O(2) on a grid, both components."""
    angles = np.arange(count) * 2 * np.pi / count
    turns = np.array([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]]).transpose(2, 0, 1)
    return np.concatenate([turns, turns @ np.diag([1.0, -1.0])])


def kernel_volume(factors: list[np.ndarray], dimension: int, width: float) -> float:
    """The volume of the orbit from how much of it lies near the point: mean of exp(-|g x - x|^2 / 2e) = (2 pi e)^(D/2) / volume.

    The mean over the group is a trace of one matrix per factor, whose sides are the group elements left and right of it.
    """
    hidden = rotations(320) if factors[0].shape[0] == 2 else np.array([[[1.0]], [[-1.0]]])
    chain = [rotations(320), *[hidden] * (len(factors) - 1), rotations(320)]
    product = np.eye(len(chain[0]))
    for place, factor in enumerate(factors):
        moved = np.einsum("aij,jk,blk->abil", chain[place + 1], factor, chain[place])
        product = np.exp(-np.square(moved - factor).sum((-1, -2)) / (2 * width)) @ product
    return float((2 * np.pi * width) ** (dimension / 2) * math.prod(map(len, chain[:-1])) / np.trace(product))


@pytest.mark.parametrize(
    ("width", "depth", "decay", "marks"),
    [
        (1, 1, 0.05, ("large", None)),
        (2, 1, (0.04, 0.06), ("large", None)),
        (2, 2, 0.03, ("large", "small")),
        (2, 2, (0.03, 0.02, 0.05), ("large", "small")),
        (2, 2, 0.03, ("large", None)),
        (2, 2, 0.03, ("large", "large")),
    ],
)
def test_the_volume_is_that_of_the_orbit_by_quadrature(width: int, depth: int, decay: float, marks: Marks) -> None:
    problem = Problem((1, 1), width, depth, decay, "mse")
    scales = torch.tensor([mode_equation(problem, 1).root(mark) for mark in marks if mark], dtype=torch.float64)
    values = factor_singular_values(problem, scales)
    factors = []
    for shape, column in zip(problem.shapes, values, strict=True):
        factors.append(np.zeros(shape))
        np.fill_diagonal(factors[-1][: len(column), : len(column)], column.numpy())
    dimension = orbit_dimension_at(problem, scales.tolist())
    rough, fine = (kernel_volume(factors, dimension, e) for e in (1.2e-3, 6e-4))
    volume = math.exp(log_orbit_volume(problem, [column.tolist() for column in values]))
    assert 2 * fine - rough == pytest.approx(volume, rel=1e-3)
    assert abs(volume / rough - 1) < 0.05


@pytest.mark.parametrize("classes", [2, 3, 4, 6])
def test_one_mode_of_a_model_of_width_one_is_a_sphere(classes: int) -> None:
    """W = s v, H = s v^T with v on the sphere of R^K: radius sqrt(2) s."""
    problem = Problem.balanced(classes, 1, 1, 1, 0.01, "mse")
    values = factor_singular_values(problem, torch.tensor([mode_equation(problem, 1).root("large")], dtype=torch.float64))
    sphere = math.log(2) + classes / 2 * math.log(math.pi) - math.lgamma(classes / 2)
    radius = math.sqrt(2) * float(values[0])
    assert log_orbit_volume(problem, [v.tolist() for v in values]) == pytest.approx(sphere + (classes - 1) * math.log(radius))


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("sizes", [(2,) * 6, (1, 3, 1, 3, 1, 3)], ids=str)
def test_lengths_across_the_gauge_orbits_are_gram_determinants(sizes: tuple[int, ...], depth: int) -> None:
    """Any multiplicities: dense generators of the modes of unlike kind beside those of the gauge group."""
    problem = Problem(sizes, 5, depth, tuple(3e-3 * (1 + i / 3) for i in range(depth + 1)), "mse")
    marks: Marks = ("large", "large", "small" if depth > 1 else None, "small" if depth > 1 else "large", "large", None)
    on = [c for c, mark in enumerate(marks) if mark is not None]
    scales = [mode_equation(problem, sizes[c]).root(marks[c] or "large") for c in on]
    singular = torch.tensor([scale * math.sqrt(sizes[c]) for scale, c in zip(scales, on, strict=True)], dtype=torch.float64)
    basis = torch.eye(6, dtype=torch.float64)[:, on]  # modes are classes, so the generators of the classes turn modes
    theta = write_parameters(problem, LogitForm(basis, singular, basis.clone()), gauge=2)
    couples = [pair for members in equal_classes(problem) for pair in itertools.combinations(members, 2)]
    unlike = [place for place, (j, k) in enumerate(couples) if marks[j] != marks[k]]
    gauge, moved = generators(problem, theta), data_generators(problem, theta)[:, unlike]
    frame, sizes_of, _ = torch.linalg.svd(gauge, full_matrices=False)
    frame = frame[:, sizes_of > 1e-9]
    across = float(torch.linalg.svdvals(moved - frame @ (frame.T @ moved)).log().sum())
    # the gauge orbit alone, from cross-entropy, which has no data symmetry
    values = [v.tolist() for v in factor_singular_values(problem, singular)]
    added = log_orbit_volume(problem, values) - log_orbit_volume(replace(problem, loss="ce"), values)
    for members in equal_classes(problem):
        added -= log_stiefel_volume(len(members), len(members))
        for kind in ("large", "small", None):
            times = sum(marks[c] == kind for c in members)
            added += log_stiefel_volume(times, times)
    assert added == pytest.approx(across, abs=1e-9)
    assert len(unlike) == orbit_dimension_at(problem, singular.tolist()) - orbit_dimension(len(on), 5, depth)


def test_equal_modes_add_no_volume() -> None:
    problem = Problem.balanced(4, 2, 6, 2, 3e-3, "mse")
    other = Problem.balanced(4, 2, 6, 2, 3e-3)
    scale = mode_equation(problem, 2).root("large")
    values = [v.tolist() for v in factor_singular_values(problem, torch.full((4,), scale, dtype=torch.float64) * math.sqrt(2))]
    assert log_orbit_volume(problem, values) == pytest.approx(log_orbit_volume(other, values), abs=1e-12)
    assert log_stiefel_volume(0, 0) == 0.0


def test_the_free_energy_of_a_minimum_below_width_k_is_the_integral() -> None:
    """K = 2, d = L = 1: exp(-loss / T) over all four parameters, the angle between W and H by a Bessel function."""
    problem, temperature = Problem((1, 1), 1, 1, 0.05, "mse"), 2e-4
    form = mode_point(problem, ("large", None), 1)
    assert form is not None
    entry = at_temperature(problem, core_row(Core.from_form(problem, form)), temperature)
    assert (entry.index, entry.nullity, entry.excess, entry.copies) == (0, 1, 0, 1)
    assert entry.learning_coefficient == 1.5
    best = entry.loss

    def density(h: float, w: float) -> float:
        loss = (w**2 * h**2 - 2 * w * h + 2) / 4 + 0.05 / 2 * (w**2 + h**2)
        return float(w * h * ive(0, w * h / 2 / temperature) * math.exp(-(loss - best) / temperature))

    middle = math.sqrt(float(form.singular[0]))
    mass = (2 * math.pi) ** 2 * dblquad(density, middle - 0.4, middle + 0.4, middle - 0.4, middle + 0.4, epsabs=0, epsrel=1e-8)[0]
    assert entry.free_energy is not None
    assert -(entry.free_energy - best) / temperature == pytest.approx(math.log(mass), abs=0.01)


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (2, 1, 2, 1)], ids=str)
def test_relabelled_copies_lie_on_one_manifold(sizes: tuple[int, ...]) -> None:
    """Every permutation of equal classes is undone along the data symmetry: it is one of its rotations or reflections."""
    problem = Problem(sizes, 3, 2, 5e-3, "mse")
    form = mode_point(problem, ("large", None, "small", None), 3)
    assert form is not None
    logits = (form.left * form.singular) @ form.right.mT
    assert copies_at(problem, logits) == 1
    for order in itertools.permutations(range(4)):
        if all(sizes[c] == sizes[place] for place, c in enumerate(order)):
            turn = torch.eye(4, dtype=torch.float64)[list(order)]
            moved = Core.from_form(problem, LogitForm(turn @ form.left, form.singular, turn @ form.right))
            assert moved.loss == pytest.approx(Core.from_form(problem, form).loss, abs=1e-15)
            assert float(moved.objective.gradient(moved.theta).norm()) < 1e-14
