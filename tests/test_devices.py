"""Every kernel traced with fake CUDA tensors: a tensor made on the wrong device fails here, without a GPU."""

import itertools

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from landscape.model.objective import Objective, class_means
from landscape.model.problem import ActivationName, LossName, Problem
from landscape.model.reduced_point import Core
from landscape.solver.flow import Flow, _try_step
from landscape.solver.methods import PseudoTransient
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Collapse
from landscape.studies.cuts import Direction
from landscape.studies.slices import line, plane

LOSSES: tuple[LossName, ...] = ("ce", "mse")
ACTIVATIONS: tuple[ActivationName, ...] = ("linear", "relu")
PROBLEMS = [
    Problem((2, 1, 3), 4, depth, decay or tuple(1e-3 * (i + 1) for i in range(depth + 1)), loss, activation)
    for depth, decay, loss, activation in itertools.product((1, 3), (1e-3, None), LOSSES, ACTIVATIONS)
]


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
@pytest.mark.parametrize("batch", [(), (5,)])
def test_objective_kernels_stay_on_the_device(problem, batch):
    with FakeTensorMode():
        theta = torch.randn(*batch, problem.parameters, dtype=torch.float64, device="cuda")
        objective = Objective.of(problem, theta)
        loss, gradient = objective.value_and_gradient(theta)
        outputs = [loss, gradient, objective.loss(theta), objective.logits(theta), class_means(problem, objective.logits(theta))]
        outputs += [objective.linearize(theta)(theta), objective.pushforward(theta)(theta)]
        assert {(out.device.type, out.dtype) for out in outputs} == {("cuda", torch.float64)}


def test_the_flow_and_its_conjugate_gradients_stay_on_the_device():
    problem = PROBLEMS[0]
    with FakeTensorMode(allow_non_fake_inputs=True):
        theta = torch.randn(3, problem.parameters, dtype=torch.float64, device="cuda")
        flow = Flow.begin(Objective.of(problem, theta), theta, PseudoTransient())
        assert {flow.time_step.device.type, flow.products.device.type} == {"cuda"}
        objective = Objective.of(problem, theta)
        systems = flow.systems
        systems.iterate(objective.linearize(theta).shifted(systems.shift), systems.unsolved(5))
        tried = _try_step(objective, flow, torch.arange(2, device="cuda"), PseudoTransient())
        assert {part.device.type for part in (tried.taken, tried.product.theta, *tried.product.arrays)} == {"cuda"}
        assert {part.device.type for part in (systems.solution, systems.size, tried.theta, tried.time_step)} == {"cuda"}
        systems.restart(torch.arange(2, device="cuda"), -tried.gradient, tried.time_step, tried.norm)
        assert systems.goal.device.type == "cuda"


def test_slices_stay_on_the_device():
    problem = Problem.balanced(3, 2, 4, 2, 1e-3)
    with FakeTensorMode():
        theta, vector, turn = (torch.randn(*size, dtype=torch.float64, device="cuda") for size in ((52,), (52,), (4, 4)))
        gauge, other = Direction("gauge", vector, 0.0, (turn, turn), 1.0), Direction("stiffest", vector, 1.0)
        places = torch.linspace(-1, 1, 5, dtype=torch.float64, device="cuda")
        along, across = line(problem, theta, gauge, places), plane(problem, theta, (other, gauge), places)
        outputs = [along.loss, along.orbit, across.loss, across.shadow]
        assert {(out.device.type, out.dtype) for out in outputs} == {("cuda", torch.float64)}


def test_the_core_stays_on_the_device():
    problem = Problem.balanced(3, 2, 4, 2, 1e-3)
    core = Core.from_form(problem, logit_form(problem, Collapse()))
    with FakeTensorMode():
        moved = Core(problem, core.rank, torch.randn(core.theta.numel(), dtype=torch.float64, device="cuda"))
        outputs = [moved.class_logits, moved.objective.gradient(moved.theta), moved.objective.linearize(moved.theta)(moved.theta)]
        assert {out.device.type for out in outputs} == {"cuda"}
