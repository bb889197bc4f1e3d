"""Modules against `torch.autograd.functional.hessian` on a plain rewriting of the same loss."""

import numpy as np
import pytest
import torch
from torch import nn

from landscape.curvature.operators.algebra import DiagonalBlock, OffDiagonalBlock
from landscape.curvature.operators.gauss_newton import GaussNewton
from landscape.curvature.operators.operator import dense
from landscape.errors import InputError
from landscape.network.loss import ModuleLoss
from landscape.network.operators import ModuleGaussNewton, ModuleHessian

IDENTITY = torch.eye(4 * 5 + 5 + 5 * 3 + 3, dtype=torch.float64)


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Softplus(), nn.Linear(5, 3)).double()


@pytest.fixture
def batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    sizes = (7, 2, 5)
    return [(torch.randn(n, 4, generator=generator).double(), torch.randint(3, (n,), generator=generator)) for n in sizes]


def written_out(theta: torch.Tensor, batches: list[tuple[torch.Tensor, torch.Tensor]], decay: float) -> torch.Tensor:
    """The mean cross-entropy of the network over all samples, with no module and no batches."""
    w1, b1, w2, b2 = theta.split([20, 5, 15, 3])
    x, y = torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])
    hidden = torch.log1p(torch.exp(x @ w1.view(5, 4).T + b1))
    logits = hidden @ w2.view(3, 5).T + b2
    return -torch.log_softmax(logits, 1)[torch.arange(len(y)), y].mean() + decay / 2 * (theta**2).sum()


@pytest.mark.parametrize("keep", [True, False])
def test_hessian_of_batches_is_that_of_the_whole(network, batches, keep):
    problem = ModuleLoss(network, nn.CrossEntropyLoss(), batches, decay=0.1)
    expected = torch.autograd.functional.hessian(lambda theta: written_out(theta, batches, 0.1), problem.theta)
    torch.testing.assert_close(dense(ModuleHessian(problem, keep)), expected, rtol=0, atol=1e-13)
    assert problem(problem.theta).item() == pytest.approx(written_out(problem.theta, batches, 0.1).item(), abs=1e-14)
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.slow
def test_a_summed_loss_is_the_sum(network, batches):
    summed = ModuleLoss(network, nn.CrossEntropyLoss(reduction="sum"), batches, reduction="sum")
    averaged = ModuleLoss(network, nn.CrossEntropyLoss(), batches)
    torch.testing.assert_close(dense(ModuleHessian(summed)), 14 * dense(ModuleHessian(averaged)))


def test_gauss_newton_is_jacobians_around_the_loss(network, batches):
    problem = ModuleLoss(network, nn.CrossEntropyLoss(), batches, decay=0.1)
    x = torch.cat([x for x, _ in batches])
    jacobian = torch.autograd.functional.jacobian(lambda theta: problem.outputs(theta, x), problem.theta)
    p = torch.softmax(problem.outputs(problem.theta, x), 1)
    middle = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    expected = torch.einsum("nkp,nkl,nlq->pq", jacobian, middle, jacobian) / len(x) + 0.1 * IDENTITY
    torch.testing.assert_close(dense(ModuleGaussNewton(problem)), expected, rtol=0, atol=1e-13)
    labels = torch.cat([y for _, y in batches])
    flat = GaussNewton(lambda t: problem.outputs(t, x), lambda z: nn.functional.cross_entropy(z, labels), problem.theta, 0.1)
    torch.testing.assert_close(dense(flat), expected, rtol=0, atol=1e-13)


def test_blocks_of_layers(network, batches):
    operator = ModuleHessian(ModuleLoss(network, nn.CrossEntropyLoss(), batches))
    whole, rows, columns = dense(operator), operator.layers["0.weight"], operator.layers["2.bias"]
    torch.testing.assert_close(dense(DiagonalBlock(operator, rows)), whole[rows, rows])
    block = OffDiagonalBlock(operator, rows, columns)
    torch.testing.assert_close(block @ torch.eye(3, dtype=torch.float64), whole[rows, columns])
    torch.testing.assert_close(block.mT @ torch.eye(20, dtype=torch.float64), whole[columns, rows])


def test_frozen_parameters_and_buffers_are_constants(batches):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3)).double().eval()
    network[0].requires_grad_(False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    operator = ModuleHessian(ModuleLoss(network, nn.CrossEntropyLoss(), batches))
    assert operator.size == 5 + 5 + 18
    dense(operator)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_one_clear_error_each(network, batches):
    loss = nn.CrossEntropyLoss()
    with pytest.raises(InputError, match="dropout"):
        ModuleLoss(nn.Sequential(network, nn.Dropout()), loss, batches)
    ModuleLoss(nn.Sequential(network, nn.Dropout()).eval(), loss, batches)
    with pytest.raises(InputError, match="empty data"):
        ModuleLoss(network, loss, [])
    with pytest.raises(InputError, match="iterator"):
        ModuleLoss(network, loss, iter(batches))
    with pytest.raises(InputError, match="evaluation mode"):
        ModuleLoss(nn.Sequential(network, nn.BatchNorm1d(3).double()).train(), loss, batches)
    with pytest.raises(InputError, match="scalar loss"):
        ModuleLoss(network, nn.CrossEntropyLoss(reduction="none"), batches)
    with pytest.raises(InputError, match="one dtype"):
        ModuleLoss(nn.Sequential(network, nn.Linear(3, 3)), loss, batches)
    with pytest.raises(InputError, match="trainable"):
        ModuleLoss(nn.Identity(), loss, batches)


@pytest.mark.slow
def test_softplus_network_on_digits_against_dense():
    datasets = pytest.importorskip("sklearn.datasets")
    from landscape.curvature.pyhessian import PyHessian
    from landscape.curvature.spectra.extremes import Extremes, extremes

    x, y = datasets.load_digits(return_X_y=True)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(64, 12), nn.Softplus(), nn.Linear(12, 10)).double()
    whole = (torch.from_numpy(x).double() / 16, torch.from_numpy(y).long())
    loader = [(whole[0][i : i + 500], whole[1][i : i + 500]) for i in range(0, len(y), 500)]
    problem = ModuleLoss(network, nn.CrossEntropyLoss(), loader, decay=1e-3)
    expected = np.linalg.eigvalsh(dense(ModuleHessian(problem)).numpy())
    found = extremes(ModuleHessian(problem), Extremes(count=8))
    np.testing.assert_allclose(found.top.values.numpy(), expected[::-1][:8], rtol=0, atol=1e-8)
    np.testing.assert_allclose(found.bottom.values.numpy(), expected[:8], rtol=0, atol=1e-8)
    repaired = PyHessian.of_module(problem).eigenvalues(2, iterations=3000, tolerance=1e-14)
    np.testing.assert_allclose(repaired, expected[::-1][:2], rtol=0, atol=1e-8)


def test_the_peer_multiplies_by_the_same_matrix(network, batches):
    """An L2 term closed over the parameters would be dropped there; without decay the operators are the same."""
    curvlinops = pytest.importorskip("curvlinops", reason="brings torchvision along, so it is no part of the environment")
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    loss = nn.CrossEntropyLoss()
    problem = ModuleLoss(network, loss, batches)
    for ours, theirs in (
        (ModuleHessian(problem), curvlinops.HessianLinearOperator),
        (ModuleGaussNewton(problem), curvlinops.GGNLinearOperator),
    ):
        expected = theirs(network, loss, parameters, batches) @ torch.eye(len(IDENTITY), dtype=torch.float64)
        torch.testing.assert_close(dense(ours), torch.as_tensor(expected), rtol=0, atol=1e-14)


class Shared(nn.Module):
    """A layer used twice and a weight that two layers share."""

    def __init__(self) -> None:
        super().__init__()
        layer, head = nn.Linear(4, 4), nn.Linear(4, 4)
        head.weight = nn.Parameter(layer.weight.detach().clone())
        self.first, self.again = layer, layer
        self.head, self.tail = head, nn.Linear(4, 3)
        self.other = nn.Linear(4, 4, bias=False)
        self.other.weight = self.head.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.tail(torch.tanh(self.other(torch.tanh(self.head(torch.tanh(self.again(torch.tanh(self.first(x)))))))))


def test_shared_layers_and_tied_weights_are_one_parameter_and_left_alone(batches):
    torch.manual_seed(0)
    network = Shared().double()
    before = dict(network.named_parameters(remove_duplicate=False))
    problem = ModuleLoss(network, nn.CrossEntropyLoss(), batches)

    def written(theta: torch.Tensor) -> torch.Tensor:
        w, b, v, c, u, d = theta.split([16, 4, 16, 4, 12, 3])
        w, v = w.view(4, 4), v.view(4, 4)
        x, y = torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])
        hidden = torch.tanh(torch.tanh(x @ w.T + b) @ w.T + b)
        logits = torch.tanh(torch.tanh(hidden @ v.T + c) @ v.T) @ u.view(3, 4).T + d
        return -torch.log_softmax(logits, 1)[torch.arange(len(y)), y].mean()

    expected = torch.autograd.functional.hessian(written, problem.theta)
    torch.testing.assert_close(dense(ModuleHessian(problem)), expected, rtol=0, atol=1e-13)
    after = dict(network.named_parameters(remove_duplicate=False))
    assert after.keys() == before.keys()
    assert all(after[name] is before[name] for name in before)


def test_what_is_done_to_the_module_later_does_not_move_the_point(batches):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3)).double().eval()
    network[0].requires_grad_(False)
    problem = ModuleLoss(network, nn.CrossEntropyLoss(), batches)
    before = dense(ModuleHessian(problem))
    with torch.no_grad():
        for value in network.state_dict().values():
            value.mul_(2)
    torch.testing.assert_close(dense(ModuleHessian(problem)), before, rtol=0, atol=0)


def test_a_negative_decay_is_refused(network, batches):
    with pytest.raises(InputError, match="decay >= 0, got -1"):
        ModuleLoss(network, nn.CrossEntropyLoss(), batches, decay=-1.0)


def test_blocks_fit_the_memory_of_the_largest_batch():
    """Columns are differentiated together as far as their activations fit, and the first batch may be a small one."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(20, 50), nn.Tanh(), nn.Linear(50, 3)).double()
    x, y = torch.randn(2002, 20, dtype=torch.float64), torch.randint(3, (2002,))
    loss = ModuleLoss(net, nn.functional.cross_entropy, [(x[:2], y[:2]), (x[2:], y[2:])])
    wide = ModuleHessian(loss, keep=False)
    even = ModuleHessian(ModuleLoss(net, nn.functional.cross_entropy, [(x[2:], y[2:]), (x[:2], y[:2])]), keep=False)
    assert wide._columns == even._columns < 64
    block = torch.randn(wide.size, 9, dtype=torch.float64)
    torch.testing.assert_close(wide @ block, even @ block)
