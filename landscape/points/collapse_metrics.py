"""How collapsed a point is: the neural-collapse metrics NC1 to NC3 of every layer, and the balance of the factors.

Definitions after Papyan, Han and Donoho (2020) and Tirer and Bruna (2022); all are 0 at exact collapse.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.model.objective import Objective, class_means
from landscape.model.problem import Problem


@dataclass(frozen=True)
class CollapseMetrics:
    """One number per layer for the features that enter W_1, .., W_L, and one for all factors.

    Attributes:
        nc1: Within-class variance over between-class variance (traces of the scatter matrices).
        nc2: Distance of the normalised Gram matrix of the centred class means from the simplex's, between 0 and 2.
        nc3: Distance between the normalised map from the layer to the logits and the normalised class means, both centred; None
            where a rectifier lies between.
        balancedness: Largest ||decay_{l+1} W_{l+1}^T W_{l+1} - decay_l W_l W_l^T|| over the larger of the two norms: 0 at every
            critical point of a linear model.
    """

    nc1: tuple[float | None, ...]
    nc2: tuple[float | None, ...]
    nc3: tuple[float | None, ...]
    balancedness: float


def collapse_metrics(problem: Problem, theta: Float[Tensor, " p"]) -> CollapseMetrics:
    """Returns the metrics of a point; a metric whose normalisation vanishes (all features equal) is None."""
    objective = Objective.of(problem, theta)
    features, *layers = objective.split(theta)
    outputs = objective.preactivations(theta)[:-1]
    if problem.activation == "relu":
        outputs = [output.relu() for output in outputs]
    signals = [features, *outputs]
    rows = [_layer(problem, signals[i], _tail(problem, layers[i:])) for i in range(problem.depth)]
    nc1, nc2, nc3 = zip(*rows, strict=True)
    factors = [features, *layers]
    imbalance = []
    for i, (below, above) in enumerate(pairwise(factors)):
        if i > 0 and not problem.is_linear:
            break
        upper, lower = problem.decays[i + 1] * above.mT @ above, problem.decays[i] * below @ below.mT
        imbalance.append(_ratio((upper - lower).norm(), torch.maximum(upper.norm(), lower.norm())) or 0.0)
    return CollapseMetrics(nc1, nc2, nc3, max(imbalance))


def _tail(problem: Problem, layers: list[Tensor]) -> Tensor | None:
    if len(layers) > 1 and not problem.is_linear:
        return None
    total = layers[-1]
    for layer in reversed(layers[:-1]):
        total = total @ layer
    return total


def _layer(problem: Problem, signal: Tensor, tail: Tensor | None) -> tuple[float | None, float | None, float | None]:
    means = class_means(problem, signal)
    sizes = torch.tensor(problem.class_sizes, device=signal.device)
    within = (signal - means.repeat_interleave(sizes, dim=1)).square().sum() / problem.total_samples
    centred = means - means.mean(1, keepdim=True)
    between = centred.square().sum() / problem.classes
    simplex = torch.eye(problem.classes, dtype=signal.dtype, device=signal.device) - 1 / problem.classes
    gram = centred.mT @ centred
    nc2 = _distance(gram, simplex)
    nc3 = None if tail is None else _distance((tail - tail.mean(0, keepdim=True)).mT, centred)
    return _ratio(within, between), nc2, nc3


def _ratio(upper: Tensor, lower: Tensor) -> float | None:
    return float(upper / lower) if bool(lower > 0) else None


def _distance(one: Tensor, other: Tensor) -> float | None:
    """Between the directions of two matrices; None if either is zero."""
    if not bool(one.norm() > 0) or not bool(other.norm() > 0):
        return None
    return float((one / one.norm() - other / other.norm()).norm())
