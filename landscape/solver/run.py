"""Run a chain of methods from a start, watch it, and return the point with its evidence."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import assert_never

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.memory import require_memory
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.points.point import CriticalPoint, Origin, Outcome
from landscape.solver.continuation import softplus_continuation
from landscape.solver.descent import gradient_descent, lbfgs
from landscape.solver.flow import pseudo_transient
from landscape.solver.methods import LBFGS, GradientDescent, Method, Newton, PseudoTransient, SoftplusContinuation
from landscape.solver.newton import newton
from landscape.solver.starts import Random, random_origin, random_start
from landscape.solver.state import State

CRITICAL = 1e-12  # gradient norm that counts as converged; the paper's setting reaches 1e-15 after polishing
_TRACE_LIMIT = 2_000  # rows kept of the record; beyond that every second one goes

# by method: live arrays of the size of all parameters at the peak, measured at 4 million (history of L-BFGS: 20), and its name
_ARRAYS = {
    PseudoTransient: (21, "ptc"),
    GradientDescent: (9, "gd"),
    LBFGS: (59, "lbfgs"),
    SoftplusContinuation: (22, "softplus"),
    Newton: (18, "newton"),
}
_KEPT = 2  # resident memory over live memory: the C allocator keeps up to as much again, more or less from run to run

Watch = Callable[[State], None]


def solve(
    problem: Problem,
    start: Float[Tensor, " p"] | Random | CriticalPoint,
    methods: Sequence[Method] = (PseudoTransient(), Newton()),
    origin: Origin | None = None,
    tolerance: float = CRITICAL,
    watch: Watch = lambda state: None,
) -> CriticalPoint:
    """Returns where the methods, one after the other, lead from a start.

    Ctrl-C (KeyboardInterrupt) ends it with the last state and `Outcome.INTERRUPTED`; nothing is lost, and the point can be
    the start of another solve.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> point = ls.solve(problem, ls.Random(seed=0))
        >>> point.outcome.name, round(point.loss, 10)
        ('CONVERGED', 0.1855135998)

    Args:
        problem: The model whose loss is minimised.
        start: A random start, a point to go on from, or parameters; the device and dtype of parameters are those of the work.
        methods: The descent decides the basin; Newton only polishes, so it comes last.
        origin: Provenance of the start; None takes that of a random start or of the point.
        tolerance: The gradient norm that counts as critical.
        watch: Called with every state that a method reports.
    """
    theta, known = _begun(problem, start)
    origin = origin or known
    record: list[tuple[int, float, float]] = []
    state: State | None = None
    steps, outcome = 0, None
    for method in methods:
        before = steps
        try:
            for state in _states(problem, theta, method):
                theta, steps = state.theta, before + state.steps
                record = _thinned([*record, (steps, state.loss, state.gradient_norm)])
                watch(state)
                outcome = _outcome(state, method)
                if outcome is not None:
                    break
        except KeyboardInterrupt:
            outcome = Outcome.INTERRUPTED
        if outcome in (Outcome.DIVERGED, Outcome.INTERRUPTED, Outcome.MAX_STEPS):
            break
    if state is not None and outcome is not Outcome.DIVERGED and state.gradient_norm <= tolerance:
        outcome = Outcome.CONVERGED
    elif outcome is Outcome.CONVERGED or outcome is None:
        outcome = Outcome.STALLED
    trace = torch.tensor(record, dtype=torch.float64).reshape(-1, 3)
    origin = Origin(origin.start, (*origin.methods, *map(repr, methods)), origin.seed, origin.versions)
    if outcome is Outcome.DIVERGED:
        finite = theta.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0) if not bool(theta.isfinite().all()) else theta
        return CriticalPoint(problem, finite, math.inf, math.inf, outcome, steps, origin, trace)
    return CriticalPoint.at(problem, theta, origin, outcome, steps, trace)


def require_solve_memory(problem: Problem, methods: Sequence[Method], device: str = "cpu") -> None:
    """Refuses a solve that would take more main memory than is allowed, before the start is made; the pool asks a GPU itself.

    Raises:
        InputError: If it would; the message has the number.
    """
    if torch.device(device).type != "cpu":
        return
    arrays, name = max(_ARRAYS[type(method)] for method in methods)
    taken = f"the method {name} on {problem.parameters} parameters"
    require_memory(8.0 * _KEPT * arrays * problem.parameters, taken, "lower --width or --depth")


def _begun(problem: Problem, start: Tensor | Random | CriticalPoint) -> tuple[Tensor, Origin]:
    """Returns the parameters of a start, in memory of their own, and where they come from."""
    match start:
        case Random():
            return random_start(problem, start), random_origin(start)
        case CriticalPoint():
            return start.theta.detach().clone(), start.origin
        case _:
            return start.detach().clone(), Origin("given parameters")


def _states(problem: Problem, theta: Tensor, method: Method) -> Iterator[State]:
    if isinstance(method, Newton):
        return newton(problem, theta, method.tolerance)
    objective = Objective.of(problem, theta)
    match method:
        case GradientDescent():
            return gradient_descent(objective, theta, method)
        case PseudoTransient():
            return pseudo_transient(objective, theta, method)
        case LBFGS():
            return lbfgs(objective, theta, method)
        case SoftplusContinuation():
            return softplus_continuation(problem, theta, method)
        case _:
            assert_never(method)


def _outcome(state: State, method: Method) -> Outcome | None:
    """Returns why the method must stop here, or None to go on."""
    if not math.isfinite(state.loss):
        return Outcome.DIVERGED
    if state.gradient_norm <= method.tolerance:
        return Outcome.CONVERGED
    if state.stalled:
        return Outcome.STALLED
    return Outcome.MAX_STEPS if state.steps >= method.max_steps else None


def _thinned(record: list[tuple[int, float, float]]) -> list[tuple[int, float, float]]:
    return record if len(record) <= _TRACE_LIMIT else record[::2]
