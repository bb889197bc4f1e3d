"""Why descent finds DNC: the paper's cause, degeneracy, against starts in which nothing but a part of the start is replaced."""

from collections.abc import Sequence

from scipy.stats import fisher_exact

from landscape.archive.experiment import Experiment
from landscape.paper.claims.comparison import paper_setting
from landscape.paper.claims.finding import Assessment, Finding, assess
from landscape.solver.starts import Random
from landscape.studies.intervals import share_interval
from landscape.studies.prevalence import Prevalence, measure_prevalence
from landscape.studies.starts.swap import altered

_LEVEL = 0.01  # of the tests that a share has changed
_PLAIN, _PLACEBO, _SYMMETRIC = None, "features:anew", "features:identity"


def more_degenerate(fast: bool) -> Finding:
    """DNC is found often because its manifold has more dimensions: then starts with equal manifolds find it equally often."""
    seeds = 20 if fast else 60
    rows: list[tuple[int, str | None]] = [(70, _PLAIN), (70, _PLACEBO), (70, _SYMMETRIC)]
    if not fast:
        rows += [(70, "features:width=150"), (150, _PLAIN), (150, _PLACEBO), (150, "features:width=70")]
    results = {(width, swap): _followed(width, swap, seeds) for width, swap in rows}
    numbers: dict[str, float | int | str] = {}
    for (width, swap), result in results.items():
        low, high = result.interval("DNC")
        name = f"d={width}, {'features as drawn' if swap is None else swap}"
        numbers[f"{name}: DNC of {seeds}"] = result.counts.get("DNC", 0)
        numbers[f"{name}: 95 % interval"] = f"{low:.3f} to {high:.3f}"
        numbers[f"{name}: dimension of DNC's manifold"] = ", ".join(map(str, _dimensions(result)))
    plain, placebo, symmetric = (results[70, swap] for swap in (_PLAIN, _PLACEBO, _SYMMETRIC))
    numbers["chance of such a change by the swap (Fisher)"] = _chance(plain, symmetric)
    numbers["chance of such a change by the placebo (Fisher)"] = _chance(plain, placebo)
    return Finding(numbers, verdict_of_swap(plain, placebo, symmetric))


def verdict_of_swap(plain: Prevalence, placebo: Prevalence, symmetric: Prevalence) -> Assessment:
    """Returns what the swap says of the claim.

    Args:
        plain: Starts as drawn.
        placebo: The same part of the start, drawn anew at the same width: it must leave the share as it was.
        symmetric: Starts with that part replaced by its limit of infinite width.
    """
    same = len({dimension for result in (plain, placebo, symmetric) for dimension in _dimensions(result)}) <= 1
    lost = max(share_interval(0, len(one.ends), one.non_converged)[1] for one in (plain, placebo, symmetric)) > 1 / 2
    if lost or not same or _chance(plain, placebo) < _LEVEL:
        return assess(None)
    return assess(_chance(plain, symmetric) >= _LEVEL)


def _followed(width: int, swap: str | None, seeds: int) -> Prevalence:
    return measure_prevalence(Experiment(paper_setting(width), altered(Random(), swap)), seeds)


def _dimensions(result: Prevalence) -> Sequence[int]:
    """Returns the nullities that were measured at the end points that are DNC: one number if all agree."""
    pairs = zip(result.ends, result.labels, strict=True)
    return sorted({end.nullity for end, label in pairs if label == "DNC" and end.nullity is not None})


def _chance(one: Prevalence, other: Prevalence) -> float:
    """Returns the probability of counts that differ as much, or more, between starts of one share."""
    found = [(result.counts.get("DNC", 0), len(result.ends) - result.non_converged) for result in (one, other)]
    return float(fisher_exact([[count, total - count] for count, total in found]).pvalue)
