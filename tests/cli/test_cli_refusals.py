"""Bad input of every kind: exit code 2, one line on stderr that starts with "landscape: ", nothing on stdout, no file left.

Outputs that cannot be written are made inside the test's own folder. Never name a device of the machine here: a test that runs
as root and finds a bug would replace it.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from landscape.cli import run

PROBLEM = {"--classes": "4", "--samples": "2", "--width": "6", "--depth": "2", "--decay": "1e-2"}


def options(**changed: str | None) -> list[str]:
    """Returns the options of a good problem, but for those given."""
    wanted = PROBLEM | {f"--{name.replace('_', '-')}": value for name, value in changed.items()}
    return [word for name, value in wanted.items() if value is not None for word in (name, value)]


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Runs a command in a folder of its own and returns the one line that it refuses with."""
    before = sorted(os.listdir())
    code = run([str(argument) for argument in arguments])
    said = capsys.readouterr()
    assert code == 2, said
    assert said.out == ""
    assert said.err.startswith("landscape: ")
    assert said.err.count("\n") == 1
    assert said.err.endswith("\n")
    assert "Traceback" not in said.err
    assert sorted(os.listdir()) == before, "a file was left behind"
    return said.err


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def point(capsys: pytest.CaptureFixture[str]) -> Path:
    assert run(["solve", *options(start="dnc"), "--out", "point.safetensors"]) == 0
    capsys.readouterr()
    return Path("point.safetensors")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"classes": "1"}, "--classes: expected at least 2, got 1"),
        ({"classes": "0"}, "--classes: expected at least 2, got 0"),
        ({"classes": "-4"}, "--classes: expected at least 2, got -4"),
        ({"classes": "3.5"}, "--classes"),
        ({"classes": "many"}, "--classes"),
        ({"classes": None}, "expected --classes (K)"),
        ({"samples": "0"}, "--samples: expected at least 1, got 0"),
        ({"samples": None}, "expected --samples (n)"),
        ({"width": "0"}, "--width: expected at least 1, got 0"),
        ({"width": "-6"}, "--width: expected at least 1, got -6"),
        ({"width": None}, "--width"),
        ({"depth": "0"}, "--depth: expected 1 to 1000, got 0"),
        ({"decay": "-1e-2"}, "expected a positive finite decay, got -0.01"),
        ({"decay": "0"}, "expected a positive finite decay, got 0"),
        ({"decay": "nan"}, "expected a decay such as 2**-10 or 1e-3, got 'nan'"),
        ({"decay": "9**9**9"}, "expected a decay"),
        ({"decay": "__import__('os')"}, "expected a decay"),
        ({"decay": "1e-2,1e-2"}, "expected one decay, or 3 of them"),
        ({"class_sizes": "2,2,2,2"}, "--class-sizes alone"),
        ({"classes": None, "samples": None, "class_sizes": "4"}, "expected at least 2 classes, got 1"),
        ({"classes": None, "samples": None, "class_sizes": "4,0"}, "expected class sizes >= 1"),
        ({"classes": None, "samples": None, "class_sizes": "4,x"}, "expected whole numbers"),
        (
            {"start": "etf"},
            "expected DNC, pairs, apex, zero, partition:6,2,2 or blocks:polygon5+3+2, with -small for a small root, got 'etf'",
        ),
        ({"start": "partition:3,2"}, "sum to 4 classes, got 3,2"),
        ({"start": "partition:5,-1"}, "sum to 4 classes, got 5,-1"),
        ({"start": "partition:2,x"}, "expected whole numbers"),
        ({"start": "apex"}, "odd number"),
        ({"start": "pairs", "classes": "5"}, "even number of classes for pairs, got 5"),
        ({"start": "pairs", "loss": "mse"}, "expected loss ce"),
        ({"start": "dnc", "activation": "relu"}, "expected linear layers for DNC"),
        ({"start": "dnc", "width": "2"}, "expected width >= 3, the rank of DNC, got 2"),
        ({"start": "dnc", "depth": "1", "root": "small"}, "expected depth >= 2"),
        ({"start": "missing.safetensors"}, "no such file: missing.safetensors|expected no --"),
        ({"loss": "hinge"}, "--loss"),
        ({"activation": "gelu"}, "--activation"),
        ({"method": "adam"}, "--method"),
        ({"method": "softplus"}, "expected a ReLU model of depth >= 2 for softplus, got a linear CE model"),
        ({"method": "softplus", "activation": "relu", "depth": "1"}, "expected a ReLU model of depth >= 2"),
        ({"init_scale": "1"}, "expected two scales"),
        ({"init_scale": "1,-1"}, "expected two scales"),
        ({"learning_rate": "nan"}, "--learning-rate"),
        ({"learning_rate": "-0.5"}, "--learning-rate"),
        ({"max_steps": "0"}, "--max-steps"),
        ({"tolerance": "nan"}, "--tolerance"),
        ({"tolerance": "0"}, "--tolerance"),
        ({"seed": "-1"}, "--seed"),
        ({"seed": "9" * 30}, "--seed"),
        ({"device": "abacus"}, "expected a device"),
        ({"device": "meta"}, "expected a device"),
        ({"colour": "blue"}, "--colour"),
        ({"depth": "1" + "0" * 15}, "--depth: expected 1 to 1000"),
    ],
)
def test_problems_that_cannot_be_solved(capsys: pytest.CaptureFixture[str], changed: dict[str, str | None], words: str) -> None:
    line = refused(capsys, "solve", *options(**changed), "--out", "point.safetensors")
    assert any(part in line for part in words.split("|")), line


@pytest.mark.parametrize("start", ["dnc", "pairs", "partition:3,1"])
def test_above_the_fold_the_largest_decay_is_named_and_works(capsys: pytest.CaptureFixture[str], start: str) -> None:
    line = refused(capsys, "solve", *options(start=start, decay="0.9"), "--out", "point.safetensors")
    assert "the largest decay that has one is" in line
    largest = float(line.split()[-1])
    assert 0 < largest < 0.9
    refused(capsys, "solve", *options(start=start, decay=repr(largest * 1.0001)), "--out", "point.safetensors")
    assert run(["solve", *options(start=start, decay=repr(largest * 0.999)), "--out", "point.safetensors"]) == 0


@pytest.mark.parametrize("out", ["missing/point.safetensors", ".", "folder", "file/point.safetensors", "", "x" * 300])
@pytest.mark.parametrize("command", ["solve", "import"])
def test_outputs_that_cannot_be_written(capsys: pytest.CaptureFixture[str], command: str, out: str) -> None:
    Path("folder").mkdir()
    Path("file").write_text("mine")
    np.savez("weights.npz", H_1=np.ones((6, 8)), W_1=np.ones((6, 6)), W_2=np.ones((4, 6)))
    arguments = ["weights.npz", "--decay", "1e-2"] if command == "import" else options()
    refused(capsys, command, *arguments, "--out", out)
    assert Path("file").read_text() == "mine"
    assert list(Path("folder").iterdir()) == []


@pytest.mark.parametrize("special", ["pipe", "link to a pipe"])
def test_outputs_that_are_no_plain_file_are_left_alone(capsys: pytest.CaptureFixture[str], special: str) -> None:
    os.mkfifo("pipe.safetensors")
    out = Path("pipe.safetensors")
    if special != "pipe":
        out = Path("link.safetensors")
        out.symlink_to("pipe.safetensors")
    refused(capsys, "solve", *options(start="dnc"), "--out", out)
    assert out.is_fifo()


@pytest.mark.parametrize("command", ["degeneracy", "spectrum", "show", "solve"])
def test_points_that_cannot_be_read(capsys: pytest.CaptureFixture[str], point: Path, command: str) -> None:
    whole = point.read_bytes()
    Path("folder.safetensors").mkdir()
    Path("empty.safetensors").write_bytes(b"")
    Path("truncated.safetensors").write_bytes(whole[: len(whole) // 2])
    Path("text.safetensors").write_text("not a point")
    Path("flipped.safetensors").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    for name in ("missing", "folder", "empty", "truncated", "text", "flipped"):
        path = f"{name}.safetensors"
        arguments = ["--start", path, "--out", "new.safetensors"] if command == "solve" else [path]
        assert path in refused(capsys, command, *arguments)


class Creates:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.marker,)


@pytest.mark.parametrize("name", ["trap.pt", "trap.pth", "trap.npz", "trap.safetensors"])
def test_a_pickle_that_poses_as_weights_does_not_run(capsys: pytest.CaptureFixture[str], name: str) -> None:
    if name == "trap.npz":
        np.savez(name, H_1=np.array([Creates("marker")], dtype=object))
    else:
        torch.save({"H_1": Creates("marker")}, name)
    line = refused(capsys, "import", name, "--decay", "1e-2", "--out", "point.safetensors")
    assert name in line
    if name == "trap.safetensors":
        refused(capsys, "degeneracy", name)
    assert not Path("marker").exists()


@pytest.mark.parametrize("trouble", ["nan", "shapes", "missing", "text", "labels", "class sizes"])
def test_weights_that_make_no_point(capsys: pytest.CaptureFixture[str], trouble: str) -> None:
    arrays: dict[str, Any] = {"H_1": np.ones((6, 8)), "W_1": np.ones((6, 6)), "W_2": np.ones((4, 6))}
    more: list[str] = []
    match trouble:
        case "nan":
            arrays["W_1"][2, 3] = np.nan
        case "shapes":
            arrays["W_1"] = np.ones((6, 5))
        case "labels":
            more = ["--labels", "nowhere"]
        case "class sizes":
            more = ["--class-sizes", "2,2,2,1"]
    if trouble == "text":
        Path("weights.npz").write_text("no archive")
    elif trouble != "missing":
        np.savez("weights.npz", **arrays)
    refused(capsys, "import", "weights.npz", "--decay", "1e-2", *more, "--out", "point.safetensors")


def test_reports_that_cannot_be_made(capsys: pytest.CaptureFixture[str], point: Path) -> None:
    model = "K=4,n=2,d=6,L=2,decay=1e-2"
    for arguments, words in (
        (["degeneracy"], "expected either a point file or --problem"),
        (["degeneracy", point, "--problem", model, "--start", "dnc"], "expected either a point file or --problem"),
        (["degeneracy", point, "--start", "dnc"], "--start only with --problem"),
        (["degeneracy", "--problem", model], "expected --start"),
        (["degeneracy", "--problem", model, "--start", "etf"], "expected DNC, pairs, apex"),
        (["degeneracy", "--problem", model, "--start", "dnc", "--method", "dense"], "solve --out"),
        (["degeneracy", "--problem", "K=4", "--start", "dnc"], "expected --width (d), --depth (L), --decay (decay), --samples (n)"),
        (["degeneracy", point, "--method", "magic"], "--method"),
        (["spectrum", point, "--out", "spectrum.txt"], ".csv or .parquet"),
        (["spectrum", point, "--plot", "spectrum.gif"], ".png"),
        (["spectrum", point, "--out", "missing/spectrum.csv"], "cannot write"),
        (["spectrum", point, "--plot", "missing/spectrum.png"], "cannot write"),
        (["spectrum", point, point, "--label", "one", "--out", "both.csv"], "expected --label once for each of 2 points, got 1"),
        (["spectrum", point, "--plot", "spectrum.png", "--size", "300"], "expected --size in inches"),
        (["spectrum", point, "--plot", "spectrum.png", "--size", "wide"], "expected --size in inches"),
        (["show"], "point"),
        (["show", point, "other"], "other"),
        (["show", point, "--plot", "picture.gif"], ".png"),
        (["solve", *options()], "--out"),
        (["solve", "--start", point, "--decay", "1e-2", "--out", "new.safetensors"], "expected no --decay with --start"),
        (["dance"], "dance"),
        (["--dance"], "--dance"),
    ):
        assert words in refused(capsys, *arguments)
