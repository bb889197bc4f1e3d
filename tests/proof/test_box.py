"""Found points: proved counts against the dense oracle and closed forms, and everything that must be refused."""

import math
import subprocess
import sys
import time

import mpmath as mp
import numpy as np
import pytest
import torch

from landscape.catalogue.search import search
from landscape.errors import InputError
from landscape.model.dimensions import orbit_dimension
from landscape.model.logit_form import LogitForm
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.proof.box import LARGEST, predicted_seconds, prove_point
from landscape.proof.statement import Proof, Unproved
from landscape.structures.analytic import logit_form
from landscape.structures.blocks import Triangular
from landscape.structures.kinds import Blocks, Partition, Root, Structure
from landscape.structures.scale_equation import mode_equation, simplex_equation
from tests.proof import dense_oracle

PAPER = Problem.balanced(10, 5, 70, 2, 2.0**-10)


def core_of(problem: Problem, structure: Structure) -> Core:
    return Core.from_form(problem, logit_form(problem, structure))


def proved(problem: Problem, core: Core) -> Proof:
    result = prove_point(problem, core.rank, core.theta.tolist())
    assert isinstance(result, Proof), result
    return result


def refused(problem: Problem, rank: int, core: list[float]) -> str:
    result = prove_point(problem, rank, core)
    assert isinstance(result, Unproved), result
    return result.reason


def modes(problem: Problem, roots: dict[int, Root], turn: np.ndarray | None = None) -> Core:
    """The squared-error point whose classes `roots` are on, all rotated together if a rotation is given."""
    scales = {}
    for label, root in roots.items():
        size = problem.class_sizes[label]
        scales[label] = mode_equation(problem, size).root(root) * math.sqrt(size)
    order = sorted(roots, key=lambda label: -scales[label])
    columns = (np.eye(problem.classes) if turn is None else turn)[:, order]
    frame = torch.tensor(columns, dtype=torch.float64)
    return Core.from_form(problem, LogitForm(frame, torch.tensor([scales[label] for label in order], dtype=torch.float64), frame))


def dense_counts(proof: Proof) -> tuple[int, int]:
    """Index and nullity by the oracle at the proved centre, with digits that the precision of the proof sets."""
    mp.mp.dps = int(0.61 * proof.bits) + 20
    centre = [mp.mpf(int(mantissa)) * mp.mpf(2) ** int(exponent) for mantissa, exponent in proof.data["centre"]]
    accuracy = mp.mpf(2) ** (-1.2 * proof.bits)
    return dense_oracle.counts(centre, proof.problem, proof.rank, accuracy**0.7)


# ------------------------------------------------------------------------------------------------------- the paper's setting


@pytest.mark.parametrize(
    ("groups", "loss"), [((10,), 0.0906621832), ((8, 2), 0.0884334205), ((6, 2, 2), 0.0860816013), ((2,) * 5, 0.0800126592)]
)
def test_the_minima_of_the_paper(groups: tuple[int, ...], loss: float) -> None:
    proof = proved(PAPER, core_of(PAPER, Partition(groups)))
    rank = 10 - len(groups)
    assert (proof.rank, proof.index, proof.nullity) == (rank, 0, orbit_dimension(rank, 70, 2))
    assert proof.loss[0] == pytest.approx(loss, abs=1e-10)
    assert 0 < proof.loss[1] - proof.loss[0] < 1e-15
    assert proof.distance is not None
    assert proof.distance < 1e-14
    assert proof.name is None
    assert proof.bits == 53


def test_a_code() -> None:
    proof = proved(PAPER, core_of(PAPER, Blocks((Triangular(5),))))
    assert (proof.rank, proof.index, proof.nullity) == (4, 0, orbit_dimension(4, 70, 2))
    assert proof.loss[0] == pytest.approx(0.08143215, abs=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize(
    "problem",
    [
        Problem.balanced(10, 5, 70, 2, 2.0**-10),
        Problem.balanced(6, 3, 8, 3, 0.003),
        Problem.balanced(6, 2, 8, 1, 0.01),
        Problem((5, 4, 3, 2, 1), 7, 3, (0.002, 0.003, 0.001, 0.004)),
        Problem((4, 3, 2, 2), 6, 3, 0.008, "mse"),
        Problem.balanced(7, 1, 8, 4, 0.004),
    ],
    ids=str,
)
def test_found_minima_are_proved(problem: Problem) -> None:
    found = search(problem, 3, seed=3).found
    assert found
    for core in (item.core for item in found):
        proof = proved(problem, core)
        orbit = orbit_dimension(core.rank, problem.width, problem.depth)
        assert proof.index == 0
        assert proof.nullity >= orbit if problem.loss == "mse" else proof.nullity == orbit


# ---------------------------------------------------------------------------------------------------------- the dense oracle


@pytest.mark.parametrize(
    ("problem", "structure"),
    [
        (Problem.balanced(4, 2, 3, 2, 0.005), Partition((2, 2))),
        (Problem((2, 2, 2, 1), 4, 2, 0.005), Partition((3, 1))),
        (Problem.balanced(3, 1, 3, 3, (0.01, 0.02, 0.01, 0.03)), Partition((3,))),
        (Problem.balanced(3, 1, 3, 3, 0.01), Partition((3,), "small")),
        (Problem.balanced(4, 1, 4, 1, (0.02, 0.03)), Partition((4,))),
        (Problem.balanced(4, 1, 4, 1, (0.02, 0.03)), Partition((3, 1))),
        (Problem.balanced(4, 1, 4, 1, (0.02, 0.03)), Partition((2, 2))),
        (Problem.balanced(4, 1, 4, 1, 0.02), Partition((2, 1, 1))),
    ],
    ids=str,
)
def test_counts_are_those_of_the_dense_hessian(problem: Problem, structure: Partition) -> None:
    proof = proved(problem, core_of(problem, structure))
    assert (proof.index, proof.nullity) == dense_counts(proof)


@pytest.mark.parametrize("exponent", range(3, 11))
def test_faint_eigenvalues_of_small_pairs_are_not_zero(exponent: int) -> None:
    decay = 10.0**-exponent
    proof = proved(wide := Problem.balanced(4, 2, 6, 2, decay), core_of(wide, Partition((2, 2), "small")))
    assert proof.nullity == 18
    if exponent in (3, 7, 10):
        narrow = Problem.balanced(4, 2, 3, 2, decay)
        small = proved(narrow, core_of(narrow, Partition((2, 2), "small")))
        assert (small.index, small.nullity) == dense_counts(small)
        assert small.index == proof.index


@pytest.mark.parametrize(
    ("problem", "groups", "nullity"),
    [(Problem.balanced(4, 2, 3, 3, 1e-8), (2, 2), 9), (Problem.balanced(5, 2, 4, 2, 1e-8), (3, 2), 12)],
)
def test_other_faint_eigenvalues(problem: Problem, groups: tuple[int, ...], nullity: int) -> None:
    proof = proved(problem, core_of(problem, Partition(groups, "small")))
    assert proof.nullity == nullity == orbit_dimension(proof.rank, problem.width, problem.depth)


@pytest.mark.slow
def test_other_faint_eigenvalues_in_the_dense_hessian() -> None:
    problem = Problem.balanced(4, 2, 3, 3, 1e-8)
    proof = proved(problem, core_of(problem, Partition((2, 2), "small")))
    assert (proof.index, proof.nullity) == dense_counts(proof)


@pytest.mark.slow
def test_a_point_beside_a_threshold_is_proved_to_be_whatever_it_is() -> None:
    problem = Problem.balanced(5, 3, 6, 4, 0.06443059911283797)
    core = core_of(problem, Partition((5,)))
    proof = proved(problem, core)
    assert proof.nullity == 56
    assert proof.distance is not None
    assert proof.distance < 1e-15
    pushed = core.theta + 1e-14 * torch.randn(core.theta.numel(), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    other = prove_point(problem, 4, pushed.tolist())
    if isinstance(other, Proof):  # another critical point, or this one
        assert other.distance is not None
        assert other.distance < 1e-12
        assert other.nullity == 56
    assert (proof.index, proof.nullity) == _counts_of_core(proof)


def _counts_of_core(proof: Proof) -> tuple[int, int]:
    """The oracle at the width of the core with one sample per class, rewritten by the exact reduction."""
    problem = proof.problem
    mp.mp.dps = 90
    centre = [mp.mpf(int(mantissa)) * mp.mpf(2) ** int(exponent) for mantissa, exponent in proof.data["centre"]]
    # n samples of a class with features h / sqrt(n) pull like one sample with features h / sqrt(n): decay_0 n for that layer
    n = problem.class_sizes[0]
    features = problem.classes * proof.rank
    scaled = [value / mp.sqrt(n) for value in centre[:features]] + centre[features:]
    decays = (problem.decays[0] * n, *problem.decays[1:])
    small = Problem((1,) * problem.classes, proof.rank, problem.depth, decays)
    index, nullity = dense_oracle.counts(scaled, small, proof.rank, "1e-40")
    return index, nullity + problem.depth * proof.rank * (problem.width - proof.rank)


# ------------------------------------------------------------------------------------------------------------- squared error


@pytest.mark.parametrize(
    ("roots", "added"),
    [
        ({0: "large", 1: "large"}, 4),
        ({0: "large", 1: "small"}, 5),
        ({0: "small", 1: "small"}, 4),
        ({0: "large", 1: "large", 2: "small"}, 5),
        ({0: "large", 1: "large", 2: "large", 3: "large"}, 0),
        ({0: "large", 1: "large", 2: "large", 3: "small"}, 3),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_equal_classes_may_be_rotated(roots: dict[int, Root], added: int, turned: bool) -> None:
    problem = Problem.balanced(4, 2, 5, 2, 0.01, "mse")
    turn = np.linalg.qr(np.random.default_rng(5).standard_normal((4, 4)))[0] if turned else None
    proof = proved(problem, modes(problem, roots, turn))
    assert proof.nullity == orbit_dimension(len(roots), 5, 2) + added


@pytest.mark.parametrize(
    ("problem", "roots"),
    [
        (Problem.balanced(3, 1, 3, 2, 0.01, "mse"), {0: "large"}),
        (Problem.balanced(3, 2, 3, 1, 0.01, "mse"), {0: "large", 1: "large"}),
        (Problem((1, 1, 2), 3, 2, 0.01, "mse"), {0: "large", 2: "large"}),
        (Problem((1, 2, 2), 3, 2, 0.01, "mse"), {0: "large"}),
        (Problem((1, 2, 2), 3, 1, 0.01, "mse"), {0: "large", 1: "large"}),
    ],
    ids=str,
)
def test_squared_error_agrees_with_the_dense_hessian(problem: Problem, roots: dict[int, Root]) -> None:
    proof = proved(problem, modes(problem, roots))
    assert (proof.index, proof.nullity) == dense_counts(proof)


@pytest.mark.parametrize("relative", ["1e-13", "1e-12", "1e-15"])
def test_nothing_is_proved_above_the_fold_of_squared_error(relative: str) -> None:
    mp.mp.dps = 40
    scale = mp.mpf(1) / 4  # peak of (1 - z) z^(1/3)
    fold = (1 - scale) * mp.cbrt(scale) / 3
    decay = float(fold * (1 + mp.mpf(relative)))
    assert mp.mpf(decay) > fold
    shared = float(mp.cbrt(scale))
    refused(Problem.balanced(3, 1, 4, 2, decay, "mse"), 1, [shared, 0.0, 0.0, shared, shared, 0.0, 0.0])


@pytest.mark.parametrize("classes", [3, 4])
def test_both_sides_of_the_fold(classes: int) -> None:
    top = simplex_equation(Problem.balanced(classes, 2, 6, 2, 0.01), classes, 2).largest_decay
    below = Problem.balanced(classes, 2, 6, 2, top * (1 - 1e-13))
    core = core_of(below, Partition((classes,)))
    proof = proved(below, core)
    assert proof.index == (classes - 1) + classes * (classes - 3) // 2
    refused(Problem.balanced(classes, 2, 6, 2, top * (1 + 1e-13)), core.rank, core.theta.tolist())


# ---------------------------------------------------------------------------------------------- one layer, where width counts


@pytest.mark.parametrize("width", [4, 6, 9])
@pytest.mark.parametrize(("groups", "own", "each"), [((2, 2), 0, 1), ((3, 1), 2, 1)])
def test_one_layer_says_the_width(groups: tuple[int, ...], own: int, each: int, width: int) -> None:
    problem = Problem.balanced(4, 1, width, 1, 0.02)
    proof = proved(problem, core_of(problem, Partition(groups)))
    assert proof.index == own + each * (width - 2)
    assert proof.nullity == orbit_dimension(2, width, 1)


def test_one_pair_and_two_single_classes() -> None:
    problem = Problem.balanced(4, 1, 6, 1, 0.02)
    assert proved(problem, core_of(problem, Partition((2, 1, 1)))).index == 1 + 2 * (6 - 1)


# ------------------------------------------------------------------------------------------------------------------- refusals


def padded(core: Core, noise: float) -> list[float]:
    """The core written one wider, with zeros or noise beyond its rank."""
    random = np.random.default_rng(0)
    r = core.rank
    wide = []
    for factor in core.objective.split(core.theta):
        rows, columns = factor.shape
        new = np.zeros((rows + (rows == r), columns + (columns == r)))
        new[:rows, :columns] = factor.numpy()
        wide.append(new + noise * random.standard_normal(new.shape))
    return np.concatenate([factor.ravel() for factor in wide]).tolist()


@pytest.mark.parametrize("noise", [0.0, 1e-17, 1e-12, 1e-8])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_core_one_too_wide_is_refused(noise: float, depth: int) -> None:
    problem = Problem.balanced(4, 2, 6, depth, 0.005)
    core = core_of(problem, Partition((4,)))
    assert proved(problem, core).rank == 3
    assert "rank" in refused(problem, 4, padded(core, noise))


def test_only_the_rank_step_refuses_the_wide_core(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem.balanced(4, 2, 6, 2, 0.005)
    core = core_of(problem, Partition((4,)))
    monkeypatch.setattr("landscape.proof.box._has_full_rank", lambda point: True)
    wrong = prove_point(problem, 4, padded(core, 1e-17))
    assert isinstance(wrong, Proof)
    assert wrong.nullity != proved(problem, core).nullity


@pytest.mark.parametrize(("noise", "furthest"), [(1e-12, 1e-10), (1e-8, 1e-6), (1e-4, 1e-2)])
def test_newton_goes_first(noise: float, furthest: float) -> None:
    problem = Problem.balanced(4, 2, 6, 2, 0.005)
    core = core_of(problem, Partition((4,)))
    push = noise * np.random.default_rng(1).standard_normal(core.theta.numel())
    result = prove_point(problem, 3, (core.theta.numpy() + push).tolist())
    assert isinstance(result, Proof)
    assert (result.index, result.nullity) == (0, 24)
    assert result.distance is not None
    assert noise < result.distance < furthest
    assert result.distance >= _distance_to_orbit(core, push) * (1 - 1e-9) - 1e-15


def _distance_to_orbit(core: Core, push: np.ndarray) -> float:
    """A lower bound: what the push does to the singular values of the features (Weyl)."""
    before = core.objective.split(core.theta)[0].numpy()
    after = before + push[: before.size].reshape(before.shape)
    return float(np.abs(np.linalg.svd(before)[1] - np.linalg.svd(after)[1]).max())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_core_that_is_not_finite(value: float) -> None:
    assert "finite" in refused(Problem.balanced(4, 2, 6, 2, 0.005), 3, [1.0] * 32 + [value])


@pytest.mark.parametrize("scale", [0.0, 1e-200, 1e200, 1.0])
def test_a_core_far_from_critical(scale: float) -> None:
    random = np.random.default_rng(2).standard_normal(33) * scale
    refused(Problem.balanced(4, 2, 6, 2, 0.005), 3, random.tolist())


@pytest.mark.parametrize(
    ("problem", "rank", "coordinates", "message"),
    [
        (Problem.balanced(4, 2, 6, 2, 0.01), 3, 32, "expected 33 coordinates for a core of rank 3, got 32: "),
        (Problem.balanced(4, 2, 6, 2, 0.01), 5, 65, "expected a rank from 0 to 4, got 5: "),
        (Problem.balanced(4, 2, 3, 2, 0.01), 4, 48, "expected a rank from 0 to 3, got 4: "),
        (Problem.balanced(4, 2, 3, 2, 0.01), -1, 0, "expected a rank from 0 to 3, got -1: "),
        (Problem.balanced(4, 2, 6, 2, 0.01, activation="relu"), 3, 33, "expected linear layers for a proof, got relu: "),
    ],
)
def test_input_that_cannot_be_a_core(problem: Problem, rank: int, coordinates: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        prove_point(problem, rank, [1.0] * coordinates)


def test_the_size_limit_is_said() -> None:
    problem = Problem.balanced(20, 1, 20, 2, 0.001)
    coordinates = 19**2 + 2 * 20 * 19
    assert coordinates > LARGEST
    assert refused(problem, 19, [1.0] * coordinates) == f"the core has {coordinates} coordinates: the box is for at most {LARGEST}"
    assert predicted_seconds(problem, 19) == math.inf


def test_precision_and_time_can_be_limited() -> None:
    problem = Problem.balanced(4, 2, 6, 2, 1e-7)
    core = core_of(problem, Partition((2, 2), "small"))
    short = prove_point(problem, 2, core.theta.tolist(), most_bits=64)
    assert isinstance(short, Unproved)
    assert "64 bits" in short.reason
    brief = prove_point(problem, 2, core.theta.tolist(), seconds=0.012)
    assert isinstance(brief, Unproved)
    assert "predicted" in brief.reason


def test_the_package_loads_no_torch() -> None:
    code = "import sys; from landscape.proof import box, certificate, neighbours; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize("groups", [(10,), (2,) * 5])
def test_the_predicted_time(groups: tuple[int, ...]) -> None:
    core = core_of(PAPER, Partition(groups))
    values = core.theta.tolist()
    times = []
    for _ in range(3):
        start = time.process_time()
        prove_point(PAPER, core.rank, values)
        times.append(time.process_time() - start)
    assert predicted_seconds(PAPER, core.rank) / 10 < min(times) < 10 * predicted_seconds(PAPER, core.rank)
