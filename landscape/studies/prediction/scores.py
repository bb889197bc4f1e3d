"""How close a start is to losing DNC: for every pair of classes, its coordinate along the formula's cheapest direction.

A start is projected on the starts that relabelling the other classes leaves unchanged. Its coordinates there, in standard
deviations and along the normal of the boundary at which the pair splits off, are one number per pair.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import mannwhitneyu
from torch import Tensor

from landscape.archive.experiment import Altered
from landscape.display import brief
from landscape.errors import InputError
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.studies.ends import start_of
from landscape.studies.prediction.formula import Design, design, effective_width
from landscape.studies.prediction.invariant import InvariantModel
from landscape.studies.prevalence import Prevalence, random_of

_NORMAL = 1.959963984540054  # quantile of the 95 % interval


@dataclass(frozen=True)
class PairScores:
    """The scores of one start.

    Attributes:
        pairs: Pairs of classes (i, j) with i < j, in order.
        values: Score of each pair: standard normal over random starts, to first order; the pair splits off where it is large.
    """

    pairs: tuple[tuple[int, int], ...]
    values: tuple[float, ...]

    __repr__ = brief

    @property
    def worst(self) -> tuple[int, int]:
        """The pair of classes with the largest score."""
        return self.pairs[int(np.argmax(self.values))]

    @property
    def largest(self) -> float:
        """The largest score of all pairs."""
        return max(self.values)


@dataclass(frozen=True)
class Separation:
    """How well a number of each start tells which starts miss DNC.

    Attributes:
        area: Probability that a start that misses DNC has the larger number (area under the ROC curve, AUC).
        low: Lower end of the area's 95 % interval (Hanley and McNeil 1982).
        high: Upper end of the area's 95 % interval.
    """

    area: float
    low: float
    high: float


def pair_scores(problem: Problem, scales: tuple[float, float], theta: Float[Tensor, " p"]) -> PairScores:
    """Returns the score of every pair of classes at a full start.

    Args:
        problem: Linear, balanced, depth 2, cross-entropy, K >= 4, width >= K.
        scales: c_W and c_H of the starts.
        theta: Parameters of the start.

    Raises:
        InputError: If the formula that gives the direction does not apply.
    """
    model = check_scorable(problem, scales)
    found = design(model)
    coordinates = _coordinates(problem, scales, theta)
    pairs = tuple(combinations(range(problem.classes), 2))
    values = tuple(_score(model, found, coordinates, pair) for pair in pairs)
    return PairScores(pairs, values)


def check_scorable(problem: Problem, scales: tuple[float, float]) -> InvariantModel:
    """Returns the invariant starts of a problem, after refusing one whose starts have no scores.

    Raises:
        InputError: If the formula that gives the direction does not apply, or the width is too small for the parts.
    """
    model = InvariantModel(problem, *scales)
    if problem.width < 2 * problem.classes:
        raise InputError(f"expected width >= {2 * problem.classes} (twice the classes) for scores, got {problem.width}")
    return model


def _coordinates(problem: Problem, scales: tuple[float, float], theta: Tensor) -> dict[tuple[str, int, int], np.ndarray]:
    """Returns the parts of a start of class means whose blocks are coordinates, by factor and place of their group.

    Wishart parts are divided by their mean, so that they are near the identity. Frames are the symmetric ones, so that relabelling
    the classes relabels the parts.
    """
    weight_scale, feature_scale = scales
    K, n, d = problem.classes, problem.class_sizes[0], problem.width
    features, middle, last = Objective.of(problem, theta).split(theta)
    means = features.unflatten(1, (K, n)).sum(-1) / math.sqrt(n)
    gram, outer = means.mT @ means, last @ last.mT
    inside, outside = means @ _inverse_root(gram), last.mT @ _inverse_root(outer)
    block = outside.mT @ middle @ inside
    right = middle @ inside - outside @ block
    left = middle.mT @ outside - inside @ block.mT
    parts = {
        ("features", 0, 0): gram / (d * feature_scale**2),
        ("weights", 0, 0): outer / weight_scale**2,
        ("middle", 0, 0): block / weight_scale,
        ("middle", 1, 0): right.mT @ right * d / (d - K) / weight_scale**2,
        ("middle", 0, 1): left.mT @ left * d / (d - K) / weight_scale**2,
    }
    return {name: part.cpu().numpy() for name, part in parts.items()}


def _inverse_root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.rsqrt()) @ vectors.mT


def _score(model: InvariantModel, found: Design, parts: Mapping[tuple[str, int, int], np.ndarray], pair: tuple[int, int]) -> float:
    """Returns the inner product of the invariant part of a start with the normal of the boundary, in standard deviations."""
    K = model.problem.classes
    q, p, u, one = np.eye(K), np.zeros(K), np.full(K, -1 / (K - 2)), np.full(K, 1 / math.sqrt(K))
    p[list(pair)] = 1 / math.sqrt(2), -1 / math.sqrt(2)
    u[list(pair)] = 0.5
    u /= np.linalg.norm(u)
    q = q - np.outer(p, p) - np.outer(u, u) - np.outer(one, one)
    values: dict[tuple[int, str, tuple[int, int]], float] = {}
    wide = np.stack([one, u], axis=1)
    for (factor, row, column), part in parts.items():
        is_block = factor == "middle" and row == column
        small = [np.array([[np.sum(q * part) / (K - 3)]]), np.array([[p @ part @ p]])]
        if is_block:
            small.append(u[None] @ part @ wide)
        elif factor == "features" or (row, column) == (1, 0):
            small.append(wide.T @ part @ wide)
        else:
            small.append(np.array([[u @ part @ u]]))
        for index, square in enumerate(small):
            lower = factor == "weights" or (row, column) == (0, 1)
            factor_of = square if is_block else (np.linalg.cholesky(square) if lower else np.linalg.cholesky(square).T)
            down, across = model.corner(index, row, column) if factor == "middle" else (0, 0)
            for a, b in np.ndindex(*factor_of.shape):
                values[index, factor, (down + a, across + b)] = float(factor_of[a, b])
    total = 0.0
    for entry, mean, normal in zip(model.entries, model.mean, found.normal, strict=True):
        value = values.get((entry.block, entry.factor, entry.place))
        if value is not None:
            total += float(normal) * math.sqrt(entry.copies * (1 + mean)) * (value - float(mean))
    return total * math.sqrt(model.problem.width)


def separation(values: Sequence[float], missed: Sequence[bool]) -> Separation | None:
    """Returns how well numbers tell the starts that miss DNC from the others; None if all did the same.

    Args:
        values: One number per start.
        missed: Whether the start ended elsewhere than at DNC.
    """
    losers = [value for value, miss in zip(values, missed, strict=True) if miss]
    others = [value for value, miss in zip(values, missed, strict=True) if not miss]
    if not losers or not others:
        return None
    area = float(mannwhitneyu(losers, others).statistic) / (len(losers) * len(others))
    twice, square = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (len(losers) - 1) * (twice - area**2) + (len(others) - 1) * (square - area**2)
    radius = _NORMAL * math.sqrt(max(0.0, spread) / (len(losers) * len(others)))
    return Separation(area, max(0.0, area - radius), min(1.0, area + radius))


def scored(result: Prevalence) -> dict[str, Any]:
    """Returns the largest pair score of every start that converged, beside where it ended, and their separation.

    Raises:
        InputError: If the formula that gives the direction does not apply, or the starts are reduced.
    """
    experiment, drawn = result.experiment, random_of(result.experiment)
    if isinstance(experiment.start, Altered) and experiment.start.groups is not None:
        raise InputError("expected full starts for scores, got reduced ones")
    scales, problem = (drawn.weight_scale, drawn.feature_scale), experiment.problem
    rows: list[dict[str, Any]] = []
    numbers, missed = [], []
    for end, label in zip(result.ends, result.labels, strict=True):
        if end.converged:
            scores = pair_scores(problem, scales, start_of(experiment.with_seed(end.seed)).theta)
            rows.append({"seed": end.seed, "score": scores.largest, "pair": list(scores.worst), "structure": label})
            numbers.append(scores.largest)
            missed.append(label != "DNC")
    area = separation(numbers, missed)
    found = design(InvariantModel(problem, *scales))
    return {
        "per_seed": rows,
        "boundary": found.r * math.sqrt(max(0.0, effective_width(problem))),
        "auc": None if area is None else area.area,
        "auc_interval": None if area is None else [area.low, area.high],
    }
