"""Counts on matrices whose spectrum was planted, and what each method says when it must not know."""

import math
import random

import pytest
import torch

from landscape.curvature.counting import Counting, Dense, Inertia, inertia, nullity
from landscape.curvature.deflation import Deflated
from landscape.curvature.locking import BlockLanczos
from landscape.curvature.lowrank import LowRank
from landscape.curvature.operator import Matrix, Product
from landscape.curvature.projection import BasisProjector
from landscape.curvature.quotient import QuotientCholesky
from landscape.errors import InputError

MINIMUM = [0.0] * 12 + [1e-3] * 30 + [2e-3] * 20 + [0.7, 0.3]
SADDLE = [0.0] * 12 + [1e-3] * 30 + [-2e-3] * 9 + [0.7, -0.3]
ANY = [Dense(), Inertia(), Deflated(), LowRank(1e-3), LowRank(1e-3, block=5), BlockLanczos(), BlockLanczos(block=4, basis=24)]


@pytest.mark.parametrize("method", ANY, ids=repr)
@pytest.mark.parametrize(("values", "index"), [(MINIMUM, 0), (SADDLE, 10)], ids=["minimum", "saddle"])
def test_integer_nullity_and_index(plant, method: Counting, values, index):
    result = nullity(plant(values, 3), method)
    assert (result.count, result.negative, result.undecided) == (12, index, 0)
    assert result.resolved
    assert not result.reason
    assert result.delta <= 1e-9
    assert result.largest_zero <= result.cutoff == result.rounding
    if result.sharp:
        assert result.smallest_nonzero == pytest.approx(1e-3, rel=1e-3)
    else:
        assert result.smallest_nonzero <= 1.001e-3


@pytest.mark.parametrize("method", ANY, ids=repr)
def test_no_zeros_at_all(plant, method):
    result = nullity(plant([1e-3] * 30 + [2e-3] * 20 + [0.7], 3), method)
    assert (result.count, result.negative, result.resolved) == (0, 0, True)


@pytest.mark.parametrize("method", [Dense(), Inertia(), Deflated(), BlockLanczos()], ids=repr)
def test_the_zero_matrix_is_all_null(method):
    result = nullity(Matrix(torch.zeros(7, 7, dtype=torch.float64)), method)
    assert (result.count, result.negative) == (7, 0)


@pytest.mark.parametrize("method", ANY, ids=repr)
def test_an_eigenvalue_in_the_forbidden_zone_is_undecided(plant, method):
    result = nullity(plant([*MINIMUM, 2e-12], 3), method)
    assert not result.resolved
    assert result.reason


@pytest.mark.parametrize("method", ANY, ids=repr)
def test_a_gradient_radius_that_swallows_the_gap_is_undecided(plant, method):
    assert not nullity(plant(MINIMUM, 3), method, gradient_radius=1e-5).resolved
    assert nullity(plant(MINIMUM, 3), method, gradient_radius=1e-8).count == 12


def test_the_inertia_of_packed_factors_counts_blocks_of_two():
    saddle = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -3.0]], dtype=torch.float64)
    factors, pivots = torch.linalg.ldl_factor(saddle)
    assert bool((pivots < 0).any())
    assert inertia(factors, pivots) == 2


def test_a_hard_pivot_sequence_agrees_with_eigenvalues():
    for seed in range(20):
        entries = torch.randn(31, 31, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).tril(-1)
        entries = entries + entries.mT  # zero diagonal: Bunch-Kaufman needs blocks of two
        assert inertia(*torch.linalg.ldl_factor(entries)) == int((torch.linalg.eigvalsh(entries) < 0).sum())


def test_a_known_null_space_proves_a_minimum(plant, null_basis):
    matrix = plant(MINIMUM, 3)
    for method in (
        QuotientCholesky(BasisProjector(null_basis(matrix, 1e-6))),
        Deflated(BasisProjector(null_basis(matrix, 1e-6))),
    ):
        result = nullity(matrix, method)
        assert (result.count, result.negative, result.resolved) == (12, 0, True)
        assert result.smallest_nonzero == pytest.approx(1e-3, rel=1e-2)


def test_quotient_cholesky_refuses_a_saddle_and_a_null_space_that_is_too_small(plant, null_basis):
    saddle, minimum = plant(SADDLE, 3), plant(MINIMUM, 3)
    assert not nullity(saddle, QuotientCholesky(BasisProjector(null_basis(saddle, 1e-6)))).resolved
    result = nullity(minimum, QuotientCholesky(BasisProjector(null_basis(minimum, 1e-6)[:, 1:])))
    assert not result.resolved
    assert result.negative is None


def _random_spectrum(draw: random.Random) -> tuple[list[float], int]:
    zeros = draw.choice([0, 1, 2, 5, 17, 30])
    values = [0.0] * zeros
    signs = draw.choice([[1], [1, -1]])
    for _ in range(draw.randint(1, 6)):
        size = 10 ** draw.uniform(-draw.choice([2, 4, 8, 12]), 0)
        values += [draw.choice(signs) * size] * draw.choice([1, 1, 2, 7, 20])
    return values, zeros


@pytest.mark.slow
def test_two_hundred_planted_operators_are_never_counted_wrong(plant, null_basis, capsys):
    draw = random.Random(20)
    tally: dict[str, list[int]] = {}
    for trial in range(200):
        values, zeros = _random_spectrum(draw)
        matrix = plant(values, trial)
        some = null_basis(matrix, 1e-13 * max(abs(v) for v in values))
        methods: list[Counting] = [Dense(), Inertia(), Deflated(seed=trial), BlockLanczos(block=8, seed=trial)]
        methods += [LowRank(values[-1], block=16, seed=trial)]
        if some.shape[1] > 1:
            methods.append(Deflated(BasisProjector(some[:, 1:]), seed=trial))
            methods.append(QuotientCholesky(BasisProjector(some)))
        for method in methods:
            result = nullity(matrix, method)
            share = tally.setdefault(type(method).__name__, [0, 0])
            share[1] += 1
            if result.resolved:
                share[0] += 1
                assert result.count == zeros, (trial, method, result)
                assert result.negative in (None, sum(v < 0 for v in values)), (trial, method, result)
    with capsys.disabled():
        print("\nresolved:", ", ".join(f"{name} {done}/{tried}" for name, (done, tried) in tally.items()))
    assert all(done > 0.4 * tried for done, tried in tally.values())


class _Short:
    size, like = 5, torch.zeros(5, dtype=torch.float64)

    def __matmul__(self, block):
        return block[:3]


def test_one_clear_error_each(plant):
    lopsided = torch.triu(torch.randn(20, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    with pytest.raises(InputError, match="symmetric"):
        nullity(Matrix(lopsided), Dense())
    with pytest.raises(InputError, match="NaN"):
        nullity(Product(lambda rows: rows * float("nan"), torch.zeros(5, dtype=torch.float64)), Deflated())
    with pytest.raises(InputError, match="products of shape"):
        nullity(_Short(), Dense())
    with pytest.raises(InputError, match="size >= 1"):
        nullity(Matrix(torch.zeros(0, 0, dtype=torch.float64)), Dense())
    with pytest.raises(InputError, match="gradient radius"):
        nullity(plant(MINIMUM, 3), Dense(), gradient_radius=-1.0)
    for method in (
        Dense(memory=1e3),
        Inertia(memory=1e3),
        Deflated(memory=1e3),
        LowRank(1e-3, memory=1e3),
        BlockLanczos(memory=1e3),
    ):
        with pytest.raises(InputError, match="memory bound"):
            nullity(plant(MINIMUM, 3), method)
    with pytest.raises(InputError, match="rank at most 3"):
        nullity(plant(MINIMUM, 3), LowRank(1e-3, rank=3))


@pytest.mark.parametrize("method", [Dense(), Inertia(), Deflated(), LowRank(1e-3)], ids=repr)
def test_counts_do_not_change_with_scale_padding_or_rotation(plant, method):
    entries = plant(MINIMUM, 3).entries
    padded = torch.block_diag(entries, torch.zeros(4, 4, dtype=torch.float64))
    turn = plant([1.0, -1.0] * 34, 5).entries  # a reflection is orthogonal and symmetric
    assert nullity(Matrix(padded), method).count == 16
    assert nullity(Matrix(turn @ padded @ turn), method).count == 16
    scaled = LowRank(1e-3 * 1e-6) if isinstance(method, LowRank) else method
    assert nullity(Matrix(entries * 1e-6), scaled).count == 12


@pytest.mark.parametrize("size", [1e-158, 1e-162, 1e155])
def test_norms_whose_squares_leave_the_range_are_refused(size):
    """Squares of these under- or overflow: a count of 0 where 20 is right was once called resolved."""
    entries = torch.zeros(23, 23, dtype=torch.float64)
    entries[0, 1] = entries[1, 0] = entries[2, 2] = size
    for method in (Dense(), Inertia(), Deflated(), BlockLanczos()):
        with pytest.raises(InputError, match="scale it"):
            nullity(Matrix(entries), method)


@pytest.mark.parametrize("columns", [1, 3])
def test_columns_of_zeros_are_no_null_directions(plant, null_basis, columns):
    matrix = plant([0.0] * 20 + [1.0, 0.5, 0.3, 0.7] + [0.2] * 30, 0)
    basis = torch.cat([null_basis(matrix, 1e-6), torch.zeros(54, columns, dtype=torch.float64)], dim=1)
    for method in (Deflated(BasisProjector(basis)), QuotientCholesky(BasisProjector(basis))):
        with pytest.raises(InputError, match="expected an orthonormal basis"):
            nullity(matrix, method)


@pytest.mark.parametrize(
    "method",
    [
        LowRank(1.0, block=0),
        LowRank(math.nan),
        BlockLanczos(block=-1),
        BlockLanczos(restarts=0),
        Deflated(probes=0),
        Deflated(steps=0),
    ],
)
def test_settings_that_count_nothing_are_refused(plant, method):
    with pytest.raises(InputError, match="expected"):
        nullity(plant([0.0, 1.0, 2.0], 0), method)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float16, torch.complex128])
def test_numbers_without_a_real_spectrum_in_enough_digits_are_refused(dtype):
    class Odd:
        size, like = 4, torch.zeros(4, dtype=dtype)

        def __matmul__(self, block):
            return block

    with pytest.raises(InputError, match="float64 or float32"):
        nullity(Odd(), Dense())
