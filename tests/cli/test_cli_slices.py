"""`landscape slice`: what it prints, writes and refuses."""

import io
import json
import sys
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from landscape.cli import run
from landscape.model.logit_form import write_parameters
from landscape.model.problem import Problem
from landscape.points.point import CriticalPoint, Origin
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Collapse, Pairs

PROBLEM = Problem.balanced(4, 2, 6, 2, 1e-3)
ANALYTIC = ("--problem", "K=4,n=2,d=6,L=2,decay=1e-3", "--start")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, structure, gauge in (("dnc", Collapse(), 1), ("pairs", Pairs(), 2)):
        theta = write_parameters(PROBLEM, logit_form(PROBLEM, structure), gauge)
        CriticalPoint.at(PROBLEM, theta, Origin("analytic")).save(Path(f"{name}.safetensors"))
    other = Problem.balanced(2, 1, 2, 1, 1e-2)
    CriticalPoint.at(other, write_parameters(other, logit_form(other, Collapse()), 1), Origin("analytic")).save(
        Path("other.safetensors")
    )


def ask(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert run(["slice", *map(str, arguments)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    return said.out


def test_a_plane_is_written_and_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    said = ask(capsys, "dnc.safetensors", "--steps", 5, "--span", "0.5", "--out", "slice.csv", "--plot", "slice.png")
    words = [line.split() for line in said.splitlines()]
    assert [word for word, *_ in words] == ["direction", "curvature", "direction", "curvature", "quartic", "loss"]
    assert [words[0][1], words[2][1]] == ["stiffest", "gauge"]
    table = pd.read_csv("slice.csv")
    assert list(table) == ["horizontal", "vertical", "loss"]
    assert len(table) == 25
    assert sorted(set(table["horizontal"])) == [-0.5, -0.25, 0.0, 0.25, 0.5]
    here = table[(table["horizontal"] == 0) & (table["vertical"] == 0)]["loss"].item()
    assert here == pytest.approx(CriticalPoint.load(Path("dnc.safetensors")).loss, rel=1e-14)
    assert table["loss"].min() == here
    with Image.open("slice.png") as picture:
        assert picture.size[0] > 900


def test_a_line_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    said = json.loads(ask(capsys, *ANALYTIC, "partition:2,1,1", "--along", "negative", "--steps", 7, "--json"))
    (found,), columns = said["slices"], said["columns"]
    assert found["direction"] == "negative"
    assert found["curvature"] < 0
    assert list(columns) == ["place", "loss"]
    assert columns["loss"][2] < columns["loss"][3] > columns["loss"][4]


def test_a_gauge_line_has_the_orbit_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    ask(capsys, "dnc.safetensors", "--along", "gauge", "--out", "slice.csv", "--plot", "slice.svg")
    table = pd.read_csv("slice.csv")
    assert table["orbit_loss"].max() - table["orbit_loss"].min() < 1e-14
    assert table["loss"].iloc[0] > table["loss"].iloc[25] + 1e-6


def test_between_two_points(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("dnc.safetensors", "pairs.safetensors", "--plot", "slice.pdf", "--out", "slice.parquet", "--json")
    said = json.loads(ask(capsys, *arguments))
    straight, aligned = said["slices"]
    assert aligned["barrier"] < straight["barrier"]
    ends = [CriticalPoint.load(Path(f"{name}.safetensors")).loss for name in ("dnc", "pairs")]
    for column in ("loss", "aligned_loss"):
        assert [said["columns"][column][place] for place in (0, -1)] == pytest.approx(ends, rel=1e-13)
    assert pd.read_parquet("slice.parquet")["loss"].tolist() == said["columns"]["loss"]


def test_a_terminal_sees_that_work_goes_on(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    assert run(["slice", "dnc.safetensors", "--steps", "5"]) == 0
    shown = terminal.getvalue()
    assert "directions of 108 parameters" in shown
    assert "loss at 25 places" in shown
    assert capsys.readouterr().out.startswith("direction  stiffest")


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        (("--along", "stiffest", "--style", "column"), (975, 660)),
        (("--along", "stiffest,gauge", "--size", "4x3"), (1200, 900)),
        (("--along", "stiffest,gauge", "--surface", "--style", "dark"), (1600, 900)),
        (("--other", "pairs.safetensors", "--style", "slide", "--label", "DNC", "--label", "low rank"), (1600, 900)),
    ],
)
def test_the_picture_has_the_style_and_size(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], size: tuple[int, int]
) -> None:
    ask(capsys, "dnc.safetensors", "--steps", 5, "--plot", "slice.png", *arguments)
    with Image.open("slice.png") as picture:
        assert picture.size == size
        corner = picture.convert("L").crop((2, 2, 3, 3)).tobytes()[0]
    assert (corner < 90) == ("dark" in arguments)


def test_the_title_is_the_name_of_the_point_or_what_was_typed(capsys: pytest.CaptureFixture[str]) -> None:
    drawn = {}
    for title in ([], ["--title", "dnc"], ["--title", "DNC at decay 1e-3"]):
        ask(capsys, "dnc.safetensors", "--along", "stiffest", "--steps", 5, "--plot", "slice.svg", *title)
        drawn[tuple(title)] = Path("slice.svg").read_bytes()
    assert drawn[()] == drawn["--title", "dnc"] != drawn["--title", "DNC at decay 1e-3"]


def test_labels_name_the_ends_of_a_way(capsys: pytest.CaptureFixture[str]) -> None:
    drawn = []
    for labels in ([], ["dnc", "pairs"], ["DNC", "low rank"]):
        typed = [part for label in labels for part in ("--label", label)]
        ask(capsys, "dnc.safetensors", "pairs.safetensors", "--steps", 5, "--plot", "slice.svg", *typed)
        drawn.append(Path("slice.svg").read_bytes())
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("dnc.safetensors", "--along", "negative"), "its index is 0"),
        (("dnc.safetensors", "--along", "null"), "that no symmetry explains, got none"),
        (("dnc.safetensors", "--along", "steepest"), "of stiffest, negative, null, gauge, got 'steepest'"),
        (("dnc.safetensors", "--along", "stiffest,gauge,null"), "got 'stiffest,gauge,null'"),
        (("dnc.safetensors", "--span", "0"), "expected"),
        (("dnc.safetensors", "--steps", "1"), "--steps: expected 3 to 501, got 1"),
        (("dnc.safetensors", "--plot", "slice.gif"), ".png or .pdf or .svg"),
        (("dnc.safetensors", "--surface", "--along", "gauge", "--plot", "slice.png"), "two directions for --surface"),
        (("dnc.safetensors", "--plot", "slice.png", "--size", "300"), "expected --size in inches"),
        (("dnc.safetensors", "pairs.safetensors", "--label", "a", "--plot", "slice.png"), "--label once for each of 2 points"),
        ((*ANALYTIC, "dnc", "--other", "dnc.safetensors"), "expected two saved points, got one with a problem"),
        (("dnc.safetensors", "other.safetensors"), "expected two points of one problem"),
        (("dnc.safetensors", "missing.safetensors"), "no such file"),
        ((), "expected either a point file or --problem"),
        (("--problem", "K=10,n=1,d=4000,L=2,decay=1e-3", "--start", "dnc"), "expected at most 10000000 parameters to write"),
        ((*ANALYTIC, "partition:1,1,1,1", "--along", "gauge"), "it has no gauge direction"),
    ],
)
def test_refusals(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str) -> None:
    assert run(["slice", *arguments, "--out", "slice.csv"]) == 2
    heard = capsys.readouterr()
    assert heard.out == ""
    assert heard.err.startswith("landscape: ")
    assert heard.err.count("\n") == 1
    assert said in heard.err
    assert not Path("slice.csv").exists()
