"""Which proof applies to a point, whether it is affordable, and what the judge makes of it.

Named partition structures are proved by their blocks, at any size; everything else by the box around the core.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor

from landscape.curvature.spectra.spectrum import Spectrum
from landscape.degeneracy.judgement import Doubt, Verdict, judge_spectrum, weighed
from landscape.display import brief
from landscape.errors import InputError
from landscape.model.dimensions import orbit_dimension
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core, compress
from landscape.points.point import CriticalPoint
from landscape.proof.scales import Group
from landscape.proof.statement import NoPoint, Proof, Unproved
from landscape.solver.newton import rank_tolerance
from landscape.structures.analytic import logit_form
from landscape.structures.block_bases import projector
from landscape.structures.blocks import Simplex, size_of
from landscape.structures.kinds import Blocks, Collapse, Pairs, Partition, Root, Structure, Zero
from landscape.structures.recognition import Part, Recognised, recognise

Effort = Literal["doubtful", "named", "small", "any"]  # what is proved: doubtful counts; named structures too; small cores too; all
LARGEST_DOUBTFUL = 300  # core parameters up to which a doubtful count is proved unasked: half a second at 53 bits
_COMMAND_SECONDS = 1.6  # of `landscape degeneracy` on a small point, nearly all of it the start of the interpreter and of torch
_SHARE = 0.15  # of that time which an unasked proof of an undoubted count may take
_OUTSIDE = 1e-6  # of the norm of a saved point: what it may have outside its core, which a proof is about
_SAME_POINT = 1e-12  # relative distance of logits up to which a point is the named structure; solved points are within 1e-13


@dataclass(frozen=True)
class Wanted:
    """How much is to be proved at a point, and what is known of its name.

    Attributes:
        effort: Effort of the proofs: which counts are to be proved.
        groups: The partition structure that the point was written from; None where only its logits can tell.
    """

    effort: Effort = "doubtful"
    groups: tuple[Group, ...] | None = None


@dataclass(frozen=True)
class Named:
    """A partition structure that a point is taken for.

    Attributes:
        groups: Groups of the partition, each with its root.
        members: Class labels of each group.
        logits: Class-mean logits that were recognised, to be compared with the proved ones; None where the point was written so.
    """

    groups: tuple[Group, ...]
    members: tuple[tuple[int, ...], ...]
    logits: Tensor | None = None

    __repr__ = brief

    @classmethod
    def written(cls, groups: tuple[Group, ...]) -> "Named":
        """Returns the structure that a point was written from, groups in class order."""
        ends = [sum(group.size for group in groups[: i + 1]) for i in range(len(groups))]
        return cls(groups, tuple(tuple(range(end - group.size, end)) for end, group in zip(ends, groups, strict=True)))

    def apart(self, proof: Proof, logits: Float[Tensor, "k k"]) -> float:
        """Returns the largest relative distance of a group in class-mean logits from the proved one.

        The scales are those of the proof: beside a fold the roots in double precision lie half the digits away from the true ones.
        """
        scales = [sum(map(float.fromhex, group["scale"])) / 2 for group in proof.data["groups"]]
        parts = [
            Part(members, Simplex(group.size), None if group.root == "off" else group.root, scale * projector(Simplex(group.size)))
            for members, group, scale in zip(self.members, self.groups, scales, strict=True)
        ]
        return max(part.distance(logits) for part in parts)

    def holds(self, proof: Proof | Unproved | NoPoint) -> bool:
        """Whether what is proved is about the point, and not about the other root of a group beside its fold."""
        return not isinstance(proof, Proof) or self.logits is None or self.apart(proof, self.logits) <= _SAME_POINT


def named_groups(problem: Problem, structure: Structure) -> tuple[Group, ...] | None:
    """Returns the groups of a partition structure in class order, or None for any other structure.

    Raises:
        InputError: If the groups do not fit the classes.
    """
    if not problem.is_linear:
        return None
    if problem.loss == "mse":
        if not isinstance(structure, Collapse):
            return None
        return tuple(Group(1, samples, structure.root) for samples in problem.class_sizes)
    roots: tuple[Root, ...]
    match structure:
        case Partition(sizes):
            roots = structure.roots
        case Pairs(root):
            sizes, roots = (2,) * (problem.classes // 2), (root,) * (problem.classes // 2)
        case Collapse(root):
            sizes, roots = (problem.classes,), (root,)
        case Zero():
            sizes = (1,) * problem.classes
            roots = Partition(sizes).roots
        case Blocks(blocks) if all(isinstance(block, Simplex) for block in blocks):
            sizes, roots = tuple(map(size_of, blocks)), structure.roots
        case _:
            return None
    if min(sizes) < 1 or sum(sizes) != problem.classes:
        listed = ",".join(map(str, sizes))
        raise InputError(f"expected groups of at least 1 that sum to {problem.classes} classes, got {listed}")
    places = [sum(sizes[:i]) for i in range(len(sizes))]
    for size, place in zip(sizes, places, strict=True):
        if len(set(problem.class_sizes[place : place + size])) > 1:
            listed = ",".join(map(str, problem.class_sizes[place : place + size]))
            raise InputError(f"expected classes of equal size in each group, got a group with {listed} samples")
    return tuple(partition_group(*one) for one in zip(sizes, (problem.class_sizes[place] for place in places), roots, strict=True))


def prove(source: CriticalPoint | Core | Problem, structure: Structure | None = None) -> Proof | Unproved | NoPoint:
    """Proves rank, index, nullity and loss of a critical point in ball arithmetic; the decays are the exact doubles given.

    A named partition of a problem is proved by small blocks, for any number of classes. A point, and any other structure, is
    proved by a box around its core, which holds exactly one critical point up to the symmetries.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=10, samples=5, width=70, depth=2, decay=2**-10)
        >>> proof = ls.prove(problem, ls.Collapse())
        >>> proof.nullity, proof.index
        (1170, 0)
        >>> small = ls.Problem.balanced(classes=3, samples=1, width=3, depth=2, decay=1e-2)
        >>> box = ls.prove(ls.solve(small, ls.Random(seed=0)))
        >>> box.rank, box.nullity, box.index
        (2, 6, 0)

    Args:
        source: A saved or reduced point, or the problem of a structure.
        structure: Structure of the problem; None with a point.

    Returns:
        The proof; `Unproved` with the step that failed, which says neither for nor against; or `NoPoint`, where it is proved that
        the structure does not exist.

    Raises:
        InputError: If the layers are rectified, or the structure does not fit the problem.
    """
    if isinstance(source, Problem) != (structure is not None):
        raise InputError("expected a point alone, or a problem together with a structure such as Collapse()")
    problem = source if isinstance(source, Problem) else source.problem
    _require_linear(problem)
    if structure is not None:
        groups = named_groups(problem, structure)
        if groups is not None:
            return structure_proof(problem, groups, nearby=False)
        return point_proof(Core.from_form(problem, logit_form(problem, structure)), nearby=False)
    if isinstance(source, Core):
        return point_proof(source, nearby=False)
    assert isinstance(source, CriticalPoint)
    compressed = core_of(source)
    return compressed if isinstance(compressed, Unproved) else point_proof(compressed[0], nearby=False)


def _require_linear(problem: Problem) -> None:
    if not problem.is_linear:
        raise InputError(f"expected linear layers for a proof, got {problem.activation}: no proof is known for a rectifier")


def core_of(saved: CriticalPoint) -> tuple[Core, float] | Unproved:
    """Returns the core that a proof about a saved point is about, and how far it is from the point (Euclidean).

    Where the point is too far from critical to have a core, the answer says why.

    Raises:
        InputError: If the layers are rectified.
    """
    problem, theta = saved.problem, saved.theta
    _require_linear(problem)
    try:
        core, frames = compress(problem, theta, rank_tolerance(problem, theta, saved.gradient_norm))
    except InputError as error:
        return Unproved(f"the point has no core ({error})")
    outside = float((core.embed(frames) - theta).norm())
    if not outside <= _OUTSIDE * float(theta.norm()):
        return Unproved(
            f"the point is not critical: {outside:.1e} of it lies outside its core (solve --start FILE goes on from it)"
        )
    return core, outside


def named_proof(core: Core) -> tuple[Proof, float] | None:
    """Returns the proof of the partition structure that a core's logits match, and how far they are from it (relative).

    None where they match no partition, or its blocks prove nothing.
    """
    problem, logits = core.problem, core.class_logits
    named = _partition(problem, recognise(problem, logits, core.rank))
    if named is None:
        return None
    proof = structure_proof(problem, named.groups, nearby=False)
    return (proof, named.apart(proof, logits)) if isinstance(proof, Proof) and proof.rank else None


def recognised(problem: Problem, found: Recognised, logits: Float[Tensor, "k k"]) -> Named | None:
    """Returns the partition structure that class-mean logits were recognised as and have to rounding, or None."""
    named = _partition(problem, found)
    return None if named is None or not found.distance(logits) <= _SAME_POINT else replace(named, logits=logits)


def _partition(problem: Problem, found: Recognised) -> Named | None:
    """Returns what was recognised as a partition structure, or None."""
    if not found.parts or not all(isinstance(part.block, Simplex) for part in found.parts):
        return None
    groups = tuple(partition_group(len(part.members), problem.class_sizes[part.members[0]], part.root) for part in found.parts)
    return Named(groups, tuple(part.members for part in found.parts))


def partition_group(size: int, samples: int, root: Root | None) -> Group:
    """Returns a group of classes under cross-entropy; a single class has zero logits and no root."""
    return Group(size, samples, root if size > 1 and root is not None else "off")


def in_order_of(problem: Problem, groups: Sequence[Group]) -> Problem:
    """Returns the problem with its classes in the order of the groups; only classes of unequal size move."""
    return replace(problem, class_sizes=tuple(group.samples for group in groups for _ in range(group.size)))


def judge_partition(problem: Problem, groups: Sequence[Group], spectrum: Spectrum, effort: Effort = "doubtful") -> Verdict:
    """Returns the verdict on a partition structure: the one that atlas rows, phase cells and claims state.

    Args:
        problem: The model, linear and under cross-entropy.
        groups: Groups of the structure, each with its root.
        spectrum: Eigenvalues in double precision (`landscape.degeneracy.partition_spectrum`).
        effort: Which counts are to be proved.
    """
    rank = sum(group.size - 1 for group in groups)
    first = judge_spectrum(spectrum, orbit_dimension(rank, problem.width, problem.depth))
    if first.certain and effort == "doubtful":
        return first
    return _by_name(first, problem, groups, structure_proof(problem, groups, not first.certain))


def with_proof(first: Verdict, core: Core, named: Named | None, effort: Effort) -> Verdict:
    """Returns the verdict on a point after the proof that applies to it, where that is wanted and affordable.

    Args:
        first: What double precision says.
        core: Core of the point that is judged.
        named: The partition structure that it is, to rounding; None for any other point.
        effort: Which counts are to be proved.
    """
    if first.doubt not in (None, Doubt.TOO_FAINT) or (first.certain and effort == "doubtful"):
        return first
    if named is not None:
        proof = structure_proof(core.problem, named.groups, not first.certain)
        if named.holds(proof):
            return _by_name(first, core.problem, named.groups, proof)
    if effort != "any" and not _affordable(core, first, effort):
        return first
    return weighed(first, point_proof(core, not first.certain))


def _by_name(first: Verdict, problem: Problem, groups: Sequence[Group], proof: Proof | Unproved | NoPoint) -> Verdict:
    """Returns the verdict after the proof of a named structure, with what double precision cannot see where that is in doubt."""
    verdict = weighed(first, proof)
    if first.certain or not verdict.certain:
        return verdict
    return replace(verdict, smallest_positive=smallest_positive(problem, groups))


def structure_proof(problem: Problem, groups: Sequence[Group], nearby: bool) -> Proof | Unproved | NoPoint:
    """Returns the proof of a named structure by its blocks.

    Args:
        problem: The model; its classes need not be in the order of the groups.
        groups: Groups of the structure, each with its root.
        nearby: Whether to count too what a decay within a few last places would make zero.
    """
    from landscape.proof.structures import Nearby, near_zero_of_structure, prove_structure

    ordered = in_order_of(problem, groups)
    proof = prove_structure(ordered, groups)
    if not nearby or not isinstance(proof, Proof):
        return proof
    close = near_zero_of_structure(ordered, groups)
    return replace(proof, near_zero=close.count if isinstance(close, Nearby) else None)


def smallest_positive(problem: Problem, groups: Sequence[Group]) -> float | None:
    """Returns the smallest positive eigenvalue of a named structure, from enclosures of all; None where they are not decided."""
    from landscape.proof.eigenvalues import enclosed_eigenvalues

    found = enclosed_eigenvalues(in_order_of(problem, groups), groups)
    return min((value.upper for value in found if value.lower > 0), default=None) if isinstance(found, tuple) else None


def point_proof(core: Core, nearby: bool) -> Proof | Unproved:
    """Returns the proof of the critical point next to a core by the box around it; arguments as for `structure_proof`."""
    from landscape.proof.box import prove_point
    from landscape.proof.neighbours import near_zero_of_point

    proof = prove_point(core.problem, core.rank, core.theta.tolist())
    if not nearby or not isinstance(proof, Proof) or not core.rank:
        return proof
    close = near_zero_of_point(proof)
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
        verdict: Verdict with its proof, if there is one.
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
