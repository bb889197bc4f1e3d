"""Existence and uniqueness of a critical point in a box: slice through the orbit, Newton, Krawczyk.

The symmetries make critical points come in orbits, with tangents T(x). The slice holds m coordinates fixed, on which the rows of T
are regular. With N the unit vectors of the others, N' grad f = 0 implies grad f = 0, because T(x)' grad f(x) vanishes at every x.
Krawczyk's operator (R. Krawczyk, Computing 4, 1969) in coordinates t, x = centre + N V t with V approximate
eigenvectors of N'HN, proves exactly one zero of V'N' grad f in a cube |t_i| <= radius.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.linalg
from flint import arb, arb_mat

from landscape.display import brief
from landscape.proof.balls import Array, column, exact, identity, is_regular, matrix, midpoints, precision, upper
from landscape.proof.hessian import CoreModel, CorePoint
from landscape.proof.statement import Unproved

_DEPENDENT = 1e-12  # pivot relative to the core's norm up to which a generator depends on the others; a wrong guess proves nothing
_FAINT = 1e-8  # eigenvalues up to this share of the largest are left to Newton in balls
_STILL = 1e-10  # relative length of a Newton step in doubles that is as good as none
_CLOSE = 1e-3  # relative length of a Newton step that doubles cannot shorten, up to which balls go on
_FURTHEST = 0.1  # Newton may move the core by this share of its norm; beyond it, it is on the way to another point
_STEPS = 15  # Newton steps in doubles; it doubles the digits, so a start that needs more is not near a critical point
_CHORDS = 60  # Newton steps with one approximate inverse
FINE = 2  # the gradient at the centre, the zero and the loss there have this multiple of the working precision
_INVERSES = 16  # approximate inverses at one precision
_GOOD = 2.0**-20  # radius of an inverse against its largest entry
_SETTLED = 128  # bits from which Newton's failure with good inverses is final
_CONTRACTION = 0.125  # bound of |1 - C D| that is asked for: other code, as the checker's, encloses D up to a few times wider
_PATIENCE = 4  # of them without a step half as long as the shortest; near a threshold Newton first makes longer ones


Solve = Callable[[arb_mat], arb_mat]


@dataclass(frozen=True)
class BoxSlice:
    """Where the box stands, in doubles; no claim rests on it.

    Attributes:
        model: The core model of the point.
        given: The core as it was given.
        start: The core after Newton in doubles.
        fixed: Coordinates held fixed, ascending, one per independent generator.
        columns: Numbers of the generators that are independent.
        basis: Approximate eigenvectors V of the Hessian on the free coordinates.
        curvatures: Approximate eigenvalues of these eigenvectors.
    """

    model: CoreModel
    given: list[float]
    start: list[float]
    fixed: list[int]
    columns: list[int]
    basis: Array
    curvatures: Array

    __repr__ = brief

    @cached_property
    def free(self) -> list[int]:
        """Coordinates that move, ascending."""
        held = set(self.fixed)
        return [i for i in range(self.model.size) if i not in held]

    @cached_property
    def exact_basis(self) -> arb_mat:
        """V as a ball matrix."""
        return matrix(self.basis)

    def reduced_gradient(self, point: CorePoint) -> arb_mat:
        """V'N' grad f."""
        gradient = point.gradient()
        return self.exact_basis.transpose() * column([gradient[i] for i in self.free])

    def reduced_hessian(self, point: CorePoint) -> arb_mat:
        """V'N'HNV."""
        return self.exact_basis.transpose() * point.hessian(self.free) * self.exact_basis

    def moved(self, centre: list[arb], t: arb_mat) -> list[arb]:
        """Returns centre + N V t."""
        found = list(centre)
        for i, step in zip(self.free, (self.exact_basis * t).entries(), strict=True):
            found[i] = found[i] + step
        return found

    def is_transversal(self, point: CorePoint) -> bool:
        """Whether the fixed rows of the generators are proved regular over the box."""
        generators, zero = point.generators(), arb(0)
        entries = [generators[j].get(i, zero) for i in self.fixed for j in self.columns]
        return is_regular(arb_mat(len(self.fixed), len(self.columns), entries))


@dataclass(frozen=True)
class Box:
    """A cube in which exactly one zero is proved.

    Attributes:
        centre: Centre of the cube, exact.
        radius: Half side of the cube in the coordinates t.
        whole: The core over the whole cube.
        hessian: Enclosure of V'N'HNV over the whole cube.
        zero: The core over a smaller set that still contains the zero.
    """

    centre: list[arb]
    radius: float
    whole: CorePoint
    hessian: arb_mat
    zero: list[arb]

    __repr__ = brief


def prepare_slice(model: CoreModel, given: list[float]) -> BoxSlice | Unproved:
    """Chooses slice and basis in doubles, after Newton steps there if the core is not critical to rounding."""
    with np.errstate(over="ignore", invalid="ignore"):
        return _prepared(model, given)


def _prepared(model: CoreModel, given: list[float]) -> BoxSlice | Unproved:
    x = np.array(given)
    chosen = _transversal(model.at([exact(value) for value in given]), float(np.linalg.norm(x)))
    if chosen is None:
        return Unproved("the core is too large or too small for doubles")
    fixed, columns = chosen
    free = np.setdiff1d(np.arange(model.size), fixed)
    before = np.inf
    for _ in range(_STEPS):
        point = model.at([exact(value) for value in x.tolist()])
        hessian = midpoints(point.hessian(free.tolist()))
        gradient = np.array([float(value) for value in point.gradient()])[free]
        if not (np.isfinite(hessian).all() and np.isfinite(gradient).all()):
            return Unproved("the loss of the core overflows")
        try:
            curvatures, basis = np.linalg.eigh(hessian)
        except np.linalg.LinAlgError:
            return Unproved("the eigenvectors of the core's Hessian are not found in doubles")
        pushes = basis.T @ gradient
        clear = np.abs(curvatures) > _FAINT * np.abs(curvatures).max(initial=0.0)
        step = -basis[:, clear] @ (pushes[clear] / curvatures[clear])
        length = float(np.linalg.norm(step))
        if length <= _STILL * float(np.linalg.norm(x)):
            return BoxSlice(model, given, x.tolist(), fixed, columns, basis, curvatures)
        if not length < before / 2:
            if length <= _CLOSE * float(np.linalg.norm(x)):  # beside a fold doubles get no closer; balls may
                return BoxSlice(model, given, x.tolist(), fixed, columns, basis, curvatures)
            break
        x[free] += step
        before = length
        if not float(np.linalg.norm(x - given)) <= _FURTHEST * float(np.linalg.norm(given)):
            break
    return Unproved("Newton's method finds no critical point near the given core")


def _transversal(point: CorePoint, norm: float) -> tuple[list[int], list[int]] | None:
    """Returns coordinates and as many generators whose rows there are well conditioned, from two pivoted QR decompositions."""
    generators = point.generators()
    tangents = np.zeros((point.model.size, len(generators)))
    for j, entries in enumerate(generators):
        for i, value in entries.items():
            tangents[i, j] = float(value)
    if not np.isfinite(tangents).all():
        return None
    if not generators:
        return [], []
    columns = list(range(len(generators)))
    if point.model.twins:
        triangle, order = scipy.linalg.qr(tangents, mode="r", pivoting=True)
        pivots = np.abs(np.diag(triangle))
        columns = sorted(order[: int((pivots > _DEPENDENT * norm).sum())].tolist())
    order = scipy.linalg.qr(tangents[:, columns].T, mode="r", pivoting=True)[1]
    return sorted(order[: len(columns)].tolist()), columns


def by_diagonal(place: BoxSlice, start: list[arb], bits: int) -> Box | None:
    """Newton and Krawczyk with C = diag(1/d_ii), d_ii the diagonal of V'N'HNV."""
    if not (place.curvatures != 0).all():
        return None
    centre, length = _chords(place, start, bits, _diagonal([exact(value) for value in place.curvatures.tolist()]), 2)
    if not _is_near(place, centre, length):
        return None
    whole, radius = _cube(place, centre, length, bits)
    hessian = place.reduced_hessian(whole)
    scales = [hessian[i, i].mid() for i in range(hessian.nrows())]
    if any(value.is_zero() for value in scales):
        return None
    solve = _diagonal(scales)
    off = [[-value / scale for value in row] for scale, row in zip(scales, hessian.tolist(), strict=True)]
    for i, row in enumerate(off):
        row[i] += 1
    return _krawczyk(place, solve(_push(place, centre, bits)), Box(centre, radius, whole, hessian, centre), off, bits)


def by_inverse(place: BoxSlice, start: list[arb], bits: int) -> Box | Unproved | None:
    """Newton and Krawczyk with C the inverse of the midpoint at working precision.

    Returns:
        The box; None where more bits may help; the reason where Newton has good inverses and does not settle near the core.
    """
    found = _newton(place, start, bits)
    if not isinstance(found, tuple):
        return found
    centre, length = found
    if not _is_near(place, centre, length):
        return None
    whole, radius = _cube(place, centre, length, bits)
    hessian = place.reduced_hessian(whole)
    inverse = _inverse(hessian)
    if inverse is None:
        return None
    inverse = inverse.mid()
    off = (identity(len(place.free)) - inverse * hessian).tolist()
    return _krawczyk(place, inverse * _push(place, centre, bits), Box(centre, radius, whole, hessian, centre), off, bits)


def _newton(place: BoxSlice, centre: list[arb], bits: int) -> tuple[list[arb], float] | Unproved | None:
    """Returns where Newton's method ends and the length of the step that it would take next."""
    best, patience, length, good = np.inf, _PATIENCE, np.inf, True
    for _ in range(_INVERSES):
        inverse = _inverse(place.reduced_hessian(place.model.at(centre)))
        if inverse is None:
            return None
        good = good and _is_good(inverse)
        inverse = inverse.mid()
        centre, length = _chords(place, centre, bits, inverse.__mul__, 4)
        if length <= _target(bits):
            return centre, length
        patience = _PATIENCE if length < best / 2 else patience - 1
        best = min(best, length)
        if not patience or not _is_near(place, centre, length):
            break
        with precision(FINE * bits):
            centre = _rounded(place.moved(centre, -(inverse * _push(place, centre, bits))))
    if good and bits >= _SETTLED:
        return Unproved(f"Newton's method settles at no critical point near the given core, with {bits} bits")
    return centre, length


def _chords(place: BoxSlice, centre: list[arb], bits: int, solve: Solve, gain: int) -> tuple[list[arb], float]:
    """Takes Newton steps with one approximate inverse while each is shorter by the factor `gain`; returns the next length too."""
    with precision(FINE * bits):
        step = solve(_push(place, centre, bits))
        for _ in range(_CHORDS):
            if _largest(step) <= _target(FINE * bits):
                break
            tried = _rounded(place.moved(centre, -step))
            following = solve(_push(place, tried, bits))
            if not _largest(following) < _largest(step) / gain:
                break
            centre, step = tried, following
        return centre, _largest(step)


def _push(place: BoxSlice, centre: list[arb], bits: int) -> arb_mat:
    """V'N' grad f at an exact centre, which costs little, so it is enclosed well beyond the working precision."""
    with precision(FINE * bits):
        return place.reduced_gradient(place.model.at(centre))


def _cube(place: BoxSlice, centre: list[arb], length: float, bits: int) -> tuple[CorePoint, float]:
    """Returns the core over the cube that Krawczyk's operator is tried on, and the half side of the cube."""
    radius = max(8 * length, _target(bits))
    half = arb(0, exact(radius)) if np.isfinite(radius) else arb("nan")
    return place.model.at(place.moved(centre, column([half] * len(place.free)))), radius


def _krawczyk(place: BoxSlice, step: arb_mat, box: Box, off: list[list[arb]], bits: int) -> Box | None:
    """Returns the box if the operator's image, -C F + (1 - C D) Y, lies inside the cube Y.

    The zero t is a fixed point, so |t| <= |C F| + |1 - C D| |t| in the maximum norm, which bounds it better than the cube does.
    """
    half = exact(box.radius) if np.isfinite(box.radius) else arb("nan")
    spreads, reach, norm = [], arb(0), arb(0)
    for push, row in zip(step.entries(), off, strict=True):
        total = arb(0)
        for value in row:
            total += value.abs_upper()
        if not (push.abs_upper() + total * half < half and total < _CONTRACTION):
            return None
        spreads.append(total.upper())
        reach, norm = reach.max(push.abs_upper()), norm.max(total.upper())
    bound = (reach / (1 - norm)).abs_upper()
    image = [-push + arb(0, 1) * (spread * bound).upper() for push, spread in zip(step.entries(), spreads, strict=True)]
    with precision(FINE * bits):
        return replace(box, zero=place.moved(box.centre, column(image)))


def _diagonal(scales: list[arb]) -> Solve:
    def solve(right: arb_mat) -> arb_mat:
        return column([value / scale for value, scale in zip(right.entries(), scales, strict=True)])

    return solve


def _inverse(hessian: arb_mat) -> arb_mat | None:
    """Returns a ball matrix around the inverse of the midpoint."""
    try:
        found = hessian.mid().inv()
    except ZeroDivisionError:
        return None
    return found if all(value.is_finite() for value in found.entries()) else None


def _is_good(inverse: arb_mat) -> bool:
    """Whether the radii are small against the largest entry, so that more bits would not change a Newton step much."""
    entries = inverse.entries()
    largest = max((value.mid().abs_upper() for value in entries), default=arb(0))
    return all(value.rad() <= _GOOD * largest for value in entries)


def _rounded(x: list[arb]) -> list[arb]:
    return [value.mid() for value in x]


def _largest(step: arb_mat) -> float:
    """Upper bound of the largest entry; infinity for NaN."""
    bounds = [upper(value.abs_upper()) for value in step.entries()]
    return max((bound if bound == bound else np.inf for bound in bounds), default=0.0)


def _target(bits: int) -> float:
    return float(2.0 ** (-0.7 * bits))


def _is_near(place: BoxSlice, centre: list[arb], length: float) -> bool:
    """Whether Newton has stayed near the given core and would stay there; a matter of meaning, not of proof."""
    moved = np.array([float(value) for value in centre]) - place.given
    return bool(np.linalg.norm(moved) + length <= _FURTHEST * np.linalg.norm(place.given))
