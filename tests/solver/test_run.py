"""Solves end at critical points, say how they ended, and lose nothing on Ctrl-C."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.points.point import Outcome
from landscape.solver.methods import LBFGS, GradientDescent, Newton, PseudoTransient
from landscape.solver.run import solve
from landscape.solver.starts import Random, random_start

SMALL = Problem.balanced(4, 2, 6, 2, 1e-2)
PAPER = Problem.balanced(10, 5, 70, 2, 2**-10)


def autograd_norm(problem, theta):
    return float(torch.func.grad(Objective.of(problem).loss)(theta).norm())


@pytest.mark.parametrize("method", [PseudoTransient(), GradientDescent(tolerance=1e-7), LBFGS()])
def test_methods_reach_a_critical_point(method):
    point = solve(SMALL, random_start(SMALL, Random(seed=2)), (method, Newton()))
    assert point.outcome is Outcome.CONVERGED
    assert autograd_norm(SMALL, point.theta) < 1e-12
    assert point.steps == int(point.trace[-1, 0])
    assert float(point.trace[-1, 1]) == pytest.approx(point.loss, abs=1e-15)


@pytest.mark.slow
def test_the_flow_ends_where_plain_descent_ends():
    problem = Problem.balanced(4, 1, 4, 2, 1e-2)
    for seed in range(3):
        start = random_start(problem, Random(seed=seed))
        flow = solve(problem, start)
        descent = solve(problem, start, (GradientDescent(tolerance=1e-7), Newton()))
        assert flow.loss == pytest.approx(descent.loss, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_paper_setting_ends_at_a_partition_minimum(seed):
    point = solve(PAPER, random_start(PAPER, Random(seed=seed)))
    assert autograd_norm(PAPER, point.theta) <= 1e-12
    known = [0.0800126592, 0.0860816013, 0.0884334205, 0.0906621832]
    assert min(abs(point.loss - loss) for loss in known) < 1e-9


def test_the_same_seed_gives_the_same_bits():
    one, other = (solve(SMALL, random_start(SMALL, Random(seed=9))) for _ in range(2))
    assert torch.equal(one.theta, other.theta)
    assert torch.equal(one.trace, other.trace)


@pytest.mark.slow
@settings(max_examples=10)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=2, max_size=5),
    depth=st.integers(1, 4),
    extra=st.integers(-1, 4),
    loss=st.sampled_from(["ce", "mse"]),
    seed=st.integers(0, 99),
)
def test_any_linear_problem_converges(sizes, depth, extra, loss, seed):
    problem = Problem(tuple(sizes), len(sizes) + extra, depth, 3e-3, loss)
    point = solve(problem, random_start(problem, Random(seed=seed)))
    assert point.outcome is Outcome.CONVERGED
    assert autograd_norm(problem, point.theta) < 1e-11


def test_interrupting_keeps_the_last_state():
    def watch(state):
        if state.steps == 5:
            raise KeyboardInterrupt

    start = random_start(SMALL, Random(seed=2))
    point = solve(SMALL, start, watch=watch)
    assert point.outcome is Outcome.INTERRUPTED
    assert point.steps == 5
    assert point.loss < float(Objective.of(SMALL).loss(start))
    assert solve(SMALL, point.theta).outcome is Outcome.CONVERGED


def test_running_out_of_steps_is_said():
    point = solve(SMALL, random_start(SMALL, Random(seed=2)), (replace(PseudoTransient(), max_steps=4), Newton()))
    assert point.outcome is Outcome.MAX_STEPS


def test_divergence_is_said():
    start = random_start(SMALL, Random(weight_scale=5.0, feature_scale=5.0, seed=2))
    point = solve(SMALL, start, (GradientDescent(learning_rate=1e3),))
    assert point.outcome is Outcome.DIVERGED
    assert not math.isfinite(point.loss)


@pytest.mark.parametrize("method", [PseudoTransient(max_steps=3), GradientDescent(max_steps=0), LBFGS(max_steps=1), Newton()])
@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_a_start_that_wants_gradients_is_taken_as_numbers_and_left_alone(method, activation):
    problem = Problem.balanced(3, 2, 5, 2, 1e-2, "ce", activation)
    theta = random_start(problem, Random(seed=3))
    given = theta.clone().requires_grad_()
    point = solve(problem, given, (method,))
    assert not point.theta.requires_grad
    point.theta.zero_()
    assert torch.equal(given.detach(), theta)
