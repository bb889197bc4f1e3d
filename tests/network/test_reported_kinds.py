"""What people report in trackers of other Hessian libraries, on the public interface alone: the Hessian is right, or refused.

The truth is a plain double backward pass of the module itself over all data, or central differences where torch is wrong.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader, TensorDataset

import landscape as ls
from benchmarks.supported import differences, truth

CE = nn.functional.cross_entropy
X = torch.randn(12, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
Y = torch.tensor([0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 2])
HALVES = [(X[:5], Y[:5]), (X[5:], Y[5:])]


class Calls(nn.Module):
    """A module whose forward pass is a function of its layers and the inputs."""

    def __init__(self, forward: Callable[..., Any], **layers: nn.Module) -> None:
        super().__init__()
        self.layers, self.function = nn.ModuleDict(layers), forward

    def forward(self, *inputs: Any, **named: Any) -> Any:
        return self.function(self.layers, *inputs, **named)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))


def in_place(change: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Calls:
    return Calls(
        lambda at, x: at["c"](change(at["b"](h := at["a"](x)), h).tanh()), a=nn.Linear(3, 3), b=nn.Linear(3, 3), c=nn.Linear(3, 3)
    )


def assigned(r: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    r[:, 0] = 0.5
    return r


def recurrent(kind: Callable[..., nn.Module]) -> Calls:
    return Calls(lambda at, x: at["head"](at["rnn"](x)[0][:, -1]), rnn=kind(2, 2, batch_first=True), head=nn.Linear(2, 3))


def attention() -> Calls:
    return Calls(
        lambda at, x: at["head"](at["block"](x).mean(1)),
        block=nn.TransformerEncoderLayer(4, 2, 6, dropout=0.1, batch_first=True),
        head=nn.Linear(4, 3),
    )


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


TOKENS = torch.randint(0, 6, (12, 4), generator=torch.Generator().manual_seed(2))
MASKED = {"input_ids": TOKENS, "attention_mask": torch.ones(12, 4, dtype=torch.int64)}
KINDS: dict[str, tuple[Callable[[], nn.Module], Any]] = {
    "attention in evaluation mode": (attention, draw(12, 5, 4)),
    "named arguments": (
        lambda: Calls(
            lambda at, input_ids, attention_mask: at["head"]((at["embed"](input_ids) * attention_mask[..., None]).sum(1)),
            embed=nn.Embedding(6, 3),
            head=nn.Linear(3, 3),
        ),
        MASKED,
    ),
    "two positional inputs": (lambda: nn.Bilinear(3, 2, 3), (X, draw(12, 2))),
    "weight_norm": (
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), nn.Tanh(), nn.Linear(4, 3)),
        X,
    ),
    "linear on four axes": (lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Flatten(), nn.Linear(16, 3)), draw(12, 2, 2, 3)),
    "two convolutions": (
        lambda: nn.Sequential(nn.Conv1d(2, 3, 2), nn.Softplus(), nn.Conv1d(3, 2, 2), nn.Flatten(), nn.Linear(4, 3)),
        draw(12, 2, 4),
    ),
    "group normalisation": (
        lambda: nn.Sequential(nn.Conv1d(2, 4, 2), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(12, 3)),
        draw(12, 2, 4),
    ),
    "transposed convolution": (lambda: nn.Sequential(nn.ConvTranspose1d(2, 3, 2), nn.Flatten(), nn.Linear(15, 3)), draw(12, 2, 4)),
    "embedding": (lambda: nn.Sequential(nn.Embedding(6, 3), nn.Flatten(), nn.Linear(12, 3)), TOKENS),
    "residual +=": (lambda: in_place(lambda r, h: r.__iadd__(h)), X),
    "mul_": (lambda: in_place(lambda r, h: r.mul_(2)), X),
    "silu inplace": (lambda: in_place(lambda r, h: nn.functional.silu(r, inplace=True)), X),
    "index assignment": (lambda: in_place(assigned), X),
    "RNN": (lambda: recurrent(nn.RNN), draw(12, 3, 2)),
    "GRU": (lambda: recurrent(nn.GRU), draw(12, 3, 2)),
    "LSTM": (lambda: recurrent(nn.LSTM), draw(12, 3, 2)),
}


def called(net: nn.Module, inputs: Any) -> Any:
    return net(**inputs) if isinstance(inputs, dict) else net(*inputs) if isinstance(inputs, tuple) else net(inputs)


@pytest.mark.parametrize("kind", KINDS)
def test_products_are_right_also_when_they_are_repeated(kind):
    torch.manual_seed(0)
    build, inputs = KINDS[kind]
    net = build().double().eval()
    with sdpa_kernel(SDPBackend.MATH):  # the others have no second derivative
        exact = (differences if kind == "weight_norm" else truth)(list(net.parameters()), lambda: CE(called(net, inputs), Y))
    hessian = ls.ModuleHessian(ls.ModuleLoss(net, CE, [(inputs, Y)]))
    tolerance = 1e-8 if kind == "weight_norm" else 1e-13
    block = draw(hessian.size, 2)
    for _ in range(3):
        torch.testing.assert_close(hessian @ block, exact @ block, rtol=0, atol=tolerance * hessian.size)


LOSSES = [
    nn.functional.mse_loss,
    nn.functional.smooth_l1_loss,
    nn.functional.huber_loss,
    nn.functional.l1_loss,
    nn.functional.binary_cross_entropy_with_logits,
    lambda o, t: nn.functional.kl_div(o.log_softmax(1), t.softmax(1), reduction="batchmean"),
    lambda o, t: nn.functional.gaussian_nll_loss(o, t, torch.ones_like(o)),
    lambda o, t: nn.functional.poisson_nll_loss(o, t.abs()),
    lambda o, t: nn.functional.mse_loss(o, t).reshape(1),
]


@pytest.mark.parametrize("place", range(len(LOSSES)))
def test_losses_that_killed_the_interpreter(place):
    torch.manual_seed(0)
    net, targets = mlp().double(), draw(12, 3).sigmoid()
    loss = LOSSES[place]
    exact = truth(list(net.parameters()), lambda: loss(net(X), targets).sum())
    found = ls.dense(ls.ModuleHessian(ls.ModuleLoss(net, loss, [(X, targets)])))
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-13)


def test_class_weights_over_unequal_batches():
    torch.manual_seed(0)
    net = mlp().double()
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 20.0, 3.0], dtype=torch.float64))
    exact = truth(list(net.parameters()), lambda: loss(net(X), Y))
    torch.testing.assert_close(ls.dense(ls.ModuleHessian(ls.ModuleLoss(net, loss, HALVES))), exact, rtol=0, atol=1e-13)


def padded() -> list[tuple[torch.Tensor, torch.Tensor]]:
    tokens = torch.randint(0, 3, (6, 5), generator=torch.Generator().manual_seed(0))
    tokens[:3, 1:] = -100
    x = draw(6, 5, 3)
    return [(x[:3], tokens[:3]), (x[3:], tokens[3:])]


@pytest.mark.parametrize(
    ("loss", "data", "words"),
    [
        (lambda o, t: CE(o.flatten(0, 1), t.reshape(-1), ignore_index=-100), padded(), "weighted mean"),
        (nn.CrossEntropyLoss(reduction="sum"), HALVES, 'pass reduction="sum"'),
        (CE, DataLoader(TensorDataset(X, Y), batch_size=5, shuffle=True, drop_last=True), "the same batches at every reading"),
        (CE, [{"inputs": X, "labels": Y}], "pass adapter="),
    ],
)
def test_another_loss_than_is_meant_is_refused_in_one_line(loss, data, words):
    torch.manual_seed(0)
    with pytest.raises(ls.InputError, match=words) as refusal:
        ls.ModuleLoss(mlp().double(), loss, data)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("method", [ls.Dense(), ls.Inertia()])
def test_a_matrix_of_terabytes_is_refused_in_one_line(method):
    operator = ls.Hessian(lambda theta: theta.square().sum(), torch.zeros(300_000, dtype=torch.float64))
    with pytest.raises(ls.InputError, match="GB of memory"):
        ls.nullity(operator, method)


def test_estimates_of_a_network_with_an_in_place_residual():
    torch.manual_seed(0)
    net = in_place(lambda r, h: r.__iadd__(h)).double()
    hessian = ls.ModuleHessian(ls.ModuleLoss(net, CE, [(X, Y)]))
    values = torch.linalg.eigvalsh(truth(list(net.parameters()), lambda: CE(net(X), Y)))
    assert float(ls.extremes(hessian).top.values[0]) == pytest.approx(float(values[-1]), abs=1e-8)
    trace = ls.trace(hessian, ls.HutchPlusPlus(sketch=20, probes=20))
    assert abs(trace.mean - float(values.sum())) <= 6 * trace.error + 1e-10
    share = ls.density(hessian, ls.Quadrature(probes=20, steps=36)).fraction(0.01, 1e6)
    assert abs(share.mean - float((values > 0.01).double().mean())) <= 6 * share.error + 1e-10
