"""The certificate of absence: its power against a null vector left out, and that its inequality is one."""

import math

import pytest
import torch

from landscape.curvature.counting import nullity
from landscape.curvature.deflation import Deflated, absence
from landscape.curvature.krylov import Sweep, random_block, solve_runs, sweep
from landscape.curvature.operator import Matrix
from landscape.curvature.projection import BasisProjector
from landscape.curvature.quotient import Quotient, null_evidence
from landscape.errors import InputError

EPS = torch.finfo(torch.float64).eps
VALUES = [0.0] * 20 + [1e-3] * 40 + [2e-3] * 30 + [-5e-4] * 6 + [0.5, 0.9]


@pytest.mark.slow
def test_no_certificate_when_one_null_vector_is_left_out(plant, null_basis):
    matrix = plant(VALUES, 1)
    basis = null_basis(matrix, 1e-6)
    quotient = Quotient(matrix, BasisProjector(basis[:, 1:]), basis[:, :0], 0.45)
    for seed in range(200):
        start = quotient.clean(random_block(matrix, 1, torch.Generator().manual_seed(seed)))
        runs = Sweep.begin(start)
        for _ in range(4, 13):
            runs = sweep(quotient, runs, 4 if runs.steps == 0 else 1)
            verdict = absence(solve_runs(runs), quotient.dimension, 0.9, EPS)
            assert not (verdict.delta <= 1e-12 and verdict.half_width > 1e-10), (seed, runs.steps, verdict)


def test_the_overlap_with_an_eigenvector_obeys_the_bound(plant):
    values = [0.0] + [0.3 + 0.05 * i for i in range(15)] + [-0.2 - 0.03 * i for i in range(14)]
    matrix = plant(values, 2)
    vectors = torch.linalg.eigh(matrix.entries)[1]
    null = vectors[:, values and sorted(values).index(0.0)]
    start = random_block(matrix, 8, torch.Generator().manual_seed(0))
    runs = Sweep.begin(start)
    for steps in range(1, 12):
        runs = sweep(matrix, runs, 1)
        for i, run in enumerate(solve_runs(runs)):
            bound = float(run.betas.log().sum() - run.values.abs().log().sum())
            overlap = abs(float(null @ runs.basis[i, 0]))
            assert math.log(overlap) <= bound + 1e-9, steps


@pytest.mark.parametrize("missing", [1, 7, 8, 9, 20])
def test_what_the_projector_does_not_know_is_found(plant, null_basis, missing):
    matrix = plant(VALUES, 1)
    basis = null_basis(matrix, 1e-6)
    for seed in range(5):
        result = nullity(matrix, Deflated(BasisProjector(basis[:, missing:]), seed=seed))
        assert (result.count, result.negative, result.resolved) == (20, 6, True)
        assert result.seed == seed


def test_the_index_is_left_out_on_request(plant):
    result = nullity(plant(VALUES, 1), Deflated(index=False))
    assert (result.count, result.negative, result.resolved) == (20, None, True)


def test_a_projector_onto_what_is_not_null_is_not_believed(plant):
    matrix = plant(VALUES, 1)
    vectors = torch.linalg.eigh(matrix.entries)[1]
    result = nullity(matrix, Deflated(BasisProjector(vectors[:, :3].contiguous())))
    assert not result.resolved
    assert "null only to" in result.reason


def test_what_is_no_projector_is_refused(plant, null_basis):
    matrix = plant(VALUES, 1)
    with pytest.raises(InputError, match="orthonormal basis"):
        null_evidence(matrix, BasisProjector(2 * null_basis(matrix, 1e-6)), 0)

    class Stretched:
        rank = 20

        def apply(self, block):
            return 2 * BasisProjector(null_basis(matrix, 1e-6)).apply(block)

    with pytest.raises(InputError, match="orthogonal projector"):
        null_evidence(matrix, Stretched(), 0)

    class Liar:
        rank = 80

        def apply(self, block):
            return BasisProjector(null_basis(matrix, 1e-6)).apply(block)

    with pytest.raises(InputError, match="of rank 80"):
        null_evidence(matrix, Liar(), 0)


def test_too_few_steps_say_undecided(plant):
    result = nullity(plant(VALUES, 1), Deflated(steps=2))
    assert not result.certified
    assert "no certificate" in result.reason


def test_the_radius_of_a_null_space_is_never_too_small_and_not_much_too_large():
    """A space that is null only to 1e-6, in one direction or in all of them."""
    generator = torch.Generator().manual_seed(3)
    rotation = torch.linalg.qr(torch.randn(120, 120, dtype=torch.float64, generator=generator))[0]
    for sizes in ([1e-6] + [0.0] * 79, [1e-6] * 80):
        entries = (rotation * torch.tensor([*sizes, *[0.3] * 40], dtype=torch.float64)) @ rotation.mT
        projector = BasisProjector(rotation[:, :80].contiguous())
        radii = [null_evidence(Matrix((entries + entries.mT) / 2), projector, seed).radius for seed in range(300)]
        assert min(radii) >= 1e-6
        assert max(radii) < 3e-5
