"""The certificate with a short recurrence: never where a null vector is left out, and true overlaps below its bound."""

import math

import pytest
import torch
from torch import Tensor

from benchmarks.rounding import errors, operators
from landscape.curvature.counting.deflation import Deflated
from landscape.curvature.counting.interface import nullity
from landscape.curvature.counting.quotient import Quotient
from landscape.curvature.counting.short_recurrence import Recurrence, ShortRecurrence, rounding_of_step
from landscape.curvature.krylov import seeded
from landscape.curvature.operators.operator import Matrix, Product
from landscape.curvature.projection import BasisProjector
from landscape.errors import InputError


def diagonal(values: Tensor) -> Product:
    return Product(lambda rows: rows * values, values)


def known(size: int, rank: int) -> BasisProjector:
    return BasisProjector(torch.eye(size, rank, dtype=torch.float64))


def spectrum(size: int, zeros: int, condition: float) -> Tensor:
    rest = torch.logspace(-math.log10(condition), 0, size - zeros, dtype=torch.float64)
    return torch.cat([torch.zeros(zeros, dtype=torch.float64), rest])


@pytest.mark.parametrize("condition", [3.0, 1e2, 1e3])
def test_the_count_is_that_of_the_deflated_method(condition):
    values = spectrum(400, 12, condition)
    ours = nullity(diagonal(values), ShortRecurrence(known(400, 12)))
    other = nullity(diagonal(values), Deflated(known(400, 12)))
    assert ours.resolved
    assert (ours.count, ours.negative) == (other.count, other.negative) == (12, 0)
    assert 0 < ours.smallest_nonzero <= 1 / condition
    assert ours.delta <= 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("left_out", [0.0, -1e-3, -1.0])
def test_a_direction_left_out_is_never_certified_away(left_out):
    """500 tries of few steps and loose bounds in three settings; the left-out eigenvalue is zero or negative."""
    size, zeros = 60, 6
    for trial in range(167):
        condition = 10 ** float(1 + 3 * torch.rand((), generator=torch.Generator().manual_seed(trial)))
        values = spectrum(size, zeros, condition)
        values[zeros - 1] = left_out
        method = ShortRecurrence(known(size, zeros - 1), probes=1 + trial % 3, steps=25 * (1 + trial % 8), seed=trial)
        assert not nullity(diagonal(values), method).resolved


def test_the_bound_holds_for_the_smallest_eigenvalue_itself():
    """While Ritz values are above it, its eigenvector's overlap with the start is below the bound at that eigenvalue."""
    values = spectrum(300, 0, 1e3)
    compared = 0
    for seed in range(5):
        generator = seeded(seed, "test")
        quotient = Quotient(diagonal(values), None, values.new_zeros(300, 0), 0.0)
        runs = Recurrence.begin(quotient, 1, generator)
        overlap = abs(float(runs.current[0, 0])) * math.sqrt(2 * 300 / math.pi)
        for _ in range(40):
            runs = runs.continued(quotient, 5, generator)
            if runs.smallest > float(values[0]) * (1 + 1e-9):
                compared += 1
                assert min(overlap, 1.0) <= runs.missed(float(values[0]), 300, 1e-14) * (1 + 1e-9)
    assert compared > 20
    runs = runs.continued(quotient, 1000, generator)  # long after orthogonality is lost
    assert runs.steps > 3 * len(values)
    assert runs.missed(runs.smallest / 2, 300, 1e-14) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("name", ["diagonal, 100, condition 1e+08", "dense, 100", "convolutions, 829"])
def test_the_rounding_of_a_step_is_below_its_bound_in_extended_precision(name):
    operator, matrix = next((operator, matrix) for found, operator, matrix in operators() if found == name)
    quotient = Quotient(operator, None, operator.like.new_zeros(operator.size, 0), 0.0)
    bound = rounding_of_step(quotient, float(torch.linalg.matrix_norm(matrix, 2)), seeded(0, "short recurrence"))
    worst = float(errors(operator, matrix, 50).max())
    assert 0.01 * bound < worst < bound / 2


def test_few_distinct_eigenvalues_and_an_exact_end():
    one = ShortRecurrence(known(5, 2))
    assert nullity(diagonal(torch.tensor([0.0, 0.0, 1.0, 1.0, 1.0], dtype=torch.float64)), one).resolved
    assert nullity(Matrix(torch.eye(7, dtype=torch.float64)), ShortRecurrence()).count == 0
    zero = nullity(Matrix(torch.zeros(4, 4, dtype=torch.float64)), ShortRecurrence())
    assert (zero.count, zero.negative) == (4, 0)
    whole = nullity(Matrix(torch.eye(3, dtype=torch.float64)), ShortRecurrence(probes=9))
    assert whole.resolved


def test_budgets_saddles_and_bad_settings_say_so():
    values = spectrum(200, 5, 1e6)
    short = nullity(diagonal(values), ShortRecurrence(known(200, 5), steps=40))
    assert not short.resolved
    assert "40 steps" in short.reason
    values[-1] = -1.0
    saddle = nullity(diagonal(values), ShortRecurrence(known(200, 5)))
    assert saddle.reason.endswith(": a saddle")
    values[-1] = 1e-16
    more = nullity(diagonal(values), ShortRecurrence(known(200, 5)))
    assert not more.resolved
    assert "more zeros than the given space has, or a point that is not critical enough" in more.reason
    wrong = nullity(diagonal(values), ShortRecurrence(BasisProjector(torch.eye(200, dtype=torch.float64)[:, 150:151].contiguous())))
    assert "null only to" in wrong.reason
    with pytest.raises(InputError, match="probes >= 1"):
        nullity(diagonal(values), ShortRecurrence(probes=0))
