"""The whole Hessian spectrum of deep neural collapse (DNC) in closed form, for the tests of everything that counts.

Source: the setting of Garrod and Keating, arXiv:2410.23169; test_dnc.py compares it with dense Hessians.
"""

import math

import torch
from torch import Tensor

from landscape.model.problem import Problem


def dnc_spectrum(problem: Problem, alpha: float) -> list[tuple[Tensor, int]]:
    """Returns the Hessian spectrum of the DNC point with logits alpha * S_K in closed form, as (values, multiplicity) pairs.

    Balanced classes, cross-entropy, linear layers, one decay, width >= K - 1. Valid at either root, stable or not.
    """
    K, L, n, d = problem.classes, problem.depth, problem.class_sizes[0], problem.width
    assert (problem.is_balanced, problem.loss, problem.is_linear, len(set(problem.decays))) == (True, "ce", True, 1)
    assert d >= K - 1
    decay, r, c, N = problem.mean_decay, K - 1, d - K + 1, problem.total_samples
    q = math.exp(-alpha) / (1 + (K - 1) * math.exp(-alpha))
    w, b = 1 - K * q, decay * alpha / K
    f_s, f_t = b * (1 + (K - 2) * w), b * (1 + (K - 1) * w)
    if K == 2:
        mixed = [decay + b * (2 - K * q)]
    else:
        coupling = math.sqrt(L + 1) * b * w * math.sqrt(K - 2)
        first, second = 2 * decay + (L + 1) * (f_s - decay), decay + b * (2 - K * q)
        mean, radius = (first + second) / 2, math.hypot((first - second) / 2, coupling)
        mixed = [mean - radius, mean + radius]
    bulk = (L - 1) * c * c + c * (K - r) + c * (N - r)
    table: list[tuple[list[float], int]] = [
        ([0.0], L * r * c + L * r * (r - 1) // 2),
        ([2 * decay], L * r * c + L * (K * (K - 3) // 2 if K > 3 else 0) + L + (L * (K - 1) if K > 2 else 0)),
        ([(L + 1) * (decay + b)], r * (r - 1) // 2),
        ([(1 - L) * decay + (L + 1) * b], K * (K - 3) // 2 if K > 3 else 0),
        ([(1 - L) * decay + (L + 1) * f_t], 1),
        (mixed, K - 1),
        ([decay], bulk + r),
        ([decay + b], K * (n - 1) * (r - 1)),
        ([decay + f_t], K * (n - 1)),
    ]
    return [(torch.tensor(values, dtype=torch.float64), times) for values, times in table]
