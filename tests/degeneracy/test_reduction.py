"""Spectra of the reduction against dense Hessians of a loss written anew."""

import math
import resource
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from landscape.degeneracy.reduction import reduce
from landscape.errors import InputError
from landscape.model.logit_form import write_parameters
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core, accepted_rank, compress
from landscape.solver.run import solve
from landscape.solver.starts import Random, random_start
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Apex, Collapse, Pairs, Partition

DEEP = Problem.balanced(10, 5, 20_000, 6, 1e-3)


def loss_of(problem: Problem):
    """The paper's loss with torch's own fit functions."""
    labels = torch.arange(problem.classes).repeat_interleave(torch.tensor(problem.class_sizes))
    decays = problem.decay if isinstance(problem.decay, tuple) else (problem.decay,) * (problem.depth + 1)

    def loss(theta: torch.Tensor) -> torch.Tensor:
        parts = theta.split([m * n for m, n in problem.shapes])
        signal = parts[0].reshape(problem.shapes[0])
        for part, shape in zip(parts[1:], problem.shapes[1:], strict=True):
            signal = part.reshape(shape) @ signal
        if problem.loss == "ce":
            fit = torch.nn.functional.cross_entropy(signal.T, labels)
        else:
            one_hot = torch.nn.functional.one_hot(labels, problem.classes).to(theta.dtype)
            fit = (signal.T - one_hot).pow(2).sum() / (2 * len(labels))
        return fit + sum(decay / 2 * (part**2).sum() for decay, part in zip(decays, parts, strict=True))

    return loss


def dense_spectrum(problem: Problem, theta: torch.Tensor) -> np.ndarray:
    hessian = torch.func.hessian(loss_of(problem))(theta)
    return np.linalg.eigvalsh(((hessian + hessian.T) / 2).numpy())


def gauss_newton(problem: Problem, theta: torch.Tensor) -> np.ndarray:
    """J^T R J with J by automatic differentiation of the bare product and R written out per sample."""

    def logits(x: torch.Tensor) -> torch.Tensor:
        parts = x.split([m * n for m, n in problem.shapes])
        signal = parts[0].reshape(problem.shapes[0])
        for part, shape in zip(parts[1:], problem.shapes[1:], strict=True):
            signal = part.reshape(shape) @ signal
        return signal

    jacobian = torch.func.jacrev(logits)(theta).numpy()
    total = np.zeros((theta.numel(),) * 2)
    for sample, z in enumerate(logits(theta).numpy().T):
        p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
        r = np.diag(p) - np.outer(p, p) if problem.loss == "ce" else np.eye(len(z))
        total += jacobian[:, sample].T @ r @ jacobian[:, sample] / problem.total_samples
    return total


def check(problem: Problem, theta: torch.Tensor, core: Core) -> None:
    result = reduce(core)
    assert sum(block.values.numel() * block.multiplicity for block in result.blocks) == problem.parameters
    expected = dense_spectrum(problem, theta)
    atol = 1e-12 * max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(result.spectrum.expanded().numpy(), expected, rtol=0, atol=atol)
    assert result.spectrum.size == problem.parameters
    product = gauss_newton(problem, theta)
    values = torch.cat([block.values.repeat(block.multiplicity) for block in result.gauss_newton]).numpy()
    padded = np.sort(np.concatenate([values, np.zeros(problem.parameters - len(values))]))
    np.testing.assert_allclose(padded, np.linalg.eigvalsh(product), rtol=0, atol=atol)


@st.composite
def fields(draw):
    """Of a small problem; the decays keep some points from collapsing to zero."""
    classes, depth = draw(st.integers(2, 6)), draw(st.integers(1, 4))
    decay = st.floats(2e-3, 2e-2)
    return {
        "class_sizes": tuple(draw(st.lists(st.integers(1, 3), min_size=classes, max_size=classes))),
        "width": draw(st.integers(max(1, classes - 3), classes + (4 if classes < 5 and depth < 4 else 1))),
        "depth": depth,
        "decay": draw(st.one_of(decay, st.tuples(*[decay] * (depth + 1)))),
        "loss": draw(st.sampled_from(["ce", "mse"])),
    }


@pytest.mark.slow
@settings(max_examples=12)
@given(fields(), st.integers(0, 1000))
def test_solved_points_of_random_problems(chosen, seed):
    problem = Problem(**chosen)
    point = solve(problem, random_start(problem, Random(seed=seed)))
    assert point.gradient_norm <= 1e-12
    core, _ = compress(problem, point.theta, 1e-7 * float(point.theta.norm()) + 1e-9)
    check(problem, point.theta, core)


SADDLES = [
    (Problem.balanced(4, 2, 6, 2, 1e-3), Collapse()),
    (Problem.balanced(4, 2, 5, 2, 1e-3), Collapse("small")),
    (Problem.balanced(4, 2, 6, 3, 1e-3), Pairs("small")),
    (Problem.balanced(4, 3, 5, 1, 1e-2), Partition((2, 1, 1))),
    (Problem.balanced(4, 1, 4, 1, 1e-2), Partition((3, 1))),
    (Problem.balanced(5, 2, 6, 2, 1e-3), Partition((3, 2))),
    (Problem((2, 2, 3, 3, 1), 5, 2, 1e-3), Partition((2, 2, 1))),
    (Problem((2, 2, 3, 3), 4, 2, (1e-3, 2e-3, 5e-4)), Pairs()),
    (Problem.balanced(5, 2, 5, 2, 1e-3), Apex()),
    (Problem.balanced(6, 1, 4, 3, 1e-3), Pairs()),
    (Problem((3, 1, 2), 4, 3, 1e-3, "mse"), Collapse()),
    (Problem((3, 1, 2), 4, 2, (1e-3, 2e-3, 1e-2), "mse"), Collapse("small")),
    (Problem((3, 1, 2), 3, 1, 1e-3, "mse"), Collapse()),
    (Problem.balanced(2, 3, 3, 4, 1e-3), Collapse()),
]


@pytest.mark.parametrize(("problem", "structure"), SADDLES, ids=str)
def test_analytic_points_and_saddles(problem, structure):
    form = logit_form(problem, structure)
    theta = write_parameters(problem, form, gauge=3)
    assert float(torch.func.grad(loss_of(problem))(theta).norm()) < 1e-14
    check(problem, theta, Core.from_form(problem, form))
    check(problem, theta, compress(problem, theta, 1e-10)[0])


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("loss", ["ce", "mse"])
def test_the_zero_point(depth, loss):
    problem = Problem((2, 1, 1), 4, depth, (0.1, 0.2, 0.3, 0.4)[: depth + 1], loss)
    theta = torch.zeros(problem.parameters, dtype=torch.float64)
    core, frames = compress(problem, theta, 1e-12)
    assert core.rank == 0
    assert [tuple(frame.shape) for frame in frames] == [(4, 0)] * depth
    check(problem, theta, core)
    assert float(core.embed(frames).norm()) == 0


def closed_form(K: int, n: int, d: int, L: int, decay: float) -> list[tuple[float, int]]:
    """theory.md, section 5, copied out independently of the package."""

    def miss(a: float) -> float:
        q = math.exp(-a) / (1 + (K - 1) * math.exp(-a))
        return math.log(q) + (L - 1) / (L + 1) * math.log(a) - math.log(decay) - math.log(n) / (L + 1)

    a = brentq(miss, K / 3, 60, xtol=1e-14, rtol=1e-15)
    q, r, c = math.exp(-a) / (1 + (K - 1) * math.exp(-a)), K - 1, d - K + 1
    w, b = 1 - K * q, decay * a / K
    fs, ft = b * (1 + (K - 2) * w), b * (1 + (K - 1) * w)
    C = math.sqrt(L + 1) * b * w * math.sqrt(K - 2)
    two = np.linalg.eigvalsh([[2 * decay + (L + 1) * (fs - decay), C], [C, decay + b * (2 - K * q)]])
    return [
        (0, L * r * c), (2 * decay, L * r * c), (decay, (L - 1) * c * c + c * (K - r) + c * (K * n - r)),
        (0, L * r * (r - 1) // 2), ((L + 1) * (decay + b), r * (r - 1) // 2), (2 * decay, L * K * (K - 3) // 2),
        ((1 - L) * decay + (L + 1) * b, K * (K - 3) // 2), (2 * decay, L), ((1 - L) * decay + (L + 1) * ft, 1),
        (2 * decay, L * (K - 1)), (two[0], K - 1), (two[1], K - 1), (decay, r), (decay + b, K * (n - 1) * (r - 1)),
        (decay + ft, K * (n - 1)),
    ]  # fmt: skip


def compare_with_multiplicities(measured: list[tuple[float, int]], predicted: list[tuple[float, int]], atol: float) -> None:
    """Both lists in order, unit by unit, without listing billions of them."""
    ours, theirs = [sorted([v, m] for v, m in side if m) for side in (measured, predicted)]
    assert sum(m for _, m in ours) == sum(m for _, m in theirs)
    i = j = 0
    while i < len(ours) and j < len(theirs):
        assert ours[i][0] == pytest.approx(theirs[j][0], abs=atol, rel=0)
        step = min(ours[i][1], theirs[j][1])
        ours[i][1] -= step
        theirs[j][1] -= step
        i, j = i + (ours[i][1] == 0), j + (theirs[j][1] == 0)
    assert i == len(ours)
    assert j == len(theirs)


@pytest.mark.parametrize("problem", [DEEP, Problem.balanced(10, 5, 70, 2, 2**-10), Problem.balanced(4, 1, 10**6, 3, 1e-4)], ids=str)
def test_the_closed_form_of_dnc_at_any_width(problem):
    start, memory = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    spectrum = reduce(Core.from_form(problem, logit_form(problem, Collapse()))).spectrum
    assert time.process_time() - start < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 2**20, "less than 1 GB, in KiB"
    K, n, d, L = problem.classes, problem.class_sizes[0], problem.width, problem.depth
    compare_with_multiplicities(spectrum.pairs(), closed_form(K, n, d, L, problem.decay), 1e-12)
    assert spectrum.size == problem.parameters


@pytest.mark.slow
def test_the_papers_setting_against_dense():
    problem = Problem.balanced(10, 5, 70, 2, 2**-10)
    form = logit_form(problem, Collapse())
    theta = write_parameters(problem, form, gauge=1)
    values = dense_spectrum(problem, theta)
    assert int((np.abs(values) < 1e-12).sum()) == 1170
    assert values[0] > -1e-12
    assert np.sort(np.abs(values))[1170] > 1e-6
    np.testing.assert_allclose(reduce(Core.from_form(problem, form)).spectrum.expanded(), values, rtol=0, atol=1e-12)


def test_the_cores_gradient_is_the_full_gradient():
    """Off critical too, as long as the point lies in the core."""
    problem = Problem((2, 1, 3), 6, 2, (1e-2, 3e-2, 1e-2))
    core = Core(problem, 2, torch.randn(3 * 2 + 4 + 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    frames = [
        torch.linalg.qr(torch.randn(6, 2, generator=torch.Generator().manual_seed(i), dtype=torch.float64))[0] for i in (1, 2)
    ]
    theta = core.embed(frames)
    full = torch.func.grad(loss_of(problem))(theta)
    assert float(core.objective.gradient(core.theta).norm()) == pytest.approx(float(full.norm()), rel=1e-12)


def chain_of(*values: list[float]) -> tuple[Objective, torch.Tensor]:
    """Three diagonal factors with these singular values."""
    problem = Problem.balanced(4, 1, 4, 2, 1e-2)
    factors = [torch.diag(torch.tensor(part, dtype=torch.float64)) for part in values]
    return Objective.of(problem), torch.cat([factor.flatten() for factor in factors])


def test_a_rank_has_a_gap_on_both_sides_of_the_tolerance() -> None:
    used, zero = [2.0, 1.0], [1e-3, 1e-4]
    objective, theta = chain_of(used + zero, used + zero, used + zero)
    assert accepted_rank(objective, theta, 1e-2) == 2
    for tolerance in (1e-3, 2.9e-3, 0.4e-3, 0.34, 0.5, 1.5):
        with pytest.raises(InputError, match="expected"):
            accepted_rank(objective, theta, tolerance)
    objective, theta = chain_of(used + zero, [2.0, 1.0, 1.0, 0.0], used + zero)
    with pytest.raises(InputError, match="one rank in all factors"):
        accepted_rank(objective, theta, 1e-2)


def test_a_rank_is_accepted_by_ratios_alone() -> None:
    """Points at the small root have small singular values; scaled with their tolerance nothing changes."""
    for scale in (1e-120, 1e-30, 1e-9, 1.0, 1e9):
        used = [2.0 * scale, scale, 1e-3 * scale, 0.0]
        assert accepted_rank(*chain_of(used, used, used), 1e-2 * scale) == 2


def test_a_tolerance_must_be_small_beside_every_factor() -> None:
    """One factor barely above a tolerance that the others are far above."""
    objective, theta = chain_of([1e3, 0.0, 0.0, 0.0], [1e3, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0])
    assert accepted_rank(objective, theta, 0.09) == 1
    with pytest.raises(InputError, match="of every factor, got"):
        accepted_rank(objective, theta, 0.2)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_rank_zero_is_accepted_only_where_zero_is_the_nearest_critical_point(depth: int) -> None:
    """However large the tolerance is: the Hessian must be that at zero, to a tenth of its smallest curvature."""
    problem = Problem.balanced(4, 2, 6, depth, 1e-2)
    start = random_start(problem, Random(seed=1))
    at_zero = dense_spectrum(problem, torch.zeros_like(start))
    accepted = []
    for scale in (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 0.0):
        theta = scale * start
        try:
            accepted.append(accepted_rank(Objective.of(problem), theta, 1e6) == 0)
        except InputError:
            accepted.append(False)
            continue
        change = np.abs(dense_spectrum(problem, theta) - at_zero).max()
        assert change <= 0.1 * np.abs(at_zero).min() + 1e-15
    assert accepted == sorted(accepted)
    assert not accepted[0]
    assert accepted[-2:] == [True, True]


@pytest.mark.parametrize("tolerance", [math.nan, math.inf])
def test_no_rank_with_a_tolerance_that_is_no_number(tolerance: float) -> None:
    used = [2.0, 1.0, 0.0, 0.0]
    with pytest.raises(InputError):
        accepted_rank(*chain_of(used, used, used), tolerance)
