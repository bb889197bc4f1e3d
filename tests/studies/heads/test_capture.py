"""A head is captured with the features that it sees, and its loss is that of the network with decay on features and head."""

from typing import Any

import pytest
import torch
from torch import nn

from landscape.errors import InputError
from landscape.studies.heads.capture import balanced_decay, head_point

DECAYS = (1e-3, 3e-3, 5e-3)


def network(bias: bool = False, rectified: bool = False, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    body = [nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Tanh(), nn.Dropout(0.5)]
    between = [nn.ReLU()] if rectified else []
    return nn.Sequential(*body, nn.Linear(7, 7, bias=False), *between, nn.Linear(7, 3, bias=bias)).double()


def data(samples: int = 13) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(samples, 5, generator=generator).double(), torch.randint(3, (samples,), generator=generator)


@pytest.mark.parametrize("rectified", [False, True])
def test_the_loss_is_that_of_the_network(rectified: bool) -> None:
    net, (inputs, labels) = network(rectified=rectified), data()
    names = ["4", "6" if rectified else "5"]
    point = head_point(net, names, inputs, labels, DECAYS, "relu" if rectified else "linear", batch=4)
    assert net.training, "left as it was"
    net.eval()
    features = net[:4](inputs)
    loss = nn.functional.cross_entropy(net(inputs), labels) + DECAYS[0] / 2 * features.square().sum()
    for name, decay in zip(names, DECAYS[1:], strict=True):
        loss = loss + decay / 2 * net.get_parameter(f"{name}.weight").square().sum()
    assert point.loss == pytest.approx(loss.item(), rel=1e-13)
    assert point.problem.class_sizes == tuple(torch.bincount(labels, minlength=3).tolist())
    order = torch.argsort(labels, stable=True)
    assert torch.equal(point.factors()["H_1"], features[order].mT)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layers": ["4"]}, "expected the head's last layer to give 3 logits, got 7: name all its layers"),
        ({"layers": ["4", "nowhere"]}, "expected a linear layer 'nowhere', got NoneType: its linear layers are 0, 4, 5"),
        ({"layers": ["2", "5"]}, "expected a linear layer '2', got Tanh"),
        ({"layers": []}, "expected the names of the head's layers, got none"),
        ({"layers": ["5", "4"]}, "expected head layers of shapes"),
        ({"activation": "relu"}, "expected the head to give the network's output, got a relative difference"),
        ({"decay": (0.0, 1e-3, 1e-3)}, "expected a decay on the features: without one the losses of the model bound nothing"),
        ({"decay": (1e-3, 1e-3)}, "expected one decay, or 3 of them"),
        ({"labels": torch.full((13,), 3)}, "expected whole labels from 0 to 2, got torch.int64 up to 3"),
    ],
)
def test_a_head_that_is_none_is_refused(change: dict[str, Any], words: str) -> None:
    inputs, labels = data()
    given: dict[str, Any] = {"layers": ["4", "5"], "labels": labels, "decay": DECAYS, "activation": "linear"} | change
    with pytest.raises(InputError) as refused:
        head_point(network(), given["layers"], inputs, given["labels"], given["decay"], given["activation"])
    assert words in str(refused.value)


def test_a_head_with_a_bias_is_refused() -> None:
    with pytest.raises(InputError, match="expected head layers without bias, got one in '5': train the head with bias=False"):
        head_point(network(bias=True), ["4", "5"], *data(), DECAYS)


def test_logits_that_are_not_numbers_are_refused() -> None:
    net = network()
    with torch.no_grad():
        net.get_parameter("0.weight")[0, 0] = float("nan")
    with pytest.raises(InputError, match="expected the head to give the network's output, got a relative difference of nan"):
        head_point(net, ["4", "5"], *data(), DECAYS)


def test_features_of_a_sequence_are_refused() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 3, bias=False))
    with pytest.raises(InputError, match="expected one feature vector per sample at the head"):
        head_point(net, ["1"], torch.randn(6, 2, 5), torch.arange(6) % 3, 1e-3)


def test_features_without_decay_have_the_one_that_balances_them() -> None:
    net, (inputs, labels) = network(), data()
    decay = balanced_decay(net, ["4", "5"], inputs, 3e-3)
    point = head_point(net, ["4", "5"], inputs, labels, (decay, 3e-3, 3e-3))
    features, first, _ = point.factors().values()
    assert decay * features.square().sum() == pytest.approx(3e-3 * float(first.square().sum()), rel=1e-6)
