"""All eigenvalues of the full Hessian of a structure, enclosed: what a proof decides the signs of, with their sizes.

The blocks are those of `landscape.proof.blocks` before zeros are taken out, in the coordinates of the parameters: row and column
of a coordinate of factor l are multiplied by sqrt(decay_l), which undoes the congruence of Lemma 3. The number of exact zeros of
a block is known; the other eigenvalues are enclosed by the signs of the block minus a bound, as many as lie between two bounds.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from flint import acb_mat, arb, arb_mat

from landscape.model.problem import Problem
from landscape.proof.balls import enclosure, exact, precision
from landscape.proof.blocks import CountedGroups, difference, negatives, standard, unused, unused_shares, unused_signs, zero_signs
from landscape.proof.scales import BITS, EnclosedGroup, Group, enclose_all, normalised, rank_of_group, undecided
from landscape.proof.statement import NoPoint, Unproved

_WIDTH = 2.0**-40  # relative distance of the bounds of an enclosure from an approximate eigenvalue

Rows = list[list[arb]]


@dataclass(frozen=True)
class Eigenvalue:
    """One enclosed eigenvalue.

    Attributes:
        block: Name of the block that it belongs to.
        lower: Lower bound of the eigenvalue.
        upper: Upper bound of the eigenvalue; both bounds are 0 for an exact zero.
        multiplicity: How often the eigenvalue occurs in this block.
    """

    block: str
    lower: float
    upper: float
    multiplicity: int


@dataclass(frozen=True)
class _Matrix:
    """A block in the coordinates of Lemma 3.

    Attributes:
        name: Its representation.
        rows: The block divided by lambda.
        factors: The factor of every coordinate.
        zeros: How many of its eigenvalues are exactly zero.
        multiplicity: How often it occurs.
    """

    name: str
    rows: Rows
    factors: Sequence[int]
    zeros: int
    multiplicity: int


def enclosed_eigenvalues(problem: Problem, groups: Sequence[Group]) -> tuple[Eigenvalue, ...] | Unproved | NoPoint:
    """Returns enclosures of all eigenvalues of the full Hessian; their multiplicities sum to the number of parameters.

    Args:
        problem: The full model with linear layers.
        groups: Consecutive classes, in class order.

    Raises:
        InputError: If the layers are rectified, the groups do not fit the classes or the width is below the rank.
    """
    made = normalised(problem, groups)
    counts = Counter(made)
    for bits in BITS:
        with precision(bits):
            found = enclose_all(problem, made)
            if isinstance(found, NoPoint):
                return found
            if found is None:
                continue
            listed = _all(problem, [(kind, counts[kind.group]) for kind in found])
            if listed is not None:
                return tuple(listed)
    return undecided()


def enclosed_smallest(problem: Problem, groups: Sequence[Group]) -> Eigenvalue | Unproved | NoPoint:
    """Returns the eigenvalue of the full Hessian that is smallest in size and not zero.

    Args:
        problem: The full model with linear layers.
        groups: Consecutive classes, in class order.

    Raises:
        InputError: If the layers are rectified, the groups do not fit the classes or the width is below the rank.
    """
    found = enclosed_eigenvalues(problem, groups)
    if not isinstance(found, tuple):
        return found
    return min((value for value in found if not value.lower == value.upper == 0), key=lambda value: abs(value.lower))


def _all(problem: Problem, kinds: CountedGroups) -> list[Eigenvalue] | None:
    rank = sum(rank_of_group(problem, kind.group) * times for kind, times in kinds)
    copies = problem.width - rank
    found = [Eigenvalue(name, *enclosure(value), times) for name, value, times in _scalars(problem, kinds, rank, copies) if times]
    if problem.depth * rank * copies:
        found.append(Eigenvalue("rotations into unused directions", 0.0, 0.0, problem.depth * rank * copies))
    for matrix in _matrices(problem, kinds, copies):
        if matrix.multiplicity:
            values = _enclosed(problem, matrix)
            if values is None:
                return None
            found += values
    return found


def _enclosed(problem: Problem, matrix: _Matrix) -> list[Eigenvalue] | None:
    """Approximate eigenvalues, joined where they are close, each interval proved by the signs on its two sides (Sylvester)."""
    roots = [exact(problem.decays[factor]).sqrt() for factor in matrix.factors]
    size = len(roots)
    table = [[matrix.rows[i][j] * roots[i] * roots[j] for j in range(size)] for i in range(size)]
    near = [value.real.mid() for value in acb_mat(arb_mat(table).mid()).eig(algorithm="approx")]
    near = sorted(near, key=abs)[matrix.zeros :]
    found = [Eigenvalue(matrix.name, 0.0, 0.0, matrix.zeros * matrix.multiplicity)] if matrix.zeros else []
    for cluster in _clusters(sorted(near)):
        lower, upper = cluster[0] - abs(cluster[0]) * _WIDTH, cluster[-1] + abs(cluster[-1]) * _WIDTH
        below, up_to = (_below(table, bound.mid()) for bound in (lower, upper))
        if below is None or up_to is None or up_to - below != len(cluster) or not (lower > 0 or upper < 0):
            return None
        found.append(Eigenvalue(matrix.name, *enclosure(lower.mid().union(upper.mid())), len(cluster) * matrix.multiplicity))
    return found


def _clusters(values: list[arb]) -> list[list[arb]]:
    clusters: list[list[arb]] = []
    for value in values:
        if clusters and value - clusters[-1][-1] < 8 * _WIDTH * abs(value):
            clusters[-1].append(value)
        else:
            clusters.append([value])
    return clusters


def _below(table: Rows, bound: arb) -> int | None:
    return negatives([[entry - bound if i == j else entry for j, entry in enumerate(row)] for i, row in enumerate(table)])


def _scalars(problem: Problem, kinds: CountedGroups, rank: int, copies: int) -> Iterator[tuple[str, arb, int]]:
    """What is no block: partners and decays of unused directions (Lemma 9), and moves within a class."""
    decays, layers = [exact(decay) for decay in problem.decays], problem.depth
    for lower, upper in pairwise(decays):
        yield "partners of rotations", lower + upper, rank * copies
    taken = rank if layers > 1 else problem.classes
    yield "decay", decays[0], copies * (problem.total_samples - taken)
    if layers > 1:
        for decay in decays[1:-1]:
            yield "decay", decay, copies * copies
        yield "decay", decays[-1], copies * (problem.classes - rank)
    for kind, times in kinds:
        inside = times * kind.group.size * (kind.group.samples - 1)
        yield from (
            (f"within class{name}", decays[0] * (1 + bent), inside * number) for name, bent, number in _bends(problem, kind, kinds)
        )


def _bends(problem: Problem, kind: EnclosedGroup, kinds: CountedGroups) -> Iterator[tuple[str, arb, int]]:
    squared = problem.loss == "mse"
    for other, times in kinds:
        if other.group.root != "off":
            others = times - (other is kind and not squared)
            yield ", other group", other.ratio * kind.far, others * (1 if squared else other.group.size - 1)
    if kind.group.root != "off" and not squared:
        yield ", own group", kind.ratio * kind.near, kind.group.size - 2
        yield ", own class", kind.stiffness, 1


def _matrices(problem: Problem, kinds: CountedGroups, copies: int) -> Iterator[_Matrix]:
    present = [(kind, times) for kind, times in kinds if kind.group.root != "off"]
    for kind, times in present:
        yield from _inner(problem, kind, times)
    for i, (one, times) in enumerate(present):
        for j, (other, others) in enumerate(present[i:], i):
            number = times * (times - 1) // 2 if i == j else times * others
            number *= rank_of_group(problem, one.group) * rank_of_group(problem, other.group)
            yield _between(problem, one, other, number)
    if problem.loss == "mse":
        yield from _mse(problem, kinds, copies)
    else:
        for kind, times in present:
            yield from _standard(problem, kind, times, kinds)
        if problem.depth == 1:
            yield from _unused(problem, kinds, copies)


def _inner(problem: Problem, kind: EnclosedGroup, times: int) -> Iterator[_Matrix]:
    g, factors = kind.group.size, range(problem.depth + 1)
    cases = [("trivial", 2, kind.stiffness - 1, 0, 1)]
    if g > 2:
        cases.append(("antisymmetric", 0, 1 + kind.ratio * kind.near, problem.depth, (g - 1) * (g - 2) // 2))
    if g > 3:
        cases.append(("symmetric, zero diagonal", 2, kind.ratio * kind.near - 1, 0, g * (g - 3) // 2))
    for name, eye, ones, zeros, number in cases:
        yield _Matrix(name, [[eye * (i == j) + ones for j in factors] for i in factors], factors, zeros, times * number)


def _between(problem: Problem, one: EnclosedGroup, other: EnclosedGroup, number: int) -> _Matrix:
    size = problem.depth + 1
    first, second = one.scale * arb(one.group.samples).sqrt(), other.scale * arb(other.group.samples).sqrt()
    step = arb(1) if one is other else ((first / second).log() / size).exp()
    powers = [arb(1)]
    for _ in range(problem.depth):
        powers.append(powers[-1] * step)
    rows = [[arb(int(i == j)) for j in range(2 * size)] for i in range(2 * size)]
    for a in range(size):
        for b in range(size):
            rows[a][b] += one.ratio * other.far / (powers[a] * powers[b])
            rows[size + a][size + b] += other.ratio * one.far * powers[a] * powers[b]
            if a != b:
                across = powers[abs(a - b) - 1]
                entry = -1 / across if a > b else -across
                rows[a][size + b] += entry
                rows[size + b][a] += entry
    equal = problem.loss == "mse" and one is not other and one.group.samples == other.group.samples
    return _Matrix("between groups", rows, [*range(size), *range(size)], problem.depth + equal, number)


def _standard(problem: Problem, kind: EnclosedGroup, times: int, kinds: CountedGroups) -> Iterator[_Matrix]:
    others = [(other, count - (other is kind)) for other, count in kinds if count - (other is kind)]
    number = times * (kind.group.size - 1)
    rows, layers, count = standard(problem, kind, others), problem.depth, 1 + len(others)
    ends = [layers] * count + [0] * count
    if kind.group.size > 2:
        size = layers + 1
        bent, across = (rows[0][0] - 2) / size, [entry / arb(size).sqrt() for entry in rows[0][1:]]
        own = [[2 * (i == j) + bent for j in range(size)] + across for i in range(size)]
        rows = own + [[across[i]] * size + row[1:] for i, row in enumerate(rows[1:])]
        ends = [*range(size), *ends]
    yield _Matrix("standard", rows, ends, 0, number)
    for other, many in others:
        if many > 1:
            yield _Matrix("standard, differences", difference(problem, kind, other), (layers, 0), 0, number * (many - 1))


def _mse(problem: Problem, kinds: CountedGroups, copies: int) -> Iterator[_Matrix]:
    for kind, times in kinds:
        for other, others in kinds:
            if kind.group.root != "off" and other.group.root == "off":
                own, across = 1 + kind.ratio, -(arb(other.group.samples) / kind.group.samples).sqrt() / kind.pull
                equal = int(kind.group.samples == other.group.samples)
                yield _Matrix("on and off", [[own, across], [across, own]], (problem.depth, 0), equal, times * others)
    if problem.depth == 1:
        for (kind, times), share in zip(kinds, unused_shares(problem, kinds), strict=True):
            if kind.group.root == "off":
                tie = unused_signs(problem, [(kind, times)], copies)[0].zeros if copies else 0
                yield _Matrix("unused, off", [[arb(1), -share], [-share, arb(1)]], (1, 0), tie, copies * times)


def _unused(problem: Problem, kinds: CountedGroups, copies: int) -> Iterator[_Matrix]:
    empty = all(kind.group.root == "off" for kind, _ in kinds)
    ties = {signs.name: signs.zeros for signs in zero_signs(problem, copies)} if empty else {}
    yield _Matrix("unused, sums", unused(problem, kinds), [1] * len(kinds) + [0] * len(kinds), ties.get("unused, sums", 0), copies)
    for (kind, times), share in zip(kinds, unused_shares(problem, kinds), strict=True):
        across = -problem.classes * share
        name = f"unused, differences n={kind.group.samples}"
        rows = [[arb(1), across], [across, arb(1)]]
        yield _Matrix("unused, differences", rows, (1, 0), ties.get(name, 0), copies * (times - 1))
