"""Claims about the ReLU model: Theorem 7 and Figure 6."""

import math

import torch

from landscape.claims.comparison import fold_decay, loss_of
from landscape.claims.finding import Finding, assess
from landscape.construction import nonnegative_pairs
from landscape.objective import Objective
from landscape.problem import Problem
from landscape.solver import LBFGS, GradientDescent, solve
from landscape.structures import Collapse, Random, random_start

_NEGLIGIBLE = 1e-2  # of the largest singular value; descent stalls on kinks, so that small ones never vanish


def lowest_construction(problem: Problem) -> float:
    """Returns the loss of the proof's non-negative low-rank point at its best scales, measured in the ReLU model itself."""
    return float(Objective.of(problem).loss(nonnegative_pairs(problem)))


def bound_condition(classes: int, depth: int) -> bool:
    """Whether the construction beats linear DNC as lambda falls: 2K+4 < (K-1) 2^(2(L-1)/(L+1)) ((K+2)/K)^(3/(L+1))."""
    return 2 * classes + 4 < (classes - 1) * 2 ** (2 * (depth - 1) / (depth + 1)) * ((classes + 2) / classes) ** (3 / (depth + 1))


def theorem_7(fast: bool) -> Finding:
    """ReLU models: DNC is not optimal for K >= 10, L >= 5 and for K >= 16, L = 4, by a non-negative point of low rank."""
    promised = [(K, L) for K in range(10, 201, 2) for L in range(4, 41) if L >= 5 or K >= 16]
    kept = sum(bound_condition(K, L) for K, L in promised)
    least, where = math.inf, ""
    for K, L in ((10, 5), (16, 4)) if fast else ((10, 5), (10, 6), (12, 5), (16, 4), (20, 4), (20, 6)):
        for part in (1e-2, 1e-6) if fast else (0.3, 1e-2, 1e-4, 1e-6, 1e-12):
            decay = part * fold_decay(K, L)
            bound = loss_of(Problem.balanced(K, 1, K, L, decay), Collapse())
            assert bound is not None
            margin = 1 - lowest_construction(Problem.balanced(K, 1, K, L, decay, activation="relu")) / bound
            if margin < least:
                least, where = margin, f"K={K}, L={L}, decay {part:g} of the fold's"
    numbers: dict[str, float | int | str] = {
        "even K to 200 and L to 40 that the theorem covers": len(promised),
        "of these with the condition of the derivation": kept,
        "least margin of the construction below linear DNC": least,
        "at": where,
    }
    return Finding(numbers, assess(kept == len(promised) and least > 0))


def figure_6(fast: bool) -> Finding:
    """ReLU, L = 3, d = 70, lambda = 2^-9: descent ends below the loss of linear DNC, which bounds that of ReLU DNC."""
    problem = Problem.balanced(10, 5, 70, 3, 2.0**-9, activation="relu")
    bound = loss_of(Problem.balanced(10, 5, 70, 3, 2.0**-9), Collapse())
    assert bound is not None
    ends = []
    for seed in range(3 if fast else 6):
        start = random_start(problem, Random(feature_scale=3e-3, seed=seed))
        method = LBFGS(max_steps=1_500) if fast or seed else GradientDescent(0.5, max_steps=60_000)
        ends.append(solve(problem, start, (method,)))
    best = min(ends, key=lambda point: point.loss)
    values = [torch.linalg.svdvals(factor) for factor in best.factors().values()]
    ranks = [int((part > _NEGLIGIBLE * part[0]).sum()) for part in values]
    numbers: dict[str, float | int | str] = {
        "loss of linear DNC, the bound": bound,
        "lowest loss of a descent": best.loss,
        "descents": len(ends),
        "of these below the bound": sum(point.loss < bound for point in ends),
        "singular values over 1 % of the largest, H_1, W_1, .., W_L": ",".join(map(str, ranks)),
        "gradient norm there (kinks: no critical point in the smooth sense)": best.gradient_norm,
    }
    return Finding(numbers, assess(best.loss < bound))
