"""Many starts at once: a pool in which each start moves on its own, those that have arrived leave and waiting ones enter."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Any, assert_never

import torch
from jaxtyping import Float, Int
from torch import Tensor

from landscape.display import brief
from landscape.errors import InputError
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.points.point import CriticalPoint, Origin, Outcome
from landscape.solver.descent import Descent, descend
from landscape.solver.flow import Flow, advance, refill
from landscape.solver.methods import BatchMethod, GradientDescent, Newton, PseudoTransient
from landscape.solver.rows import put, take
from landscape.solver.run import CRITICAL, solve

PoolState = Flow | Descent  # what the pool holds, one row per start; each method has its own

_CACHE = 1 << 20  # bytes of one vector per start on a CPU: 4 to 16 starts of the paper's setting; more lose time to memory
_VECTORS = 40  # of that size that a pool has at its peak on a GPU
_RECORD = 64  # rows of the record of one start; beyond that every second one goes and the next come half as often
_VISIBLE = 0.01  # singular values of the class-mean logits above this share of the largest count into the rank along the way


@dataclass(frozen=True)
class Start:
    """Start of one solve: parameters, with their name and seed.

    Attributes:
        theta: Parameters at the start, in one flat vector.
        origin: Name, seed and methods of the start, kept with the point.
    """

    theta: Float[Tensor, " p"]
    origin: Origin

    __repr__ = brief


@dataclass(frozen=True)
class Arrival:
    """End of one start of a batch, with what it cost.

    Attributes:
        point: Point with the thinned record of loss and gradient norm; not critical if its outcome is not CONVERGED.
        ranks: Ranks of the class-mean logits at the rows of the record: singular values above 1 % of the largest.
        products: Number of gradients and Hessian products used.
    """

    point: CriticalPoint
    ranks: tuple[int, ...]
    products: int


def batch_size(problem: Problem, device: torch.device) -> int:
    """Returns how many starts the pool holds at once: as many as stay in the cache of a CPU, or fit the free memory of a GPU."""
    vector = 8 * problem.parameters
    if device.type == "cuda":
        return max(1, torch.cuda.mem_get_info(device)[0] // (_VECTORS * vector))
    return max(1, _CACHE // vector)


def solve_batch(
    problem: Problem, starts: Iterable[Start], method: BatchMethod, size: int | None = None, tolerance: float = CRITICAL
) -> Iterator[Arrival]:
    """Yields every start's end as it arrives, each polished by Newton in its core.

    A start's end does not depend on the others, their order or the size of the pool, except for the rounding of the matrix
    products (1e-16, which the polish removes). Starts are drawn from the iterable only when there is room.

    Args:
        problem: The model whose loss is minimised.
        starts: All on one device and of one dtype.
        method: Decides the basin.
        size: Starts in the pool; `batch_size` if not given.
        tolerance: The gradient norm that counts as critical.

    Raises:
        InputError: If the size is not positive.
    """
    if size is not None and size < 1:
        raise InputError(f"expected a batch size >= 1, got {size}")
    waiting = iter(starts)
    first = next(waiting, None)
    if first is None:
        return
    waiting = chain((first,), waiting)
    size = size or batch_size(problem, first.theta.device)
    pool = _Pool.begin(problem, list(islice(waiting, size)), method)
    while pool.runs:
        ends = pool.look()
        yield from (_polished(problem, pool.runs[row], pool.row(row), ends[row], method, tolerance) for row in ends)
        if not ends:
            pool = pool.advanced()
            continue
        rows, fresh = list(ends), list(islice(waiting, len(ends)))
        if fresh:
            pool = pool.refilled(rows[: len(fresh)], _Pool.begin(problem, fresh, method))
        pool = pool.without(rows[len(fresh) :])  # the record of a start begins with a look at the start itself


@dataclass(frozen=True)
class _Run:
    """One start on its way: the record of steps, loss, gradient norm and class-mean logits grows in place."""

    origin: Origin
    record: list[tuple[int, float, float, Tensor]] = field(default_factory=list)

    def thin(self) -> None:
        if len(self.record) > _RECORD:
            del self.record[1::2]

    def due(self, steps: int) -> bool:
        """Whether the record wants a row now: at first at every step, later as far apart as its thinned rows are."""
        if len(self.record) < 2:
            return not self.record or steps > self.record[-1][0]
        return steps - self.record[-1][0] >= self.record[1][0] - self.record[0][0]


@dataclass(frozen=True)
class _Pool:
    """The starts on their way and the state of the method, row by row."""

    objective: Objective
    method: BatchMethod
    runs: list[_Run]
    averages: Float[Tensor, "m k"]  # what makes class means of columns
    state: Any  # a Batch, of the type of the method

    @classmethod
    def begin(cls, problem: Problem, starts: list[Start], method: BatchMethod) -> "_Pool":
        theta = torch.stack([start.theta.detach() for start in starts])
        objective = Objective.of(problem, theta)
        state: PoolState
        match method:
            case PseudoTransient():
                state = Flow.begin(objective, theta, method)
            case GradientDescent():
                state = Descent.begin(objective, theta)
            case _:
                assert_never(method)
        averages = (objective.targets / objective.targets.sum(-1, keepdim=True)).mT
        return cls(objective, method, [_Run(start.origin) for start in starts], averages, state)

    @torch.inference_mode()
    def refilled(self, rows: list[int], fresh: "_Pool") -> "_Pool":
        """Returns the pool with others in the places of these rows."""
        runs = list(self.runs)
        for row, run in zip(rows, fresh.runs, strict=True):
            runs[row] = run
        places = self._index(rows)
        match self.method:
            case PseudoTransient():
                return replace(self, runs=runs, state=refill(self.state, places, fresh.state))
            case GradientDescent():
                return replace(self, runs=runs, state=put(self.state, places, fresh.state))

    def without(self, rows: list[int]) -> "_Pool":
        """Returns the pool without these rows."""
        going = [row for row in range(len(self.runs)) if row not in rows]
        return replace(self, runs=[self.runs[row] for row in going], state=take(self.state, self._index(going))) if rows else self

    def advanced(self) -> "_Pool":
        match self.method:
            case PseudoTransient():
                return replace(self, state=advance(self.objective, self.state, self.method))
            case GradientDescent():
                return replace(self, state=descend(self.objective, self.state, self.method))

    def row(self, row: int) -> PoolState:
        """Returns the state of one row."""
        alone: PoolState = take(self.state, self._index([row]))
        return alone

    def look(self) -> dict[int, Outcome]:
        """Writes the records, and returns why which rows have ended."""
        state: PoolState = self.state
        norms, losses, steps = state.norm.tolist(), state.loss.tolist(), state.steps.tolist()
        stalled, ends, due = state.stalled.tolist(), {}, []
        for row, run in enumerate(self.runs):
            outcome = self._outcome(losses[row], norms[row], steps[row], stalled[row])
            if outcome:
                ends[row] = outcome
            if math.isfinite(losses[row]) and (run.due(steps[row]) or (outcome and steps[row] > run.record[-1][0])):
                due.append(row)
        for row, logits in zip(due, self._class_means(due), strict=True):
            self.runs[row].record.append((steps[row], losses[row], norms[row], logits))
            if row not in ends:
                self.runs[row].thin()
        return ends

    def _outcome(self, loss: float, norm: float, steps: int, stalled: bool) -> Outcome | None:
        if not math.isfinite(loss):
            return Outcome.DIVERGED
        if norm <= self.method.tolerance:
            return Outcome.CONVERGED
        if stalled:
            return Outcome.STALLED
        return Outcome.MAX_STEPS if steps >= self.method.max_steps else None

    def _index(self, rows: list[int]) -> Int[Tensor, " r"]:
        return torch.tensor(rows, dtype=torch.int64, device=self.state.theta.device)

    def _class_means(self, rows: list[int]) -> list[Tensor]:
        if not rows:
            return []
        places, state = self._index(rows), self.state
        logits = state.logits[places] if isinstance(state, Flow) else self.objective.logits(state.theta[places])
        return list((logits @ self.averages).unbind())


def _polished(problem: Problem, run: _Run, state: PoolState, outcome: Outcome, method: BatchMethod, tolerance: float) -> Arrival:
    """Makes the point; Newton may finish what descent has decided, and nothing else."""
    trace = torch.tensor([row[:3] for row in run.record], dtype=torch.float64).reshape(-1, 3)
    ranks = _ranks([row[3] for row in run.record])
    theta, steps = state.theta[0], int(state.steps)
    origin = replace(run.origin, methods=(*run.origin.methods, repr(method)))
    if outcome is Outcome.DIVERGED:
        theta = theta.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        point = CriticalPoint(problem, theta, float("inf"), float("inf"), outcome, steps, origin, trace)
    elif outcome is Outcome.CONVERGED and problem.is_linear:
        with torch.inference_mode():
            solved = solve(problem, theta, (Newton(),), origin, tolerance)
        if solved.outcome is Outcome.INTERRUPTED:
            raise KeyboardInterrupt  # `solve` keeps what it has; here half a polish would be counted as an end
        point = replace(solved, theta=solved.theta.clone(), steps=steps + solved.steps, trace=trace)
    else:
        point = CriticalPoint.at(problem, theta, origin, outcome, steps, trace)
        if outcome is Outcome.CONVERGED and point.gradient_norm > tolerance:
            point = replace(point, outcome=Outcome.STALLED)
    return Arrival(point, ranks, int(state.products))


def _ranks(logits: list[Tensor]) -> tuple[int, ...]:
    """Returns the visible ranks of class-mean logits; of all rows that were kept at once, since torch is slow on small matrices."""
    if not logits:
        return ()
    values = torch.linalg.svdvals(torch.stack(logits))
    return tuple((values > _VISIBLE * values[:, :1]).sum(-1).tolist())
