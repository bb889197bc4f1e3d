"""Wilson's interval against its formula in decimals of 60 digits."""

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscape.errors import InputError
from landscape.studies.intervals import share_interval

Z = Decimal("1.959963984540054235524594430520551527955550300795")  # of the normal distribution at 0.975


def by_hand(count: int, total: int) -> tuple[float, float]:
    """Both roots p of (count / total - p)^2 = z^2 p (1 - p) / total."""
    with localcontext() as context:
        context.prec = 60
        n, share = Decimal(total), Decimal(count) / Decimal(total)
        middle, scale = share + Z * Z / (2 * n), 1 + Z * Z / n
        radius = Z * (share * (1 - share) / n + Z * Z / (4 * n * n)).sqrt()
        return float((middle - radius) / scale), float((middle + radius) / scale)


@given(st.integers(1, 500).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_the_interval_is_wilsons(case: tuple[int, int]) -> None:
    assert share_interval(*case) == pytest.approx(by_hand(*case), abs=3e-16, rel=1e-15)


def test_nothing_and_all_are_in_their_intervals() -> None:
    assert share_interval(0, 40)[0] == 0
    assert share_interval(40, 40)[1] == 1


def test_the_unknown_widen_it() -> None:
    assert share_interval(2, 9, 3) == (share_interval(2, 9)[0], share_interval(5, 9)[1])


@pytest.mark.parametrize("case", [(-1, 3), (4, 3), (0, 0), (2, 3, 2), (1, 3, -1)])
def test_counts_that_are_none(case: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="expected 0 <= count <= total"):
        share_interval(*case)
