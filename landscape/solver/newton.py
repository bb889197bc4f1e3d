"""Newton polishing: to the nearest critical point of any index, the null space left untouched, and never a jump.

A step is taken only where the loss and its gradient there are those of the quadratic model, so that what Newton's method says of
its limit (Kantorovich: it is within twice the first step) holds. From further away nothing moves, and the point stays as it is.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse.linalg import LinearOperator, minres
from torch import Tensor

from landscape.curvature.operators.operator import Product, dense
from landscape.curvature.spectra.spectrum import rounding_radius
from landscape.display import brief
from landscape.errors import InputError
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core, compress
from landscape.model.wide_factor import shortened
from landscape.solver.flow import loss_slack
from landscape.solver.methods import Newton
from landscape.solver.state import State

_MODEL = 0.3  # error of the linear model, of the gradient and as a share of the step: Kantorovich's 1/4, attained at a fold
_REACH = 2.5  # first steps that all steps together may span: Kantorovich's 2, which a fold attains, and a rest for rounding
_FAR = 0.1  # of the norm of the parameters: what would have to move further was not close, and is left to descent
_KEPT = 0.5  # of itself at the start that a singular value in use must keep, or the point has begun to lose a rank
_SOLVED = 1e-4  # residual of MINRES beside the gradient
_ROUNDING = 1e3  # units of rounding of the parameters, as far as they are felt in singular values, distances and the gradient

Apply = Callable[[Tensor], Tensor]
Rule = Callable[[Apply, Tensor, float], Apply]  # from the product with H, the gradient and `_gauge_radius` to that with H^-1


def rank_tolerance(problem: Problem, theta: Float[Tensor, " p"], gradient_norm: float) -> float:
    """Returns the size up to which a singular value of a factor counts as zero at a nearly critical point.

    A direction that no factor uses at the critical point has gradient decay * s at a singular value s, so s is at most of the
    order of the gradient norm over the decay; ten times that, and never below the rounding of the factors themselves. Far from
    critical it exceeds every singular value; `reduced_point.accepted_rank` decides where it means something.
    """
    return max(_rounding(theta), 10 * gradient_norm / min(problem.decays))


def polish_core(core: Core, settings: Newton) -> Core:
    """Returns the critical point of the core next to `core`, to machine precision, or as far as trusted steps lead.

    The gradient norm of what comes back says whether it is critical; the rank is that of `core`.
    """
    last = core.theta
    for state in _steps(core.objective, core.theta, _pseudo_inverse, 0.0, settings.tolerance):
        last = state.theta
        if state.gradient_norm <= settings.tolerance or state.steps >= settings.max_steps:
            break
    return replace(core, theta=last)


def newton(problem: Problem, theta: Float[Tensor, " p"], enough: float = 0.0) -> Iterator[State]:
    """Yields the state after every Newton step, until no further one can be trusted or the gradient norm is at most `enough`.

    Linear models with an accepted rank are polished in their core and written back in their own frames; what lies outside the
    core is dropped, which the first state after the start shows. Anything else takes MINRES steps on the full space.
    """
    objective = Objective.of(problem, theta)
    start = _Place.at(objective, theta)
    yield State(theta, start.loss, start.norm, 0, stalled=not start.finite)
    tolerance = rank_tolerance(problem, theta, start.norm)
    found = _trusted_core(problem, objective, start, tolerance) if start.finite else None
    if found is None:  # not linear, or not yet of one rank
        yield from _steps(objective, theta, _minimum_residual, tolerance, enough)
        return
    core, frames, first = found

    def embedded(here: _Place) -> _Place:
        return first if here.theta is core.theta else _Place.at(objective, replace(core, theta=here.theta).embed(frames))

    for state in _steps(core.objective, core.theta, _pseudo_inverse, 0.0, enough, embedded):
        yield replace(state, steps=state.steps + 1)


def critical_core(problem: Problem, theta: Float[Tensor, " p"], tolerance: float) -> tuple[Core, Float[Tensor, " p"]] | None:
    """Returns the core of the critical point next to a point of a linear model, and that critical point in the point's own frames.

    None where trusted steps lead to none, or the point has no accepted rank.

    Args:
        problem: A linear model; for others there is no core.
        theta: Parameters of the point.
        tolerance: The gradient norm of the core that counts as critical.
    """
    objective = Objective.of(problem, theta)
    start = _Place.at(objective, theta)
    if not start.finite:
        return None
    found = _trusted_core(problem, objective, start, rank_tolerance(problem, theta, start.norm))
    if found is None:
        return None
    core = polish_core(found[0], Newton())
    critical = float(core.objective.gradient(core.theta).norm()) <= tolerance
    return (core, core.embed(found[1])) if critical else None


@dataclass(frozen=True)
class _Place:
    """The loss at a point and its derivatives."""

    theta: Tensor
    loss: float
    gradient: Tensor
    norm: float
    apply: Apply  # the product with the Hessian

    __repr__ = brief

    @classmethod
    def at(cls, objective: Objective, theta: Tensor) -> "_Place":
        loss, _, gradient, product = objective.expand(theta)
        return cls(theta, float(loss), gradient, float(gradient.norm()), product)

    @property
    def finite(self) -> bool:
        return bool(np.isfinite(self.loss) and np.isfinite(self.norm))

    def predicts(self, other: "_Place", blur: float) -> bool:
        """Whether the quadratic model here explains loss and gradient there, at minima and saddles alike.

        The model's error in the gradient is e; along a step s that of the loss is then at most e |s| / 3 to leading order. So a
        loss that rises or falls otherwise than the model says, by more than e |s| / 2, was met on another branch.

        Args:
            other: The place after the step.
            blur: The part of e that rounding explains.
        """
        step = other.theta - self.theta
        bent = self.apply(step)
        error = float((other.gradient - self.gradient - bent).norm())
        change = float(self.gradient @ step + step @ bent / 2)
        slack = float(loss_slack(self.theta.new_tensor(self.loss)))
        return error <= _MODEL * self.norm + blur and abs(other.loss - self.loss - change) <= error * float(step.norm()) / 2 + slack


def _rounding(theta: Tensor) -> float:
    return _ROUNDING * torch.finfo(theta.dtype).eps * float(theta.norm())


def _trusted_core(
    problem: Problem, objective: Objective, start: _Place, tolerance: float
) -> tuple[Core, list[Float[Tensor, "d r"]], _Place] | None:
    """Returns the core next to a point, its frames and the place where it is, or None where it has no rank or is no small step off.

    Outside the core the curvature is at least the smallest decay, so that the gradient norm over it bounds the rest; twice that,
    since partners of the gauge rotations lie between two decays.
    """
    try:
        core, frames = compress(problem, start.theta, tolerance)
    except InputError:
        return None
    place, blur = _Place.at(objective, core.embed(frames)), _rounding(start.theta)
    near = float((place.theta - start.theta).norm()) <= 2 * start.norm / min(problem.decays) + blur
    return (core, frames, place) if near and start.predicts(place, blur) else None


def _steps(
    objective: Objective,
    theta: Tensor,
    rule: Rule,
    tolerance: float,
    enough: float = 0.0,
    seen: Callable[[_Place], _Place] = lambda here: here,
) -> Iterator[State]:
    """Yields the state after every step that can be trusted; the last one is stalled, or its gradient norm is enough.

    What is yielded is what is seen of a place; where its norm is enough, no further step is computed.

    A step must lower the gradient norm, be explained by the quadratic model, keep all steps within `_REACH` times the first and
    `_FAR` of the parameters, and change no rank: every singular value above the tolerance keeps `_KEPT` of what it was at the
    start, and none below it rises above.
    """
    here, steps, first = _Place.at(objective, theta), 0, None
    values = used = _singular_values(objective, theta) if here.finite else []
    while True:
        place, radius = seen(here), _gauge_radius(values, tolerance, here.norm)
        going = here.finite and objective.size and not place.norm <= enough
        moved = _next(objective, here, rule, radius) if going else None
        if moved is not None:
            values, reach = _singular_values(objective, moved.theta), float((moved.theta - theta).norm())
            first = reach if first is None else first
            bound = min(_REACH * first + _rounding(theta), _FAR * float(theta.norm()))
            if not (_same_rank(used, values, tolerance) and reach <= bound):
                moved = None
        yield State(place.theta, place.loss, place.norm, steps, stalled=moved is None)
        if moved is None:
            return
        here, steps = moved, steps + 1


def _gauge_radius(values: list[Tensor], tolerance: float, norm: float) -> float:
    """Returns how far from zero the eigenvalues of rotations may be at a gradient norm.

    A rotation moves the factors by at least its own size times their smallest singular value in use, and the Hessian sends
    that move to the rotated gradient; twice, because a move is shared by two factors.
    """
    smallest = [float(part[part > tolerance].min()) for part in values if bool((part > tolerance).any())]
    return 2 * norm / min([1.0, *smallest])


def _next(objective: Objective, here: _Place, rule: Rule, radius: float) -> _Place | None:
    """Returns where a rule's step leads, or None where the quadratic model does not hold so far.

    Beside `_Place.predicts`, the same inverse applied to the new gradient, an estimate of the next step, must be short.
    """
    inverse = rule(here.apply, here.gradient, radius)
    step = -inverse(here.gradient)
    moved = _Place.at(objective, here.theta + step)
    if not (moved.norm < here.norm and here.predicts(moved, 0.0)):
        return None
    return moved if float(inverse(moved.gradient).norm()) <= _MODEL * float(step.norm()) else None


def _singular_values(objective: Objective, theta: Tensor) -> list[Tensor]:
    return [torch.linalg.svdvals(shortened(factor)) for factor in objective.split(theta)]


def _same_rank(before: list[Tensor], after: list[Tensor], tolerance: float) -> bool:
    bounds = zip(before, after, strict=True)
    return all(bool(torch.where(old > tolerance, new >= _KEPT * old, new <= tolerance).all()) for old, new in bounds)


def _pseudo_inverse(apply: Apply, gradient: Tensor, radius: float) -> Apply:
    """By the eigendecomposition; eigenvalues within reach of the gauge zeros are left alone."""
    values, vectors = torch.linalg.eigh(dense(Product(apply, gradient)))
    cutoff = max(rounding_radius(len(gradient), float(values.abs().max())), radius)
    inverse = torch.where(values.abs() > cutoff, 1 / values, 0.0)
    return lambda vector: vectors @ (inverse * (vectors.mT @ vector))


def _minimum_residual(apply: Apply, gradient: Tensor, radius: float) -> Apply:
    """By MINRES: the minimum-norm solution, which has no component along directions that the gradient does not see.

    Solved to a share of the gradient far above rounding: a tighter one would divide rounding by the gauge eigenvalues (`radius`).
    """

    def on_host(vector: np.ndarray) -> np.ndarray:
        return apply(torch.from_numpy(vector).to(gradient)).cpu().numpy()

    operator = LinearOperator((len(gradient), len(gradient)), matvec=on_host, dtype="float64")
    return lambda vector: torch.from_numpy(minres(operator, vector.cpu().numpy(), rtol=_SOLVED, maxiter=2000)[0]).to(gradient)
