"""The arithmetic of counts at its edges, on values small enough to be seen through."""

import math

import pytest
import torch

from landscape.curvature.counting.deflation import Deflated, _converged, _ExcessSearch, absence, counted_with_products
from landscape.curvature.counting.dense_and_inertia import Dense, Inertia, inertia
from landscape.curvature.counting.quotient import QuotientCholesky
from landscape.curvature.counting.zeros import Nullity
from landscape.curvature.krylov import RitzRun
from landscape.curvature.operators.counted import Counted
from landscape.curvature.operators.operator import Matrix
from landscape.curvature.projection import BasisProjector
from landscape.errors import InputError


def counted(count: int = 2, negative: int | None = 0, cutoff: float = 1e-12, largest: float = 0.0, norm: float = 1.0) -> Nullity:
    return Nullity(count, negative, 0, cutoff, largest, 1e-3, norm=norm)


@pytest.mark.parametrize(("count", "negative"), [(0, 0), (5, 0), (0, 5), (2, 3), (5, None), (0, None)])
def test_counts_that_fit_are_kept(count: int, negative: int | None) -> None:
    assert counted(count, negative).checked(5).certified


@pytest.mark.parametrize(("count", "negative"), [(-1, 0), (-1, 2), (6, 0), (3, 3), (2, -1), (6, None)])
def test_counts_that_do_not_fit_lose_their_certificate(count: int, negative: int | None) -> None:
    assert "do not fit a size of 5" in counted(count, negative).checked(5).reason


@pytest.mark.parametrize(("cutoff", "norm", "kept"), [(0.0, 0.0, True), (1e-12, 0.0, False), (0.0, 1.0, True), (1e-3, 1.0, False)])
def test_only_the_zero_operator_has_a_norm_at_its_radius(cutoff: float, norm: float, kept: bool) -> None:
    assert counted(cutoff=cutoff, norm=norm).checked(5).certified is kept


def test_a_count_has_no_error_unless_one_is_said() -> None:
    plain = Nullity(2, 0, 0, 1e-12, 0.0, 1e-3)
    assert (plain.rounding, plain.gradient, plain.norm, plain.delta, plain.products) == (0.0, 0.0, 0.0, 0.0, 0)


@pytest.mark.parametrize(
    ("cutoff", "largest", "gap"), [(1e-12, 1e-14, 1e9), (1e-12, 1e-11, 1e8), (0.0, 0.0, math.inf), (0.5, 0.0, 2e-3)]
)
def test_the_gap_is_over_the_larger_of_zero_and_cutoff(cutoff: float, largest: float, gap: float) -> None:
    assert counted(cutoff=cutoff, largest=largest).gap == pytest.approx(gap)


def test_a_product_that_is_no_number_is_refused_whatever_is_counted() -> None:
    def careless(operator: Counted) -> Nullity:
        operator @ torch.eye(5, dtype=torch.float64)
        return counted()

    matrix = torch.eye(5, dtype=torch.float64)
    assert counted_with_products(Matrix(matrix), careless).products == 5
    matrix[2, 2] = math.nan
    with pytest.raises(InputError, match="finite"):
        counted_with_products(Matrix(matrix), careless)


@pytest.mark.parametrize("dimension", [0, 7])
def test_nothing_is_absent_where_nothing_was_run(dimension: int) -> None:
    found = absence([], dimension, 1.0, 1e-16)
    assert (found.half_width, found.delta, found.above, found.nearest) == (math.inf, 0.0, True, math.inf)


@pytest.mark.parametrize(
    ("first", "second", "coupling", "negative"),
    [
        (1.0, 1.0, 0.0, 0),
        (-1.0, -1.0, 0.0, 2),
        (1.0, -1.0, 0.0, 1),
        (1.0, 1.0, 2.0, 1),
        (-1.0, -1.0, -2.0, 1),
        (-2.0, -1.0, 1.0, 2),
        (0.25, 0.25, 0.0, 0),
    ],
)
def test_the_inertia_of_a_block_is_that_of_its_eigenvalues(first: float, second: float, coupling: float, negative: int) -> None:
    """In LAPACK's packed form, between single pivots of either sign."""
    block = torch.tensor([[first, coupling], [coupling, second]], dtype=torch.float64)
    assert int((torch.linalg.eigvalsh(block) < 0).sum()) == negative
    factors = torch.zeros(4, 4, dtype=torch.float64)
    factors[0, 0], factors[3, 3] = 3.0, -4.0
    factors[1:3, 1:3] = block.tril()
    assert inertia(factors, torch.tensor([1, -3, -3, 4])) == negative + 1


@pytest.mark.parametrize(
    "way", [Dense, Inertia, lambda memory: QuotientCholesky(BasisProjector(torch.eye(64, 1).double()), memory)]
)
def test_the_memory_of_a_full_matrix_grows_with_the_square_of_its_size(way) -> None:
    """At least one array of 64 by 64 numbers, at most 5."""
    matrix = Matrix(torch.linspace(0, 1, 64, dtype=torch.float64).diag())
    with pytest.raises(InputError, match="memory bound"):
        way(memory=8.0 * 64**2).count(matrix, 0.0)
    assert way(memory=5 * 8.0 * 64**2).count(matrix, 0.0).count == 1


def test_the_smallest_other_eigenvalue_is_measured_from_below() -> None:
    """Eight eigenvalues are close to each other, so that the first steps of inverse iteration are not enough."""
    near = torch.linspace(0.05, 0.06, 8, dtype=torch.float64)
    values = torch.cat([torch.zeros(1, dtype=torch.float64), near, torch.linspace(0.8, 1, 30, dtype=torch.float64)])
    found = QuotientCholesky(BasisProjector(torch.eye(39, 1, dtype=torch.float64))).count(Matrix(values.diag()), 0.0)
    assert (found.count, found.negative, found.resolved) == (1, 0, True)
    assert found.smallest_nonzero <= 0.05
    assert found.smallest_nonzero == pytest.approx(0.05, rel=1e-8)


def test_an_eigenvector_within_the_zone_is_one_and_a_mixture_is_none() -> None:
    """Half of an eigenvector at 1 and half of one at -1 have the mean 0, and are no null vector."""
    matrix = Matrix(torch.tensor([0.9e-3, 1.0, -1.0, 5.0], dtype=torch.float64).diag())
    search = _ExcessSearch(Deflated(), matrix, 5.0, torch.Generator())
    units = torch.eye(4, dtype=torch.float64)
    kept, values = search._rayleigh(units[:, :1], 1e-3)
    assert (kept.shape[1], values.tolist()) == (1, [0.9e-3])
    assert search._rayleigh((units[:, 1:2] + units[:, 2:3]) / math.sqrt(2), 1e-3)[0].shape[1] == 0


@pytest.mark.parametrize(
    ("residuals", "ended", "negative", "positions"),
    [
        ((1e-9, 1e-9, 1e-9), False, False, [1]),
        ((1e-9, 1e-3, 1e-9), False, False, []),
        ((1e-9, 1e-3, 1e-9), True, False, [1]),
        ((1e-9, 1e-9, 1e-9), False, True, [0]),
        ((1e-3, 1e-9, 1e-9), False, True, []),
    ],
)
def test_a_ritz_value_is_wanted_where_it_is_sharp(
    residuals: tuple[float, ...], ended: bool, negative: bool, positions: list[int]
) -> None:
    values = torch.tensor([-0.5, 1e-5, 2.0], dtype=torch.float64)
    run = RitzRun(values, values, torch.tensor(residuals, dtype=torch.float64), torch.eye(3, dtype=torch.float64), values, ended)
    assert _converged(run, 1e-4, negative, 1.0, 1e-16).tolist() == positions
