"""The zero point against the dense oracle, and at decays that make an eigenvalue exactly zero."""

import math

import pytest

from landscape.model.problem import LossName, Problem
from landscape.proof.box import prove_point
from landscape.proof.statement import Proof
from tests.proof import dense_oracle


def at_zero(problem: Problem) -> Proof:
    result = prove_point(problem, 0, [])
    assert isinstance(result, Proof)
    return result


@pytest.mark.parametrize("loss", ["ce", "mse"])
@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 2), (1, 2, 3), (4, 1, 1), (2, 2, 1)])
@pytest.mark.parametrize("decay", [0.01, (0.1, 0.2), 0.3, (0.01, 0.5)])
def test_signs_of_one_layer(sizes: tuple[int, ...], decay: float | tuple[float, ...], loss: LossName) -> None:
    problem = Problem(sizes, 2, 1, decay, loss)
    proof = at_zero(problem)
    assert (proof.index, proof.nullity) == dense_oracle.counts([], problem, 0)


def test_the_closed_form() -> None:
    for samples, decay, expected in ((1, 0.02, 18), (1, 0.26, 0), (4, 0.12, 18), (4, 0.13, 0)):
        problem = Problem.balanced(4, samples, 6, 1, decay)
        assert (decay * 4 * math.sqrt(samples) < 1) == (expected > 0)
        assert at_zero(problem).index == expected


@pytest.mark.parametrize(
    ("problem", "index", "nullity"),
    [
        (Problem.balanced(4, 1, 5, 1, 0.25), 0, 15),  # decay = 1/(K sqrt n) exactly
        (Problem.balanced(4, 1, 5, 1, (0.125, 0.5)), 0, 15),
        (Problem.balanced(2, 4, 3, 1, 0.25), 0, 3),
        (Problem((4, 1, 1, 2), 3, 1, 0.25, "mse"), 0, 3),
        (Problem((4, 2, 1, 1), 3, 1, 0.125, "mse"), 9, 0),  # singular values 2/8, sqrt(2)/8 and twice 1/8: two equal the decay
        (Problem((1, 1, 2), 3, 1, 0.25, "ce"), 3, 3),  # two equal classes at the bound: their difference is null
    ],
    ids=str,
)
def test_exact_zeros(problem: Problem, index: int, nullity: int) -> None:
    proof = at_zero(problem)
    assert (proof.index, proof.nullity) == dense_oracle.counts([], problem, 0, "1e-13")
    if nullity:
        assert (proof.index, proof.nullity) == (index, nullity)
        for step, more in ((-1, nullity), (1, 0)):
            decays = tuple(math.nextafter(decay, step * math.inf) for decay in problem.decays)
            beside = at_zero(Problem(problem.class_sizes, problem.width, 1, decays, problem.loss))
            assert (beside.index, beside.nullity) == (index + more, 0)


@pytest.mark.parametrize("loss", ["ce", "mse"])
def test_deeper_models_have_nothing_to_count(loss: LossName) -> None:
    proof = at_zero(Problem((1, 2, 3), 4, 2, 1e-6, loss))
    assert (proof.rank, proof.index, proof.nullity, proof.distance) == (0, 0, 0, 0.0)
    assert proof.loss[0] <= (math.log(3) if loss == "ce" else 0.5) <= proof.loss[1]
