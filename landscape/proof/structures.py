"""A proof of the index and the nullity of a named structure, from its scales and a few small blocks, for any number of classes.

The steps: every scale is enclosed and proved to be the root that it is called (`landscape.proof.scales`, Lemmas 1 and 2), the
signs of the blocks are decided in ball arithmetic (`landscape.proof.blocks`, Lemmas 3 to 9), and both again with more bits until
nothing is open. Where a group's equation is proved to have no root there is no such point.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from flint import arb

from landscape.display import brief
from landscape.model.problem import Problem
from landscape.proof.balls import enclosure, precision
from landscape.proof.blocks import CountedGroups, Signs, core_signs, unused_signs
from landscape.proof.scales import (
    BITS,
    EnclosedGroup,
    Group,
    enclose_all,
    kind_of_groups,
    normalised,
    rank_of_group,
    shifted,
    undecided,
)
from landscape.proof.statement import NoPoint, Proof, Unproved
from landscape.structures.names import name

PLACES = 4  # last places of a decay within which a structure is asked for sign changes


@dataclass(frozen=True)
class DecidedStructure:
    """A structure with all signs decided.

    Attributes:
        groups: Groups of classes, in class order.
        signs: Every block with an open sign, in an order that depends on the groups alone.
        proof: Proof that follows from these signs.
    """

    groups: tuple[Group, ...]
    signs: tuple[Signs, ...]
    proof: Proof

    __repr__ = brief


@dataclass(frozen=True)
class Nearby:
    """A structure at the two decays some last places below and above the given ones, all decays together.

    Attributes:
        count: Number of eigenvalues whose sign differs between the three, so that a decay between them makes them zero.
        places: Number of last places by which the decays differ.
        below: Proof at the smaller decays.
        above: Proof at the larger decays; beyond a fold there is no point.
    """

    count: int
    places: int
    below: Proof | NoPoint
    above: Proof | NoPoint


def prove_structure(problem: Problem, groups: Sequence[Group]) -> Proof | Unproved | NoPoint:
    """Proves rank, nullity, index and loss of a structure, or that it does not exist at these decays.

    Under cross-entropy the groups are those of a partition point, under squared error single classes whose modes are large,
    small or off. Any number of classes, uneven classes between groups, unequal decays.

    Args:
        problem: The full model with linear layers.
        groups: Consecutive classes, in class order.

    Raises:
        InputError: If the layers are rectified, the groups do not fit the classes or the width is below the rank.
    """
    found = decided_structure(problem, normalised(problem, groups))
    return found.proof if isinstance(found, DecidedStructure) else found


def near_zero_of_structure(problem: Problem, groups: Sequence[Group], places: int = PLACES) -> Nearby | Unproved:
    """Proves the structure at both ends of the decays' last places, and counts what differs.

    Where one end lies beyond a fold, the path of the point goes through the fold to its partner at the other root, so the
    partner at the given decays stands for that end.

    Args:
        problem: The full model with linear layers.
        groups: Consecutive classes, in class order.
        places: How many last places each decay is moved by.

    Raises:
        InputError: If the layers are rectified, the groups do not fit the classes or the width is below the rank.
    """
    made = normalised(problem, groups)
    here = decided_structure(problem, made)
    if not isinstance(here, DecidedStructure):
        return Unproved(here.reason)
    ends: list[Proof | NoPoint] = []
    seen = [here]
    for direction in (-places, places):
        decays = tuple(shifted(decay, direction) for decay in problem.decays)
        moved = replace(problem, decay=decays if isinstance(problem.decay, tuple) else decays[0])
        end = decided_structure(moved, made)
        if isinstance(end, Unproved):
            return end
        ends.append(end.proof if isinstance(end, DecidedStructure) else end)
        stand_in = end if isinstance(end, DecidedStructure) else _partner(problem, moved, made)
        if not isinstance(stand_in, DecidedStructure) or [s.name for s in stand_in.signs] != [s.name for s in here.signs]:
            return Unproved(f"the structure ends within {places} last places of the decay, and has no partner to compare with")
        seen.append(stand_in)
    count = 0
    for blocks in zip(*(decision.signs for decision in seen), strict=True):
        negative = [block.negative or 0 for block in blocks]
        count += blocks[0].multiplicity * (max(negative) - min(negative))
    return Nearby(count, places, ends[0], ends[1])


def decided_structure(problem: Problem, groups: tuple[Group, ...]) -> DecidedStructure | Unproved | NoPoint:
    """Returns all signs of a structure, with as many bits as that takes.

    Args:
        problem: The full model.
        groups: As `normalised` returns them.
    """
    rank = sum(rank_of_group(problem, group) for group in groups)
    counts = Counter(groups)
    answer = undecided()
    for bits in BITS:
        with precision(bits):
            found = enclose_all(problem, groups)
            if isinstance(found, NoPoint):
                return found
            if found is None:
                continue
            kinds = [(kind, counts[kind.group]) for kind in found]
            signs = (*core_signs(problem, kinds), *unused_signs(problem, kinds, problem.width - rank))
            open_blocks = [block.name for block in signs if block.negative is None]
            if not open_blocks:
                return DecidedStructure(groups, signs, _proof(problem, groups, kinds, signs, bits))
            answer = Unproved(f"the sign of an eigenvalue ({open_blocks[0]}) is not decided at {BITS[-1]} bits: it may be zero")
    return answer


def _proof(problem: Problem, groups: tuple[Group, ...], kinds: CountedGroups, signs: Sequence[Signs], bits: int) -> Proof:
    rank = sum(rank_of_group(problem, group) for group in groups)
    nullity = problem.depth * rank * (problem.width - rank) + sum(block.zeros * block.multiplicity for block in signs)
    index = sum((block.negative or 0) * block.multiplicity for block in signs)
    by_group = {kind.group: _payload(kind) for kind, _ in kinds}
    data = {"groups": [by_group[group] for group in groups]}
    called = name(kind_of_groups(problem, groups))
    return Proof("structure", problem, rank, nullity, index, enclosure(_loss(problem, kinds)), bits, called, data=data)


def _payload(kind: EnclosedGroup) -> dict[str, Any]:
    group = kind.group
    low, high = (0.0, 0.0) if group.root == "off" else enclosure(kind.scale)
    return {"size": group.size, "samples": group.samples, "root": group.root, "scale": [low.hex(), high.hex()]}


def _loss(problem: Problem, kinds: CountedGroups) -> arb:
    """The fit of every group and its share of the decay, (L+1)/2 (g-1) a n q / N by stationarity; a mode counts as g = 2."""
    total = arb(0)
    for kind, times in kinds:
        group = kind.group
        fit = (1 - kind.scale) ** 2 / 2 if problem.loss == "mse" else group.size * kind.log_sum
        decay = arb(problem.depth + 1) / 2 * rank_of_group(problem, group) * kind.scale * kind.pull
        total += times * group.samples * (fit + decay)
    return total / problem.total_samples


def _partner(problem: Problem, moved: Problem, groups: tuple[Group, ...]) -> DecidedStructure | Unproved | NoPoint:
    """The structure at the given decays with the groups that do not exist at the moved ones at their other root."""
    lost = {group for group in set(groups) if group.root != "off" and not _exists(moved, group)}
    other = {group: replace(group, root="small" if group.root == "large" else "large") for group in lost}
    if any(partner in groups for partner in other.values()):
        return Unproved("both roots of a group end at the same fold")
    return decided_structure(problem, tuple(other.get(group, group) for group in groups))


def _exists(problem: Problem, group: Group) -> bool:
    for bits in BITS:
        with precision(bits):
            found = enclose_all(problem, (group,))
            if found is not None:
                return not isinstance(found, NoPoint)
    return False
