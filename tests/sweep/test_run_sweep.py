"""The loop of a sweep, with engines that fail in ways that are hard to time with real ones."""

import os
import signal
import subprocess
import sys
from collections import deque
from dataclasses import replace
from pathlib import Path

import pytest

from landscape.archive.records import Archive
from landscape.errors import InputError
from landscape.sweep import run as drive
from landscape.sweep.engine import Finished
from landscape.sweep.grid import Grid, parse_grid
from landscape.sweep.run import SweepProgress, run_sweep
from landscape.sweep.settings import EngineSettings
from landscape.sweep.worker import Task, run_task
from tests.sweep import faults


class Crowd:
    """Two workers, each with one task under way and one waiting, in this process; what kills its worker is blamed on both.

    Args:
        deadly: Seed of the job that kills its worker.
        refusals: How many tasks are refused first.
        idle: Whether there is nobody to take a task.
        phantom: Whether the worker that is said to have died writes its record after all.
    """

    workers, slots, dashboard, awaited = 2, 4, None, ""

    def __init__(self, deadly: int = -1, refusals: int = 0, idle: bool = False, phantom: bool = False) -> None:
        self.deadly, self.refusals, self.idle, self.phantom = deadly, refusals, idle, phantom
        self.waiting: deque[Task] = deque()
        self.blamed: deque[Task] = deque()
        self.alone: list[int] = []

    @property
    def busy(self) -> bool:
        return not self.idle

    def submit(self, task: Task) -> None:
        self.waiting.append(task)

    def next(self, seconds: float) -> Finished | None:
        if self.idle:
            os.kill(os.getpid(), signal.SIGINT)
            return None
        if self.blamed:
            return Finished(self.blamed.popleft(), "worker", reason="killed 3 workers")
        task = self.waiting.popleft()
        if self.refusals:
            self.refusals -= 1
            return Finished(task, "refused", reason="no sweep.json")
        if any(job.seed == self.deadly for job in task.jobs):
            self.alone.append(len(self.waiting))
            self.last = task
            self.blamed.extend([task, *([self.waiting.popleft()] if self.waiting else [])])
            return self.next(seconds)
        return Finished(task, "ended", run_task(task))

    def close(self) -> None:
        if self.phantom:  # it had begun before the failure was recorded
            run_task(replace(self.last, order=replace(self.last.order, run="phantom")))


def grid() -> Grid:
    problem = {"classes": 3, "samples": 1, "width": 3, "depth": 1, "decay": 1e-2}
    return parse_grid({"problem": problem, "start": {"seed": {"from": 0, "to": 7}}, "engine": {"seconds": 0.05}})


def run(crowd: Crowd, folder: Path, monkeypatch: pytest.MonkeyPatch) -> SweepProgress:
    monkeypatch.setattr(drive, "open_engine", lambda settings, folder: crowd)
    return run_sweep(grid(), folder, EngineSettings(seconds=1e-3), compute=faults.nothing)


def test_who_shared_a_worker_with_a_killer_is_not_recorded_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = Crowd(deadly=2)
    tally = run(crowd, tmp_path, monkeypatch)
    assert (tally.done, len(tally.failed), tally.left) == (7, 1, 0)
    (failure,) = Archive.existing(tmp_path).failures()
    assert (failure.kind, failure.reason, failure.job["start"]["seed"]) == ("worker", "killed 3 workers", 2)
    assert crowd.alone[-3:] == [0, 0, 0]


def test_a_record_that_comes_after_the_worker_was_given_up_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tally = run(Crowd(deadly=2, phantom=True), tmp_path, monkeypatch)
    assert (tally.done, tally.failed, tally.left) == (8, {}, 0)


def test_a_task_that_is_refused_is_tried_again_and_what_is_always_refused_ends_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(Crowd(refusals=4), tmp_path / "some", monkeypatch).done == 8
    with pytest.raises(InputError, match=r"no sweep\.json"):
        run(Crowd(refusals=100), tmp_path / "all", monkeypatch)


def test_an_interrupted_sweep_does_not_wait_for_workers_that_never_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tally = run(Crowd(idle=True), tmp_path, monkeypatch)
    assert (tally.stopped, tally.left) == ("interrupted", 8)


def test_torch_is_not_loaded_before_there_is_something_to_compute() -> None:
    """It takes seconds, which a finished sweep does not have."""
    program = "import sys, landscape.sweep.run, landscape.sweep.results; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
