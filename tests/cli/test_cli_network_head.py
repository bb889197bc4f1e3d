"""`landscape network head` as a user meets it: own features, weights and labels in, a true sentence out."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from landscape.cli import run
from landscape.model.problem import Problem
from landscape.points.point import load
from landscape.solver.starts import place
from landscape.structures.kinds import Collapse, Partition
from landscape.studies.heads.standing import standing

PROBLEM = Problem.balanced(classes=4, samples=3, width=6, depth=2, decay=(2e-3, 6e-3, 6e-3))


@pytest.fixture
def head(tmp_path: Path) -> Path:
    """Features and weights near DNC, the samples out of class order, with the labels that say which is which."""
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(12, generator=generator)
    arrays = place(PROBLEM, Collapse(), gauge=1).factors()
    arrays = {name: array + 1e-2 * torch.randn(array.shape, generator=generator).double() for name, array in arrays.items()}
    labels = torch.arange(4).repeat_interleave(3)[order]
    np.save(tmp_path / "labels.npy", labels.numpy())
    features = arrays.pop("H_1")[:, order]
    saved: dict[str, Any] = {"embeddings": features.mT.numpy()} | {name: array.numpy() for name, array in arrays.items()}
    np.savez(tmp_path / "head.npz", **saved)
    return tmp_path / "head.npz"


def arguments(head: Path, *more: str) -> list[str]:
    given = ["network", "head", str(head), "--labels", str(head.with_name("labels.npy")), "--features", "embeddings"]
    return [*given, "--decay", "2e-3,6e-3,6e-3", *more]


def test_it_says_where_the_head_stands(head: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments(head, "--json")) == 0
    value = json.loads(capsys.readouterr().out)
    collapse = place(PROBLEM, Collapse())
    line = next(line for line in value["lines"] if line["structure"] == "DNC")
    assert value["nearest"] == "DNC"
    assert line["loss"] == pytest.approx(collapse.loss, rel=1e-12)
    assert line["above"] == pytest.approx(value["loss"] - collapse.loss, rel=1e-12)
    assert 0.99 < line["cosine"] < 1
    pairs = next(line for line in value["lines"] if line["structure"] == "pairs")
    assert pairs["loss"] == pytest.approx(place(PROBLEM, Partition((2, 2))).loss, rel=1e-12)
    assert value["best_known"] == min(value["lines"], key=lambda known: known["loss"])["structure"]
    assert run(arguments(head)) == 0
    said = capsys.readouterr().out
    assert f"best known  {value['best_known']}, loss" in said
    assert "nearest     DNC, cosine 0.99" in said


def test_the_flow_ends_at_a_point_that_is_saved_and_named(head: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = head.with_name("end.safetensors")
    assert run(arguments(head, "--flow", "--out", str(out), "--json")) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["flow"]["structure"] == "DNC"
    assert value["flow"]["after"]["loss"] == pytest.approx(place(PROBLEM, Collapse()).loss, rel=1e-10)
    assert 0 < value["flow"]["moved"] < 1
    assert load(out).gradient_norm < 1e-12


@pytest.fixture
def arrays(head: Path) -> Path:
    """The same head, each array in a file of its own."""
    with np.load(head) as stored:
        for name in stored.files:
            np.save(head.with_name(f"{name}.npy"), stored[name])
    return head.parent


def of_arrays(folder: Path, *layers: str) -> list[str]:
    given = ["network", "head", *(str(folder / layer) for layer in layers), "--features", str(folder / "embeddings.npy")]
    return [*given, "--labels", str(folder / "labels.npy"), "--decay", "2e-3,6e-3,6e-3"]


def test_a_file_for_each_array_says_the_same(head: Path, arrays: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments(head, "--json")) == 0
    expected = json.loads(capsys.readouterr().out)
    assert run([*of_arrays(arrays, "W_1.npy", "W_2.npy"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {key: value for key, value in found.items() if key != "read"} == {
        key: value for key, value in expected.items() if key != "read"
    }
    assert found["read"]["weights"] == [str(arrays / "W_1.npy"), str(arrays / "W_2.npy")]
    assert run(of_arrays(arrays, "W_1.npy", "W_2.npy")) == 0
    assert "nearest     DNC, cosine 0.99" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ((), "expected the head's weights, got none: name a file, or a .npy file for each layer"),
        (("W_1.npy",), "expected labels of all 6 classes of the last layer in"),
        (("W_2.npy", "W_1.npy"), "expected matrices of shapes"),
        (("W_1.npy", "W_2.npy", "bias.npy"), "expected weight matrices without biases, got"),
        (("W_1.npy", "W_1.npy"), "expected every array in one file, got"),
        (("W_1.npy", "nowhere.npy"), "no such file"),
        (("W_1.npy", "damaged.npy"), "expected arrays in damaged.npy, got a damaged or foreign file"),
        (("W_1.npy", "words.npy"), "expected arrays in words.npy, got a damaged or foreign file"),
        (("W_1.npy", "nan.npy"), "expected finite parameters, got 1 that are NaN or infinite"),
        (("head.txt",), "expected a .safetensors, .npz, .npy, .pt, .pth, .ckpt or .bin file, got head.txt"),
    ],
)
def test_arrays_that_are_no_head_are_one_line(
    arrays: Path, layers: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(arrays / "bias.npy", np.ones(4))
    np.save(arrays / "words.npy", np.array(["one", "two"]))
    (arrays / "damaged.npy").write_bytes(b"\x93NUMPY\x01\x00")
    last = np.load(arrays / "W_2.npy")
    last[0, 0] = np.nan
    np.save(arrays / "nan.npy", last)
    (arrays / "head.txt").write_text("1 2")
    assert run(of_arrays(arrays, *layers)) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_a_head_below_every_known_point_says_that_one_is_missing() -> None:
    point = place(PROBLEM, Partition((2, 2)))
    best = standing(point).lines[0]
    found = replace(standing(point), lines=(replace(best, above=-2e-4),))
    assert "the head lies 0.0002000 below: a lower critical point exists" in str(found)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("--decay", "0,6e-3,6e-3"), "expected a decay on the features: without one the losses of the model bound nothing"),
        (("--decay", "1e-3,1e-3"), "expected one decay, or 3 of them"),
        (("--features", "nothing"), "expected 'nothing' in head.npz"),
        (("--decay", "5"), "no partition point exists at decay 5"),
        (("--search", "-1"), "expected at least 0, got -1"),
    ],
)
def test_what_is_wrong_is_one_line(head: Path, change: tuple[str, str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = arguments(head)
    if change[0] in given:
        given[given.index(change[0]) + 1] = change[1]
    else:
        given += change
    assert run(given) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_labels_of_another_length_are_refused(head: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(head.with_name("labels.npy"), np.zeros(5, dtype=np.int64))
    assert run(arguments(head)) == 2
    assert "expected 12 labels between 0 and 3" in capsys.readouterr().err
