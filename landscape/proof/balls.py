"""Exact helpers on top of python-flint: a double enters as the number it is, and what leaves as a double is rounded outward.

A ball is a midpoint and a radius; the result of an operation contains every value that it has on the operands' balls (F. Johansson,
"Arb: efficient arbitrary-precision midpoint-radius interval arithmetic", IEEE Trans. Comput. 66, 2017). Every comparison of
balls is true only if it holds for all their values, so NaN and wide balls fail every test here.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, arb_mat, ctx, fmpq

Array = np.ndarray[Any, np.dtype[np.float64]]
Dyadic = tuple[int, int]
LADDER = (53, 64, 128, 256, 512, 1024)  # working precisions, in the order in which they are tried


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Sets the working precision of python-flint inside the block, and puts the caller's back."""
    before = ctx.prec
    ctx.prec = bits
    try:
        yield
    finally:
        ctx.prec = before


def exact(value: float) -> arb:
    """Returns a double as the ball of radius zero around it.

    Raises:
        ValueError: If the value is not finite.
    """
    if not math.isfinite(value):
        raise ValueError(f"expected a finite number, got {value!r}")
    return arb(value)


def ball(centre: arb, radius: float) -> arb:
    """Returns the ball of this radius around the midpoint of `centre`, whose own radius is added."""
    return centre + arb(0, exact(radius))


def rational(value: Fraction) -> arb:
    """Returns a ball around a fraction; exact where the fraction fits the working precision."""
    return arb(fmpq(value.numerator, value.denominator))


def dyadic(value: arb) -> Dyadic:
    """Returns mantissa and exponent of the midpoint of a ball: value = mantissa * 2**exponent, without rounding."""
    mantissa, exponent = value.mid().man_exp()
    return int(mantissa), int(exponent)


def from_dyadic(value: Dyadic) -> arb:
    """Returns the exact ball of a mantissa and an exponent."""
    return arb(value)


def fraction(value: arb) -> Fraction:
    """Returns the midpoint of a ball as an exact fraction."""
    mantissa, exponent = dyadic(value)
    return Fraction(mantissa * 2**exponent) if exponent >= 0 else Fraction(mantissa, 2**-exponent)


def upper(value: arb) -> float:
    """Returns a double that is at least every value of the ball; infinity where there is none, NaN for a ball of NaN."""
    if value.is_nan():
        return math.nan
    top = value.upper()
    return math.nextafter(float(top), math.inf) if top.is_finite() else math.inf


def lower(value: arb) -> float:
    """Returns a double that is at most every value of the ball; minus infinity where there is none, NaN for a ball of NaN."""
    return -upper(-value)


def enclosure(value: arb) -> tuple[float, float]:
    """Returns lower and upper bound of a ball as doubles."""
    return lower(value), upper(value)


def sign(value: arb) -> int | None:
    """Returns 1, -1 or 0 (the exact zero) where all values of the ball agree, and None where they do not."""
    if value > 0:
        return 1
    if value < 0:
        return -1
    return 0 if value.is_zero() else None


def square(value: arb) -> arb:
    """Returns value * value; `**` on a ball whose midpoint is zero is NaN in python-flint 0.9."""
    return value * value


def matrix(rows: Array | Sequence[Sequence[Any]]) -> arb_mat:
    """Returns a ball matrix of exact doubles, or of the balls given."""
    return arb_mat(rows.tolist() if isinstance(rows, np.ndarray) else [list(row) for row in rows])


def column(values: Sequence[Any]) -> arb_mat:
    """Returns a ball matrix of one column."""
    return arb_mat(len(values), 1, list(values))


def midpoints(balls: arb_mat) -> Array:
    """Returns the midpoints of a ball matrix, rounded to doubles."""
    return np.array([float(value) for value in balls.mid().entries()]).reshape(balls.nrows(), balls.ncols())


def magnitude(balls: arb_mat) -> arb:
    """Returns an upper bound of the largest absolute row sum, which bounds the spectral radius; not finite for NaN."""
    largest = arb(0)
    for row in balls.tolist():
        total = arb(0)
        for value in row:
            total += value.abs_upper()
        largest = largest.max(total)
    return largest.upper()


def lies_below(value: arb, bound: float) -> bool:
    """Whether every value of the ball is below the bound; False for NaN."""
    return bool(value < bound)


def is_regular(balls: arb_mat) -> bool:
    """Whether every matrix in the ball matrix is proved regular: |1 - P A| < 1 in the row-sum norm, P near the midpoint's inverse.

    P is the inverse of the midpoint in doubles, so a condition number beyond about 1e14 is answered False.
    """
    rows = balls.nrows()
    if rows == 0:
        return True
    centre = midpoints(balls)
    if not np.isfinite(centre).all():
        return False
    try:
        inverse: Array = np.asarray(np.linalg.inv(centre), dtype=np.float64)
    except np.linalg.LinAlgError:
        return False
    if not np.isfinite(inverse).all():
        return False
    return lies_below(magnitude(identity(rows) - matrix(inverse) * balls), 1.0)


def identity(rows: int) -> arb_mat:
    """Returns the exact unit matrix."""
    return arb_mat(rows, rows, [int(i == j) for i in range(rows) for j in range(rows)])


def diagonal(values: Sequence[Any]) -> arb_mat:
    """Returns the square matrix with these balls on its diagonal."""
    rows = len(values)
    return arb_mat(rows, rows, [values[i] if i == j else 0 for i in range(rows) for j in range(rows)])
