"""Claims about what descent finds: Figures 1, 2 and 5."""

from functools import lru_cache

import numpy as np
from scipy.stats import fisher_exact, mannwhitneyu

from landscape.claims.comparison import loss_of, paper_setting
from landscape.claims.finding import Finding, assess
from landscape.degeneracy import analyse
from landscape.prevalence import Study, measure
from landscape.solver import GradientDescent, Newton, PseudoTransient, solve
from landscape.structures import Collapse, Pairs, Random, random_start

_LEVEL = 0.05  # of the one-sided tests of a rise
_AGREES = 1e-9  # relative, of two losses


def figure_1(fast: bool) -> Finding:
    """One start ends at DNC, another at pairs, of lower loss; the mean logits are those of the two structures."""
    problem = paper_setting()
    method = PseudoTransient() if fast else GradientDescent(0.5, tolerance=1e-7)
    numbers: dict[str, float | int | str] = {}
    agree = []
    losses = []
    for seed, structure, name in ((3, Collapse(), "DNC"), (2, Pairs(), "pairs")):
        point = solve(problem, random_start(problem, Random(seed=seed)), (method, Newton()))
        expected = loss_of(problem, structure)
        assert expected is not None
        found = analyse(point, "reduction").structure
        numbers |= {f"seed {seed}: ends at": found, f"seed {seed}: loss": point.loss}
        numbers |= {f"seed {seed}: loss at its start": float(point.trace[0, 1])}
        agree.append(found == name and abs(point.loss / expected - 1) < _AGREES)
        losses.append(point.loss)
    return Finding(numbers, assess(all(agree) and losses[1] < losses[0]))


@lru_cache
def _ranks(width: int, power: int, seeds: int) -> tuple[int, ...]:
    """Returns the ranks at which descent ends, W_l ~ N(0, 1/d), H_1 ~ N(0, 1), for the runs that converged.

    Figs. 2 and 5 look at the same runs, one for each of the first seeds.
    """
    ends = measure(Study(paper_setting(width, 2.0**power)), seeds).ends
    return tuple(end.rank for end in ends if end.converged)


def _plan(fast: bool) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Returns widths at lambda = 2^-10, powers of two of lambda at d = 70, and seeds."""
    return ((20, 150), (), 8) if fast else ((10, 20, 40, 70, 100, 150), (-8, -9, -11, -12), 20)


def figure_2(fast: bool) -> Finding:
    """DNC is found more often as the width grows; its dependence on lambda is measured, not judged."""
    widths, powers, seeds = _plan(fast)
    runs = {f"d={d}, lambda=2^-10": _ranks(d, -10, seeds) for d in widths}
    runs |= {f"d=70, lambda=2^{p}": _ranks(70, p, seeds) for p in powers}
    numbers: dict[str, float | int | str] = {
        f"{name}: DNC in {len(ranks)} converged runs": ranks.count(9) for name, ranks in runs.items()
    }
    narrow, wide = _ranks(widths[0], -10, seeds), _ranks(widths[-1], -10, seeds)
    table = [[wide.count(9), len(wide) - wide.count(9)], [narrow.count(9), len(narrow) - narrow.count(9)]]
    chance = float(fisher_exact(table, alternative="greater").pvalue)
    numbers["chance of such a rise without one (Fisher, one-sided)"] = chance
    return Finding(numbers, assess(chance < _LEVEL if min(len(narrow), len(wide)) >= seeds // 2 else None))


def figure_5(fast: bool) -> Finding:
    """The rank at which descent ends grows with the width; its dependence on lambda is measured, not judged."""
    widths, powers, seeds = _plan(fast)
    runs = {f"d={d}, lambda=2^-10": _ranks(d, -10, seeds) for d in widths}
    runs |= {f"d=70, lambda=2^{p}": _ranks(70, p, seeds) for p in powers}
    numbers: dict[str, float | int | str] = {
        f"{name}: mean rank of {len(ranks)} converged runs": float(np.mean(ranks)) if ranks else "none"
        for name, ranks in runs.items()
    }
    narrow, wide = _ranks(widths[0], -10, seeds), _ranks(widths[-1], -10, seeds)
    if min(len(narrow), len(wide)) < seeds // 2:
        return Finding(numbers, assess(None))
    chance = float(mannwhitneyu(wide, narrow, alternative="greater").pvalue)
    numbers["chance of such a rise without one (Mann-Whitney, one-sided)"] = chance
    return Finding(numbers, assess(chance < _LEVEL))
