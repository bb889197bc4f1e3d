"""What can be said at a ReLU point: kinks, the generalised gradient, slopes across kinks, and the Hessian along them.

A hidden pre-activation at zero is a kink: the loss has one-sided derivatives there and no Hessian. The masks of units at a kink
may be anything in [0, 1]; the gradients for all of them are the generalised gradient of the chain rule, which contains Clarke's.
So a residual that is not small proves that a point is not critical, and a small one does not prove that it is a minimum: the
slopes must not be negative either.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import minimize
from torch import Tensor

from landscape.curvature.operators.operator import Hessian, Matrix, dense
from landscape.curvature.spectra.spectrum import eigenvalues
from landscape.decomposition import singular_vectors
from landscape.degeneracy.judgement import Verdict, judge_spectrum
from landscape.model.objective import Objective
from landscape.model.problem import Problem

LARGEST_MANIFOLD = 2_000  # parameters up to which the Hessian along the kinks is formed
_GAP = 3.0  # no pre-activation may be within this factor of the tolerance, or which units are at a kink is a guess
_MOST_SLOPES = 512  # kinks whose two sides are tried; each needs a vector of all parameters


@dataclass(frozen=True)
class ReluKinks:
    """Kinks of a ReLU point: pre-activations at zero, and the slopes across them.

    Attributes:
        count: Number of hidden pre-activations within the tolerance of zero.
        smallest: The smallest hidden pre-activation in size.
        residual: Norm of the shortest generalised gradient found (exact for one hidden layer, where it is a convex problem).
        smallest_slope: The smallest one-sided derivative along a unit normal of a kink, either side; None without kinks or
            normals. A negative one is a way down, so the point is no minimum.
        manifold: Zero and negative eigenvalues of the Hessian along the manifold on which every kink stays a kink; None if the
            kinks depend on each other, so that they cut out no manifold to first order, if the tolerance does not tell kinks
            from other pre-activations, or there are too many parameters.
    """

    count: int
    smallest: float
    residual: float
    smallest_slope: float | None
    manifold: Verdict | None

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form; the counts on the manifold only where they are resolved."""
        values = asdict(self)
        known = self.manifold is not None and self.manifold.certain
        values["manifold"] = {"nullity": self.manifold.nullity, "index": self.manifold.index} if known and self.manifold else None
        return values


def kinks_of(problem: Problem, theta: Float[Tensor, " p"], tolerance: float) -> ReluKinks:
    """Returns the kinks at a point of a ReLU model.

    Args:
        problem: A model with at least one hidden layer.
        theta: Parameters of the point.
        tolerance: Pre-activations up to this are at a kink (absolute).
    """
    hidden = Objective.of(problem, theta).preactivations(theta)[:-1]
    places = [signal.abs() <= tolerance for signal in hidden]
    count = sum(int(place.sum()) for place in places)
    smallest = min(float(signal.abs().min()) for signal in hidden)
    opened = [(signal > tolerance).to(theta.dtype) for signal in hidden]
    masks, residual = shortest_gradient(problem, theta, opened, places)
    if not count:
        return ReluKinks(0, smallest, residual, None, None)
    normals = _normals(problem, theta, places)
    sizes = normals.norm(dim=1)
    units = (normals / sizes.clamp(min=torch.finfo(theta.dtype).tiny).unsqueeze(1))[sizes > 0][:_MOST_SLOPES]
    slopes = one_sided_slopes(problem, theta, torch.cat([units, -units]), opened, places) if len(units) else None
    manifold = None
    apart = all(bool(((signal.abs() * _GAP <= tolerance) | (signal.abs() >= _GAP * tolerance)).all()) for signal in hidden)
    if apart and problem.parameters <= LARGEST_MANIFOLD:
        manifold = _along(problem, theta, _gates(opened, places, masks), normals, residual)
    return ReluKinks(count, smallest, residual, float(slopes.min()) if slopes is not None else None, manifold)


def gated_loss(problem: Problem, theta: Float[Tensor, " p"], gates: list[Tensor]) -> Float[Tensor, ""]:
    """Returns the loss with every rectifier replaced by multiplication with a fixed gate."""
    objective = Objective.of(problem, theta)
    factors = objective.split(theta)
    signal = factors[0]
    for layer, gate in zip(factors[1:-1], gates, strict=True):
        signal = gate * (layer @ signal)
    penalty = sum(decay / 2 * factor.square().sum() for decay, factor in zip(problem.decays, factors, strict=True))
    return objective.fit(factors[-1] @ signal * objective.scales) + penalty


def shortest_gradient(
    problem: Problem, theta: Float[Tensor, " p"], opened: list[Tensor], places: list[Tensor]
) -> tuple[Float[Tensor, " q"], float]:
    """Returns the masks in [0, 1] at the kinks that make the gradient shortest, and its norm.

    By L-BFGS-B on the squared norm; convex for one hidden layer, for more the norm is that of a local minimum.
    """
    point = theta.detach().clone().requires_grad_(True)
    count = sum(int(place.sum()) for place in places)

    def squared(masks: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad(gated_loss(problem, point, _gates(opened, places, masks)), point, create_graph=True)
        return gradient.square().sum()

    start = theta.new_full((count,), 0.5)
    first = float(squared(start).detach())
    if not count or first == 0:
        return start, math.sqrt(first)

    def scaled(values: np.ndarray) -> tuple[float, np.ndarray]:
        masks = torch.from_numpy(values).to(theta).requires_grad_(True)
        value = squared(masks) / first
        (slope,) = torch.autograd.grad(value, masks)
        return float(value.detach()), slope.cpu().numpy().astype(np.float64)

    options = {"maxiter": 500, "maxfun": 2_000, "ftol": 1e-16, "gtol": 1e-14}
    found = minimize(scaled, start.cpu().numpy(), jac=True, method="L-BFGS-B", bounds=[(0, 1)] * count, options=options)
    return torch.from_numpy(found.x).to(theta), math.sqrt(max(float(found.fun), 0.0) * first)


def one_sided_slopes(
    problem: Problem, theta: Float[Tensor, " p"], directions: Float[Tensor, "b p"], opened: list[Tensor], places: list[Tensor]
) -> Float[Tensor, " b"]:
    """Returns the one-sided directional derivatives of the loss; a unit at a kink passes on what its pre-activation gains."""
    objective = Objective.of(problem, theta)
    layers = objective.split(theta)[1:]
    inputs = [objective.split(theta)[0], *(signal.clamp(min=0) for signal in objective.preactivations(theta)[:-1])]
    tangent, *turns = objective.split(directions)
    for index, (layer, turn) in enumerate(zip(layers, turns, strict=True)):
        tangent = turn @ inputs[index] + layer @ tangent
        if index < len(places):
            tangent = torch.where(places[index], tangent.clamp(min=0), opened[index] * tangent)
    pull = objective.fit_gradient(objective.logits(theta)) * objective.scales
    decay = torch.cat([factor.flatten() * value for factor, value in zip(objective.split(theta), problem.decays, strict=True)])
    return (tangent * pull).sum((-1, -2)) + directions @ decay


def _gates(opened: list[Tensor], places: list[Tensor], masks: Tensor) -> list[Tensor]:
    gates, parts = [], masks.split([int(place.sum()) for place in places])
    for gate, place, part in zip(opened, places, parts, strict=True):
        gates.append(gate.masked_scatter(place, part))
    return gates


def _normals(problem: Problem, theta: Tensor, places: list[Tensor]) -> Float[Tensor, "q p"]:
    """Returns the gradients of the pre-activations at kinks, as rows; what reaches them passes open units only."""
    objective = Objective.of(problem, theta)

    def chosen(flat: Tensor) -> Tensor:
        hidden = objective.preactivations(flat)[:-1]
        return torch.cat([signal[place] for signal, place in zip(hidden, places, strict=True)])

    return torch.func.jacrev(chosen)(theta)


def _along(problem: Problem, theta: Tensor, gates: list[Tensor], normals: Tensor, residual: float) -> Verdict | None:
    """Counts the eigenvalues of the Hessian along the kinks.

    With the masks of the shortest gradient the gated loss equals the loss on the manifold and is stationary off it too, up to the
    residual, so that the manifold's own curvature adds no more than the residual.
    """
    _, sizes, frame = singular_vectors(normals, full=True)
    if float(sizes.min()) <= 1e-9 * float(sizes.max()) or len(sizes) < normals.shape[0]:
        return None
    tangent = frame[normals.shape[0] :].mT
    entries = tangent.mT @ dense(Hessian(lambda flat: gated_loss(problem, flat, gates), theta)) @ tangent
    if not entries.numel():
        return None
    return judge_spectrum(eigenvalues(Matrix((entries + entries.mT) / 2)), None, 2 * residual)
