"""Dimensions of the critical manifold: that of the gauge orbit, and the one that Theorem 5 of the paper counts.

Source: Garrod and Keating, arXiv:2410.23169. Where the measured truth differs from the paper, both have names of their own.
"""

import math
from collections.abc import Sequence

from landscape.model.problem import Problem

_EQUAL = 1e-6  # relative difference up to which two singular values count as one in the paper's dimension


def orbit_dimension(rank: int, width: int, depth: int) -> int:
    """Returns L (d r - r (r+1)/2), the dimension of the gauge orbit: L copies of the Stiefel manifold of r-frames in R^d.

    The gauge group O(d)^L acts on a linear critical point of rank r with this orbit dimension whatever the multiplicities of
    its singular values, because the logits fix the frame at both ends. The data symmetry of squared error adds to it: see
    `orbit_dimension_at`.

    Example:
        >>> import landscape as ls
        >>> ls.orbit_dimension(rank=9, width=70, depth=2)
        1170
    """
    return depth * (width * rank - rank * (rank + 1) // 2)


def equal_classes(problem: Problem) -> tuple[tuple[int, ...], ...]:
    """Returns the sets of two or more equal classes whose outputs can be rotated without changing the data part of the loss.

    Squared error with linear layers has them: Z -> U Z U', U orthogonal on classes of one size. Cross-entropy and rectified
    hidden layers allow permutations of the classes only, so they have none.
    """
    if problem.loss != "mse" or not problem.is_linear:
        return ()
    sizes = problem.class_sizes
    members = [tuple(c for c, size in enumerate(sizes) if size == n) for n in dict.fromkeys(sizes)]
    return tuple(group for group in members if len(group) > 1)


def paper_dimension(multiplicities: Sequence[int], width: int, depth: int) -> int:
    """Returns the dimension that Theorem 5 of the paper counts: L flag manifolds, which for r equal singular values is L r (d-r).

    Smaller than `orbit_dimension` as soon as a singular value repeats; the measured nullity agrees with `orbit_dimension`.

    Example:
        >>> import landscape as ls
        >>> ls.paper_dimension([9], width=70, depth=2)  # deep neural collapse of ten classes: nine equal singular values
        1098

    Args:
        multiplicities: Multiplicities of the distinct non-zero singular values of the logits; their sum is the rank.
        width: Common inner dimension d.
        depth: Number L of weight matrices.
    """
    rank = sum(multiplicities)
    return orbit_dimension(rank, width, depth) - depth * sum(m * (m - 1) // 2 for m in multiplicities)


def paper_dimension_at(problem: Problem, singular: Sequence[float]) -> int | None:
    """Returns `paper_dimension` for the logits' non-zero singular values, descending; None below width K (Theorem 5 is silent)."""
    if problem.width < problem.classes:
        return None
    multiplicities: list[int] = []
    last = math.inf
    for value in singular:
        if multiplicities and last - value <= _EQUAL * last:
            multiplicities[-1] += 1
        else:
            multiplicities.append(1)
        last = value
    return paper_dimension(multiplicities, problem.width, problem.depth)
