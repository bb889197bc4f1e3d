"""The whole Hessian spectrum of a partition point from the symmetry of its groups: matrices of a few rows, for any K.

At blockdiag(alpha_g S_g) the Hessian commutes with the permutations inside every group and of equal groups. Its core therefore
falls apart into blocks, one per irreducible representation (derivation: docs/mathematics.md, "Spectra of partition points"):

    between groups i, j
        standard x standard             2 (L+1) rows, (g_i - 1)(g_j - 1) times
    within group i
        antisymmetric                   L+1 rows, (g-1)(g-2)/2 times
        symmetric with zero diagonal    L+1 rows, g(g-3)/2 times
        trivial                         L+1 rows, once
        standard                        L+1 (g >= 3), and two for every kind
                                        of group, g_i - 1 times

DNC is the partition into one group, so K = 1000 costs what K = 4 costs. Cross-entropy, linear layers, any decays; class sizes equal
within a group.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from landscape.curvature.spectra.spectrum import rounding_radius
from landscape.degeneracy.reduction import EigenvalueFamily, EigenvalueKind, Reduction
from landscape.display import brief
from landscape.model.problem import Problem

Doubles = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class ScaledGroup:
    """Classes that share logits scale * S_g.

    Attributes:
        size: Number g of classes; a group of one class has zero logits.
        samples: Number n of samples of each of its classes.
        scale: Scale alpha of the logits; 0 for a group of one.
    """

    size: int
    samples: int
    scale: float


def group_loss(problem: Problem, group: ScaledGroup) -> float:
    """Returns what a group adds to the loss of a partition point, decay included."""
    g, L = group.size, problem.depth
    near, far = math.exp(-group.scale), math.exp(-group.scale * (1 - 1 / g))
    fit = g * group.samples / problem.total_samples * math.log(1 + (g - 1) * near + (problem.classes - g) * far)
    singular = group.scale * math.sqrt(group.samples)  # of the logits times sqrt(class size), g - 1 times
    return fit + problem.mean_decay * (L + 1) / 2 * (g - 1) * singular ** (2 / (L + 1))


@dataclass(frozen=True)
class Screen:
    """A quick look at many partitions of one problem: is any block of one or two groups already negative?

    Such blocks depend on the groups alone, so each is computed once. What passes is not yet known to be a minimum.

    Attributes:
        problem: The model, linear and under cross-entropy.
        smallest: Smallest eigenvalue of the blocks of one group or of a pair, as far as they were asked for.
    """

    problem: Problem
    smallest: dict[tuple[ScaledGroup, ...], float] = field(default_factory=dict)

    def passes(self, groups: Iterable[ScaledGroup], tolerance: float) -> bool:
        """Whether no such block has an eigenvalue below -tolerance."""
        counts = Counter(groups)
        kinds = list(counts)
        keys: list[tuple[ScaledGroup, ...]] = [(kind,) for kind in kinds]
        keys += [(one, other) for i, one in enumerate(kinds) for other in kinds[i:] if one is not other or counts[one] > 1]
        return all(self._smallest(key) >= -tolerance for key in keys)

    def _smallest(self, key: tuple[ScaledGroup, ...]) -> float:
        if key not in self.smallest:
            kinds = [_Kind.of(self.problem, group) for group in key]
            if any(kind.group.size == 1 for kind in kinds):
                sectors: list[Sector] = []
            elif len(kinds) == 1:
                sectors = [sector for sector in _inner(self.problem, [(kinds[0], 1)]) if sector.multiplicity]
            else:
                sectors = [pair_sector(self.problem, kinds[0], kinds[1], 1)]
            self.smallest[key] = min((float(sector.eigenvalues[0]) for sector in sectors), default=0.0)
        return self.smallest[key]


@dataclass(frozen=True)
class Sector:
    """One block of the core Hessian.

    Attributes:
        name: Name of the symmetry's representation.
        data: Gauss-Newton part of the block.
        rest: Rest of the block, from the decay and from second-order changes; the Hessian is the sum of both parts.
        multiplicity: How often the block occurs in the core Hessian.
    """

    name: str
    data: Doubles
    rest: Doubles
    multiplicity: int

    __repr__ = brief

    @property
    def eigenvalues(self) -> Doubles:
        """Of the Hessian block."""
        return np.asarray(np.linalg.eigvalsh(self.data + self.rest), dtype=np.float64)


@dataclass(frozen=True)
class _Kind:
    """What the blocks need to know of a group: its share of every factor and its probabilities.

    Attributes:
        group: The group.
        values: Singular values of H_1, W_1, .., W_L on its standard representation (core scaling); ones for a single class.
        same: Probability of the right class.
        near: Of another class of the group.
        far: Of a class outside.
        unit: 1/N.
        pull: Eigenvalue of dg/dZ (core scaling) on the standard representation, negative.
    """

    group: ScaledGroup
    values: Doubles
    same: float
    near: float
    far: float
    unit: float
    pull: float

    @classmethod
    def of(cls, problem: Problem, group: ScaledGroup) -> "_Kind":
        g, scale = group.size, group.scale
        near, far = math.exp(-scale), math.exp(-scale * (1 - 1 / g))
        total = 1 + (g - 1) * near + (problem.classes - g) * far
        shared = (scale * math.sqrt(group.samples)) ** (1 / (problem.depth + 1)) if g > 1 else 1.0
        values = np.array([shared * math.sqrt(problem.mean_decay / decay) for decay in problem.decays])
        pull = -math.sqrt(group.samples) / problem.total_samples * (g * near + (problem.classes - g) * far) / total
        return cls(group, values, 1 / total, near / total, far / total, 1 / problem.total_samples, pull)

    @property
    def above(self) -> Doubles:
        """Entry l: the product of the values of the factors above factor l."""
        return np.append(np.cumprod(self.values[:0:-1])[::-1], 1.0)

    @property
    def below(self) -> Doubles:
        """Entry l: the product of the values of the factors below factor l."""
        return np.append(1.0, np.cumprod(self.values[:-1]))

    def between(self) -> Doubles:
        """Entry (a, b): the product of the values strictly between factors b < a; only that triangle is meant."""
        depth = len(self.values)
        table = np.ones((depth, depth))
        for a in range(depth):
            for b in range(a):
                table[a, b] = self.values[b + 1 : a].prod()
        return table

    def trivial_curvature(self, classes: int) -> float:
        """Curvature of a column of S_g, normalised: its variance under the probabilities, as a sum over pairs of outcomes.

        The mean of the squares minus the square of the mean would cancel eight digits at K = 1000.
        """
        g = self.group.size
        wrong, outside = (g - 1) * self.near, (classes - g) * self.far
        variance = self.same * wrong + self.same * outside * (1 - 1 / g) ** 2 + wrong * outside / g**2
        return variance * g / (g - 1)

    @property
    def mixing(self) -> float:
        """Off-diagonal size of dg/dZ between whole groups, per pair of classes."""
        return math.sqrt(self.group.samples) * self.unit * self.far


def partition_reduction(problem: Problem, groups: Iterable[ScaledGroup]) -> Reduction:
    """Returns the spectrum of the full Hessian at a partition point, as `landscape.degeneracy.reduction.reduce` does from the core.

    Args:
        problem: The model, linear and under cross-entropy.
        groups: Their sizes sum to the classes; scales solve the groups' equations. Groups of size 1 may occur.
    """
    counts = Counter(groups)
    kinds = [(_Kind.of(problem, group), times) for group, times in counts.items()]
    sectors = [*_pairs(problem, kinds), *_inner(problem, kinds), *_standard(problem, kinds)]
    rank = sum((kind.group.size - 1) * times for kind, times in kinds)
    depth, decays, c, size = problem.depth, problem.decays, problem.width - rank, problem.classes
    blocks = [
        _block(EigenvalueKind.GAUGE, [0.0], depth * rank * c),
        *(_block(EigenvalueKind.PARTNER, [decays[i] + decays[i + 1]], rank * c) for i in range(depth)),
        _block(EigenvalueKind.DECAY, [decays[0]], c * (problem.total_samples - (rank if depth > 1 else size))),
    ]
    if depth > 1:
        blocks += [_block(EigenvalueKind.DECAY, [decay], c * c) for decay in decays[1:-1]]
        blocks.append(_block(EigenvalueKind.DECAY, [decays[-1]], c * (size - rank)))
    else:
        blocks.append(_block(EigenvalueKind.COMPLEMENT, _complement(problem, kinds), c))
    blocks += [_block(EigenvalueKind.CORE, s.eigenvalues, s.multiplicity, s.name) for s in sectors]
    inner = [entry for kind, times in kinds for entry in _within_class(problem, kind, times, kinds)]
    blocks += [_block(EigenvalueKind.WITHIN_CLASS, [value + decays[0]], times) for value, times in inner]
    newton = [_block(EigenvalueKind.CORE, np.linalg.eigvalsh(s.data), s.multiplicity, s.name) for s in sectors]
    newton += [_block(EigenvalueKind.WITHIN_CLASS, [value], times) for value, times in inner]
    norm = max(float(b.values.abs().max()) for b in blocks if b.values.numel() and b.multiplicity)
    largest = max((s.data.shape[0] for s in sectors), default=1)
    return Reduction(tuple(blocks), tuple(newton), rounding_radius(max(largest, depth * 8), norm))


def _block(kind: EigenvalueKind, values: Iterable[float] | Doubles, multiplicity: int, sector: str = "") -> EigenvalueFamily:
    return EigenvalueFamily(kind, torch.tensor(np.asarray(list(values)), dtype=torch.float64), multiplicity, sector)


def pair_sector(problem: Problem, one: _Kind, other: _Kind, multiplicity: int) -> Sector:
    """Returns the block of standard x standard between two groups: how W_l's blocks (i,j) and (j,i) bend."""
    upper, lower = one.above * other.below, other.above * one.below
    size = problem.depth + 1
    data = np.zeros((2 * size, 2 * size))
    data[:size, :size] = other.far * other.unit * np.outer(upper, upper)
    data[size:, size:] = one.far * one.unit * np.outer(lower, lower)
    rest = np.diag(np.tile(problem.decays, 2))
    through_other, through_one = other.between(), one.between()
    for a in range(size):
        for b in range(a):
            first = one.pull * one.above[a] * through_other[a, b] * one.below[b]
            second = other.pull * other.above[a] * through_one[a, b] * other.below[b]
            rest[a, size + b] += first
            rest[size + b, a] += first
            rest[size + a, b] += second
            rest[b, size + a] += second
    return Sector("between groups", data, rest, multiplicity)


def _pairs(problem: Problem, kinds: list[tuple[_Kind, int]]) -> Iterable[Sector]:
    for place, (one, times) in enumerate(kinds):
        for other, others in kinds[place:]:
            number = times * (times - 1) // 2 if other is one else times * others
            multiplicity = number * (one.group.size - 1) * (other.group.size - 1)
            if multiplicity:
                yield pair_sector(problem, one, other, multiplicity)


def _inner(problem: Problem, kinds: list[tuple[_Kind, int]]) -> Iterable[Sector]:
    for kind, times in kinds:
        g = kind.group.size
        if g == 1:
            continue
        reach = kind.above * kind.below
        coupled = kind.pull * np.tril(np.outer(kind.above, kind.below) * kind.between(), -1)
        coupled = coupled + coupled.T
        decay, outer = np.diag(problem.decays), kind.unit * np.outer(reach, reach)
        yield Sector("trivial", kind.trivial_curvature(problem.classes) * outer, decay + coupled, times)
        if g > 2:
            yield Sector("antisymmetric", kind.near * outer, decay - coupled, times * (g - 1) * (g - 2) // 2)
        if g > 3:
            yield Sector("symmetric, zero diagonal", kind.near * outer, decay + coupled, times * g * (g - 3) // 2)


def _standard(problem: Problem, kinds: list[tuple[_Kind, int]]) -> Iterable[Sector]:
    """Standard representation of one group: its own, and moves of whole groups against its contrasts at both ends."""
    for kind, times in kinds:
        if kind.group.size == 1:
            continue
        others = [(other, count - (other is kind)) for other, count in kinds]
        present = [(other, count) for other, count in others if count > 0]
        yield _standard_means(problem, kind, present, times * (kind.group.size - 1))
        for other, count in present:
            if count > 1:
                yield _standard_differences(problem, kind, other, times * (kind.group.size - 1) * (count - 1))


def _standard_means(problem: Problem, kind: _Kind, others: list[tuple[_Kind, int]], multiplicity: int) -> Sector:
    """Variables: the standard part of every factor (g >= 3), rows of W_L, columns of H_1: own group first, then the kinds."""
    g, depth = kind.group.size, problem.depth
    own = depth + 1 if g > 2 else 0
    rows = 1 + len(others)
    size = own + 2 * rows
    down, up = kind.below[-1], kind.above[0]
    eye = np.eye(size)
    row, column = [eye[own + i] for i in range(rows)], [eye[own + rows + i] for i in range(rows)]
    shape = np.zeros(size)  # the standard part's entry on the diagonal of the logits; its rows and columns follow from it
    if own:
        shape[:own] = kind.above * kind.below / math.sqrt(1 - 2 / g)
    along = -shape / g + down / math.sqrt(g) * row[0]
    across = -shape / g + up / math.sqrt(g) * column[0]
    diagonal = shape + along + across
    # The variance does not change when the right class's entry is subtracted from all: then nothing large cancels.
    inside = -shape - across
    gaps = [down * row[1 + i] - math.sqrt(other.group.size * count) * diagonal for i, (other, count) in enumerate(others)]
    mean = kind.near * ((g - 1) * inside - across)
    mixed = np.outer(inside, across)
    data = kind.near * ((g - 1) * (np.outer(inside, inside) + np.outer(across, across)) - mixed - mixed.T)
    for i, (other, count) in enumerate(others):
        mean += kind.far * math.sqrt(other.group.size * count) * gaps[i]
        data += kind.far * np.outer(gaps[i], gaps[i])
        data += other.far * up**2 * np.outer(column[1 + i], column[1 + i])
    data -= np.outer(mean, mean)
    rest = np.diag([*(problem.decays if own else ()), *(problem.decays[-1],) * rows, *(problem.decays[0],) * rows])
    if own:
        coupled = kind.pull * np.tril(np.outer(kind.above, kind.below) * kind.between(), -1)
        rest[:own, :own] += coupled + coupled.T
    middle = kind.values[1:-1].prod()
    everyone = [(kind, 1), *others]
    for i, (target, count) in enumerate(everyone):
        for j, (source, sources) in enumerate(everyone):
            pull = source.mixing * math.sqrt(target.group.size * count * source.group.size * sources)
            if i == j:
                pull -= problem.classes * source.mixing
            rest[own + i, own + rows + j] += middle * pull
            rest[own + rows + j, own + i] += middle * pull
    return Sector("standard", kind.unit * data, rest, multiplicity)


def _standard_differences(problem: Problem, kind: _Kind, other: _Kind, multiplicity: int) -> Sector:
    """Equal groups moved against each other: one row of W_L, one column of H_1."""
    data = kind.unit * np.diag([kind.far * kind.below[-1] ** 2, other.far * kind.above[0] ** 2])
    pull = -kind.values[1:-1].prod() * problem.classes * other.mixing
    rest = np.array([[problem.decays[-1], pull], [pull, problem.decays[0]]])
    return Sector("standard, differences", data, rest, multiplicity)


def _complement(problem: Problem, kinds: list[tuple[_Kind, int]]) -> Doubles:
    """One layer only: eigenvalues of what couples W_1 and H_1 in unused directions (see `landscape.degeneracy.reduction`)."""
    groups = [kind for kind, times in kinds for _ in range(times)]
    sizes = np.array([kind.group.size for kind in groups])
    mixing = np.array([kind.mixing for kind in groups])
    pull = np.sqrt(np.outer(sizes, sizes)) * mixing - np.diag(problem.classes * mixing)
    eye = np.eye(len(groups))
    return np.linalg.eigvalsh(np.block([[problem.decays[1] * eye, pull], [pull.T, problem.decays[0] * eye]]))


def _within_class(problem: Problem, kind: _Kind, times: int, kinds: list[tuple[_Kind, int]]) -> Iterable[tuple[float, int]]:
    """Data curvature of moving samples of one class against each other, with how often it occurs."""
    copies = times * kind.group.size * (kind.group.samples - 1)
    if not copies:
        return
    g = kind.group.size
    for other, others in kinds:
        number = (others - (other is kind)) * (other.group.size - 1)
        if number:
            yield kind.far * kind.unit * float(other.values[1:].prod()) ** 2, copies * number
    bent = kind.unit * float(kind.values[1:].prod()) ** 2
    if g > 2:
        yield kind.near * bent, copies * (g - 2)
    if g > 1:
        yield kind.trivial_curvature(problem.classes) * bent, copies
