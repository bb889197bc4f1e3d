"""The zero point, rank 0, in rationals: it has no core, and every eigenvalue of its Hessian is decided exactly.

For L >= 2 the data part vanishes to second order, so every eigenvalue is a decay. For L = 1 each of the d inner dimensions
carries [[decay_1, G], [G', decay_0]] with G = dg/dZ at zero, whose signs compare the squares of G's singular values with
decay_0 decay_1. With balanced classes and cross-entropy those squares are 1/(K^2 n), K-1 times.
"""

from fractions import Fraction
from typing import Any

from flint import arb

from landscape.problem import Problem
from landscape.proof.balls import LADDER, enclosure, precision
from landscape.proof.statement import Proof


def prove_zero(problem: Problem) -> Proof:
    """Returns the proof of the zero point, which is always critical."""
    negative, null = _pulled(problem) if problem.depth == 1 else (0, 0)
    with precision(LADDER[0]):
        loss = enclosure(arb(problem.classes).log() if problem.loss == "ce" else arb(0.5))
    data: dict[str, Any] = {
        "given": [],
        "centre": [],
        "radius": (0.0).hex(),
        "fixed": [],
        "basis": [],
        "inverse": None,
        "nullity": 0,
        "index": 0,
    }
    return Proof(
        kind="point",
        problem=problem,
        rank=0,
        nullity=problem.width * null,
        index=problem.width * negative,
        loss=loss,
        bits=LADDER[0],
        distance=0.0,
        data=data,
    )


def _pulled(problem: Problem) -> tuple[int, int]:
    """Returns how many singular values of G exceed, and how many equal, the geometric mean of the two decays.

    Their squares times N^2 are the class sizes under squared error. Under cross-entropy they are the eigenvalues of
    diag(n) - sqrt(n) sqrt(n)'/K, read off the bordered matrix [[diag(n - mu), sqrt(n)], [sqrt(n)', K]] by eliminating either
    corner (K, or the diagonal).
    """
    sizes, classes = problem.class_sizes, problem.classes
    product = Fraction(problem.decays[0]) * Fraction(problem.decays[1])
    bound = problem.total_samples**2 * product
    larger, equal = sum(size > bound for size in sizes), sum(size == bound for size in sizes)
    if problem.loss == "mse":
        return larger, equal
    if equal:  # one combination of the equal classes pairs off with the border, as one positive and one negative eigenvalue
        return larger + 1 - 1, equal - 1
    corner = classes - sum(Fraction(size) / (size - bound) for size in sizes)
    return larger + (corner > 0) - 1, int(corner == 0)
