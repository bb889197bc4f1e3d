"""A run that is stopped says what it has, and its numbers add up. That of a solve: test_cli_process and test_cli_voice."""

import json
import os
import signal
from pathlib import Path

import pytest

from landscape.archive.records import Archive
from landscape.catalogue import search as searching
from landscape.catalogue.search import search
from landscape.cli import run
from landscape.cli import sweep as sweep_command
from landscape.cli.progress import Report
from landscape.model.problem import Problem
from landscape.sweep.run import SweepProgress

SMALL = ("--problem", "K=4,n=2,d=6,L=2,decay=1e-2")
PROBLEM = Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)


def interrupt_after(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, calls: int) -> None:
    """Makes a function raise what Ctrl-C raises, after so many calls."""
    whole, seen = getattr(owner, name), []

    def counted(*arguments: object, **named: object) -> object:
        seen.append(1)
        if len(seen) > calls:
            raise KeyboardInterrupt
        return whole(*arguments, **named)

    monkeypatch.setattr(owner, name, counted)


@pytest.mark.slow
@pytest.mark.parametrize("calls", [0, 1, 4])
def test_prevalence(calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "starts"
    with monkeypatch.context() as patched:
        interrupt_after(patched, Report, "update", calls)
        assert run(["prevalence", *SMALL, "--seeds", "7", "--batch", "1", "--out", str(folder), "--json"]) == 1
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert told["seeds"] + told["left"] == 7
    assert told["seeds"] == len(list(Archive.existing(folder).names()))
    assert sum(told.get("counts", {}).values()) + told.get("non_converged", 0) == told["seeds"]
    assert f"interrupted: {told['seeds']} of 7 seeds are in" in said.err
    assert f"{told['left']} are left" in said.err
    assert run(["prevalence", *SMALL, "--seeds", "7", "--out", str(folder), "--json"]) == 0
    assert sum(json.loads(capsys.readouterr().out)["counts"].values()) == 7


def test_prevalence_prints_the_table_of_what_arrived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupt_after(monkeypatch, Report, "update", 3)
    assert run(["prevalence", *SMALL, "--seeds", "7", "--batch", "1", "--out", str(tmp_path)]) == 1
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert sum(int(row[2 if row[0] == "not" else 1]) for row in rows) == 3


@pytest.mark.slow
def test_a_search_keeps_the_starts_that_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = search(PROBLEM, 128)
    interrupt_after(monkeypatch, searching, "_descend", 2)
    part = search(PROBLEM, 200)
    assert (part.starts, part.left) == (128, 72)
    assert [(item.fingerprint, item.times) for item in part.found] == [(item.fingerprint, item.times) for item in whole.found]
    assert sum(item.times for item in part.found) + part.lost + part.zero == part.starts


def test_starts_that_end_at_zero_are_counted() -> None:
    """The zero point is a minimum here, and some starts end there."""
    found = search(Problem.balanced(classes=4, samples=2, width=6, depth=3, decay=2e-2), 60)
    assert found.zero > 0
    assert sum(item.times for item in found.found) + found.lost + found.zero == 60


def test_an_atlas(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    interrupt_after(monkeypatch, searching, "_descend", 1)
    assert run(["atlas", *SMALL, "--search", "100", "--json"]) == 1
    said = capsys.readouterr()
    assert "interrupted: the search made 64 of 100 starts; the table has what they found" in said.err
    lost = int(said.err.split(" of 64 starts reached no")[0].split()[-1]) if "reached no" in said.err else 0
    assert sum(row["found"] for row in json.loads(said.out)) + lost == 64


def test_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    grid = tmp_path / "grid.toml"
    grid.write_text("problem = { classes = 4, samples = 2, width = [5, 6, 7, 8], depth = 2, decay = 1e-2 }\nstart.seed = [0, 1]\n")

    def watcher() -> object:
        sent: list[int] = []

        def watch(tally: SweepProgress) -> None:
            if tally.done and not sent:
                sent.append(1)
                os.kill(os.getpid(), signal.SIGINT)

        return watch

    with monkeypatch.context() as patched:
        patched.setattr(sweep_command, "_lines", watcher)
        code = run(["sweep", str(grid), "--out", str(tmp_path / "sweep"), "--workers", "0", "--json"])
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert code == (1 if told["left"] else 0)
    assert told["found"] + told["computed"] + told["failed"] + told["left"] == told["jobs"] == 8
    assert told["computed"] == len(list(Archive.existing(tmp_path / "sweep").names())) == sum(told["structures"].values())


PREDICTED = ("predict", "--problem", "K=6,n=1,d=25,L=2,decay=2**-7", "--starts", "6")


@pytest.mark.parametrize("calls", [0, 1, 4, 7, 9])
def test_a_prediction(calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told of nothing yet, of each of its starts, then of nothing and of each of their repetitions."""
    folder = tmp_path / "starts"
    with monkeypatch.context() as patched:
        interrupt_after(patched, Report, "update", calls)
        assert run([*PREDICTED, "--out", str(folder), "--json"]) == 1
    said = capsys.readouterr()
    law = json.loads(said.out)["law"]
    assert law["starts"] == min(calls, 6) == 6 - law["left"]
    assert sum(law["counts"].values()) + law["non_converged"] == law["starts"]
    assert law["agreement"] is None
    assert f"interrupted: {law['starts']} of 6 starts are in {folder}" in said.err
    assert ("with one group more" if calls > 6 else f"{law['left']} are left") in said.err
    assert run([*PREDICTED, "--out", str(folder), "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)["law"]
    assert whole["starts"] == whole["agreement"]["repeated"] == 6


def test_a_prediction_without_a_folder(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    interrupt_after(monkeypatch, Report, "update", 3)
    assert run([*PREDICTED]) == 1
    said = capsys.readouterr()
    law = [line.split() for line in said.out.splitlines()[2:]]
    assert law[0][:3] == ["law", "3", "reduced"]
    assert sum(int(row[1]) for row in law[1:]) == 3
    assert said.err == "landscape: interrupted: 3 of 6 starts had arrived and are not kept: --out DIR keeps them\n"
