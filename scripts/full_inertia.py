"""Nullity and index of the full Hessian in mpmath, from the scale equation of a structure to LDL'. Imports nothing of landscape.

A structure is written in frames where all factors are diagonal in its singular vectors, so that most entries of the Hessian are
exact zeros and the elimination is sparse. The gradient of the full model is evaluated as well: it must vanish to half the digits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import mpmath as mp

Matrix = list[list[mp.mpf]]
Vector = dict[int, mp.mpf]
Part = tuple[int, int, str]  # classes, samples of each, root: large, small or off


@dataclass(frozen=True)
class Model:
    """What a problem says, decays as exact doubles."""

    sizes: tuple[int, ...]
    width: int
    depth: int
    decays: tuple[float, ...]
    loss: str

    @property
    def samples(self) -> int:
        """Of all classes together."""
        return sum(self.sizes)

    @property
    def mean(self) -> mp.mpf:
        """The geometric mean of the decays."""
        return mp.exp(mp.fsum(mp.log(mp.mpf(decay)) for decay in self.decays) / (self.depth + 1))


@dataclass(frozen=True)
class Truth:
    """What the elimination counts; None where the structure does not exist at these decays."""

    nullity: int
    index: int


def digits(model: Model) -> int:
    """Digits that separate the faint eigenvalues of small-root points (the seventh power of the decay and beyond) from zero."""
    return 90 + int(-24 * min(0.0, float(mp.log10(min(model.decays)))))


def pull(model: Model, size: int, a: mp.mpf) -> mp.mpf:
    """What the data pull with along the logits of a group, per sample: 1 - p_own + p_near, or 1 - a under squared error."""
    if model.loss == "mse":
        return 1 - a
    own, near = mp.exp(a * (size - 1) / size), mp.exp(-a / size)
    return 1 - (own - near) / (own + (size - 1) * near + len(model.sizes) - size)


def excess(model: Model, size: int, samples: int, x: mp.mpf) -> mp.mpf:
    """The logarithm of pull over decay at scale e^x: a root is a critical scale."""
    a, L = mp.exp(x), model.depth
    pulled = mp.mpf(samples) / model.samples * pull(model, size, a)
    if not pulled > 0:
        return mp.mpf(-(10**9))
    return mp.log(pulled / model.mean) + x - mp.mpf(2) / (L + 1) * (x + mp.log(samples) / 2)


def peak(model: Model, size: int, samples: int) -> mp.mpf:
    """The logarithm of the scale at the fold, by golden section with half the digits: enough, as the excess is flat there."""
    low, high = mp.mpf(-12), mp.mpf(0) if model.loss == "mse" else mp.log(mp.mpf(60))
    ratio = (mp.sqrt(5) - 1) / 2
    for _ in range(int(2.6 * mp.mp.dps)):
        one, two = high - ratio * (high - low), low + ratio * (high - low)
        if excess(model, size, samples, one) < excess(model, size, samples, two):
            low = one
        else:
            high = two
    return (low + high) / 2


def largest_decay(model: Model, size: int, samples: int) -> mp.mpf:
    """The geometric mean of the decays at the fold of a group (L >= 2), or where its scale vanishes (L = 1)."""
    top = mp.mpf(-200) if model.depth == 1 else peak(model, size, samples)
    return model.mean * mp.exp(excess(model, size, samples, top))


def scale(model: Model, size: int, samples: int, root: str) -> mp.mpf | None:
    """The critical scale of a group, by bisection; None where there is none."""
    if model.depth == 1:
        if root != "large" or not model.mean**2 * model.samples**2 < samples:
            return None
        inside = mp.mpf(-mp.mp.dps) * 3
    else:
        inside = peak(model, size, samples)
        if not excess(model, size, samples, inside) > 0:
            return None
    outside = mp.mpf(9) if root == "large" else mp.mpf(-mp.mp.dps) * 3
    for _ in range(int(3.6 * mp.mp.dps)):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if excess(model, size, samples, middle) > 0 else (inside, middle)
    return mp.exp((inside + outside) / 2)


def factors_of(model: Model, parts: Sequence[Part]) -> list[Matrix] | None:
    """H_1, W_1, .., W_L of a structure, samples in class order; None where a group has no scale."""
    columns: list[tuple[list[mp.mpf], mp.mpf]] = []
    start, K = 0, len(model.sizes)
    for size, samples, root in parts:
        if root != "off" and (size > 1 or model.loss == "mse"):
            a = scale(model, size, samples, root)
            if a is None:
                return None
            shapes = [[mp.mpf(1)]] if model.loss == "mse" else [[mp.mpf(1)] * k + [mp.mpf(-k)] for k in range(1, size)]
            for shape in shapes:
                norm = mp.sqrt(mp.fsum(v * v for v in shape))
                padded = [mp.mpf(0)] * start + [v / norm for v in shape]
                columns.append((padded + [mp.mpf(0)] * (K - len(padded)), a * mp.sqrt(samples)))
        start += size
    if len(columns) > model.width:
        raise ValueError(f"rank {len(columns)} needs width {model.width}")
    d, L = model.width, model.depth
    values = [[s ** (mp.mpf(1) / (L + 1)) * mp.sqrt(model.mean / decay) for _, s in columns] for decay in model.decays]
    label = [c for c, n in enumerate(model.sizes) for _ in range(n)]
    zero = mp.mpf(0)
    features = [[zero] * model.samples for _ in range(d)]
    for i, (column, _) in enumerate(columns):
        features[i] = [values[0][i] * column[c] / mp.sqrt(model.sizes[c]) if column[c] else zero for c in label]
    middle = [[[values[k][i] if i == j < len(columns) else zero for j in range(d)] for i in range(d)] for k in range(1, L)]
    last = [[values[L][i] * columns[i][0][c] if i < len(columns) else zero for i in range(d)] for c in range(K)]
    return [features, *middle, last]


def times(left: Matrix, right: Matrix) -> Matrix:
    """The product of two matrices, exact zeros skipped."""
    columns = list(zip(*right, strict=True))
    return [[mp.fsum(a * b for a, b in zip(row, column, strict=True) if a and b) for column in columns] for row in left]


def unit(size: int) -> Matrix:
    """The identity."""
    return [[mp.mpf(int(i == j)) for j in range(size)] for i in range(size)]


@dataclass(frozen=True)
class Derivatives:
    """Gradient and Hessian of the full loss.

    Attributes:
        gradient: Norm of the gradient, which says that the point is critical.
        rows: The Hessian, each row as its entries that are not zero.
    """

    gradient: mp.mpf
    rows: list[Vector]


class _Terms:
    """What second derivatives are made of, each number once: how every entry reaches the logits, and curvatures of the fit."""

    def __init__(self, model: Model, factors: list[Matrix]) -> None:
        above, below = [unit(len(model.sizes))], [unit(model.samples)]  # W_L .. W_(f+1), and W_(f-1) .. H_1
        for factor in reversed(factors[1:]):
            above.insert(0, times(above[0], factor))
        for factor in factors[:-1]:
            below.append(times(factor, below[-1]))
        error, self.bend = _fit(model, times(above[0], factors[0]))
        self.left = [[_sparse(column) for column in zip(*matrix, strict=True)] for matrix in above]
        self.right = [[_sparse(row) for row in matrix] for matrix in below]
        self.pulled = [[_applied(error, row) for row in level] for level in self.right]  # error times what stands below
        self.labels = [c for c, n in enumerate(model.sizes) for _ in range(n)]
        self.between: dict[tuple[int, int], Matrix] = {}
        for f in range(len(factors) - 1):
            self.between[f, f + 1] = unit(len(factors[f]))
            for g in range(f + 2, len(factors)):
                self.between[f, g] = times(factors[g - 1], self.between[f, g - 1])
        self.bent: dict[tuple[int, int, int, int, int], mp.mpf] = {}
        self.overlaps: dict[tuple[int, int, int, int], Vector] = {}

    def pull(self, f: int, j: int, g: int, m: int) -> mp.mpf:
        """The error between the column m above factor g and the row j below factor f."""
        return mp.fsum(x * self.pulled[f][j].get(a, 0) for a, x in self.left[g][m].items())

    def curved(self, f: int, i: int, g: int, m: int, c: int) -> mp.mpf:
        """The curvature of class c between the columns above two entries."""
        key = (f, i, g, m, c)
        if key not in self.bent:
            u, v, bend = self.left[f][i], self.left[g][m], self.bend[c]
            self.bent[key] = mp.fsum(bend[a][b] * x * y for a, x in u.items() for b, y in v.items() if bend[a][b])
        return self.bent[key]

    def overlap(self, f: int, j: int, g: int, n: int) -> Vector:
        """The product of the rows below two entries, class by class."""
        key = (f, j, g, n)
        if key not in self.overlaps:
            found: Vector = {}
            for s, x in self.right[f][j].items():
                if s in self.right[g][n]:
                    found[self.labels[s]] = found.get(self.labels[s], mp.mpf(0)) + x * self.right[g][n][s]
            self.overlaps[key] = found
        return self.overlaps[key]

    def second(self, one: tuple[int, int, int], other: tuple[int, int, int]) -> mp.mpf:
        """The second derivative of the fit in two entries, of which the first does not stand above the other."""
        (f, i, j), (g, m, n) = one, other
        terms = [weight * self.curved(f, i, g, m, c) for c, weight in self.overlap(f, j, g, n).items()]
        if g > f and (link := self.between[f, g][n][i]):
            terms.append(link * self.pull(f, j, g, m))
        return mp.fsum(terms)


def derivatives(model: Model, factors: list[Matrix]) -> Derivatives:
    """All second derivatives by the product rule, entry by entry."""
    terms, square = _Terms(model, factors), mp.mpf(0)
    places = [(f, i, j) for f, factor in enumerate(factors) for i in range(len(factor)) for j in range(len(factor[0]))]
    rows: list[Vector] = [{} for _ in places]
    for p, (f, i, j) in enumerate(places):
        slope = terms.pull(f, j, f, i) + model.decays[f] * factors[f][i][j]
        square += slope * slope
        for q in range(p, len(places)):
            value = terms.second(places[p], places[q]) + (mp.mpf(model.decays[f]) if p == q else 0)
            if value:
                rows[p][q] = rows[q][p] = value
    return Derivatives(mp.sqrt(square), rows)


def _sparse(values: Sequence[mp.mpf]) -> Vector:
    return {place: value for place, value in enumerate(values) if value}


def _applied(matrix: Matrix, vector: Vector) -> Vector:
    return {a: mp.fsum(row[s] * x for s, x in vector.items()) for a, row in enumerate(matrix)}


def _fit(model: Model, logits: Matrix) -> tuple[Matrix, list[Matrix]]:
    """First derivatives of the data part in the logits, sample by sample, and second ones, class by class."""
    K, N = len(model.sizes), model.samples
    labels = [c for c, n in enumerate(model.sizes) for _ in range(n)]
    error: Matrix = [[mp.mpf(0)] * N for _ in range(K)]
    bend: list[Matrix] = []
    for s, c in enumerate(labels):
        column = [row[s] for row in logits]
        if model.loss == "mse":
            p, curvature = column, unit(K)
        else:
            odds = [mp.exp(z) for z in column]
            p = [value / mp.fsum(odds) for value in odds]
            curvature = [[p[a] * ((a == b) - p[b]) for b in range(K)] for a in range(K)]
        for a in range(K):
            error[a][s] = (p[a] - (a == c)) / N
        if c == len(bend):
            bend.append([[value / N for value in row] for row in curvature])
    return error, bend


def negatives(rows: list[Vector], shift: mp.mpf, noise: mp.mpf) -> int:
    """Negative eigenvalues of the matrix minus shift, by sparse LDL' with diagonal pivots; entries below `noise` are dropped."""
    left = {p: {q: v for q, v in row.items() if abs(v) > noise or p == q} for p, row in enumerate(rows)}
    for p, row in left.items():
        row[p] = row.get(p, mp.mpf(0)) - shift
    found = 0
    while left:
        p = max(left, key=lambda k: abs(left[k][k]))
        line = left.pop(p)
        head = line.pop(p)
        found += head < 0
        for q in line:
            left[q].pop(p)
        for q, value in line.items():
            factor, row = value / head, left[q]
            for k, other in line.items():
                if k >= q:
                    changed = row.get(k, mp.mpf(0)) - factor * other
                    row[k] = left[k][q] = changed
    return found


def near_core(model: Model, rank: int, core: Sequence[mp.mpf], shift: float) -> Truth:
    """Nullity and index beside a core: H_1 with one column per class times sqrt(class size), W_1, .., W_L, row by row.

    Args:
        model: Model whose parameters are counted, with its decays.
        rank: Width of the core.
        core: Coordinates, as exact as the critical point is meant to be.
        shift: What separates zero eigenvalues from the others.
    """
    d, K, left = model.width, len(model.sizes), iter(core)
    label = [c for c, n in enumerate(model.sizes) for _ in range(n)]
    columns = [[next(left) / mp.sqrt(model.sizes[c]) for c in range(K)] for _ in range(rank)]
    features = [[row[c] for c in label] for row in columns] + [[mp.mpf(0)] * model.samples for _ in range(d - rank)]
    middle = [
        [[next(left) if i < rank and j < rank else mp.mpf(0) for j in range(d)] for i in range(d)] for _ in range(1, model.depth)
    ]
    last = [[next(left) if j < rank else mp.mpf(0) for j in range(d)] for _ in range(K)]
    rows = derivatives(model, [features, *middle, last]).rows
    low, high = (negatives(rows, sign * mp.mpf(shift), mp.mpf(shift) * mp.mpf(10) ** -9) for sign in (-1, 1))
    return Truth(high - low, low)


def truth(model: Model, parts: Sequence[Part]) -> Truth | None:
    """Nullity and index of a structure in the full model, or None where it does not exist.

    Raises:
        ArithmeticError: If the gradient does not vanish, or two shifts count differently: then there are too few digits.
    """
    with mp.workdps(digits(model)):
        factors = factors_of(model, parts)
        if factors is None:
            return None
        return counted(model, factors)


def counted(model: Model, factors: list[Matrix]) -> Truth:
    """Nullity and index at factors, with the digits that are set; see `truth`."""
    found = derivatives(model, factors)
    if not found.gradient < mp.mpf(10) ** (-mp.mp.dps * 2 // 3):
        raise ArithmeticError(f"gradient norm {mp.nstr(found.gradient, 3)}")
    noise = mp.mpf(10) ** (-mp.mp.dps * 0.6)
    low, high = (negatives(found.rows, sign * mp.mpf(10) ** (-mp.mp.dps / 2), noise) for sign in (-1, 1))
    return Truth(high - low, low)
