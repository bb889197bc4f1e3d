"""Polishing, against eigenvalues by plain double backward; the trust-region step, against dense algebra."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from benchmarks.supported import truth
from landscape.curvature.counting.dense_and_inertia import Dense
from landscape.curvature.counting.interface import nullity
from landscape.curvature.operators.operator import Matrix
from landscape.errors import InputError
from landscape.network.loss import ModuleLoss
from landscape.network.operators import ModuleHessian
from landscape.network.polishing import PolishStep, Stop, polish
from landscape.network.trust_region import steihaug

CE = nn.functional.cross_entropy


def problem_of(activation: nn.Module, decay: float = 1e-2, samples: int = 20) -> ModuleLoss:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), activation, nn.Linear(4, 4, bias=False), nn.Linear(4, 3, bias=False)).double()
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(samples, 3, generator=generator, dtype=torch.float64)
    return ModuleLoss(net, CE, [(x[:12], (x[:12, 0] > 0).long()), (x[12:], (x[12:, 0] > 0).long())], decay=decay)


def test_a_smooth_network_reaches_rounding_and_the_module_is_left_alone():
    problem = problem_of(nn.Tanh())
    before = problem.theta.clone()
    lines: list[PolishStep] = []
    result = polish(problem, progress=lines.append)
    assert result.converged
    assert result.stopped is Stop.REACHED
    assert result.gradient_norm <= 1e-10
    assert float(result.problem.gradient()[1].norm()) == result.gradient_norm
    assert tuple(lines) == result.history
    assert {line.method for line in lines} == {"L-BFGS", "Newton"}
    assert result.products == lines[-1].products > 0
    assert torch.equal(problem.theta, before)
    assert torch.equal(nn.utils.parameters_to_vector(problem.module.parameters()), before)
    result.write()
    net, (x, y) = problem.module, map(torch.cat, zip(*problem.data, strict=True))
    parameters: list[torch.Tensor] = list(net.parameters())
    exact = truth(parameters, lambda: CE(net(x), y) + 5e-3 * sum(p.square().sum() for p in parameters))
    values = torch.linalg.eigvalsh(exact)
    counted = nullity(ModuleHessian(result.problem), Dense())
    assert counted.resolved
    assert counted.negative == 0
    assert counted.count == int((values.abs() < 1e-9).sum()) > 0


def test_a_spent_budget_is_resumed():
    problem = problem_of(nn.Softplus())
    part = polish(problem, gradients=5, newton_steps=1, products=3)
    assert part.stopped is Stop.BUDGET
    assert not part.converged
    whole = polish(part)
    assert whole.converged
    assert whole.history[: len(part.history)] == part.history
    assert whole.gradients > part.gradients
    again = polish(whole)
    assert again.converged
    assert again.history == whole.history


@pytest.mark.slow
def test_why_it_stops():
    assert polish(problem_of(nn.Tanh()), to=1e-40, newton_steps=30).stopped in (Stop.ROUNDING, Stop.BUDGET)
    with pytest.raises(InputError, match="positive gradient norm"):
        polish(problem_of(nn.Tanh()), to=math.nan)
    single = nn.Linear(3, 3)
    with pytest.raises(InputError, match=r"dtype=torch\.float64"):
        polish(ModuleLoss(single, CE, [(torch.randn(4, 3), torch.zeros(4, dtype=torch.int64))]))


@pytest.mark.slow
def test_a_rectifier_network_may_stop_at_a_kink():
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)).double()
    x = torch.linspace(-1, 1, 12, dtype=torch.float64)[:, None].repeat(1, 2)
    problem = ModuleLoss(net, nn.functional.l1_loss, [(x, x[:, :1].abs())], decay=1e-2)
    result = polish(problem, gradients=300, newton_steps=20)
    assert result.stopped in (Stop.KINK, Stop.BUDGET)
    assert not result.converged


def matrix(values: list[float]) -> torch.Tensor:
    basis = torch.linalg.qr(torch.randn(len(values), len(values), generator=torch.Generator().manual_seed(2), dtype=torch.float64))[
        0
    ]
    return basis @ torch.tensor(values, dtype=torch.float64).diag() @ basis.mT


class Gate(nn.Module):
    """Two of whose three weights can shrink together while the third grows, or grow while it shrinks."""

    def __init__(self):
        super().__init__()
        self.gate, self.value, self.out = nn.Linear(4, 5, bias=False), nn.Linear(4, 5, bias=False), nn.Linear(5, 3, bias=False)

    def forward(self, x):
        return self.out(torch.sigmoid(self.gate(x)) * self.value(x))


@pytest.mark.parametrize("decayed", ["gate.weight", "out.weight"])
def test_parameters_that_grow_without_end_are_said_to(decayed):
    """Decay on one factor of a product is paid less and less while another grows: there is no minimum, also on the way back."""
    torch.manual_seed(0)
    net, x, y = Gate().double(), torch.randn(30, 4, dtype=torch.float64), torch.randint(3, (30,))
    decays = {name: 1e-2 if name == decayed else 0.0 for name, _ in net.named_parameters()}
    loss = ModuleLoss(net, nn.functional.cross_entropy, [(x, y)], decay=decays)
    found = polish(loss)
    assert found.stopped is Stop.ESCAPED
    assert found.problem.theta.norm() > 100 * loss.theta.norm()
    assert polish(found).stopped is Stop.ESCAPED


class Wrong(torch.autograd.Function):
    """tanh, with a second derivative of another function."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.tanh()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * (1 - x.tanh().square()).detach()


class Bent(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x):
        return self.second(Wrong.apply(self.first(x)))


def test_a_wrong_derivative_is_not_blamed_on_parameters_that_grew_from_almost_nothing():
    torch.manual_seed(0)
    net, x, y = Bent().double(), torch.randn(30, 4, dtype=torch.float64), torch.randint(3, (30,))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(1e-3)
    with pytest.raises(InputError, match="backward pass"):
        polish(ModuleLoss(net, nn.functional.cross_entropy, [(x, y)], decay=1e-2))


def test_the_step_inside_is_the_newton_step():
    entries = matrix([1.0, 2.0, 5.0, 0.0])
    gradient = entries @ torch.ones(4, dtype=torch.float64)  # orthogonal to the null space
    trial = steihaug(Matrix(entries), gradient, 100.0, 1e-12, 50)
    torch.testing.assert_close(entries @ trial.step, -gradient, rtol=0, atol=1e-10)
    assert not trial.boundary
    assert trial.decrease == pytest.approx(-float(gradient @ trial.step + trial.step @ entries @ trial.step / 2), rel=1e-9)


@pytest.mark.parametrize("values", [[1.0, 2.0, 5.0], [-1.0, 2.0, 5.0], [-3.0, -2.0, -1.0]])
def test_the_step_on_the_boundary(values):
    entries, gradient = matrix(values), torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    trial = steihaug(Matrix(entries), gradient, 0.1, 1e-12, 50)
    assert trial.boundary
    assert float(trial.step.norm()) == pytest.approx(0.1)
    assert trial.decrease == pytest.approx(-float(gradient @ trial.step + trial.step @ entries @ trial.step / 2), rel=1e-9)
    cauchy = 0.1 * gradient / gradient.norm()
    assert trial.decrease >= float(gradient @ cauchy - cauchy @ entries @ cauchy / 2) - 1e-12


def test_the_result_is_a_value():
    result = polish(problem_of(nn.Tanh()), gradients=3, newton_steps=0)
    assert dataclasses.is_dataclass(result)
    assert "\n" not in repr(result)
