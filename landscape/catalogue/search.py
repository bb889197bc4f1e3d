"""Every minimum of a problem that descent can find, from the problem of width K: its critical points do not depend on the width."""

import contextlib
import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.decomposition import singular_vectors
from landscape.errors import InputError
from landscape.model.logit_form import LogitForm
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core, accepted_rank
from landscape.solver.flow import Flow, advance
from landscape.solver.methods import Newton, PseudoTransient
from landscape.solver.newton import polish_core, rank_tolerance
from landscape.solver.rows import take
from landscape.structures.fingerprint import Fingerprint

SCALES = (0.25, 0.5, 1.0)  # initial scales, taken in turn: each finds structures that the others miss
_BATCH = 64  # starts moved at once: 64 flows of 300 parameters fit the cache of one core
_LOOSE = 1e-9  # gradient norm at which the descent hands over to Newton's method
_SMALLEST_STEP = 1e-10  # a flow that can only creep is lost
_GAP = 1e-6  # singular values of the logits below this part of the largest belong to no direction of the critical point


@dataclass(frozen=True)
class FoundPoint:
    """A critical point that the search ended at.

    Attributes:
        core: Critical point in its smallest form, polished to rounding.
        fingerprint: Invariants that tell this point from the others.
        times: Number of starts that ended there; a frequency at width K from these starts, no statement about other widths.
    """

    core: Core
    fingerprint: Fingerprint
    times: int


@dataclass(frozen=True)
class Searched:
    """Result of a search: the critical points found, and the starts that found them.

    Attributes:
        found: Distinct critical points, in the order of their loss.
        starts: Number of starts that were made: those that found the points, those at zero, and those lost.
        lost: Number of starts that reached no critical point within the steps; what they would have found is not known.
        zero: Number of starts that ended at the zero point, which is not among the points found.
        left: Number of starts that were not made because the search was interrupted.
    """

    found: tuple[FoundPoint, ...]
    starts: int
    lost: int
    zero: int = 0
    left: int = 0


def search(problem: Problem, starts: int, seed: int = 0, settings: PseudoTransient | None = None, device: str = "cpu") -> Searched:
    """Returns the distinct ends of many descents of the width-K problem with one column per class.

    Descent ends at minima only, so saddles are not looked for; and what no start reached may still exist. Start i depends on
    `seed + i` alone, so more starts only add to what fewer found. The zero point is left out. Ctrl-C (KeyboardInterrupt) ends the
    search with what the starts before have found.

    Args:
        problem: Linear; its width and samples do not matter for the cost.
        starts: Number of random starts.
        seed: Seed of the first start.
        settings: Settings of the descent that follows the starts.
        device: Where the starts are followed; their few ends are polished on the CPU.

    Raises:
        InputError: If the model is not linear, or `starts` is negative.
    """
    if not problem.is_linear:
        raise InputError(f"expected linear layers for the search, got {problem.activation}: use solve")
    if starts < 0:
        raise InputError(f"expected a number of starts >= 0, got {starts}")
    settings = settings or PseudoTransient(max_steps=1_000, tolerance=_LOOSE)
    ended: list[Core | None] = []
    with contextlib.suppress(KeyboardInterrupt):
        for first in range(0, starts, _BATCH):
            thetas = torch.stack([_start(problem, seed + i) for i in range(first, min(first + _BATCH, starts))])
            ends, norms = _descend(problem, thetas.to(device), settings)
            near = zip(ends.cpu(), norms.tolist(), strict=True)
            ended += [_critical(problem, theta) if norm <= settings.tolerance else None for theta, norm in near]
    found: list[FoundPoint] = []
    for core in ended:
        if core is not None and core.rank:
            _merge(found, core)
    ranked, lost = sum(item.times for item in found), sum(core is None for core in ended)
    ordered = tuple(sorted(found, key=lambda item: item.fingerprint.loss))
    return Searched(ordered, len(ended), lost, len(ended) - ranked - lost, starts - len(ended))


def _start(problem: Problem, seed: int) -> Tensor:
    """Draws H and W_l with equal scales, in the balance that a critical point has."""
    generator = torch.Generator().manual_seed(seed)
    scale = SCALES[seed % len(SCALES)] / math.sqrt(problem.classes)
    return scale * torch.randn((problem.depth + 1) * problem.classes**2, dtype=torch.float64, generator=generator)


def _descend(problem: Problem, thetas: Float[Tensor, "b p"], settings: PseudoTransient) -> tuple[Tensor, Tensor]:
    """Moves all starts until each has converged or the steps are spent; converged ones leave the batch."""
    objective = Core(problem, problem.classes, thetas[0]).objective
    flow = Flow.begin(objective, thetas, settings)
    ends, norms = thetas.clone(), thetas.new_full((len(thetas),), math.inf)
    places = torch.arange(len(thetas), device=thetas.device)
    while int(flow.steps.max()) < settings.max_steps:
        flow = advance(objective, flow, settings)
        sizes = flow.gradient.norm(dim=-1)
        moving = (sizes > settings.tolerance) & (flow.time_step > _SMALLEST_STEP)
        if not bool(moving.all()):
            done = ~moving
            ends[places[done]], norms[places[done]] = flow.theta[done], sizes[done]
            places = places[moving]
            flow = take(flow, moving.nonzero().squeeze(-1))
        if not len(places):
            break
    return ends, norms


def _critical(problem: Problem, theta: Tensor) -> Core | None:
    """Returns the polished core next to the end of a descent, or None if it is not critical or its rank cannot be accepted."""
    wide = Core(problem, problem.classes, theta)
    logits = wide.objective.logits(theta) / wide.objective.scales  # class means times sqrt(class size)
    left, values, right = singular_vectors(logits, full=True)
    rank = int((values > _GAP * max(1.0, float(values[0]))).sum())
    core = polish_core(Core.from_form(problem, LogitForm(left[:, :rank], values[:rank], right[:rank].mT)), Newton())
    norm = float(core.objective.gradient(core.theta).norm())
    if not norm < 1e-12:
        return None
    try:
        kept = accepted_rank(core.objective, core.theta, rank_tolerance(problem, core.theta, norm)) if rank else 0
    except InputError:
        return None
    return core if kept == rank else None


def fingerprint_of(core: Core) -> Fingerprint:
    """Returns what tells a core from others."""
    return Fingerprint.of(core.loss, core.class_logits, core.problem.class_sizes, core.rank)


def _merge(found: list[FoundPoint], core: Core) -> None:
    print_ = fingerprint_of(core)
    for place, known in enumerate(found):
        if known.fingerprint.matches(print_):
            found[place] = FoundPoint(known.core, known.fingerprint, known.times + 1)
            return
    found.append(FoundPoint(core, print_, 1))
