"""Closed forms of deep neural collapse (DNC): its fold and its stability threshold.

Source: Garrod and Keating, arXiv:2410.23169; what sharpens the paper says so.
"""

import math
from dataclasses import replace

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
