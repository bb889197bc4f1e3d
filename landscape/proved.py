"""Which proof applies to a point, whether it is affordable, and what the judge makes of it.

Named partition structures are proved by their blocks, at any size; everything else by the box around the core.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from landscape.codes import Simplex, size_of
from landscape.curvature.spectrum import Spectrum
from landscape.judgement import Doubt, Verdict, judge_spectrum, weighed
from landscape.naming import Recognised
from landscape.partitions import Group, partition_reduction
from landscape.problem import Problem
from landscape.proof.statement import NoPoint, Proof, Unproved
from landscape.reduction import Core
from landscape.structures import Collapse, Coded, Pairs, Partition, Structure, scale_equation
from landscape.theory import Root, orbit_dimension

Effort = Literal["doubtful", "named", "small", "any"]  # what is proved: doubtful counts; named structures too; small cores too; all
LARGEST_DOUBTFUL = 300  # core parameters up to which a doubtful count is proved unasked: half a second at 53 bits
_COMMAND_SECONDS = 1.6  # of `landscape degeneracy` on a small point, nearly all of it the start of the interpreter and of torch
_SHARE = 0.15  # of that time which an unasked proof of an undoubted count may take
_SAME_POINT = 1e-12  # relative distance of logits up to which a point is taken for the named structure; solved points are within 1e-13


@dataclass(frozen=True)
class NamedGroup:
    """A group of classes of a partition structure, as its name gives it."""

    size: int
    samples: int
    root: Literal["large", "small", "off"]


@dataclass(frozen=True)
class Wanted:
    """How much is to be proved at a point, and what is known of its name.

    Attributes:
        effort: Which counts are to be proved.
        groups: The partition structure that the point was written from; None where only its logits can tell.
    """

    effort: Effort = "doubtful"
    groups: tuple[NamedGroup, ...] | None = None


def named_groups(problem: Problem, structure: Structure) -> tuple[NamedGroup, ...] | None:
    """Returns the groups of a partition structure in class order, or None for any other structure."""
    if not problem.is_linear:
        return None
    if problem.loss == "mse":
        modes = isinstance(structure, Collapse)
        return tuple(NamedGroup(1, samples, structure.root) for samples in problem.class_sizes) if modes else None
    match structure:
        case Partition(sizes, root):
            pass
        case Pairs(root):
            sizes = (2,) * (problem.classes // 2)
        case Collapse(root):
            sizes = (problem.classes,)
        case Coded(blocks, root) if all(isinstance(block, Simplex) for block in blocks):
            sizes = tuple(map(size_of, blocks))
        case _:
            return None
    places = [sum(sizes[:i]) for i in range(len(sizes))]
    return tuple(partition_group(size, problem.class_sizes[place], root) for size, place in zip(sizes, places, strict=True))


def recognised_groups(problem: Problem, found: Recognised) -> tuple[NamedGroup, ...] | None:
    """Returns the groups of a point that was recognised as a partition structure to rounding, or None."""
    if not found.parts or not all(isinstance(part.block, Simplex) for part in found.parts) or not found.distance <= _SAME_POINT:
        return None
    return tuple(partition_group(len(part.members), problem.class_sizes[part.members[0]], part.root) for part in found.parts)


def partitionpartition_group(size: int, samples: int, root: Root | None) -> NamedGroup:
    """Returns a group of classes under cross-entropy; a single class has zero logits and no root."""
    return NamedGroup(size, samples, root if size > 1 and root is not None else "off")


def in_order_of(problem: Problem, groups: Sequence[NamedGroup]) -> Problem:
    """Returns the problem with its classes in the order of the groups; only classes of unequal size move."""
    return replace(problem, class_sizes=tuple(group.samples for group in groups for _ in range(group.size)))


def partition_spectrum(problem: Problem, groups: Sequence[NamedGroup]) -> Spectrum | None:
    """Returns the spectrum of a partition structure, or None where double precision finds no scale for a group."""
    placed = []
    for group in groups:
        scale = 0.0 if group.root == "off" else scale_equation(problem, Simplex(group.size), group.samples).root(group.root)
        if scale is None:
            return None
        placed.append(Group(group.size, group.samples, scale))
    return partition_reduction(problem, placed).spectrum


def judge_partition(problem: Problem, groups: Sequence[NamedGroup], spectrum: Spectrum, effort: Effort = "doubtful") -> Verdict:
    """Returns the verdict on a partition structure: the one that atlas rows, phase cells and claims state.

    Args:
        problem: Linear, cross-entropy.
        groups: The structure.
        spectrum: Its eigenvalues in double precision (`landscape.partitions`).
        effort: Which counts are to be proved.
    """
    rank = sum(group.size - 1 for group in groups)
    first = judge_spectrum(spectrum, orbit_dimension(rank, problem.width, problem.depth))
    if first.certain and effort == "doubtful":
        return first
    return weighed(first, structure_proof(problem, groups))


def with_proof(first: Verdict, core: Core, groups: Sequence[NamedGroup] | None, effort: Effort) -> Verdict:
    """Returns the verdict on a point after the proof that applies to it, where that is wanted and affordable.

    Args:
        first: What double precision says.
        core: The point.
        groups: The partition structure that it is, to rounding; None for any other point.
        effort: Which counts are to be proved.
    """
    if first.doubt not in (None, Doubt.TOO_FAINT) or (first.certain and effort == "doubtful"):
        return first
    if groups is not None:
        return weighed(first, structure_proof(core.problem, groups))
    size = core.objective.size
    largest = size if effort == "any" else LARGEST_DOUBTFUL if not first.certain else largest_unasked() if effort == "small" else 0
    if size > largest:
        return first
    return weighed(first, point_proof(core))


def structure_proof(problem: Problem, groups: Sequence[NamedGroup]) -> Proof | Unproved | NoPoint:
    """Returns the proof of a partition structure by its blocks."""
    from landscape.proof.structures import prove_structure

    return prove_structure(in_order_of(problem, groups), groups)


def point_proof(core: Core) -> Proof | Unproved:
    """Returns the proof of the critical point next to a core by the box around it."""
    from landscape.proof.box import prove_point

    return prove_point(core.problem, core.rank, core.theta.tolist())


def predicted_seconds(size: int) -> float:
    """Returns how long the box of a core takes at 53 bits on one core of a CPU, to a factor of two.

    Fitted to 0.09 s at 96 parameters, 0.37 s at 261, 1.5 s at 504 and 4.3 s at 705.
    """
    return 0.05 + 0.35 * (size / 261) ** 2.5


def largest_unasked() -> int:
    """Returns the largest core whose undoubted count is proved unasked."""
    size = 0
    while predicted_seconds(size + 1) <= _SHARE * _COMMAND_SECONDS:
        size += 1
    return size


def proved_in_words(verdict: Verdict, command: str, apart: float | None = None) -> str:
    """Returns one sentence on the proof of a count.

    Args:
        verdict: The verdict.
        command: What proves it; empty where nothing does.
        apart: Distance from what was proved: relative, of the logits, for a structure; absolute for a critical point.
    """
    proof = verdict.proof
    if proof is None:
        return f"no: {verdict.unproved or (f'see {command}' if command else 'there is no proof for such a point')}"
    if proof.kind == "structure":
        away = "" if apart is None else f"; the class logits are {apart:.1e} from its, relative"
        return f"yes, at {proof.bits} bits, for {proof.name} at these decays{away}"
    return f"yes, at {proof.bits} bits, for a critical point within {proof.distance if apart is None else apart:.1e} of this one"


def near_zero_in_words(verdict: Verdict) -> str:
    """Returns how many eigenvalues a decay within a few last places would make zero."""
    if verdict.near_zero is None:
        return "undecided"
    return f"{verdict.near_zero} more at a decay within a few last places"


def proof_as_dict(verdict: Verdict, command: str, apart: float | None = None) -> dict[str, Any]:
    """Returns the JSON form of what is proved; arguments as for `proved_in_words`."""
    proof = verdict.proof
    return {
        "proved": proof is not None,
        "bits": None if proof is None else proof.bits,
        "statement": proved_in_words(verdict, command, apart),
        "near_zero": verdict.near_zero,
    }
