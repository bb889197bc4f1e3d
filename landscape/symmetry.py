"""The gauge group: rotations of the inner spaces that change nothing, and the dimension of the orbit through a point.

A rotation R_i in O(d) at interface i (between W_i and W_{i+1}, W_0 = H_1) sends (W_{i+1}, W_i) to (W_{i+1} R_i^T, R_i W_i). Linear
models have L interfaces; behind a rectifier only permutations survive, so a ReLU model keeps the first interface alone.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.objective import Objective
from landscape.problem import Problem


@dataclass(frozen=True)
class Orbit:
    """What the generators say at a point.

    Attributes:
        dimension: Their rank.
        smallest_singular: Their smallest non-zero singular value, in the basis E_jk - E_kj (infinity for dimension 0). A null
            direction X of the loss obeys H X = A(gradient), so twice the gradient norm over this bounds how far from zero the
            gauge eigenvalues can be at a point that is not exactly critical.
    """

    dimension: int
    smallest_singular: float


def interfaces(problem: Problem) -> int:
    """Returns how many interfaces have a continuous gauge freedom, counted from the features."""
    return problem.depth if problem.is_linear else 1


def rotate(problem: Problem, theta: Float[Tensor, " p"], generator: torch.Generator) -> Float[Tensor, " p"]:
    """Returns the same point in a random gauge: another parameter vector with the same logits and loss."""
    factors = Objective.of(problem, theta).split(theta)
    for index in range(interfaces(problem)):
        draw = torch.randn(problem.width, problem.width, dtype=theta.dtype, generator=generator)
        rotation = torch.linalg.qr(draw)[0].to(theta.device)
        factors[index] = rotation @ factors[index]
        factors[index + 1] = factors[index + 1] @ rotation.mT
    return torch.cat([factor.flatten() for factor in factors])


def relabel(problem: Problem, theta: Float[Tensor, " p"], order: list[int]) -> tuple[Problem, Float[Tensor, " p"]]:
    """Returns the problem and the point with class order[i] moved to place i."""
    factors = Objective.of(problem, theta).split(theta)
    blocks = factors[0].split(list(problem.class_sizes), dim=1)
    factors[0] = torch.cat([blocks[c] for c in order], dim=1)
    factors[-1] = factors[-1][order]
    moved = Problem(
        tuple(problem.class_sizes[c] for c in order),
        problem.width,
        problem.depth,
        problem.decay,
        problem.loss,
        problem.activation,
    )
    return moved, torch.cat([factor.flatten() for factor in factors])


def generators(problem: Problem, theta: Float[Tensor, " p"]) -> Float[Tensor, "p m"]:
    """Returns every tangent vector A_i: (W_{i+1}, W_i) -> (-W_{i+1} A_i, A_i W_i), A_i = E_jk - E_kj, as columns.

    The dense twin of `orbit`, for small widths: L d (d-1)/2 columns of P numbers.
    """
    return _tangents(Objective.of(problem, theta).split(theta), interfaces(problem))


def orbit(problem: Problem, factors: list[Float[Tensor, "_ _"]], tolerance: float) -> Orbit:
    """Returns the dimension of the gauge orbit, as the rank of its generators.

    The d-dimensional spaces are first compressed to the directions that the factors on either side use (singular values above
    `tolerance`); a rotation of those into the rest moves each factor on its own, so it is counted from a q x q matrix. The
    cost is one SVD per factor and one of size sum q (q-1)/2: cheap at low rank, as dear as the dense twin at full rank.

    Args:
        problem: The model, whose width is that of the whole spaces.
        factors: H_1, W_1, .., W_L, either of the point itself or of its core: padding with zeros adds nothing that is not counted.
        tolerance: Singular values of the factors and generators up to this count as zero (absolute).
    """
    count, dimension, smallest = interfaces(problem), 0, float("inf")
    ends = []  # an orthonormal basis of the used directions of each interface
    for index in range(count):
        around = torch.cat([factors[index], factors[index + 1].mT], dim=1)
        left, values, _ = torch.linalg.svd(around, full_matrices=False)
        used = int((values > tolerance).sum())
        ends.append(left[:, :used])
        cross = torch.cat([ends[index].mT @ factors[index], (factors[index + 1] @ ends[index]).mT], dim=1)
        sizes = torch.linalg.svdvals(cross)
        dimension += (problem.width - used) * int((sizes > tolerance).sum())
        if used < problem.width and used:
            smallest = min(smallest, float(sizes[sizes > tolerance].min()))
    compressed = []
    for index, factor in enumerate(factors[: count + 1]):
        inner = factor if index == count else ends[index].mT @ factor
        inner = inner @ ends[index - 1] if index else inner
        compressed.append(_square(inner, index, count))
    support = torch.linalg.svdvals(_tangents(compressed, count))
    support = support[support > tolerance]
    if support.numel():
        smallest = min(smallest, float(support.min()))
    return Orbit(dimension + support.numel(), smallest)


def _square(factor: Tensor, index: int, count: int) -> Tensor:
    """Shortens the side of an outer factor that no generator touches, keeping all inner products."""
    if index == 0:
        return torch.linalg.qr(factor.mT)[1].mT
    return torch.linalg.qr(factor)[1] if index == count else factor


def _tangents(factors: list[Tensor], count: int) -> Tensor:
    """Returns the generators at the first `count` interfaces of a chain of factors, as columns of the flat vector."""
    columns = []
    for index in range(count):
        size = factors[index].shape[0]
        upper = torch.triu_indices(size, size, 1, device=factors[0].device)
        skew = torch.zeros(upper.shape[1], size, size, dtype=factors[0].dtype, device=factors[0].device)
        pairs = torch.arange(upper.shape[1], device=factors[0].device)
        skew[pairs, upper[0], upper[1]], skew[pairs, upper[1], upper[0]] = 1.0, -1.0
        moves = [torch.zeros(upper.shape[1], factor.numel(), dtype=factor.dtype, device=factor.device) for factor in factors]
        moves[index] = (skew @ factors[index]).flatten(1)
        moves[index + 1] = (-factors[index + 1] @ skew).flatten(1)
        columns.append(torch.cat(moves, dim=1))
    return torch.cat(columns).mT
