"""Volumes against spheres, orthogonal groups and Gram determinants; the free energy against an integral that can be done."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gamma

from landscape.catalogue.free_energy import free_energy, log_orbit_volume, log_pseudo_determinant, log_stiefel_volume
from landscape.curvature.spectra.spectrum import Spectrum
from landscape.errors import InputError
from landscape.model.gauge import generators
from landscape.model.logit_form import LogitForm, factor_singular_values, write_parameters
from landscape.model.problem import Problem


def sphere(dimension: int) -> float:
    return 2 * math.pi ** ((dimension + 1) / 2) / gamma((dimension + 1) / 2)


@pytest.mark.parametrize("width", [1, 2, 3, 7])
def test_one_frame_is_a_sphere(width: int) -> None:
    assert log_stiefel_volume(1, width) == pytest.approx(math.log(sphere(width - 1)))


@pytest.mark.parametrize(("width", "volume"), [(1, 2), (2, 4 * math.pi), (3, 16 * math.pi**2), (4, 32 * math.pi**4)])
def test_a_full_frame_is_the_orthogonal_group(width: int, volume: float) -> None:
    assert log_stiefel_volume(width, width) == pytest.approx(math.log(volume))  # O(3): two copies of the rotations, 8 pi^2 each


@settings(max_examples=40, deadline=None)
@given(
    rank=st.integers(1, 4),
    extra=st.integers(0, 3),
    depth=st.integers(1, 4),
    samples=st.integers(1, 3),
    seed=st.integers(0, 10**6),
    equal=st.booleans(),
    one_decay=st.booleans(),
)
def test_the_orbit_volume_is_the_gram_determinant_times_the_frames(
    rank: int, extra: int, depth: int, samples: int, seed: int, equal: bool, one_decay: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    singular = 0.5 + torch.rand(rank, dtype=torch.float64, generator=generator)
    singular = torch.full_like(singular, 0.7) if equal else singular
    decay = 1e-2 if one_decay else tuple(1e-2 * (1 + i) for i in range(depth + 1))
    problem = Problem.balanced(4, samples, rank + extra, depth, decay)
    left, right = (torch.linalg.qr(torch.randn(4, rank, dtype=torch.float64, generator=generator))[0] for _ in range(2))
    tangents = generators(problem, write_parameters(problem, LogitForm(left, singular, right), seed))
    lengths = torch.linalg.svdvals(tangents)
    dimension = depth * (problem.width * rank - rank * (rank + 1) // 2)
    gram = float(lengths[:dimension].log().sum())
    # of the d(d-1)/2 unit generators at every interface those of the unused directions turn nothing
    factors = [values.tolist() for values in factor_singular_values(problem, singular)]
    frames = depth * log_stiefel_volume(rank, problem.width)
    assert log_orbit_volume(problem, factors) - frames == pytest.approx(gram, abs=1e-9)


def test_equal_decays_have_the_sum_of_the_notes() -> None:
    s, t, depth = 0.8, 1.3, 3
    problem = Problem.balanced(4, 1, 2, depth, 1e-2)
    total = sum(s ** (2 * m) * t ** (2 * (depth - m)) for m in range(depth + 1))
    expected = depth * log_stiefel_volume(2, 2) + math.log(2**depth * total) / 2
    assert log_orbit_volume(problem, [[s, t]] * (depth + 1)) == pytest.approx(expected)


def test_the_free_energy_of_a_ring() -> None:
    """exp(-(|x| - 1)^2 / 2T) in three dimensions: the sphere of radius 1, one transverse direction of curvature 1."""
    temperature = 1e-4
    radius = np.linspace(0.9, 1.1, 200_001)
    mass = 4 * math.pi * np.trapezoid(radius**2 * np.exp(-((radius - 1) ** 2) / 2 / temperature), radius)
    laplace = free_energy(0.0, temperature, 1, 0.0, log_stiefel_volume(1, 3), 0.0)
    assert -laplace / temperature == pytest.approx(math.log(mass), abs=2 * temperature)


def test_the_pseudo_determinant_counts_multiplicities_and_drops_zeros() -> None:
    spectrum = Spectrum(torch.tensor([0.0, 2.0, 3.0], dtype=torch.float64), (5, 3, 1), 1e-15)
    assert log_pseudo_determinant(spectrum, 1e-12) == pytest.approx(math.log(24))


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_is_positive(temperature: float) -> None:
    with pytest.raises(InputError, match="temperature > 0"):
        free_energy(0.0, temperature, 1, 0.0, 0.0, 0.0)
