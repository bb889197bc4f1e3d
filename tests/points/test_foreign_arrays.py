"""Checkpoints as people save them: the weights are found where they stand, what is no array of numbers is refused in one line."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from landscape.errors import InputError
from landscape.points.foreign_arrays import read_arrays


def arrays() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"H_1": (4, 6), "W_1": (4, 4), "W_2": (3, 4)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def optimiser() -> dict[str, Any]:
    net = nn.Linear(2, 2)
    adam = torch.optim.Adam(net.parameters())
    net(torch.zeros(1, 2)).sum().backward()
    adam.step()
    return adam.state_dict()


def layouts() -> dict[str, object]:
    plain = arrays()
    compiled = {"_orig_mod." + name: array for name, array in plain.items()}
    return {
        "plain.pt": plain,
        "state_dict.pt": {"state_dict": plain, "epoch": 3},
        "training.pt": {"model_state_dict": plain, "optimizer_state_dict": optimiser(), "epoch": 3, "loss": 0.1},
        "model.pt": {"model": plain, "step": 3},
        "net.pth": {"net": plain, "acc": 93.1, "epoch": 2},
        "ema.pt": {"ema": {name: array + 1 for name, array in plain.items()}, "model": plain},
        "own_name.pt": {"my_weights": plain, "optimizer": optimiser()},
        "twice.pt": {"model": {"state_dict": plain}},
        "lightning.ckpt": {
            "state_dict": plain,
            "pytorch-lightning_version": "2.4",
            "global_step": 5,
            "optimizer_states": [optimiser()],
        },
        "parallel.pt": {"module." + name: array for name, array in plain.items()},
        "compiled.pt": compiled,
        "both.pt": {"module." + name: array for name, array in compiled.items()},
        "lightning_model.ckpt": {"state_dict": {"model." + name: array for name, array in plain.items()}},
        "beside.pt": plain | {"epoch": 3, "loss": 0.1, "args": {"lr": 0.1}},
        "counter.pt": plain | {"step": torch.tensor(3)},
        "weights.bin": plain,
        "parameters.pt": {name: nn.Parameter(array) for name, array in plain.items()},
        "graph.pt": {name: array.clone().requires_grad_() for name, array in plain.items()},
    }


@pytest.mark.parametrize("name", list(layouts()))
def test_weights_are_found_where_people_put_them(tmp_path: Path, name: str) -> None:
    torch.save(layouts()[name], tmp_path / name)
    found = read_arrays(tmp_path / name).without_prefixes()
    for key, array in arrays().items():
        assert torch.equal(found[key], array)
        assert type(found[key]) is torch.Tensor
        assert not found[key].requires_grad


def test_what_was_passed_over_is_said(tmp_path: Path) -> None:
    torch.save({"model": {"net": arrays()}, "epoch": 3, "optimizer": optimiser()}, tmp_path / "c.pt")
    found = read_arrays(tmp_path / "c.pt")
    assert (found.entry, found.ignored) == (("model", "net"), ("epoch", "optimizer"))


def test_prefixes_stay_where_two_names_would_become_one(tmp_path: Path) -> None:
    torch.save({"_orig_mod.W_1": torch.zeros(1), "W_1": torch.ones(1)}, tmp_path / "c.pt")
    assert set(read_arrays(tmp_path / "c.pt").without_prefixes()) == {"_orig_mod.W_1", "W_1"}


def test_a_prefix_that_only_some_names_have_is_a_name(tmp_path: Path) -> None:
    torch.save({"model.weight": torch.zeros(1), "head.weight": torch.ones(1)}, tmp_path / "c.pt")
    assert set(read_arrays(tmp_path / "c.pt").without_prefixes()) == {"model.weight", "head.weight"}


@pytest.mark.filterwarnings("ignore")  # torch: sparse CSR and quantisation are deprecated or in beta
@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: torch.empty(4, 4, device="meta"), "meta tensor"),
        (lambda: torch.eye(4).to_sparse(), "sparse"),
        (lambda: torch.eye(4).to_sparse_csr(), "sparse"),
        (lambda: torch.quantize_per_tensor(torch.eye(4), 0.1, 0, torch.qint8), "quantised"),
    ],
)
def test_tensors_without_plain_numbers_are_refused_in_one_line(tmp_path: Path, make, word: str) -> None:
    torch.save(arrays() | {"W_1": make()}, tmp_path / "c.pt")
    with pytest.raises(InputError, match=rf"expected plain arrays in c\.pt, got W_1, a.* {word}.*: save") as refusal:
        read_arrays(tmp_path / "c.pt")
    assert "\n" not in str(refusal.value)


def test_bytes_of_a_quantised_model_are_refused(tmp_path: Path) -> None:
    torch.save({"0.weight": torch.zeros(4, 4, dtype=torch.int8), "0.scale": torch.ones(4)}, tmp_path / "c.bin")
    with pytest.raises(InputError, match=r"got 0\.weight, a quantised one"):
        read_arrays(tmp_path / "c.bin")


def test_a_refusal_of_many_names_is_one_short_line(tmp_path: Path) -> None:
    torch.save({f"key{place}": place for place in range(500)}, tmp_path / "c.pt")
    with pytest.raises(InputError, match=r"and 494 more: save model\.state_dict") as refusal:
        read_arrays(tmp_path / "c.pt")
    assert len(str(refusal.value)) < 300
