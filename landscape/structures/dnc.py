"""Closed forms of deep neural collapse (DNC): its fold, its stability threshold, and its whole Hessian spectrum.

Source: Garrod and Keating, arXiv:2410.23169; what sharpens the paper says so.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.structures.scale_equation import simplex_equation


def fold_decay(problem: Problem) -> float:
    """Returns the largest decay with a DNC point."""
    return simplex_equation(problem, problem.classes, problem.class_sizes[0]).largest_decay


def stability_decay(problem: Problem) -> float | None:
    """Returns the decay at which alpha = K (L-1)/(L+1), below which DNC is a local minimum.

    None for K < 4, for one layer, and where DNC at the large root stays above that scale up to the fold.
    """
    K, L, n = problem.classes, problem.depth, problem.class_sizes[0]
    if K < 4 or L == 1:
        return None
    alpha = stability_threshold(K, L)
    decay = dnc_decay(K, n, L, alpha)
    root = simplex_equation(replace(problem, decay=decay), K, n).root("large")
    return decay if root is not None and abs(root - alpha) < 1e-6 * alpha else None


def stability_threshold(classes: int, depth: int) -> float:
    """Returns K (L-1)/(L+1): for K >= 4 the DNC point is a local minimum exactly when its scale alpha is at least this.

    Below it DNC is a saddle of index K (K-3)/2. Sharpens Theorem 4 of the paper, which asks for lambda small enough.
    """
    return classes * (depth - 1) / (depth + 1)


def dnc_decay(classes: int, samples: int, depth: int, alpha: float) -> float:
    """Returns the decay at which alpha solves the scale equation of DNC, at whichever of its roots."""
    pull = math.exp(-alpha) / (1 + (classes - 1) * math.exp(-alpha))
    return float(pull * alpha ** ((depth - 1) / (depth + 1)) * samples ** (-1 / (depth + 1)))


def dnc_spectrum(problem: Problem, alpha: float) -> list[tuple[Tensor, int]]:
    """Returns the Hessian spectrum of the DNC point with logits alpha * S_K in closed form, as (values, multiplicity) pairs.

    Balanced classes, cross-entropy, linear layers, one decay. Valid at either root, stable or not.

    Raises:
        InputError: If the problem is of another kind, or its width is below K - 1.
    """
    K, L, n, d = problem.classes, problem.depth, problem.class_sizes[0], problem.width
    if not (problem.is_balanced and problem.loss == "ce" and problem.is_linear and len(set(problem.decays)) == 1):
        raise InputError("expected balanced classes, cross-entropy, linear layers and one decay for the closed form of DNC")
    if d < K - 1:
        raise InputError(f"expected width >= {K - 1} for a DNC point of {K} classes, got {d}")
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
