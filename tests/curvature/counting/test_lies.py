"""Operators, projectors and settings that lie: an error or an undecided count, never a wrong one that is called resolved."""

import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from landscape.curvature.counting.deflation import Deflated, absence
from landscape.curvature.counting.dense_and_inertia import Dense, Inertia
from landscape.curvature.counting.interface import Counting, nullity
from landscape.curvature.counting.locking import BlockLanczos
from landscape.curvature.counting.lowrank import LowRank
from landscape.curvature.counting.quotient import QuotientCholesky
from landscape.curvature.counting.short_recurrence import ShortRecurrence
from landscape.curvature.counting.zeros import Nullity, count_zeros
from landscape.curvature.krylov import LanczosRuns, continue_runs, random_block, seeded, solve_runs
from landscape.curvature.operators.operator import Matrix, SymmetricOperator
from landscape.curvature.spectra.spectrum import Spectrum
from landscape.errors import InputError

DECAY = 1e-3
MINIMUM = [0.0] * 6 + [DECAY] * 9 + [2e-3] * 4 + [0.7, 0.3]
SADDLE = [0.0] * 6 + [DECAY] * 9 + [-2e-3] * 4 + [0.7, -0.3]
METHODS = ["dense", "inertia", "quotient", "deflated", "projected", "lowrank", "lanczos", "recurrence"]


@dataclass
class Spoiled:
    """A matrix that counts the columns it is multiplied with, and puts a value into one entry of the product of one of them."""

    entries: Tensor
    column: int | None = None
    value: float = math.nan
    spent: int = 0

    @property
    def size(self) -> int:
        return self.entries.shape[0]

    @property
    def like(self) -> Tensor:
        return self.entries

    def __matmul__(self, block: Tensor) -> Tensor:
        result = self.entries @ block
        if self.column is not None and self.spent <= self.column < self.spent + block.shape[1]:
            result[self.size // 2, self.column - self.spent] = self.value
        self.spent += block.shape[1]
        return result


@dataclass
class Claimed:
    """A projector onto the span of some columns, stretched along the first, that claims another rank than their number."""

    basis: Tensor
    off: int = 0
    stretch: float = 1.0
    applied: list[int] = field(default_factory=list)

    @property
    def rank(self) -> int:
        return self.basis.shape[1] + self.off

    def apply(self, block: Tensor) -> Tensor:
        sizes = torch.ones(self.basis.shape[1], 1, dtype=block.dtype)
        sizes[:1] = self.stretch
        return self.basis @ (sizes * (self.basis.mT @ block))


def null_columns(entries: Tensor, count: int) -> Tensor:
    values, vectors = torch.linalg.eigh(entries)
    return vectors[:, values.abs().argsort()[:count]].contiguous()


def method_of(name: str, entries: Tensor, zeros: int, decay: float = DECAY, seed: int = 0) -> Counting:
    made: dict[str, Callable[[], Counting]] = {
        "dense": Dense,
        "inertia": lambda: Inertia(seed=seed),
        "quotient": lambda: QuotientCholesky(Claimed(null_columns(entries, zeros)), seed=seed),
        "deflated": lambda: Deflated(seed=seed),
        "projected": lambda: Deflated(Claimed(null_columns(entries, max(zeros - 1, 0))), seed=seed),
        "lowrank": lambda: LowRank(decay, block=5, seed=seed),
        "lanczos": lambda: BlockLanczos(block=4, basis=16, seed=seed),
        "recurrence": lambda: ShortRecurrence(Claimed(null_columns(entries, zeros)), steps=4000, seed=seed),
    }
    return made[name]()


def outcome(operator: SymmetricOperator, method: Counting, radius: float = 0.0) -> Nullity | None:
    """Returns the count, or None where it was refused; anything but an InputError is a failure."""
    try:
        return nullity(operator, method, radius)
    except InputError:
        return None


@pytest.mark.slow
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", METHODS)
def test_one_bad_number_in_any_product_is_refused(plant, name, value):
    entries = plant(MINIMUM, 3).entries
    honest = Spoiled(entries)
    method = method_of(name, entries, 6)
    assert nullity(honest, method).count == 6
    assert honest.spent > 20
    for column in range(honest.spent):
        with pytest.raises(InputError, match="finite products"):
            nullity(Spoiled(entries, column, value), method)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_asked_alone_refuses_bad_numbers_too(plant, name):
    entries = plant(SADDLE, 3).entries
    method, honest = method_of(name, entries, 6), Spoiled(entries)
    method.count(honest, 0.0)
    for column in range(0, honest.spent, 3):
        with pytest.raises(InputError, match="finite products"):
            method.count(Spoiled(entries, column), 0.0)


def test_the_last_product_of_the_range_finder_is_looked_at(plant):
    entries = plant(MINIMUM, 3).entries
    honest, method = Spoiled(entries), LowRank(DECAY)
    whole = method.spectrum(honest)
    assert method.zeros(whole, honest, 0.0).resolved
    spoiled = Spectrum(whole.spectrum.values, whole.spectrum.multiplicities, math.nan)
    assert not count_zeros(spoiled, 0.0).resolved
    with pytest.raises(InputError, match="finite products"):
        method.spectrum(Spoiled(entries, honest.spent - 1))


def test_eigenvalues_and_radii_that_are_nan_are_undecided():
    values = torch.tensor([0.0, math.nan, 1.0], dtype=torch.float64)
    assert count_zeros(Spectrum(values, (2, 3, 1), 1e-16), 0.0).undecided == 3
    assert not count_zeros(Spectrum(values[[0, 2]], (2, 1), 1e-16), math.nan).resolved
    assert not count_zeros(Spectrum(values[[0, 2]], (2, 1), 1e-16), math.inf).resolved


@pytest.mark.parametrize("part", [1e-3, 0.1, 0.99, 1.0, 1.01, 10.0, 1e6, 1e300])
@pytest.mark.parametrize("name", METHODS)
def test_a_radius_near_the_norm_counts_nothing(plant, name, part):
    for values in (MINIMUM, SADDLE, [0.5] * 12, [1e-3]):
        entries = plant(values, 3).entries
        zeros = values.count(0.0)
        if name == "quotient" and not zeros:
            continue
        result = outcome(Matrix(entries), method_of(name, entries, zeros), part * max(map(abs, values)))
        assert result is None or not result.resolved, result
        assert result is None or result.reason


@pytest.mark.parametrize("name", METHODS)
def test_the_zero_operator_is_null_at_a_radius_of_zero_alone(name):
    entries = torch.zeros(7, 7, dtype=torch.float64)
    exact = outcome(Matrix(entries), method_of(name, entries, 7, decay=0.0))
    assert exact is None or not exact.resolved or (exact.count, exact.negative) == (7, 0)
    for radius in (1e-300, 1e-9, 1.0):
        result = outcome(Matrix(entries), method_of(name, entries, 7), radius)
        assert result is None or not result.resolved


@pytest.mark.parametrize("name", ["quotient", "projected"])
@pytest.mark.parametrize("off", [-2, -1, 1, 2])
@pytest.mark.parametrize("size", [21, 1100])
def test_a_rank_that_is_not_the_trace_is_an_error(name, off, size):
    """By the unit vectors up to 1024 rows, by a sketch beyond."""
    diagonal = torch.full((size,), DECAY, dtype=torch.float64)
    diagonal[:9] = 0
    basis = torch.eye(size, 9, dtype=torch.float64)
    for lied, expected in ((0, True), (off, False)):
        projector = Claimed(basis, lied)
        method = QuotientCholesky(projector) if name == "quotient" else Deflated(projector)
        result = outcome(Matrix(diagonal.diag()), method)
        assert (result is not None and result.resolved and result.count == 9) is expected
    with pytest.raises(InputError, match=f"rank {9 + off}, got one of trace 9.0"):
        nullity(Matrix(diagonal.diag()), method)


@pytest.mark.parametrize("stretch", [0.0, 0.5, 1 - 1e-6, 1 + 1e-9, -1.0, 2.0, math.nan, math.inf])
def test_what_is_not_idempotent_is_an_error(plant, stretch):
    entries = plant(MINIMUM, 3).entries
    projector = Claimed(null_columns(entries, 6), stretch=stretch)
    for method in (QuotientCholesky(projector), Deflated(projector)):
        with pytest.raises(InputError, match="expected a"):
            nullity(Matrix(entries), method)


@pytest.mark.parametrize("size", [1e-10, 1e-6, 1e-3, 1.0])
def test_a_direction_of_the_projector_that_is_not_null_is_noticed(plant, size):
    """The last basis vector is turned out of the null space, so far that its product has this length."""
    entries = plant(MINIMUM, 3).entries
    values, vectors = torch.linalg.eigh(entries)
    angle = math.asin(min(size / float(values[-1]), 1.0))
    basis = null_columns(entries, 6)
    basis[:, -1] = math.cos(angle) * basis[:, -1] + math.sin(angle) * vectors[:, -1]
    for method in (QuotientCholesky(Claimed(basis)), Deflated(Claimed(basis))):
        result = nullity(Matrix(entries), method)
        assert not result.resolved
        assert "null only to" in result.reason or "not positive" in result.reason


@pytest.mark.parametrize("shift", [0.0, -DECAY, 2e-3, DECAY * (1 + 1e-9), DECAY * (1 + 1e-15), 0.3, 1.0, 1e3, 1e9])
def test_a_wrong_decay_gives_no_wrong_count(plant, shift):
    for values in (MINIMUM, SADDLE):
        result = outcome(plant(values, 3), LowRank(shift, block=4))
        assert result is None or not result.resolved or result.count == 6


@pytest.mark.parametrize("scale", [5e-324, 1e-320, 1e-308, 1e-200, 1e-150, 1e150, 1e300])
@pytest.mark.parametrize("name", METHODS)
def test_scales_whose_squares_leave_the_range_are_refused(plant, name, scale):
    for entries in (scale * plant([1.0, -1.0, 1.0], 1).entries, torch.full((1, 1), scale, dtype=torch.float64)):
        method = method_of(name, torch.eye(len(entries), dtype=torch.float64), 1, decay=scale)
        with pytest.raises(InputError, match="scale it"):
            nullity(Matrix(entries), method)


def test_an_entry_that_every_product_rounds_to_zero_is_seen():
    """The smallest number of all, where the probes are below a half."""
    size = 400
    probes = random_block(Matrix(torch.zeros(size, size, dtype=torch.float64)), 4, seeded(0, "symmetry"))
    row = int(probes.abs().amax(1).argmin())
    entries = torch.zeros(size, size, dtype=torch.float64)
    entries[row, row] = 5e-324
    assert not (entries @ probes).any()
    with pytest.raises(InputError, match="scale it"):
        nullity(Matrix(entries), Dense())


def tried(draw: random.Random, plant: Callable[[list[float], int], Matrix], name: str, trial: int) -> tuple[str, int | None]:
    """Returns the kind of lie, and how wrong a resolved count is; None where it is refused or undecided."""
    zeros = draw.choice([0, 1, 2, 5, 8])
    size = 10 ** draw.uniform(-6, 0)
    values = [0.0] * zeros + [draw.choice([1, 1, -1]) * size * 10 ** draw.uniform(-4, 0) for _ in range(draw.randint(1, 12))]
    if draw.random() < 0.1:
        values = draw.choice([[0.0], [size], [-size]])
        zeros = values.count(0.0)
    norm, decay, radius = max(map(abs, values)), values[-1], 0.0
    matrix = plant(values, trial)
    if zeros == len(values):
        matrix = Matrix(torch.zeros(zeros, zeros, dtype=torch.float64))
    method = method_of(name, matrix.entries, zeros, decay, trial)
    operator: SymmetricOperator = matrix
    lie = draw.choice(["bad number", "asymmetric", "rank", "idempotent", "decay", "radius", "scale", "none"])
    if lie == "bad number":
        operator = Spoiled(matrix.entries, draw.randint(0, 60), draw.choice([math.nan, math.inf, -math.inf]))
    elif lie == "asymmetric":
        skew = torch.randn(matrix.size, matrix.size, generator=torch.Generator().manual_seed(trial), dtype=torch.float64)
        operator = Matrix(matrix.entries + norm * 10 ** draw.uniform(-8, 1) * (skew - skew.mT))
    elif lie in ("rank", "idempotent"):
        known = null_columns(matrix.entries, max(zeros, 1))
        projector = Claimed(known, draw.choice([-1, 1])) if lie == "rank" else Claimed(known, stretch=10 ** draw.uniform(-2, 2))
        method = QuotientCholesky(projector) if draw.random() < 0.5 else Deflated(projector)
    elif lie == "decay":
        method = LowRank(decay * draw.choice([0.0, -1.0, 1 + 1e-12, 1.5, 10 ** draw.uniform(-6, 6)]), block=draw.randint(1, 9))
    elif lie == "radius":
        radius = norm * 10 ** draw.uniform(-3, 9) or 1e-9
    elif lie == "scale":
        operator = Matrix(matrix.entries * 10 ** draw.uniform(-320, 300))
    found = outcome(operator, method, radius)
    if found is None or not found.resolved:
        return lie, None
    if lie == "asymmetric" and matrix.size > 1:
        return lie, 1  # an asymmetric operator has no count
    negative = sum(value < 0 for value in values)
    return lie, int(found.count != zeros or found.negative not in (None, negative))


@pytest.mark.parametrize("name", METHODS)
def test_no_lie_gives_a_wrong_count(plant, name):
    """100 tries for each method, 800 in all."""
    draw = random.Random(f"lies {name}")
    wrong: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for trial in range(100):
        lie, off = tried(draw, plant, name, trial)
        wrong[lie] += off == 1
        right[lie] += off == 0
    assert not +wrong
    assert right["none"] >= 3  # what does not lie is counted


def test_the_certificate_has_a_floor_of_rounding(plant):
    """Three distinct eigenvalues end the Krylov space, and what is left of the last vector would prove anything."""
    matrix, eps = plant([1e-7] * 30 + [1.0] * 20 + [0.5] * 10, 4), torch.finfo(torch.float64).eps
    (run,) = solve_runs(continue_runs(matrix, LanczosRuns.begin(random_block(matrix, 1, seeded(0, "floor"))), 6))
    assert run.ended
    found = absence([run], 60, 1.0, eps)
    floor = math.sqrt(2 * 60 / math.pi) * 16 * eps * 1.0 / float(run.values.abs().min())
    assert found.delta == pytest.approx(floor, rel=1e-6)
    assert floor > 1e-9
    alone = nullity(matrix, Deflated(probes=1, rounds=3))
    assert not alone.certified
    assert nullity(matrix, Deflated(probes=3)).resolved
