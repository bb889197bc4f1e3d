"""Networks whose forward pass differentiates with respect to its inputs, as in force fields and physics-informed networks."""

import pytest
import torch
from torch import nn

from benchmarks.supported import truth
from landscape.curvature.operators.operator import dense
from landscape.network.loss import ModuleLoss
from landscape.network.operators import ModuleHessian


class Forces(nn.Module):
    """Minus the gradient of an energy."""

    def __init__(self, own_leaf: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net, self.own_leaf = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)), own_leaf

    def forward(self, x):
        if self.own_leaf:
            x = x.detach().clone().requires_grad_()
        return -torch.autograd.grad(self.net(x).square().sum(), x, create_graph=True)[0]


@pytest.mark.parametrize("own_leaf", [True, False])
def test_forces(own_leaf):
    net = Forces(own_leaf).double()
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(5, 3, generator=generator, dtype=torch.float64), torch.randn(5, 3, generator=generator, dtype=torch.float64)
    x.requires_grad_(not own_leaf)
    problem = ModuleLoss(net, nn.functional.mse_loss, [(x, y)])
    expected = truth(list(net.parameters()), lambda: nn.functional.mse_loss(net(x), y))
    torch.testing.assert_close(dense(ModuleHessian(problem)), expected, rtol=0, atol=1e-13)
    assert x.grad is None
