"""The reduced point keeps the gradient and gives the point back."""

import time

import pytest
import torch

from landscape.errors import InputError
from landscape.model.logit_form import write_parameters
from landscape.model.objective import Objective, class_means
from landscape.model.problem import Problem
from landscape.model.reduced_point import accepted_rank, compress
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Partition


def test_compress_and_embed_are_inverse_at_a_critical_point():
    problem = Problem((2, 2, 3, 3, 1), 7, 3, (1e-3, 2e-3, 1e-3, 5e-4))
    theta = write_parameters(problem, logit_form(problem, Partition((2, 2, 1))), gauge=5)
    core, frames = compress(problem, theta, 1e-10)
    torch.testing.assert_close(core.embed(frames), theta, rtol=0, atol=1e-13)
    full = Objective.of(problem)
    torch.testing.assert_close(core.objective.loss(core.theta), full.loss(theta), rtol=1e-13, atol=0)
    torch.testing.assert_close(core.class_logits, class_means(problem, full.logits(theta)), rtol=0, atol=1e-12)


def test_no_core_where_there_is_none():
    relu = Problem.balanced(3, 1, 3, 2, 0.1, activation="relu")
    with pytest.raises(InputError, match="linear"):
        compress(relu, torch.zeros(relu.parameters, dtype=torch.float64), 1e-9)
    linear = Problem.balanced(3, 1, 3, 2, 0.1)
    parts = [torch.eye(3), torch.diag(torch.tensor([1.0, 0, 0])), torch.eye(3)]
    with pytest.raises(InputError, match="rank"):
        compress(linear, torch.cat([part.double().flatten() for part in parts]), 1e-9)


def test_a_very_deep_point_is_judged_in_a_second():
    """The bound on the Hessian's change leaves out every two of 1001 factors; their products are made in one pass."""
    problem = Problem.balanced(3, 1, 4, 1000, 1e-2)
    theta = torch.randn(problem.parameters, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for scale in (1e-9, 1.0, 1e3):
        began = time.monotonic()
        objective = Objective.of(problem, scale * theta)
        if scale < 1e-3:
            assert accepted_rank(objective, scale * theta, 1e-6) == 0
        else:
            with pytest.raises(InputError):
                accepted_rank(objective, scale * theta, 1e6)
        assert time.monotonic() - began < 10
