"""Random starts of any width, drawn directly in the directions that descent reaches: two layers, an exact law.

W_1 is block tridiagonal between the groups of `krylov`, because what is left of a Gaussian matrix after some of its rows and
columns have been fixed is Gaussian and independent of them. The triangular factors are Bartlett's (1933), so a start of width
10^6 costs what one of width K + N costs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from landscape.display import brief
from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.studies.starts.krylov import ReducedStart, assembled, check_reducible


@dataclass(frozen=True)
class Ends:
    """The parts of a start of two layers that a swap may change, in the bases of range(H_1) and range(W_2').

    Attributes:
        features: Triangular factor R of H_1 = Q R, with the scale of the features.
        weights: Triangular factor L of W_2 = L P', with the scale of the weights.
        block: P' W_1 Q, the only part of W_1 that the first logits see.
    """

    features: Float[Tensor, "q n"]
    weights: Float[Tensor, "k p"]
    block: Float[Tensor, "p q"]

    __repr__ = brief


@dataclass(frozen=True)
class LawStart:
    """A start drawn by the law of a width: its ends, and the groups of W_1 in the order in which they were drawn.

    Attributes:
        problem: The wide model that the start belongs to.
        ends: Features, weights and their common block of W_1.
        rows: Sizes of the groups on the side of W_2.
        columns: Sizes of the groups on the side of H_1.
        blocks: Blocks of W_1 by (row group, column group), without the first one, which is in `ends`.
    """

    problem: Problem
    ends: Ends
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    blocks: Mapping[tuple[int, int], Float[Tensor, "_ _"]] = field(default_factory=dict)

    __repr__ = brief

    def with_ends(self, ends: Ends) -> "LawStart":
        """Returns the start with other ends, everything else as it is."""
        return replace(self, ends=ends)

    def reduced(self) -> ReducedStart:
        """Returns the start as one of an ordinary narrow problem."""
        down, across = _offsets(self.rows), _offsets(self.columns)
        middle = torch.zeros(down[-1], across[-1], dtype=torch.float64)
        for (i, j), block in {**self.blocks, (0, 0): self.ends.block}.items():
            middle[down[i] : down[i + 1], across[j] : across[j + 1]] = block
        features = torch.zeros(across[-1], self.ends.features.shape[1], dtype=torch.float64)
        features[: across[1]] = self.ends.features
        weights = torch.zeros(self.ends.weights.shape[0], down[-1], dtype=torch.float64)
        weights[:, : down[1]] = self.ends.weights
        filled = max(down[-1], across[-1]) == self.problem.width and down[-1] == across[-1]
        return assembled(self.problem, [features, middle, weights], filled)


def _offsets(sizes: Sequence[int]) -> list[int]:
    return [sum(sizes[:i]) for i in range(len(sizes) + 1)]


def draw_law(problem: Problem, scales: tuple[float, float], groups: int, seed: int) -> LawStart:
    """Returns a start with the law of W_l ~ N(0, c_W^2 / d), H_1 ~ N(0, c_H^2), in its first groups of directions.

    Groups are drawn one after the other from the seed's generator, so the start of T groups is the beginning of that of T + 1. The
    last group is cut to the room that the width leaves; when the width is filled nothing is left out.

    Args:
        problem: A linear model of two layers, of width K + N at least.
        scales: c_W and c_H.
        groups: Groups of directions that are kept (T).
        seed: Seed of this start.

    Raises:
        InputError: If the law does not exist for the model: use full starts, or their projection for three and more layers.
    """
    check_reducible(problem, groups)
    if problem.depth != 2:
        raise InputError(f"expected depth 2 for the exact law of a width, got {problem.depth}: project full starts")
    weight_scale, feature_scale = scales
    width, inner = problem.width, weight_scale / math.sqrt(problem.width)
    generator = generator_of(seed, "law")
    rows, columns = [problem.classes], [problem.total_samples]
    features = feature_scale * bartlett(generator, width, columns[0])
    weights = inner * bartlett(generator, width, rows[0]).mT
    ends = Ends(features, weights, inner * gaussian(generator, rows[0], columns[0]))
    blocks: dict[tuple[int, int], Tensor] = {}
    for i in range(1, groups):
        room_right, room_left = width - sum(columns), width - sum(rows)
        right = bartlett(generator, room_right, rows[i - 1]).mT  # W_1' P_(i-1), lower trapezoidal
        left = bartlett(generator, room_left, columns[i - 1])  # W_1 Q_(i-1), upper trapezoidal
        if right.numel() == 0 and left.numel() == 0:
            break
        rows.append(left.shape[0])
        columns.append(right.shape[1])
        blocks[i - 1, i], blocks[i, i - 1] = inner * right, inner * left
        blocks[i, i] = inner * gaussian(generator, rows[i], columns[i])
    return LawStart(problem, ends, tuple(rows), tuple(columns), blocks)


def bartlett(generator: np.random.Generator, freedom: int, size: int) -> Float[Tensor, "r m"]:
    """Returns the upper trapezoidal factor R of a Gaussian matrix of `freedom` rows and `size` columns: R'R ~ Wishart.

    The diagonal is chi-distributed with freedom, freedom - 1, .. degrees, and what stands to its right is standard normal (Bartlett
    1933). With fewer rows than columns R has as many rows as the matrix.

    Args:
        generator: Generator of the draw.
        freedom: Rows of the Gaussian matrix.
        size: Columns of the Gaussian matrix.
    """
    rows = min(freedom, size)
    degrees = np.arange(freedom, freedom - rows, -1, dtype=float)
    factor = np.triu(generator.standard_normal((rows, size)), 1)
    factor[np.arange(rows), np.arange(rows)] = np.sqrt(generator.chisquare(degrees)) if rows else 0.0
    return torch.from_numpy(factor)


def gaussian(generator: np.random.Generator, rows: int, columns: int) -> Float[Tensor, "r c"]:
    """Returns a matrix of standard normal entries."""
    return torch.from_numpy(generator.standard_normal((rows, columns)))


PARTS = (
    "law",
    "features",
    "weights",
    "block",
    "lines",
)  # what has a stream of its own in a seed; the order is part of what a seed means


def generator_of(seed: int, part: str) -> np.random.Generator:
    """Returns the generator of one part of one seed; streams of different parts and seeds are independent."""
    return np.random.default_rng([PARTS.index(part), seed])
