"""The known structure that a point's class-mean logits match, up to relabelling of the classes: its parts, and its name."""

import math
from dataclasses import dataclass
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.structures.analytic import logit_form
from landscape.structures.block_bases import basis_of
from landscape.structures.blocks import Block, Polygon, Simplex, codes_of_size
from landscape.structures.kinds import Apex, Collapse, Kind, Root, Unnamed, Zero, kind_of
from landscape.structures.names import name
from landscape.structures.scale_equation import scale_equation

MATCH = 1e-6  # relative error of the logits up to which a structure is recognised; polished points match to 1e-12
_NEGLIGIBLE = 1e-6  # of the largest singular value of the logits: what is smaller adds no rank to a point without a core
_COUPLINGS = (1e-12, 1e-10, 1e-8, 1e-6)  # small-root blocks may be 1e-8 of the others, so the split is tried at several scales


@dataclass(frozen=True)
class Part:
    """One block of a recognised structure.

    Attributes:
        members: Labels of the classes of the block, ascending.
        block: Shape of the block: simplex, polygon or code.
        root: Root of the scale equation that the block's scale is closest to; None for a single class.
        scale: Scale of the block's logits at that root; 0 for a single class.
    """

    members: tuple[int, ...]
    block: Block
    root: Root | None
    scale: float

    def distance(self, logits: Float[Tensor, "k k"]) -> float:
        """Returns the Frobenius distance of the block in class-mean logits from the exact block, relative to the exact one."""
        if self.root is None:
            return 0.0
        basis = basis_of(self.block).to(logits)
        order = list(self.members)
        exact = self.scale * basis @ basis.mT
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

    The root is added where it is small. A block is recognised by its zero pattern, by its scale, which must be a root of the
    block's own equation, and for polygons and codes by being a projector with the right entries in every row (for T(8) and words
    of 4 letters others share these). Under squared error DNC means one orthogonal mode per class; for ReLU models only simplex
    logits are named.

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
        if len(known) == len(groups) and sum(basis_of(part.block).shape[1] for part in known) == rank:
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


def _is_code(block: Tensor, code: Block) -> bool:
    """Whether a block is a multiple of a projector whose rows hold the code's entries in some order."""
    basis = basis_of(code).to(block.device)
    entries = (basis @ basis[0]).sort().values
    scale = block.diagonal().mean() / entries[-1]
    rows = (block.sort(dim=1).values - scale * entries).abs().max()
    return bool(scale > 0) and bool(rows <= MATCH * scale) and bool((block @ block - scale * block).abs().max() <= MATCH * scale**2)


def _shape(block: Tensor) -> Block | None:
    """Returns the simplex, polygon or code that a block of logits is a multiple of."""
    size = block.shape[0]
    codes = [*([Polygon(size)] if size > 4 else []), *codes_of_size(size)]
    return Simplex(size) if _is_simplex(block) else next((code for code in codes if _is_code(block, code)), None)


def _match(problem: Problem, logits: Tensor, group: list[int]) -> Part | None:
    """Returns the block that a group of classes forms, at the root of its scale that is closest, or None if it forms none."""
    size, samples = len(group), {problem.class_sizes[member] for member in group}
    if size == 1:
        return Part(tuple(group), Simplex(1), None, 0.0)
    block = logits[group][:, group]
    found = _shape(block) if len(samples) == 1 else None
    if found is None:
        return None
    basis = basis_of(found)
    scale = float(block.diagonal().mean() / basis[0].square().sum())
    equation = scale_equation(problem, found, samples.pop())
    nowhere: tuple[float, Root, float] = (math.inf, "large", 0.0)
    roots: list[tuple[float, Root, float]] = [
        (abs(scale - root), which, root) for which in get_args(Root) if (root := equation.root(which)) is not None
    ]
    apart, which, root = min(roots, default=nowhere)
    if not apart <= MATCH * root:
        return None
    return Part(tuple(group), found, which, root)


def _is_apex(problem: Problem, logits: Tensor) -> bool:
    """Puts the classes in the order of the analytic point (pairs, then the apex) for every candidate apex, and compares."""
    try:
        form = logit_form(problem, Apex())
    except InputError:
        return False
    known = (form.left * form.singular) @ form.right.mT / problem.class_sizes[0] ** 0.5
    for apex in range(problem.classes):
        left, order = [label for label in range(problem.classes) if label != apex], []
        while left:
            label = left.pop(0)
            partner = min(left, key=lambda other: float(logits[other, label]))
            left.remove(partner)
            order += [label, partner]
        order.append(apex)
        if bool((logits[order][:, order].cpu() - known).abs().max() <= MATCH * known.abs().max()):
            return True
    return False
