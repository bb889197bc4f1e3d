"""The name of the known structure that a point's class-mean logits match, up to relabelling of the classes."""

from typing import cast, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.errors import InputError
from landscape.problem import Problem
from landscape.structures import Apex, analytic
from landscape.theory import Root, simplex_equation

MATCH = 1e-6  # relative error of the logits up to which a structure is recognised; polished points match to 1e-12
_COUPLINGS = (1e-12, 1e-10, 1e-8, 1e-6)  # small-root blocks may be 1e-8 of the others, so the split is tried at several scales


def structure_name(problem: Problem, logits: Float[Tensor, "k k"], rank: int) -> str:
    """Returns "DNC", "pairs", "partition (6,2,2)", "pairs+apex", "zero", with the root where it is small, or "unnamed rank r".

    A partition is recognised by its zero pattern and by the scale of every block, which must be a root of that block's own
    equation; under squared error DNC means one orthogonal mode per class; for ReLU models only simplex logits are named.

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
        if problem.classes - len(groups) == rank:
            roots = [_root(problem, logits, group) for group in groups if len(group) > 1]
            if None not in roots:
                return _partition_name([len(group) for group in groups], set(roots))
    if problem.classes % 2 and rank == (problem.classes + 1) // 2 and problem.is_balanced and _is_apex(problem, logits):
        return "pairs+apex"
    return f"unnamed rank {rank}"


def _partition_name(sizes: list[int], roots: set[Root | None]) -> str:
    if len(sizes) == 1:
        name = "DNC"
    elif set(sizes) == {2}:
        name = "pairs"
    else:
        name = f"partition ({','.join(str(size) for size in sorted(sizes, reverse=True))})"
    if roots == {"large"}:
        return name
    return f"{name} at the small root" if roots == {"small"} else f"{name} at mixed roots"


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


def _root(problem: Problem, logits: Tensor, group: list[int]) -> Root | None:
    """Returns which root of its scale equation a block sits at, or None if it is no simplex at one."""
    block = logits[group][:, group]
    samples = {problem.class_sizes[label] for label in group}
    if len(samples) > 1 or not _is_simplex(block):
        return None
    scale = float(block.diagonal().sum() / (len(group) - 1))
    equation = simplex_equation(problem, len(group), samples.pop())
    for which in get_args(Root):
        root = equation.root(which)
        if root is not None and abs(scale - root) <= MATCH * root:
            return cast(Root, which)
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
