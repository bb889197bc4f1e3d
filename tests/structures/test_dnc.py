"""Closed forms of DNC against the dense Hessian."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

from landscape.model.problem import Problem
from landscape.structures.dnc import stability_threshold
from landscape.structures.scale_equation import simplex_equation
from tests.structures.closed_forms import dnc_spectrum

PAPER = Problem.balanced(10, 5, 70, 2, 2**-10)


def dnc_alpha(classes: int, samples: int, depth: int, decay: float, bracket: tuple[float, float]) -> float:
    """theory.md, section 2: decay n^(1/(L+1)) = q(alpha) alpha^((L-1)/(L+1))."""

    def miss(log_alpha: float) -> float:
        alpha = math.exp(log_alpha)
        q = math.exp(-alpha) / (1 + (classes - 1) * math.exp(-alpha))
        return math.log(q) + (depth - 1) / (depth + 1) * math.log(alpha) - math.log(decay * samples ** (1 / (depth + 1)))

    return math.exp(brentq(miss, *map(math.log, bracket), xtol=1e-15, rtol=1e-14))


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


def test_alpha_of_the_papers_setting():
    assert simplex_equation(PAPER, 10, 5).root("large") == pytest.approx(7.0375384944, abs=5e-11)
    assert simplex_equation(PAPER, 10, 5).root("large") == pytest.approx(dnc_alpha(10, 5, 2, 2**-10, (3, 30)), rel=1e-13)
    assert simplex_equation(PAPER, 10, 5).root("small") == pytest.approx(dnc_alpha(10, 5, 2, 2**-10, (1e-12, 0.5)), rel=1e-12)
    assert simplex_equation(PAPER, 2, 5).root("large") == pytest.approx(2 * 7.0470486883, abs=2e-10)


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
