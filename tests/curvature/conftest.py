"""Operators whose spectrum is known because it was put there."""

from collections.abc import Callable

import pytest
import torch

from landscape.curvature.operators.operator import Matrix


def _plant(values: list[float], seed: int) -> Matrix:
    generator = torch.Generator().manual_seed(seed)
    size = len(values)
    rotation = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))[0]
    entries = (rotation * torch.tensor(values, dtype=torch.float64)) @ rotation.mT
    return Matrix((entries + entries.mT) / 2)


@pytest.fixture(scope="session")
def plant() -> Callable[[list[float], int], Matrix]:
    """Returns a map from eigenvalues and a seed to a matrix that has them."""
    return _plant


@pytest.fixture(scope="session")
def null_basis() -> Callable[[Matrix, float], torch.Tensor]:
    """Returns a map from a matrix to an orthonormal basis of the eigenvectors smaller than a bound."""

    def basis(matrix: Matrix, bound: float) -> torch.Tensor:
        values, vectors = torch.linalg.eigh(matrix.entries)
        return vectors[:, values.abs() < bound].contiguous()

    return basis
