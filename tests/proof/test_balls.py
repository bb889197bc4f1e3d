"""Nothing is lost between doubles and balls, and nothing passes that is not a number."""

import math
from fractions import Fraction

import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import given
from hypothesis import strategies as st

from landscape.proof import balls

doubles = st.floats(allow_nan=False, allow_infinity=False)


@given(doubles)
def test_a_double_enters_as_it_is(value: float) -> None:
    with balls.precision(20):  # fewer bits than a double has
        assert balls.fraction(balls.exact(value)) == Fraction(value)
        assert balls.from_dyadic(balls.dyadic(balls.exact(value))) == balls.exact(value)


@given(doubles, st.floats(0, 1e300))
def test_what_leaves_is_rounded_outward(centre: float, radius: float) -> None:
    value = balls.ball(balls.exact(centre), radius)
    low, high = balls.enclosure(value)
    for end, inside in ((low, Fraction(centre) - Fraction(radius)), (high, Fraction(centre) + Fraction(radius))):
        if math.isfinite(end):
            assert Fraction(end) <= inside if end is low else Fraction(end) >= inside
    assert low < high


def test_an_enclosure_of_pi_in_many_bits() -> None:
    with balls.precision(300):
        low, high = balls.enclosure(arb.pi())
    assert low < high == math.nextafter(math.nextafter(low, 4), 4)
    assert low <= math.pi <= high


def test_bounds_beyond_the_doubles() -> None:
    assert balls.enclosure(arb("1e400"))[1] == math.inf
    assert balls.enclosure(-arb("1e400"))[0] == -math.inf
    assert balls.enclosure(arb("1e-400")) == (-5e-324, 5e-324)
    assert all(math.isnan(bound) for bound in balls.enclosure(arb("nan")))


def test_the_precision_is_put_back() -> None:
    before = ctx.prec
    with pytest.raises(ZeroDivisionError), balls.precision(333):
        assert 1 // (ctx.prec - 333)
    assert ctx.prec == before


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_only_finite_numbers_enter(value: float) -> None:
    with pytest.raises(ValueError, match="expected a finite number"):
        balls.exact(value)


def test_signs() -> None:
    assert [balls.sign(value) for value in (arb(2, 1), arb(-2, 1), arb(0))] == [1, -1, 0]
    assert [balls.sign(value) for value in (arb(0, 1), arb(1, 1), arb("nan"))] == [None, None, None]


def test_a_square_of_a_ball_around_zero() -> None:
    square = balls.square(arb(0, 0.5))
    assert square.is_finite()
    assert square.contains(arb(0.25))


def test_rationals() -> None:
    assert balls.rational(Fraction(3, 8)).is_exact()
    third = balls.rational(Fraction(1, 3))
    assert not third.is_exact()
    assert third * 3 - 1 < 1e-15


def test_regular_matrices() -> None:
    random = np.random.default_rng(0).standard_normal((5, 5))
    assert balls.is_regular(balls.matrix(random))
    assert balls.is_regular(balls.matrix(np.zeros((0, 0))))
    random[4] = random[0] - random[1]
    assert not balls.is_regular(balls.matrix(random))
    assert not balls.is_regular(balls.matrix([[1.0, 0.0], [0.0, math.nan]]))
    assert not balls.is_regular(balls.matrix([[arb(1, 2), arb(0)], [arb(0), arb(1)]]))  # holds a singular one
    assert balls.is_regular(balls.matrix([[arb(1, 0.5), arb(0)], [arb(0), arb(1)]]))


def test_the_magnitude_bounds_the_spectral_radius() -> None:
    random = np.random.default_rng(1).standard_normal((6, 6))
    assert np.abs(np.linalg.eigvals(random)).max() <= balls.upper(balls.magnitude(balls.matrix(random)))
    assert math.isnan(balls.upper(balls.magnitude(balls.matrix([[math.nan]]))))
