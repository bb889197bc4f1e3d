"""Intervals of a share: Wilson's score interval (1927), which keeps its coverage at 0 and at 1."""

from landscape.errors import InputError

CONFIDENCE = 0.95


def share_interval(count: int, total: int, unknown: int = 0) -> tuple[float, float]:
    """Returns the 95 % interval of a share of all, wide enough for all of the unknown to belong to it, or none.

    Args:
        count: Number of what was found.
        total: Number of all that was tried.
        unknown: Number of those that may belong to it, or not.

    Raises:
        InputError: If the counts are negative or more than the total, or the total is 0.
    """
    from scipy.stats import binomtest

    if not 0 <= count <= count + unknown <= total or total < 1:
        raise InputError(f"expected 0 <= count <= total and total >= 1, got {count} of {total} with {unknown} unknown")
    ends = (binomtest(found, total).proportion_ci(CONFIDENCE, method="wilson") for found in (count, count + unknown))
    low, high = ends
    return float(low.low), float(high.high)
