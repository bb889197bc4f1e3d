"""Logits of the known structures in closed form, for any problem that has them."""

import math
from collections.abc import Sequence

import torch

from landscape.errors import InputError
from landscape.model.logit_form import LogitForm
from landscape.model.problem import Problem
from landscape.structures.block_bases import basis_of
from landscape.structures.blocks import Antiprism, Bipyramid, Block, Code, Simplex, size_of
from landscape.structures.few_scalars import find_form, require_apex, require_form
from landscape.structures.fit import blocks_of, require_fit
from landscape.structures.kinds import Apex, Blocks, Collapse, Marked, Partition, Root, Structure, Zero
from landscape.structures.names import name
from landscape.structures.scale_equation import ScaleEquation, mode_equation, scale_equation


def logit_form(problem: Problem, structure: Structure) -> LogitForm:
    """Returns the logits of an analytic critical point.

    Raises:
        InputError: If the problem has no such point; the message names the largest decay that has, where that is the reason.
    """
    require_fit(problem, structure)
    match structure:
        case Apex():
            return require_apex(problem)
        case Zero():
            return block_form(problem, [Simplex(1)] * problem.classes, [0.0] * problem.classes)
        case Collapse(root) if problem.loss == "mse":
            return _modes(problem, root)
        case _:
            blocks = blocks_of(problem, structure)
            roots = structure.roots if isinstance(structure, Partition | Blocks) else (structure.root,) * len(blocks)
            return _blocks(problem, blocks, roots, name(structure))


def _solve_scale(problem: Problem, equation: ScaleEquation, root: Root, called: str) -> float:
    scale = equation.root(root)
    if scale is not None:
        return scale
    raise InputError(
        f"no {called} exists at decay {problem.mean_decay:g}: the largest decay that has one is {equation.largest_decay:.6g}"
    )


def _blocks(problem: Problem, blocks: tuple[Block, ...], roots: tuple[Root, ...], called: str) -> LogitForm:
    starts = [sum(map(size_of, blocks[:place])) for place in range(len(blocks))]
    parts: dict[int, LogitForm] = {}
    # prisms last: they exist up to larger decays than the groups beside them, whose end is then that of the structure
    for place in sorted(range(len(blocks)), key=lambda place: isinstance(blocks[place], Antiprism | Bipyramid)):
        block, samples = blocks[place], problem.class_sizes[starts[place]]
        if isinstance(block, Antiprism | Bipyramid):
            parts[place] = require_form(problem, block, samples)
        else:
            single = size_of(block) == 1
            scale = 0.0 if single else _solve_scale(problem, scale_equation(problem, block, samples), roots[place], called)
            parts[place] = _code_form(block, samples, scale)
    return _side_by_side([parts[place] for place in range(len(blocks))])


def find_blocks(problem: Problem, blocks: Sequence[Marked]) -> LogitForm | None:
    """Returns the logits of a block structure in the order of its blocks; None where one of them does not exist.

    Args:
        problem: The model, linear and under cross-entropy.
        blocks: All of several classes, which have as many samples as the block says.
    """
    parts = [find_block(problem, *marked) for marked in blocks]
    found = [part for part in parts if part is not None]
    return _side_by_side(found) if len(found) == len(parts) else None


def find_block(problem: Problem, block: Block, samples: int, root: Root) -> LogitForm | None:
    """Returns the logits of one block of several classes, without the other classes; None where the block does not exist."""
    if isinstance(block, Antiprism | Bipyramid):
        return find_form(problem, block, samples) if root == "large" else None
    scale = scale_equation(problem, block, samples).root(root)
    return None if scale is None else _code_form(block, samples, scale)


def block_form(problem: Problem, blocks: Sequence[Code], scales: Sequence[float]) -> LogitForm:
    """Returns the logits blockdiag(scale * projector), whether or not the scales make it critical.

    Args:
        problem: The model; its class sizes are equal within each block.
        blocks: In the order of the classes.
        scales: One per block; that of a block of one class does not matter.
    """
    parts, start = [], 0
    for block, scale in zip(blocks, scales, strict=True):
        parts.append(_code_form(block, problem.class_sizes[start], scale))
        start += size_of(block)
    return _side_by_side(parts)


def _code_form(block: Code, samples: int, scale: float) -> LogitForm:
    basis = basis_of(block)
    return LogitForm(basis, torch.full((basis.shape[1],), scale * math.sqrt(samples), dtype=torch.float64), basis)


def _side_by_side(parts: Sequence[LogitForm]) -> LogitForm:
    left, right = (torch.block_diag(*sides) for sides in ([part.left for part in parts], [part.right for part in parts]))
    return LogitForm(left, torch.cat([part.singular for part in parts]), right)


def _modes(problem: Problem, root: Root) -> LogitForm:
    called = name(Collapse(root))
    scales = [_solve_scale(problem, mode_equation(problem, n), root, called) * math.sqrt(n) for n in problem.class_sizes]
    identity = torch.eye(problem.classes, dtype=torch.float64)
    return LogitForm(identity, torch.tensor(scales, dtype=torch.float64), identity)
