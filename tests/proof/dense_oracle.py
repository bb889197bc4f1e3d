"""The Hessian of the full model in mpmath, from products of the factors, and its inertia by LDL'. Shares no code with the package.

Small problems only: P(P+1)/2 second derivatives, then P^3/3 operations of arbitrary precision.
"""

from itertools import pairwise

import mpmath as mp
import numpy as np


def factors_of(core, problem, rank):
    """The factors of the core from its coordinates, as object arrays of mpf."""
    K, L = problem.classes, problem.depth
    shapes = [(rank, K), *[(rank, rank)] * (L - 1), (K, rank)]
    ends = np.cumsum([0] + [a * b for a, b in shapes])
    values = np.array([mp.mpf(value) for value in core], dtype=object)
    return [values[i:j].reshape(shape) for (i, j), shape in zip(pairwise(ends), shapes, strict=True)]


def embedded(core, problem, rank):
    """The full model's factors: every sample of a class has its feature, every inner dimension is padded with zeros."""
    small, d = factors_of(core, problem, rank), problem.width
    sizes = np.array(problem.class_sizes)
    labels = np.repeat(np.arange(problem.classes), sizes)
    roots = np.array([mp.sqrt(int(n)) for n in sizes], dtype=object)
    shapes = problem.shapes
    full = [np.full(shape, mp.mpf(0), dtype=object) for shape in shapes]
    full[0][:rank] = (small[0] / roots)[:, labels]
    for i in range(1, problem.depth):
        full[i][:rank, :rank] = small[i]
    full[-1][:, :rank] = small[-1]
    assert d >= rank
    return full, labels


def _chain(factors):
    total = factors[0]
    for factor in factors[1:]:
        total = factor.dot(total)
    return total


def _fit(problem, logits, labels):
    """Gradient and curvature of the data part, sample by sample."""
    K, N = logits.shape
    gradient, bends = np.empty_like(logits), []
    for j in range(N):
        target = np.array([mp.mpf(int(i == labels[j])) for i in range(K)], dtype=object)
        if problem.loss == "mse":
            gradient[:, j] = (logits[:, j] - target) / N
            bends.append(np.array([[mp.mpf(int(a == b)) / N for b in range(K)] for a in range(K)], dtype=object))
        else:
            odds = np.array([mp.exp(value) for value in logits[:, j]], dtype=object)
            p = odds / odds.sum()
            gradient[:, j] = (p - target) / N
            bends.append(np.array([[(p[a] * int(a == b) - p[a] * p[b]) / N for b in range(K)] for a in range(K)], dtype=object))
    return gradient, bends


def full_hessian(core, problem, rank):
    """All second derivatives of the full loss at the embedded core."""
    factors, labels = embedded(core, problem, rank)
    gradient, bends = _fit(problem, _chain(factors), labels)
    units = [(f, index) for f, factor in enumerate(factors) for index in np.ndindex(factor.shape)]
    moved = []
    for f, index in units:
        one = np.full(factors[f].shape, mp.mpf(0), dtype=object)
        one[index] = mp.mpf(1)
        moved.append(one)
    first = [_chain([*factors[:f], one, *factors[f + 1 :]]) for (f, _), one in zip(units, moved, strict=True)]
    bent = [np.stack([bends[j].dot(dz[:, j]) for j in range(len(labels))], axis=1) for dz in first]
    hessian = np.full((len(units), len(units)), mp.mpf(0), dtype=object)
    for a, (f, _) in enumerate(units):
        hessian[a, a] += mp.mpf(problem.decays[f])
        for b in range(a, len(units)):
            value = (bent[a] * first[b]).sum()
            g = units[b][0]
            if g > f:
                both = _chain([*factors[:f], moved[a], *factors[f + 1 : g], moved[b], *factors[g + 1 :]])
                value += (gradient * both).sum()
            hessian[a, b] += value
            if b > a:
                hessian[b, a] = hessian[a, b]
    return hessian


def inertia(hessian, smallest):
    """Negative and zero eigenvalues by LDL' with pivots on the diagonal, 2 x 2 where all of those are small.

    Args:
        hessian: A symmetric matrix.
        smallest: Pivots below this, in absolute value, are zero; the caller sets digits so that it separates.
    """
    rest, negative = hessian.copy(), 0
    while rest.size:
        sizes = [abs(rest[i, i]) for i in range(len(rest))]
        i = max(range(len(rest)), key=lambda k: sizes[k])
        off = max((abs(rest[a, b]), a, b) for a in range(len(rest)) for b in range(a, len(rest)))
        if off[0] < smallest:
            return negative, len(rest)
        if sizes[i] >= off[0] / 4:
            picked = [i]
            negative += int(rest[i, i] < 0)
            inverse = np.array([[1 / rest[i, i]]], dtype=object)
        else:
            picked = [off[1], off[2]]
            a, b, c = rest[off[1], off[1]], rest[off[1], off[2]], rest[off[2], off[2]]
            det = a * c - b * b
            assert det < 0
            negative += 1
            inverse = np.array([[c / det, -b / det], [-b / det, a / det]], dtype=object)
        kept = [k for k in range(len(rest)) if k not in picked]
        side = rest[np.ix_(kept, picked)]
        rest = rest[np.ix_(kept, kept)] - side.dot(inverse).dot(side.T)
    return negative, 0


def counts(core, problem, rank, smallest="1e-9"):
    """Index and nullity of the full model at the embedded core."""
    return inertia(full_hessian(core, problem, rank), mp.mpf(smallest))
