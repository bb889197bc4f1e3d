"""Slices of the loss: on a line or a plane through a point, and on the way between two points.

A gauge direction is the tangent of a curve of constant loss, theta(t) = exp(t D) theta with D the generator. The straight line
theta + t v, v = D theta, leaves that curve by t^2/2 w, w = D^2 theta, so at a critical point it climbs by t^4/8 w'Hw: a null
direction of the Hessian is flat to third order only. (The derivatives of H(theta(t)) theta'(t) = 0 and of the constant loss give
the fourth derivative 3 w'Hw.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.counting.quotient import Quotient
from landscape.curvature.counting.zeros import UNDECIDED_FACTOR
from landscape.curvature.krylov import random_block, seeded
from landscape.curvature.operators.operator import Product, SymmetricOperator
from landscape.curvature.spectra.extremes import BothEnds, seen_from
from landscape.curvature.spectra.spectrum import rounding_radius
from landscape.degeneracy.methods import gradient_radius, hessian_at
from landscape.errors import InputError
from landscape.model.gauge import interfaces, orbit
from landscape.model.gauge_projector import orbit_projector
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.model.reduced_point import accepted_rank
from landscape.network.loss import ModuleLoss
from landscape.points.point import CriticalPoint
from landscape.solver.newton import rank_tolerance
from landscape.studies.basins import Segment, gauge_aligned, segment
from landscape.studies.cuts import DEFAULT_SPAN, Along, Direction, Line, NetworkAlong, Plane, spaced
from landscape.studies.network_slices import network_between, network_line, network_plane

_NUMBERS = 2**22  # of a batch of points: 32 MB
_VECTORS = 2**28  # numbers of a Krylov space: 2 GB, beyond which it has 40 vectors
_MOST_LANCZOS = 400  # steps; linear points, with 10 to 30 distinct eigenvalues, take as few
_FAR = 0.1  # of the norm of the parameters: a rank tolerance above it says that the point is nowhere near critical
_TOLERANCE = 1e-11  # residual of an eigenvector, of the norm
_FLAT = 1e-2  # share of the second order in the fourth, at the default span, up to which a gauge line is called flat
_NULL = 1e-6  # of the norm: the image of a vector that is called null


def directions(problem: Problem, theta: Float[Tensor, " p"], names: Sequence[Along], seed: int = 0) -> list[Direction]:
    """Returns unit vectors at a (nearly) critical point, found without forming the Hessian.

    stiffest and negative are eigenvectors of the largest and the smallest eigenvalue, by Lanczos; null is a null vector
    that no symmetry explains, which few points have; gauge is the tangent of random rotations of all interfaces together.

    Args:
        problem: The model of the point.
        theta: Parameters of the point.
        names: Which, all different.
        seed: Seed of the rotations and of the random vector that is projected onto the eigenspaces.

    Raises:
        InputError: If a name stands twice or there is none, or the point has no such direction or no Hessian.
    """
    if not names or len(set(names)) < len(names):
        raise InputError(f"expected different directions, got {','.join(names) or 'none'}")
    frame = _Frame.at(problem, theta, seed)
    if set(names) - {"gauge"}:
        frame.require_smooth()
    ends = frame.ends(frame.hessian) if set(names) - {"gauge"} else None
    return [_direction(frame, name, ends) for name in names]


@dataclass(frozen=True)
class _Frame:
    """What all directions of a point need."""

    problem: Problem
    theta: Tensor
    hessian: Product
    tolerance: float
    radius: float
    seed: int

    @classmethod
    def at(cls, problem: Problem, theta: Tensor, seed: int) -> "_Frame":
        objective = Objective.of(problem, theta)
        norm = float(objective.gradient(theta).norm())
        tolerance = rank_tolerance(problem, theta, norm)
        radius = gradient_radius(norm, orbit(problem, objective.split(theta), tolerance))
        return cls(problem, theta, hessian_at(problem, theta), tolerance, radius, seed)

    def ends(self, operator: SymmetricOperator) -> BothEnds:
        """Returns the projections of one random vector onto the outermost eigenspaces."""
        steps = min(_MOST_LANCZOS, max(40, _VECTORS // self.theta.numel()))
        return seen_from(operator, self.start, steps, _TOLERANCE)

    @property
    def start(self) -> Tensor:
        return random_block(self.hessian, 1, seeded(self.seed, "slices")).select(1, 0)

    def signed(self, vector: Tensor) -> Tensor:
        """Returns the vector or its negative, the one on the side of the start: the sign of an eigenvector means nothing."""
        return vector * (vector @ self.start).sign()

    def cutoff(self, norm: float) -> float:
        """Returns the size up to which an eigenvalue is zero."""
        return self.radius + rounding_radius(self.theta.numel(), norm, self.theta.dtype)

    def curvature(self, vector: Tensor) -> float:
        return float(vector @ (self.hessian @ vector[:, None])[:, 0])

    def require_smooth(self) -> None:
        if self.problem.is_linear:
            return
        hidden = Objective.of(self.problem, self.theta).preactivations(self.theta)[:-1]
        near = self.tolerance <= _FAR * float(self.theta.norm())  # else a step to the next critical point says nothing of kinks
        tolerance = self.tolerance if near else rank_tolerance(self.problem, self.theta, 0.0)
        if kinks := sum(int((signal.abs() <= tolerance).sum()) for signal in hidden):
            raise InputError(f"expected a point with a Hessian, got {kinks} pre-activations at a ReLU kink: use gauge alone")


def _require_critical(frame: _Frame, name: Along, norm: float) -> None:
    """Refuses a point whose gradient hides the orbit: without an accepted rank the projector would leave gauge directions in."""
    if UNDECIDED_FACTOR * frame.radius > norm:
        raise InputError(
            f"expected a critical point for the direction {name}, got one where the gradient moves eigenvalues by up to "
            f"{frame.radius:.1e} (largest {norm:.1e}): polish it, or use stiffest or gauge"
        )
    if frame.problem.is_linear:
        accepted_rank(Objective.of(frame.problem, frame.theta), frame.theta, frame.tolerance)


def _direction(frame: _Frame, name: Along, ends: BothEnds | None) -> Direction:
    if name == "gauge":
        return _gauge(frame)
    assert ends is not None
    norm = max(abs(float(ends.top.values[0])), abs(float(ends.bottom.values[0])))
    if name != "stiffest":
        _require_critical(frame, name, norm)
    if name == "null":
        return _null(frame, norm)
    pair = ends.top if name == "stiffest" else ends.bottom
    value = float(pair.values[0])
    if not pair.converged:
        raise InputError(f"the {name} eigenvector is known to {float(pair.residuals[0]):.1e} only: use another direction")
    if name == "negative" and value >= -frame.cutoff(norm):
        raise InputError(
            f"expected a point with a negative eigenvalue for the direction negative, got the smallest {value:.1e} "
            f"(zero up to {frame.cutoff(norm):.1e}): its index is 0"
        )
    return Direction(name, frame.signed(pair.vectors[:, 0]), value)


def _null(frame: _Frame, norm: float) -> Direction:
    """Returns a null vector orthogonal to the orbit of the symmetries: the lowest eigenvector there of H, or of H^2 at a saddle."""
    projector = orbit_projector(frame.problem, frame.theta, frame.tolerance)
    outside = Quotient(frame.hessian, projector, frame.theta.new_zeros(frame.theta.numel(), 0), norm or 1.0)
    if not outside.dimension:
        raise InputError(
            "expected a direction outside the orbit of the symmetries, got a point whose orbit fills the space: use gauge"
        )
    bottom = frame.ends(outside).bottom
    if float(bottom.values[0]) < -frame.cutoff(norm):  # a saddle: null is inside the spectrum
        square = Product(lambda rows: (outside @ (outside @ rows.mT)).mT, frame.theta)
        bottom = frame.ends(square).bottom
    vector = outside.clean(bottom.vectors)[:, 0]
    vector = frame.signed(vector / vector.norm())
    image = float((frame.hessian @ vector[:, None]).norm())
    value = frame.curvature(vector)
    if image > _NULL * norm + frame.cutoff(norm) or abs(value) > frame.cutoff(norm):
        raise InputError(
            f"expected a null direction that no symmetry explains, got none: the smallest |Hv| found there is {image:.1e} "
            "(all null directions are rotations of hidden spaces or of equal classes: use gauge)"
        )
    return Direction("null", vector, value)


def _gauge(frame: _Frame) -> Direction:
    theta, width = frame.theta, frame.problem.width
    generator = torch.Generator().manual_seed(frame.seed)
    draws = [torch.randn(width, width, dtype=torch.float64, generator=generator) for _ in range(interfaces(frame.problem))]
    turns = [(draw - draw.mT).to(theta) for draw in draws]
    objective = Objective.of(frame.problem, theta)
    length = float(_generated(objective, theta, turns).norm())
    if length <= rank_tolerance(frame.problem, theta, 0.0):
        raise InputError("expected a point that rotations move, got one that they leave where it is: it has no gauge direction")
    turns = [turn / length for turn in turns]
    tangent = _generated(objective, theta, turns)
    bend = _generated(objective, tangent, turns)
    curvature, quartic = frame.curvature(tangent), frame.curvature(bend) / 8
    critical = abs(curvature) <= _FLAT * abs(quartic) * (DEFAULT_SPAN * float(theta.norm())) ** 2
    return Direction("gauge", tangent, curvature, tuple(turns), quartic if critical else None)


def _generated(objective: Objective, theta: Tensor, turns: Sequence[Tensor]) -> Tensor:
    """Returns D theta: each factor W_l becomes A_l W_l - W_l A_(l-1), where there is a turn."""
    factors = objective.split(theta)
    moved = [torch.zeros_like(factor) for factor in factors]
    for index, turn in enumerate(turns):
        moved[index] = moved[index] + turn @ factors[index]
        moved[index + 1] = moved[index + 1] - factors[index + 1] @ turn
    return torch.cat([factor.flatten() for factor in moved])


def slice_line(
    point: CriticalPoint | ModuleLoss,
    along: Along | NetworkAlong | Tensor = "stiffest",
    span: float | None = None,
    steps: int = 51,
    seed: int = 0,
) -> Line:
    """Returns the loss on a line through a point, or through that of a network's loss.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> cut = ls.slice_line(ls.place(problem, ls.Collapse()), "gauge")
        >>> bool(cut.orbit.max() - cut.orbit.min() < 1e-12 < cut.loss.max() - cut.loss.min())
        True

    Args:
        point: The point, critical or nearly so; of a network any point.
        along: The direction: stiffest, negative, null or gauge; of a network stiffest, second, lowest, a vector, or random, which
            is a random direction whose filters have the norms of those of the weights.
        span: Distance to either side; None takes a quarter of the norm of the parameters.
        steps: Places on the line.
        seed: Seed of the rotations and of the random vectors.

    Raises:
        InputError: If the point has no such direction, or span or steps are out of range.
    """
    if isinstance(point, ModuleLoss):
        return network_line(point, _of_network(along), span, steps, seed)
    places = spaced(point.theta, span, steps)
    return line(point.problem, point.theta, directions(point.problem, point.theta, [_of_model(along)], seed)[0], places)


def slice_plane(
    point: CriticalPoint | ModuleLoss,
    along: tuple[Along | NetworkAlong | Tensor, Along | NetworkAlong | Tensor] | None = None,
    span: float | None = None,
    steps: int = 51,
    seed: int = 0,
) -> Plane:
    """Returns the loss on a plane through a point; arguments and errors as for `slice_line`, with two directions.

    Without directions they are stiffest and gauge, and for a network two random ones.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> cut = ls.slice_plane(ls.place(problem, ls.Collapse()), ("stiffest", "gauge"), steps=5)
        >>> tuple(cut.loss.shape)
        (5, 5)
    """
    if isinstance(point, ModuleLoss):
        one, other = along or ("random", "random")
        return network_plane(point, (_of_network(one), _of_network(other)), span, steps, seed)
    places = spaced(point.theta, span, steps)
    names = [_of_model(each) for each in along or ("stiffest", "gauge")]
    first, second = directions(point.problem, point.theta, names, seed)
    return plane(point.problem, point.theta, (first, second), places)


def slice_between(point: CriticalPoint | ModuleLoss, other: CriticalPoint | ModuleLoss, steps: int = 51) -> dict[str, Segment]:
    """Returns the loss on the straight way between two points, as they are and after gauge alignment of the second.

    Between two points of a network's loss there is only the way as they are.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> ways = ls.slice_between(ls.place(problem, ls.Collapse(), gauge=0), ls.place(problem, ls.Pairs(), gauge=1))
        >>> sorted(ways), ways["gauge aligned"].distance < ways["as given"].distance
        (['as given', 'gauge aligned'], True)

    Raises:
        InputError: If the points are of different problems, or the steps are out of range.
    """
    if isinstance(point, ModuleLoss) and isinstance(other, ModuleLoss):
        return {"as given": network_between(point, other, steps)}
    if isinstance(point, ModuleLoss) or isinstance(other, ModuleLoss):
        raise InputError("expected two points of one kind, got a network's loss and a point of the model")
    if point.problem != other.problem:
        raise InputError(f"expected two points of one problem, got the {point.problem} and the {other.problem}")
    straight, aligned = between(point.problem, point.theta, other.theta, steps)
    return {"as given": straight, "gauge aligned": aligned}


def _of_model(along: Along | NetworkAlong | Tensor) -> Along:
    """Returns a direction that a point of the model can have."""
    for name in get_args(Along):
        if isinstance(along, str) and along == name:
            return name
    raise InputError(f"expected a direction of {', '.join(get_args(Along))}, got {along if isinstance(along, str) else 'a vector'}")


def _of_network(along: Along | NetworkAlong | Tensor) -> NetworkAlong | Tensor:
    """Returns a direction that a point of a network can have."""
    if isinstance(along, Tensor):
        return along
    for name in get_args(NetworkAlong):
        if along == name:
            return name
    raise InputError(f"expected a direction of {', '.join(get_args(NetworkAlong)[:-1])} or a vector for a network, got {along}")


def line(problem: Problem, theta: Float[Tensor, " p"], direction: Direction, places: Float[Tensor, " t"]) -> Line:
    """Returns the loss along a direction, and on the orbit's own curve for a gauge direction."""
    objective = Objective.of(problem, theta)
    loss = _batched(objective, theta, direction.vector.unsqueeze(0), places.unsqueeze(1))
    if not direction.turns:
        return Line(direction, places, loss, None)
    curve = torch.cat([objective.loss(orbit_curve(problem, theta, direction, place)) for place in places.split(1)])
    return Line(direction, places, loss, curve)


def plane(problem: Problem, theta: Float[Tensor, " p"], pair: tuple[Direction, Direction], places: Float[Tensor, " t"]) -> Plane:
    """Returns the loss on the plane of two directions, in batches of points."""
    first, second = pair
    vertical, horizontal = torch.meshgrid(places, places, indexing="ij")
    weights = torch.stack([horizontal.flatten(), vertical.flatten()], dim=1)
    axes = torch.stack([first.vector, second.vector])
    loss = _batched(Objective.of(problem, theta), theta, axes, weights)
    curves = [orbit_curve(problem, theta, found, places) - theta for found in pair if found.turns]
    shadow = curves[0] @ axes.mT if curves else None
    return Plane(first, second, places, loss.unflatten(0, (len(places), len(places))), shadow)


def orbit_curve(
    problem: Problem, theta: Float[Tensor, " p"], direction: Direction, places: Float[Tensor, " t"]
) -> Float[Tensor, "t p"]:
    """Returns the points of the gauge orbit's curve through a gauge direction: the rotations exp(t A) applied to the point."""
    factors = Objective.of(problem, theta).split(theta)
    for index, turn in enumerate(direction.turns):
        rotation = torch.matrix_exp(places.view(-1, 1, 1) * turn)
        factors[index] = rotation @ factors[index]
        factors[index + 1] = factors[index + 1] @ rotation.mT
    return torch.cat([factor.expand(len(places), -1, -1).flatten(1) for factor in factors], dim=1)


def between(problem: Problem, theta: Float[Tensor, " p"], other: Float[Tensor, " p"], steps: int = 51) -> tuple[Segment, Segment]:
    """Returns the straight line between two points as they are, and after gauge alignment of the second to the first.

    The alignment rotates the inner spaces alone: classes are not relabelled, and behind a rectifier only H_1 turns.

    Raises:
        InputError: If there are not 3 to `MOST_STEPS` steps.
    """
    spaced(theta, None, steps)
    return segment(problem, theta, other, steps), segment(problem, theta, gauge_aligned(problem, theta, other), steps)


def _batched(objective: Objective, theta: Tensor, vectors: Tensor, weights: Tensor) -> Tensor:
    """Returns the losses at theta + weights @ vectors, as many points at a time as fit."""
    rows = max(1, _NUMBERS // theta.numel())
    return torch.cat([objective.loss(theta + part @ vectors) for part in weights.split(rows)])
