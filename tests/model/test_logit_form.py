"""Parameters written in two gauges: other numbers, the same logits."""

import torch

from landscape.model.logit_form import write_parameters
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Pairs

PAPER = Problem.balanced(10, 5, 70, 2, 2**-10)


def test_gauges_share_logits_and_differ():
    form = logit_form(PAPER, Pairs())
    one, other, again = (write_parameters(PAPER, form, gauge) for gauge in (1, 2, 1))
    objective = Objective.of(PAPER)
    assert torch.equal(one, again)
    assert float((one - other).norm()) > 1
    assert float((objective.logits(one) - objective.logits(other)).abs().max()) < 1e-13
