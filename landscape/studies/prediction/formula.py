"""P(DNC) from one number r: how far the nearest start is at which one pair of classes splits off. An approximation.

As the width grows, starts become symmetric under relabelling the classes, and the symmetric path ends at DNC. It is lost when the
unluckiest pair of classes starts too antipodal. The cost of such a start per unit of width is the large-deviation rate of its
Wishart and Gaussian parts; the cheapest one lies at r = sqrt(2 I), so that P = Phi(r sqrt(d_eff))^(K(K-1)/2).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
from scipy.optimize import brentq

from landscape.display import brief
from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.structures.scale_equation import simplex_equation
from landscape.studies.prediction.invariant import InvariantModel

FITTED = 0.4  # of N - K in the effective width; fitted on figures/data/figure2.csv, the only fitted number
LEAST_WIDTH = 2  # effective widths below this many K are refused: the pair events overlap and the expansion in 1/d fails
_TIME = 12.0  # lambda t at which the mode u has died or not; r changes by less than 1e-3 of itself beyond
_ARRIVED = 1e-2  # relative distance of the symmetric start from DNC at that time
_ROUNDS, _SETTLED = 8, 1e-3  # of the search for the cheapest start; relative change of r that ends it
_POINTS, _ZOOMS = 9, 6  # on a ray, and how often the bracket shrinks by the former
_STEP = 1e-5  # of the finite differences
_SMALLEST = 0.02  # coordinate of a Bartlett diagonal that a ray may reach; at 0 the cost is infinite


@dataclass(frozen=True)
class Design:
    """The cheapest invariant start at which the mode of one pair dies.

    Attributes:
        point: Coordinates of the start, in the order of `InvariantModel.entries`.
        normal: Unit normal of the boundary there, in coordinates with unit variance times the width.
        r: Distance of the boundary in standard deviations, per root of the width.
        feature_share: Share of the cost that the Gram matrix of the features has.
    """

    point: np.ndarray
    normal: np.ndarray
    r: float
    feature_share: float

    __repr__ = brief


@dataclass(frozen=True)
class FormulaPrediction:
    """The formula's answer.

    Attributes:
        r: Distance of the boundary in standard deviations, per root of the width.
        effective_width: Effective width d - K - 0.4 (N - K).
        exponent: Rate r^2 / 2 at which the tail falls with the effective width.
        share: Predicted share of starts that end at DNC.
        feature_share: Share of the cost that the Gram matrix of the features has.
    """

    r: float
    effective_width: float
    exponent: float
    share: float
    feature_share: float

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form."""
        return {
            "approximation": True,
            "share": self.share,
            "r": self.r,
            "effective_width": self.effective_width,
            "fitted_number": FITTED,
            "exponent": self.exponent,
            "feature_share": self.feature_share,
        }


def effective_width(problem: Problem) -> float:
    """Returns d - K - 0.4 (N - K), the width that the formula puts for d; the form and 0.4 are fitted."""
    return problem.width - problem.classes - FITTED * (problem.total_samples - problem.classes)


def predict_by_formula(problem: Problem, scales: tuple[float, float]) -> FormulaPrediction:
    """Returns the approximate share of starts that end at DNC.

    Not proved: pairs count as independent, the cheapest start as invariant, splits of other sizes as rarer.

    Args:
        problem: Linear, balanced, depth 2, cross-entropy, K >= 4.
        scales: c_W and c_H of the starts.

    Raises:
        InputError: If the formula does not apply: another model, or an effective width below 2 K.
    """
    model = InvariantModel(problem, *scales)
    width, least = effective_width(problem), LEAST_WIDTH * problem.classes
    if not width >= least:
        raise InputError(f"expected an effective width >= {least} for the formula, got {width:g}: use --method law")
    found = design(model)
    pairs = math.comb(problem.classes, 2)
    log_share = pairs * math.log(NormalDist().cdf(found.r * math.sqrt(width)))
    return FormulaPrediction(found.r, width, found.r**2 / 2, math.exp(log_share), found.feature_share)


@lru_cache(maxsize=256)
def design(model: InvariantModel) -> Design:
    """Returns the cheapest start at which the mode u of one pair dies: first-order reliability method (Hasofer and Lind 1974).

    Raises:
        InputError: If DNC is not where the symmetric start ends, or no start on the way of the search loses it.
    """
    mean, costs = model.mean, np.array([entry.copies for entry in model.entries], dtype=float)
    goal = _half(model)
    direction = np.zeros_like(mean)
    for index, entry in enumerate(model.entries):
        if entry.factor == "features" and entry.diagonal:
            direction[index] = (0.0, 1.0, -1.0)[entry.block]
    best, point, r = np.inf, mean, np.inf
    normal = direction
    for _ in range(_ROUNDS):
        point = _boundary(model, direction, goal)
        normal = _normal(model, point)
        r = math.sqrt(2 * _cost(point, mean, costs).sum())
        if abs(best - r) <= _SETTLED * r:
            break
        best = r
        direction = _cheapest(normal, float(normal @ point), mean, costs) - mean
    share = _cost(point, mean, costs)
    features = np.array([entry.factor == "features" for entry in model.entries])
    scaled = normal / np.sqrt(costs * (1 + mean))
    return Design(point, scaled / np.linalg.norm(scaled), r, float(share[features].sum() / share.sum()))


def _cost(point: np.ndarray, mean: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Returns the large-deviation rate of every coordinate, per unit of width."""
    logs = np.log(np.where(mean > 0, point, 1.0))
    return costs * (point**2 - mean - 2 * logs) / 2


def _half(model: InvariantModel) -> float:
    """Returns half of the logit of the mode u at DNC, after the symmetric start has been seen to end there."""
    problem = model.problem
    samples = problem.class_sizes[0]
    scale = simplex_equation(problem, problem.classes, samples).root("large")
    end = model.logits(model.flow(model.starts(model.mean[None]), _TIME))[0]
    if scale is None or not abs(end[3] / (scale * math.sqrt(samples)) - 1) <= _ARRIVED:
        raise InputError(f"expected a setting in which the symmetric start ends at DNC for the formula, got the {problem}")
    return scale * math.sqrt(samples) / 2


def _margin(model: InvariantModel, points: np.ndarray) -> np.ndarray:
    return model.logits(model.flow(model.starts(points), _TIME))[:, 3]


def _boundary(model: InvariantModel, direction: np.ndarray, goal: float) -> np.ndarray:
    """Returns the first point on a ray from the mean start at which the mode u dies."""
    mean = model.mean
    falling = (mean > 0) & (direction < 0)
    far = 4.0 / np.abs(direction).max()
    if falling.any():
        far = min(far, float(((1 - _SMALLEST) / -direction[falling]).min()))
    low, high = 0.0, far
    for zoom in range(_ZOOMS):
        places = np.linspace(low, high, _POINTS + 1)[1:]
        alive = _margin(model, mean + places[:, None] * direction) > goal
        if alive.all():
            if zoom == 0:
                raise InputError(f"expected a start that loses DNC for the formula, found none for the {model.problem}")
            low = places[-2]
            continue
        first = int(np.argmin(alive))
        low, high = (places[first - 1] if first else low), places[first]
    return mean + (low + high) / 2 * direction


def _normal(model: InvariantModel, point: np.ndarray) -> np.ndarray:
    """Returns the direction in which the mode u dies, by central differences."""
    steps = _STEP * np.eye(len(point))
    values = _margin(model, np.concatenate([point + steps, point - steps]))
    slope = values[len(point) :] - values[: len(point)]
    norm = float(np.linalg.norm(slope))
    if not norm > 0:
        raise InputError(f"expected a boundary with a normal for the formula, found none for the {model.problem}")
    return slope / norm


def _cheapest(normal: np.ndarray, offset: float, mean: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Returns the cheapest point of the plane normal' x = offset: its coordinates solve one scalar equation."""

    def point(multiplier: float) -> np.ndarray:
        pull = multiplier * normal / costs
        return np.where(mean > 0, (pull + np.sqrt(pull**2 + 4)) / 2, pull)

    def gap(multiplier: float) -> float:
        return float(normal @ point(multiplier)) - offset

    return point(brentq(gap, -1e3, 1e3, xtol=1e-12))
