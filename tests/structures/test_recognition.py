"""Names depend on the structure alone: not on labels, gauge, width or samples, and never on the loss."""

import pytest
import torch

from landscape.degeneracy.analysis import analyse
from landscape.model.logit_form import write_parameters
from landscape.model.problem import Problem
from landscape.points.point import CriticalPoint, Origin
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Apex, Collapse, Pairs, Partition
from landscape.structures.recognition import structure_name
from tests.model.actions import relabel

NAMED = [
    (Problem.balanced(6, 2, 7, 2, 1e-3), Collapse(), "DNC"),
    (Problem.balanced(6, 2, 7, 2, 1e-3), Collapse("small"), "DNC-small"),
    (Problem.balanced(6, 2, 7, 2, 1e-3), Pairs(), "pairs"),
    (Problem.balanced(6, 2, 7, 2, 1e-3), Partition((2, 4)), "partition:4,2"),
    (Problem.balanced(6, 2, 7, 2, 1e-3), Partition((3, 2, 1)), "partition:3,2,1"),
    (Problem.balanced(5, 2, 7, 2, 1e-3), Apex(), "apex"),
    (Problem.balanced(7, 1, 7, 2, 1e-3), Apex(), "apex"),
    (Problem((2, 2, 3, 3), 5, 2, 1e-3), Pairs(), "pairs"),
    (Problem((3, 1, 2), 4, 2, 1e-3, "mse"), Collapse(), "DNC"),
]


@pytest.mark.parametrize(("problem", "structure", "name"), NAMED, ids=lambda value: value if isinstance(value, str) else "")
def test_known_structures_in_any_order_of_classes(problem, structure, name):
    theta = write_parameters(problem, logit_form(problem, structure), gauge=2)
    order = torch.randperm(problem.classes, generator=torch.Generator().manual_seed(7)).tolist()
    for model, point in ((problem, theta), relabel(problem, theta, order)):
        assert analyse(CriticalPoint.at(model, point, Origin("x"))).structure == name


def test_the_zero_point():
    problem = Problem.balanced(4, 2, 5, 2, 1e-2)
    report = analyse(CriticalPoint.at(problem, torch.zeros(problem.parameters, dtype=torch.float64), Origin("x")))
    assert (report.structure, report.nullity, report.index, report.resolved) == ("zero", 0, 0, True)


def test_the_right_pattern_at_the_wrong_scale_has_no_name():
    problem = Problem.balanced(4, 2, 5, 2, 1e-3)
    form = logit_form(problem, Collapse())
    logits = (form.left * form.singular) @ form.right.mT / 2**0.5
    assert structure_name(problem, logits, 3) == "DNC"
    assert structure_name(problem, 1.001 * logits, 3) == "unnamed rank 3"
    bent = logits.clone()
    bent[0, 1] += 1e-3
    assert structure_name(problem, bent, 3) == "unnamed rank 3"
