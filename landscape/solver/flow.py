"""Pseudo-transient continuation (Kelley and Keyes 1998) of the gradient flow, for any number of starts at once.

Every start is at its own iteration of its own linear system, so that nobody waits for the longest of them and the path of a
start does not depend on its neighbours, up to the rounding of the matrix products.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from landscape.display import brief
from landscape.model.objective import HessianProduct, Objective
from landscape.solver.methods import PseudoTransient
from landscape.solver.rows import WHOLE, put, take
from landscape.solver.state import State

SMALLEST_STEP = 1e-10  # time step at which the flow is stuck: the loss has no second-order model there (a kink)
_SHRINK, _GROW = 0.5, 2.0  # slow growth keeps the flow's path; 4 changed the end of one start in twelve
_LOSS_ROUNDING = 64  # units of rounding by which the loss may seem to rise: 8 of |loss| froze one start in fourteen at 2e-10
_SHARE = 0.25  # of the rows that may have solved their system before their steps are tried: idle rows against small batches


def loss_slack(loss: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """Returns by how much a loss may seem to change through rounding alone.

    The fit is a difference of numbers of the size of the logits, so its rounding does not shrink with it.
    """
    return _LOSS_ROUNDING * torch.finfo(loss.dtype).eps * loss.abs().clamp(min=1)


@dataclass(frozen=True)
class Systems:
    """(H + shift) x = right by conjugate gradients, one system per row, each at its own iteration.

    The vectors are its own and are changed in place: at the width of the paper an iteration would else take twice as long.

    Attributes:
        shift: Shift 1/h, the inverse of the time step.
        solution: Approximate solution so far.
        residual: Residual, right - (H + shift) solution.
        direction: Search direction of the next iteration.
        size: Squared norm of the residual.
        goal: Squared residual norm at which the row is solved.
        products: Number of iterations so far, one product each.
        broken: Rows that met negative curvature, and stopped there.
    """

    shift: Float[Tensor, " b"]
    solution: Float[Tensor, "b p"]
    residual: Float[Tensor, "b p"]
    direction: Float[Tensor, "b p"]
    size: Float[Tensor, " b"]
    goal: Float[Tensor, " b"]
    products: Int[Tensor, " b"]
    broken: Bool[Tensor, " b"]

    __repr__ = brief

    @classmethod
    def begin(cls, right: Float[Tensor, "b p"], shift: Float[Tensor, " b"], tolerance: Float[Tensor, " b"]) -> "Systems":
        """Returns the systems at x = 0, to be solved to a residual of tolerance * |right|."""
        size = right.square().sum(-1)
        count = torch.zeros_like(size, dtype=torch.int64)
        return cls(shift, torch.zeros_like(right), right.clone(), right.clone(), size, tolerance.square() * size, count, count > 0)

    def unsolved(self, limit: int) -> Bool[Tensor, " b"]:
        """Whose system goes on: not solved, not broken, and below the limit of iterations."""
        return self.broken.logical_not() & (self.size > self.goal) & (self.products < limit)

    def iterate(self, apply: Callable[[Tensor], Tensor], rows: Bool[Tensor, " b"]) -> "Systems":
        """Returns the systems after one iteration of these rows; `apply` is the product with H + shift."""
        image = apply(self.direction)
        curvature = torch.linalg.vecdot(self.direction, image)
        moving = rows & (curvature > 0)
        length = (self.size / curvature).masked_fill(moving.logical_not(), 0.0)
        self.solution.addcmul_(length.unsqueeze(-1), self.direction)
        self.residual.addcmul_(length.unsqueeze(-1), image, value=-1)
        size = torch.where(moving, torch.linalg.vecdot(self.residual, self.residual), self.size)
        turn = (size / self.size).masked_fill(moving.logical_not(), 0.0)
        torch.addcmul(self.residual, turn.unsqueeze(-1), self.direction, out=self.direction)  # of a row that stopped: never used
        return replace(self, size=size, products=self.products + rows, broken=self.broken | (rows & moving.logical_not()))


@dataclass(frozen=True)
class Flow:
    """The state of a batch of implicit gradient flows; each start has its own time step.

    Attributes:
        theta: Current parameters, one row per start.
        loss: Loss of every row.
        gradient: Gradient of every row.
        norm: Norm of the gradient of every row.
        time_step: Time step h of the next step.
        steps: Number of steps tried so far, taken or not.
        products: Number of Hessian products of the steps tried so far.
        systems: Linear systems of the steps under way.
        product: Hessian product at `theta`, kept while the rows are the same; None where it has to be made.
    """

    theta: Float[Tensor, "b p"]
    loss: Float[Tensor, " b"]
    gradient: Float[Tensor, "b p"]
    norm: Float[Tensor, " b"]
    time_step: Float[Tensor, " b"]
    steps: Int[Tensor, " b"]
    products: Int[Tensor, " b"]
    systems: Systems
    product: HessianProduct | None = field(default=None, compare=False, metadata=WHOLE)

    __repr__ = brief

    @classmethod
    def begin(cls, objective: Objective, theta: Float[Tensor, "b p"], settings: PseudoTransient) -> "Flow":
        """Returns the flow at its start."""
        theta = theta.clone(memory_format=torch.contiguous_format)
        loss, gradient, product = objective.expand(theta)
        time_step, count, norm = (
            torch.full_like(loss, settings.first_step),
            torch.zeros_like(loss, dtype=torch.int64),
            gradient.norm(dim=-1),
        )
        return cls(theta, loss, gradient, norm, time_step, count, count.clone(), _systems(gradient, norm, time_step), product)

    @property
    def stalled(self) -> Bool[Tensor, " b"]:
        """Whose time step has shrunk to nothing."""
        return self.time_step < SMALLEST_STEP


@torch.inference_mode()  # an eighth of the time of small models goes into what torch keeps for autograd
def advance(objective: Objective, flow: Flow, settings: PseudoTransient) -> Flow:
    """Returns the flow after a share of the rows (a single row: always) have solved their system and tried their step."""
    systems, product, count = flow.systems, flow.product or objective.linearize(flow.theta), len(flow.loss)
    apply, enough = product.shifted(systems.shift), max(1, round(_SHARE * count))
    while True:
        unsolved = systems.unsolved(settings.max_products)
        if int(unsolved.logical_not().sum()) >= enough:
            break
        systems = systems.iterate(apply, unsolved)
    flow, rows = replace(flow, systems=systems), unsolved.logical_not().nonzero()[:, 0]
    tried, taken, moved = _try_step(objective, flow if len(rows) == count else take(flow, rows), settings)
    places = taken.nonzero()[:, 0]
    if len(places) == count:
        return replace(tried, theta=moved.theta, product=moved)
    if len(rows) == count:
        return tried
    product.renew(rows[places], moved, places)
    return replace(put(flow, rows, tried), product=product)  # in place: the product goes on to read these parameters


def _try_step(objective: Objective, flow: Flow, settings: PseudoTransient) -> tuple[Flow, Bool[Tensor, " b"], HessianProduct]:
    """Takes the step of every row where the linear model held; elsewhere only the time step shrinks.

    Returns:
        The flow, whose step was taken, and the Hessian product at the end of every step, taken or not.
    """
    systems = flow.systems
    theta = flow.theta + systems.solution
    loss, gradient, moved = objective.expand(theta)
    # The linear model, gradient + H s, from the residual of the solve: -(residual + shift s)
    modelled = torch.addcmul(systems.residual, systems.shift.unsqueeze(-1), systems.solution)
    error = modelled.add_(gradient).norm(dim=-1) / flow.norm
    taken = systems.broken.logical_not() & (error < settings.curvature_tolerance) & (loss <= flow.loss + loss_slack(flow.loss))
    growth = (0.5 * settings.curvature_tolerance / error).sqrt().clamp(_SHRINK, _GROW)
    shrink = torch.full_like(growth, _SHRINK).masked_fill(systems.broken, _SHRINK / 2)
    factor = torch.where(taken, growth, shrink)
    time_step, gradient = flow.time_step * factor, torch.where(taken.unsqueeze(-1), gradient, flow.gradient)
    norm = torch.where(taken, gradient.norm(dim=-1), flow.norm)
    after = Flow(
        torch.where(taken.unsqueeze(-1), theta, flow.theta),
        torch.where(taken, loss, flow.loss),
        gradient,
        norm,
        time_step,
        flow.steps + 1,
        flow.products + systems.products,
        _systems(gradient, norm, time_step),
    )
    return after, taken, moved


def _systems(gradient: Tensor, norm: Tensor, time_step: Tensor) -> Systems:
    tolerance = norm.sqrt().clamp(max=0.01)  # forcing term: superlinear at the end, cheap at the start
    return Systems.begin(-gradient, 1 / time_step, tolerance)


def pseudo_transient(objective: Objective, theta: Float[Tensor, " p"], settings: PseudoTransient) -> Iterator[State]:
    """Yields the state of one flow after every attempt."""
    flow = Flow.begin(objective, theta[None], settings)
    while True:
        yield State(flow.theta[0].clone(), float(flow.loss), float(flow.norm), int(flow.steps), bool(flow.stalled))
        flow = advance(objective, flow, settings)
