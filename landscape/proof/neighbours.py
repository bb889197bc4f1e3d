"""How close a found point is to another count: the same proof at decays a few last places away.

Two proofs for two exact sets of decays, and never one for a ball of decays: over a ball the point and its eigenvalues would
move independently, and nothing could be decided.
"""

import math
from dataclasses import replace

from landscape.model.problem import Problem
from landscape.proof.balls import LADDER, from_dyadic, precision
from landscape.proof.box import prove_point
from landscape.proof.statement import Proof, Unproved

PLACES = 4  # last places of each decay to either side


def near_zero_of_point(proof: Proof, places: int = PLACES) -> int | Unproved:
    """Returns how many eigenvalues of a found point change sign between the decays that many last places below and above.

    All decays move together. Newton's method carries the point to either end; the count is the spread of the three proved
    indices, so eigenvalues that cross zero and come back are not seen.

    Args:
        proof: A proof of kind "point".
        places: Last places by which each decay is moved.
    """
    with precision(LADDER[0]):
        centre = [float(from_dyadic((int(mantissa), int(exponent)))) for mantissa, exponent in proof.data["centre"]]
    indices = [proof.index]
    for steps in (-places, places):
        moved = _moved(proof.problem, steps)
        if moved is None:
            return Unproved(f"a decay {places} last places away is not a positive double")
        end = prove_point(moved, proof.rank, centre)
        if isinstance(end, Unproved):
            return Unproved(f"{abs(steps)} last places {'above' if steps > 0 else 'below'} the decay: {end.reason}")
        indices.append(end.index)
    return max(indices) - min(indices)


def _moved(problem: Problem, steps: int) -> Problem | None:
    """Returns the problem with every decay moved by so many last places."""
    decays = []
    for decay in problem.decays:
        value = float(decay)
        for _ in range(abs(steps)):
            value = math.nextafter(value, math.copysign(math.inf, steps))
        if not 0 < value < math.inf:
            return None
        decays.append(value)
    return replace(problem, decay=tuple(decays) if isinstance(problem.decay, tuple) else decays[0])
