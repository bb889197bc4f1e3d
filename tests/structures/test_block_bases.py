"""Bases of blocks are orthonormal and sum to zero."""

import pytest
import torch

from landscape.structures.block_bases import contrasts


@pytest.mark.parametrize("size", [2, 3, 7])
def test_contrasts(size):
    basis = contrasts(size)
    assert float((basis.mT @ basis - torch.eye(size - 1, dtype=torch.float64)).abs().max()) < 1e-14
    assert float(basis.sum(0).abs().max()) < 1e-14
