"""Newton's polish moves to the critical point next to a start, of any index, or not at all.

Gradients and losses are judged by autograd of the plain loss. What a step may not do is tried with rules made to do it.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from landscape.model.logit_form import write_parameters
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.points.point import Outcome
from landscape.solver.methods import Newton
from landscape.solver.newton import (
    _minimum_residual,
    _pseudo_inverse,
    _same_rank,
    _steps,
    critical_core,
    newton,
    polish_core,
    rank_tolerance,
)
from landscape.solver.run import CRITICAL, solve
from landscape.solver.starts import Random, random_start
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Collapse, Pairs, Partition
from landscape.structures.scale_equation import simplex_equation

SMALL = Problem.balanced(4, 2, 6, 2, 1e-2)
RELU = Problem.balanced(3, 2, 4, 2, 1e-2, activation="relu")


def autograd_norm(problem, theta):
    return float(torch.func.grad(Objective.of(problem).loss)(theta).norm())


def noise(like, seed=0):
    draw = torch.randn(like.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return draw / draw.norm()


def singular_values(problem, theta):
    return [torch.linalg.svdvals(factor) for factor in Objective.of(problem).split(theta)]


def scaled(factor):
    """Newton's rule with every step so many times as long."""
    return lambda apply, gradient, radius: lambda vector: factor * _pseudo_inverse(apply, gradient, radius)(vector)


# ------------------------------------------------------------------------------------------------- it goes where it should
@pytest.mark.parametrize("root", ["large", "small"])
def test_newton_polishes_in_place_and_keeps_the_gauge(root):
    exact = write_parameters(SMALL, logit_form(SMALL, Collapse(root)), gauge=4)
    start = exact + 1e-6 * noise(exact)
    point = solve(SMALL, start, (Newton(),))
    assert point.outcome is Outcome.CONVERGED
    assert autograd_norm(SMALL, point.theta) <= CRITICAL
    assert float((point.theta - start).norm()) < 1e-5  # the null space is not walked along


def test_newton_without_a_core_goes_through_the_full_space():
    exact = write_parameters(SMALL, logit_form(SMALL, Collapse()), gauge=4)
    start = exact + 1e-5 * noise(exact)
    *_, last = _steps(Objective.of(SMALL), start, _minimum_residual, rank_tolerance(SMALL, start, autograd_norm(SMALL, start)))
    assert autograd_norm(SMALL, last.theta) < 1e-12
    assert float((last.theta - start).norm()) < 1e-4


@pytest.mark.parametrize("structure", [Collapse("small"), Pairs("small"), Partition((3, 1), "small")])
@pytest.mark.parametrize("exponent", [3, 5, 7, 10])
def test_small_roots_keep_their_rank_at_any_decay(structure, exponent):
    """Their singular values are of the order of the decay: small, but not beside each other."""
    problem = Problem.balanced(4, 2, 6, 2, 10.0**-exponent)
    form = logit_form(problem, structure)
    exact = write_parameters(problem, form, gauge=2)
    start = exact + 1e-9 * float(exact.norm()) * noise(exact)
    *_, last = newton(problem, start)
    for values in singular_values(problem, last.theta):
        torch.testing.assert_close(values[: form.rank], form.singular ** (1 / 3), rtol=1e-6, atol=0)
        assert float(values[form.rank :].max()) < 1e-12 * float(values[0])
    assert autograd_norm(problem, last.theta) < 1e-12 * problem.decays[0] * float(exact.norm())


def test_a_saddle_is_reached_though_the_loss_rises_on_the_way():
    """Along a direction of negative curvature the critical point is the top."""
    exact = write_parameters(SMALL, logit_form(SMALL, Collapse("small")), gauge=1)
    values, vectors = torch.linalg.eigh(torch.func.hessian(Objective.of(SMALL).loss)(exact))
    assert float(values[0]) < -1e-3
    start = exact + 1e-4 * vectors[:, 0]
    point = solve(SMALL, start, (Newton(),))
    assert point.loss > float(Objective.of(SMALL).loss(start)) + 1e-12
    assert point.outcome is Outcome.CONVERGED
    assert float((point.theta - exact).norm()) < 1e-7


@pytest.mark.parametrize("gap", [1e-4, 1e-6])
def test_beside_a_fold_the_steps_that_halve_are_taken(gap):
    """There the curvature along the scale goes like the root of the distance, and Newton's first steps only halve the error."""
    fold = simplex_equation(Problem.balanced(4, 2, 6, 2, 1.0), 4, 2).largest_decay
    problem = Problem.balanced(4, 2, 6, 2, fold * (1 - gap))
    core = Core.from_form(problem, logit_form(problem, Collapse()))
    found = polish_core(Core(problem, 3, core.theta * (1 + math.sqrt(gap) / 3)), Newton())
    assert float(found.objective.gradient(found.theta).norm()) < 1e-12
    assert found.loss == pytest.approx(core.loss, rel=1e-12)


# ----------------------------------------------------------------------------------------------------- what it may not do
def test_far_from_critical_points_nothing_becomes_zero():
    """Ten times the gradient norm over the decay exceeds every singular value of these points; the zero point is not near."""
    for seed in range(10):
        start = random_start(SMALL, Random(seed=seed))
        point = solve(SMALL, start, (Newton(),))
        assert point.outcome is Outcome.STALLED
        assert point.loss <= float(Objective.of(SMALL).loss(start)) + 1e-14
        assert float((point.theta - start).norm()) <= 0.1 * float(start.norm())
        assert critical_core(SMALL, start, CRITICAL) is None


@pytest.mark.parametrize(
    "rule",
    [
        lambda apply, gradient, radius: lambda vector: math.nan * vector,
        lambda apply, gradient, radius: lambda vector: math.inf * vector,
        scaled(2.5),
        scaled(-1.0),
    ],
    ids=["nan", "infinite", "too long", "backwards"],
)
def test_wrong_steps_are_refused(rule):
    core = Core.from_form(SMALL, logit_form(SMALL, Collapse()))
    start = core.theta + 1e-5 * noise(core.theta)
    states = list(_steps(core.objective, start, rule, 0.0))
    assert len(states) == 1
    assert states[0].stalled
    assert torch.equal(states[0].theta, start)


@pytest.mark.parametrize("size", [1e-1, 1e-3, 1e-5])
@pytest.mark.parametrize("goal", ["zero", "pairs", "large"])
def test_a_leap_to_another_critical_point_is_refused_though_the_gradient_vanishes_there(goal, size):
    """Of any gradient norm: only the loss tells that the other point is on another branch."""
    here = write_parameters(SMALL, logit_form(SMALL, Collapse("small")), gauge=1)
    goals = {
        "zero": torch.zeros_like(here),
        "pairs": write_parameters(SMALL, logit_form(SMALL, Pairs())),
        "large": write_parameters(SMALL, logit_form(SMALL, Collapse())),
    }
    start = here + size * noise(here)
    assert autograd_norm(SMALL, goals[goal]) < 1e-14
    (state,) = _steps(
        Objective.of(SMALL),
        start,
        lambda apply, gradient, radius: lambda vector: (start - goals[goal]) * (vector @ gradient) / (gradient @ gradient),
        0.0,
    )
    assert state.stalled
    assert torch.equal(state.theta, start)


def test_steps_further_than_the_first_one_allows_are_refused():
    """The first step sees the stiff directions alone, so its length says nothing of the way that is left."""
    core = Core.from_form(SMALL, logit_form(SMALL, Collapse()))
    start = core.theta + 1e-4 * noise(core.theta)
    calls = []

    def rule(apply, gradient, radius):
        calls.append(radius)
        return _pseudo_inverse(apply, gradient, 0.13 if len(calls) == 1 else radius)

    *_, last = _steps(core.objective, start, _pseudo_inverse, 0.0)
    states = list(_steps(core.objective, start, rule, 0.0))
    first = float((states[1].theta - start).norm())
    assert float((last.theta - start).norm()) > 2.6 * first
    assert len(states) == len(calls) == 2
    assert states[1].stalled


@pytest.mark.parametrize(
    ("after", "kept"),
    [
        ([2.0, 1e-6, 1e-9], True),
        ([1.1, 0.6e-6, 0.0], True),
        ([2.0, 0.4e-6, 1e-9], False),
        ([2.0, 1e-6, 2e-8], False),
        ([2.0, math.nan, 1e-9], False),
        ([2.0, 1e-6, math.nan], False),
    ],
)
def test_a_rank_is_kept_if_no_value_in_use_halves_and_none_appears(after, kept):
    before = torch.tensor([2.0, 1e-6, 1e-9])
    assert _same_rank([before, before], [before, torch.tensor(after)], 1e-8) is kept


@pytest.mark.parametrize("problem", [SMALL, RELU])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_stays_where_it_is(problem, bad):
    theta = random_start(problem, Random(seed=0))
    theta[3] = bad
    states = list(newton(problem, theta)) if not math.isfinite(bad) else []
    assert states[0].stalled
    assert all(torch.equal(state.theta, theta) or bool(theta.isnan().any()) for state in states)
    assert solve(problem, theta, (Newton(),)).outcome is Outcome.DIVERGED


@settings(max_examples=40)
@given(
    sizes=st.lists(st.integers(1, 3), min_size=2, max_size=4),
    depth=st.integers(1, 3),
    extra=st.integers(-1, 2),
    loss=st.sampled_from(["ce", "mse"]),
    activation=st.sampled_from(["linear", "relu"]),
    decay=st.sampled_from([1e-4, 1e-2, 0.3]),
    scale=st.sampled_from([1e-12, 1e-6, 1e-2, 1.0, 30.0]),
    seed=st.integers(0, 99),
)
def test_no_start_is_moved_further_than_its_gradient_and_a_tenth_of_it_allow(
    sizes, depth, extra, loss, activation, decay, scale, seed
):
    """What lies outside the core is at most twice the gradient norm over the decay; the rest is a tenth of the point."""
    problem = Problem(tuple(sizes), len(sizes) + extra, depth, decay, loss, activation if depth > 1 else "linear")
    start = random_start(problem, Random(scale, scale, seed=seed))
    bound = 2 * autograd_norm(problem, start) / decay + (0.1 + 1e-12) * float(start.norm())
    for state in newton(problem, start):
        assert float((state.theta - start).norm()) <= bound
        assert state.gradient_norm == pytest.approx(autograd_norm(problem, state.theta), rel=1e-6, abs=1e-13)


def test_rank_tolerance_follows_the_gradient():
    theta = write_parameters(SMALL, logit_form(SMALL, Collapse()))
    assert rank_tolerance(SMALL, theta, 0.0) < 1e-11
    assert rank_tolerance(SMALL, theta, 1e-6) == pytest.approx(1e-3)


def test_no_step_is_computed_where_the_gradient_norm_is_enough(monkeypatch):
    """Where it stops are the states that it went through without a bound, and the last step beyond it is spared."""
    start = write_parameters(SMALL, logit_form(SMALL, Collapse()), gauge=4)
    start = start + 1e-4 * noise(start)
    through = list(newton(SMALL, start))
    inverted = []

    def counted(apply, gradient, radius):
        inverted.append(radius)
        return _pseudo_inverse(apply, gradient, radius)

    monkeypatch.setattr("landscape.solver.newton._pseudo_inverse", counted)
    states = list(newton(SMALL, start, through[2].gradient_norm))
    assert len(states) == 3 < len(through)
    assert all(torch.equal(one.theta, other.theta) for one, other in zip(states, through, strict=False))
    assert len(inverted) == 1  # state 0 is the start, state 1 its core, state 2 one step on
