"""The benchmark that kills commands: what it calls corrupt or lost, and a seeded tenth of it."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from landscape.archive.records import Archive
from landscape.sweep.grid import parse_grid
from landscape.sweep.results import read_results
from landscape.sweep.run import run_sweep
from landscape.sweep.settings import EngineSettings
from tests.sweep import faults

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "benchmarks" / "kill9.py"


@pytest.fixture
def kill9(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    specification = importlib.util.spec_from_file_location("kill9", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, "kill9", module)  # its dataclasses look themselves up
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("content", "lost", "corrupt"),
    [("old\n", False, False), ("new\n", False, False), ("ne", False, True), ("", False, True), (None, True, False)],
)
def test_a_file_must_be_what_it_was_or_what_it_becomes(
    kill9: ModuleType, tmp_path: Path, content: str | None, lost: bool, corrupt: bool
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old\n")
    command = kill9.Command(("atlas",), (path,), kill9.by_bytes)
    there, before = command.kept(), command.contents()
    path.unlink() if content is None else path.write_text(content)
    assert kill9.fault(command, there, before, kill9.Usual(0.1, {path: b"new\n"})) == (lost, corrupt)


def test_a_table_of_results_has_a_row_for_each_record(kill9: ModuleType, tmp_path: Path) -> None:
    """Of a sweep without records the heading alone is whole: an earlier measure called that corrupt."""
    problem = {"classes": 3, "samples": 1, "width": 3, "depth": 1, "decay": 1e-2}
    grid = parse_grid({"problem": problem, "start": {"seed": {"from": 0, "to": 2}}})
    run_sweep(grid, tmp_path / "sweep", EngineSettings(workers=0), compute=faults.nothing)
    whole, table = kill9.rows_of(tmp_path / "sweep"), tmp_path / "results.csv"
    read_results(tmp_path / "sweep")[0].to_csv(table, index=False)
    assert whole(table)
    text = table.read_text()
    lines = text.splitlines(keepends=True)
    for changed in ("".join(lines[:-1]), lines[0], text[:-1], text[: text.rindex(",") - 3] + "\n"):
        table.write_text(changed)
        assert not whole(table)
    for path in map(Archive.existing(tmp_path / "sweep").path, list(Archive.existing(tmp_path / "sweep").names())):
        path.unlink()
    table.write_text(lines[0])
    assert whole(table)


@pytest.mark.slow
def test_a_tenth_of_the_kills(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), str(tmp_path), "--kills", "20", "--seed", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    tally = re.search(r"20 tries, seed 1: (\d+) killed, .* (\d+) during a write, 0 lost, 0 corrupt", done.stdout)
    assert tally is not None, done.stdout
    assert int(tally[2]) >= 10
