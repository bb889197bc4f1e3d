"""`landscape network` as a user meets it: code in a file, weights in a checkpoint, one command."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

import landscape as ls
from landscape.cli import run

MODEL = """
import torch
from torch import nn
from neighbour import CLASSES

def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Softplus(), nn.Linear(8, 4, bias=False), nn.Linear(4, CLASSES, bias=False))

generator = torch.Generator().manual_seed(1)
x, y = torch.randn(40, 6, generator=generator), torch.randint(CLASSES, (40,), generator=generator)
data = [(x[:15], y[:15]), (x[15:], y[15:])]

def data_of_dictionaries():
    return [{"input": x, "labels": y}]

def adapt(batch):
    return batch["input"], batch["labels"]

def spared(name, tensor):
    return 0.01 if tensor.ndim > 1 else 0.0

def hinge(outputs, targets):
    return nn.functional.softplus(-outputs.gather(1, targets[:, None])).mean()

def broken():
    raise RuntimeError("no such device")

seven = 7
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_model.py").write_text(MODEL)
    (tmp_path / "neighbour.py").write_text("CLASSES = 3\n")
    return tmp_path


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.Softplus(), nn.Linear(8, 4, bias=False), nn.Linear(4, 3, bias=False))


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(40, 6, generator=generator), torch.randint(3, (40,), generator=generator)


def loss_of(seed: int, decay=1e-2) -> ls.ModuleLoss:
    return ls.ModuleLoss(network(seed), nn.functional.cross_entropy, [data()], decay, dtype=torch.float64)


def written(path: Path, seed: int) -> Path:
    torch.save({"state_dict": {f"module.{name}": value for name, value in network(seed).state_dict().items()}}, path)
    return path


NAMED = ["my_model.py:build", "--data", "my_model.py:data", "--decay", "1e-2"]


def test_a_plane_of_a_checkpoint(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = written(folder / "c.ckpt", 5)
    arguments = ["--checkpoint", str(checkpoint), "--steps", "3", "--span", "1", "--seed", "2", "--out", "plane.csv", "--json"]
    assert run(["network", "slice", *NAMED, *arguments, "--plot", "plane.png", "--surface"]) == 0
    said = json.loads(capsys.readouterr().out)
    expected = ls.slice_plane(loss_of(5), ("random", "random"), span=1.0, steps=3, seed=2)
    assert said["columns"]["loss"] == pytest.approx(expected.loss.flatten().tolist(), rel=1e-12)
    assert [part["curvature"] for part in said["slices"]] == pytest.approx(
        [expected.horizontal.curvature, expected.vertical.curvature], rel=1e-9
    )
    assert pd.read_csv("plane.csv")["loss"].tolist() == pytest.approx(said["columns"]["loss"], rel=1e-12)
    assert (folder / "plane.png").stat().st_size > 1000


def test_the_way_to_another_checkpoint(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = written(folder / "one.pt", 5), written(folder / "other.pt", 6)
    assert run(["network", "slice", *NAMED, str(other), "--checkpoint", str(one), "--steps", "5", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    expected = ls.slice_between(loss_of(5), loss_of(6), steps=5)["as given"]
    assert said["columns"]["loss"] == pytest.approx(expected.loss.tolist(), rel=1e-12)
    assert said["slices"][0]["distance"] == pytest.approx(expected.distance, rel=1e-12)


def test_adapters_decays_and_losses_of_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    names = {"--data": "data_of_dictionaries", "--adapter": "adapt", "--decay": "spared", "--loss": "hinge"}
    options = [word for option, name in names.items() for word in (option, f"my_model.py:{name}")]
    assert run(["network", "slice", "my_model.py:build", *options, "--along", "random", "--steps", "3", "--json"]) == 0
    middle = json.loads(capsys.readouterr().out)["columns"]["loss"][1]
    net, (x, y) = network().double(), data()
    with torch.no_grad():
        fit = nn.functional.softplus(-net(x.double()).gather(1, y[:, None])).mean()
        penalty = 0.01 / 2 * sum(p.square().sum() for p in net.parameters() if p.ndim > 1)
    assert middle == pytest.approx(float(fit + penalty), rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["my_model.py", "--data", "my_model.py:data"], "the module: expected FILE.py:NAME, such as my_model.py:build"),
        (["absent.py:build", "--data", "my_model.py:data"], "the module: no such file: absent.py"),
        (["my_model.py:nothing", "--data", "my_model.py:data"], "expected nothing in my_model.py, got a file without it"),
        (["my_model.py:broken", "--data", "my_model.py:data"], "without an error, got RuntimeError: no such device"),
        (["my_model.py:seven", "--data", "my_model.py:data"], "to be or to return a torch.nn.Module, got int"),
        (["my_model.py:build", "--data", "my_model.py:seven"], "expected an iterable of batches, got int"),
        ([*NAMED, "--loss", "no_such_loss"], "--loss: expected a function of torch.nn.functional, own, or FILE.py:NAME"),
        ([*NAMED[:3], "--decay", "much"], "expected a decay such as 1e-3, or FILE.py:NAME, got 'much'"),
        ([*NAMED, "--adapter", "my_model.py:seven"], "--adapter: expected my_model.py:seven to be a function, got int"),
        ([*NAMED, "--along", "sideways"], "expected one or two directions of random, stiffest, second, lowest"),
        ([*NAMED, "--checkpoint", "absent.pt"], "no such file: absent.pt"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["network", "slice", *arguments]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert len(err.strip().splitlines()) == 1


def test_code_that_fails_when_it_is_imported_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bad.py").write_text("raise SystemExit('stop')\n")
    assert run(["network", "slice", "bad.py:build", "--data", "my_model.py:data"]) == 2
    assert "expected bad.py to be imported, got SystemExit: stop" in capsys.readouterr().err


def test_the_help_says_that_files_are_run(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("slice", "inspect"):
        assert run(["network", command, "--help"]) == 0
        assert "IT IMPORTS YOUR FILES" in capsys.readouterr().out


@pytest.mark.slow
def test_from_a_checkpoint_to_a_saved_point_that_every_command_takes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint, point = written(folder / "c.ckpt", 5), "point.safetensors"
    more = ["--checkpoint", str(checkpoint), "--polish", "--symmetries", "--out", point, "--plot", "spectrum.pdf"]
    assert run(["network", "inspect", *NAMED, *more]) == 0
    rows = capsys.readouterr().out
    assert "prefix module." in rows
    assert "rotation of 4: 2.weight rows, 3.weight columns" in rows
    assert (folder / "spectrum.pdf").stat().st_size > 1000
    report = ls.analyse(ls.polish(loss_of(5)))
    assert run(["network", "inspect", *NAMED, "--checkpoint", point, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert run(["degeneracy", point, "--run-sources", "--json"]) == 0
    counted = json.loads(capsys.readouterr().out)
    assert run(["degeneracy", point, "--run-sources", "--method", "recurrence", "--json"]) == 0
    certified = json.loads(capsys.readouterr().out)
    assert (counted["certificate"]["method"], certified["certificate"]["method"]) == ("dense", "recurrence")
    for said in (again, counted, certified):
        assert (said["nullity"], said["index"], said["predicted"]) == (report.nullity, 0, report.predicted)
        assert said["loss"] == pytest.approx(report.loss, rel=1e-12)
    assert report.nullity == report.predicted
    assert run(["spectrum", point, "--run-sources", "--out", "table.csv"]) == 0
    assert pd.read_csv("table.csv")["multiplicity"].sum() == counted["parameters"]
    capsys.readouterr()
    assert run(["slice", point, "--run-sources", "--steps", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["columns"]["loss"][4] == pytest.approx(report.loss, rel=1e-12)
    assert run(["report", point, "--run-sources", "--out", "page.html"]) == 0
    page = (folder / "page.html").read_text()
    assert f"{report.nullity} of {counted['parameters']} eigenvalues are zero" in page
    assert "my_model.py:build" in page


def test_the_code_that_a_point_names_is_run_only_on_request(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ls.save_network_point("point.safetensors", loss_of(5), {"module": "trap.py:build", "data": "trap.py:data"})
    (folder / "trap.py").write_text("open('marker', 'w').close()\n")
    for command in ("degeneracy", "spectrum", "slice", "report"):
        page = ["--out", "page.html"] if command == "report" else []
        assert run([command, "point.safetensors", *page]) == 2
        assert "expected --run-sources for the point of a network: it runs trap.py:build" in capsys.readouterr().err
    assert run(["show", "point.safetensors"]) == 2
    assert "the point of a network" in capsys.readouterr().err
    assert not (folder / "marker").exists()


def test_a_count_that_is_not_certain_is_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["network", "inspect", *NAMED]) == 1
    said = capsys.readouterr()
    assert "polish the point" in said.err
    assert "undecided" in said.out
