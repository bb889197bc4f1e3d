"""The known structure that a point's class-mean logits match, up to relabelling of the classes: its parts, and its name."""

import math
from dataclasses import dataclass
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.display import brief
from landscape.model.problem import Problem
from landscape.structures.analytic import find_block
from landscape.structures.blocks import Block, Polygon, Simplex, codes_of_size, prisms_of_size, rank_of
from landscape.structures.few_scalars import find_form
from landscape.structures.kinds import Apex, Collapse, Kind, Marked, Root, Unnamed, Zero, kind_of
from landscape.structures.names import name
from landscape.structures.relabelling import matching

MATCH = 1e-6  # relative error of the logits up to which a structure is recognised; polished points match to 1e-12
_NEGLIGIBLE = 1e-6  # of the largest singular value of the logits: what is smaller adds no rank to a point without a core
_COUPLINGS = (1e-12, 1e-10, 1e-8, 1e-6)  # small-root blocks may be 1e-8 of the others, so the split is tried at several scales


@dataclass(frozen=True)
class Part:
    """One block of a recognised structure.

    Attributes:
        members: Labels of the classes of the block, in the order of its shape; those of a simplex ascending.
        block: Shape of the block: simplex, polygon, prism or code.
        root: Root of the scale equation that the block is closest to; None for a single class.
        logits: Exact logits of the block at that root, in the order of the members.
    """

    members: tuple[int, ...]
    block: Block
    root: Root | None
    logits: Float[Tensor, "g g"]

    __repr__ = brief

    def distance(self, logits: Float[Tensor, "k k"]) -> float:
        """Returns the Frobenius distance of the block in class-mean logits from the exact block, relative to the exact one."""
        if self.root is None:
            return 0.0
        order, exact = list(self.members), self.logits.to(logits)
        return float((logits[order][:, order] - exact).norm() / exact.norm())


@dataclass(frozen=True)
class Recognised:
    """The known structure that a point's logits match, with its blocks.

    Attributes:
        kind: Kind of the structure, in its normal form.
        parts: Blocks of the structure; empty where it does not consist of blocks.
    """

    kind: Kind
    parts: tuple[Part, ...] = ()

    def distance(self, logits: Float[Tensor, "k k"]) -> float:
        """Returns the largest relative distance of a block in class-mean logits from the exact one; infinity without blocks."""
        return max((part.distance(logits) for part in self.parts), default=math.inf)


def structure_name(problem: Problem, logits: Float[Tensor, "k k"], rank: int) -> str:
    """Returns the name of the structure that `recognise` finds."""
    return name(recognise(problem, logits, rank).kind)


def recognise(problem: Problem, logits: Float[Tensor, "k k"], rank: int) -> Recognised:
    """Returns the known structure that class-mean logits match.

    The root is added where it is small. A block is recognised by its zero pattern and by its logits: in some order of its classes
    they are those of the shape at a root of its own equation, entry by entry. Under squared error DNC means one orthogonal mode
    per class; for ReLU models only simplex logits are named.

    Args:
        problem: The model of the point.
        logits: Class-mean logits, one column per class.
        rank: Rank of the logits.
    """
    unnamed = Recognised(Unnamed(rank))
    if rank == 0:
        return Recognised(Zero())
    if not problem.is_linear or problem.loss == "mse":
        return Recognised(Collapse()) if _is_collapse(problem, logits, rank) else unnamed
    for coupling in _COUPLINGS:
        groups = _components(logits.abs() > coupling * logits.abs().max())
        matches = [_match(problem, logits, group) for group in groups]
        known = tuple(match for match in matches if match is not None)
        if len(known) == len(groups) and sum(rank_of(part.block) for part in known) == rank:
            marked = [(part.block, problem.class_sizes[part.members[0]], part.root or "large") for part in known]
            return Recognised(kind_of(marked), known)
    if problem.classes % 2 and rank == (problem.classes + 1) // 2 and problem.is_balanced and _is_apex(problem, logits):
        return Recognised(Apex())
    return unnamed


def _is_collapse(problem: Problem, logits: Tensor, rank: int) -> bool:
    """Whether logits are those of DNC where no scale equation is asked: a simplex up to shifts, or one mode for each class."""
    if not problem.is_linear:
        return _is_simplex(logits - logits.mean(0, keepdim=True))
    off = logits - logits.diagonal().diag()
    return rank == problem.classes and bool(off.abs().max() <= MATCH * logits.abs().max())


def rank_of_logits(logits: Float[Tensor, "k k"]) -> int:
    """Returns the rank of class-mean logits for `structure_name`, at points that have no core (ReLU models)."""
    values = torch.linalg.svdvals(logits)
    return int((values > _NEGLIGIBLE * values.max()).sum())


def _components(linked: Tensor) -> list[list[int]]:
    """Returns the connected components of a graph given by its (possibly one-sided) adjacency matrix."""
    left, components = set(range(linked.shape[0])), []
    adjacency = (linked | linked.mT).tolist()
    while left:
        reached = [left.pop()]
        for node in reached:
            found = {other for other in left if adjacency[node][other]}
            left -= found
            reached += sorted(found)
        components.append(sorted(reached))
    return sorted(components)


def _is_simplex(block: Tensor) -> bool:
    size = block.shape[0]
    simplex = torch.eye(size, dtype=block.dtype, device=block.device) - 1 / size
    scale = block.diagonal().sum() / (size - 1)
    return bool(scale > 0) and bool((block - scale * simplex).abs().max() <= MATCH * scale)


def _shapes(block: Tensor) -> list[Block]:
    """Returns the shapes that a block of logits may have: the simplex where it is one, else those of its classes and rank."""
    size = block.shape[0]
    if _is_simplex(block):
        return [Simplex(size)]
    rank = rank_of_logits(block)
    shapes: list[Block] = [*([Polygon(size)] if size > 4 else []), *codes_of_size(size), *prisms_of_size(size)]
    return [shape for shape in shapes if rank_of(shape) == rank]


def _match(problem: Problem, logits: Tensor, group: list[int]) -> Part | None:
    """Returns the block that a group of classes forms, at the root of its scale that is closest, or None if it forms none."""
    if len(group) == 1:
        return Part(tuple(group), Simplex(1), None, logits.new_zeros(1, 1))
    samples = {problem.class_sizes[member] for member in group}
    if len(samples) > 1:
        return None
    block, n = logits[group][:, group], samples.pop()
    tries = [_placed(problem, block, group, (shape, n, root)) for shape in _shapes(block) for root in get_args(Root)]
    return min((part for part in tries if part is not None), key=lambda part: part.distance(logits), default=None)


def _placed(problem: Problem, block: Tensor, group: list[int], marked: Marked) -> Part | None:
    """Returns the classes of a group in the order in which their logits are those of a shape at a root, or None."""
    shape, samples, root = marked
    form = find_block(problem, *marked)
    if form is None:
        return None
    exact = ((form.left * form.singular) @ form.right.mT / math.sqrt(samples)).to(block)
    tolerance = 2 * MATCH * float(form.singular[0]) / math.sqrt(samples)  # of the scale and of the entries beside it
    if isinstance(shape, Simplex):
        order = list(range(len(group))) if bool((block - exact).abs().max() <= tolerance) else None
    else:
        order = matching(exact, block, tolerance)
    return None if order is None else Part(tuple(group[place] for place in order), shape, root, exact)


def _is_apex(problem: Problem, logits: Tensor) -> bool:
    """Whether logits are those of the analytic point in some order of the classes."""
    form = find_form(problem, Apex(), problem.class_sizes[0])
    if form is None:
        return False
    known = ((form.left * form.singular) @ form.right.mT / math.sqrt(problem.class_sizes[0])).to(logits)
    return matching(known, logits, MATCH * float(known.abs().max())) is not None
