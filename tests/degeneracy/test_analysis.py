"""The report is right or it says that it does not know: against numpy on dense Hessians, and under attack."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from landscape.degeneracy.analysis import analyse
from landscape.degeneracy.methods import MethodName
from landscape.degeneracy.reduction import reduce
from landscape.errors import InputError
from landscape.model.gauge import data_generators, generators, rotate
from landscape.model.logit_form import LogitForm, write_parameters
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.points.point import CriticalPoint, Origin
from landscape.solver.run import solve
from landscape.solver.starts import Random, random_start
from landscape.structures.analytic import logit_form
from landscape.structures.block_bases import contrasts
from landscape.structures.kinds import Apex, Collapse, Pairs, Partition, Structure
from landscape.structures.scale_equation import simplex_equation
from tests.degeneracy.test_reduction import fields
from tests.model.actions import relabel

PAPER = Problem.balanced(10, 5, 70, 2, 2**-10)
REPORT_KEYS = {
    "parameters", "rank", "loss", "gradient_norm", "index", "nullity", "orbit_dimension", "paper_dimension", "excess",
    "resolved", "critical", "proved", "bits", "statement", "near_zero", "structure", "min_eigenvalue", "max_eigenvalue",
    "smallest_positive", "flatness", "learning_coefficient", "collapse", "certificate", "spectrum",
}  # fmt: skip
METHODS: list[MethodName] = ["reduction", "dense"]


def given_point(problem: Problem, theta: torch.Tensor) -> CriticalPoint:
    return CriticalPoint.at(problem, theta, Origin("test"))


def noise(size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def loss_of(problem: Problem):
    """The paper's loss with torch's own cross-entropy, or squared error."""
    labels = torch.arange(problem.classes).repeat_interleave(torch.tensor(problem.class_sizes))
    decays = problem.decay if isinstance(problem.decay, tuple) else (problem.decay,) * (problem.depth + 1)

    def loss(theta: torch.Tensor) -> torch.Tensor:
        parts = theta.split([m * n for m, n in problem.shapes])
        z = logits(problem, theta)
        if problem.loss == "ce":
            fit = torch.nn.functional.cross_entropy(z.T, labels)
        else:
            one_hot = torch.nn.functional.one_hot(labels, problem.classes).to(theta.dtype)
            fit = (z.T - one_hot).pow(2).sum() / (2 * len(labels))
        return fit + sum(decay / 2 * (part**2).sum() for decay, part in zip(decays, parts, strict=True))

    return loss


def logits(problem: Problem, theta: torch.Tensor) -> torch.Tensor:
    parts = theta.split([m * n for m, n in problem.shapes])
    signal = parts[0].reshape(problem.shapes[0])
    for index, (part, shape) in enumerate(zip(parts[1:], problem.shapes[1:], strict=True)):
        rectified = signal.relu() if index and problem.activation == "relu" else signal
        signal = part.reshape(shape) @ rectified
    return signal


def dense_eigh(problem: Problem, theta: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    hessian = torch.func.hessian(loss_of(problem))(theta)
    return np.linalg.eigh(((hessian + hessian.T) / 2).numpy())


def truth(problem: Problem, theta: torch.Tensor) -> tuple[int, int]:
    """Nullity and index by numpy, where a gap of 1e5 leaves no doubt."""
    values = dense_eigh(problem, theta)[0]
    sizes = np.sort(np.abs(values))
    zeros = int((sizes < 1e-11 * sizes.max()).sum())
    assert zeros == len(sizes) or sizes[zeros] > 1e-6 * sizes.max(), "no clear gap: choose another example"
    return zeros, int((values < -1e-7 * sizes.max()).sum())


def counts(problem: Problem, theta: torch.Tensor, method: MethodName, excess: int = 0) -> tuple[int | None, int | None]:
    report = analyse(given_point(problem, theta), method)
    if report.resolved:
        assert report.excess == excess
    else:
        assert report.nullity is None and report.index is None and report.excess is None  # noqa: PT018
        assert report.reason
        assert "\n" not in report.reason
    return report.nullity, report.index


def right_or_undecided(problem: Problem, theta: torch.Tensor, expected: tuple[int, int], method: MethodName) -> bool:
    found = counts(problem, theta, method)
    assert found in (expected, (None, None)), f"{found} instead of {expected}"
    return found == expected


# The paper's setting.


def test_the_papers_collapse_by_reduction():
    theta = write_parameters(PAPER, logit_form(PAPER, Collapse()), gauge=0)
    report = analyse(given_point(PAPER, theta))
    assert (report.method, report.structure, report.rank) == ("reduction", "DNC", 9)
    assert (report.nullity, report.index, report.excess) == (1170, 0, 0)
    assert (report.orbit_dimension, report.orbit_formula, report.paper_dimension) == (1170, 1170, 1098)
    assert report.loss == pytest.approx(0.0906621832, abs=6e-11)
    assert report.learning_coefficient == 3965
    assert report.smallest_positive == pytest.approx(2**-10, rel=1e-9)


def test_the_papers_pairs_by_reduction():
    report = analyse(given_point(PAPER, write_parameters(PAPER, logit_form(PAPER, Pairs()))))
    assert (report.structure, report.rank, report.nullity, report.index) == ("pairs", 5, 670, 0)
    assert report.paper_dimension == 650
    assert report.learning_coefficient == 4215
    assert report.loss == pytest.approx(0.0800126592, abs=6e-11)


@pytest.mark.slow
def test_the_papers_collapse_by_dense():
    theta = write_parameters(PAPER, logit_form(PAPER, Collapse()), gauge=2)
    point = given_point(PAPER, theta)
    dense, reduced = analyse(point, "dense"), analyse(point, "reduction")
    assert (dense.nullity, dense.index, dense.orbit_dimension, dense.paper_dimension) == (1170, 0, 1170, 1098)
    np.testing.assert_allclose(dense.spectrum.expanded(), reduced.spectrum.expanded(), rtol=0, atol=1e-12)
    for name in ("spectral", "frobenius", "trace", "gauss_newton_frobenius", "gauss_newton_trace"):
        assert getattr(dense.flatness, name) == pytest.approx(getattr(reduced.flatness, name), rel=1e-11)


FAMILIES = {0.0906621832: 9, 0.0884334205: 8, 0.0860816013: 7, 0.0800126592: 5}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_random_seeds_of_the_papers_setting(seed):
    point = solve(PAPER, random_start(PAPER, Random(seed=seed)))
    assert point.gradient_norm <= 1e-12
    loss, rank = min(FAMILIES.items(), key=lambda item: abs(item[0] - point.loss))
    assert point.loss == pytest.approx(loss, abs=1e-9)
    report = analyse(point)
    assert (report.rank, report.index, report.nullity) == (rank, 0, 2 * (70 * rank - rank * (rank + 1) // 2))


def test_json_keys_are_the_promised_ones():
    report = analyse(given_point(PAPER, write_parameters(PAPER, logit_form(PAPER, Collapse())))).as_dict()
    assert set(report) == REPORT_KEYS
    assert sorted(report["flatness"]) == ["frobenius", "gauss_newton", "spectral", "trace"]
    assert sorted(report["flatness"]["gauss_newton"]) == ["frobenius", "trace"]
    assert set(report["certificate"]) >= {"cutoff", "gradient_norm", "largest_zero", "method", "smallest_nonzero", "second"}
    assert sum(times for _, times in report["spectrum"]) == report["parameters"] == 9100


@pytest.mark.parametrize(
    ("structure", "index"),
    [(Partition((10,)), 0), (Partition((8, 2)), 0), (Partition((6, 2, 2)), 0), (Partition((2,) * 5), 0),
     (Partition((5, 5)), 18), (Partition((3, 3, 2, 2)), 4)],
    ids=str,
)  # fmt: skip
def test_indices_of_partitions(structure, index):
    problem = Problem.balanced(10, 1, 12, 2, 2**-10)
    report = analyse(Core.from_form(problem, logit_form(problem, structure)))
    assert report.index == index
    assert report.excess == 0


@pytest.mark.parametrize("width", [4, 6])
@pytest.mark.parametrize(("groups", "slope", "offset"), [((4,), 0, 0), ((2, 2), 1, -2), ((3, 1), 1, 0), ((2, 1, 1), 2, 0)])
def test_one_layer_has_only_strict_saddles_beside_collapse(width, groups, slope, offset):
    """theory.md, section 8, gives 4, 6 and 12: those are the indices at width 6; they grow with the width."""
    problem = Problem.balanced(4, 1, width, 1, 1e-2)
    theta, rank = write_parameters(problem, logit_form(problem, Partition(groups)), gauge=0), 4 - len(groups)
    expected = (width * rank - rank * (rank + 1) // 2, slope * width + offset)
    assert truth(problem, theta) == expected
    assert counts(problem, theta, "reduction") == expected


def test_many_classes_make_collapse_a_saddle():
    problem = Problem.balanced(16, 1, 16, 3, 1e-3)
    report = analyse(Core.from_form(problem, logit_form(problem, Collapse())))
    assert (report.index, report.nullity) == (104, 3 * (16 * 15 - 15 * 16 // 2))


@pytest.mark.slow
def test_apex_beats_collapse_at_five_classes():
    problem = Problem.balanced(5, 2, 6, 2, 1e-3)
    report = analyse(given_point(problem, write_parameters(problem, logit_form(problem, Apex()))))
    assert report.loss == pytest.approx(0.030945360, abs=6e-10)
    assert (report.rank, report.index, report.structure) == (3, 0, "apex")


@pytest.mark.parametrize(("decay", "depth"), [(0.1, 2), ((0.1, 0.2, 0.3), 2), (0.1, 3)])
def test_the_zero_point(decay, depth):
    problem = Problem((2, 1, 1), 4, depth, decay)
    theta = torch.zeros(problem.parameters, dtype=torch.float64)
    for method in METHODS:
        report = analyse(given_point(problem, theta), method)
        assert (report.rank, report.nullity, report.index, report.structure) == (0, 0, 0, "zero")


def gauss_newton_norms(z: np.ndarray, depth: int) -> tuple[float, float]:
    """Frobenius norm and trace of J' R J at a balanced critical point with logits z, from (K N)^2 numbers and no parameters.

    J J' = sum over l of (Z Z')^((L-l)/(L+1)) x (Z' Z)^(l/(L+1)), diagonal on the rank-one matrices of singular vectors of Z.
    """
    classes, columns = z.shape
    left, values, right = np.linalg.svd(z)
    values = np.where(values > 1e-9 * values.max(), values, 0)
    a, b = np.meshgrid(values, np.concatenate([values, np.zeros(columns - classes)]), indexing="ij")
    parts = [
        np.where((layer == depth) | (a > 0), a ** (2 * (depth - layer) / (depth + 1)), 0)
        * np.where((layer == 0) | (b > 0), b ** (2 * layer / (depth + 1)), 0)
        for layer in range(depth + 1)
    ]
    weight = np.sum(parts, axis=0)
    frames = np.einsum("ka,bj->abkj", left, right)
    label, sample = np.repeat(np.arange(classes), columns // classes), np.arange(columns)
    relative = frames - frames[:, :, label, sample][:, :, None, :]  # to the true class, so that nothing cancels
    p = np.exp(z - z[label, sample])
    p /= p.sum(0)
    bent = p * (relative - (p * relative).sum(-2, keepdims=True)) / columns
    size = classes * columns
    product = frames.reshape(size, size) @ bent.reshape(size, size).T * weight.reshape(size)[:, None]
    return float(np.sqrt(np.trace(product @ product))), float(np.trace(product))


def partition_logits(groups: tuple[int, ...], decay: float, samples: int, depth: int) -> np.ndarray:
    problem = Problem.balanced(sum(groups), samples, sum(groups), depth, decay)
    z, start = np.zeros((sum(groups),) * 2), 0
    for g in groups:
        scale = simplex_equation(problem, g, samples).root("large")
        z[start : start + g, start : start + g] = scale * (np.eye(g) - 1 / g)
        start += g
    return np.repeat(z, samples, axis=1)


@pytest.mark.parametrize("structure", [Collapse(), Pairs(), Partition((6, 2, 2))], ids=str)
def test_gauss_newton_norms_from_the_sample_space(structure):
    problem = Problem.balanced(10, 1, 12, 2, 2**-10)
    groups = {Collapse(): (10,), Pairs(): (2,) * 5}.get(structure) or structure.groups
    report = analyse(Core.from_form(problem, logit_form(problem, structure)))
    frobenius, trace = gauss_newton_norms(partition_logits(groups, 2**-10, 1, 2), 2)
    assert report.flatness.gauss_newton_frobenius == pytest.approx(frobenius, rel=1e-10)
    assert report.flatness.gauss_newton_trace == pytest.approx(trace, rel=1e-10)


@pytest.mark.parametrize("power", [10, 100])
def test_flatness_of_collapse_over_that_of_pairs(power):
    """Theorem 6, Gauss-Newton part: DNC over pairs tends to 0.9816 (Frobenius) and 0.9415 (trace), like 1 / log(1/decay)."""
    problem = Problem.balanced(10, 5, 70, 2, 2.0**-power)
    ratios = []
    cases: list[tuple[Structure, tuple[int, ...]]] = [(Collapse(), (10,)), (Pairs(), (2,) * 5)]
    for structure, groups in cases:
        newton = reduce(Core.from_form(problem, logit_form(problem, structure))).gauss_newton
        values = np.concatenate([np.repeat(block.values.numpy(), block.multiplicity) for block in newton])
        measured = float(np.linalg.norm(values)), float(values.sum())
        assert measured == pytest.approx(gauss_newton_norms(partition_logits(groups, problem.mean_decay, 5, 2), 2), rel=1e-9)
        ratios.append(measured)
    frobenius, trace = np.divide(ratios[0], ratios[1])
    assert frobenius == pytest.approx(0.9816, abs=4e-3 if power == 10 else 1e-4)
    assert trace == pytest.approx(0.9415, abs=4e-3 if power == 10 else 1e-4)


# Any solved point of any small problem.


@pytest.mark.slow
@settings(max_examples=5)
@given(fields(), st.integers(0, 1000))
def test_solved_points_of_random_problems(chosen, seed):
    problem = Problem(**chosen)
    point = solve(problem, random_start(problem, Random(seed=seed)))
    reduced, dense = analyse(point, "reduction"), analyse(point, "dense")
    assert (reduced.nullity, reduced.index) == (dense.nullity, dense.index)
    assert reduced.orbit_dimension == dense.orbit_dimension
    np.testing.assert_allclose(reduced.spectrum.expanded(), dense.spectrum.expanded(), rtol=0, atol=1e-12)
    values = dense_eigh(problem, point.theta)[0]
    for report in (reduced, dense):
        flat = report.flatness
        assert flat.spectral == pytest.approx(np.abs(values).max(), rel=1e-10)
        assert flat.frobenius == pytest.approx(np.sqrt((values**2).sum()), rel=1e-10)
        assert flat.trace == pytest.approx(values.sum(), rel=1e-10)
    if reduced.resolved:
        columns = torch.cat([generators(problem, point.theta), data_generators(problem, point.theta)], dim=1).numpy()
        singular = np.linalg.svd(columns, compute_uv=False) if columns.size else np.zeros(0)
        rank = int((singular > 1e-8).sum())
        assert reduced.orbit_dimension == rank
        assert reduced.excess == 0
        turned = rotate(problem, point.theta, torch.Generator().manual_seed(seed))
        assert counts(problem, turned, "reduction") == (reduced.nullity, reduced.index)
        order = np.random.default_rng(seed).permutation(problem.classes).tolist()
        moved = relabel(problem, point.theta, order)
        assert counts(*moved, "reduction") == (reduced.nullity, reduced.index)
        assert analyse(given_point(*moved)).structure == reduced.structure


# Attacks: right, or undecided.

TARGETS = [
    (Problem.balanced(4, 2, 6, 2, 1e-3), Collapse()),
    (Problem.balanced(4, 2, 6, 2, 1e-3), Pairs()),
    (Problem.balanced(4, 2, 6, 2, 1e-3), Collapse("small")),
    (Problem.balanced(4, 1, 4, 3, 1e-2), Partition((3, 1))),
    (Problem((2, 2, 3, 3), 4, 2, (1e-3, 2e-3, 5e-4)), Pairs()),
    (Problem.balanced(4, 2, 5, 1, 1e-2), Partition((2, 1, 1))),
    (Problem((3, 1, 2), 4, 3, 1e-3, "mse"), Collapse()),
    (Problem((3, 1, 2), 4, 2, 1e-3, "mse"), Collapse("small")),
]
CASES = [(*target, "reduction") for target in TARGETS] + [
    pytest.param(*target, "dense", marks=pytest.mark.slow) for target in TARGETS
]  # dense traces the loss anew at every point, a second or more each
NEAR, FAR = [1e-12, 1e-10, 1e-8, 1e-7, 1e-6], [1e-5, 1e-4, 1e-3, 1e-2, 3e-2, 1e-1]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("problem", [Problem.balanced(4, 2, 6, 2, 1e-3), Problem.balanced(3, 1, 3, 1, 1e-2)], ids=str)
def test_a_random_vector_is_no_critical_point(problem, method):
    assert counts(problem, random_start(problem, Random(seed=1)), method) == (None, None)


@pytest.mark.slow
@pytest.mark.parametrize(("problem", "structure", "method"), CASES, ids=str)
@pytest.mark.parametrize("levels", [NEAR, FAR], ids=["near", "far"])
def test_noise_in_random_gauge_and_soft_directions(problem, structure, method, levels):
    theta = write_parameters(problem, logit_form(problem, structure), gauge=1)
    expected = truth(problem, theta)
    values, vectors = dense_eigh(problem, theta)
    near = int(np.argsort(np.where(np.abs(values) < 1e-10, np.inf, np.abs(values)))[0])
    gauge = generators(problem, theta) @ noise(generators(problem, theta).shape[1], 3)
    directions = [noise(len(theta)), gauge / gauge.norm(), torch.from_numpy(vectors[:, near]), torch.from_numpy(vectors[:, 0])]
    assert right_or_undecided(problem, theta, expected, method), "an exact point must be resolved"
    wrong = []
    for kind, direction in enumerate(directions):
        for level in levels if method == "reduction" else levels[1::3]:
            found = counts(problem, theta + level * direction, method)
            if found not in (expected, (None, None)):
                wrong.append((kind, level, found))
            assert level > 1e-10 or found == expected
    assert not wrong, f"{wrong} instead of {expected}"


@pytest.mark.parametrize("decay", [1e-4, 1e-5, 1e-6])
def test_a_noisy_small_root_is_not_the_zero_point(decay):
    """Its singular values are decay * K n^(1/3), far above the distance g / decay to which the gradient norm pins the point."""
    problem = Problem.balanced(4, 2, 6, 2, decay)
    theta = write_parameters(problem, logit_form(problem, Collapse("small")), gauge=0)
    direction = noise(len(theta), 1) * theta.norm() / len(theta) ** 0.5
    found = {level: counts(problem, theta + level * direction, "reduction") for level in np.geomspace(1e-4, 0.2, 9)}
    assert {level: pair for level, pair in found.items() if pair not in ((24, 6), (None, None))} == {}


@pytest.mark.parametrize(("problem", "structure", "method"), CASES, ids=str)
def test_rescaled_points_are_not_critical(problem, structure, method):
    theta = write_parameters(problem, logit_form(problem, structure), gauge=1)
    expected = truth(problem, theta)
    found = {scale: counts(problem, scale * theta, method) for scale in [0.5, 0.999, 1 + 1e-6, 2.0, 1e3]}
    assert {scale: pair for scale, pair in found.items() if pair not in (expected, (None, None))} == {}


@pytest.mark.parametrize(("problem", "structure", "method"), CASES, ids=str)
def test_points_rounded_to_float32(problem, structure, method):
    theta = write_parameters(problem, logit_form(problem, structure), gauge=1)
    right_or_undecided(problem, theta.float().double(), truth(problem, theta), method)


@pytest.mark.parametrize(("depth", "right"), [(2, 18), (3, 27)])
@pytest.mark.parametrize(("method", "level"), [("reduction", e) for e in [0.0, 1e-14, 1e-11, 1e-9, 1e-7]] + [("dense", 0.0)])
def test_saddles_whose_small_eigenvalues_double_precision_cannot_see(depth, right, method, level):
    problem = Problem.balanced(4, 2, 6, depth, 1e-3)
    theta = write_parameters(problem, logit_form(problem, Pairs("small")), gauge=1)
    nullity, _ = counts(problem, theta + level * noise(len(theta)), method)
    assert nullity in (right, None)


@pytest.mark.parametrize(("K", "L"), [(4, 2), (3, 3)])
@pytest.mark.parametrize("distance", [1e-2, 1e-4, 1e-8, 1e-12, 1e-14])
@pytest.mark.parametrize("root", ["large", "small"])
def test_close_to_the_fold(K, L, distance, root):
    """One eigenvalue per fold direction goes to zero like the root of the distance; it changes sign between the two roots."""
    largest = simplex_equation(Problem.balanced(K, 2, K, L, 1e-3), K, 2).largest_decay
    problem = Problem.balanced(K, 2, K + 1, L, largest * (1 - distance))
    theta = write_parameters(problem, logit_form(problem, Collapse(root)), gauge=0)
    values = dense_eigh(problem, theta)[0]
    sizes = np.sort(np.abs(values))
    nullity = L * ((K + 1) * (K - 1) - (K - 1) * K // 2)
    assert sizes[nullity - 1] < 1e-14 < 1e-9 < sizes[nullity]
    for method in METHODS if distance == 1e-8 else METHODS[:1]:
        right_or_undecided(problem, theta, (nullity, int((values < -1e-9).sum())), method)


@pytest.mark.parametrize(("K", "L"), [(4, 2), (6, 3), (5, 2)])
@pytest.mark.parametrize("distance", [0.0, 1e-13, -1e-13, 1e-11, -1e-11, 1e-9, -1e-9, 1e-6, -1e-6])
def test_at_the_stability_threshold(K, L, distance):
    """alpha = K (L-1)/(L+1), an irrational decay: at the doubles beside it K (K-3)/2 eigenvalues are small with a proved sign."""
    alpha = K * (L - 1) / (L + 1) * (1 + distance)
    decay = math.exp(-alpha) / (1 + (K - 1) * math.exp(-alpha)) * alpha ** ((L - 1) / (L + 1))
    problem = Problem.balanced(K, 1, K, L, decay)
    form = LogitForm(contrasts(K), torch.full((K - 1,), alpha, dtype=torch.float64), contrasts(K))
    theta = write_parameters(problem, form, gauge=0)
    nullity = L * (K * (K - 1) - (K - 1) * K // 2)
    soft = K * (K - 3) // 2
    fold = simplex_equation(problem, K, 1).root("small")
    assert fold is not None
    below = int((dense_eigh(problem, theta)[0] < -1e-6 * decay).sum())  # what is negative beside the soft ones
    for method in METHODS if distance in (0.0, -1e-9) and K == 4 else METHODS[:1]:
        found = counts(problem, theta, method)
        if distance == 0:
            assert found in ((None, None), (nullity, below), (nullity, below + soft))
        elif abs(distance) < 1e-6:
            assert found in ((None, None), (nullity, below + (soft if distance < 0 else 0)))
        else:
            assert found == (nullity, int((dense_eigh(problem, theta)[0] < -1e-10).sum()))


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("decay", [1e-6, 1e-8])
@pytest.mark.parametrize("structure", [Collapse(), Pairs()], ids=str)
def test_tiny_decays(depth, decay, structure):
    problem = Problem.balanced(4, 2, 6, depth, decay)
    theta = write_parameters(problem, logit_form(problem, structure), gauge=0)
    rank = 3 if structure == Collapse() else 2
    nullity = depth * (6 * rank - rank * (rank + 1) // 2)
    index = 4 if depth == 1 and rank == 2 else 0
    for method in METHODS if depth == 2 and decay == 1e-8 else METHODS[:1]:
        assert counts(problem, theta, method) in ((nullity, index), (None, None))


@pytest.mark.parametrize("decay", [1e-6, 1e-8, 1e-9])
def test_blocks_of_very_different_size(decay):
    """One pair at its large root, one at its small: the small singular values must not be taken for zeros."""
    problem = Problem.balanced(4, 1, 5, 2, decay)
    equation = simplex_equation(problem, 2, 1)
    pair = torch.tensor([1.0, -1.0], dtype=torch.float64) / math.sqrt(2)
    basis = torch.zeros(4, 2, dtype=torch.float64)
    basis[:2, 0], basis[2:, 1] = pair, pair
    form = LogitForm(basis, torch.tensor([equation.root("large"), equation.root("small")], dtype=torch.float64), basis)
    theta = write_parameters(problem, form, gauge=0)
    for method in METHODS if decay == 1e-8 else METHODS[:1]:
        nullity, _ = counts(problem, theta, method)
        assert nullity in (2 * (5 * 2 - 3), None)


def test_the_point_itself_is_never_moved():
    problem = Problem.balanced(4, 2, 6, 2, 1e-3)
    theta = write_parameters(problem, logit_form(problem, Collapse())) + 1e-8 * noise(problem.parameters)
    before = theta.clone()
    analyse(given_point(problem, theta))
    assert torch.equal(theta, before)


def test_a_relu_minimum_is_counted_only_as_far_as_it_is_explained():
    """numerics.md: at smooth ReLU minima other symmetries survive, so the first interface alone must not be reported."""
    problem = Problem.balanced(4, 2, 10, 2, 1e-3, activation="relu")
    point = solve(problem, random_start(problem, Random(seed=0)))
    smooth = float(Objective.of(problem).preactivations(point.theta)[0].abs().min()) > 1e-6 and point.gradient_norm < 1e-10
    expected = truth(problem, point.theta) if smooth else (None, None)
    report = analyse(point)
    assert report.method == "dense"
    assert (report.nullity, report.index) in (expected, (None, None))


def test_a_kink_has_no_hessian():
    problem = Problem.balanced(3, 1, 3, 2, 1e-2, activation="relu")
    report = analyse(given_point(problem, torch.zeros(problem.parameters, dtype=torch.float64)))
    assert report.nullity is None
    assert "kink" in report.reason


def test_methods_that_cannot_be_used():
    relu = Problem.balanced(3, 1, 3, 2, 1e-2, activation="relu")
    with pytest.raises(InputError, match="linear"):
        analyse(given_point(relu, torch.ones(relu.parameters, dtype=torch.float64)), "reduction")
    wide = Problem.balanced(3, 1, 200, 2, 1e-2)
    with pytest.raises(InputError, match="GB"):
        analyse(given_point(wide, write_parameters(wide, logit_form(wide, Collapse()))), "dense")
    with pytest.raises(InputError, match="saved point"):
        analyse(Core.from_form(wide, logit_form(wide, Collapse())), "dense")


def test_a_core_that_is_not_critical_is_not_reported():
    problem = Problem.balanced(4, 1, 5, 2, 1e-3)
    form = logit_form(problem, Collapse())
    off = LogitForm(form.left, 1.01 * form.singular, form.right)
    assert analyse(Core.from_form(problem, off)).nullity is None
