"""The verdict on the paper's cause is a function of the counts: what would bear it out, and what would leave it open."""

from dataclasses import replace

import pytest

from landscape.archive.experiment import Experiment
from landscape.model.problem import Problem
from landscape.paper.claims.cause import verdict_of_swap
from landscape.studies.ends import EndPoint
from landscape.studies.prevalence import Prevalence

EXPERIMENT = Experiment(Problem.balanced(10, 5, 70, 2, 2.0**-10))
COLLAPSED = EndPoint(0, "DNC", 9, 0.0907, 1e-13, "CONVERGED", 50, 900, 0, 1170, 1170, (1.0,) * 9)
PAIRED = EndPoint(0, "pairs", 5, 0.08, 1e-13, "CONVERGED", 50, 900, 0, 670, 670, (1.0,) * 5)


def counted(found: int, seeds: int = 20, end: EndPoint = COLLAPSED, lost: int = 0) -> Prevalence:
    ends = [end] * found + [PAIRED] * (seeds - found - lost) + [replace(PAIRED, outcome="MAX_STEPS", nullity=None)] * lost
    return Prevalence.of(EXPERIMENT, [replace(one, seed=seed) for seed, one in enumerate(ends)])


@pytest.mark.parametrize(
    ("plain", "placebo", "symmetric", "expected"),
    [
        (counted(2), counted(3), counted(20), "does not hold as stated"),
        (counted(2), counted(3), counted(4), "holds"),  # equal manifolds, equal shares: as the paper expects
        (counted(18), counted(17), counted(2), "does not hold as stated"),
        (counted(2), counted(15), counted(20), "not testable"),  # the placebo moves the share, so the swap says nothing
        (counted(2), counted(3), counted(20, end=replace(COLLAPSED, nullity=1098)), "not testable"),  # the manifold has changed
        (counted(2, lost=12), counted(3), counted(20), "not testable"),
    ],
)
def test_the_verdict(plain: Prevalence, placebo: Prevalence, symmetric: Prevalence, expected: str) -> None:
    assert verdict_of_swap(plain, placebo, symmetric) == expected
