"""Tasks: every job ends in a record or in a failure with its reason, and its neighbours do not matter."""

import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from landscape.archive.experiment import Experiment
from landscape.archive.records import Archive
from landscape.cli import run
from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.solver.methods import Random
from landscape.sweep.grid import Grid, parse_grid
from landscape.sweep.run import SweepProgress, run_sweep
from landscape.sweep.settings import EngineSettings
from landscape.sweep.worker import Compute, RunSettings, Task, run_task
from tests.sweep import faults

HERE = EngineSettings(workers=0)
IMPATIENT = EngineSettings(workers=0, timeout=2.0)
ROOT = Path(__file__).resolve().parents[2]


def grid_of(seeds: int, **problem: object) -> Grid:
    model = {"classes": 3, "samples": 1, "width": 3, "depth": 1, "decay": 1e-2} | problem
    return parse_grid({"problem": model, "start": {"seed": {"from": 0, "to": seeds - 1}}})


def contents(folder: Path) -> dict[str, str]:
    archive = Archive.existing(folder)
    return {digest: archive.read(digest).content for digest in archive.names()}


def run_here(folder: Path, compute: Compute, seeds: int = 6) -> SweepProgress:
    return run_sweep(grid_of(seeds), folder, IMPATIENT if compute is faults.mixed else HERE, compute=compute)


def test_every_fault_is_recorded_with_its_reason_and_the_rest_is_done(tmp_path: Path) -> None:
    tally = run_here(tmp_path, faults.mixed)
    assert (tally.done, len(tally.failed), tally.left) == (2, 4, 0)
    failures = {failure.job["start"]["seed"]: failure for failure in Archive.existing(tmp_path).failures()}
    assert {seed: failure.kind for seed, failure in failures.items()} == {1: "error", 2: "timeout", 3: "memory", 4: "poisoned"}
    assert failures[1].reason == "ZeroDivisionError: division by zero"
    assert failures[2].reason == "no end after 2 s"
    assert failures[4].reason == "the loss of a point that is said to be converged is not finite"


def test_the_next_run_tries_again_what_failed_and_nothing_else(tmp_path: Path) -> None:
    run_here(tmp_path, faults.mixed)
    before = contents(tmp_path)
    tally = run_here(tmp_path, faults.nothing)
    assert (tally.found, tally.done, tally.failed) == (2, 4, {})
    assert {digest: content for digest, content in contents(tmp_path).items() if digest in before} == before
    assert Archive.existing(tmp_path).failures() == []


def test_a_pool_without_memory_is_done_one_by_one(tmp_path: Path) -> None:
    tally = run_here(tmp_path, faults.crowded)
    assert (tally.done, tally.failed) == (6, {})


def test_a_pool_without_memory_is_tried_once_with_half_as_many_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("landscape.sweep.worker._alike", lambda: True)
    Archive.create(tmp_path)
    jobs = tuple(Experiment(Problem((1, 1, 1), 3, 1, 1e-2), Random(seed=seed)) for seed in range(6))
    order = RunSettings(tmp_path, "run", 60.0, compute=faults.halved)
    endings = run_task(Task(jobs, order))  # one pool, however a planner would cut it
    assert [(ending.status, ending.structure) for ending in endings] == [("done", "3 at once")] * 6


def test_two_sweeps_share_records(tmp_path: Path) -> None:
    run_here(tmp_path, faults.nothing, 4)
    tally = run_here(tmp_path, faults.nothing, 7)
    assert (tally.jobs, tally.found, tally.done) == (7, 4, 3)
    assert len(contents(tmp_path)) == 7


def test_an_attempt_after_a_dead_worker_goes_on_from_its_records(tmp_path: Path) -> None:
    archive = Archive.create(tmp_path)
    jobs = tuple(Experiment(Problem((1, 1, 1), 3, 1, 1e-2), Random(seed=seed)) for seed in range(3))
    task = Task(jobs, RunSettings(tmp_path, "run", 60.0, compute=faults.nothing))
    run_task(replace(task, jobs=jobs[:1]))
    archive.fail(jobs[1], "timeout", "no end", "run")
    kept = archive.path(jobs[0].digest).stat().st_mtime_ns
    assert [ending.status for ending in run_task(task)] == ["done", "failed", "done"]
    assert archive.path(jobs[0].digest).stat().st_mtime_ns == kept
    later = replace(task, order=replace(task.order, run="another"))
    assert [ending.status for ending in run_task(later)] == ["done"] * 3


def test_a_worker_that_is_told_to_stop_begins_nothing(tmp_path: Path) -> None:
    Archive.create(tmp_path)
    order = RunSettings(tmp_path, "run", 60.0, compute=faults.nothing)
    order.stop.touch()
    assert [ending.status for ending in run_task(Task((Experiment(Problem((1, 1, 1), 3, 1, 1e-2)),), order))] == ["skipped"]
    assert contents(tmp_path) == {}


def test_a_worker_elsewhere_that_does_not_see_the_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no sweep\.json"):
        run_task(Task((Experiment(Problem((1, 1, 1), 3, 1, 1e-2)),), RunSettings(tmp_path / "nowhere", "run", 60.0)))


def test_problems_are_checked_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected one decay, or 3 of them"):
        run_sweep(grid_of(1, depth=[1, 2], decay="1e-3,1e-3"), tmp_path, HERE)
    assert not list(tmp_path.iterdir())


def test_structures_are_analysed_at_any_width(tmp_path: Path) -> None:
    fields = {"problem": {"classes": 4, "samples": 2, "width": [20_000, 10**9], "depth": 2, "decay": [1e-3, 10.0]}}
    tally = run_sweep(parse_grid(fields | {"start": {"kind": ["dnc", "pairs"]}}), tmp_path, HERE)
    assert dict(tally.structures) == {"DNC": 2, "pairs": 2}
    assert len([reason for reason in tally.failed.values() if "exists at decay 10: the largest decay" in reason]) == 4
    archive = Archive.existing(tmp_path)
    found = {(record.result["structure"], record.result["nullity"]) for record in map(archive.read, archive.names())}
    widths, ranks = (20_000, 10**9), {"DNC": 3, "pairs": 2}
    assert found == {(name, 2 * (d * r - r * (r + 1) // 2)) for name, r in ranks.items() for d in widths}


def test_a_full_disk_ends_the_sweep_in_one_line_and_nothing_is_lost(tmp_path: Path) -> None:
    run_here(tmp_path, faults.nothing, 2)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))  # the write fails where it would on a full disk
    try:
        tally = run_here(tmp_path, faults.nothing, 6)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tally.found, tally.done, tally.left) == (2, 0, 4)
    assert tally.stopped.startswith("cannot write")
    assert "\n" not in tally.stopped
    assert len(contents(tmp_path)) == 2
    assert not list(tmp_path.rglob("*partial*"))
    assert run_here(tmp_path, faults.nothing, 6).done == 4


SIZES = """
import sys
from pathlib import Path
from landscape.sweep.watchdog import products_are_alike
from landscape.sweep.run import run_sweep
from landscape.sweep.grid import parse_grid
from landscape.sweep.settings import EngineSettings
if sys.argv[3] == "late":
    import torch
    torch.ones(9, 9) @ torch.ones(9, 9)
print(products_are_alike())
fields = {"problem": {"classes": 3, "samples": 1, "width": [5, 9], "depth": 2, "decay": 1e-2}}
fields["problem"]["loss"] = ["ce", "mse"]
fields["start"] = {"seed": {"from": 0, "to": 2}}
run_sweep(parse_grid(fields), Path(sys.argv[1]), EngineSettings(workers=0, seconds=float(sys.argv[2])))
"""


@pytest.mark.slow
def test_records_do_not_depend_on_the_batch_bit_for_bit(tmp_path: Path) -> None:
    """Large tasks and single jobs; also where MKL rounds by alignment, in pools of one, though not to the same bits."""
    for moment, setting in (("-", "AVX2"), ("late", "")):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_CBWR": setting}
        found = []
        for seconds in (60, 1e-3):
            folder = tmp_path / f"{moment}{seconds}"
            command = [sys.executable, "-c", SIZES, str(folder), str(seconds), moment]
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200)
            assert done.returncode == 0, done.stderr
            assert done.stdout.strip() == "True" or setting == ""
            found.append(contents(folder))
        assert len(found[0]) == 2 * 2 * 3
        assert found[0] == found[1]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "grid.toml"
    path.write_text('[problem]\nclasses = 3\nsamples = 1\nwidth = 3\ndepth = 1\ndecay = [1e-2, 10.0]\n[start]\nkind = "dnc"\n')
    command = ["sweep", str(path), "--out", str(tmp_path / "out"), "--workers", "0"]
    assert run([*command, "--dry-run", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["jobs"], shown["missing"]) == (2, 2)
    assert not (tmp_path / "out").exists()
    assert run([*command, "--json"]) == 1
    shown = capsys.readouterr()
    answer = json.loads(shown.out)
    assert {name: answer[name] for name in ("jobs", "found", "computed", "failed", "left")} == {
        "jobs": 2,
        "found": 0,
        "computed": 1,
        "failed": 1,
        "left": 0,
    }
    assert "1 of 2 jobs failed" in shown.err
    assert run(command) == 1
    assert "found         1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--workers -1", "as --workers"),
        ("--timeout 0", "as --timeout"),
        ("--timeout 1e10", "expected less than or equal to 1000000000 as --timeout, got 10000000000.0"),
        ("--engine ray", "local, slurm or the address"),
        ("--engine tcp://127.0.0.1:notaport", "local, slurm or the address of a scheduler, tcp://HOST:PORT as --engine"),
        ("--engine tcp://127.0.0.1:1", "cannot reach a scheduler at tcp://127.0.0.1:1"),
        ("--device cuda", "expected 1 CUDA devices on this machine for --device cuda, got 0"),
    ],
)
def test_bad_options_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, options: str, words: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("landscape.sweep.engine._PATIENCE", 1.0)
    path = tmp_path / "grid.toml"
    path.write_text("[problem]\nclasses = 3\nsamples = 1\nwidth = 3\ndepth = 1\ndecay = 1e-2\n")
    assert run(["sweep", str(path), "--out", str(tmp_path / "out"), *options.split()]) == 2
    shown = capsys.readouterr()
    assert words in shown.err
    assert (shown.err.count("\n"), shown.out) == (1, "")
