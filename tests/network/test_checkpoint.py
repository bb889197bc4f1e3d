"""Checkpoints of networks: the weights arrive where training had them, whatever wrappers called them; nothing else is loaded."""

from pathlib import Path

import pytest
import torch
from torch import nn

import landscape as ls


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))


class Wrapped(nn.Module):
    """As Lightning modules hold their network."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.model = network(seed)


def state(prefix: str = "") -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in network(1).state_dict().items()}


LAYOUTS = {
    "plain.pt": (state(), ""),
    "parallel.pt": (state("module."), "module."),
    "compiled.pt": ({"model_state_dict": state("_orig_mod."), "epoch": 3}, "_orig_mod."),
    "both.pt": (state("module._orig_mod."), "module._orig_mod."),
    "lightning.ckpt": ({"state_dict": state("model.")}, "model."),
    "own_name.pt": ({"net": state("backbone.")}, "backbone."),
    "criterion.pt": (state("net.") | {"criterion.weight": torch.ones(2)}, "net."),
    "parameters.bin": ({name: nn.Parameter(value, value.is_floating_point()) for name, value in state().items()}, ""),
    "without_counter.pt": ({name: value for name, value in state().items() if "num_batches" not in name}, ""),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_weights_arrive_where_training_had_them(tmp_path: Path, name: str) -> None:
    content, prefix = LAYOUTS[name]
    torch.save(content, tmp_path / name)
    net = network()
    loaded = ls.load_checkpoint(net, tmp_path / name)
    assert loaded.module is net
    assert loaded.prefix == prefix
    for key, value in state().items():
        if "num_batches" not in key:
            assert torch.equal(net.state_dict()[key], value)
    assert loaded.unused == {"criterion.pt": ("criterion.weight",), "compiled.pt": ("epoch",)}.get(name, ())


@pytest.mark.parametrize("prefix", ["", "model.", "module.model."])
def test_a_module_that_holds_the_network_takes_its_weights(tmp_path: Path, prefix: str) -> None:
    torch.save(state(prefix), tmp_path / "c.pt")
    net = Wrapped()
    ls.load_checkpoint(net, tmp_path / "c.pt")
    assert torch.equal(net.get_parameter("model.3.weight"), state()["3.weight"])


def test_double_weights_keep_their_digits_in_a_double_module(tmp_path: Path) -> None:
    precise = {name: value.double() / 3 if value.is_floating_point() else value for name, value in state().items()}
    torch.save(precise, tmp_path / "c.pt")
    net = network().double()
    ls.load_checkpoint(nn.DataParallel(net), tmp_path / "c.pt")
    assert torch.equal(net.get_parameter("0.weight").cpu(), precise["0.weight"])  # the wrapper moves it to a device


def test_what_does_not_fit_is_one_line_and_nothing_is_written(tmp_path: Path) -> None:
    net = network()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    for content, words in (
        ({name: value for name, value in state().items() if name != "3.bias"}, r"without 3\.bias: is it another architecture"),
        (state() | {"3.weight": torch.zeros(5, 4)}, r"expected 3\.weight of shape \(2, 4\) in c\.pt, got \(5, 4\)"),
        ({"other": torch.zeros(2)}, "got other, without 0.bias"),
    ):
        torch.save(content, tmp_path / "c.pt")
        with pytest.raises(ls.InputError, match=words) as refusal:
            ls.load_checkpoint(net, tmp_path / "c.pt")
        assert "\n" not in str(refusal.value)
        assert len(str(refusal.value)) < 300
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])
