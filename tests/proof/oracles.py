"""Independent of landscape: scale equations, DNC in closed form and dense core Hessians of structures, in mpmath."""

from collections.abc import Sequence
from typing import Any

from mpmath import mp

Number = Any
Matrix = list[list[Any]]


def loss_slope(classes: int, size: int, share: Number, samples: int, decay: Number, depth: int, scale: Number) -> Number:
    """Derivative of the loss of one group along its scale, from the formula of the loss itself."""

    def loss(a: Number) -> Number:
        fit = mp.log(mp.exp(a * (1 - mp.mpf(1) / size)) + (size - 1) * mp.exp(-a / size) + classes - size)
        regulariser = decay * (depth + 1) / 2 * (size - 1) * (a * mp.sqrt(samples)) ** (mp.mpf(2) / (depth + 1))
        return size * share * (fit - a * (1 - mp.mpf(1) / size)) + regulariser

    return mp.diff(loss, scale)


def dnc_peak(classes: int, depth: int) -> Number:
    """The scale at the fold of DNC: a e^a / (e^a + K - 1) = (L-1)/(L+1)."""
    power = mp.mpf(depth - 1) / (depth + 1)
    return mp.findroot(lambda a: a * mp.exp(a) / (mp.exp(a) + classes - 1) - power, (mp.mpf(1) / 100, 3), solver="anderson")


def dnc_decay(classes: int, samples: int, depth: int, scale: Number) -> Number:
    """The decay at which a scale is critical."""
    pull = 1 / (mp.exp(scale) + classes - 1)
    return pull * scale ** (mp.mpf(depth - 1) / (depth + 1)) * mp.mpf(samples) ** (-mp.mpf(1) / (depth + 1))


def dnc_scale(classes: int, samples: int, depth: int, decay: Number, root: str) -> Number | None:
    """The root of the scale equation by bisection between the peak and a far end; None above the fold."""
    target = mp.mpf(decay)
    if depth == 1:
        inner, outer = mp.mpf(0), mp.mpf(2000)
        if dnc_decay(classes, samples, depth, inner) <= target:
            return None
    else:
        inner, outer = dnc_peak(classes, depth), mp.mpf(2000) if root == "large" else mp.mpf(10) ** -400
        if dnc_decay(classes, samples, depth, inner) < target:
            return None
    for _ in range(2 * mp.prec):
        middle = (inner + outer) / 2 if root == "large" else mp.sqrt(inner * outer)
        inner, outer = (middle, outer) if dnc_decay(classes, samples, depth, middle) > target else (inner, middle)
    return inner


def dnc_counts(classes: int, samples: int, width: int, depth: int, decay: Number, scale: Number) -> tuple[int, int]:
    """Nullity and index of DNC from its closed form (balanced, one decay; derived apart from the blocks of partitions)."""
    K, L, n, r = classes, depth, samples, classes - 1
    decay = mp.mpf(decay)
    q = mp.exp(-scale) / (1 + (K - 1) * mp.exp(-scale))
    w, b = 1 - K * q, decay * scale / K
    f_s, f_t = b * (1 + (K - 2) * w), b * (1 + (K - 1) * w)
    table = [(mp.mpf(0), L * r * (width - r) + L * r * (r - 1) // 2)]
    table += [((1 - L) * decay + (L + 1) * b, max(K * (K - 3) // 2, 0)), ((1 - L) * decay + (L + 1) * f_t, 1)]
    if K == 2:
        table.append((decay + b * (2 - K * q), 1))
    else:
        one, two = 2 * decay + (L + 1) * (f_s - decay), decay + b * (2 - K * q)
        coupling = (L + 1) * (b * w) ** 2 * (K - 2)
        mean, radius = (one + two) / 2, mp.sqrt(((one - two) / 2) ** 2 + coupling)
        table += [(mean - radius, K - 1), (mean + radius, K - 1)]
    table.append((decay + f_t, K * (n - 1)))
    return sum(times for value, times in table if value == 0), sum(times for value, times in table if value < 0)


def product(factors: Sequence[Matrix]) -> Matrix:
    """The product of matrices, the first one rightmost."""
    total = factors[0]
    for left in factors[1:]:
        columns = range(len(total[0]))
        total = [[mp.fsum(row[k] * total[k][j] for k in range(len(total)) if row[k]) for j in columns] for row in left]
    return total


def core(structure: Sequence[tuple[int, int, Number]], decays: Sequence[Number], loss: str) -> list[Matrix]:
    """Factors H, W_1 .. W_L of a structure in aligned frames, one column per class, from (size, samples, scale) of its groups."""
    columns, singular, start = [], [], 0
    classes = sum(size for size, _, _ in structure)
    for size, samples, scale in structure:
        if scale:
            if loss == "mse":
                basis = [[mp.mpf(1)]]
            else:  # Helmert contrasts
                basis = [[mp.mpf(1)] * k + [mp.mpf(-k)] + [mp.mpf(0)] * (size - k - 1) for k in range(1, size)]
            for vector in basis:
                norm = mp.sqrt(mp.fsum(v * v for v in vector))
                padded = [mp.mpf(0)] * start + [v / norm for v in vector]
                columns.append(padded + [mp.mpf(0)] * (classes - len(padded)))
                singular.append(scale * mp.sqrt(samples))
        start += size
    depth, rank = len(decays) - 1, len(columns)
    mean = mp.exp(mp.fsum(mp.log(mp.mpf(d)) for d in decays) / (depth + 1))
    values = [[s ** (mp.mpf(1) / (depth + 1)) * mp.sqrt(mean / mp.mpf(d)) for s in singular] for d in decays]
    features = [[values[0][i] * columns[i][c] for c in range(classes)] for i in range(rank)]
    middle = [[[values[k][i] * (i == j) for j in range(rank)] for i in range(rank)] for k in range(1, depth)]
    last = [[values[depth][i] * columns[i][c] for i in range(rank)] for c in range(classes)]
    return [features, *middle, last]


def core_hessian(factors: list[Matrix], sizes: Sequence[int], decays: Sequence[Number], loss: str) -> tuple[Matrix, Number]:
    """The dense Hessian of the core by its definition, entry by entry, and the norm of the gradient."""
    places = [(k, i, j) for k, factor in enumerate(factors) for i in range(len(factor)) for j in range(len(factor[0]))]
    above = [product(factors[k + 1 :]) if k + 1 < len(factors) else None for k in range(len(factors))]
    below = [product(factors[:k]) if k else None for k in range(len(factors))]
    classes, total = len(sizes), sum(sizes)
    logits = [[entry / mp.sqrt(sizes[c]) for c, entry in enumerate(row)] for row in product(factors)]
    bend, error = [], []
    for c in range(classes):
        column = [logits[k][c] for k in range(classes)]
        if loss == "ce":
            exps = [mp.exp(z - max(column)) for z in column]
            p = [e / mp.fsum(exps) for e in exps]
            rho = [[p[i] * ((i == j) - p[j]) for j in range(classes)] for i in range(classes)]
        else:
            p, rho = column, [[mp.mpf(int(i == j)) for j in range(classes)] for i in range(classes)]
        weight = mp.mpf(sizes[c]) / total
        bend.append([[weight / sizes[c] * entry for entry in row] for row in rho])
        error.append([weight / mp.sqrt(sizes[c]) * (p[i] - (i == c)) for i in range(classes)])

    def left(k: int, i: int) -> list[Number]:
        return [row[i] for row in above[k]] if above[k] else [mp.mpf(int(row == i)) for row in range(classes)]

    def right(k: int, j: int) -> list[Number]:
        return below[k][j] if below[k] else [mp.mpf(int(column == j)) for column in range(classes)]

    first = [(left(k, i), right(k, j)) for k, i, j in places]
    size = len(places)
    hessian = [[mp.mpf(0)] * size for _ in range(size)]
    gradient = []
    for a, (k, i, j) in enumerate(places):
        u, v = first[a]
        gradient.append(
            mp.fsum(error[c][o] * u[o] * v[c] for c in range(classes) for o in range(classes)) + decays[k] * factors[k][i][j]
        )
        pushed = [[mp.fsum(bend[c][o][m] * u[m] for m in range(classes)) * v[c] for o in range(classes)] for c in range(classes)]
        for b in range(a + 1):
            m, s, t = places[b]
            other, columns = first[b]
            value = mp.fsum(pushed[c][o] * other[o] * columns[c] for c in range(classes) if columns[c] for o in range(classes))
            if m < k:  # factor m stands below factor k
                between = product(factors[m + 1 : k])[j][s] if k > m + 1 else mp.mpf(int(j == s))
                ends = right(m, t)
                value += between * mp.fsum(error[c][o] * u[o] * ends[c] for c in range(classes) if ends[c] for o in range(classes))
            if a == b:
                value += mp.mpf(decays[k])
            hessian[a][b] = hessian[b][a] = value
    return hessian, mp.sqrt(mp.fsum(g * g for g in gradient))


def negatives(matrix: Matrix, shift: Number) -> int:
    """Negative eigenvalues of matrix - shift by LDL' with the digits that are set."""
    rows, found = [[entry - shift * (i == j) for j, entry in enumerate(row)] for i, row in enumerate(matrix)], 0
    while rows:
        place = max(range(len(rows)), key=lambda i: abs(rows[i][i]))
        line = rows.pop(place)
        head = line.pop(place)
        found += head < 0
        for row in rows:
            factor = row.pop(place) / head
            if factor:
                for j, entry in enumerate(line):
                    row[j] -= factor * entry
    return found
