"""Proof of a found point: existence, uniqueness up to the symmetries, rank, index and nullity, in a box around its core.

Five steps over one box: the rank, a slice through the orbit, exactly one zero of the gradient on the slice, from the slice to the
full gradient, the signs of the Hessian. At a critical point the Hessian vanishes on the generators, so in the basis [T, N] it is
zero plus N'HN: the nullity of the core is the number of independent generators. Outside the core the reduction counts the rest.
"""

import math
from collections.abc import Sequence

from flint import arb, arb_mat

from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.proof.balls import LADDER, dyadic, enclosure, exact, is_regular, precision, square, upper
from landscape.proof.existence import FINE, Box, BoxSlice, by_diagonal, by_inverse, prepare_slice
from landscape.proof.hessian import CoreModel, CorePoint
from landscape.proof.inertia import enclosed_inertia, rotated_inertia
from landscape.proof.origin import prove_zero
from landscape.proof.statement import Proof, Unproved

LARGEST = 1_100  # coordinates of a core: 13 s and half a gigabyte there, growing with the cube and the square
PATIENCE = 60.0  # seconds of CPU time that one precision may be predicted to take
_INVERSIONS = 4  # what Newton with full inverses costs against a proof at the first precision
_FINAL = 256  # bits at which the box is so small that an open rank or slice stays open
_DIAGONAL_UP_TO = 64  # bits; what a diagonal approximate inverse cannot decide there needs a full one, not more bits


def prove_point(
    problem: Problem, rank: int, core: Sequence[float], most_bits: int = LADDER[-1], seconds: float = PATIENCE
) -> Proof | Unproved:
    """Proves that exactly one critical point, up to the symmetries, lies near a core, and its rank, index and nullity.

    The numbers are those of the proved point, which `Proof.distance` bounds away from the core; another one may be closer.

    Args:
        problem: A linear model; its decays count as the exact doubles they are.
        rank: Width of the core.
        core: H, W_1, .., W_L of the core, row by row.
        most_bits: Working precision beyond which nothing is tried.
        seconds: CPU time that one precision may be predicted to take.

    Returns:
        The proof, or the step that failed; nothing is proved then, neither for nor against.

    Raises:
        InputError: If the model is not linear, or the rank or the number of coordinates cannot belong to it.
    """
    _require_core(problem, rank, len(core))
    given = [float(value) for value in core]
    if not all(map(math.isfinite, given)):
        return Unproved("the core has entries that are not finite")
    if rank == 0:
        return prove_zero(problem)
    model = CoreModel(problem, rank)
    if model.size > LARGEST:
        return Unproved(f"the core has {model.size} coordinates: the box is for at most {LARGEST}")
    with precision(LADDER[0]):
        if not _has_full_rank(model.at([exact(value) for value in given])):
            return Unproved(f"the factors of the core are not of full rank {rank}")
        place = prepare_slice(model, given)
    if isinstance(place, Unproved):
        return place
    return _climbed(place, most_bits, seconds)


def predicted_seconds(problem: Problem, rank: int, bits: int = LADDER[0]) -> float:
    """Returns the CPU seconds that a proof takes at one precision, within a factor of two or so; infinity beyond the largest core.

    Calibrated on one core at 3 GHz. Nearly all found minima need the first precision alone.
    """
    size = CoreModel(problem, rank).size if rank else 0
    if size > LARGEST:
        return math.inf
    once = 0.004 + 2e-6 * size**2 + 6e-9 * size**3
    return once if bits <= _DIAGONAL_UP_TO else _INVERSIONS * once * bits / _DIAGONAL_UP_TO


def _require_core(problem: Problem, rank: int, coordinates: int) -> None:
    if not problem.is_linear:
        raise InputError(f"expected linear layers for a proof, got {problem.activation}: prove a linear model")
    most = min(problem.classes, problem.width)
    if not 0 <= rank <= most:
        raise InputError(f"expected a rank from 0 to {most}, got {rank}: pass the rank of the core")
    expected = (problem.depth - 1) * rank**2 + 2 * problem.classes * rank
    if coordinates != expected:
        raise InputError(
            f"expected {expected} coordinates for a core of rank {rank}, got {coordinates}: pass the core of this problem"
        )


def _climbed(place: BoxSlice, most_bits: int, seconds: float) -> Proof | Unproved:
    """Tries one precision after the other."""
    model = place.model
    reason = f"nothing is tried with {most_bits} bits"
    for bits in LADDER:
        if bits > most_bits:
            break
        if not predicted_seconds(model.problem, model.rank, bits) <= seconds:
            return Unproved(f"{reason}, and more bits are predicted to take over {seconds:g} s")
        with precision(bits):
            centre = [exact(value) for value in place.start]
            for find, first, last in ((by_diagonal, 0, _DIAGONAL_UP_TO), (by_inverse, LADDER[1], math.inf)):
                if not first <= bits <= last:
                    continue
                box = find(place, centre, bits)
                if isinstance(box, Unproved):
                    return box
                if box is None:
                    reason = f"existence of a critical point is not decided with {bits} bits"
                    continue
                flaw = _flaw(place, box)
                if flaw and bits >= _FINAL:
                    return Unproved(f"{flaw} is not decided with {bits} bits")
                result = Unproved(f"{flaw} is not decided with {bits} bits") if flaw else _counted(place, box, bits)
                if isinstance(result, Proof):
                    return result
                reason = result.reason
    return Unproved(reason)


def _flaw(place: BoxSlice, box: Box) -> str | None:
    """Returns what more bits do not help with, as long as the box is small against the core."""
    if not _has_full_rank(box.whole):
        return f"rank {place.model.rank}"
    return None if place.is_transversal(box.whole) else "the slice through the orbit"


def _counted(place: BoxSlice, box: Box, bits: int) -> Proof | Unproved:
    """Decides the signs over a box that holds exactly one critical point of that rank."""
    model = place.model
    problem, rank = model.problem, model.rank
    negative = enclosed_inertia(box.hessian)
    if negative is None:
        return Unproved(f"the sign of an eigenvalue is not decided with {bits} bits")
    index, copies = negative, problem.width - rank
    if problem.depth == 1 and copies:
        per_copy = _complement(model.at(box.zero))
        if per_copy is None:
            return Unproved(f"the sign of an eigenvalue outside the core is not decided with {bits} bits")
        index += copies * per_copy
    with precision(FINE * bits):
        apart = [(value - exact(given)).abs_upper() for value, given in zip(box.zero, place.given, strict=True)]
        distance, loss = upper(sum(map(square, apart), arb(0)).abs_upper().sqrt()), enclosure(model.at(box.zero).loss)
    if not all(map(math.isfinite, (distance, *loss))):
        return Unproved(f"the loss at the critical point is not enclosed with {bits} bits")
    return Proof(
        kind="point",
        problem=problem,
        rank=rank,
        nullity=problem.depth * rank * copies + len(place.fixed),
        index=index,
        loss=loss,
        bits=bits,
        distance=distance,
        data=_evidence(place, box, negative),
    )


def _has_full_rank(point: CorePoint) -> bool:
    """Whether one factor, and by balance every one, is proved to have the rank of the core's width."""
    factor = point.factors[1]
    return is_regular(factor if point.model.problem.depth > 1 else factor.transpose() * factor)


def _complement(point: CorePoint) -> int | None:
    """Returns the negative eigenvalues per unused dimension of a single layer.

    M = [[decay_1, G], [G', decay_0]] vanishes on Y = [W_1; H'] at a critical point, which are the gauge rotations. So M + YY'
    is regular exactly if M has no other null vector, and then has the index of M.
    """
    problem = point.model.problem
    features, layer = point.factors
    classes, pull = problem.classes, point.pull.tolist()
    decays = [exact(decay) for decay in problem.decays]
    rows = [[arb(0)] * (2 * classes) for _ in range(2 * classes)]
    for i in range(classes):
        rows[i][i], rows[classes + i][classes + i] = decays[1], decays[0]
        for j in range(classes):
            rows[i][classes + j] = rows[classes + j][i] = pull[i][j]
    null = arb_mat(layer.tolist() + features.transpose().tolist())
    return rotated_inertia(arb_mat(rows) + null * null.transpose())


def _evidence(place: BoxSlice, box: Box, negative: int) -> dict[str, object]:
    """What the checker needs, in JSON types."""
    return {
        "given": [value.hex() for value in place.given],
        "centre": [[str(part) for part in dyadic(value)] for value in box.centre],
        "radius": box.radius.hex(),
        "fixed": list(place.fixed),
        "basis": [[value.hex() for value in row] for row in place.basis.tolist()],
        "inverse": None,
        "nullity": len(place.fixed),
        "index": negative,
    }
