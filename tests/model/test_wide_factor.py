"""Singular values of factors with very many columns."""

import pytest
import torch

from landscape.degeneracy.analysis import analyse
from landscape.model.logit_form import write_parameters
from landscape.model.problem import LossName, Problem
from landscape.model.wide_factor import shortened
from landscape.points.point import CriticalPoint, Origin
from landscape.solver.newton import critical_core
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Collapse


@pytest.mark.parametrize("samples", [1, 31, 64, 65, 30_000])
def test_equal_columns_have_the_singular_values_of_one_of_each(samples: int) -> None:
    """[M .. M] has sqrt(n) times the singular values of M: here 3, 1 and an exact 0 in the third row's direction."""
    rotation = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[0]
    means = rotation @ torch.tensor([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    short = shortened(means.repeat_interleave(samples, dim=1))
    assert short.shape[1] <= 64
    left, values, _ = torch.linalg.svd(short)
    expected = torch.tensor([3.0, 1.0, 0.0], dtype=torch.float64)[: len(values)]
    torch.testing.assert_close(values / samples**0.5, expected, rtol=1e-14, atol=1e-14)
    torch.testing.assert_close((left.mT @ rotation).abs(), torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-14)


def test_a_short_factor_is_left_alone() -> None:
    factor = torch.randn(70, 140, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert shortened(factor) is factor


def test_any_factor_keeps_its_gram_matrix() -> None:
    factor = torch.randn(40, 1003, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    short = shortened(factor)
    assert short.shape == (40, 40 * 2)
    torch.testing.assert_close(short @ short.mT, factor @ factor.mT, rtol=1e-13, atol=1e-11)


def test_the_core_of_a_written_point_of_very_many_samples_is_found() -> None:
    problem = Problem.balanced(classes=3, samples=100_000, width=5, depth=2, decay=1e-3)
    theta = write_parameters(problem, logit_form(problem, Collapse()))
    found = critical_core(problem, theta, 1e-12)
    assert found is not None
    core, nearest = found
    assert core.rank == 2
    assert float((nearest - theta).norm()) < 1e-12 * float(theta.norm())


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "nullity"), [("ce", 14), ("mse", 18)])
def test_a_written_point_of_very_many_samples_is_critical(loss: LossName, nullity: int) -> None:
    """The orbit of rank r has the dimension 2 (r (5 - r) + r (r - 1) / 2): 14 and 18 for the ranks 2 and 3."""
    problem = Problem.balanced(classes=3, samples=100_000, width=5, depth=2, decay=1e-3, loss=loss)
    report = analyse(CriticalPoint.at(problem, write_parameters(problem, logit_form(problem, Collapse())), Origin("analytic")))
    assert report.critical
    assert (report.nullity, report.index) == (nullity, 0)
