"""Dask for real: killed workers, killed drivers, crashes, hangs, Ctrl-C, resources; a scheduler of somebody else."""

import gc
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from landscape.archive.experiment import Experiment
from landscape.archive.records import Archive
from landscape.errors import InputError
from landscape.sweep import engine, planner
from landscape.sweep.grid import parse_grid
from landscape.sweep.run import SweepProgress, run_sweep
from landscape.sweep.settings import EngineSettings
from landscape.sweep.watchdog import HUNG
from tests.sweep import faults
from tests.sweep.drivers import (
    SCHEDULER,
    WORKER,
    begin,
    contents,
    finish,
    free_port,
    grid_file,
    kill_family,
    processes,
    records,
    wait_for,
    workers_of,
)


@contextmanager
def murderer(driver: subprocess.Popen[str], out: Path, every: float, seed: int = 0) -> Iterator[list[int]]:
    """Kills up to four workers, one every so many seconds, but none before there is a new record: they may be slow to start."""
    over, dead, draw, before = threading.Event(), list[int](), random.Random(seed), 0

    def murder() -> None:
        nonlocal before
        while len(dead) < 4 and not over.wait(draw.uniform(0.5, 1.5) * every):
            there = len(records(out))
            if there > before and (victims := workers_of(driver)):
                victim = draw.choice(victims)
                victim.kill()
                dead.append(victim.pid)
                before = there

    thread = threading.Thread(target=murder)
    thread.start()
    try:
        yield dead
    finally:
        over.set()
        thread.join()


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A grid of 80 jobs of the solver, and what a process alone finds."""
    folder = tmp_path_factory.mktemp("serial")
    grid = grid_file(folder, 40, seconds=0.3)
    assert finish(begin(grid, folder / "out", "compute", workers=0))["done"] == 80
    return grid, contents(folder / "out")


@pytest.mark.slow
def test_killed_workers_lose_nothing(serial: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    grid, expected = serial
    driver = begin(grid, tmp_path / "out", "compute")
    with murderer(driver, tmp_path / "out", 2.0) as dead:
        tally = finish(driver)
    assert dead
    assert (tally["done"], tally["failed"], tally["left"]) == (80, {}, 0)
    assert contents(tmp_path / "out") == expected


@pytest.mark.slow
def test_a_killed_driver_goes_on_and_takes_its_workers_with_it(serial: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    grid, expected = serial
    out = tmp_path / "out"
    for kept in (5, 30):
        driver = begin(grid, out, "compute")
        wait_for(kept, out, driver)
        workers = workers_of(driver)
        driver.kill()
        driver.communicate()
        assert workers
        assert psutil.wait_procs(workers, timeout=20)[1] == []
    before = {path: path.stat().st_mtime_ns for path in records(out)}
    tally = finish(begin(grid, out, "compute"))
    assert tally["found"] == len(before)
    assert tally["found"] + tally["done"] == 80
    assert contents(out) == expected
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.slow
def test_a_job_that_ends_its_process_fails_alone(tmp_path: Path) -> None:
    grid = grid_file(tmp_path, 4)
    grid.write_text(grid.read_text().replace("[3, 4]", "3"))
    tally = finish(begin(grid, tmp_path / "out", "deadly"))
    assert (tally["done"], len(tally["failed"]), tally["left"]) == (3, 1, 0)
    (failure,) = Archive.existing(tmp_path / "out").failures()
    assert (failure.kind, failure.job["start"]["seed"]) == ("worker", 2)


@pytest.mark.slow
def test_a_call_that_never_returns_ends_its_process_and_is_recorded(tmp_path: Path) -> None:
    """Under a nanny, which starts another one, in one run; a process alone ends and says so, and the next runs go on."""
    grid = grid_file(tmp_path, 10, timeout=2.0)
    # eight jobs, of which the first hangs: however they are cut into tasks, others wait behind it in the first one
    grid.write_text(grid.read_text().replace("[3, 4]", "3").replace("from = 0", "from = 2"))
    for failures in ({"hung"}, {"hung", "timeout"}, {"timeout"}):
        alone = begin(grid, tmp_path / "alone", "deaf", workers=0)
        _, err = alone.communicate(timeout=150)
        assert alone.returncode == HUNG
        assert err == "landscape: no end after 2 s in a call that cannot be interrupted; the same command goes on\n"
        assert {failure.kind for failure in Archive.existing(tmp_path / "alone").failures()} == failures
    assert len(records(tmp_path / "alone")) == 7
    tally = finish(begin(grid, tmp_path / "out", "deaf"))
    assert (tally["done"], len(tally["failed"]), tally["left"]) == (7, 1, 0)
    (failure,) = Archive.existing(tmp_path / "out").failures()
    assert (failure.kind, failure.job["start"]["seed"]) == ("timeout", 2)


@pytest.mark.slow
def test_a_job_without_memory_fails_alone(tmp_path: Path) -> None:
    tally = finish(begin(grid_file(tmp_path, 6, memory="3GiB"), tmp_path / "out", "greedy"))
    assert (tally["done"], len(tally["failed"]), tally["left"]) == (10, 2, 0)
    assert {failure.kind for failure in Archive.existing(tmp_path / "out").failures()} == {"memory"}


def wait_on(engine: engine.Engine, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert engine.next(0.2) is None


@pytest.mark.slow
def test_workers_that_never_start_end_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their memory is less than torch takes, so their nannies kill them for ever."""
    monkeypatch.setattr(engine, "_BARREN", 6.0)
    barren = engine.open_engine(EngineSettings(workers=1, memory="50MiB"), tmp_path)
    try:
        with pytest.raises(InputError, match="expected workers on this machine with memory = '50MiB', got none for 6 s"):
            wait_on(barren, 60)
    finally:
        barren.close()


@pytest.mark.slow
def test_the_first_ctrl_c_finishes_what_is_under_way_and_the_second_ends_at_once(tmp_path: Path) -> None:
    grid, out = grid_file(tmp_path, 40, seconds=1.0), tmp_path / "out"
    driver = begin(grid, out, "slow")
    wait_for(1, out, driver)
    os.kill(driver.pid, signal.SIGINT)
    for worker in workers_of(driver):
        worker.send_signal(signal.SIGINT)  # as a terminal would
    tally = finish(driver)
    assert tally["stopped"] == "interrupted"
    assert 0 < tally["done"] < 80
    assert len(contents(out)) == tally["done"]
    assert not list(out.glob("stop-*"))
    driver = begin(grid, out, "slow")
    wait_for(int(tally["done"]) + 1, out, driver)
    for _ in range(2):
        driver.send_signal(signal.SIGINT)
        time.sleep(0.2)
    sent = time.monotonic()
    _, err = driver.communicate(timeout=150)
    assert err.startswith("KeyboardInterrupt")
    assert time.monotonic() - sent < 15
    assert finish(begin(grid, out, "nothing"))["left"] == 0
    assert len(contents(out)) == 80


@pytest.mark.slow
def test_a_scheduler_of_somebody_else_gives_the_same_records_and_may_die(
    serial: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    grid, expected = serial
    out, port = tmp_path / "out", free_port()
    address = f"tcp://127.0.0.1:{port}"
    with processes() as start:
        scheduler = start(*SCHEDULER, str(port))
        for _ in range(2):
            start(*WORKER, address)
        driver = begin(grid, out, "compute", engine=address)
        wait_for(5, out, driver)
        kill_family(scheduler.pid)
        tally = finish(driver)
        assert tally["stopped"].startswith("the scheduler is gone")
        assert 0 < tally["left"] < 80
    with processes() as start:
        start(*SCHEDULER, str(port))
        start(*WORKER, address)
        tally = finish(begin(grid, out, "compute", engine=address))
    assert (tally["failed"], tally["left"]) == ({}, 0)
    assert contents(out) == expected


@pytest.mark.slow
def test_tasks_go_to_workers_that_have_the_device_and_one_at_a_time(tmp_path: Path) -> None:
    """Resources faked on CPU workers: the one with a GPU does it all; without any the sweep is refused."""
    grid, out, port = grid_file(tmp_path, 6, gpus=1), tmp_path / "out", free_port()
    address = f"tcp://127.0.0.1:{port}"
    with processes() as start:
        start(*SCHEDULER, str(port))
        start(*WORKER, address)
        refused = begin(grid, out, "nothing", engine=address)
        _, err = refused.communicate(timeout=150)
        assert refused.returncode == 1
        assert "expected workers with --resources GPU=1" in err
        with_device = start(*WORKER, "--resources", "GPU=1", "--nthreads", "2", address)
        tally = finish(begin(grid, out, "nothing", engine=address))
        family = {process.pid for process in psutil.Process(with_device.pid).children(recursive=True)}
    assert tally["left"] == 0
    archive = Archive.existing(out)
    assert {archive.read(digest).provenance["process"] for digest in archive.names()} <= family


@pytest.mark.slow
def test_local_workers_each_see_a_device_of_their_own(tmp_path: Path) -> None:
    tally = finish(begin(grid_file(tmp_path, 6, gpus=2, seconds=0.1), tmp_path / "out", "seen_devices"))
    assert (tally["failed"], tally["left"]) == ({}, 0)
    archive = Archive.existing(tmp_path / "out")
    assert {archive.read(digest).result["structure"] for digest in archive.names()} == {"devices 0,1", "devices 2,3"}


@pytest.mark.slow
def test_the_driver_holds_few_jobs_however_many_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask logs the last thousand messages with the jobs in them, unless it is told not to."""
    monkeypatch.setattr(planner, "_WINDOW", 100)
    monkeypatch.setattr(planner, "_MOST", 50)
    problem = {"classes": 3, "samples": 1, "width": 3, "depth": 1, "decay": 1e-2}
    grid = parse_grid({"problem": problem, "start": {"seed": {"from": 0, "to": 1999}}})
    held: list[int] = []

    def watch(tally: SweepProgress) -> None:
        held.append(sum(type(each) is Experiment for each in gc.get_objects()))

    watch(SweepProgress(0, 0))
    tally = run_sweep(grid, tmp_path / "out", EngineSettings(workers=1), watch, faults.nothing)
    assert tally.done == 2000
    assert len(held) > 40
    assert max(held) < held[0] + 600
