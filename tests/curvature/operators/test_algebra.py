"""Operators made from operators, against the same arithmetic on their entries."""

import numpy as np
import pytest
import scipy.sparse.linalg
import torch

from landscape.curvature.counting.interface import nullity
from landscape.curvature.counting.lowrank import LowRank
from landscape.curvature.operators.algebra import Affine, Compression, DiagonalBlock, OffDiagonalBlock, Sum, to_scipy
from landscape.curvature.operators.operator import Matrix, SymmetricOperator, dense
from landscape.errors import InputError

VALUES = [float(i) for i in range(-4, 9)]


def test_arithmetic_of_entries(plant):
    a, b = plant(VALUES, 1), plant(VALUES, 2)
    basis = torch.linalg.qr(b.entries[:, :5]).Q
    made = [
        (Sum((a, b)), a.entries + b.entries),
        (Affine(a, 2.0, -1.0), 2 * a.entries - torch.eye(13, dtype=torch.float64)),
        (Compression(a, basis), basis.T @ a.entries @ basis),
        (DiagonalBlock(a, slice(2, 7)), a.entries[2:7, 2:7]),
    ]
    for operator, entries in made:
        assert isinstance(operator, SymmetricOperator)
        torch.testing.assert_close(dense(operator), entries, rtol=0, atol=1e-13)
    block = OffDiagonalBlock(a, slice(0, 3), slice(5, 9)) @ torch.eye(4, dtype=torch.float64)
    torch.testing.assert_close(block, a.entries[0:3, 5:9])


def test_scipy_sees_the_same_matrix(plant):
    matrix = plant(VALUES, 1)
    adapter = to_scipy(matrix)
    assert adapter.dtype == np.float64
    np.testing.assert_allclose(adapter @ np.eye(13), matrix.entries.numpy(), atol=1e-15)
    np.testing.assert_allclose(adapter @ np.ones(13), matrix.entries.numpy() @ np.ones(13), atol=1e-13)
    assert scipy.sparse.linalg.eigsh(adapter, k=1, which="LA", return_eigenvectors=False) == pytest.approx([8.0])
    assert to_scipy(Matrix(matrix.entries.float())).dtype == np.float32


def test_ranges_and_sizes_are_checked(plant):
    matrix = plant(VALUES, 1)
    with pytest.raises(InputError, match="one size"):
        Sum((matrix, Matrix(torch.eye(2, dtype=torch.float64))))
    for rows in (slice(3, 20), slice(5, 5), slice(None, 4), slice(0, 8, 2)):
        with pytest.raises(InputError, match="range of coordinates"):
            DiagonalBlock(matrix, rows)


def test_low_rank_gives_every_eigenvalue_and_multiplicity(plant):
    values = [0.0] * 7 + [-1e-3, 4e-3, 0.5] + [2e-3] * 200
    found = LowRank(2e-3, block=4).spectrum(plant(values, 4))
    torch.testing.assert_close(found.spectrum.expanded(), torch.tensor(sorted(values), dtype=torch.float64), rtol=0, atol=1e-14)
    assert found.products < 100
    assert found.residual < 1e-13
    assert nullity(plant([*values, 2e-3 + 1e-12], 4), LowRank(2e-3, block=1)).count == 7
