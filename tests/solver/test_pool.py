"""The pool against single solves, explicit integration and linear algebra; nobody's end depends on the neighbours."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from landscape.errors import InputError
from landscape.model.objective import Objective
from landscape.model.problem import ActivationName, LossName, Problem
from landscape.points.point import Origin, Outcome
from landscape.solver.flow import Flow, Systems, advance, refill
from landscape.solver.methods import BatchMethod, GradientDescent, PseudoTransient
from landscape.solver.pool import Arrival, Start, batch_size, solve_batch
from landscape.solver.rows import put, take
from landscape.solver.run import solve
from landscape.solver.starts import Random, random_start

SMALL = Problem.balanced(4, 2, 6, 2, 1e-2)
QUICK = Problem.balanced(4, 1, 4, 2, 5e-2)  # the decay sets the pace of plain descent
PLAIN = GradientDescent(learning_rate=1.0, tolerance=1e-5)


def starts(problem: Problem, seeds: range) -> list[Start]:
    return [Start(random_start(problem, Random(seed=seed)), Origin("random", seed=seed)) for seed in seeds]


def ends(problem: Problem, seeds: range, method: BatchMethod, size: int | None) -> dict[int, Arrival]:
    arrivals = list(solve_batch(problem, starts(problem, seeds), method, size))
    by_seed = {arrival.point.origin.seed: arrival for arrival in arrivals}
    assert len(by_seed) == len(arrivals) == len(seeds)
    return by_seed


@pytest.mark.slow
@pytest.mark.parametrize(("problem", "method"), [(QUICK, PseudoTransient()), (QUICK, PLAIN)])
def test_the_size_of_the_pool_changes_nothing(problem: Problem, method: BatchMethod) -> None:
    seeds = range(4)
    alone = ends(problem, seeds, method, 1)
    assert len({round(arrival.point.loss, 9) for arrival in alone.values()}) > 1, "expected seeds that end at different structures"
    for size in (3, None):
        for seed, arrival in ends(problem, seeds, method, size).items():
            assert arrival.point.outcome is Outcome.CONVERGED
            assert arrival.point.loss == pytest.approx(alone[seed].point.loss, rel=1e-13)
            torch.testing.assert_close(arrival.point.theta, alone[seed].point.theta, rtol=0, atol=1e-6)


def test_a_seed_in_a_pool_ends_where_it_ends_alone_by_solve() -> None:
    for seed, arrival in ends(SMALL, range(4), PseudoTransient(), 4).items():
        alone = solve(SMALL, random_start(SMALL, Random(seed=seed)))
        assert arrival.point.loss == pytest.approx(alone.loss, rel=1e-13)
        assert arrival.point.gradient_norm <= 1e-12


def test_ends_are_critical_by_autograd() -> None:
    for arrival in ends(SMALL, range(2), PseudoTransient(), 2).values():
        gradient = torch.func.grad(Objective.of(SMALL).loss)(arrival.point.theta)
        assert gradient.norm() < 1e-12
        assert arrival.point.gradient_norm == pytest.approx(float(gradient.norm()), abs=1e-14)


def test_torch_can_differentiate_at_what_comes_back() -> None:
    """The flow runs in torch's inference mode, whose own tensors autograd refuses."""
    thetas = [arrival.point.theta for arrival in ends(SMALL, range(2), PseudoTransient(), 2).values()]
    thetas.append(solve(SMALL, random_start(SMALL, Random()), (PseudoTransient(),)).theta)
    for theta in thetas:
        scale = torch.ones((), dtype=torch.float64, requires_grad=True)
        Objective.of(SMALL).loss(scale * theta).backward()
        assert scale.grad is not None
        assert abs(float(scale.grad)) < 1e-8


def test_descent_steps_are_the_papers() -> None:
    problem, start = Problem.balanced(3, 1, 4, 2, 1e-2), random_start(Problem.balanced(3, 1, 4, 2, 1e-2), Random(seed=5))
    theta = start.clone()
    for _ in range(250):  # more than one look of the pool, and not a multiple of it
        theta = theta - 0.1 * torch.func.grad(Objective.of(problem).loss)(theta)
    method = GradientDescent(learning_rate=0.1, max_steps=250)
    (arrival,) = solve_batch(problem, [Start(start, Origin("given", seed=0))], method)
    assert arrival.point.outcome is Outcome.MAX_STEPS
    assert arrival.point.steps == arrival.products == 250
    torch.testing.assert_close(arrival.point.theta, theta, rtol=0, atol=1e-12)


def test_seeds_that_do_not_arrive_are_yielded_and_say_why() -> None:
    few = ends(SMALL, range(5), PseudoTransient(max_steps=3), 2)
    assert {arrival.point.outcome for arrival in few.values()} == {Outcome.MAX_STEPS}
    wild = ends(SMALL, range(3), GradientDescent(learning_rate=1e4), 3)
    assert {arrival.point.outcome for arrival in wild.values()} == {Outcome.DIVERGED}
    assert all(arrival.point.theta.isfinite().all() for arrival in wild.values())


def test_ctrl_c_during_a_polish_is_not_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("landscape.solver.run.newton", interrupt)
    with pytest.raises(KeyboardInterrupt):
        list(solve_batch(QUICK, starts(QUICK, range(2)), PseudoTransient(), 2))


def test_a_record_is_thin_and_runs_from_start_to_end() -> None:
    arrival = ends(QUICK, range(1), PseudoTransient(curvature_tolerance=0.005), 1)[0]
    steps, losses, _ = arrival.point.trace.T
    assert 20 < len(steps) <= 66
    longer = arrival.point.steps
    assert longer > 80, "expected more steps than rows"
    assert len(arrival.ranks) == len(steps)
    assert steps[0] == 0
    assert bool((steps.diff() > 0).all())
    assert bool((losses.diff() < 1e-13).all()), "an accepted step never raises the loss"
    assert losses[0] == pytest.approx(float(Objective.of(QUICK).loss(random_start(QUICK, Random(seed=0)))))
    assert arrival.ranks[0] == 4
    assert arrival.ranks[-1] in (2, 3)


def test_starts_are_drawn_only_when_there_is_room() -> None:
    drawn = []

    def lazily() -> Iterator[Start]:
        for start in starts(SMALL, range(8)):
            drawn.append(start.origin.seed)
            yield start

    arrivals = solve_batch(SMALL, lazily(), PseudoTransient(), 2)
    next(arrivals)
    assert len(drawn) <= 4
    assert not list(solve_batch(SMALL, [], PseudoTransient()))


def test_sizes() -> None:
    with pytest.raises(InputError, match="batch size >= 1, got 0"):
        list(solve_batch(SMALL, starts(SMALL, range(1)), PseudoTransient(), 0))
    paper = Problem.balanced(10, 5, 70, 2, 2**-10)
    assert batch_size(paper, torch.device("cpu")) == 2**20 // (8 * 9100)
    assert batch_size(Problem.balanced(10, 5, 2000, 2, 1e-3), torch.device("cpu")) == 1


def test_conjugate_gradients_solve_each_row_and_see_negative_curvature() -> None:
    generator = torch.Generator().manual_seed(1)
    draw = torch.randn(4, 6, 6, dtype=torch.float64, generator=generator)
    matrices = draw @ draw.mT
    matrices[3] = -matrices[3]
    right = torch.randn(4, 6, dtype=torch.float64, generator=generator)
    shift = torch.tensor([1.0, 0.1, 2.0, 0.5], dtype=torch.float64)
    shifted = matrices + shift[:, None, None] * torch.eye(6, dtype=torch.float64)
    systems = Systems.begin(right, shift, torch.tensor([1e-12, 1e-12, 0.5, 1e-12], dtype=torch.float64))
    while bool((rows := systems.unsolved(50)).any()):
        systems.iterate(lambda v: (shifted @ v[..., None])[..., 0], rows)
    exact = torch.linalg.solve(shifted, right)
    torch.testing.assert_close(systems.solution[:2], exact[:2], rtol=1e-9, atol=1e-9)
    assert systems.products[2] < systems.products[0]  # a loose goal is reached early and the row then stands still
    assert systems.broken.tolist() == [False, False, False, True]
    residual = right - (matrices @ systems.solution[..., None])[..., 0] - shift[:, None] * systems.solution
    torch.testing.assert_close(systems.residual, residual)


@pytest.mark.parametrize(("loss", "activation"), [("ce", "linear"), ("mse", "linear"), ("ce", "relu")])
@pytest.mark.parametrize("depth", [1, 3])
def test_the_product_that_is_kept_is_that_at_the_parameters(loss: LossName, activation: ActivationName, depth: int) -> None:
    """After steps of some rows it is double backward's, and one made anew to the last bit: what a row computes is its own."""
    problem = Problem((2, 1, 3), 4, depth, 2e-2, loss, activation)
    smooth = replace(Objective.of(problem), sharpness=5.0) if activation == "relu" else Objective.of(problem)
    thetas = torch.stack([random_start(problem, Random(seed=seed)) for seed in range(8)])
    flow, partly = Flow.begin(smooth, thetas, PseudoTransient()), 0
    for _ in range(30):
        before, flow = flow.steps.clone(), advance(smooth, flow, PseudoTransient())
        partly += 0 < int((flow.steps > before).sum()) < 8
    assert partly > 3, "expected steps of some rows beside rows that wait"
    assert flow.product is not None
    direction = torch.randn(thetas.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(flow.product(direction), smooth.linearize(flow.theta)(direction))
    for row in range(8):
        turned = torch.func.jvp(torch.func.grad(smooth.loss), (flow.theta[row],), (direction[row],))[1]
        torch.testing.assert_close(flow.product(direction)[row], turned, rtol=1e-11, atol=1e-13)
    assert take(flow, torch.tensor([1, 2])).product is None


def test_starts_take_the_places_of_others() -> None:
    """The others go on as before, and the product that is kept is that of all parameters."""
    objective, settings = Objective.of(SMALL), PseudoTransient()
    thetas = torch.stack([random_start(SMALL, Random(seed=seed)) for seed in range(6)])
    flow = Flow.begin(objective, thetas[:4], settings)
    for _ in range(6):
        flow = advance(objective, flow, settings)
    kept, fresh = take(flow, torch.tensor([1, 3])), Flow.begin(objective, thetas[4:], settings)
    filled = refill(flow, torch.tensor([2, 0]), take(fresh, torch.tensor([0, 1])))
    assert filled.product is None, "expected no product where the new rows bring none"
    filled = refill(replace(filled, product=objective.linearize(filled.theta)), torch.tensor([2, 0]), fresh)
    assert torch.equal(filled.theta[[2, 0]], thetas[4:])
    assert filled.steps[[2, 0]].tolist() == filled.systems.products[[2, 0]].tolist() == [0, 0]
    assert filled.product is not None
    direction = torch.randn(4, SMALL.parameters, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(filled.product(direction), objective.linearize(filled.theta)(direction))
    for name in ("theta", "loss", "gradient", "time_step", "steps"):
        assert torch.equal(getattr(filled, name)[[1, 3]], getattr(kept, name))
    assert torch.equal(refill(fresh, torch.arange(2), kept).theta, kept.theta)


@dataclass(frozen=True)
class Inner:
    values: Tensor


@dataclass(frozen=True)
class Outer:
    numbers: Tensor
    inner: Inner


def test_rows() -> None:
    batch = Outer(torch.arange(4), Inner(10 * torch.arange(4)[:, None].repeat(1, 2)))
    part = take(batch, torch.tensor([3, 1]))
    assert part.numbers.tolist() == [3, 1]
    assert part.inner.values.tolist() == [[30, 30], [10, 10]]
    back = put(batch, torch.tensor([0, 2]), part)
    assert back.numbers.tolist() == batch.numbers.tolist() == [3, 1, 1, 3]
    assert back.inner.values[:, 1].tolist() == [30, 10, 10, 30]
    assert put(part, torch.tensor([0, 1]), take(batch, torch.tensor([1, 2]))).numbers.tolist() == [1, 1]
    assert part.numbers.tolist() == [3, 1]  # all rows are new: the old ones are left alone
