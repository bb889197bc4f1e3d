"""The command as a process: what help costs, what a kill leaves behind, a full disk under stdout, completion in a private home."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from landscape import __version__
from landscape.archive.experiment import NUMERICS

ROOT = Path(__file__).resolve().parents[2]
PROBLEM = ["--classes", "4", "--samples", "2", "--width", "6", "--depth", "2", "--decay", "1e-2"]
SMALL = ["solve", *PROBLEM, "--start", "dnc", "--out", "point.safetensors"]


def python(code: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize(
    "arguments",
    [["--help"], *([name, "--help"] for name in ("solve", "degeneracy", "sweep", "results")), ["--version"]],
)
def test_help_loads_nothing_heavy(tmp_path: Path, arguments: list[str]) -> None:
    code = (
        "import sys\nfrom landscape.cli import run\nassert run(sys.argv[1:]) == 0\n"
        "print(*{'torch', 'numpy', 'scipy', 'pandas', 'seaborn', 'matplotlib'} & set(sys.modules), file=sys.stderr)"
    )
    done = python(code, *arguments, folder=tmp_path)
    assert (done.returncode, done.stderr.strip()) == (0, "")
    assert done.stdout


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_kill_while_saving_leaves_the_old_file(tmp_path: Path, moment: str) -> None:
    (tmp_path / "point.safetensors").write_text("old")
    code = f"import os\nfrom landscape.cli import main\nos.{moment} = lambda *_: os.kill(os.getpid(), 9)\nmain()"
    assert python(code, *SMALL, folder=tmp_path).returncode == -9
    assert (tmp_path / "point.safetensors").read_text() == "old"


def test_completion_is_made_in_a_private_home(tmp_path: Path) -> None:
    arguments = ["install-completion", "--shell", "bash", "--output", "c.sh"]
    made = python("from landscape.cli import main\nmain()", *arguments, folder=tmp_path)
    assert made.returncode == 0, made.stderr
    shown = subprocess.run(["bash", "-c", ". ./c.sh && complete -p landscape"], cwd=tmp_path, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert "degeneracy" in (tmp_path / "c.sh").read_text()


SLOW = ["solve", "--classes", "10", "--samples", "5", "--width", "70", "--depth", "2", "--decay", "2**-10", "--method", "gd"]


# a shell in the background makes its children ignore SIGINT, and Python then leaves it so
INTERRUPTIBLE = """import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from landscape.cli import main
main()"""


class Descent:
    """A descent of a minute as a process, its stderr a terminal that we read; under way once the progress shows a gradient."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.terminal, theirs = pty.openpty()
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm", "COLUMNS": "160"}
        command = [sys.executable, "-c", INTERRUPTIBLE, *SLOW, *arguments]
        self.process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=theirs, text=True)
        os.close(theirs)
        self.shown = b""
        while b"gradient" not in self.shown:
            self.shown += os.read(self.terminal, 65536)

    def stop(self, number: int) -> str:
        """Sends a signal, waits for the end, and returns what stood on stdout."""
        self.process.send_signal(number)
        try:
            while chunk := os.read(self.terminal, 65536):
                self.shown += chunk
        except OSError:  # how Linux says that the other side of a terminal is closed
            os.close(self.terminal)
        return self.process.communicate(timeout=60)[0]


@pytest.mark.slow
def test_an_interrupted_solve_saves_what_it_has_and_goes_on(tmp_path: Path) -> None:
    descent = Descent(tmp_path, "--out", "point.safetensors", "--json")
    printed = descent.stop(signal.SIGINT)
    assert descent.process.returncode == 1, descent.shown
    assert json.loads(printed)["outcome"] == "interrupted"
    assert b"random seed 0" in descent.shown
    assert b"not critical: interrupted by hand: continue with --start FILE" in descent.shown
    more = ["solve", "--start", "point.safetensors", "--out", "more.safetensors", "--json"]
    done = python("from landscape.cli import main\nmain()", *more, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["gradient_norm"] < 1e-12


@pytest.mark.slow
def test_a_killed_solve_leaves_no_file(tmp_path: Path) -> None:
    descent = Descent(tmp_path, "--out", "point.safetensors")
    descent.stop(signal.SIGKILL)
    assert list(tmp_path.iterdir()) == []


def test_the_package_runs_as_a_module() -> None:
    shown = subprocess.run([sys.executable, "-m", "landscape", "--version"], capture_output=True, text=True, timeout=60)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith(f"landscape {__version__} (numerics {NUMERICS}, torch {torch.__version__}, Python 3.")


def running(group: int) -> list[str]:
    """Returns the processes of a group that have not ended, as Linux lists them."""
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # ended meanwhile
            state, _, its_group = place.read_text().rpartition(")")[2].split()[:3]
            found += [place.parent.name] if int(its_group) == group and state not in "ZX" else []
    return found


ENDLESS = """import functools, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from landscape.cli import main
from landscape.sweep import run
from tests.sweep import faults

if __name__ == "__main__":
    run.run_sweep = functools.partial(run.run_sweep, compute=faults.endless)
    main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "1"])
def test_the_second_ctrl_c_of_a_sweep_ends_it_with_one_line(workers: str, tmp_path: Path) -> None:
    """Its jobs never end, and the first one waits for them."""
    grid, out, begun = tmp_path / "grid.toml", tmp_path / "out", tmp_path / "begun"
    grid.write_text("problem = { classes = 3, samples = 1, width = 3, depth = 1, decay = 1e-2 }\nstart.seed = [0, 1]\n")
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, "sweep", str(grid), "--out", str(out), "--workers", workers],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "BEGUN": str(begun)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    for what in (begun.exists, lambda: any(out.glob("stop-*"))):
        while not what():
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal would
    shown, said = process.communicate(timeout=120)
    assert (process.returncode, shown) == (1, "")
    lines = [line for line in said.splitlines() if not line.startswith("landscape: dashboard: ")]
    assert lines == [f"landscape: interrupted: what had finished is in {out}, and the same command goes on from there"]
    assert not list(out.glob("stop-*"))
    end = time.monotonic() + 60
    while left := running(process.pid):
        assert time.monotonic() < end, left
        time.sleep(0.1)
