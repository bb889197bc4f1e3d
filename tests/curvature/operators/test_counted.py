"""What a method reports as spent, beside a counter that shares no code with `Counted`."""

from dataclasses import dataclass, replace

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from landscape.curvature.checks import require_symmetric
from landscape.curvature.counting.deflation import Deflated
from landscape.curvature.counting.dense_and_inertia import Dense, Inertia
from landscape.curvature.counting.interface import nullity
from landscape.curvature.counting.locking import BlockLanczos
from landscape.curvature.counting.lowrank import LowRank
from landscape.curvature.counting.quotient import QuotientCholesky
from landscape.curvature.krylov import Lanczos, lanczos
from landscape.curvature.operators.counted import Counted
from landscape.curvature.operators.operator import Matrix, Product
from landscape.curvature.projection import BasisProjector
from landscape.curvature.spectra.density import Quadrature, density
from landscape.curvature.spectra.extremes import Extremes, extremes, seen_from
from landscape.curvature.spectra.trace import HutchPlusPlus
from landscape.errors import InputError

VALUES = [0.0] * 20 + [1e-3] * 60 + [2e-3] * 30 + [0.7, 0.3]
SADDLE = [*VALUES, -0.4, *[-1e-3] * 7]
METHODS = [
    Dense(),
    Inertia(),
    Deflated(),
    Deflated(probes=3),
    Deflated(steps=2),
    LowRank(1e-3),
    LowRank(1e-3, block=7),
    BlockLanczos(),
    BlockLanczos(block=4, basis=24),
]


@dataclass
class Tally:
    """A matrix that remembers the widths of the blocks that it is multiplied with."""

    entries: Tensor
    widths: list[int]

    @property
    def size(self) -> int:
        return self.entries.shape[0]

    @property
    def like(self) -> Tensor:
        return self.entries[0]

    def __matmul__(self, block: Tensor) -> Tensor:
        self.widths.append(block.shape[1])
        return self.entries @ block


@pytest.fixture
def tally(plant):
    return lambda values: Tally(plant(values, 3).entries, [])


@pytest.mark.parametrize("values", [VALUES, SADDLE], ids=["minimum", "saddle"])
@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_every_count_reports_what_it_spent(tally, method, values):
    operator = tally(values)
    assert nullity(operator, method).products == sum(operator.widths)
    operator.widths.clear()
    assert method.count(operator, 0.0).products == sum(operator.widths)
    assert nullity(operator, method, gradient_radius=1e3).products > 0


@pytest.mark.parametrize("left_out", [0, 1])
def test_with_a_projector_too(tally, null_basis, left_out):
    operator = tally(VALUES)
    known = BasisProjector(null_basis(Matrix(operator.entries), 1e-6)[:, left_out:])
    for method in (QuotientCholesky(known), Deflated(known)):
        operator.widths.clear()
        assert nullity(operator, method).products == sum(operator.widths)


def test_what_a_wrapped_operator_spent_before_is_not_counted_again(tally):
    inner = tally(VALUES)
    operator = Counted(inner)
    first, second = (nullity(operator, Dense()).products for _ in range(2))
    assert first == second == 4 + len(VALUES)
    assert operator.products == first + second == sum(inner.widths)


def test_the_sessions_of_a_resumed_search_add_up(tally, tmp_path):
    operator, path = tally(VALUES), tmp_path / "state.safetensors"
    whole = BlockLanczos(block=4, basis=24, seed=3)
    nullity(operator, replace(whole, restarts=2, checkpoint=path))
    with safe_open(path, "pt") as file:
        earlier = int(file.metadata()["state"].partition('"products": ')[2].partition(",")[0])
    assert 0 < earlier < sum(operator.widths)
    operator.widths.clear()
    resumed = nullity(operator, replace(whole, checkpoint=path))
    assert resumed.products == earlier + sum(operator.widths)


def test_every_estimator_reports_what_it_spent(tally):
    operator = tally(SADDLE)

    def spent() -> int:
        total = sum(operator.widths)
        operator.widths.clear()
        return total

    assert density(operator, Quadrature(probes=7, steps=9, together=3)).products == spent()
    assert HutchPlusPlus(sketch=5, probes=6).sizes(operator).trace.products == spent()
    assert HutchPlusPlus(sketch=100, probes=6).sizes(operator).frobenius.products == spent()
    assert extremes(operator, Extremes(count=3)).products == spent()
    assert seen_from(operator, torch.ones(operator.size, dtype=torch.float64), 30, 1e-9).products == spent()
    assert lanczos(operator, Lanczos(steps=60, block=4)).products == spent()
    method = LowRank(1e-3)
    assert method.spectrum(operator).products == spent()


def test_a_zero_operator_is_tried_again_with_larger_vectors(tally):
    operator = tally([0.0])
    operator.entries.zero_()
    require_symmetric(operator)
    assert sum(operator.widths) == 8


def test_the_wrapper_keeps_products_and_refuses_other_shapes(plant):
    matrix = plant(VALUES, 3)
    block = torch.randn(matrix.size, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    counted = Counted.of(matrix)
    assert torch.equal(counted @ block, matrix @ block)
    assert Counted.of(counted) is counted
    assert (counted.size, counted.like.dtype, counted.products) == (matrix.size, torch.float64, 5)
    counted.require_finite()
    one = torch.zeros(4, dtype=torch.float64)
    odd = Counted(Product(lambda rows: rows / 0, one))
    odd @ torch.ones(4, 2, dtype=torch.float64)
    with pytest.raises(InputError, match="finite products"):
        odd.require_finite()
