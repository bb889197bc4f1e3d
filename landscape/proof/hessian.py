"""The core in balls: loss, gradient, Hessian and symmetry generators of the width-r model with one column per class.

Coordinates: H (r x K), W_1 .. W_{L-1} (r x r), W_L (K x r), each row by row. With M = W_L .. W_1 H the logits of class c are
column c of M over sqrt(n_c), and the loss is sum_c (n_c/N) fit(z_c, c) + sum_l decay_l/2 |W_l|^2 (derivation of the reduction:
docs/architecture.md, "The reduction"). A point is a list of balls, so every result holds for all points of a box.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from flint import arb, arb_mat

from landscape.display import brief
from landscape.model.problem import Problem
from landscape.proof.balls import exact, identity, square

Position = tuple[int, int, int]  # position in the matrix that is built, row and column in the factor
Generator = dict[int, arb]  # coordinate -> entry; all others are zero


@dataclass(frozen=True)
class CoreModel:
    """The width-r model of a problem.

    Attributes:
        problem: The full model, linear.
        rank: Rank r >= 1 of every factor.
    """

    problem: Problem
    rank: int

    @cached_property
    def shapes(self) -> list[tuple[int, int]]:
        """Rows and columns of H, W_1, .., W_L."""
        classes, r = self.problem.classes, self.rank
        return [(r, classes), *[(r, r)] * (self.problem.depth - 1), (classes, r)]

    @cached_property
    def offsets(self) -> list[int]:
        """First coordinate of each factor, and the number of coordinates."""
        found = [0]
        for rows, columns in self.shapes:
            found.append(found[-1] + rows * columns)
        return found

    @property
    def size(self) -> int:
        """Number of coordinates, (L-1) r^2 + 2 K r."""
        return self.offsets[-1]

    @cached_property
    def twins(self) -> list[tuple[int, int]]:
        """Pairs of classes that a rotation may mix: of equal size, under squared error."""
        sizes = self.problem.class_sizes
        if self.problem.loss != "mse":
            return []
        return [(i, j) for i, j in combinations(range(len(sizes)), 2) if sizes[i] == sizes[j]]

    def at(self, x: Sequence[arb]) -> "CorePoint":
        """Returns what is known at a point or over a box."""
        split = [arb_mat(*shape, list(x[i : i + shape[0] * shape[1]])) for i, shape in zip(self.offsets, self.shapes, strict=False)]
        return CorePoint(self, split)


@dataclass(frozen=True)
class CorePoint:
    """A point of the core model, or a box of points: every value encloses those of all points of the box.

    Attributes:
        model: The core model of the point.
        factors: Enclosures of the factors H, W_1, .., W_L.
    """

    model: CoreModel
    factors: list[arb_mat]

    __repr__ = brief

    @cached_property
    def below(self) -> list[arb_mat]:
        """Entry l: the product of the factors below factor l, H last."""
        found = [identity(self.model.problem.classes)]
        for factor in self.factors[:-1]:
            found.append(factor * found[-1])
        return found

    @cached_property
    def above(self) -> list[arb_mat]:
        """Entry l: the product of the factors above factor l, W_L first."""
        found = [identity(self.model.problem.classes)]
        for factor in self.factors[:0:-1]:
            found.append(found[-1] * factor)
        return found[::-1]

    @cached_property
    def logits(self) -> list[list[arb]]:
        """Entry c: the logits of class c."""
        product = (self.factors[-1] * self.below[-1]).transpose().tolist()
        sizes = self.model.problem.class_sizes
        return [[value / arb(size).sqrt() for value in row] for row, size in zip(product, sizes, strict=True)]

    @cached_property
    def probabilities(self) -> list[list[arb]]:
        """Entry c: the softmax of the logits of class c, each entry to full relative accuracy."""
        return [[1 / _total([(other - value).exp() for other in row]) for value in row] for row in self.logits]

    @cached_property
    def pull(self) -> arb_mat:
        """The gradient of the fit with respect to M."""
        problem = self.model.problem
        columns = []
        for label, size in enumerate(problem.class_sizes):
            scale = arb(size).sqrt() / problem.total_samples
            if problem.loss == "mse":
                column = [value - int(i == label) for i, value in enumerate(self.logits[label])]
            else:
                column = list(self.probabilities[label])
                column[label] = -_total(value for i, value in enumerate(column) if i != label)  # p - 1 without cancellation
            columns.append([scale * value for value in column])
        return arb_mat(columns).transpose()

    @cached_property
    def loss(self) -> arb:
        """Of the core model, which is that of the full model."""
        problem = self.model.problem
        total = arb(0)
        for label, size in enumerate(problem.class_sizes):
            row = self.logits[label]
            if problem.loss == "mse":
                fit = _total(square(value - int(i == label)) for i, value in enumerate(row)) / 2
            else:
                fit = _total((value - row[label]).exp() for i, value in enumerate(row) if i != label).log1p()
            total += fit * size / problem.total_samples
        for decay, factor in zip(problem.decays, self.factors, strict=True):
            total += exact(decay) * _total(square(value) for value in factor.entries()) / 2
        return total

    def gradient(self) -> list[arb]:
        """Returns the gradient in all coordinates."""
        found = []
        for decay, factor, above, below in zip(self.model.problem.decays, self.factors, self.above, self.below, strict=True):
            found += (above.transpose() * self.pull * below.transpose() + factor * exact(decay)).entries()
        return found

    def hessian(self, free: Sequence[int]) -> arb_mat:
        """Returns the Hessian on these coordinates, given in ascending order."""
        places = self._places(free)
        jacobian = self._jacobian(places, len(free))
        bent: list[arb] = []
        classes = self.model.problem.classes
        for label in range(classes):
            block = arb_mat(classes, len(free), jacobian[label * classes * len(free) : (label + 1) * classes * len(free)])
            bent += (self._curvature(label) * block).entries()
        first = arb_mat(classes * classes, len(free), jacobian)
        return first.transpose() * arb_mat(classes * classes, len(free), bent) + self._second(places, len(free))

    def generators(self) -> list[Generator]:
        """Returns tangents to the orbit of the symmetries: gauge groups O(r), then rotations of equal classes."""
        found = [self._gauge(i, a, b) for i in range(self.model.problem.depth) for a, b in combinations(range(self.model.rank), 2)]
        return found + [self._twist(a, b) for a, b in self.model.twins]

    def _places(self, free: Sequence[int]) -> list[list[Position]]:
        """Entry l: where the free entries of factor l stand."""
        found: list[list[Position]] = [[] for _ in self.factors]
        factor = 0
        for position, coordinate in enumerate(free):
            while coordinate >= self.model.offsets[factor + 1]:
                factor += 1
            columns = self.model.shapes[factor][1]
            found[factor].append((position, *divmod(coordinate - self.model.offsets[factor], columns)))
        return found

    def _curvature(self, label: int) -> arb_mat:
        """The Hessian of the fit with respect to column `label` of M."""
        problem = self.model.problem
        unit = arb(1) / problem.total_samples
        if problem.loss == "mse":
            return identity(problem.classes) * unit
        p = self.probabilities[label]
        rows = [[-a * b * unit for b in p] for a in p]
        for i, value in enumerate(p):
            rows[i][i] = unit * value * _total(other for j, other in enumerate(p) if j != i)
        return arb_mat(rows)

    def _jacobian(self, places: list[list[Position]], free: int) -> list[arb]:
        """Entries of dM, one row per class and output: factor entry (a, b) moves it by above[i, a] below[b, c]."""
        classes = self.model.problem.classes
        zero = arb(0)
        found = [zero] * (classes * classes * free)
        last = len(self.factors) - 1
        for factor, entries in enumerate(places):
            above, below = self.above[factor].transpose().tolist(), self.below[factor].tolist()
            for position, a, b in entries:
                left, right = above[a], below[b]
                for label in [b] if factor == 0 else range(classes):
                    start, value = label * classes * free + position, right[label]
                    for i in [a] if factor == last else range(classes):
                        found[start + i * free] = left[i] * value
        return found

    def _second(self, places: list[list[Position]], free: int) -> arb_mat:
        """The pull of the data on the second derivatives of M, and decay."""
        found = [arb(0)] * (free * free)
        for decay, entries in zip(self.model.problem.decays, places, strict=True):
            for position, _, _ in entries:
                found[position * (free + 1)] = exact(decay)
        pull = self.pull.transpose()
        for low in range(len(places)):
            between = identity(self.model.rank)
            for high in range(low + 1, len(places)):
                if high > low + 1:
                    between = self.factors[high - 1] * between
                outer, inner = (self.below[low] * pull * self.above[high]).tolist(), between.tolist()
                for row, p, q in places[low]:
                    line = outer[q]
                    for column, a, b in places[high]:
                        value = line[a] * inner[b][p]
                        found[row * free + column] = value
                        found[column * free + row] = value
        return arb_mat(free, free, found)

    def _gauge(self, interface: int, a: int, b: int) -> Generator:
        """W_i -> (1 + A) W_i and W_{i+1} -> W_{i+1} (1 - A) with A = E_ab - E_ba, W_0 = H."""
        found: Generator = {}
        offsets, (_, columns) = self.model.offsets, self.model.shapes[interface]
        lower, upper = self.factors[interface], self.factors[interface + 1]
        for j in range(columns):
            found[offsets[interface] + a * columns + j] = lower[b, j]
            found[offsets[interface] + b * columns + j] = -lower[a, j]
        for i in range(upper.nrows()):
            found[offsets[interface + 1] + i * self.model.rank + b] = -upper[i, a]
            found[offsets[interface + 1] + i * self.model.rank + a] = upper[i, b]
        return found

    def _twist(self, a: int, b: int) -> Generator:
        """M -> (1 + B) M (1 - B) with B = E_ab - E_ba."""
        found: Generator = {}
        first, last, classes, r = self.factors[0], self.factors[-1], self.model.problem.classes, self.model.rank
        for i in range(r):
            found[i * classes + b] = -first[i, a]
            found[i * classes + a] = first[i, b]
            found[self.model.offsets[-2] + a * r + i] = last[b, i]
            found[self.model.offsets[-2] + b * r + i] = -last[a, i]
        return found


def _total(values: Iterable[arb]) -> arb:
    return sum(values, arb(0))
