"""The continuous symmetries of the loss, and the dimension of the orbit through a point.

Gauge: a rotation R_i in O(d) at interface i (between W_i and W_{i+1}, W_0 = H_1) sends (W_{i+1}, W_i) to (W_{i+1} R_i^T, R_i W_i).
Linear models have L interfaces; behind a rectifier only permutations survive, so a ReLU model keeps the first interface alone.

Data symmetry: squared error of a linear model does not change under (W_L, H_1) -> (U W_L, H_1 V^T), where U in O(m) turns m
classes of equal size and V turns their normalised indicator vectors in the space of samples in the same way.

Two more groups leave the loss alone but every critical point too, so they add no dimension. Under linear squared error V may also
be any rotation of the differences within classes. Under cross-entropy the column sums 1^T W_L may turn in R^d by themselves.
The tests find all affine symmetries of small models by linear algebra: there are no others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.decomposition import singular_vectors
from landscape.model.dimensions import equal_classes
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.model.wide_factor import shortened


@dataclass(frozen=True)
class Orbit:
    """Dimension of the orbit at a point, measured as the rank of the generators.

    Attributes:
        dimension: Rank of the generators of the gauge group and of the data symmetry together.
        smallest_singular: Smallest non-zero singular value of the generators, in the basis E_jk - E_kj (infinity for dimension 0).
            A null direction X of the loss obeys H X = A(gradient), so twice the gradient norm over this bounds how far from zero
            the eigenvalues of the orbit can be at a point that is not exactly critical.
        data: The part of the dimension that the data symmetry adds to that of the gauge group.
    """

    dimension: int
    smallest_singular: float
    data: int = 0


def interfaces(problem: Problem) -> int:
    """Returns how many interfaces have a continuous gauge freedom, counted from the features."""
    return problem.depth if problem.is_linear else 1


def rotate(problem: Problem, theta: Float[Tensor, " p"], generator: torch.Generator) -> Float[Tensor, " p"]:
    """Returns the same point in a random gauge: another parameter vector with the same logits and loss.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> point = ls.place(problem, ls.Collapse())
        >>> moved = ls.rotate(problem, point.theta, torch.Generator().manual_seed(0))
        >>> bool((moved - point.theta).norm() > 1), abs(float(ls.objective(problem).loss(moved)) - point.loss) < 1e-14
        (True, True)
    """
    factors = Objective.of(problem, theta).split(theta)
    for index in range(interfaces(problem)):
        draw = torch.randn(problem.width, problem.width, dtype=theta.dtype, generator=generator)
        rotation = torch.linalg.qr(draw)[0].to(theta.device)
        factors[index] = rotation @ factors[index]
        factors[index + 1] = factors[index + 1] @ rotation.mT
    return torch.cat([factor.flatten() for factor in factors])


def generators(problem: Problem, theta: Float[Tensor, " p"]) -> Float[Tensor, "p m"]:
    """Returns every gauge tangent A_i: (W_{i+1}, W_i) -> (-W_{i+1} A_i, A_i W_i), A_i = E_jk - E_kj, as columns.

    Part of the dense twin of `orbit`, for small widths: L d (d-1)/2 columns of P numbers. The rest are `data_generators`.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> tangents = ls.generators(problem, ls.place(problem, ls.Collapse()).theta)
        >>> tuple(tangents.shape), int(torch.linalg.matrix_rank(tangents))
        ((108, 30), 24)
    """
    return gauge_tangents(Objective.of(problem, theta).split(theta), interfaces(problem))


def data_generators(problem: Problem, theta: Float[Tensor, " p"]) -> Float[Tensor, "p m"]:
    """Returns every tangent of the data symmetry, B: (W_L, H_1) -> (B W_L, -H_1 Q B Q^T), B = E_jk - E_kj, as columns.

    Q holds the normalised indicator vectors of the classes, and j < k are equal classes. There are no columns where the problem has
    no `equal_classes`.
    """
    features, *layers = Objective.of(problem, theta).split(theta)
    basis = _class_basis(problem, theta)
    moves = data_tangents(problem, [features @ basis, *layers])
    small = problem.width * problem.classes
    lifted = moves[:small].mT.unflatten(1, (problem.width, problem.classes)) @ basis.mT
    return torch.cat([lifted.flatten(1).mT, moves[small:]])


def orbit(problem: Problem, factors: list[Float[Tensor, "_ _"]], tolerance: float) -> Orbit:
    """Returns the dimension of the orbit, as the rank of the generators of the gauge group and the data symmetry.

    The d-dimensional spaces are first compressed to the directions that the factors on either side use (singular values above
    `tolerance`); a rotation of those into the rest moves each factor on its own, so it is counted from a q x q matrix. The
    cost is one SVD per factor and one of size sum q (q-1)/2: cheap at low rank, as expensive as the dense twin at full rank.

    Args:
        problem: The model, whose width is that of the whole spaces.
        factors: H_1, W_1, .., W_L, either of the point itself or of its core: padding with zeros adds nothing that is not counted.
        tolerance: Singular values of the factors and generators up to this count as zero (absolute).
    """
    count, cross, smallest = interfaces(problem), 0, float("inf")
    ends = []  # an orthonormal basis of the used directions of each interface
    for index in range(count):
        around = torch.cat([factors[index], factors[index + 1].mT], dim=1)
        left, values, _ = singular_vectors(shortened(around))
        used = int((values > tolerance).sum())
        ends.append(left[:, :used])
        inside = torch.cat([ends[index].mT @ factors[index], (factors[index + 1] @ ends[index]).mT], dim=1)
        sizes = torch.linalg.svdvals(shortened(inside))
        cross += (problem.width - used) * int((sizes > tolerance).sum())
        if used < problem.width and used:
            smallest = min(smallest, float(sizes[sizes > tolerance].min()))
    inner = [ends[0].mT @ factors[0], *(ends[i].mT @ factors[i] @ ends[i - 1] for i in range(1, count))]
    inner.append(factors[count] @ ends[count - 1])
    gauge = support = _above(gauge_tangents(_squared(inner), count), tolerance)
    if equal_classes(problem):
        inner[0] = inner[0] @ class_frame(problem, factors[0], tolerance)
        support = _above(torch.cat([gauge_tangents(inner, count), data_tangents(problem, inner)], dim=1), tolerance)
    if support.numel():
        smallest = min(smallest, float(support.min()))
    return Orbit(cross + support.numel(), smallest, support.numel() - gauge.numel())


def class_frame(problem: Problem, features: Float[Tensor, "q m"], tolerance: float) -> Float[Tensor, "m n"]:
    """Returns orthonormal columns in the space of samples: the K normalised class indicators, then what else the features use.

    What else there is are differences within classes, zero at critical points. For features of a core, with one column per class,
    the frame is the identity.
    """
    if features.shape[1] == problem.classes:
        return torch.eye(problem.classes, dtype=features.dtype, device=features.device)
    basis = _class_basis(problem, features)
    return torch.cat([basis, span((features - features @ basis @ basis.mT).mT, tolerance)], dim=1)


def span(matrix: Float[Tensor, "n m"], tolerance: float) -> Float[Tensor, "n r"]:
    """Returns an orthonormal basis of the column space, singular values up to the tolerance dropped."""
    left, values, _ = singular_vectors(matrix)
    return left[:, : int((values > tolerance).sum())].contiguous()


def _class_basis(problem: Problem, like: Tensor) -> Tensor:
    """Returns the normalised indicator vectors of the classes in the space of samples, as columns."""
    sizes = torch.tensor(problem.class_sizes, device=like.device)
    identity = torch.eye(problem.classes, dtype=like.dtype, device=like.device)
    return (identity / sizes.to(like.dtype).sqrt()).repeat_interleave(sizes, dim=0)


def _squared(inner: list[Tensor]) -> list[Tensor]:
    """Shortens the sides of the outer factors that no rotation of the inner spaces touches, keeping all inner products."""
    first, *middle, last = inner
    return [torch.linalg.qr(shortened(first).mT)[1].mT, *middle, torch.linalg.qr(last)[1]]


def _above(matrix: Tensor, tolerance: float) -> Tensor:
    values = torch.linalg.svdvals(matrix)
    return values[values > tolerance]


def gauge_tangents(factors: list[Float[Tensor, "_ _"]], count: int) -> Float[Tensor, "p m"]:
    """Returns the rotations at the first `count` interfaces of any chain of factors, as columns of the flat vector."""
    columns = []
    for index in range(count):
        skew = _skew(factors[0], [tuple(range(factors[index].shape[0]))], factors[index].shape[0])
        moves = [factor.new_zeros(len(skew), factor.numel()) for factor in factors]
        moves[index] = (skew @ factors[index]).flatten(1)
        moves[index + 1] = (-factors[index + 1] @ skew).flatten(1)
        columns.append(torch.cat(moves, dim=1))
    return torch.cat(columns).mT


def data_tangents(problem: Problem, factors: list[Float[Tensor, "_ _"]]) -> Float[Tensor, "p m"]:
    """Returns the rotations of equal classes, as columns of the flat vector of a chain of factors.

    Args:
        problem: The model; without `equal_classes` there are no columns.
        factors: Factors from features whose first K columns are those of the classes (in a `class_frame`) to K outputs.
    """
    skew = _skew(factors[0], equal_classes(problem), problem.classes)
    moves = [factor.new_zeros(len(skew), factor.numel()) for factor in factors]
    first = factors[0].new_zeros(len(skew), *factors[0].shape)
    first[:, :, : problem.classes] = -factors[0][:, : problem.classes] @ skew
    moves[0], moves[-1] = first.flatten(1), (skew @ factors[-1]).flatten(1)
    return torch.cat(moves, dim=1).mT


def _skew(like: Tensor, sets: Sequence[tuple[int, ...]], size: int) -> Float[Tensor, "m k k"]:
    """Returns E_jk - E_kj for every pair j < k of each set."""
    pairs = torch.tensor([pair for members in sets for pair in combinations(members, 2)], device=like.device).reshape(-1, 2).long()
    places = torch.arange(len(pairs), device=like.device)
    skew = like.new_zeros(len(pairs), size, size)
    skew[places, pairs[:, 0], pairs[:, 1]], skew[places, pairs[:, 1], pairs[:, 0]] = 1.0, -1.0
    return skew
