"""Closed forms against dense Hessians of hand-made points, against other formulas of the same numbers, and against the paper."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq, minimize_scalar

from landscape.errors import InputError
from landscape.problem import Problem
from landscape.theory import (
    dnc_spectrum,
    mode_equation,
    orbit_dimension,
    paper_dimension,
    simplex_equation,
    stability_threshold,
)

PAPER = Problem.balanced(10, 5, 70, 2, 2**-10)


def dnc_alpha(classes: int, samples: int, depth: int, decay: float, bracket: tuple[float, float]) -> float:
    """theory.md, section 2: decay n^(1/(L+1)) = q(alpha) alpha^((L-1)/(L+1))."""

    def miss(log_alpha: float) -> float:
        alpha = math.exp(log_alpha)
        q = math.exp(-alpha) / (1 + (classes - 1) * math.exp(-alpha))
        return math.log(q) + (depth - 1) / (depth + 1) * math.log(alpha) - math.log(decay * samples ** (1 / (depth + 1)))

    return math.exp(brentq(miss, *map(math.log, bracket), xtol=1e-15, rtol=1e-14))


def group_loss(a: float, g: int, K: int, n: int, L: int, decay: float) -> float:
    """Share of one group in the loss of a partition point (theory.md, section 2)."""
    fit = math.log(math.exp(a * (1 - 1 / g)) + (g - 1) * math.exp(-a / g) + K - g) - a * (1 - 1 / g)
    return g / K * fit + decay * (L + 1) / 2 * (g - 1) * (a * math.sqrt(n)) ** (2 / (L + 1))


def dense_dnc(K: int, n: int, d: int, L: int, decay: float, alpha: float) -> np.ndarray:
    """Eigenvalues of the Hessian, by torch.func, of a DNC point written down by hand."""
    basis = np.linalg.svd(np.eye(K) - 1 / K)[0][:, : K - 1]
    s = (alpha * math.sqrt(n)) ** (1 / (L + 1))
    frame = np.eye(d, K - 1)
    features = np.repeat(s * frame @ basis.T / math.sqrt(n), n, axis=1)
    factors = [features, *[s * frame @ frame.T] * (L - 1), s * basis @ frame.T]
    theta = torch.from_numpy(np.concatenate([f.ravel() for f in factors]))
    labels = torch.arange(K).repeat_interleave(n)

    def loss(x: torch.Tensor) -> torch.Tensor:
        parts = [p.reshape(f.shape) for p, f in zip(x.split([f.size for f in factors]), factors, strict=True)]
        z = parts[0]
        for part in parts[1:]:
            z = part @ z
        return torch.nn.functional.cross_entropy(z.T, labels) + decay / 2 * (x**2).sum()

    assert float(torch.func.grad(loss)(theta).norm()) < 1e-14
    return np.linalg.eigvalsh(torch.func.hessian(loss)(theta).numpy())


def expand(table: list[tuple[torch.Tensor, int]]) -> np.ndarray:
    return np.sort(np.concatenate([np.repeat(values.numpy(), times) for values, times in table]))


@pytest.mark.parametrize(
    ("K", "n", "d", "L", "decay", "bracket"),
    [
        (2, 1, 2, 2, 1e-2, (2, 50)),
        (2, 3, 4, 3, 1e-2, (2, 50)),
        (3, 2, 4, 2, 1e-2, (2, 50)),
        (3, 1, 3, 1, 1e-2, (1e-6, 50)),
        (4, 2, 6, 2, 1e-3, (2, 50)),
        (4, 2, 5, 2, 1e-3, (1e-12, 1e-2)),  # the small root: a saddle
        (5, 1, 4, 3, 1e-3, (4, 50)),  # width K - 1
        (5, 2, 6, 1, 1e-2, (1e-6, 50)),
        (4, 1, 4, 4, 1e-2, (2, 50)),
        (6, 1, 6, 4, 0.08, (1.5, 3.6)),  # below the stability threshold
    ],
)
def test_closed_form_spectrum_against_dense(K, n, d, L, decay, bracket):
    alpha = dnc_alpha(K, n, L, decay, bracket)
    predicted = expand(dnc_spectrum(Problem.balanced(K, n, d, L, decay), alpha))
    measured = dense_dnc(K, n, d, L, decay, alpha)
    assert len(predicted) == len(measured)
    np.testing.assert_allclose(predicted, measured, rtol=0, atol=2e-14 * max(1, measured.max()))


@pytest.mark.parametrize(
    "problem",
    [
        Problem((1, 2, 1), 3, 2, 1e-2),
        Problem.balanced(3, 1, 3, 2, 1e-2, "mse"),
        Problem.balanced(3, 1, 3, 2, 1e-2, activation="relu"),
        Problem.balanced(3, 1, 3, 2, (1e-2, 2e-2, 1e-2)),
        Problem.balanced(4, 1, 2, 2, 1e-2),
    ],
    ids=str,
)
def test_closed_form_refuses_other_problems(problem):
    with pytest.raises(InputError):
        dnc_spectrum(problem, 5.0)


def test_alpha_of_the_papers_setting():
    assert simplex_equation(PAPER, 10, 5).root("large") == pytest.approx(7.0375384944, abs=5e-11)
    assert simplex_equation(PAPER, 10, 5).root("large") == pytest.approx(dnc_alpha(10, 5, 2, 2**-10, (3, 30)), rel=1e-13)
    assert simplex_equation(PAPER, 10, 5).root("small") == pytest.approx(dnc_alpha(10, 5, 2, 2**-10, (1e-12, 0.5)), rel=1e-12)
    assert simplex_equation(PAPER, 2, 5).root("large") == pytest.approx(2 * 7.0470486883, abs=2e-10)


@pytest.mark.parametrize("group", [2, 3, 5, 8, 10])
@pytest.mark.parametrize(("depth", "decay"), [(1, 1e-3), (2, 2**-10), (4, 1e-4), (2, 1e-8)])
def test_roots_are_stationary_points_of_the_group_loss(group, depth, decay):
    problem = Problem.balanced(10, 5, 10, depth, decay)
    large = simplex_equation(problem, group, 5).root("large")
    found = minimize_scalar(
        lambda a: group_loss(a, group, 10, 5, depth, decay), bounds=(0.8 * large, 1.2 * large), method="bounded",
        options={"xatol": 1e-10},
    )  # fmt: skip
    assert large == pytest.approx(found.x, rel=1e-5)
    if depth > 1:
        small = simplex_equation(problem, group, 5).root("small")
        step = 1e-4 * small
        slope = (group_loss(small + step, group, 10, 5, depth, decay) - group_loss(small - step, group, 10, 5, depth, decay)) / step
        beside = group_loss(2 * small, group, 10, 5, depth, decay) - group_loss(small, group, 10, 5, depth, decay)
        assert beside < 0 or abs(slope) < 1e-3
        assert small < large


@pytest.mark.parametrize(
    ("partition", "loss"),
    [((10,), 0.0906621832), ((8, 2), 0.0884334205), ((6, 2, 2), 0.0860816013), ((2,) * 5, 0.0800126592)],
)
def test_losses_of_the_papers_four_minima(partition, loss):
    total = 0.0
    for group in partition:
        alpha = simplex_equation(PAPER, group, 5).root("large")
        total += group_loss(alpha, group, 10, 5, 2, 2**-10)
        scan = [group_loss(a, group, 10, 5, 2, 2**-10) for a in np.linspace(3, 30, 28)]
        assert group_loss(alpha, group, 10, 5, 2, 2**-10) < min(scan)
    assert total == pytest.approx(loss, abs=6e-11)


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
@pytest.mark.parametrize("group", [2, 5, 10])
def test_the_largest_decay_is_the_fold(group, depth):
    problem = Problem.balanced(10, 3, 10, depth, 1e-3)
    largest = simplex_equation(problem, group, 3).largest_decay

    def roots(decay):
        equation = simplex_equation(Problem.balanced(10, 3, 10, depth, decay), group, 3)
        return equation.root("large"), equation.root("small")

    below = roots(largest * (1 - 1e-6))
    assert below[0] is not None
    assert roots(largest * (1 + 1e-6)) == (None, None)
    if depth > 1:
        assert below[1] is not None
        assert 1 < below[0] / below[1] < 1.2, "the two roots meet at the fold"
        scan = np.geomspace(1e-4, 50, 200_001)
        pull = (group * np.exp(-scan) + (10 - group) * np.exp(-scan * (1 - 1 / group))) / (
            1 + (group - 1) * np.exp(-scan) + (10 - group) * np.exp(-scan * (1 - 1 / group))
        )
        peak = (pull / 10 * scan ** ((depth - 1) / (depth + 1))).max() / 3 ** (1 / (depth + 1))
        assert largest == pytest.approx(peak, rel=1e-7)
    else:
        assert below[1] is None
        assert largest == pytest.approx(1 / 10 / math.sqrt(3), rel=1e-12), "the pull at zero logits"


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_modes_of_squared_error(depth):
    problem = Problem.balanced(5, 3, 5, depth, 1e-3, "mse")
    target = 1e-3 * 3 ** (1 / (depth + 1))
    for which in ("large", "small") if depth > 1 else ("large",):
        z = mode_equation(problem, 3).root(which)
        assert (1 - z) * z ** ((depth - 1) / (depth + 1)) / 5 == pytest.approx(target, rel=1e-12)
    if depth > 1:
        peak = (depth - 1) / (2 * depth)  # of (1 - z) z^p, p = (L-1)/(L+1): z = p / (1 + p)
        largest = (1 - peak) * peak ** ((depth - 1) / (depth + 1)) / 5 / 3 ** (1 / (depth + 1))
        assert mode_equation(problem, 3).largest_decay == pytest.approx(largest, rel=1e-10)
        assert mode_equation(problem, 3).root("small") < peak < mode_equation(problem, 3).root("large")


def test_orbit_dimensions_against_the_generators_rank():
    generator = np.random.default_rng(0)
    for d, r in [(6, 3), (4, 4), (5, 1), (7, 4)]:
        frame = np.linalg.qr(generator.normal(size=(d, r)))[0]
        moves = []
        for j in range(d):
            for k in range(j):
                skew = np.zeros((d, d))
                skew[j, k], skew[k, j] = 1, -1
                moves.append((skew @ frame).ravel())
        assert orbit_dimension(r, d, 3) == 3 * np.linalg.matrix_rank(np.array(moves))


def test_the_two_counts_of_the_papers_setting():
    assert orbit_dimension(9, 70, 2) == 1170
    assert paper_dimension((9,), 70, 2) == 2 * 9 * 61 == 1098
    assert paper_dimension((5,), 70, 2) == 2 * 5 * 65
    assert paper_dimension((1,) * 9, 70, 2) == 1170, "distinct singular values: both counts agree"
    assert paper_dimension((2, 3), 8, 1) == (2 * 6 + 3 * 5) - 2 * 3, "a flag manifold: dim O(8) - O(2) - O(3) - O(3)"
    for K, d, full, paper in [(4, 6, 24, 18), (5, 7, 36, 24), (6, 8, 50, 30)]:
        assert (orbit_dimension(K - 1, d, 2), paper_dimension((K - 1,), d, 2)) == (full, paper)


@pytest.mark.parametrize(("K", "alpha", "decay", "index"), [(16, 7.938, 1e-3, 104), (12, 6.75, 3e-3, 0)])
def test_stability_of_many_classes_at_depth_three(K, alpha, decay, index):
    problem = Problem.balanced(K, 1, K, 3, decay)
    root = simplex_equation(problem, K, 1).root("large")
    assert root == pytest.approx(alpha, abs=2e-3)
    assert (root >= stability_threshold(K, 3)) == (index == 0)
    assert int((expand(dnc_spectrum(problem, root)) < -1e-12).sum()) == index


@pytest.mark.parametrize(("K", "L"), [(4, 2), (6, 3), (10, 2), (10, 5)])
def test_the_threshold_is_where_an_eigenvalue_changes_sign(K, L):
    threshold = stability_threshold(K, L)

    def negatives(alpha):
        decay = math.exp(-alpha) / (1 + (K - 1) * math.exp(-alpha)) * alpha ** ((L - 1) / (L + 1))
        return int((expand(dnc_spectrum(Problem.balanced(K, 1, K, L, decay), alpha)) < 0).sum())

    assert negatives(threshold * 1.001) == 0
    assert negatives(threshold * 0.999) >= K * (K - 3) // 2


@pytest.mark.parametrize("decay", [1e-8, 1e-12, 1e-40])
def test_tiny_decays_have_roots(decay):
    problem = Problem.balanced(10, 1, 10, 2, decay)
    for which in ("large", "small"):
        alpha = simplex_equation(problem, 10, 1).root(which)
        log_q = -alpha - math.log1p(9 * math.exp(-alpha))
        assert log_q + math.log(alpha) / 3 == pytest.approx(math.log(decay), rel=1e-12)


@pytest.mark.parametrize("decay", [1e-40, 1e-100, 1e-300])
def test_roots_beyond_double_precision_are_refused(decay):
    equation = simplex_equation(Problem.balanced(4, 2, 6, 2, decay), 4, 2)
    large = equation.root("large")
    assert large is not None
    assert 50 < large < 1100
    if decay > 1e-80:
        small = equation.root("small")
        assert small is not None
        assert 0 < small < 1e-100
    else:
        with pytest.raises(InputError, match="larger decay"):
            equation.root("small")
