"""The court of appeal for zeros: the eigenvalues that double precision cannot judge, at 60 digits.

Most eigenvalues of a core are settled in float64. The few that are not span a small cluster; its exact inertia follows from the
Schur complement of the rest (Haynsworth: the inertia of a symmetric matrix is that of a regular block plus that of its Schur
complement), computed at the critical point that Newton's method finds in fixed-point arithmetic with `BITS` binary places.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from mpmath import mp

from landscape.curvature.operator import Product, dense
from landscape.curvature.spectrum import rounding_radius
from landscape.errors import InputError
from landscape.reduction import Core
from landscape.symmetry import generators

DIGITS = 60  # decimal places that are relied on
BITS = 256  # binary places carried: 77 decimal ones
LARGEST_CORE = 300  # parameters; products cost about q^2 integer multiplications, and about 50 of them are needed
INPUT_ULPS = 4  # a decay typed as 2**-10 is exact, one computed by a formula in double precision is off by a few last places
CLUSTER = 1e-7  # eigenvalues below this part of the norm go to court; what is above stands, by eight digits, in float64
_EXACT = 0.75  # share of the digits to which an eigenvalue must vanish to be called exactly zero
_FAINTEST = 2 / 3  # share of the digits that a product of all decays may need
_NEWTON, _REFINE = 60, 200  # iterations; the fold converges linearly (one bit each), everything else in three
_PROGRESS, _STALLS = 0.9, 3  # that many steps in a row that leave more than this part of the gradient are the end

Fixed = np.ndarray[Any, np.dtype[Any]]  # object array of integers, value * 2^BITS


@dataclass(frozen=True)
class Doubtful:
    """One eigenvalue of the cluster.

    Attributes:
        value: To 17 digits; its sign and size are exact.
        input_error: How far it moves when every decay moves by `INPUT_ULPS` units in the last place.
    """

    value: float
    input_error: float

    @property
    def within_input(self) -> bool:
        """Whether a decay that rounds to nearly the same number makes it exactly zero (to first order)."""
        return abs(self.value) <= self.input_error

    @property
    def is_zero(self) -> bool:
        """Whether it counts as zero, exactly or within the input."""
        return self.within_input or abs(self.value) <= 10.0 ** (-_EXACT * DIGITS)


@dataclass(frozen=True)
class Arbitration:
    """The verdict on a core.

    Attributes:
        digits: Decimal places of the arithmetic.
        count: Zeros of the core's Hessian: gauge zeros, exact zeros of the cluster, and those within the rounding of the input.
        negative: Negative eigenvalues of the core's Hessian that are not zero in that sense.
        gauge: Zeros that the generators of the core explain; exact by symmetry.
        exact: Eigenvalues of the cluster that vanish to `digits` times 3/4 places.
        within_input: Eigenvalues of the cluster that are not zero but cannot be told from zero because the decay is only known to
            double precision: at a fold or a stability threshold, which are defined by irrational decays.
        cluster: Every eigenvalue that went to court.
        cutoff: What is larger did not.
        smallest_nonzero: The smallest size among the core's eigenvalues that are not zero.
        gradient_norm: At the point where all this holds.
        distance: Between that point and the one given.
    """

    digits: int
    count: int
    negative: int
    gauge: int
    exact: int
    within_input: int
    cluster: tuple[Doubtful, ...]
    cutoff: float
    smallest_nonzero: float
    gradient_norm: float
    distance: float

    @property
    def largest_zero(self) -> float:
        """The largest size among what is called zero."""
        return max((abs(value.value) for value in self.cluster if value.is_zero), default=0.0)

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form."""
        return {
            "digits": self.digits,
            "exact_zeros": self.gauge + self.exact,
            "zeros_within_input": self.within_input,
            "cluster": [[d.value, d.input_error if math.isfinite(d.input_error) else None] for d in self.cluster],
            "gradient_norm": self.gradient_norm,
            "distance": self.distance,
        }


def is_arbitrable(core: Core) -> bool:
    """Returns whether a core is small enough, and its decays large enough for 60 digits to hold their product over all factors.

    Eigenvalues of saddles fall like powers of the decay; one that falls below the digits would be read as zero.
    """
    digits = -(core.problem.depth + 1) * math.log10(min(core.problem.decays))
    return 0 < core.objective.size <= LARGEST_CORE and digits <= _FAINTEST * DIGITS


def arbitrate(core: Core) -> Arbitration:
    """Returns the exact count of zero and negative eigenvalues of a core's Hessian.

    A zero is called exact when it vanishes to 45 places, and "within the input" when a change of the decays in their last
    places would make it so. Where decays are not representable (an irrational threshold) that is all that can be said, and it
    is said as such; the two kinds are counted apart. First order in the change of the decay: a bound for simple crossings, which
    folds and stability thresholds are. It is not interval arithmetic.

    Args:
        core: Polished; its gradient norm must be small enough for Newton's method to stay with the point.

    Raises:
        InputError: If the core has more than `LARGEST_CORE` parameters.
    """
    if core.objective.size > LARGEST_CORE:
        raise InputError(f"expected a core of at most {LARGEST_CORE} parameters to arbitrate, got {core.objective.size}")
    with mp.workprec(BITS + 64):
        return _Court.open(core).verdict()


@dataclass(frozen=True)
class _Court:
    """A core in fixed point, in the eigenbasis of its float64 Hessian off the gauge orbit, the doubtful cluster last.

    Attributes:
        core: What is judged.
        theta: Its parameters.
        basis: Columns span the complement of the gauge directions (to float64; inertia only needs a regular change of basis).
        values: Float64 eigenvalues of the columns, by falling size.
        cutoff: The cluster is what is not larger.
        doubtful: How many of the last columns that is.
        gauge: Rank of the generators.
    """

    core: Core
    theta: Fixed
    basis: Fixed
    values: np.ndarray[Any, np.dtype[np.float64]]
    cutoff: float
    doubtful: int
    gauge: int

    @classmethod
    def open(cls, core: Core) -> "_Court":
        thin = replace(core.problem, class_sizes=(1,) * core.problem.classes, width=core.rank)
        tangents = generators(thin, core.theta)
        gauge = core.problem.depth * core.rank * (core.rank - 1) // 2
        rest = torch.linalg.svd(tangents)[0][:, gauge:]
        hessian = dense(Product(core.objective.linearize(core.theta), core.theta))
        values, vectors = torch.linalg.eigh(rest.mT @ hessian @ rest)
        order = values.abs().argsort(descending=True)
        values, basis = values[order], rest @ vectors[:, order]
        cutoff = max(CLUSTER, 1e3 * rounding_radius(hessian.shape[0], 1.0)) * float(values.abs().max())
        return cls(core, _fixed(core.theta), _fixed(basis), values.numpy(), cutoff, int((values.abs() <= cutoff).sum()), gauge)

    def verdict(self) -> Arbitration:
        court, norm = self._settled()
        k = court.doubtful
        schur, vectors = court._schur()
        pairs: list[tuple[Any, Any]] = []
        if k:
            eigenvalues, turns = mp.eigsy(mp.matrix(_floating(schur).tolist()))
            turned = _times(vectors, _fixed_mp(turns))
            moves = court._input_moves(turned)
            pairs = [(eigenvalues[i], moves[i]) for i in range(k)]
        cluster = tuple(Doubtful(float(v), float(m)) for v, m in pairs)
        exact = [d for d in cluster if abs(d.value) <= 10.0 ** (-_EXACT * DIGITS)]
        within = [d for d in cluster if d.is_zero and d not in exact]
        settled = court.values[: len(court.values) - k]
        standing = [d.value for d in cluster if not d.is_zero]
        negative = int((settled < 0).sum()) + sum(value < 0 for value in standing)
        smallest = float(min(map(abs, [*standing, *settled[-1:]]), default=math.inf))
        distance = np.linalg.norm(_floating(court.theta - _fixed(self.core.theta)).astype(float))
        zeros = self.gauge + len(exact) + len(within)
        counts = (zeros, negative, self.gauge, len(exact), len(within))
        return Arbitration(DIGITS, *counts, cluster, self.cutoff, smallest, norm, float(distance))

    def _settled(self) -> "tuple[_Court, float]":
        """Newton's method off the orbit, with the float64 eigenvalues and the cluster's own block as preconditioner."""
        court, best, stalled = self, (self, float("inf")), 0
        for _ in range(_NEWTON):
            gradient = court._gradient()
            norm = float(mp.norm(mp.matrix(_floating(gradient).tolist())))
            stalled = stalled + 1 if norm > _PROGRESS * best[1] else 0
            if norm < best[1]:
                best = (court, norm)
            if norm < 10.0**-DIGITS or norm > 1e3 * best[1] or stalled == _STALLS:
                break  # it leaves where no critical point exists at this very decay, and stalls where exact zeros make it singular
            step = court._solve(-_times(court.basis.T, gradient))
            court = replace(court, theta=court.theta + _times(court.basis, step))
        return best

    def _schur(self) -> tuple[Fixed, Fixed]:
        """Returns the Schur complement of the settled block, and the directions it belongs to (full vectors)."""
        k, m = self.doubtful, self.basis.shape[1]
        blocks, lifts = [], []
        for column in range(m - k, m):
            image = self._apply_inner(_unit(m, column))
            settled = self._solve_settled(image[: m - k])
            lift = np.concatenate([-settled, _unit(k, column - (m - k))])
            lifts.append(_times(self.basis, lift))
            blocks.append(self._apply_inner(lift)[m - k :])
        size = self.theta.shape[0]
        if not k:
            return np.zeros((0, 0), dtype=object), np.zeros((size, 0), dtype=object)
        schur = np.stack(blocks, axis=1)
        return (schur + schur.T) >> 1, np.stack(lifts, axis=1)

    def _input_moves(self, vectors: Fixed) -> list[Any]:
        """Returns how far each eigenvalue moves with the decays' last places, along the branch of critical points."""
        decay = self._decays()
        try:
            velocity = _times(self.basis, self._solve(-_times(self.basis.T, (decay * self.theta) >> BITS)))
        except ZeroDivisionError:  # an eigenvalue that is exactly zero: the branch has no tangent
            return [mp.inf] * vectors.shape[1]
        speed = mp.norm(mp.matrix(_floating(velocity).tolist()))
        stretch = mp.mpf(10) ** (-DIGITS // 3) / max(speed, 1)
        shift = (velocity * int(stretch * 2**BITS)) >> BITS
        ahead, behind = replace(self, theta=self.theta + shift), replace(self, theta=self.theta - shift)
        moves = []
        for column in vectors.T:
            bend = ahead._hessian_times(column) - behind._hessian_times(column)
            curved = _number(_times(column, bend)) / (2 * stretch)
            direct = _number(_times(column, (decay * column) >> BITS))
            moves.append(INPUT_ULPS * mp.mpf(2) ** -52 * abs(curved + direct))
        return moves

    def _solve(self, right: Fixed) -> Fixed:
        """Solves with the Hessian on the complement, cluster included."""
        k, m = self.doubtful, self.basis.shape[1]
        if not k:
            return self._refined(right, m, lambda residual: residual)
        block = mp.matrix([_floating(self._apply_inner(_unit(m, column))[m - k :]).tolist() for column in range(m - k, m)])
        inverse = block**-1

        def small(residual: Fixed) -> Fixed:
            moved = inverse * mp.matrix(_floating(residual[m - k :]).tolist())
            return np.concatenate([residual[: m - k], _fixed_mp(moved)[:, 0]])

        return self._refined(right, m, small)

    def _solve_settled(self, right: Fixed) -> Fixed:
        return self._refined(right, self.basis.shape[1] - self.doubtful, lambda residual: residual)

    def _refined(self, right: Fixed, size: int, precondition: Callable[[Fixed], Fixed]) -> Fixed:
        """Iterative refinement on the first `size` columns; the float64 eigenvalues are a preconditioner good to many digits."""
        m, settled = self.basis.shape[1], min(size, self.basis.shape[1] - self.doubtful)
        inverse = _fixed(torch.from_numpy(1 / self.values[:settled]))
        solution, residual = np.array([0] * size, dtype=object), right
        last = None
        for _ in range(_REFINE):
            move = precondition(residual)
            move = np.concatenate([(inverse * move[:settled]) >> BITS, move[settled:]])
            solution = solution + move
            padded = np.concatenate([solution, np.array([0] * (m - size), dtype=object)])
            residual = right - self._apply_inner(padded)[:size]
            largest = max((abs(entry) for entry in residual), default=0)
            if largest >> (BITS // 16) == 0 or (last is not None and largest >= last):
                break
            last = largest
        return solution

    def _apply_inner(self, vector: Fixed) -> Fixed:
        return _times(self.basis.T, self._hessian_times(_times(self.basis, vector)))

    # The objective once more, in fixed point: cross-entropy or squared error of W_L .. W_1 H, one column per class.

    def _split(self, theta: Fixed) -> list[Fixed]:
        parts, start = [], 0
        for rows, columns in self.core.objective.shapes:
            parts.append(theta[start : start + rows * columns].reshape(rows, columns))
            start += rows * columns
        return parts

    def _decays(self) -> Fixed:
        sizes = [rows * columns for rows, columns in self.core.objective.shapes]
        return np.concatenate(
            [np.array([_integer(decay)] * size, dtype=object) for decay, size in zip(self.core.problem.decays, sizes, strict=True)]
        )

    def _forward(self) -> tuple[list[Fixed], list[Fixed], Fixed, Fixed]:
        """Returns the layers, what enters each, the logits' scales and what the fit needs (probabilities, or logits)."""
        features, *layers = self._split(self.theta)
        inputs = [features]
        for layer in layers:
            inputs.append(_times(layer, inputs[-1]))
        scales = _fixed_mp([1 / mp.sqrt(size) for size in self.core.problem.class_sizes])
        logits = (inputs.pop() * scales) >> BITS
        return layers, inputs, scales, _softmax(logits) if self.core.problem.loss == "ce" else logits

    def _weights(self) -> Fixed:
        return _fixed_mp([mp.mpf(size) / self.core.problem.total_samples for size in self.core.problem.class_sizes])

    def _fit_gradient(self, fitted: Fixed, scales: Fixed) -> Fixed:
        """The probabilities (or logits) minus the one-hot targets, weighted: the derivative of the fit."""
        target = np.array([[0] * len(scales)] * len(scales), dtype=object)
        for label in range(len(scales)):
            target[label, label] = 1 << BITS
        return ((((fitted - target) * self._weights()) >> BITS) * scales) >> BITS

    def _gradient(self) -> Fixed:
        layers, inputs, scales, fitted = self._forward()
        error, parts = self._fit_gradient(fitted, scales), []
        for layer, enters in zip(reversed(layers), reversed(inputs), strict=True):
            parts.append(_times(error, enters.T))
            error = _times(layer.T, error)
        parts.append(error)
        return np.concatenate([part.ravel() for part in reversed(parts)]) + ((self._decays() * self.theta) >> BITS)

    def _hessian_times(self, direction: Fixed) -> Fixed:
        layers, inputs, scales, fitted = self._forward()
        tangent, *turns = self._split(direction)
        tangents = [tangent]
        for layer, turn, enters in zip(layers, turns, inputs, strict=True):
            tangents.append(_times(turn, enters) + _times(layer, tangents[-1]))
        swing = (tangents.pop() * scales) >> BITS
        if self.core.problem.loss == "ce":
            pulled = (fitted * swing) >> BITS
            swing = pulled - ((fitted * pulled.sum(axis=0)) >> BITS)
        swing = (((swing * self._weights()) >> BITS) * scales) >> BITS
        error, parts = self._fit_gradient(fitted, scales), []
        for layer, turn, enters, moved in zip(*map(reversed, (layers, turns, inputs, tangents)), strict=True):
            parts.append(_times(swing, enters.T) + _times(error, moved.T))
            swing = _times(layer.T, swing) + _times(turn.T, error)
            error = _times(layer.T, error)
        parts.append(swing)
        return np.concatenate([part.ravel() for part in reversed(parts)]) + ((self._decays() * direction) >> BITS)


def _softmax(logits: Fixed) -> Fixed:
    columns = []
    for column in logits.T:
        values = [mp.exp(_number(entry - max(column))) for entry in column]
        total = mp.fsum(values)
        columns.append([_integer(value / total) for value in values])
    return np.array(columns, dtype=object).T


def _times(left: Fixed, right: Fixed) -> Any:
    return (left @ right) >> BITS


def _integer(value: Any) -> int:
    return int(mp.floor(mp.ldexp(mp.mpf(value), BITS)))


def _number(value: int) -> Any:
    return mp.ldexp(mp.mpf(int(value)), -BITS)


def _unit(size: int, place: int) -> Fixed:
    unit = np.array([0] * size, dtype=object)
    unit[place] = 1 << BITS
    return unit


def _fixed(values: torch.Tensor) -> Fixed:
    return np.vectorize(_integer, otypes=[object])(values.cpu().numpy()) if values.numel() else np.zeros(values.shape, dtype=object)


def _fixed_mp(values: Any) -> Fixed:
    entries = values.tolist() if isinstance(values, mp.matrix) else values
    return np.vectorize(_integer, otypes=[object])(np.array(entries, dtype=object))


def _floating(values: Fixed) -> Fixed:
    return np.vectorize(_number, otypes=[object])(values) if values.size else values
