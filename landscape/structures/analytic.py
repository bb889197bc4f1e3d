"""Logits of the known structures in closed form, for any problem that has them."""

import math
from collections.abc import Sequence

import torch

from landscape.errors import InputError
from landscape.model.logit_form import LogitForm
from landscape.model.problem import Problem
from landscape.structures.block_bases import basis_of
from landscape.structures.blocks import Block, Simplex, size_of
from landscape.structures.fit import blocks_of, require_fit
from landscape.structures.kinds import Apex, Blocks, Collapse, Partition, Root, Structure, Zero
from landscape.structures.names import name
from landscape.structures.pairs_apex import require_apex
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
    scales, start = [], 0
    for block, root in zip(blocks, roots, strict=True):
        single, samples = size_of(block) == 1, problem.class_sizes[start]
        scales.append(0.0 if single else _solve_scale(problem, scale_equation(problem, block, samples), root, called))
        start += size_of(block)
    return block_form(problem, blocks, scales)


def block_form(problem: Problem, blocks: Sequence[Block], scales: Sequence[float]) -> LogitForm:
    """Returns the logits blockdiag(scale * projector), whether or not the scales make it critical.

    Args:
        problem: The model; its class sizes are equal within each block.
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
