"""The symmetry groups acted out with matrix exponentials, their rank counted by numpy on dense generators, and no others found."""

import itertools

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st

from landscape.model.dimensions import equal_classes
from landscape.model.gauge import data_generators, generators, interfaces, orbit, rotate
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from tests.model.actions import relabel, rotate_classes


def draw(size: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def factors_of_rank(problem: Problem, rank: int, seed: int, scale: float = 1.0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [scale * rng.normal(size=(m, rank)) @ rng.normal(size=(rank, n)) for m, n in problem.shapes]


def flat(factors: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.concatenate([f.ravel() for f in factors]))


def dense_generators(factors: list[np.ndarray], count: int) -> np.ndarray:
    """One column per interface and pair of coordinates, by the chain rule written out."""
    columns = []
    for i in range(count):
        d = factors[i].shape[0]
        for j in range(d):
            for k in range(j + 1, d):
                skew = np.zeros((d, d))
                skew[j, k], skew[k, j] = 1, -1
                move = [np.zeros_like(f) for f in factors]
                move[i], move[i + 1] = skew @ factors[i], factors[i + 1] @ skew.T
                columns.append(np.concatenate([m.ravel() for m in move]))
    return np.array(columns).T


def dense_data_generators(problem: Problem, factors: list[np.ndarray]) -> np.ndarray:
    """One column per pair of classes of one size, from the change of W_L and of H_1 written out sample by sample."""
    labels = np.repeat(np.arange(problem.classes), problem.class_sizes)
    columns = []
    for j, k in itertools.combinations(range(problem.classes), 2):
        n = problem.class_sizes[j]
        if problem.loss == "ce" or problem.class_sizes[k] != n:
            continue
        move = [np.zeros_like(f) for f in factors]
        move[-1][j], move[-1][k] = factors[-1][k], -factors[-1][j]
        move[0][:, labels == j] = factors[0][:, labels == k].sum(axis=1, keepdims=True) / n
        move[0][:, labels == k] = -factors[0][:, labels == j].sum(axis=1, keepdims=True) / n
        columns.append(np.concatenate([m.ravel() for m in move]))
    return np.array(columns).reshape(-1, problem.parameters).T


def both(problem: Problem, factors: list[np.ndarray]) -> np.ndarray:
    gauge = dense_generators(factors, interfaces(problem)).reshape(problem.parameters, -1)
    return np.concatenate([gauge, dense_data_generators(problem, factors)], axis=1)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_generators_are_the_derivative_of_the_group(depth):
    problem = Problem((2, 1, 1), 4, depth, 0.1)
    factors = factors_of_rank(problem, 3, 0)
    columns = generators(problem, flat(factors)).numpy()
    np.testing.assert_allclose(columns, dense_generators(factors, depth), rtol=0, atol=1e-14)
    step, index = 1e-6, 0
    for i in range(depth):
        for j, k in [(a, b) for a in range(4) for b in range(a + 1, 4)]:
            skew = np.zeros((4, 4))
            skew[j, k], skew[k, j] = step, -step
            turned = []
            for sign in (1, -1):
                turn = scipy.linalg.expm(sign * skew)
                moved = list(factors)
                moved[i], moved[i + 1] = turn @ moved[i], moved[i + 1] @ turn.T
                turned.append(flat(moved).numpy())
            np.testing.assert_allclose(columns[:, index], (turned[0] - turned[1]) / (2 * step), rtol=0, atol=1e-8)
            index += 1
    assert index == columns.shape[1]


@given(
    classes=st.integers(2, 5),
    depth=st.integers(1, 4),
    extra=st.integers(-1, 3),
    seed=st.integers(0, 2**20),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    loss=st.sampled_from(["ce", "mse"]),
)
def test_orbit_dimension_is_numpys_rank(classes, depth, extra, seed, scale, loss):
    rng = np.random.default_rng(seed)
    width = max(1, classes - 1 + extra)
    problem = Problem(tuple(rng.integers(1, 4, size=classes).tolist()), width, depth, 0.1, loss)
    rank = int(rng.integers(0, min(classes, width) + 1))
    factors = factors_of_rank(problem, rank, seed, scale)
    tolerance = float(1e-10 * max(np.linalg.norm(f) for f in factors) + 1e-300)
    measured = orbit(problem, [torch.from_numpy(f) for f in factors], tolerance)
    columns = both(problem, factors)
    values = np.linalg.svd(columns, compute_uv=False) if columns.size else np.zeros(0)
    values = values[values > tolerance]
    assert measured.dimension == len(values)
    gauge = dense_generators(factors, depth)
    rank = int((np.linalg.svd(gauge, compute_uv=False) > tolerance).sum()) if gauge.size else 0
    assert measured.data == len(values) - rank
    if len(values):
        assert measured.smallest_singular == pytest.approx(values.min(), rel=1e-6)
    else:
        assert measured.smallest_singular == float("inf")


def test_different_ranks_in_different_factors():
    problem = Problem((2, 2, 1), 5, 3, 0.1)
    rng = np.random.default_rng(3)
    factors = [rng.normal(size=(m, r)) @ rng.normal(size=(r, n)) for (m, n), r in zip(problem.shapes, [2, 1, 0, 3], strict=True)]
    measured = orbit(problem, [torch.from_numpy(f) for f in factors], 1e-10)
    values = np.linalg.svd(dense_generators(factors, 3), compute_uv=False)
    assert measured.dimension == int((values > 1e-10).sum())
    assert measured.smallest_singular == pytest.approx(values[values > 1e-10].min(), rel=1e-9)


def test_the_core_stands_for_the_padded_point():
    problem = Problem((2, 1, 1), 7, 2, 0.1)
    rng = np.random.default_rng(1)
    small = [rng.normal(size=s) for s in [(2, 3), (2, 2), (3, 2)]]
    padded = [np.zeros(s) for s in problem.shapes]
    for big, little in zip(padded, small, strict=True):
        big[: little.shape[0], : little.shape[1]] = little
    values = np.linalg.svd(dense_generators(padded, 2), compute_uv=False)
    assert orbit(problem, [torch.from_numpy(f) for f in small], 1e-10).dimension == int((values > 1e-10).sum())


@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_rotations_change_nothing_and_generators_are_what_they_say(activation):
    problem = Problem((2, 1, 1), 5, 3, 0.1, activation=activation)
    objective, theta = Objective.of(problem), draw((problem.parameters,))
    turned = rotate(problem, theta, torch.Generator().manual_seed(1))
    assert float((turned - theta).norm()) > 1
    torch.testing.assert_close(objective.logits(turned), objective.logits(theta), rtol=0, atol=1e-12)
    torch.testing.assert_close(objective.loss(turned), objective.loss(theta), rtol=1e-14, atol=0)
    torch.testing.assert_close(objective.gradient(turned).norm(), objective.gradient(theta).norm(), rtol=1e-12, atol=0)
    slopes = generators(problem, theta).T @ objective.gradient(theta)
    assert float(slopes.abs().max()) < 1e-13
    assert interfaces(problem) == (3 if activation == "linear" else 1)


def test_relu_breaks_the_inner_rotations():
    """A rotation behind a rectifier does change the loss, so counting it would be wrong."""
    problem = Problem((2, 1, 1), 5, 2, 0.1, activation="relu")
    theta = draw((problem.parameters,))
    parts = Objective.of(problem).split(theta)
    turn = torch.linalg.qr(draw((5, 5), 9))[0]
    moved = torch.cat([parts[0].flatten(), (turn @ parts[1]).flatten(), (parts[2] @ turn.T).flatten()])
    assert abs(float(Objective.of(problem).loss(moved) - Objective.of(problem).loss(theta))) > 1e-3


EQUAL_CLASSES = [
    Problem((2, 2, 2), 2, 1, 0.1, "mse"),
    Problem((1, 3, 1, 3), 3, 2, (0.1, 0.2, 0.3), "mse"),
    Problem((1, 1), 1, 3, 0.1, "mse"),
]


@pytest.mark.parametrize("problem", EQUAL_CLASSES, ids=str)
def test_rotations_of_equal_classes_change_the_logits_and_not_the_loss(problem):
    objective, theta = Objective.of(problem), draw((problem.parameters,))
    turned = rotate_classes(problem, theta, torch.Generator().manual_seed(1))
    assert float((objective.logits(turned) - objective.logits(theta)).norm()) > 0.1
    torch.testing.assert_close(objective.loss(turned), objective.loss(theta), rtol=1e-13, atol=0)
    torch.testing.assert_close(objective.gradient(turned).norm(), objective.gradient(theta).norm(), rtol=1e-12, atol=0)
    columns = data_generators(problem, theta)
    assert float((columns.T @ objective.gradient(theta)).abs().max()) < 1e-13
    factors = [f.numpy() for f in objective.split(theta)]
    np.testing.assert_allclose(columns, dense_data_generators(problem, factors), rtol=0, atol=1e-14)
    step, index = 1e-6, 0
    means = np.repeat(np.eye(problem.classes) / np.sqrt(problem.class_sizes)[:, None], problem.class_sizes, axis=0)
    for j, k in [pair for members in equal_classes(problem) for pair in itertools.combinations(members, 2)]:
        skew = np.zeros((problem.classes, problem.classes))
        skew[j, k], skew[k, j] = step, -step
        ends = []
        for sign in (1, -1):
            samples = scipy.linalg.expm(sign * means @ skew @ means.T)
            ends.append(flat([factors[0] @ samples.T, *factors[1:-1], scipy.linalg.expm(sign * skew) @ factors[-1]]).numpy())
        np.testing.assert_allclose(columns[:, index], (ends[0] - ends[1]) / (2 * step), rtol=0, atol=1e-8)
        index += 1
    assert index == columns.shape[1] > 0


@pytest.mark.parametrize(
    "problem",
    [Problem((2, 2), 3, 2, 0.1), Problem((2, 3), 3, 2, 0.1, "mse"), Problem((2, 2), 3, 2, 0.1, "mse", "relu")],
    ids=["cross-entropy", "uneven", "relu"],
)
def test_other_models_have_no_data_symmetry(problem):
    """The rotation of two classes is done by hand, so that this does not rest on `equal_classes`."""
    assert equal_classes(problem) == ()
    objective, theta = Objective.of(problem), draw((problem.parameters,))
    assert torch.equal(rotate_classes(problem, theta, torch.Generator().manual_seed(1)), theta)
    assert data_generators(problem, theta).shape == (problem.parameters, 0)
    factors = [f.numpy() for f in objective.split(theta)]
    skew = scipy.linalg.expm(np.array([[0.0, 0.5], [-0.5, 0.0]]))
    means = np.repeat(np.eye(2) / np.sqrt(problem.class_sizes)[:, None], problem.class_sizes, axis=0)
    samples = means @ skew @ means.T + np.eye(len(means)) - means @ means.T
    moved = flat([factors[0] @ samples.T, *factors[1:-1], skew @ factors[-1]])
    assert abs(float(objective.loss(moved) - objective.loss(theta))) > 1e-4


def pairs(size: int) -> int:
    return size * (size - 1) // 2


@pytest.mark.parametrize("decay", [0.1, (0.1, 0.2, 0.3)], ids=["one decay", "three"])
@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("loss", ["ce", "mse"])
@pytest.mark.parametrize(
    ("sizes", "width", "depth"), [((1, 1), 2, 1), ((2, 2), 2, 1), ((1, 2, 1), 2, 1), ((1, 1), 1, 2), ((1, 1), 2, 2), ((2, 1), 2, 2)]
)
def test_there_are_no_other_affine_symmetries(sizes, width, depth, loss, activation, decay):
    """Every field D theta + b along which the loss is constant, from the null space of gradient x (theta, 1) at many points."""
    problem = Problem(sizes, width, depth, decay if isinstance(decay, float) else decay[: depth + 1], loss, activation)
    size, generator = problem.parameters, torch.Generator().manual_seed(0)
    points = size * (size + 1) + 40
    scales = torch.exp(torch.empty(points, 1, dtype=torch.float64).uniform_(-1.0, 1.2, generator=generator))
    theta = scales * torch.randn(points, size, dtype=torch.float64, generator=generator)
    slopes = Objective.of(problem).gradient(theta)
    rows = (slopes[:, :, None] * torch.cat([theta, torch.ones(points, 1, dtype=torch.float64)], dim=1)[:, None, :]).flatten(1)
    values = torch.linalg.svdvals(rows / rows.norm(dim=1, keepdim=True))
    fields = int((values < 1e-12 * values[0]).sum())
    assert int((values < 1e-4 * values[0]).sum()) == fields, "a clear gap"
    expected = interfaces(problem) * pairs(width) + sum(pairs(len(members)) for members in equal_classes(problem))
    if loss == "mse" and problem.is_linear:
        expected += pairs(problem.total_samples - problem.classes)  # differences within classes, 0 at critical points
    if loss == "ce":
        expected += pairs(width)  # the column sums of W_L, 0 at critical points
    assert fields == expected


def test_relabelling_moves_classes_with_their_samples():
    problem = Problem((3, 1, 2), 4, 2, 0.1)
    theta = draw((problem.parameters,))
    moved_problem, moved = relabel(problem, theta, [2, 0, 1])
    assert moved_problem.class_sizes == (2, 3, 1)
    torch.testing.assert_close(Objective.of(moved_problem).loss(moved), Objective.of(problem).loss(theta), rtol=1e-14, atol=0)
    before, after = Objective.of(problem).logits(theta), Objective.of(moved_problem).logits(moved)
    np.testing.assert_allclose(after, before[[2, 0, 1]][:, [4, 5, 0, 1, 2, 3]], rtol=0, atol=1e-14)
