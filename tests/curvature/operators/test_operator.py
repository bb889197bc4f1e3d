"""Operators against their dense twins; functions that know nothing of the model."""

import numpy as np
import pytest
import torch

from landscape.curvature.operators.operator import CHUNK, Hessian, Matrix, Product, SymmetricOperator, dense


def symmetric(size: int, seed: int = 0) -> torch.Tensor:
    draw = torch.randn(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return draw + draw.T


def quartic(x: torch.Tensor) -> torch.Tensor:
    return (x**4).sum() / 12 + (x[:-1] * x[1:]).sum()


def quartic_hessian(x: torch.Tensor) -> np.ndarray:
    off = np.ones(len(x) - 1)
    return np.diag(x.numpy() ** 2) + np.diag(off, 1) + np.diag(off, -1)


@pytest.mark.parametrize("size", [1, 5, CHUNK, CHUNK + 1, 2 * CHUNK + 3])
def test_every_operator_gives_its_matrix_back(size):
    entries = symmetric(size)
    like = torch.zeros(size, dtype=torch.float64)
    for operator in (Matrix(entries), Product(lambda rows: rows @ entries, like), Hessian(lambda x: x @ entries @ x / 2, like)):
        assert isinstance(operator, SymmetricOperator)
        assert operator.size == size
        torch.testing.assert_close(dense(operator), entries, rtol=0, atol=1e-12)


def test_hessian_of_a_quartic():
    x = torch.linspace(-1, 2, 7, dtype=torch.float64)
    np.testing.assert_allclose(dense(Hessian(quartic, x)), quartic_hessian(x), rtol=0, atol=1e-14)
    block = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    np.testing.assert_allclose(Hessian(quartic, x) @ block, quartic_hessian(x) @ block.numpy(), rtol=0, atol=1e-13)


def test_what_is_not_symmetric_is_refused():
    entries = symmetric(4)
    entries[0, 1] += 1e-6
    with pytest.raises(ValueError, match="symmetric"):
        dense(Matrix(entries))


def test_what_is_not_finite_is_refused():
    entries = symmetric(4)
    entries[0, 1] = entries[1, 0] = torch.nan
    with pytest.raises(ValueError, match="finite"):
        dense(Matrix(entries))


def test_size_zero():
    assert dense(Matrix(torch.zeros(0, 0, dtype=torch.float64))).shape == (0, 0)
