"""Claims about the rank of the global optimum: Theorems 2 and 3, and their counterparts A1 to A3 for unequal classes.

No method certifies a global minimum here: what is ranked is the best known point (`comparison.best_known`).
"""

import math
from collections.abc import Mapping
from itertools import pairwise

import torch

from landscape.decomposition import singular_vectors
from landscape.model.logit_form import LogitForm
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.paper.claims.comparison import best_known
from landscape.paper.claims.finding import Finding, assess
from landscape.solver.methods import Newton
from landscape.solver.newton import polish_core
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Partition

_CRITICAL = 1e-12  # gradient norm
_NEGLIGIBLE = 1e-6  # of the largest singular value
_PARTS = 8  # of a sample, by which a class grows at a time; whole samples are too far for a step of Newton's method


def theorem_2(fast: bool) -> Finding:
    """The rank at the global optimum falls with the depth, at one decay."""
    depths = (1, 2, 3, 4) if fast else (1, 2, 3, 4, 5, 6)
    return _falling({L: Problem.balanced(6, 1, 6, L, 2e-3) for L in depths}, 24 if fast else 128)


def theorem_3(fast: bool) -> Finding:
    """At the global optimum of deep models the singular values beyond the first q_K <= 2 are negligible."""
    depths = (2, 3, 4) if fast else (2, 3, 4, 5, 6, 8)
    return _beyond_two({L: Problem.balanced(5, 1, 5, L, 0.02 / L**1.5) for L in depths}, 24 if fast else 96)


def step_sizes(classes: int, ratio: int, minority: float) -> tuple[int, ...]:
    """Returns (R, rho)-STEP class sizes: a share rho of the classes has 1 sample each, the others R."""
    few = round(minority * classes)
    return (ratio,) * (classes - few) + (1,) * few


def appendix_1(fast: bool) -> Finding:
    """Unequal classes, the counterpart of Theorem 1: the critical point of rank K - 1 that continues DNC is not the lowest."""
    settings = ((6, 4, 1 / 3), (6, 3, 0.5)) if fast else ((6, 4, 1 / 3), (8, 3, 0.5), (8, 5, 0.25), (10, 3, 0.4))
    least, tried, missing = math.inf, 0, 0
    for K, ratio, share in settings:
        for decay, L in ((2e-3, 2), (2e-3, 3)) if fast else ((2e-3, 2), (2e-3, 3), (2e-4, 2), (2e-4, 4)):
            loss = _continued(K, ratio, share, L, decay)
            tried += 1
            if loss is None:
                missing += 1
                continue
            best = best_known(Problem(step_sizes(K, ratio, share), K, L, decay), 16 if fast else 96)
            least = min(least, 1 - best.loss / min(loss, best.collapsed or math.inf))
    numbers: dict[str, float | int | str] = {
        "settings": tried,
        "settings where the point of rank K - 1 could not be followed": missing,
        "least margin of the best known below it": least,
    }
    return Finding(numbers, assess(least > 0 if missing < tried else None))


def appendix_2(fast: bool) -> Finding:
    """Unequal classes, the counterpart of Theorem 2."""
    sizes = step_sizes(6, 4, 1 / 3)
    depths = (1, 2, 3, 4) if fast else (1, 2, 3, 4, 5, 6)
    return _falling({L: Problem(sizes, 6, L, 1e-3) for L in depths}, 24 if fast else 128)


def appendix_3(fast: bool) -> Finding:
    """Unequal classes, the counterpart of Theorem 3."""
    sizes = step_sizes(5, 3, 0.4)
    depths = (2, 3, 4) if fast else (2, 3, 4, 5, 6)
    return _beyond_two({L: Problem(sizes, 5, L, 0.01 / L**1.5) for L in depths}, 24 if fast else 96)


def _falling(problems: Mapping[int, Problem], starts: int) -> Finding:
    """Judges whether the rank of the best known never rises with the depth, from K - 1 to less."""
    numbers: dict[str, float | int | str] = {}
    ranks = []
    for L, problem in problems.items():
        best = best_known(problem, starts)
        ranks.append(best.rank)
        numbers |= {f"L={L}: rank of the best known": best.rank, f"L={L}: its loss": best.loss}
    monotone = all(one >= other for one, other in pairwise(ranks))
    return Finding(numbers, assess(monotone and ranks[0] == problems[1].classes - 1 and 0 < ranks[-1] < ranks[0]))


def _beyond_two(problems: Mapping[int, Problem], starts: int) -> Finding:
    """Judges whether the singular values of the best known beyond the second are negligible from three layers on."""
    numbers: dict[str, float | int | str] = {}
    deep, ranks = [], []
    for L, problem in problems.items():
        best = best_known(problem, starts)
        third = best.singular[2] / best.singular[0] if best.rank > 2 else 0.0
        numbers |= {f"L={L}: rank of the best known": best.rank, f"L={L}: third singular value over the first": third}
        ranks.append(best.rank)
        if L >= 3:
            deep.append(third)
    return Finding(numbers, assess(max(deep) < _NEGLIGIBLE and ranks[-1] == 2))


def _continued(classes: int, ratio: int, share: float, depth: int, decay: float) -> float | None:
    """Follows DNC of equal classes to a ratio R; None if the point loses its rank or its criticality.

    In steps of 1 / `_PARTS` of a sample, so that Newton's method starts close: m times as many samples of every class at a decay
    m^(1/(L+1)) times smaller have the same logits and the same loss.
    """
    equal = Problem.balanced(classes, 1, classes, depth, decay)
    form = logit_form(equal, Partition((classes,)))
    logits = form.left * form.singular @ form.right.mT
    loss = math.nan
    few = round(share * classes)
    for more in range(_PARTS * (ratio - 1) + 1):
        sizes = (_PARTS + more,) * (classes - few) + (_PARTS,) * few
        problem = Problem(sizes, classes, depth, decay * _PARTS ** (-1 / (depth + 1)))
        left, values, right = singular_vectors(logits * torch.tensor(problem.class_sizes).double().sqrt(), full=True)
        rank = classes - 1
        core = polish_core(Core.from_form(problem, LogitForm(left[:, :rank], values[:rank], right[:rank].mT)), Newton())
        logits = core.class_logits
        values = torch.linalg.svdvals(logits)
        if core.objective.gradient(core.theta).norm() > _CRITICAL or values[rank - 1] < _NEGLIGIBLE * values[0]:
            return None
        loss = core.loss
    return loss
