"""Claims about which points are critical and whether DNC is the lowest: Lemma 1, Theorem 1 and what it leaves out."""

import math
from dataclasses import replace

import numpy as np
import torch
from scipy.optimize import minimize

from landscape.claims.comparison import best_known, crossing, fold_decay, low_rank, margin
from landscape.claims.finding import Finding, assess
from landscape.collapse import collapse_metrics
from landscape.objective import Objective
from landscape.problem import Problem
from landscape.reduction import Core
from landscape.solver import solve
from landscape.structures import Apex, LogitForm, Pairs, Partition, Random, analytic, embed, random_start

_EXACT = 1e-9  # relative: ends of a solve at gradient norm 1e-12 agree with exact identities to about 1e-11
_CRITICAL = 1e-12  # gradient norm


def lemma_1(fast: bool) -> Finding:
    """All factors of a critical point share their singular values, and its frames are aligned."""
    problems = [Problem.balanced(4, 3, 6, 3, 1e-3), Problem.balanced(6, 2, 8, 2, 2e-3), Problem((4, 1, 2, 2, 1), 7, 2, 2e-3)]
    spread = imbalance = within = 0.0
    ends = 0
    for problem in problems:
        for seed in range(1 if fast else 10):
            point = solve(problem, random_start(problem, Random(seed=seed)))
            if point.gradient_norm > _CRITICAL or point.theta.norm() < 1e-3:
                continue
            ends += 1
            values = torch.stack([torch.linalg.svdvals(factor)[: problem.classes] for factor in point.factors().values()])
            spread = max(spread, float((values.amax(0) - values.amin(0)).max() / values.max()))
            metrics = collapse_metrics(problem, point.theta)
            imbalance = max(imbalance, metrics.balancedness)
            within = max(within, *(value for value in metrics.nc1 if value is not None))
    numbers: dict[str, float | int | str] = {
        "solved points": ends,
        "spread of the factors' singular values": spread,
        "largest ||W_l+1' W_l+1 - W_l W_l'|| / ||W_l W_l'||": imbalance,
        "within-class over between-class variance": within,
    }
    return Finding(numbers, assess(max(spread, imbalance, within) < _EXACT if ends >= len(problems) else None))


def theorem_1(fast: bool) -> Finding:
    """DNC is not the global optimum for K >= 4, L >= 3 and for K >= 6, L = 2: a rival lies below it wherever it exists."""
    classes = range(4, 13) if fast else range(4, 31)
    depths = range(2, 7) if fast else range(2, 11)
    parts = (0.95, 0.3, 1e-2, 1e-4, 1e-8, 1e-16) if fast else (0.999, 0.95, 0.7, 0.3, 0.1, *(10.0**-p for p in range(2, 31, 2)))
    least, where, tried, silent = math.inf, "", 0, 0
    for K in classes:
        for L in depths:
            if K < 6 and L == 2:
                continue
            for part in parts:
                problem = Problem.balanced(K, 1, K, L, part * fold_decay(K, L))
                below = margin(problem, low_rank(K)[:1])
                tried += 1
                if below is None:
                    silent += 1
                elif below < least:
                    least, where = below, f"K={K}, L={L}, decay {part:g} of the fold's"
    numbers: dict[str, float | int | str] = {
        "settings": tried,
        "settings where no rival exists": silent,
        "least margin (loss of DNC - loss of the rival) / loss of DNC": least,
        "at": where,
    }
    return Finding(numbers, assess(least > 0 and silent == 0))


def odd_classes(fast: bool) -> Finding:
    """For odd K the rival in the proof, pairs and a 1 on the diagonal, is a critical point below DNC."""
    least, gradient, rival = math.inf, 0.0, math.inf
    for K in (5, 7) if fast else (5, 7, 9, 11, 15, 21):
        for L in (3, 4):
            problem = Problem.balanced(K, 1, K, L, 0.1 * fold_decay(K, L))
            least = min(least, _least_gradient(problem))
            form = analytic(problem, Partition((3, *(2,) * ((K - 3) // 2))))
            theta = embed(problem, form, gauge=0)
            gradient = max(gradient, float(Objective.of(problem).gradient(theta).norm()))
            rival = min(rival, margin(problem, [Partition((3, *(2,) * ((K - 3) // 2)))]) or -math.inf)
    numbers: dict[str, float | int | str] = {
        "least |gradient| / (lambda |theta|) of pairs + 1 on the diagonal, any scales": least,
        "gradient norm of (3,2,..,2)": gradient,
        "its least margin below DNC": rival,
    }
    return Finding(numbers, assess(least < 1e-3, gradient < _CRITICAL and rival > 0))


def _least_gradient(problem: Problem) -> float:
    """Returns the smallest gradient of blockdiag(b pairs, c) over the two scales, in units of lambda |theta|."""
    K = problem.classes
    basis = torch.zeros(K, K // 2 + 1, dtype=torch.float64)
    for pair in range(K // 2):
        basis[2 * pair : 2 * pair + 2, pair] = torch.tensor([1.0, -1.0], dtype=torch.float64) / math.sqrt(2)
    basis[-1, -1] = 1.0

    def norm(logs: np.ndarray) -> float:
        values = torch.tensor([math.exp(logs[0])] * (K // 2) + [math.exp(logs[1])], dtype=torch.float64)
        core = Core.from_form(problem, LogitForm(basis, values, basis))
        return float(core.objective.gradient(core.theta).norm() / (problem.mean_decay * core.theta.norm()))

    starts = [(math.log(b), math.log(c)) for b in (3.0, 15.0) for c in (1.0, 8.0)]
    return min(float(minimize(norm, start, method="Nelder-Mead", options={"maxfev": 300}).fun) for start in starts)


def four_classes_two_layers(fast: bool) -> Finding:
    """What Theorem 1 leaves out at K = 4, L = 2 is where DNC is optimal."""
    fold = fold_decay(4, 2)
    problem = Problem.balanced(4, 1, 4, 2, 0.1 * fold)
    large, small = margin(problem, [Pairs()]), margin(replace(problem, decay=1e-6 * fold), [Pairs()])
    assert large is not None
    assert small is not None
    decay = crossing(problem, Pairs(), 1e-3 * fold, fold)
    numbers: dict[str, float | int | str] = {
        "margin of pairs at 0.1 of the fold's decay": large,
        "margin of pairs at 1e-6 of it": small,
        "equal losses at decay": decay,
        "over that of the fold": decay / fold,
    }
    if not fast:
        best = best_known(replace(problem, decay=0.3 * decay), 64)
        numbers["rank of the best known at 0.3 of the crossing"] = best.rank
    return Finding(numbers, assess(large <= 0, large > 0 > small))


def five_classes_two_layers(fast: bool) -> Finding:
    """What Theorem 1 leaves out at K = 5, L = 2 is where DNC is optimal."""
    fold = fold_decay(5, 2)
    problem = Problem.balanced(5, 2, 5, 2, 1e-3)
    large, small = margin(problem, [Apex()]), margin(Problem.balanced(5, 1, 5, 2, 1e-4 * fold), [Apex()])
    assert large is not None
    assert small is not None
    decay = crossing(Problem.balanced(5, 1, 5, 2, 1e-3), Apex(), 5e-4 * fold, 2e-3 * fold)
    numbers: dict[str, float | int | str] = {
        "margin of pairs+apex at n=2, decay 1e-3": large,
        "its margin at 1e-4 of the fold's decay": small,
        "equal losses at decay (n=1)": decay,
        "over that of the fold": decay / fold,
    }
    if not fast:
        best = best_known(Problem.balanced(5, 1, 5, 2, 0.1 * decay), 64)
        numbers["rank of the best known at 0.1 of the crossing"] = best.rank
    return Finding(numbers, assess(large <= 0, large > 0 > small))
