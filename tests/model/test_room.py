"""Memory that products of one vector use again: nobody sees another's numbers, and derivatives pass as without it."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from landscape.curvature.operators.operator import Product
from landscape.model.objective import Objective
from landscape.model.problem import ActivationName, LossName, Problem

KINDS: list[tuple[LossName, ActivationName]] = [("ce", "linear"), ("mse", "linear"), ("ce", "relu"), ("mse", "relu")]


def draw(problem: Problem, count: int) -> Tensor:
    return torch.randn(count, problem.parameters, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def plain_product(problem: Problem, theta: Tensor, direction: Tensor) -> Tensor:
    return torch.func.jvp(torch.func.grad(Objective.of(problem).loss), (theta,), (direction,))[1]


@pytest.mark.parametrize(("loss", "activation"), KINDS)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_products_follow_each_other_and_keep_their_results(loss: LossName, activation: ActivationName, depth: int) -> None:
    problem = Problem((2, 1, 3), 4, depth, (0.1, 0.2, 0.3, 0.4)[: depth + 1], loss, activation)
    theta, *directions = draw(problem, 4)
    apply = Objective.of(problem).linearize(theta)
    products = [apply(direction) for direction in directions]
    columns = [Product(apply, theta) @ direction.unsqueeze(1) for direction in directions]
    assert apply.rooms is not None
    assert len(apply.rooms.free) == 1
    for direction, product, column in zip(directions, products, columns, strict=True):
        torch.testing.assert_close(product, plain_product(problem, theta, direction), rtol=1e-12, atol=1e-13)
        assert torch.equal(column[:, 0], product)


@pytest.mark.parametrize(("loss", "activation"), KINDS)
@pytest.mark.parametrize(("width", "depth"), [(35, 1), (35, 3), (70, 2), (129, 1), (140, 2), (100, 3)])
@pytest.mark.parametrize("sharpness", [math.inf, 3.0])
def test_products_of_every_size_repeat(
    loss: LossName, activation: ActivationName, width: int, depth: int, sharpness: float
) -> None:
    """Wide columns of a ReLU model are multiplied as rows, others as they are."""
    problem = Problem.balanced(4, 3, width, depth, 0.1, loss, activation)
    theta, *directions = draw(problem, 3)
    objective = replace(Objective.of(problem), sharpness=sharpness)
    apply = objective.linearize(theta)
    for direction in directions:
        expected = torch.func.jvp(torch.func.grad(objective.loss), (theta,), (direction,))[1]
        assert (apply(direction) - expected).norm() <= 1e-12 * expected.norm()
    assert apply.rooms is not None
    assert apply.rooms.repeatable


def test_calls_that_are_not_known_to_repeat_are_made_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem((2, 1, 3), 4, 2, 0.1)
    theta, direction = draw(problem, 2)
    apply = Objective.of(problem).linearize(theta)
    expected = apply(direction)
    monkeypatch.setattr("landscape.model.room._IN_PLACE", {torch.Tensor.addmm_})
    other = Objective.of(problem).linearize(theta)
    for _ in range(2):
        torch.testing.assert_close(other(direction), expected, rtol=1e-13, atol=1e-14)
    assert other.rooms is not None
    assert not other.rooms.repeatable


def test_a_product_during_another_takes_memory_of_its_own() -> None:
    problem = Problem((2, 1, 3), 4, 2, 0.1)
    theta, direction, other = draw(problem, 3)
    apply = Objective.of(problem).linearize(theta)
    expected, rooms = apply(direction), apply.rooms
    assert rooms is not None
    held = rooms.take(theta)
    assert held is not None
    held.row.copy_(other)
    before = held.result.clone()
    assert torch.equal(apply(direction), expected)
    assert torch.equal(held.row[0], other)
    assert torch.equal(held.result, before)


def test_another_shift_of_the_same_point_shares_memory_and_no_result() -> None:
    problem = Problem((2, 1, 3), 4, 2, 0.1)
    theta, direction = draw(problem, 2)
    apply = Objective.of(problem).linearize(theta)
    shifted = apply.shifted(torch.tensor(0.5, dtype=torch.float64))
    torch.testing.assert_close(shifted(direction) - apply(direction), direction / 2, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_memory_from_inference_mode_serves_outside_and_the_other_way_round(activation: ActivationName) -> None:
    problem = Problem((2, 1, 3), 4, 2, 0.1, "ce", activation)
    theta, direction = draw(problem, 2)
    expected = Objective.of(problem).linearize(theta)(direction)
    with torch.inference_mode():
        inside = Objective.of(problem).linearize(theta)
        inside(direction)
    assert torch.equal(inside(direction), expected)
    outside = Objective.of(problem).linearize(theta)
    outside(direction)
    with torch.inference_mode():
        assert torch.equal(outside(direction), expected)


@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_a_product_is_differentiated_by_its_point(activation: ActivationName) -> None:
    problem = Problem((2, 1, 3), 4, 2, 0.1, "ce", activation)
    theta, direction, along = draw(problem, 3)
    objective = Objective.of(problem)
    turned = torch.func.jvp(lambda at: objective.linearize(at)(direction), (theta,), (along,))[1]
    expected = torch.func.jvp(partial(plain_product, problem, direction=direction), (theta,), (along,))[1]
    torch.testing.assert_close(turned, expected, rtol=1e-11, atol=1e-12)


def test_a_direction_that_wants_a_gradient_is_refused_and_not_cut_off() -> None:
    problem = Problem((2, 1, 3), 4, 2, 0.1)
    theta, direction = draw(problem, 2)
    with pytest.raises(RuntimeError, match="automatic differentiation"):
        Objective.of(problem).linearize(theta)(direction.requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_vector_of_another_type_or_size_is_refused(dtype: torch.dtype) -> None:
    problem = Problem((2, 1, 3), 4, 2, 0.1)
    theta, direction = draw(problem, 2).to(dtype)
    apply = Objective.of(problem, theta).linearize(theta)
    assert apply(direction).dtype is dtype
    with pytest.raises(RuntimeError):
        apply(direction.to(torch.float64 if dtype is torch.float32 else torch.float32))
    for part in (direction[:-1], direction[:1]):
        with pytest.raises(RuntimeError):
            apply(part)
