"""Logits of the known structures in closed form, for any problem that has them."""

import math
from collections.abc import Sequence

import torch

from landscape.errors import InputError
from landscape.model.logit_form import LogitForm
from landscape.model.problem import Problem
from landscape.structures.block_bases import basis_of
from landscape.structures.blocks import Block, Simplex, size_of
from landscape.structures.kinds import Apex, Blocks, Collapse, Pairs, Partition, Root, Structure, Zero
from landscape.structures.names import name
from landscape.structures.pairs_apex import require_apex
from landscape.structures.scale_equation import ScaleEquation, mode_equation, scale_equation


def logit_form(problem: Problem, structure: Structure) -> LogitForm:
    """Returns the logits of an analytic critical point.

    Raises:
        InputError: If the problem has no such point; the message names the largest decay that has, where that is the reason.
    """
    if not problem.is_linear:
        raise InputError(f"expected linear layers for {name(structure)}, got {problem.activation}: start from random")
    match structure:
        case Partition():
            form = _partition(problem, structure)
        case Pairs(root):
            if problem.classes % 2:
                raise InputError(f"expected an even number of classes for pairs, got {problem.classes}: use apex")
            form = _partition(problem, Partition((2,) * (problem.classes // 2), root))
        case Collapse(root):
            form = _partition(problem, Partition((problem.classes,), root)) if problem.loss == "ce" else _modes(problem, root)
        case Blocks(blocks):
            form = _blocks(problem, blocks, structure.roots, name(structure))
        case Apex():
            form = require_apex(problem)
        case Zero():
            form = block_form(problem, [Simplex(1)] * problem.classes, [0.0] * problem.classes)
    if form.rank > problem.width:
        raise InputError(f"expected width >= {form.rank}, the rank of {name(structure)}, got {problem.width}")
    return form


def _solve_scale(problem: Problem, equation: ScaleEquation, root: Root, called: str) -> float:
    scale = equation.root(root)
    if scale is not None:
        return scale
    if root == "small" and problem.depth == 1:
        raise InputError(f"expected depth >= 2 for {called}: with one layer there is no small root")
    raise InputError(
        f"no {called} exists at decay {problem.mean_decay:g}: the largest decay that has one is {equation.largest_decay:.6g}"
    )


def _partition(problem: Problem, structure: Partition) -> LogitForm:
    groups = structure.groups
    called = name(structure if len(groups) != 1 or isinstance(structure.root, tuple) else Collapse(structure.root))
    if any(g < 1 for g in groups) or sum(groups) != problem.classes:
        raise InputError(f"expected groups of at least 1 that sum to {problem.classes} classes, got {','.join(map(str, groups))}")
    return _blocks(problem, tuple(Simplex(group) for group in groups), structure.roots, called)


def _blocks(problem: Problem, blocks: tuple[Block, ...], roots: tuple[Root, ...], called: str) -> LogitForm:
    if problem.loss != "ce":
        raise InputError(f"expected loss ce for {called}, got {problem.loss}: use DNC or random")
    if sum(map(size_of, blocks)) != problem.classes:
        raise InputError(f"expected blocks for {problem.classes} classes, got {sum(map(size_of, blocks))} in {called}")
    scales, start = [], 0
    for block, root in zip(blocks, roots, strict=True):
        sizes = set(problem.class_sizes[start : start + size_of(block)])
        if len(sizes) > 1:
            raise InputError(f"expected equal class sizes within each group of {called}, got {sorted(sizes)}: start from random")
        single = size_of(block) == 1
        scales.append(0.0 if single else _solve_scale(problem, scale_equation(problem, block, sizes.pop()), root, called))
        start += size_of(block)
    return block_form(problem, blocks, scales)


def block_form(problem: Problem, blocks: Sequence[Block], scales: Sequence[float]) -> LogitForm:
    """Returns the logits blockdiag(scale * projector), whether or not the scales make it critical.

    Args:
        problem: Its class sizes are equal within each block.
        blocks: In the order of the classes.
        scales: One per block; that of a block of one class does not matter.
    """
    bases, singular, start = [torch.zeros(problem.classes, 0, dtype=torch.float64)], [], 0
    for block, scale in zip(blocks, scales, strict=True):
        basis = basis_of(block)
        bases.append(torch.nn.functional.pad(basis, (0, 0, start, problem.classes - start - basis.shape[0])))
        singular += [scale * math.sqrt(problem.class_sizes[start])] * basis.shape[1]
        start += basis.shape[0]
    basis = torch.cat(bases, dim=1)
    return LogitForm(basis, torch.tensor(singular, dtype=torch.float64), basis)


def _modes(problem: Problem, root: Root) -> LogitForm:
    called = name(Collapse(root))
    scales = [_solve_scale(problem, mode_equation(problem, n), root, called) * math.sqrt(n) for n in problem.class_sizes]
    identity = torch.eye(problem.classes, dtype=torch.float64)
    return LogitForm(identity, torch.tensor(scales, dtype=torch.float64), identity)
