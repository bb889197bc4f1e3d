"""Phase diagrams: where DNC does not exist, is a saddle, a local minimum, or the best known point, over two settings of the model.

Balanced classes, cross-entropy, linear layers, one decay. Nothing is solved but scalar equations: the index comes from the
representations of DNC's symmetry, the rivals are all partitions (their loss is a sum over groups, so the best is found by dynamic
programming), a polygon of all classes, codes and the apex. A point that none of these families holds may be lower still.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from landscape.degeneracy.facts import Facts
from landscape.degeneracy.judgement import Doubt
from landscape.degeneracy.partition_spectrum import ScaledGroup, group_loss, partition_reduction
from landscape.degeneracy.proved import judge_partition, partition_group
from landscape.errors import InputError
from landscape.model.dimensions import orbit_dimension
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.structures.analytic import find_block
from landscape.structures.blocks import Code, Polygon, Simplex, codes_of_size
from landscape.structures.dnc import fold_decay, stability_decay
from landscape.structures.few_scalars import find_apex
from landscape.structures.kinds import Apex, Collapse, Structure, kind_of
from landscape.structures.names import name
from landscape.structures.scale_equation import simplex_equation

Setting = Literal["decay", "depth", "classes", "width"]


DncState = Literal["no DNC point", "saddle", "local minimum", "best known", "undecided"]


STATES: tuple[DncState, ...] = get_args(DncState)


MOST_CELLS = 20_000  # a cell takes 1 to 20 ms


_SAME = 1e-12  # relative: a rival this close is DNC itself, as at K = 2 and 3


@dataclass(frozen=True)
class PhaseCell:
    """State of the DNC point at one problem: absent, saddle, minimum or best known.

    Attributes:
        problem: The model at this place of the diagram.
        state: Verdict on the DNC point, one of `STATES`.
        facts: Facts of the DNC point, as every table states them; None where it does not exist.
        alpha: Scale of the logits alpha S_K; None where DNC does not exist.
        rival: Structure of lower loss, the first that was found; at a saddle none is looked for.
        rival_loss: Loss of the rival, with weight decay.
    """

    problem: Problem
    state: DncState
    facts: Facts | None = None
    alpha: float | None = None
    rival: Structure | None = None
    rival_loss: float | None = None

    @property
    def index(self) -> int | None:
        """Negative eigenvalues of the Hessian; None where there is no DNC point, and where it is undecided."""
        return None if self.facts is None else self.facts.index

    @property
    def loss(self) -> float | None:
        """Loss of the DNC point, with weight decay."""
        return None if self.facts is None else self.facts.loss

    @property
    def reason(self) -> str:
        """Why the state is undecided; empty where it is not."""
        return "" if self.facts is None else self.facts.reason

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
            "rival": self.rival and name(self.rival),
            "rival_loss": self.rival_loss,
            "reason": self.reason,
            "fold_decay": fold_decay(problem),
            "stability_decay": stability_decay(problem),
        }


@dataclass(frozen=True)
class PhaseDiagram:
    """A grid of cells.

    Attributes:
        over: Names of the horizontal and the vertical setting.
        horizontal: Values of the horizontal setting, left to right.
        vertical: Values of the vertical setting, one for each row of cells.
        cells: Rows of cells, one for each vertical value.
    """

    over: tuple[Setting, Setting]
    horizontal: tuple[float, ...]
    vertical: tuple[float, ...]
    cells: tuple[tuple[PhaseCell, ...], ...]


def phase_diagram(
    problem: Problem, over: tuple[Setting, Setting], horizontal: tuple[float, ...], vertical: tuple[float, ...]
) -> PhaseDiagram:
    """Returns what DNC is at every cell of a grid: a problem with two of its settings varied.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> diagram = ls.phase_diagram(problem, ("decay", "depth"), (1e-2, 0.2), (1.0, 2.0))
        >>> [[cell.state for cell in row] for row in diagram.cells]
        [['best known', 'no DNC point'], ['local minimum', 'no DNC point']]

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


def cell(problem: Problem) -> PhaseCell:
    """Returns what DNC is at one problem."""
    K, n = problem.classes, problem.class_sizes[0]
    alpha = None if problem.width < K - 1 else simplex_equation(problem, K, n).root("large")
    if alpha is None:
        return PhaseCell(problem, "no DNC point")
    collapse = ScaledGroup(K, n, alpha)
    loss = group_loss(problem, collapse)
    verdict = judge_partition(problem, [partition_group(K, n, "large")], partition_reduction(problem, [collapse]).spectrum)
    if verdict.doubt is Doubt.NO_POINT:  # above the fold by less than double precision sees
        return PhaseCell(problem, "no DNC point")
    facts = Facts(problem, Collapse(), K - 1, loss, verdict, orbit_dimension(K - 1, problem.width, problem.depth))
    if verdict.index is None:
        return PhaseCell(problem, "undecided", facts, alpha)
    if verdict.index:
        return PhaseCell(problem, "saddle", facts, alpha)
    for rival, other in _rivals(problem):
        if other < loss * (1 - _SAME):
            return PhaseCell(problem, "local minimum", facts, alpha, rival, other)
    return PhaseCell(problem, "best known", facts, alpha)


def _rivals(problem: Problem) -> Iterator[tuple[Structure, float]]:
    """Yields rivals with their losses, the cheap ones first."""
    K, n = problem.classes, problem.class_sizes[0]
    if K > 3:
        yield from _pairs(problem)
    yield best_partition(problem)
    whole: list[Code] = [*([Polygon(K)] if K >= 5 else []), *codes_of_size(K)]
    for block in whole:
        whole_form = find_block(problem, block, n, "large")
        if whole_form is not None:
            yield kind_of([(block, n, "large")]), Core.from_form(problem, whole_form).loss
    form = find_apex(problem)
    if form is not None:
        yield Apex(), Core.from_form(problem, form).loss


def _pairs(problem: Problem) -> Iterator[tuple[Structure, float]]:
    """Yields (2,..,2) or (3,2,..,2), which beats DNC in most places and needs one or two scales."""
    K, n = problem.classes, problem.class_sizes[0]
    groups = (3,) * (K % 2) + (2,) * ((K - 3 * (K % 2)) // 2)
    scales = {g: simplex_equation(problem, g, n).root("large") for g in set(groups)}
    losses = [group_loss(problem, ScaledGroup(g, n, scale)) for g in groups if (scale := scales[g]) is not None]
    if len(losses) == len(groups):
        yield kind_of([(Simplex(g), n, "large") for g in groups]), math.fsum(losses)


def best_partition(problem: Problem) -> tuple[Structure, float]:
    """Returns the partition of lowest loss other than DNC, groups of one class (zero logits) included, and that loss."""
    K, n = problem.classes, problem.class_sizes[0]
    costs = {1: group_loss(problem, ScaledGroup(1, n, 0.0))}
    for g in range(2, K):
        scale = simplex_equation(problem, g, n).root("large")
        if scale is not None:
            costs[g] = group_loss(problem, ScaledGroup(g, n, scale))
    best: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    for total in range(1, K + 1):
        options = ((best[total - g][0] + cost, g) for g, cost in costs.items() if g <= total)
        value, last = min(options)
        best.append((value, (*best[total - last][1], last)))
    value, groups = best[K]
    return kind_of([(Simplex(g), n, "large") for g in groups]), value
