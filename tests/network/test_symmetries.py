"""Symmetries, against Jacobians by plain autograd on many random inputs, which know nothing of families."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from landscape.errors import InputError
from landscape.network.family_search import NULL
from landscape.network.loss import ModuleLoss
from landscape.network.symmetries import Symmetries, symmetries
from tests.network.symmetric_modules import (
    CE,
    Attention,
    FlattenedChannels,
    NormBlock,
    Rectified,
    StridedHeads,
    Tied,
    TwoMaps,
    loss_of,
    no_bias,
    normal,
)


def invisible(problem: ModuleLoss, inputs: Tensor) -> int:
    """Returns how many directions change no log-probability of any input, to first order: parameters minus the Jacobian's rank."""
    shapes = problem.flat.shapes

    def outputs(flat: Tensor) -> Tensor:
        cut = flat.split([shape.numel() for shape in shapes.values()])
        named = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), cut, strict=True)}
        return torch.log_softmax(torch.func.functional_call(problem.module, named, (inputs,)), -1).reshape(-1)

    jacobian = torch.autograd.functional.jacobian(outputs, problem.theta)
    return problem.theta.numel() - int(torch.linalg.matrix_rank(jacobian, rtol=1e-11))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (TwoMaps, (6,)),
        (Rectified, (6,)),
        (StridedHeads, (4, 3)),
        (NormBlock, (3,)),
        (FlattenedChannels, (36,)),
        (Attention, (5, 4)),
    ],
)
def test_without_decay_the_orbit_has_all_that_a_jacobian_does_not_see(module, shape):
    problem = loss_of(module, normal(12, *shape), decay=0.0)
    found = symmetries(problem)
    assert found.dimension == invisible(problem, normal(200, *shape, seed=9)) > 0
    assert found.orbit.sharp
    assert found.largest_null < NULL < 1e-6 < found.smallest_other


def names(found: Symmetries) -> set[str]:
    return {family.name for family in found.families}


@pytest.mark.slow
def test_with_decay_rotations_are_left_and_have_names():
    assert names(symmetries(loss_of(TwoMaps, normal(12, 6)))) == {"rotation of 5: 2.weight rows, 2.bias, 3.weight columns"}
    assert names(symmetries(loss_of(StridedHeads, normal(12, 4, 3)))) == {
        "rotation of 3: q.weight rows 0, 2, 4, k.weight rows 0, 2, 4",
        "rotation of 3: q.weight rows 1, 3, 5, k.weight rows 1, 3, 5",
        "rotation of 3: v.weight rows 0, 2, 4, o.weight columns 0, 2, 4",
        "rotation of 3: v.weight rows 1, 3, 5, o.weight columns 1, 3, 5",
    }
    assert names(symmetries(loss_of(FlattenedChannels, normal(12, 36)))) == {
        "rotation of 3: c.weight rows, h.weight columns (4 blocks of stride 4)"
    }
    assert names(symmetries(loss_of(NormBlock, normal(12, 3)))) == {
        "rotation that keeps the mean of 5: e.weight rows, e.bias, u.weight columns, d.weight rows, d.bias, h.weight columns"
    }
    tokens = torch.arange(14)[:, None] % 7
    assert names(symmetries(loss_of(Tied, tokens, classes=7))) == {
        "rotation of 4: t.weight columns, m.weight rows, m.weight columns"
    }
    assert not symmetries(loss_of(Rectified, normal(12, 6))).families


@pytest.mark.slow
def test_unequal_decays_of_tensors_keep_rotations_and_break_the_rest():
    found = symmetries(loss_of(TwoMaps, normal(12, 6), decay={"2.weight": 1e-2, "3.weight": 3e-3, "2.bias": 1e-3}))
    assert names(found) == {"rotation of 5: 2.weight rows, 2.bias, 3.weight columns"}
    exempt = symmetries(loss_of(TwoMaps, normal(12, 6), decay=lambda name, value: 1e-2 * (value.ndim > 1)))
    assert names(exempt) == {
        "rotation of 5: 2.weight rows, 2.bias, 3.weight columns",
        "shear of 5: 2.bias, 3.bias through 3.weight",
    }
    half = symmetries(loss_of(Rectified, normal(12, 6), decay={"2.weight": 1e-2}))
    assert not half.families  # rescaling moves a decayed tensor


@pytest.mark.parametrize("broken", [1e-3, 1e-6, 1e-9])
def test_a_symmetry_that_is_nearly_one_is_none(broken):
    class Bent(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = no_bias(4, 5), no_bias(5, 3)

        def forward(self, x):
            hidden = self.a(x)
            return self.b(hidden + broken * torch.tanh(hidden))

    found = symmetries(loss_of(Bent, normal(12, 4)))
    assert not found.families
    assert found.dimension == 0


@pytest.mark.slow
def test_what_the_data_do_not_see():
    x = normal(12, 6)
    x[:, 2] = 0.0
    x[:, 4] = x[:, 1]
    found = symmetries(loss_of(TwoMaps, x))
    assert {(each.reason, each.where, each.dimension, each.everywhere) for each in found.inert} == {
        ("dead inputs", "0.weight columns 2", 4, False),
        ("identical inputs", "0.weight columns 1, 4", 4, False),
        ("softmax shift", "3.weight rows", 5, True),
        ("softmax shift", "3.bias entries", 1, True),
    }
    keys = {(each.reason, each.dimension) for each in symmetries(loss_of(Attention, normal(12, 5, 4))).inert}
    assert ("unused parameters", 4) in keys  # the biases of the keys
    block = {each.where: each.reason for each in symmetries(loss_of(NormBlock, normal(12, 3))).inert}
    assert block["d.weight rows"] == block["u.weight columns"] == "shift before a normalisation"


@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-9])
def test_tensors_that_decay_has_taken_to_zero_are_not_unused(size):
    class Branch(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.h = no_bias(4, 3), no_bias(3, 4), no_bias(4, 3)

        def forward(self, x):
            return self.h(x + self.b(torch.tanh(self.a(x))))

    problem = loss_of(Branch, normal(12, 4))
    small = problem.theta.clone()
    small[problem.layers["a.weight"]] *= size
    small[problem.layers["b.weight"]] *= size
    found = symmetries(problem.at(small))
    assert {(each.reason, each.where) for each in found.inert} == {("softmax shift", "h.weight rows")}


def test_many_dependences_of_inputs_are_one_line():
    """Six inputs and a bias on four samples leave three relations, each between five columns, for each of four units."""
    (found,) = (each for each in symmetries(loss_of(TwoMaps, normal(4, 6))).inert if "inputs" in each.reason)
    assert found.reason == "linear dependence of inputs"
    assert found.where == "0.bias, 0.weight columns"
    assert found.dimension == 3 * 4


def test_one_sample_whose_gradients_answer_one_question_each():
    """Gradients of all rows are multiples of the one input, so that questions about several arrays have one answer."""

    class Rows(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Linear(3, 79))

    found = symmetries(loss_of(Rows, normal(1, 3)))
    assert not found.families
    assert not found.unsearched
    # three inputs and a bias on one sample leave three relations, for each of 79 classes
    reasons = sorted((each.reason, each.dimension) for each in found.inert)
    assert reasons == [("linear dependence of inputs", 3 * 79), ("softmax shift", 1), ("softmax shift", 3)]


def test_the_projector_is_one_and_needs_no_basis(monkeypatch):
    problem = loss_of(TwoMaps, normal(12, 6), decay=0.0)
    found = symmetries(problem)
    with_basis = found.orbit
    block = normal(problem.theta.numel(), 7)
    once = with_basis.apply(block)
    monkeypatch.setattr("landscape.network.orbit._BASIS", 0)
    again = dataclasses.replace(found).orbit
    assert again.rank == with_basis.rank
    assert again.trace == pytest.approx(again.rank, abs=1e-6)
    torch.testing.assert_close(again.apply(block), once, rtol=0, atol=1e-9)
    torch.testing.assert_close(again.apply(again.apply(block)), again.apply(block), rtol=0, atol=1e-9)


def test_the_result_shows_itself_and_bad_input_is_one_line():
    found = symmetries(loss_of(TwoMaps, normal(12, 6)))
    assert "10 at this point" in str(found)
    assert "<table>" in found._repr_html_()
    assert found.as_dict()["orbit_dimension"] == 10
    with pytest.raises(InputError, match="float64"):
        symmetries(ModuleLoss(nn.Linear(3, 2), CE, [(torch.randn(4, 3), torch.zeros(4, dtype=torch.int64))]))
    with pytest.raises(InputError, match="limit >= 1"):
        symmetries(loss_of(TwoMaps, normal(12, 6)), limit=0)
    few = symmetries(loss_of(TwoMaps, normal(12, 6)), limit=2)
    assert few.unsearched
