"""How often one pair of classes splits off, at any width and however rarely: line sampling along the formula's cheapest start.

Every random number of a start is made from a standard normal one, chi-distributed diagonals by their quantiles. There the cheapest
start of the formula is a direction. Lines along it, each through a start drawn at random, cross the boundary at t, where the pair
splits off, and the mean of Phi(-t) is its probability (Koutsourelakis, Pradlwarter and Schueller 2004, eq. 13): nothing is fitted,
and whatever the other directions do is in it. A pair that splits because another one did counts too, where splits are frequent.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import chi2, norm

from landscape.errors import InputError
from landscape.model.objective import class_logits
from landscape.model.problem import Problem
from landscape.structures.scale_equation import simplex_equation
from landscape.studies.prediction.decision import flowed
from landscape.studies.prediction.formula import design
from landscape.studies.prediction.invariant import InvariantModel
from landscape.studies.starts.krylov import check_reducible
from landscape.studies.starts.law import Ends, LawStart, generator_of

_GROUPS = 2  # T of the starts: the formula's cheapest start has almost all of its cost in the first two
_LOOKS = (6.0, 12.0)  # lambda t at which the mode of the pair is looked at
_DEAD, _ALIVE = 0.1, 0.85  # of its value at DNC: clear at the first look; at the last one a half decides
_BRACKET, _FINE = 0.4, 0.05  # standard deviations: around the mean of the crossings so far, and of a crossing
_LOWEST, _FARTHEST = -3.0, 6.0  # where a line is left that has not crossed: all of its starts are lost, or none
_Normals = dict[str, np.ndarray]


@dataclass(frozen=True)
class PairProbability:
    """The probability that one pair of classes splits off.

    Attributes:
        value: The same for every pair of classes.
        error: Standard error of the value, from the spread over the lines.
        lines: Lines that were followed to the boundary.
        r: Distance of the boundary in standard deviations, per root of the width, for starts of the same two groups.
    """

    value: float
    error: float
    lines: int
    r: float

    @property
    def effective_width(self) -> float:
        """The width that makes Phi(-r sqrt(d_eff)) the same probability, as in the formula."""
        return float((norm.isf(self.value) / self.r) ** 2)


def pair_probability(problem: Problem, scales: tuple[float, float], lines: int) -> PairProbability:
    """Returns how often random starts of a width lose a given pair of classes.

    Args:
        problem: Linear, balanced, depth 2, cross-entropy, K >= 4, width K + N at least.
        scales: c_W and c_H of the starts.
        lines: How many lines, an even number: every second one is the mirror image of the one before.

    Raises:
        InputError: If the formula that gives the direction does not apply, or the width is too small.
    """
    if lines < 4 or lines % 2:
        raise InputError(f"expected an even number of at least 4 lines, got {lines}")
    model = InvariantModel(problem, *scales, groups=_GROUPS)
    check_reducible(problem, _GROUPS)
    found = design(model)
    target = _normals_of(model, found.point)
    beta = math.sqrt(_inner(target, target))
    along = {name: part / beta for name, part in target.items()}
    crossings: list[float] = []
    for number in range(lines // 2):
        noise = _across(problem, along, number)
        for sign in (1.0, -1.0):
            middle = float(np.mean(crossings)) if crossings else beta
            crossings.append(_crossing(model, {name: sign * part for name, part in noise.items()}, along, middle))
    halves = norm.sf(np.array(crossings)).reshape(-1, 2).mean(1)
    error = float(halves.std(ddof=1) / math.sqrt(len(halves)))
    return PairProbability(float(halves.mean()), error, lines, found.r)


def _shapes(problem: Problem) -> dict[str, tuple[int, int]]:
    K, N = problem.classes, problem.total_samples
    return {"features": (N, N), "weights": (K, K), "block": (K, N), "right": (K, K), "left": (N, N), "corner": (N, K)}


def _freedom(problem: Problem, name: str) -> int:
    """Returns the degrees of freedom of a triangular part; the others have none."""
    K, N, d = problem.classes, problem.total_samples, problem.width
    return {"features": d, "weights": d, "right": d - N, "left": d - K}[name]


_TRIANGLES = {"features": np.triu, "left": np.triu, "weights": np.tril, "right": np.tril}


def _inner(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> float:
    return float(sum((one[name] * other[name]).sum() for name in one))


def _across(problem: Problem, along: _Normals, number: int) -> _Normals:
    """Returns the normal numbers of one start, without their component along the lines."""
    generator = generator_of(number, "lines")
    drawn = {name: generator.standard_normal(shape) for name, shape in _shapes(problem).items()}
    drawn = {name: _TRIANGLES[name](part) if name in _TRIANGLES else part for name, part in drawn.items()}
    height = _inner(drawn, along)
    return {name: part - height * along[name] for name, part in drawn.items()}


def _crossing(model: InvariantModel, noise: _Normals, along: _Normals, middle: float) -> float:
    """Returns where on a line the pair begins to split off, by bisection from the mean of the crossings so far."""

    def alive(place: float) -> bool:
        return _keeps_pair(model, {name: noise[name] + place * along[name] for name in noise})

    low, high, farthest = middle - _BRACKET, middle + _BRACKET, middle + _FARTHEST
    while low > _LOWEST and not alive(low):
        low, high = low - 2 * _BRACKET, low
    while high < farthest and alive(high):
        low, high = high, high + 2 * _BRACKET
    while high - low > _FINE:
        place = (low + high) / 2
        low, high = (place, high) if alive(place) else (low, place)
    return (low + high) / 2


def _keeps_pair(model: InvariantModel, normals: _Normals) -> bool:
    """Whether the mode u of the pair of classes 0 and 1 survives the flow from a start."""
    problem = model.problem
    scale = simplex_equation(problem, problem.classes, problem.class_sizes[0]).root("large")
    assert scale is not None  # the cheapest start has been found, so DNC exists
    reduced = _start(model, normals).reduced()
    u, place, now, height = class_frames(problem.classes)[0][:, -1], reduced.theta, 0.0, 0.0
    for look in _LOOKS:
        place, now = flowed(reduced.problem, place, (look - now,))[-1], look
        height = float(u @ class_logits(reduced.problem, place).numpy() @ u) / scale
        if not _DEAD < height < _ALIVE:
            break
    return height > 1 / 2


def class_frames(classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns orthonormal frames of the classes: contrasts of all but the pair, then p, 1 and u; and the same as p, u and 1.

    Args:
        classes: K; the pair are the first two.
    """
    rest = classes - 2
    contrasts = np.linalg.qr(np.eye(rest) - 1 / rest)[0][:, : rest - 1]
    q = np.vstack([np.zeros((2, rest - 1)), contrasts])
    p = np.r_[1.0, -1.0, np.zeros(rest)] / math.sqrt(2)
    u = np.r_[0.5, 0.5, -np.ones(rest) / rest]
    u, one = u / np.linalg.norm(u), np.full(classes, 1 / math.sqrt(classes))
    return np.column_stack([q, p, one, u]), np.column_stack([q, p, u, one])


def _start(model: InvariantModel, normals: _Normals) -> LawStart:
    """Returns the start of two groups that normal numbers stand for, in the frames of the classes."""
    problem = model.problem
    K, N, n = problem.classes, problem.total_samples, problem.class_sizes[0]
    inside, outside = class_frames(K)
    within = np.linalg.qr(np.eye(n) - 1 / n)[0][:, : n - 1]
    samples = np.hstack([np.kron(inside, np.full((n, 1), 1 / math.sqrt(n))), np.kron(np.eye(K), within)])
    inner = model.weight_scale / math.sqrt(problem.width)

    def triangle(name: str) -> np.ndarray:
        part = normals[name].copy()
        places = np.arange(len(part))
        part[places, places] = _chi(part[places, places], _freedom(problem, name) - places)
        return part

    parts = {
        "features": model.feature_scale * triangle("features") @ samples.T,
        "weights": inner * outside @ triangle("weights"),
        **{name: inner * triangle(name) for name in ("right", "left")},
        **{name: inner * normals[name] for name in ("block", "corner")},
    }
    given = {name: torch.from_numpy(np.ascontiguousarray(part)) for name, part in parts.items()}
    ends = Ends(given["features"], given["weights"], given["block"])
    blocks = {(0, 1): given["right"], (1, 0): given["left"], (1, 1): given["corner"]}
    return LawStart(problem, ends, (K, N), (N, K), blocks)


def _chi(normal: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Returns chi-distributed numbers at the quantiles of normal ones, exact in both tails."""
    low, high = chi2.ppf(norm.cdf(np.minimum(normal, 0)), freedom), chi2.isf(norm.sf(np.maximum(normal, 0)), freedom)
    return np.sqrt(np.where(normal < 0, low, high))


def _normal(chi: float, freedom: int) -> float:
    """Returns the normal number at the quantile of a chi-distributed one."""
    below = float(chi2.cdf(chi**2, freedom))
    return float(norm.ppf(below) if below < 1 / 2 else norm.isf(chi2.sf(chi**2, freedom)))


def _normals_of(model: InvariantModel, point: np.ndarray) -> _Normals:
    """Returns the normal numbers of an invariant start, relative to those of the mean one."""
    problem, root = model.problem, math.sqrt(model.problem.width)
    K = problem.classes
    columns = ([[i] for i in range(K - 3)], [[K - 3]], [[K - 2, K - 1]])  # of the blocks q, p and u, for every copy
    rows = ([[i] for i in range(K - 3)], [[K - 3]], [[K - 2]])
    found = {name: np.zeros(shape) for name, shape in _shapes(problem).items()}
    for entry, value in zip(model.entries, point, strict=True):
        for down, across in zip(rows[entry.block], columns[entry.block], strict=True):
            a, b = entry.place
            if entry.factor == "features":
                name, place = "features", (across[a], across[b])
            elif entry.factor == "weights":
                name, place = "weights", (down[a], down[b])
            else:
                below, beyond = a >= len(down), b >= len(across)
                name = {(False, False): "block", (False, True): "right", (True, False): "left", (True, True): "corner"}[
                    below, beyond
                ]
                place = (across[a - len(down)] if below else down[a], down[b - len(across)] if beyond else across[b])
            if entry.diagonal:
                freedom, mean = _freedom(problem, name), math.sqrt(_freedom(problem, name))
                found[name][place] = _normal(value * mean, freedom - place[0]) - _normal(mean, freedom - place[0])
            else:
                found[name][place] = value * root
    return found
