"""Memory is asked for before it is taken: sizes by hand, and the peaks of real solves beside the prediction."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from landscape.cli import run
from landscape.errors import InputError
from landscape.memory import allowed_memory, require_memory
from landscape.model.problem import Problem
from landscape.solver.methods import LBFGS, GradientDescent, Method, Newton, PseudoTransient
from landscape.solver.run import require_solve_memory
from landscape.sweep.grid import parse_grid
from landscape.sweep.run import run_sweep
from landscape.sweep.settings import EngineSettings


@pytest.mark.parametrize(
    ("text", "size"),
    [("8", 8), ("20GB", 2e10), ("20 GB", 2e10), ("1.5G", 1.5e9), ("4GiB", 2**32), ("7kB", 7e3), ("2M", 2e6), ("1T", 1e12)],
)
def test_sizes_as_typed(text: str, size: float) -> None:
    assert allowed_memory({"LANDSCAPE_MEMORY": text}) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "many", "1e9", "inf", "3 bananas"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected LANDSCAPE_MEMORY to be a size such as 20GB"):
        allowed_memory({"LANDSCAPE_MEMORY": text})


def test_half_of_the_machine_is_allowed_unless_told() -> None:
    with open("/proc/meminfo") as handle:
        kibibytes = float(handle.readline().split()[1])
    assert 2e7 < allowed_memory({}) <= 0.5 * 1024 * kibibytes * 1.001  # a container may have less than the machine


@pytest.mark.parametrize("needed", [1.1e9, float("inf"), float("nan")])
def test_more_than_is_allowed_is_refused_with_the_number(needed: float) -> None:
    require_memory(1e9, "this", "take less", allowed=1e9)
    with pytest.raises(InputError, match=f"within 1 GB of memory, got this, which takes about {needed / 1e9:.3g} GB: take less"):
        require_memory(needed, "this", "take less", allowed=1e9)


def test_a_solve_is_refused_before_its_start_is_made() -> None:
    with pytest.raises(InputError, match="the method ptc on 1801800000 parameters, which takes about 605 GB"):
        require_solve_memory(Problem.balanced(10, 5, 30_000, 3, 1e-3), (PseudoTransient(), Newton()))


@pytest.mark.slow
@pytest.mark.parametrize("settings", [GradientDescent(), LBFGS(), PseudoTransient(), Newton(max_steps=3)], ids=repr)
def test_the_prediction_is_not_below_the_peak(settings: Method) -> None:
    """A process of its own, whose resident memory at its peak is compared with that before the solve.

    The peak is VmHWM of /proc: `ru_maxrss` starts at the resident memory of the process that forked, here the tests'. With a fixed
    threshold glibc gives freed arrays back at once, so that what is resident is what is live, the same in each run to one percent.
    """
    from landscape.solver.run import _ARRAYS

    script = f"""
import re
import landscape.degeneracy.analysis, landscape.solver.run
peak = lambda: 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
from dataclasses import replace
from landscape.model.problem import Problem
from landscape.solver.methods import *
from landscape.solver.starts import Random, random_start
def solve(width):
    problem = Problem.balanced(10, 2, width, 3, 1e-2)
    start = random_start(problem, Random(1.0, 1.0, 0))
    landscape.solver.run.solve(problem, start, (replace({settings!r}, max_steps={min(25, settings.max_steps)}),))
    return problem
solve(20)  # what torch loads at its first step is not the solve's
before = peak()
problem = solve(800)
print((peak() - before) / 8 / problem.parameters)
"""
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "1000000"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=200, env=environment)
    predicted = _ARRAYS[type(settings)][0]
    assert 0.5 * predicted < float(done.stdout) <= predicted


WIDE = "K=10,n=5,d=30000,L=3,decay=2**-10"


@pytest.mark.parametrize(
    "command",
    [
        ["solve", "--problem", WIDE, "--out", "p.safetensors"],
        ["solve", "--problem", WIDE, "--start", "dnc", "--out", "p.safetensors"],
        ["degeneracy", "--problem", "K=10,n=5,d=20,L=1000,decay=1e-300", "--start", "dnc"],
        ["spectrum", "--problem", "K=10,n=5,d=20,L=1000,decay=1e-300", "--start", "dnc"],
        ["prevalence", "--problem", WIDE, "--seeds", "2", "--out", "seeds"],
        ["predict", "--problem", WIDE],
    ],
    ids=" ".join,
)
def test_commands_refuse_what_does_not_fit_before_they_begin(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANDSCAPE_MEMORY", "1GB")
    assert run(command) == 2
    said = capsys.readouterr().err
    assert said.startswith("landscape: expected work within 1 GB of memory, got ")
    assert said.count("\n") == 1


@pytest.mark.slow
def test_a_sweep_records_a_job_that_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDSCAPE_MEMORY", "1GB")
    grid = parse_grid({"problem": {"classes": 10, "samples": 5, "width": [5, 30_000], "depth": 3, "decay": 2.0**-10}})
    done = run_sweep(grid, tmp_path / "sweep", EngineSettings(workers=0))
    assert (done.done, done.left) == (1, 0)
    assert [reason.startswith("expected work within 1 GB of memory, got ") for reason in done.failed.values()] == [True]
