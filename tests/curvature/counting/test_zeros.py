"""Counts of zeros on spectra whose truth is planted."""

import pytest
import torch

from landscape.curvature.counting.zeros import count_zeros
from landscape.curvature.operators.operator import Hessian, Matrix, Product, dense
from landscape.curvature.spectra.spectrum import Spectrum, eigenvalues


def planted(values, seed=0):
    draw = torch.randn(len(values), len(values), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    basis = torch.linalg.qr(draw)[0]
    return Matrix(basis @ torch.tensor(values, dtype=torch.float64).diag() @ basis.mT)


@pytest.mark.parametrize("zeros", [0, 1, 30])
@pytest.mark.parametrize("negative", [0, 5])
def test_planted_zeros_at_the_edge_and_inside(zeros, negative):
    operator = planted([-1e-2] * negative + [0.0] * zeros + [1e-3] * 40 + [2.0] * 5)
    found = count_zeros(eigenvalues(operator), 0.0)
    assert (found.count, found.negative, found.resolved) == (zeros, negative, True)
    assert found.smallest_nonzero == pytest.approx(1e-3, rel=1e-9)


@pytest.mark.parametrize("size", [1e-13, 1e-12])
def test_an_eigenvalue_next_to_the_radius_is_undecided(size):
    found = count_zeros(eigenvalues(planted([0.0] * 4 + [size] + [1.0] * 40)), 0.0)
    assert found.undecided == 1
    assert not found.resolved


def test_the_gradient_widens_the_radius():
    spectrum = Spectrum(torch.tensor([0.0, 1e-8, 1.0], dtype=torch.float64), (2, 3, 4), 1e-16)
    assert count_zeros(spectrum, 0.0).count == 2
    assert count_zeros(spectrum, 1e-7).count == 5
    assert count_zeros(spectrum, 1e-9).undecided == 3


def test_huge_multiplicities_are_exact():
    many = 10**17 + 1
    spectrum = Spectrum(torch.tensor([0.0, 1.0], dtype=torch.float64), (many, 1), 1e-16)
    assert count_zeros(spectrum, 0.0).count == many
    assert spectrum.size == many + 1


def test_spectrum_sums_against_numpy():
    operator = planted([-3.0, 0.0, 0.5, 0.5, 4.0])
    spectrum = eigenvalues(operator)
    assert spectrum.trace == pytest.approx(float(operator.entries.trace()), abs=1e-13)
    assert spectrum.frobenius == pytest.approx(float(operator.entries.norm()), rel=1e-13)
    assert spectrum.norm == pytest.approx(float(torch.linalg.matrix_norm(operator.entries, 2)), rel=1e-13)
    assert [times for _, times in spectrum.atoms()] == [1, 1, 2, 1]


def test_hessian_products_and_dense_agree_with_a_closed_form():
    """f = sum x^4 / 12 + x'Ax / 2 has the Hessian diag(x^2) + A."""
    matrix = planted([-1.0, 0.0, 2.0, 3.0] * 20).entries
    at = torch.linspace(-1, 2, 80, dtype=torch.float64)
    operator = Hessian(lambda x: (x**4).sum() / 12 + x @ matrix @ x / 2, at)
    exact = at.square().diag() + matrix
    block = torch.randn(80, 70, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert float((operator @ block - exact @ block).abs().max()) < 1e-12
    assert float((dense(operator) - exact).abs().max()) < 1e-13
    assert float((dense(Product(lambda rows: rows @ exact, at)) - exact).abs().max()) < 1e-13


def test_asymmetry_and_nan_are_refused():
    with pytest.raises(ValueError, match="symmetric"):
        dense(Matrix(torch.tensor([[1.0, 2.0], [0.0, 1.0]], dtype=torch.float64)))
    with pytest.raises(ValueError, match="finite"):
        dense(Matrix(torch.full((3, 3), float("nan"), dtype=torch.float64)))
