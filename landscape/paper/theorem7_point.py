"""The comparison point of Theorem 7 of Garrod and Keating (arXiv:2410.23169): pairs behind rectifiers, by non-negative features.

With X = blockdiag [[1, -1], [-1, 1]] and Y the matrix of ones, X + Y has no negative entry and X Y = 0, so the rectifiers let
H_2 = phi (X + Y) and its images under W_l = psi (X + (2/K) Y) through unchanged. It is not a critical point.
"""

import math

import torch
from jaxtyping import Float
from scipy.optimize import minimize_scalar
from torch import Tensor

from landscape.errors import InputError
from landscape.model.problem import Problem

_SCALES = torch.linspace(0.05, 60.0, 1200, dtype=torch.float64)  # logits among which the best is looked for, before it is refined


def nonnegative_pairs(problem: Problem) -> Float[Tensor, " p"]:
    """Returns the parameters of the construction with the scales phi and psi of the lowest loss, away from zero logits.

    W_L = psi sqrt((K+2)/K) X, and W_1 and H_1 share H_2 equally. Linear and ReLU models have the same loss there.

    Raises:
        InputError: If K is odd or 2, the classes or decays differ, the loss is squared error, L = 1 or the width is below K.
    """
    K, L, sizes = problem.classes, problem.depth, set(problem.class_sizes)
    if K % 2 or K < 4 or len(sizes) > 1 or problem.loss != "ce" or L < 2 or problem.width < K:
        raise InputError(f"expected cross-entropy, even K >= 4, equal classes, L >= 2 and d >= K for Theorem 7, got {problem}")
    if isinstance(problem.decay, tuple) and len(set(problem.decay)) > 1:
        raise InputError(f"expected one decay for all factors for Theorem 7, got {problem.decay}")
    n, decay = sizes.pop(), problem.mean_decay
    features, weights = 2 * decay * K * math.sqrt(n), decay * (L - 1) * (K + 2)  # what decay costs: features phi + weights psi^2
    gain = 2 ** (L - 1) * math.sqrt((K + 2) / K)  # logits b = gain phi psi^(L-1)

    def scales(b: float) -> tuple[float, float]:
        psi = ((L - 1) * features * b / (2 * weights * gain)) ** (1 / (L + 1))
        return b / (gain * psi ** (L - 1)), psi

    def loss(b: float) -> float:
        phi, psi = scales(b)
        return math.log1p((K - 2) * math.exp(-b) + math.exp(-2 * b)) + features * phi + weights * psi**2

    best = min(_SCALES.tolist(), key=loss)
    step = float(_SCALES[1] - _SCALES[0])
    found = minimize_scalar(loss, bounds=(max(best - step, 1e-6), best + step), method="bounded", options={"xatol": 1e-12})
    return _parameters(problem, n, *scales(float(found.x)))


def _parameters(problem: Problem, samples: int, phi: float, psi: float) -> Float[Tensor, " p"]:
    K, L = problem.classes, problem.depth
    pairs = torch.block_diag(*[torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)] * (K // 2))
    ones = torch.ones(K, K, dtype=torch.float64)
    root = pairs / math.sqrt(2) + ones / math.sqrt(K)  # the square root of X + Y
    share = samples**0.25
    blocks = [
        (math.sqrt(phi) / share * root).repeat_interleave(samples, 1),
        math.sqrt(phi) * share * root,
        *(psi * (pairs + 2 / K * ones),) * (L - 2),
        psi * math.sqrt((K + 2) / K) * pairs,
    ]
    parts = []
    for shape, block in zip(problem.shapes, blocks, strict=True):
        factor = torch.zeros(shape, dtype=torch.float64)
        factor[: block.shape[0], : block.shape[1]] = block
        parts.append(factor.flatten())
    return torch.cat(parts)
