"""Orthonormal bases of blocks of one scale: the range of the projector whose multiple is the block's logits.

If E is a primitive idempotent of a symmetric association scheme (a projector whose entries depend only on how two classes are
related), the softmax of scale * E lies in the scheme's algebra, so dg/dZ commutes with E and blockdiag(scale * E, ..) is
critical as soon as each scale solves its own equation. The simplex is the trivial scheme.
"""

import math
from typing import assert_never

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.structures.blocks import Code, Hamming, Polygon, Simplex, Triangular


def basis_of(block: Code) -> Float[Tensor, "g r"]:
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


def projector(block: Code) -> Float[Tensor, "g g"]:
    """Returns the block's projector, whose multiple is the block's logits."""
    basis = basis_of(block)
    return basis @ basis.mT


def contrasts(size: int) -> Float[Tensor, "g h"]:
    """Returns an orthonormal basis of the vectors that sum to 0 (Helmert's)."""
    columns = torch.arange(1, size, dtype=torch.float64)
    rows = torch.arange(size, dtype=torch.float64)[:, None]
    basis = (rows < columns).double() - columns * (rows == columns)
    return basis / (columns * (columns + 1)).sqrt()
