"""Spectra against numpy, and multiplicities as exact integers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from landscape.curvature.operators.operator import Matrix
from landscape.curvature.spectra.spectrum import Spectrum, eigenvalues, rounding_radius


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def with_eigenvalues(values: list[float], seed: int = 0) -> np.ndarray:
    basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(values),) * 2))[0]
    full = (basis * np.array(values)) @ basis.T
    return (full + full.T) / 2


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=12), st.integers(0, 1000))
def test_eigenvalues_lie_within_the_error_they_state(values, seed):
    spectrum = eigenvalues(Matrix(torch.from_numpy(with_eigenvalues(values, seed))))
    miss = np.abs(spectrum.expanded().numpy() - np.sort(values)).max()
    underflow = len(values) ** 2 * np.nextafter(0.0, 1.0)  # of the products that the matrix was made of
    assert miss <= spectrum.error + 4 * np.finfo(float).eps * np.abs(values).max() + underflow


def test_norms_with_multiplicities():
    spectrum = Spectrum.merge([(tensor(2.0, -3.0), 2), (tensor(0.5), 3), (tensor(9.0), 0)], 1e-15)
    full = np.array([-3, -3, 0.5, 0.5, 0.5, 2, 2])
    np.testing.assert_array_equal(spectrum.expanded(), full)
    assert spectrum.size == 7
    assert spectrum.norm == 3
    assert spectrum.trace == pytest.approx(full.sum(), rel=1e-15)
    assert spectrum.frobenius == pytest.approx(np.linalg.norm(full), rel=1e-15)


def test_multiplicities_beyond_memory():
    spectrum = Spectrum.merge([(tensor(0.0), 10**18), (tensor(1.0), 1)], 1e-15)
    assert spectrum.size == 10**18 + 1
    assert spectrum.atoms() == [(0.0, 10**18), (1.0, 1)]


def test_atoms_merge_only_within_the_error():
    spectrum = Spectrum.merge([(tensor(1.0, 1.0 + 1e-10, 2.0), 1), (tensor(1.0 + 1e-3), 4)], 1e-9)
    atoms = spectrum.atoms()
    assert [times for _, times in atoms] == [2, 4, 1]
    assert atoms[0][0] == pytest.approx(1 + 5e-11, abs=1e-15)


def test_an_empty_spectrum_has_float_norms():
    spectrum = Spectrum.merge([], 0.0)
    assert (spectrum.size, spectrum.norm, spectrum.trace, spectrum.frobenius) == (0, 0.0, 0.0, 0.0)
    assert isinstance(spectrum.trace, float)


def test_the_radius_grows_with_size_and_norm():
    assert rounding_radius(4, 2.0) == 8 * 2 * 2.0**-52 * 2
    assert rounding_radius(4, 1.0, torch.float32) == pytest.approx(16 * 2.0**-23)
