"""One driver at a time: who comes second is told who is there, and a dead driver holds nothing."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from landscape.archive.experiment import Experiment
from landscape.archive.lease import NAME, leased, while_leased
from landscape.archive.records import Archive
from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.solver.methods import Random
from landscape.studies.prevalence import measure_prevalence
from landscape.sweep.grid import parse_grid
from landscape.sweep.run import run_sweep
from landscape.sweep.settings import EngineSettings
from tests.sweep import faults

HOLDER = """
import sys, time
from pathlib import Path
from landscape.archive.lease import leased
with leased(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""
GRID = {"problem": {"classes": 3, "samples": 1, "width": 3, "depth": 1, "decay": 1e-2}}


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lease; it is killed in the end."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_who_comes_second_is_told_who_is_there_and_a_killed_holder_is_none(tmp_path: Path) -> None:
    archive = Archive.create(tmp_path / "sweep")
    settings = EngineSettings(workers=0)
    with holder(archive.folder) as process:
        message = f"expected {archive.folder} for one driver, got process {process.pid} of .* since .* at work in it"
        with pytest.raises(InputError, match=message):
            run_sweep(parse_grid(GRID), archive.folder, settings, compute=faults.nothing)
        with pytest.raises(InputError, match=message):
            measure_prevalence(Experiment(Problem((1, 1, 1), 3, 1, 1e-2), Random()), 1, archive.folder)
        assert list(archive.names()) == []
        process.kill()
        process.wait()
        assert run_sweep(parse_grid(GRID), archive.folder, settings, compute=faults.nothing).done == 1
        with holder(archive.folder):  # nothing is missing, so nothing is computed and nobody is in the way
            assert run_sweep(parse_grid(GRID), archive.folder, settings, compute=faults.nothing).found == 1


def test_a_lease_ends_with_its_block_or_its_last_item(tmp_path: Path) -> None:
    def work() -> Iterator[int]:
        for number in range(3):
            with pytest.raises(InputError, match=f"process {os.getpid()} of"), leased(tmp_path):
                pass
            yield number

    assert list(while_leased(tmp_path, work())) == [0, 1, 2]
    for _ in range(2):
        with leased(tmp_path):
            pass


@pytest.mark.parametrize("text", ["[", '{"host": "a", "process": 1e999, "since": ""}'])
def test_a_holder_that_says_nothing_is_another_one(tmp_path: Path, text: str) -> None:
    with leased(tmp_path):
        (tmp_path / NAME).write_text(text)
        with pytest.raises(InputError, match="got another one at work in it"), leased(tmp_path):
            pass


def test_a_lease_is_no_link(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("mine")
    (tmp_path / NAME).symlink_to(tmp_path / "target")
    with pytest.raises(InputError, match="cannot write"), leased(tmp_path):
        pass
    assert (tmp_path / "target").read_text() == "mine"
