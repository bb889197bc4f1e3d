"""Kinks near the point, against pre-activations written out, and the radius that a count is given."""

import pytest
import torch
from torch import nn

from landscape.curvature.counting.dense_and_inertia import Dense, Inertia
from landscape.curvature.counting.interface import nullity
from landscape.errors import InputError
from landscape.network.loss import ModuleLoss
from landscape.network.operators import ModuleGaussNewton, ModuleHessian
from landscape.network.smoothness import kinks

CE = nn.functional.cross_entropy


def problem_of(net: nn.Module, width: int = 4, samples: int = 30) -> ModuleLoss:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(samples, width, generator=generator, dtype=torch.float64)
    return ModuleLoss(net, CE, [(x, torch.randint(0, 3, (samples,), generator=generator))])


def batches(problem: ModuleLoss) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(problem.data)


def between(layer: nn.Module, width: int = 4) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 4), layer, nn.Linear(width, 3)).double().eval()


@pytest.mark.parametrize(
    ("layer", "places"),
    [
        (nn.ReLU(), [0.0]),
        (nn.ReLU(inplace=True), [0.0]),
        (nn.LeakyReLU(), [0.0]),
        (nn.PReLU(), [0.0]),
        (nn.RReLU(), [0.0]),
        (nn.SELU(), [0.0]),
        (nn.ReLU6(), [0.0, 6.0]),
        (nn.Hardtanh(-0.5, 0.7), [-0.5, 0.7]),
        (nn.Hardsigmoid(), [-3.0, 3.0]),
        (nn.Hardswish(), [-3.0, 3.0]),
        (nn.Softshrink(0.2), [-0.2, 0.2]),
        (nn.Threshold(0.3, 0.0), [0.3]),
    ],
)
def test_distances_are_those_written_out(layer, places):
    net = between(layer)
    problem = problem_of(net)
    before = net[0](batches(problem)[0][0]).detach()
    distances = torch.cat([((before - place).abs() / (before - place).square().mean().sqrt()).flatten() for place in places])
    found = kinks(problem, 0.05)
    assert found.near == int((distances <= 0.05).sum())
    assert found.watched == distances.numel()
    assert found.smallest == pytest.approx(float(distances.min()), rel=1e-12)


@pytest.mark.parametrize("layer", [nn.Tanh(), nn.GELU(), nn.SiLU(), nn.Softplus(), nn.ELU(), nn.CELU(0.5)])
def test_smooth_layers_have_none(layer):
    assert kinks(problem_of(between(layer)), 1.0).watched == 0


@pytest.mark.parametrize(
    ("layer", "windows"),
    [
        (nn.MaxPool1d(2), [(0, 1), (2, 3)]),
        (nn.MaxPool1d(3, stride=1), [(0, 1, 2), (1, 2, 3)]),
        (nn.MaxPool1d(2, stride=1, dilation=2), [(0, 2), (1, 3)]),
        (nn.AdaptiveMaxPool1d(2), [(0, 1), (2, 3)]),
    ],
)
def test_maxima_count_by_how_much_the_largest_leads(layer, windows):
    net = between(nn.Sequential(nn.Unflatten(1, (1, 4)), layer, nn.Flatten()), 2)
    problem = problem_of(net)
    before = net[0](batches(problem)[0][0]).detach()
    leads = torch.stack([before[:, list(window)].sort(1).values.diff(dim=1)[:, -1] for window in windows])
    found = kinks(problem, 0.05)
    assert found.watched == leads.numel()
    assert found.smallest == pytest.approx(float(leads.min() / leads.square().mean().sqrt()), rel=0.5)  # one scale for each window


def test_rectifiers_inside_attention_and_cells_are_seen():
    torch.manual_seed(0)
    encoder = nn.Sequential(
        nn.Unflatten(1, (2, 2)), nn.TransformerEncoderLayer(2, 1, 5, batch_first=True), nn.Flatten(), nn.Linear(4, 3)
    )
    assert kinks(problem_of(encoder.double().eval())).watched == 30 * 2 * 5

    class Cell(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.RNN(2, 3, nonlinearity="relu", batch_first=True)

        def forward(self, x):
            return self.cell(x.unflatten(1, (2, 2)))[0][:, -1]

    assert kinks(problem_of(Cell().double())).watched == 30 * 2 * 3


def test_zeros_that_no_parameter_moves_are_no_kinks():
    net = between(nn.ReLU())
    padded = torch.zeros(5, 4, dtype=torch.float64)
    at_kink = ModuleLoss(net, CE, [(padded, torch.zeros(5, dtype=torch.int64))])
    with torch.no_grad():
        net.get_parameter("0.bias").zero_()
    assert kinks(ModuleLoss(net, CE, at_kink.data)).near == 20
    torch.manual_seed(0)
    without = nn.Sequential(nn.Linear(4, 4, bias=False), nn.ReLU(), nn.Linear(4, 3)).double()
    assert kinks(ModuleLoss(without, CE, at_kink.data)).near == 0


def test_no_count_at_a_kink_or_in_single_precision():
    net = between(nn.ReLU())
    with torch.no_grad():
        net.get_parameter("0.bias")[0] = -(net.get_parameter("0.weight")[0] @ batches(problem_of(net))[0][0][3])
    problem = problem_of(net)
    with pytest.raises(InputError, match="got 1 pre-activations of 120 within 1e-08 of a kink"):
        nullity(ModuleHessian(problem), Dense())
    single = between(nn.Tanh()).float()
    x, y = batches(problem)[0]
    with pytest.raises(InputError, match=r"pass dtype=torch\.float64"):
        nullity(ModuleHessian(ModuleLoss(single, CE, [(x.float(), y)])), Dense())


def test_a_count_away_from_a_critical_point_is_not_resolved():
    problem = problem_of(between(nn.Tanh()))
    operator = ModuleHessian(problem)
    norm = float(problem.gradient()[1].norm())
    assert norm > 0.05
    assert operator.measured_radius() == pytest.approx(norm)
    for method in (Dense(), Inertia()):
        assert nullity(operator, method).gradient == pytest.approx(norm)
        assert not nullity(operator, method).resolved
    assert nullity(operator, Dense(), 0.0).gradient == 0
    assert nullity(ModuleGaussNewton(problem), Dense()).gradient == 0
