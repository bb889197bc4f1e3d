"""Decompositions of matrices whose singular values are known, equal ones too."""

import pytest
import torch

from landscape.decomposition import singular_vectors


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("rows", "columns"), [(5, 3), (3, 5), (4, 4)])
def test_vectors_and_values(rows: int, columns: int, full: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    frames = [torch.linalg.qr(torch.randn(n, n, dtype=torch.float64, generator=generator))[0] for n in (rows, columns)]
    wanted = torch.tensor([2.0, 2.0, 0.5, 0.0], dtype=torch.float64)[: min(rows, columns)]
    planted = torch.zeros(rows, columns, dtype=torch.float64)
    planted.diagonal().copy_(wanted)
    matrix = frames[0] @ planted @ frames[1].mT
    left, values, right = singular_vectors(matrix, full)
    torch.testing.assert_close(values, wanted, rtol=0, atol=1e-14)
    assert left.shape == (rows, rows if full else min(rows, columns))
    assert right.shape == (columns if full else min(rows, columns), columns)
    least = min(rows, columns)
    torch.testing.assert_close(left[:, :least] * values @ right.narrow(0, 0, least), matrix, rtol=0, atol=1e-14)
    torch.testing.assert_close(left.mT @ left, torch.eye(left.size(1), dtype=torch.float64), rtol=0, atol=1e-14)
