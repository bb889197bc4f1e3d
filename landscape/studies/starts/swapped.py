"""Counterfactual starts: one part of a random start is replaced, everything else stays bit for bit.

H_1 = Q R and W_2 = L P' (QR with positive diagonals). The parts are R, so the Gram matrix H_1' H_1; L, so W_2 W_2'; and the K x N
block P' W_1 Q of W_1. What follows from a swap changes too: H_1, W_2 or W_1 as a matrix, the first logits, the first loss.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.studies.starts.law import Ends, bartlett, gaussian, generator_of
from landscape.studies.starts.swap import Change, Swap


def swapped_ends(swap: Swap, problem: Problem, scales: tuple[float, float], seed: int, ends: Ends) -> Ends:
    """Returns the ends of a start with the changes made."""
    parts = {"features": ends.features, "weights": ends.weights, "block": ends.block}
    for change in swap.changes:
        parts[change.part] = _factor(change, problem, scales, seed, parts[change.part])
    return Ends(**parts)


def swapped_start(
    swap: Swap, problem: Problem, scales: tuple[float, float], seed: int, theta: Float[Tensor, " p"]
) -> Float[Tensor, " p"]:
    """Returns a full start with the changes made; factors that no change names are the same bit for bit.

    Args:
        swap: What is replaced.
        problem: A linear model; deeper ones have the features' and the last layer's parts.
        scales: c_W and c_H of the start.
        seed: Seed of the start.
        theta: Parameters of the start.

    Raises:
        InputError: If the problem has no such parts.
    """
    swap.check(problem)
    factors = Objective.of(problem, theta).split(theta)
    inside, features = _signed_qr(factors[0])
    outside, weights = _signed_qr(factors[-1].mT)
    block = outside.mT @ factors[1] @ inside if problem.depth == 2 else factors[0].new_zeros(weights.shape[0], features.shape[0])
    old = Ends(features, weights.mT.contiguous(), block)
    new = swapped_ends(swap, problem, scales, seed, old)
    named = {change.part for change in swap.changes}
    if "features" in named:
        factors[0] = inside @ new.features
    if "weights" in named:
        factors[-1] = new.weights @ outside.mT
    if "block" in named:
        factors[1] = factors[1] + outside @ (new.block - old.block) @ inside.mT
    return torch.cat([factor.flatten() for factor in factors])


def _factor(change: Change, problem: Problem, scales: tuple[float, float], seed: int, like: Tensor) -> Tensor:
    """Returns what replaces the part in the bases of `law.Ends`, from the seed's own stream for this part."""
    width = problem.width if change.anew else change.width
    weight_scale, feature_scale = scales
    generator = generator_of(seed, change.part)
    match change.part:
        case "features":
            scale = feature_scale * math.sqrt(problem.width)
            if change.gram is not None:
                return scale * _root(change.gram)
            return scale * _triangle(generator, width, like.shape[1])
        case "weights":
            return weight_scale * _triangle(generator, width, like.shape[0]).mT
        case "block":
            if width is None:
                return torch.zeros_like(like)
            return weight_scale / math.sqrt(width) * gaussian(generator, *like.shape)


def _root(gram: Sequence[Sequence[float]]) -> Tensor:
    """Returns the symmetric square root of a Gram matrix."""
    values, vectors = torch.linalg.eigh(torch.tensor(gram, dtype=torch.float64))
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.mT


def _triangle(generator: np.random.Generator, width: int | None, size: int) -> Tensor:
    """Returns R with R'R ~ Wishart(width) / width, or the identity, its limit; rows of zeros where the width is smaller."""
    if width is None:
        return torch.eye(size, dtype=torch.float64)
    factor = bartlett(generator, width, size) / math.sqrt(width)
    return torch.nn.functional.pad(factor, (0, 0, 0, size - factor.shape[0]))


def _signed_qr(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the QR factorisation with a non-negative diagonal, which makes it unique."""
    basis, triangle = torch.linalg.qr(matrix)
    signs = torch.where(triangle.diagonal() < 0, -1.0, 1.0).to(matrix)
    return basis * signs, triangle * signs[:, None]
