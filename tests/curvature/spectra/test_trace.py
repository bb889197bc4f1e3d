"""Trace and Frobenius norm against the planted eigenvalues: within the error bars as often as they promise."""

import math

import pytest
import torch

from landscape.curvature.operators.operator import Matrix
from landscape.curvature.spectra.density import Quadrature, density
from landscape.curvature.spectra.trace import HutchPlusPlus
from landscape.errors import InputError

VALUES = [0.0] * 20 + [(-1) ** k * 2.0 ** (-k / 4) for k in range(60)] + [1e-3] * 40


def test_within_its_error_bars_in_most_seeds(plant):
    matrix = plant(VALUES, 5)
    trace, norm = math.fsum(VALUES), math.sqrt(math.fsum(v * v for v in VALUES))
    hits = [0, 0]
    for seed in range(100):
        found = HutchPlusPlus(sketch=10, probes=30, seed=seed).sizes(matrix)
        hits[0] += abs(found.trace.mean - trace) <= 2 * found.trace.error
        hits[1] += abs(found.frobenius.mean - norm) <= 2 * found.frobenius.error
    assert min(hits) >= 88  # 95 expected for normal samples
    assert hits != [100, 100]  # the bars are not just wide


def test_the_sketch_takes_the_large_eigenvalues_out(plant):
    matrix = plant(VALUES, 5)
    narrow, wide = (HutchPlusPlus(sketch=width, probes=30).sizes(matrix) for width in (1, 30))
    assert wide.trace.error < narrow.trace.error / 5
    assert wide.frobenius.error < narrow.frobenius.error / 5


def test_a_low_rank_is_exact(plant):
    found = HutchPlusPlus(sketch=8).sizes(plant([3.0, -1.0, 0.5] + [0.0] * 40, 1))
    assert found.trace.mean == pytest.approx(2.5, abs=1e-12)
    assert found.frobenius.mean == pytest.approx(math.sqrt(10.25), abs=1e-12)
    assert found.trace.error < 1e-12
    assert found.trace.products == 4 + 8 + 8 + 32


def test_log_pdet_within_its_error(plant):
    values = [0.0] * 15 + [1e-3] * 30 + [0.02, 0.3, 1.0, -0.5]
    found = density(plant(values, 2), Quadrature(probes=30, steps=12)).log_pdet(1e-6)
    assert abs(found.mean - sum(math.log(abs(v)) for v in values if v)) <= 3 * found.error


def test_one_clear_error_each():
    matrix = Matrix(torch.eye(5, dtype=torch.float64))
    with pytest.raises(InputError, match="probes"):
        HutchPlusPlus(sketch=2, probes=1).sizes(matrix)
    with pytest.raises(InputError, match="sketch"):
        HutchPlusPlus(sketch=6).sizes(matrix)
    with pytest.raises(InputError, match="NaN"):
        HutchPlusPlus(sketch=2).sizes(Matrix(torch.full((5, 5), math.nan, dtype=torch.float64)))
