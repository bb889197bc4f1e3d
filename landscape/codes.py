"""Blocks of logits beyond the simplex: polygons and codes from association schemes, each a scale times a projector.

If E is a primitive idempotent of a symmetric association scheme (a projector whose entries depend only on how two classes are
related), the softmax of scale * E lies in the scheme's algebra, so dg/dZ commutes with E and blockdiag(scale * E, ..) is
critical as soon as each scale solves its own equation. The simplex is the trivial scheme. Source of the schemes: Bannai and Ito,
Algebraic Combinatorics I (1984).
"""

import math
import re
from dataclasses import dataclass
from typing import assert_never

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.errors import InputError
from landscape.problem import Problem
from landscape.theory import ScaleEquation


@dataclass(frozen=True)
class Simplex:
    """A group of `size` classes at I - 11^T / size; rank size - 1."""

    size: int


@dataclass(frozen=True)
class Polygon:
    """`size` >= 5 classes at the corners of a regular polygon; rank 2 (smaller ones are a simplex or pairs)."""

    size: int


@dataclass(frozen=True)
class Triangular:
    """The pairs of `points` >= 5 points, by how many they share: T(points); rank points - 1, the first idempotent."""

    points: int


@dataclass(frozen=True)
class Hamming:
    """Words of `length` >= 2 letters out of `letters`, by how many places differ; rank length (letters - 1).

    Two letters need length >= 3: the square is two pairs.
    """

    length: int
    letters: int


Block = Simplex | Polygon | Triangular | Hamming


def size_of(block: Block) -> int:
    """Returns the number of classes of a block."""
    match block:
        case Simplex(size) | Polygon(size):
            return size
        case Triangular(points):
            return points * (points - 1) // 2
        case Hamming(length, letters):
            return int(letters**length)
        case _:
            assert_never(block)


def symmetries_of(block: Block) -> int:
    """Returns how many permutations of its classes leave a block as it is."""
    match block:
        case Simplex(size):
            return math.factorial(size)
        case Polygon(size):
            return 2 * size
        case Triangular(points):
            return math.factorial(points)
        case Hamming(length, letters):
            return math.factorial(letters) ** length * math.factorial(length)
        case _:
            assert_never(block)


def basis_of(block: Block) -> Float[Tensor, "g r"]:
    """Returns an orthonormal basis of the range of the block's projector."""
    match block:
        case Simplex(size):
            return contrasts(size)
        case Polygon(size):
            angles = torch.arange(size, dtype=torch.float64) * (2 * math.pi / size)
            return torch.stack([angles.cos(), angles.sin()], dim=1) * math.sqrt(2 / size)
        case Triangular(points):
            pairs = torch.combinations(torch.arange(points), 2)
            incidence = torch.zeros(len(pairs), points, dtype=torch.float64).scatter_(1, pairs, 1.0)
            return incidence @ contrasts(points) / math.sqrt(points - 2)  # A^T A = (v-2) I + 11^T
        case Hamming(length, letters):
            ones = torch.ones(letters, 1, dtype=torch.float64) / math.sqrt(letters)
            parts = []
            for place in range(length):
                part = torch.ones(1, 1, dtype=torch.float64)
                for other in range(length):
                    part = torch.kron(part, contrasts(letters) if other == place else ones)
                parts.append(part)
            return torch.cat(parts, dim=1)
        case _:
            assert_never(block)


def contrasts(size: int) -> Float[Tensor, "g h"]:
    """Returns an orthonormal basis of the vectors that sum to 0 (Helmert's)."""
    columns = torch.arange(1, size, dtype=torch.float64)
    rows = torch.arange(size, dtype=torch.float64)[:, None]
    basis = (rows < columns).double() - columns * (rows == columns)
    return basis / (columns * (columns + 1)).sqrt()


def block_equation(problem: Problem, block: Block, samples: int) -> ScaleEquation:
    """Returns the scale equation of a block under cross-entropy: its pull is share (1 - sum_r p_r E_rc / E_cc).

    Args:
        problem: The model.
        block: Its classes have `samples` samples each; all other logits of their columns are 0.
        samples: That number.
    """
    basis = basis_of(block)
    column = (basis @ basis[0]).tolist()  # every column is a permutation of the first
    size, share = len(column), samples / problem.total_samples
    steps = [column[0] - entry for entry in column[1:]]

    def log_pull(scale: float) -> float:
        near = [math.exp(-scale * step) for step in steps]
        far = (problem.classes - size) * math.exp(-scale * column[0])
        pulled = math.fsum(step * weight for step, weight in zip(steps, near, strict=True)) + column[0] * far
        pull = share * pulled / (column[0] * (1 + math.fsum(near) + far))
        return math.log(pull) if pull > 0 else -math.inf

    return ScaleEquation(log_pull, samples, problem.depth, problem.mean_decay)


def label(block: Block) -> str:
    """Returns the block as users type it."""
    match block:
        case Simplex(size):
            return str(size)
        case Polygon(size):
            return f"polygon{size}"
        case Triangular(points):
            return f"T{points}"
        case Hamming(length, letters):
            return f"H{length}x{letters}"
        case _:
            assert_never(block)


def parse_block(text: str) -> Block:
    """Reads `3`, `polygon5`, `T5` or `H3x2`.

    Raises:
        InputError: If it is none, or too small to be more than a simplex or pairs.
    """
    found = re.fullmatch(r"(\d+)|polygon(\d+)|T(\d+)|H(\d+)x(\d+)", text.strip())
    if found is None:
        raise InputError(f"expected blocks such as 3, polygon5, T5 or H3x2, got {text!r}")
    size, corners, points, length, letters = (int(part) if part else 0 for part in found.groups())
    if size:
        return Simplex(size)
    if corners >= 5:
        return Polygon(corners)
    if points >= 5:
        return Triangular(points)
    if length >= 2 and letters >= 2 and (letters > 2 or length > 2):
        return Hamming(length, letters)
    raise InputError(f"expected polygon5 or larger, T5 or larger, H2x3 or H3x2 or larger, got {text!r}")


def codes_of_size(size: int) -> list[Block]:
    """Returns the codes, simplex and polygon apart, with this many classes."""
    found: list[Block] = []
    points = (1 + math.isqrt(1 + 8 * size)) // 2
    if points >= 5 and points * (points - 1) // 2 == size:
        found.append(Triangular(points))
    for length in range(2, size.bit_length()):
        letters = round(size ** (1 / length))
        if letters**length == size and (letters > 2 or (letters == 2 and length > 2)):
            found.append(Hamming(length, letters))
    return found
