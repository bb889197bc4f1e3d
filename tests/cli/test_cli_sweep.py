"""What a sweep shows: bars per structure on a terminal, a plain line a minute elsewhere; what a dry run and a machine refuse."""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from landscape.archive.records import Archive
from landscape.cli import run
from landscape.cli import sweep as command
from landscape.errors import InputError
from landscape.sweep.grid import read_grid
from landscape.sweep.run import SweepProgress, run_sweep
from landscape.sweep.settings import EngineSettings
from tests.sweep import faults

GRID = "[problem]\nclasses = 3\nsamples = 1\nwidth = 3\ndepth = 1\ndecay = 1e-2\n[start]\nseed = [0, 1, 2, 3]\n"


def tally() -> SweepProgress:
    structures = Counter({"DNC": 20, "pairs": 10})
    dashboard = "http://127.0.0.1:8787/status"
    return SweepProgress(
        100, 5, 30, {"a": "b"}, structures, remaining=600.0, workers=2, dashboard=dashboard, begun=time.monotonic() - 10
    )


def test_a_plain_line_a_minute(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with command._progress() as watch:
        watch(tally())
        watch(tally())
        assert capsys.readouterr().err == "landscape: dashboard: http://127.0.0.1:8787/status\n"
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 61)
        watch(tally())
        watch(tally())
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.startswith("landscape: 35 of 100 jobs, ")
    assert line.endswith(" jobs/s, 1 failed, 2 workers, about 5 min left, DNC 20, pairs 10\n")


def test_bars_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with command._progress() as watch:
        watch(tally())
    shown = capsys.readouterr().err
    for words in ("dashboard: ", "jobs", "DNC", "pairs", "1 failed, 2 workers"):
        assert words in shown


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    path = tmp_path / "grid.toml"
    path.write_text(GRID)
    return path


def content(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"") for path in folder.rglob("*")}


def test_a_dry_run_verifies_what_is_there_and_changes_nothing(grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = grid.parent / "out"
    run_sweep(read_grid(grid), out, EngineSettings(workers=0), compute=faults.nothing)
    archive = Archive.existing(out)
    first, second, third, _ = sorted(archive.names())
    archive.path(first).write_bytes(archive.path(first).read_bytes()[:-1])
    archive.path(second).unlink()
    archive.path(second).symlink_to(archive.path(third))
    stale = archive.path(third).with_name(f"{third}.partial-1.safetensors")
    stale.write_bytes(b"half")
    os.utime(stale, (0, 0))
    (out / "failures").rmdir()  # the sweep would make it again
    before = content(grid.parent)
    assert run(["sweep", str(grid), "--out", str(out), "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["missing"] == 2
    assert content(grid.parent) == before


def test_a_sweep_without_its_packages_is_refused_before_a_folder_is_made(
    grid: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert run(["sweep", str(grid), "--out", str(grid.parent / "out"), "--workers", "2"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "expected the package distributed for this engine" in line
    assert "--workers 0" in line
    assert not (grid.parent / "out").exists()


def other_file(out: Path) -> None:
    out.mkdir()
    (out / "thesis.tex").touch()


def other_format(out: Path) -> None:
    for part in ("records", "failures"):
        (out / part).mkdir(parents=True)
    (out / "sweep.json").write_text('{"format": 99}')


def linked_records(out: Path) -> None:
    other_format(out)
    (out / "sweep.json").write_text('{"format": 1}')
    (out / "records" / "ab").symlink_to(out)


@pytest.mark.parametrize("dry", [True, False])
@pytest.mark.parametrize(
    ("make", "below", "words"),
    [
        (Path.touch, ".", "out"),
        (Path.touch, "a/b", "out"),
        (lambda out: out.symlink_to("nowhere"), ".", "out"),
        (other_file, ".", "with other files: choose another --out"),
        (other_format, ".", "expected a sweep of format 1"),
        (linked_records, ".", "which is a link or a file: remove it"),
    ],
)
def test_a_dry_run_refuses_the_folder_that_the_run_refuses(
    grid: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], object], below: str, words: str, dry: bool
) -> None:
    make(grid.parent / "out")
    before = content(grid.parent / "out")
    assert run(["sweep", str(grid), "--out", str(grid.parent / "out" / below), "--workers", "0", *["--dry-run"] * dry]) == 2
    shown = capsys.readouterr()
    assert words in shown.err
    assert (shown.err.count("\n"), shown.out) == (1, "")
    assert content(grid.parent / "out") == before


def test_a_dry_run_refuses_a_folder_that_cannot_be_written(
    grid: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # these tests may run as root, who may write anywhere
    assert run(["sweep", str(grid), "--out", str(grid.parent / "out"), "--dry-run"]) == 2
    assert f"cannot write in {grid.parent}: choose another --out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("devices", "gpus", "given", "workers"), [(3, 1, None, 3), (5, 2, None, 2), (4, 1, 2, 2), (1, 0, None, None), (1, 1, 0, 0)]
)
def test_workers_follow_from_the_devices_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, devices: int, gpus: int, given: int | None, workers: int | None
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: devices)
    assert command._on_this_machine(EngineSettings(device="cuda", gpus=gpus, workers=given)).workers == workers


@pytest.mark.parametrize(("devices", "gpus", "given", "wanted"), [(0, 0, None, 1), (1, 2, None, 2), (1, 1, 2, 2), (0, 1, 0, 1)])
def test_too_few_devices_are_said(monkeypatch: pytest.MonkeyPatch, devices: int, gpus: int, given: int | None, wanted: int) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: devices > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: devices)
    with pytest.raises(InputError, match=f"expected {wanted} CUDA devices on this machine for --device cuda, got {devices}"):
        command._on_this_machine(EngineSettings(device="cuda", gpus=gpus, workers=given))


def test_a_limit_of_memory_that_nobody_keeps_is_said(grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid.write_text(GRID + "[engine]\nmemory = '2GiB'\n")
    assert run(["sweep", str(grid), "--out", str(grid.parent / "out"), "--workers", "0"]) == 0
    assert capsys.readouterr().err == "landscape: memory = '2GiB' is a limit of workers: with --workers 0 there is none\n"


@pytest.mark.parametrize("engine", ["slurm", "tcp://127.0.0.1:1"])
def test_nobody_would_compute(grid: Path, capsys: pytest.CaptureFixture[str], engine: str) -> None:
    assert run(["sweep", str(grid), "--out", str(grid.parent / "out"), "--engine", engine, "--workers", "0"]) == 2
    said = f"landscape: expected workers for --engine {engine}, got 0: --engine local computes in this process\n"
    assert capsys.readouterr().err == said
