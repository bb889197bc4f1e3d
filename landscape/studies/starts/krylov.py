"""A start in the few directions that descent can reach: the block Krylov reduction of a linear model.

Descent changes W_2 within the range of (W_1 H_1)', H_1 within that of (W_2 W_1)', and so on: everything happens in the spaces that
range(H_1) and range(W_L') generate under the middle factors and their transposes. In orthonormal bases of them, group by group,
the start is an ordinary problem of a small width. The directions that are left out meet no data at first, only weight decay.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.decomposition import singular_vectors
from landscape.display import brief
from landscape.errors import InputError
from landscape.model.objective import Objective
from landscape.model.problem import Problem


@dataclass(frozen=True)
class ReducedStart:
    """A start of a wide model, written as a start of a narrower one.

    Attributes:
        problem: The narrow model, with the classes, decay and loss of the wide one.
        theta: Parameters of the narrow model at the start.
        sizes: Directions kept at each interface, from the features upwards; smaller ones are padded with zeros.
        exact: Whether every direction is kept that descent can reach, so that nothing was approximated.
    """

    problem: Problem
    theta: Float[Tensor, " p"]
    sizes: tuple[int, ...]
    exact: bool

    __repr__ = brief


def check_reducible(problem: Problem, groups: int) -> None:
    """Refuses a reduction that does not exist.

    Args:
        problem: The wide model.
        groups: T, the number of groups per interface.

    Raises:
        InputError: If the model is not linear, has one layer, is narrower than K + N, or T is too small.
    """
    least = 1 if problem.depth == 2 else 2
    if not problem.is_linear:
        raise InputError(f"expected linear layers for reduced starts, got {problem.activation}: use full starts")
    if problem.depth < 2:
        raise InputError("expected depth >= 2 for reduced starts, got 1: use full starts")
    if groups < least:
        raise InputError(f"expected at least {least} groups at depth {problem.depth}, got {groups}")
    needed = problem.classes + problem.total_samples
    if problem.width < needed:
        raise InputError(f"expected width >= {needed} (classes + samples) for reduced starts, got {problem.width}: use full starts")


def reduce_start(problem: Problem, theta: Float[Tensor, " p"], groups: int) -> ReducedStart:
    """Returns the projection of a start on the first groups of directions that descent reaches from it.

    Two layers: T groups per interface, alternately of K and N directions; the last one is cut to the room that the width leaves.
    Three and more: the forward images of the features and the backward images of W_L (together K + N directions per interface) are
    the groups 1 and 2, and every further group adds the images of the one before under the neighbouring factors.

    Args:
        problem: A linear model of width K + N at least.
        theta: Parameters of the start.
        groups: Groups of directions that are kept (T).

    Raises:
        InputError: If there is no such reduction.
    """
    check_reducible(problem, groups)
    factors = Objective.of(problem, theta).split(theta)
    bases = _bases(factors, groups)
    ends = [torch.eye(factors[0].shape[1], dtype=theta.dtype), *bases, torch.eye(problem.classes, dtype=theta.dtype)]
    small = [ends[i + 1].mT @ factor @ ends[i] for i, factor in enumerate(factors)]
    grown = _bases(factors, groups + 1)
    exact = all(old.shape == new.shape for old, new in zip(bases, grown, strict=True))
    return assembled(problem, small, exact)


def gauge_zeros_outside(problem: Problem, rank: int, width: int) -> int:
    """Returns how many more zero eigenvalues a critical point has in a wider model: rotations into the directions left out.

    Args:
        problem: The narrow linear model in which the point was found.
        rank: Rank of every factor at the point.
        width: Width of the wide model.
    """
    return problem.depth * rank * (width - problem.width)


def assembled(problem: Problem, factors: list[Float[Tensor, "_ _"]], exact: bool) -> ReducedStart:
    """Returns the narrow problem of factors whose inner sizes may differ: the smaller ones are padded with zeros.

    Rows and columns of zeros meet no gradient, so they stay zero.

    Args:
        problem: The wide model.
        factors: H_1, W_1, .., W_L in the bases of the interfaces.
        exact: Whether nothing was left out.
    """
    sizes = tuple(factor.shape[0] for factor in factors[:-1])
    narrow = replace(problem, width=max(sizes))
    parts = []
    for factor, (rows, columns) in zip(factors, narrow.shapes, strict=True):
        full = factor.new_zeros(rows, columns)
        full[: factor.shape[0], : factor.shape[1]] = factor
        parts.append(full.flatten())
    return ReducedStart(narrow, torch.cat(parts), sizes, exact)


def _bases(factors: list[Tensor], groups: int) -> list[Tensor]:
    """Returns an orthonormal basis per interface; a basis of fewer groups is the beginning of it."""
    features, *middle, last = factors
    depth = len(factors) - 1
    forward, backward = [features], [last.mT]
    for factor in middle:
        forward.append(factor @ forward[-1])
    for factor in reversed(middle):
        backward.insert(0, factor.mT @ backward[0])
    empty = features.new_zeros(features.shape[0], 0)
    near = [forward[i] if i < depth / 2 else backward[i] for i in range(depth)]
    bases = [_extended(empty, directions) for directions in near]
    newest = list(bases)
    if groups > 1:
        far = [backward[i] if i < depth / 2 else forward[i] for i in range(depth)]
        added = [_extended(basis, directions) for basis, directions in zip(bases, far, strict=True)]
        bases = [torch.cat(pair, 1) for pair in zip(bases, added, strict=True)]
        newest = added if depth == 2 else list(bases)
    for _ in range(2, groups):
        images = []
        for i in range(depth):
            parts = [middle[i - 1] @ newest[i - 1]] if i > 0 else []
            parts += [middle[i].mT @ newest[i + 1]] if i < depth - 1 else []
            images.append(torch.cat(parts, 1))
        newest = [_extended(basis, image) for basis, image in zip(bases, images, strict=True)]
        bases = [torch.cat(pair, 1) for pair in zip(bases, newest, strict=True)]
    return bases


def _extended(basis: Tensor, directions: Tensor) -> Tensor:
    """Returns an orthonormal basis of what the directions add to a basis, cut to the room that is left.

    Directions that add nothing, to rounding, are left out: images of middle factors may lie in the basis already.
    """
    room = basis.shape[0] - basis.shape[1]
    if room == 0 or directions.shape[1] == 0:
        return directions.new_zeros(basis.shape[0], 0)
    rest = directions
    for _ in range(2):
        rest = rest - basis @ (basis.mT @ rest)
    left, values, _ = singular_vectors(rest)
    scale = float(directions.norm())
    kept = left[:, : min(room, int((values > 1e-10 * scale).sum()))]
    if kept.shape[1] == 0:
        return kept
    orthonormal, _ = torch.linalg.qr(kept - basis @ (basis.mT @ kept))
    return orthonormal
