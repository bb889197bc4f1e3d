"""Phase diagrams: where DNC does not exist, is a saddle, a local minimum, or the best known point, over two settings of the model.

Balanced classes, cross-entropy, linear layers, one decay. Nothing is solved but scalar equations: the index comes from the
representations of DNC's symmetry, the rivals are all partitions (their loss is a sum over groups, so the best is found by dynamic
programming), a polygon of all classes, codes and pairs+apex. A point that none of these families holds may be lower still.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from landscape.codes import Block, Polygon, codes_of_size
from landscape.errors import InputError
from landscape.judgement import Doubt
from landscape.partitions import Group, group_loss, partition_reduction
from landscape.problem import Problem
from landscape.proved import judge_partition, partition_group
from landscape.reduction import Core
from landscape.structures import block_form, find_apex, scale_equation
from landscape.theory import dnc_decay, simplex_equation, stability_threshold

Setting = Literal["decay", "depth", "classes", "width"]
State = Literal["no DNC point", "saddle", "local minimum", "best known", "undecided"]
STATES: tuple[State, ...] = get_args(State)
MOST_CELLS = 20_000  # a cell takes 1 to 20 ms
_SAME = 1e-12  # relative: a rival this close is DNC itself, as at K = 2 and 3


@dataclass(frozen=True)
class Cell:
    """DNC at one problem.

    Attributes:
        problem: Which.
        state: One of `STATES`.
        index: Negative eigenvalues of the Hessian; None where there is no DNC point, and where it is undecided.
        alpha: Scale of the logits.
        loss: Of DNC.
        rival: A structure that lies lower, the first that was found; at a saddle none is looked for.
        rival_loss: Its loss.
        reason: Why the state is undecided; empty where it is not.
    """

    problem: Problem
    state: State
    index: int | None = None
    alpha: float | None = None
    loss: float | None = None
    rival: str | None = None
    rival_loss: float | None = None
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Returns the row of a table."""
        problem = self.problem
        return {
            "classes": problem.classes,
            "samples": problem.class_sizes[0],
            "width": problem.width,
            "depth": problem.depth,
            "decay": problem.mean_decay,
            "state": self.state,
            "index": self.index,
            "alpha": self.alpha,
            "loss": self.loss,
            "rival": self.rival,
            "rival_loss": self.rival_loss,
            "reason": self.reason,
            "fold_decay": fold_decay(problem),
            "stability_decay": stability_decay(problem),
        }


@dataclass(frozen=True)
class PhaseDiagram:
    """A grid of cells.

    Attributes:
        over: The horizontal and the vertical setting.
        horizontal: Values of the first.
        vertical: Values of the second.
        cells: One row for each vertical value.
    """

    over: tuple[Setting, Setting]
    horizontal: tuple[float, ...]
    vertical: tuple[float, ...]
    cells: tuple[tuple[Cell, ...], ...]


def phase_diagram(
    problem: Problem, over: tuple[Setting, Setting], horizontal: tuple[float, ...], vertical: tuple[float, ...]
) -> PhaseDiagram:
    """Returns the diagram of a problem with two of its settings varied.

    Raises:
        InputError: If the problem is of another kind, the settings are the same, or the grid is too large.
    """
    if not (problem.is_balanced and problem.is_linear and problem.loss == "ce" and len(set(problem.decays)) == 1):
        raise InputError("expected balanced classes, cross-entropy, linear layers and one decay for a phase diagram")
    if over[0] == over[1]:
        raise InputError(f"expected two different settings to vary, got {over[0]} twice")
    if not 0 < len(horizontal) * len(vertical) <= MOST_CELLS:
        raise InputError(f"expected 1 to {MOST_CELLS} cells, got {len(horizontal)} x {len(vertical)}: narrow the ranges")
    rows = tuple(tuple(cell(varied(varied(problem, over[0], x), over[1], y)) for x in horizontal) for y in vertical)
    return PhaseDiagram(over, horizontal, vertical, rows)


def varied(problem: Problem, setting: Setting, value: float) -> Problem:
    """Returns the problem with one setting changed."""
    match setting:
        case "decay":
            return replace(problem, decay=value)
        case "depth":
            return replace(problem, depth=int(value))
        case "width":
            return replace(problem, width=int(value))
        case "classes":
            return replace(problem, class_sizes=(problem.class_sizes[0],) * int(value))


def fold_decay(problem: Problem) -> float:
    """Returns the largest decay with a DNC point."""
    return simplex_equation(problem, problem.classes, problem.class_sizes[0]).largest_decay


def stability_decay(problem: Problem) -> float | None:
    """Returns the decay at which alpha = K (L-1)/(L+1), below which DNC is a local minimum.

    None for K < 4, for one layer, and where DNC at the large root stays above that scale up to the fold.
    """
    K, L, n = problem.classes, problem.depth, problem.class_sizes[0]
    if K < 4 or L == 1:
        return None
    alpha = stability_threshold(K, L)
    decay = dnc_decay(K, n, L, alpha)
    root = simplex_equation(replace(problem, decay=decay), K, n).root("large")
    return decay if root is not None and abs(root - alpha) < 1e-6 * alpha else None


def cell(problem: Problem) -> Cell:
    """Returns what DNC is at one problem."""
    K, n = problem.classes, problem.class_sizes[0]
    alpha = None if problem.width < K - 1 else simplex_equation(problem, K, n).root("large")
    if alpha is None:
        return Cell(problem, "no DNC point")
    collapse = Group(K, n, alpha)
    loss = group_loss(problem, collapse)
    verdict = judge_partition(problem, [partition_group(K, n, "large")], partition_reduction(problem, [collapse]).spectrum)
    if verdict.doubt is Doubt.NO_POINT:  # above the fold by less than double precision sees
        return Cell(problem, "no DNC point")
    if verdict.index is None:
        return Cell(problem, "undecided", None, alpha, loss, reason=verdict.reason)
    if verdict.index:
        return Cell(problem, "saddle", verdict.index, alpha, loss)
    for name, other in _rivals(problem):
        if other < loss * (1 - _SAME):
            return Cell(problem, "local minimum", 0, alpha, loss, name, other)
    return Cell(problem, "best known", 0, alpha, loss)


def _rivals(problem: Problem) -> Iterator[tuple[str, float]]:
    """Yields rivals with their losses, the cheap ones first."""
    K, n = problem.classes, problem.class_sizes[0]
    if K > 3:
        yield from _pairs(problem)
    yield best_partition(problem)
    whole: list[Block] = [*([Polygon(K)] if K >= 5 else []), *codes_of_size(K)]
    for block in whole:
        scale = scale_equation(problem, block, n).root("large")
        if scale is not None:
            yield type(block).__name__.lower(), Core.from_form(problem, block_form(problem, [block], [scale])).loss
    form = find_apex(problem)
    if form is not None:
        yield "pairs+apex", Core.from_form(problem, form).loss


def _pairs(problem: Problem) -> Iterator[tuple[str, float]]:
    """Yields (2,..,2) or (3,2,..,2), which beats DNC in most places and needs one or two scales."""
    K, n = problem.classes, problem.class_sizes[0]
    groups = (3,) * (K % 2) + (2,) * ((K - 3 * (K % 2)) // 2)
    scales = {g: simplex_equation(problem, g, n).root("large") for g in set(groups)}
    losses = [group_loss(problem, Group(g, n, scale)) for g in groups if (scale := scales[g]) is not None]
    if len(losses) == len(groups):
        yield f"({','.join(map(str, groups))})", math.fsum(losses)


def best_partition(problem: Problem) -> tuple[str, float]:
    """Returns the partition of lowest loss other than DNC, groups of one class (zero logits) included, and that loss."""
    K, n = problem.classes, problem.class_sizes[0]
    costs = {1: group_loss(problem, Group(1, n, 0.0))}
    for g in range(2, K):
        scale = simplex_equation(problem, g, n).root("large")
        if scale is not None:
            costs[g] = group_loss(problem, Group(g, n, scale))
    best: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    for total in range(1, K + 1):
        options = ((best[total - g][0] + cost, g) for g, cost in costs.items() if g <= total)
        value, last = min(options)
        best.append((value, (*best[total - last][1], last)))
    value, groups = best[K]
    sizes = sorted(groups, reverse=True)
    return ("zero" if sizes[0] == 1 else f"({','.join(map(str, sizes))})"), value
