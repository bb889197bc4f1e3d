"""The name of the known structure that a point's class-mean logits match, up to relabelling of the classes."""

from collections.abc import Sequence
from typing import cast, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.codes import Block, Polygon, Simplex, basis_of, codes_of_size, label
from landscape.errors import InputError
from landscape.problem import Problem
from landscape.structures import Apex, analytic, scale_equation
from landscape.theory import Root

MATCH = 1e-6  # relative error of the logits up to which a structure is recognised; polished points match to 1e-12
_NEGLIGIBLE = 1e-6  # of the largest singular value of the logits: what is smaller adds no rank to a point without a core
_COUPLINGS = (1e-12, 1e-10, 1e-8, 1e-6)  # small-root blocks may be 1e-8 of the others, so the split is tried at several scales


def structure_name(problem: Problem, logits: Float[Tensor, "k k"], rank: int) -> str:
    """Returns "DNC", "pairs", "partition (6,2,2)", "blocks polygon5+3", "pairs+apex", "zero" or "unnamed rank r".

    The root is added where it is small. A block is recognised by its zero pattern, by its scale, which must be a root of the
    block's own equation, and for polygons and codes by being a projector with the right entries in every row (for T(8) and words
    of 4 letters others share these). Under squared error DNC means one orthogonal mode per class; for ReLU models only simplex
    logits are named.

    Args:
        problem: The model.
        logits: Class-mean logits, one column per class.
        rank: Of the logits.
    """
    if rank == 0:
        return "zero"
    if not problem.is_linear:
        centred = logits - logits.mean(0, keepdim=True)
        return "DNC" if _is_simplex(centred) else f"unnamed rank {rank}"
    if problem.loss == "mse":
        off = logits - logits.diagonal().diag()
        modes = rank == problem.classes and bool(off.abs().max() <= MATCH * logits.abs().max())
        return "DNC" if modes else f"unnamed rank {rank}"
    for coupling in _COUPLINGS:
        groups = _components(logits.abs() > coupling * logits.abs().max())
        matches = [_match(problem, logits, group) for group in groups]
        known = [match for match in matches if match is not None]
        if len(known) == len(groups) and sum(basis_of(block).shape[1] for block, _ in known) == rank:
            return _blocks_name([block for block, _ in known], {root for _, root in known if root is not None})
    if problem.classes % 2 and rank == (problem.classes + 1) // 2 and problem.is_balanced and _is_apex(problem, logits):
        return "pairs+apex"
    return f"unnamed rank {rank}"


def rank_of_logits(logits: Float[Tensor, "k k"]) -> int:
    """Returns the rank of class-mean logits for `structure_name`, at points that have no core (ReLU models)."""
    values = torch.linalg.svdvals(logits)
    return int((values > _NEGLIGIBLE * values.max()).sum())


def _blocks_name(blocks: list[Block], roots: set[Root]) -> str:
    sizes = sorted((block.size for block in blocks if isinstance(block, Simplex)), reverse=True)
    if len(sizes) < len(blocks):
        codes = sorted((label(block) for block in blocks if not isinstance(block, Simplex)), reverse=True)
        name = f"blocks {'+'.join([*codes, *map(str, sizes)])}"
    else:
        name = partition_name(sizes)
    if roots == {"large"}:
        return name
    return f"{name} at the small root" if roots == {"small"} else f"{name} at mixed roots"


def partition_name(sizes: Sequence[int]) -> str:
    """Returns the name of a partition of the classes into groups of these sizes, largest first."""
    if len(sizes) == 1:
        return "DNC"
    return "pairs" if set(sizes) == {2} else f"partition ({','.join(map(str, sizes))})"


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
    return components


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


def _match(problem: Problem, logits: Tensor, group: list[int]) -> tuple[Block, Root | None] | None:
    """Returns the block that a group of classes forms and the root it sits at (none for one class), or None if there is none."""
    size, samples = len(group), {problem.class_sizes[member] for member in group}
    if size == 1:
        return Simplex(1), None
    block = logits[group][:, group]
    if len(samples) > 1:
        return None
    if _is_simplex(block):
        found: Block = Simplex(size)
    else:
        codes = [*([Polygon(size)] if size > 4 else []), *codes_of_size(size)]
        matching = [code for code in codes if _is_code(block, code)]
        if not matching:
            return None
        found = matching[0]
    basis = basis_of(found)
    scale = float(block.diagonal().mean() / basis[0].square().sum())
    equation = scale_equation(problem, found, samples.pop())
    for which in get_args(Root):
        root = equation.root(which)
        if root is not None and abs(scale - root) <= MATCH * root:
            return found, cast(Root, which)
    return None


def _is_apex(problem: Problem, logits: Tensor) -> bool:
    """Puts the classes in the order of the analytic point (pairs, then the apex) for every candidate apex, and compares."""
    try:
        form = analytic(problem, Apex())
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
