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
from landscape.solver.rows import WHOLE, put
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
    """(H + shift) x = right by conjugate gradients, one system per row, each at its own iteration, all changed in place.

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
        size = torch.linalg.vecdot(right, right)
        count = torch.zeros_like(size, dtype=torch.int64)
        return cls(shift, torch.zeros_like(right), right.clone(), right.clone(), size, tolerance.square() * size, count, count > 0)

    def restart(
        self, rows: Int[Tensor, " r"], right: Float[Tensor, "r p"], shift: Float[Tensor, " r"], tolerance: Float[Tensor, " r"]
    ) -> None:
        """Begins other systems in these rows."""
        size = torch.linalg.vecdot(right, right)
        for own, part in ((self.residual, right), (self.direction, right), (self.shift, shift), (self.size, size)):
            own.index_copy_(0, rows, part)
        self.goal.index_copy_(0, rows, tolerance.square().mul_(size))
        for own in (self.solution, self.products, self.broken):
            own.index_fill_(0, rows, 0)

    def unsolved(self, limit: int) -> Bool[Tensor, " b"]:
        """Whose system goes on: not solved, not broken, and below the limit of iterations."""
        return (self.size > self.goal).logical_and_(self.products < limit).logical_and_(self.broken.logical_not())

    def iterate(
        self, apply: Callable[[Tensor], Tensor], rows: Bool[Tensor, " b"], terms: Float[Tensor, "b p"] | None = None
    ) -> None:
        """Does one iteration of these rows.

        Args:
            apply: The product with H + shift.
            rows: Whose iteration it is.
            terms: Memory for the terms of inner products; None asks the system for it, which can take as long as all the rest.
        """
        image = apply(self.direction)
        curvature = torch.mul(self.direction, image, out=terms).sum(-1)
        still = rows.logical_and(curvature > 0).logical_not_()
        length = (self.size / curvature).masked_fill_(still, 0.0).unsqueeze(-1)
        self.solution.addcmul_(length, self.direction)
        self.residual.addcmul_(length, image, value=-1)
        size = torch.mul(self.residual, self.residual, out=terms).sum(-1)
        turn = size.div(self.size).masked_fill_(still, 0.0).unsqueeze(-1)
        torch.addcmul(self.residual, turn, self.direction, out=self.direction)  # of a row that stopped: never used
        torch.where(still, self.size, size, out=self.size)
        self.products.add_(rows)
        self.broken.logical_or_(still.logical_and_(rows))


@dataclass(frozen=True)
class Flow:
    """The state of a batch of implicit gradient flows, changed in place; each start has its own time step.

    Attributes:
        theta: Current parameters, one row per start.
        loss: Loss of every row.
        logits: Logits of every row.
        gradient: Gradient of every row.
        norm: Norm of the gradient of every row.
        time_step: Time step h of the next step.
        steps: Number of steps tried so far, taken or not.
        products: Number of Hessian products of the steps tried so far.
        systems: Linear systems of the steps under way.
        product: Hessian product at `theta`, kept while the rows are the same; None where it has to be made.
        space: Memory for vectors that an advance needs for a while, kept likewise.
    """

    theta: Float[Tensor, "b p"]
    loss: Float[Tensor, " b"]
    logits: Float[Tensor, "b k m"]
    gradient: Float[Tensor, "b p"]
    norm: Float[Tensor, " b"]
    time_step: Float[Tensor, " b"]
    steps: Int[Tensor, " b"]
    products: Int[Tensor, " b"]
    systems: Systems
    product: HessianProduct | None = field(default=None, compare=False, metadata=WHOLE)
    space: Float[Tensor, "2 b p"] | None = field(default=None, compare=False, metadata=WHOLE)

    __repr__ = brief

    @classmethod
    def begin(cls, objective: Objective, theta: Float[Tensor, "b p"], settings: PseudoTransient) -> "Flow":
        """Returns the flow at its start."""
        theta = theta.detach().clone(memory_format=torch.contiguous_format)
        loss, logits, gradient, product = objective.expand(theta)
        norm, time_step = torch.linalg.vector_norm(gradient, dim=-1), torch.full_like(loss, settings.first_step)
        count = torch.zeros_like(loss, dtype=torch.int64)
        systems = Systems.begin(-gradient, 1 / time_step, _forcing(norm))
        return cls(theta, loss, logits, gradient, norm, time_step, count, count.clone(), systems, product)

    @property
    def stalled(self) -> Bool[Tensor, " b"]:
        """Whose time step has shrunk to nothing."""
        return self.time_step < SMALLEST_STEP


@torch.inference_mode()  # an eighth of the time of small models goes into what torch keeps for autograd
def advance(objective: Objective, flow: Flow, settings: PseudoTransient) -> Flow:
    """Moves the flow until a share of the rows (a single row: always) have solved their system and tried their step."""
    systems, product, count = flow.systems, flow.product or objective.linearize(flow.theta), len(flow.loss)
    space = flow.theta.new_empty(2, *flow.theta.shape) if flow.space is None else flow.space
    shifted, (image, terms), waiting = product.shifted(systems.shift), space, count - max(1, round(_SHARE * count))
    while True:
        unsolved = systems.unsolved(settings.max_products)
        if int(unsolved.sum()) <= waiting:
            break
        systems.iterate(lambda direction: shifted.write(direction, image), unsolved, terms)
    rows = unsolved.logical_not().nonzero()[:, 0]
    _settle(flow, product, rows, _try_step(objective, flow, rows, settings))
    return flow if flow.space is space else replace(flow, product=product, space=space)


@torch.inference_mode()
def refill(flow: Flow, rows: Int[Tensor, " r"], fresh: Flow) -> Flow:
    """Returns the flow with other starts in the places of these rows."""
    filled, product = put(flow, rows, fresh), flow.product
    if filled.theta is not flow.theta or product is None or fresh.product is None:
        return filled
    product.renew(rows, fresh.product)
    return replace(filled, product=product, space=flow.space)


@dataclass(frozen=True)
class _Tried:
    """Where the steps of some rows led: what the flow holds there, and whose step was taken."""

    theta: Tensor
    loss: Tensor
    logits: Tensor
    gradient: Tensor
    norm: Tensor
    time_step: Tensor
    taken: Tensor
    product: HessianProduct

    __repr__ = brief


def _try_step(objective: Objective, flow: Flow, rows: Int[Tensor, " r"], settings: PseudoTransient) -> _Tried:
    """Makes the steps of these rows, to be taken where the linear model held; elsewhere only the time step shrinks."""
    systems, step = flow.systems, flow.systems.solution.index_select(0, rows)
    loss, logits, gradient, product = objective.expand(theta := flow.theta.index_select(0, rows).add_(step))
    # The linear model, gradient + H s, from the residual of the solve: -(residual + shift s)
    modelled = systems.residual.index_select(0, rows).addcmul_(systems.shift.index_select(0, rows).unsqueeze(-1), step)
    error = torch.linalg.vector_norm(modelled.add_(gradient), dim=-1) / flow.norm.index_select(0, rows)
    broken, before = systems.broken.index_select(0, rows), flow.loss.index_select(0, rows)
    taken = (error < settings.curvature_tolerance) & (loss <= before + loss_slack(before)) & broken.logical_not()
    growth = (0.5 * settings.curvature_tolerance / error).sqrt_().clamp_(_SHRINK, _GROW)
    shrink = torch.full_like(growth, _SHRINK).masked_fill_(broken, _SHRINK / 2)
    time_step = flow.time_step.index_select(0, rows) * torch.where(taken, growth, shrink)
    return _Tried(theta, loss, logits, gradient, torch.linalg.vector_norm(gradient, dim=-1), time_step, taken, product)


def _settle(flow: Flow, product: HessianProduct, rows: Int[Tensor, " r"], tried: _Tried) -> None:
    """Writes the steps that were taken to the flow and its product, and begins the next system of all these rows."""
    systems, places = flow.systems, tried.taken.nonzero()[:, 0]
    whole = len(places) == len(rows)
    moved = rows if whole else rows.index_select(0, places)
    product.renew(moved, tried.product, None if whole else places)
    for name in ("theta", "loss", "logits", "gradient", "norm"):
        found = getattr(tried, name)
        getattr(flow, name).index_copy_(0, moved, found if whole else found.index_select(0, places))
    flow.time_step.index_copy_(0, rows, tried.time_step)
    flow.steps.index_add_(0, rows, torch.ones_like(rows))
    flow.products.index_add_(0, rows, systems.products.index_select(0, rows))
    gradient, norm = (
        (tried.gradient, tried.norm) if whole else (flow.gradient.index_select(0, rows), flow.norm.index_select(0, rows))
    )
    systems.restart(rows, gradient.neg_(), tried.time_step.reciprocal(), _forcing(norm))


def _forcing(norm: Tensor) -> Tensor:
    """The share of the gradient to which a step is solved: superlinear at the end, cheap at the start."""
    return norm.sqrt().clamp_(max=0.01)


def pseudo_transient(objective: Objective, theta: Float[Tensor, " p"], settings: PseudoTransient) -> Iterator[State]:
    """Yields the state of one flow after every attempt."""
    flow = Flow.begin(objective, theta[None], settings)
    while True:
        yield State(flow.theta[0].clone(), float(flow.loss), float(flow.norm), int(flow.steps), bool(flow.stalled))
        flow = advance(objective, flow, settings)
