"""Which structures fit which problems, by counting alone: the classes, their sizes, the width and the depth. Imports no torch."""

from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.structures.blocks import Antiprism, Bipyramid, Block, Simplex, label, rank_of, size_of
from landscape.structures.kinds import Apex, Blocks, Collapse, Pairs, Partition, Root, Structure, Zero
from landscape.structures.names import name


def require_fit(problem: Problem, structure: Structure) -> None:
    """Refuses a structure that the problem has at no decay. Whether it exists at this decay is for the scale equation to say.

    Raises:
        InputError: If it does not fit; the message says what was expected.
    """
    called = name(structure)
    if not problem.is_linear:
        raise InputError(f"expected linear layers for {called}, got {problem.activation}: start from random")
    match structure:
        case Collapse(_) if problem.loss == "mse":
            rank = problem.classes
        case Apex():
            require_apex_classes(problem)
            rank = (problem.classes + 1) // 2
        case Zero():
            rank = 0
        case _:
            blocks = blocks_of(problem, structure)
            _require_blocks(problem, blocks, called)
            if isinstance(structure, Blocks):
                _require_large(structure)
            rank = sum(map(rank_of, blocks))
    if rank > problem.width:
        raise InputError(f"expected width >= {rank}, the rank of {called}, got {problem.width}")
    if rank and problem.depth == 1 and "small" in roots_of(structure):
        raise InputError(f"expected depth >= 2 for {called}: with one layer there is no small root")


def blocks_of(problem: Problem, structure: Partition | Pairs | Collapse | Blocks) -> tuple[Block, ...]:
    """Returns the blocks of a structure in the order of the classes.

    Raises:
        InputError: If it is pairs of an odd number of classes, or a group has no class.
    """
    match structure:
        case Collapse():
            return (Simplex(problem.classes),)
        case Pairs():
            if problem.classes % 2:
                raise InputError(f"expected an even number of classes for pairs, got {problem.classes}: use apex")
            return (Simplex(2),) * (problem.classes // 2)
        case Partition(groups):
            if any(group < 1 for group in groups) or sum(groups) != problem.classes:
                got = ",".join(map(str, groups))
                raise InputError(f"expected groups of at least 1 that sum to {problem.classes} classes, got {got}")
            return tuple(map(Simplex, groups))
        case Blocks(blocks):
            return blocks


def roots_of(structure: Structure) -> tuple[Root, ...]:
    """Returns the roots that a structure stands at: one for each group where they are told apart, none where there is no choice."""
    match structure:
        case Partition() | Blocks():
            return structure.roots
        case Collapse(root) | Pairs(root):
            return (root,)
        case Apex() | Zero():
            return ()


def require_apex_classes(problem: Problem) -> None:
    """Refuses a problem that has no pairs+apex at any decay.

    Raises:
        InputError: If its classes are even in number or of unequal sizes, or its loss is squared error.
    """
    if problem.classes % 2 == 0 or problem.loss != "ce" or not problem.is_balanced:
        raise InputError("expected an odd number of equal classes and loss ce for apex: use pairs, DNC or random")


def _require_blocks(problem: Problem, blocks: tuple[Block, ...], called: str) -> None:
    if problem.loss != "ce":
        raise InputError(f"expected loss ce for {called}, got {problem.loss}: use DNC or random")
    if sum(map(size_of, blocks)) != problem.classes:
        raise InputError(f"expected blocks for {problem.classes} classes, got {sum(map(size_of, blocks))} in {called}")
    start = 0
    for block in blocks:
        sizes = set(problem.class_sizes[start : start + size_of(block)])
        if len(sizes) > 1:
            raise InputError(f"expected equal class sizes within each group of {called}, got {sorted(sizes)}: start from random")
        start += size_of(block)


def _require_large(structure: Blocks) -> None:
    for block, root in zip(structure.blocks, structure.roots, strict=True):
        if isinstance(block, Antiprism | Bipyramid) and root == "small":
            raise InputError(f"expected {label(block)} at its large root: it has several scales, and no small root has a name")
