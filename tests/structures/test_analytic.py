"""Analytic points: critical at any setting that has them, refused with a reason where there are none."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from landscape.errors import InputError
from landscape.model.logit_form import write_parameters
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Apex, Collapse, Pairs, Partition
from landscape.structures.scale_equation import simplex_equation

PAPER = Problem.balanced(10, 5, 70, 2, 2**-10)


def gradient_norm(problem, structure, gauge=3):
    theta = write_parameters(problem, logit_form(problem, structure), gauge)
    return float(torch.func.grad(Objective.of(problem).loss)(theta).norm())


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=4).filter(lambda groups: 2 <= sum(groups) <= 7),
    st.integers(1, 4),
    st.integers(1, 3),
    st.floats(-12.0, -5.0),
)
def test_every_partition_is_critical(groups, depth, samples, exponent):
    problem = Problem.balanced(sum(groups), samples, sum(groups), depth, math.exp(exponent))
    try:
        form = logit_form(problem, Partition(tuple(groups)))
    except InputError as error:
        assert "largest decay" in str(error)  # noqa: PT017 (above the fold is a fair answer)
        return
    assert form.rank == sum(groups) - len(groups)
    assert float(torch.func.grad(Objective.of(problem).loss)(write_parameters(problem, form, 1)).norm()) < 1e-12


@pytest.mark.parametrize("structure", [Collapse(), Collapse("small"), Pairs(), Pairs("small"), Partition((6, 2, 2))])
def test_paper_setting(structure):
    assert gradient_norm(PAPER, structure) < 1e-14


def test_known_scales_and_losses():
    alpha = float(logit_form(PAPER, Collapse()).singular[0]) / math.sqrt(5)
    assert alpha == pytest.approx(7.0375384944, abs=1e-9)
    q = math.exp(-alpha) / (1 + 9 * math.exp(-alpha))
    assert q * alpha ** (1 / 3) == pytest.approx(2**-10 * 5 ** (1 / 3), rel=1e-13)
    assert float(logit_form(PAPER, Pairs()).singular[0]) / math.sqrt(5) / 2 == pytest.approx(7.0470486883, abs=1e-9)
    losses = {(10,): 0.0906621832, (8, 2): 0.0884334205, (6, 2, 2): 0.0860816013, (2,) * 5: 0.0800126592}
    for groups, loss in losses.items():
        theta = write_parameters(PAPER, logit_form(PAPER, Partition(groups)))
        assert float(Objective.of(PAPER).loss(theta)) == pytest.approx(loss, abs=6e-11)


def test_uneven_classes_equal_within_groups():
    problem = Problem((2, 2, 3, 3, 1), 5, 2, (1e-3, 2e-3, 5e-4))
    assert gradient_norm(problem, Partition((2, 2, 1))) < 1e-13
    with pytest.raises(InputError, match="equal class sizes"):
        logit_form(problem, Collapse())


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_squared_error_collapse_is_critical(depth):
    assert gradient_norm(Problem((3, 1, 2), 4, depth, 1e-3, "mse"), Collapse()) < 1e-14


@pytest.mark.parametrize(("classes", "depth"), [(3, 2), (5, 2), (5, 3), (7, 2), (9, 2), (5, 1)])
def test_pairs_and_apex(classes, depth):
    problem = Problem.balanced(classes, 2, classes, depth, 1e-3)
    assert logit_form(problem, Apex()).rank == (classes + 1) // 2
    assert gradient_norm(problem, Apex()) < 1e-13


def test_pairs_and_apex_loss_of_five_classes():
    problem = Problem.balanced(5, 1, 6, 2, 1e-3 * 2 ** (1 / 3))
    assert float(Objective.of(problem).loss(write_parameters(problem, logit_form(problem, Apex())))) == pytest.approx(
        0.030945360, abs=1e-9
    )


@pytest.mark.parametrize("structure", [Collapse(), Pairs(), Partition((4, 2)), Partition((3, 2, 1))])
def test_the_named_largest_decay_is_the_largest(structure):
    with pytest.raises(InputError, match="largest decay") as refusal:
        logit_form(Problem.balanced(6, 2, 6, 2, 1.0), structure)
    largest = float(str(refusal.value).rsplit(" ", 1)[1])
    below, above = (Problem.balanced(6, 2, 6, 2, largest * factor) for factor in (1 - 1e-5, 1 + 1e-5))
    if structure == Partition((3, 2, 1)):  # the message names the first group that fails; a smaller one may fail below it
        smallest = min(simplex_equation(below, g, 2).largest_decay for g in (3, 2))
        below, above = (Problem.balanced(6, 2, 6, 2, smallest * factor) for factor in (1 - 1e-5, 1 + 1e-5))
    assert gradient_norm(below, structure) < 1e-12
    with pytest.raises(InputError, match="largest decay"):
        logit_form(above, structure)


@pytest.mark.slow
def test_pairs_and_apex_largest_decay():
    with pytest.raises(InputError, match="largest decay") as refusal:
        logit_form(Problem.balanced(5, 1, 5, 2, 0.5), Apex())
    largest = float(str(refusal.value).rsplit(" ", 1)[1])
    assert gradient_norm(Problem.balanced(5, 1, 5, 2, largest * 0.999), Apex()) < 1e-12


@pytest.mark.parametrize(
    ("problem", "structure", "message"),
    [
        (Problem.balanced(5, 1, 5, 2, 1e-3), Pairs(), "even number"),
        (Problem.balanced(4, 1, 4, 2, 1e-3), Apex(), "odd number"),
        (Problem.balanced(4, 1, 4, 2, 1e-3), Partition((2, 1)), "sum to 4"),
        (Problem.balanced(4, 1, 4, 2, 1e-3), Partition((4, 0)), "at least 1"),
        (Problem.balanced(4, 1, 2, 2, 1e-3), Collapse(), "width >= 3"),
        (Problem.balanced(4, 1, 4, 1, 1e-3), Collapse("small"), "depth >= 2"),
        (Problem.balanced(4, 1, 4, 2, 1e-3, "mse"), Pairs(), "loss ce"),
        (Problem.balanced(4, 1, 4, 2, 1e-3, activation="relu"), Collapse(), "linear"),
    ],
)
def test_refusals(problem, structure, message):
    with pytest.raises(InputError, match=message):
        logit_form(problem, structure)
