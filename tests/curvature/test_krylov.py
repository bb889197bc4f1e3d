"""The equations that the Krylov spaces must satisfy, checked as they are written."""

import math

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import LinearOperator, eigsh

from landscape.curvature.krylov import (
    Factorization,
    Lanczos,
    LanczosRuns,
    continue_runs,
    estimate_norm,
    lanczos,
    random_block,
    seeded,
    solve_runs,
)
from landscape.curvature.spectra.extremes import Extremes, extremes, seen_from
from landscape.errors import InputError

VALUES = [0.0] * 30 + [1.0] * 20 + [2.0] * 10 + [5.0, -3.0]


@pytest.mark.parametrize("block", [1, 3, 8])
@pytest.mark.parametrize("steps", [3, 12])
def test_the_factorization(plant, block, steps):
    matrix = plant(VALUES, 0)
    f = lanczos(matrix, Lanczos(steps, block))
    left = matrix.entries @ f.basis - f.basis @ f.projected
    left[:, left.shape[1] - f.residual.shape[1] :] -= f.residual
    assert float(left.norm()) < 1e-12
    identity = torch.eye(f.basis.shape[1], dtype=torch.float64)
    torch.testing.assert_close(f.basis.mT @ f.basis, identity, rtol=0, atol=1e-13)
    assert float((f.basis.mT @ f.residual).norm()) < 1e-12
    values, coordinates, residuals = ritz(f)
    vectors = f.basis @ coordinates
    measured = (matrix.entries @ vectors - vectors * values).norm(dim=0)
    torch.testing.assert_close(measured, residuals, rtol=0, atol=1e-12)


def ritz(made: Factorization) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ascending Ritz values, their coordinates in the basis, and the norms of their residuals."""
    values, coordinates = torch.linalg.eigh(made.projected)
    tail = made.residual.shape[1]
    return values, coordinates, (made.residual @ coordinates[-tail:]).norm(dim=0)


def test_identical_eigenvalues_end_the_space_and_fresh_directions_go_on(plant):
    f = lanczos(plant(VALUES, 0), Lanczos(steps=62, block=1))
    assert f.restarts > 5
    assert f.basis.shape[1] == 62
    torch.testing.assert_close(ritz(f)[0], torch.tensor(sorted(VALUES), dtype=torch.float64), rtol=0, atol=1e-12)


def test_a_sweep_is_its_runs_one_by_one_and_can_be_continued(plant):
    matrix = plant([0.1 * i for i in range(40)], 0)
    start = random_block(matrix, 3, seeded(0, "test"))
    whole = continue_runs(matrix, LanczosRuns.begin(start), 9)
    parts = continue_runs(matrix, continue_runs(matrix, LanczosRuns.begin(start), 4), 5)
    torch.testing.assert_close(whole.alpha, parts.alpha)
    single = continue_runs(matrix, LanczosRuns.begin(start[:, 1:2]), 9)
    torch.testing.assert_close(whole.beta[:, 1:2], single.beta)
    for run in solve_runs(whole):
        assert float(run.weights.sum()) == pytest.approx(1.0)


def test_norm_and_extremes(plant):
    matrix = plant(VALUES, 0)
    assert estimate_norm(matrix) == pytest.approx(5.0, rel=0.05)
    found = extremes(matrix, Extremes(count=3))
    assert found.top.values.tolist() == pytest.approx([5.0, 2.0, 2.0], abs=1e-10)
    assert found.bottom.values.tolist() == pytest.approx([-3.0, 0.0, 0.0], abs=1e-10)
    assert found.top.converged
    assert found.bottom.converged
    spread = extremes(plant([float(i) for i in range(300)], 1), Extremes(count=2))
    assert spread.top.values.tolist() == pytest.approx([299.0, 298.0], abs=1e-8)
    assert spread.bottom.converged


def test_a_multiple_eigenvalue_is_seen_as_the_projection_of_the_start(plant):
    matrix = plant([3.0] * 4 + [1.0] * 20 + [0.0] * 50 + [-2.0] * 3 + [0.5 + 0.01 * i for i in range(30)], 3)
    start = torch.randn(matrix.size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = seen_from(matrix, start, 100, 1e-11)
    values, vectors = torch.linalg.eigh(matrix.entries)
    for end, value in ((found.top, 3.0), (found.bottom, -2.0)):
        space = vectors[:, (values - value).abs() < 1e-8]
        expected = space @ (space.mT @ start)
        cosine = float(end.vectors[:, 0] @ expected / expected.norm())
        assert abs(cosine) == pytest.approx(1, abs=1e-14)
        assert float(end.values[0]) == pytest.approx(value, abs=1e-12)
        assert end.converged
    assert found.products < 50
    assert not seen_from(plant([float(i) for i in range(300)], 1), torch.ones(300, dtype=torch.float64), 12, 1e-11).top.converged


@pytest.mark.parametrize("end", ["top", "bottom"])
def test_one_end_takes_the_products_of_arpack(plant, end):
    """A dense lower end, as networks have it, costs nothing where the upper one is asked for."""
    size, count = 400, 5
    values = [1e-3 * math.sin(i) for i in range(size - 8)] + [2.0, 2.5, 3.1, 3.3, 4.0, 4.4, 5.0, 6.0]
    matrix = plant(values if end == "top" else [-value for value in values], 2)
    products = []

    def product(vector):
        products.append(1)
        return matrix.entries.numpy() @ vector

    operator = LinearOperator((size, size), product, dtype=float)
    expected = eigsh(operator, count, which={"top": "LA", "bottom": "SA"}[end], tol=1e-9, v0=np.ones(size))[0]
    found = extremes(matrix, Extremes(count, block=1, end=end, tolerance=1e-9))
    ours, other = (found.top, found.bottom) if end == "top" else (found.bottom, found.top)
    assert ours.values.tolist() == pytest.approx(sorted(expected, reverse=end == "top"), abs=1e-10)
    assert ours.converged
    assert other.values.shape == (0,)
    assert found.products <= len(products) + count


@pytest.mark.parametrize("end", ["middle", "Top", "", None, 1, ["top"]])
def test_an_end_that_is_none_is_refused_in_one_line_before_any_product(end):
    class Untouched:
        size, like = 3, torch.zeros(3, dtype=torch.float64)

        def __matmul__(self, block):
            raise AssertionError("a product")

    settings = Extremes(count=1)
    vars(settings)["end"] = end  # as users without the types of the tests would pass it
    with pytest.raises(InputError) as refused:
        extremes(Untouched(), settings)
    assert str(refused.value) == f"expected an end among both, top, bottom, got {end!r}"


def test_extremes_that_run_out_of_restarts_say_so(plant):
    found = extremes(plant([float(i) for i in range(300)], 1), Extremes(count=2, restarts=2))
    assert not found.top.converged
    assert found.top.values[0] < 299
    assert float(found.top.residuals.max()) > 1e-6


def test_more_columns_than_rows_is_refused(plant):
    with pytest.raises(InputError, match="size of the space"):
        lanczos(plant([1.0, 2.0], 0), Lanczos(steps=1, block=3))
    with pytest.raises(InputError, match="size of the operator"):
        extremes(plant([1.0, 2.0], 0), Extremes(count=3))
