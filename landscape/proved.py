"""Which proof applies to a point, whether it is affordable, and what the judge makes of it.

Named partition structures are proved by their blocks, at any size; everything else by the box around the core.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor

from landscape.codes import Simplex, size_of
from landscape.curvature.spectrum import Spectrum
from landscape.judgement import Doubt, Verdict, judge_spectrum, weighed
from landscape.naming import Recognised
from landscape.problem import Problem
from landscape.proof.scales import Group
from landscape.proof.statement import NoPoint, Proof, Unproved
from landscape.reduction import Core
from landscape.structures import Coded, Collapse, Pairs, Partition, Structure
from landscape.theory import Root, orbit_dimension

Effort = Literal["doubtful", "named", "small", "any"]  # what is proved: doubtful counts; named structures too; small cores too; all
LARGEST_DOUBTFUL = 300  # core parameters up to which a doubtful count is proved unasked: half a second at 53 bits
_COMMAND_SECONDS = 1.6  # of `landscape degeneracy` on a small point, nearly all of it the start of the interpreter and of torch
_SHARE = 0.15  # of that time which an unasked proof of an undoubted count may take
_SAME_POINT = 1e-12  # relative distance of logits up to which a point is the named structure; solved points are within 1e-13


@dataclass(frozen=True)
class Wanted:
    """How much is to be proved at a point, and what is known of its name.

    Attributes:
        effort: Which counts are to be proved.
        groups: The partition structure that the point was written from; None where only its logits can tell.
    """

    effort: Effort = "doubtful"
    groups: tuple[Group, ...] | None = None


def named_groups(problem: Problem, structure: Structure) -> tuple[Group, ...] | None:
    """Returns the groups of a partition structure in class order, or None for any other structure."""
    if not problem.is_linear:
        return None
    if problem.loss == "mse":
        if not isinstance(structure, Collapse):
            return None
        return tuple(Group(1, samples, structure.root) for samples in problem.class_sizes)
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


def recognised_groups(problem: Problem, found: Recognised, logits: Float[Tensor, "k k"]) -> tuple[Group, ...] | None:
    """Returns the groups of a partition structure that class-mean logits were recognised as and have to rounding, or None."""
    if not all(isinstance(part.block, Simplex) for part in found.parts) or not found.distance(logits) <= _SAME_POINT:
        return None
    return tuple(partition_group(len(part.members), problem.class_sizes[part.members[0]], part.root) for part in found.parts)


def partition_group(size: int, samples: int, root: Root | None) -> Group:
    """Returns a group of classes under cross-entropy; a single class has zero logits and no root."""
    return Group(size, samples, root if size > 1 and root is not None else "off")


def in_order_of(problem: Problem, groups: Sequence[Group]) -> Problem:
    """Returns the problem with its classes in the order of the groups; only classes of unequal size move."""
    return replace(problem, class_sizes=tuple(group.samples for group in groups for _ in range(group.size)))


def judge_partition(problem: Problem, groups: Sequence[Group], spectrum: Spectrum, effort: Effort = "doubtful") -> Verdict:
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
    return _by_name(first, problem, groups)


def with_proof(first: Verdict, core: Core, groups: Sequence[Group] | None, effort: Effort) -> Verdict:
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
        return _by_name(first, core.problem, groups)
    if effort != "any" and not _affordable(core, first, effort):
        return first
    return weighed(first, point_proof(core, not first.certain))


def _by_name(first: Verdict, problem: Problem, groups: Sequence[Group]) -> Verdict:
    """Returns the verdict after the proof of a named structure, with what double precision cannot see where that is in doubt."""
    verdict = weighed(first, structure_proof(problem, groups, not first.certain))
    if first.certain or not verdict.certain:
        return verdict
    return replace(verdict, smallest_positive=smallest_positive(problem, groups))


def structure_proof(problem: Problem, groups: Sequence[Group], nearby: bool) -> Proof | Unproved | NoPoint:
    """Returns the proof of a named structure by its blocks.

    Args:
        problem: The model; its classes need not be in the order of the groups.
        groups: The structure.
        nearby: Whether to count too what a decay within a few last places would make zero.
    """
    from landscape.proof.structures import Nearby, near_zero, prove_structure

    ordered = in_order_of(problem, groups)
    proof = prove_structure(ordered, groups)
    if not nearby or not isinstance(proof, Proof):
        return proof
    close = near_zero(ordered, groups)
    return replace(proof, near_zero=close.count if isinstance(close, Nearby) else None)


def smallest_positive(problem: Problem, groups: Sequence[Group]) -> float | None:
    """Returns the smallest positive eigenvalue of a named structure, from enclosures of all; None where they are not decided."""
    from landscape.proof.eigenvalues import eigenvalues

    found = eigenvalues(in_order_of(problem, groups), groups)
    return min((value.upper for value in found if value.lower > 0), default=None) if isinstance(found, tuple) else None


def point_proof(core: Core, nearby: bool) -> Proof | Unproved:
    """Returns the proof of the critical point next to a core by the box around it; arguments as for `structure_proof`."""
    from landscape.proof.box import prove_point
    from landscape.proof.neighbours import near_zero

    proof = prove_point(core.problem, core.rank, core.theta.tolist())
    if not nearby or not isinstance(proof, Proof) or not core.rank:
        return proof
    close = near_zero(proof)
    return replace(proof, near_zero=close if isinstance(close, int) else None)


def _affordable(core: Core, first: Verdict, effort: Effort) -> bool:
    """Whether a box may be tried unasked: for a doubtful count up to a size, for a certain one within a share of the command."""
    if not first.certain:
        return core.objective.size <= LARGEST_DOUBTFUL
    if effort != "small":
        return False
    from landscape.proof.box import predicted_seconds

    return predicted_seconds(core.problem, core.rank) <= _SHARE * _COMMAND_SECONDS


def proved_in_words(verdict: Verdict, command: str, apart: float | None = None) -> str:
    """Returns one sentence on the proof of a count.

    Args:
        verdict: The verdict.
        command: What proves it, or why nothing does.
        apart: Distance from what was proved: relative, of the logits, for a structure; absolute for a critical point.
    """
    proof = verdict.proof
    if proof is None:
        return f"no: {verdict.unproved or command}"
    if proof.kind == "structure":
        away = "" if apart is None else f", whose class logits are within {_at_most(apart)} (relative)"
        return f"yes, with {proof.bits} bits: {proof.name}{away}"
    return f"yes, with {proof.bits} bits: a critical point within {_at_most(proof.distance or 0.0 if apart is None else apart)}"


def _at_most(value: float) -> str:
    """Returns a bound with two digits, rounded up: a twentieth more covers what the rounding takes away."""
    return f"{1.05 * value:.1e}"


def near_zero_in_words(verdict: Verdict) -> str:
    """Returns how many eigenvalues a decay within a few last places would make zero."""
    if verdict.near_zero is None:
        return "undecided"
    return f"{verdict.near_zero} eigenvalues, at decays a few last places away"


def proof_as_dict(verdict: Verdict, command: str, apart: float | None = None) -> dict[str, Any]:
    """Returns the JSON form of what is proved; arguments as for `proved_in_words`."""
    proof = verdict.proof
    return {
        "proved": proof is not None,
        "bits": None if proof is None else proof.bits,
        "statement": proved_in_words(verdict, command, apart),
        "near_zero": verdict.near_zero,
    }
