"""Quadrature on planted spectra: coverage of the error bars, atoms, and what unresolved zeros look like."""

import math

import pytest
import torch

from landscape.curvature.spectra.density import Density, Quadrature, density, standard_error
from landscape.errors import InputError

HEAD = [0.01 + 0.002 * i for i in range(12)]
MINIMUM = [0.0] * 60 + [1e-3] * 150 + [2e-3] * 80 + HEAD
SADDLE = [0.0] * 60 + [1e-3] * 150 + [-2e-3] * 80 + [-0.01] + HEAD


@pytest.mark.slow
@pytest.mark.parametrize("values", [MINIMUM, SADDLE], ids=["minimum", "saddle"])
@pytest.mark.parametrize("steps", [6, 10, 40])
def test_the_null_fraction_is_within_two_error_bars(plant, values, steps, capsys):
    matrix = plant(values, 5)
    estimates = [density(matrix, Quadrature(steps=steps, seed=seed)).nullity() for seed in range(100)]
    inside = sum(abs(estimate.mean - 60) <= 2 * estimate.error for estimate in estimates)
    with capsys.disabled():
        print(f"\n{inside} of 100 seeds within two error bars, {steps} steps, mean error {estimates[0].error:.1f}")
    assert inside >= 90
    if steps == 40:
        assert max(estimate.error for estimate in estimates) < 8


def test_unresolved_zeros_do_not_come_with_a_small_error(plant):
    estimate = density(plant(SADDLE, 5), Quadrature(steps=6)).nullity(1e-10)
    assert estimate.mean < 20
    assert estimate.error > 30
    assert estimate.quadrature <= estimate.error


def test_atoms_carry_the_mass_of_clusters(plant):
    result = density(plant(SADDLE, 5), Quadrature(probes=12, steps=40))
    found = {round(atom.location, 6): atom for atom in result.atoms()}
    for location, count in ((0.0, 60), (1e-3, 150), (-2e-3, 80)):
        atom = found[location]
        assert abs(atom.fraction * len(SADDLE) - count) <= 4 * atom.error * len(SADDLE)
    grid = torch.linspace(-0.05, 0.08, 4001, dtype=torch.float64)
    curve, error = result.curve(grid, 1e-3, atoms=True)
    assert float(torch.trapezoid(curve, grid)) == pytest.approx(1.0, abs=1e-3)
    assert bool((error >= 0).all())
    bare, _ = result.curve(grid, 1e-3)
    assert float(bare.max()) < 0.1 * float(curve.max())  # what is left is the head; the stems are drawn apart


def test_fractions_and_log_determinant_against_the_truth(plant):
    result = density(plant(MINIMUM, 5), Quadrature(probes=20, steps=40))
    above = result.fraction(1.5e-3, 1.0)
    assert abs(above.mean - 92 / len(MINIMUM)) <= 4 * above.error
    truth = math.fsum(math.log(abs(value)) for value in MINIMUM if value)
    estimate = result.log_pdet(1e-6)
    assert abs(estimate.mean - truth) <= 4 * estimate.error


def test_the_same_seed_gives_the_same_nodes_and_bad_settings_one_error(plant):
    matrix = plant(MINIMUM, 5)
    first, again = (density(matrix, Quadrature(probes=3, steps=5, seed=4)) for _ in range(2))
    assert isinstance(first, Density)
    assert all(torch.equal(a.values, b.values) for a, b in zip(first.runs, again.runs, strict=True))
    with pytest.raises(InputError, match="at least 3 probes"):
        density(matrix, Quadrature(probes=2))
    for bad in (Quadrature(steps=0), Quadrature(together=-1)):
        with pytest.raises(InputError, match=">= 1"):
            density(matrix, bad)
    for cutoff in (math.nan, -1.0):
        with pytest.raises(InputError, match="cutoff"):
            first.nullity(cutoff)
    with pytest.raises(InputError, match="positive finite cutoff"):
        first.log_pdet(0.0)


def test_two_error_bars_of_three_samples_cover_what_is_said():
    """A mean of three normal numbers is within two standard errors of the truth four times in five only."""
    draws = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    covered = sum(abs(float(row.mean())) <= 2 * standard_error(row.tolist()) for row in draws)
    assert 0.94 < covered / 4000 < 0.96
