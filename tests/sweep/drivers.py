"""Sweeps, schedulers and workers as processes of their own, for tests: what a test starts it ends, by its id."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from landscape.archive.records import Archive

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_CBWR": "AVX2", "PYTHONPATH": str(ROOT)}
PROBLEM = "[problem]\nclasses = 3\nsamples = 1\nwidth = [3, 4]\ndepth = 1\ndecay = 1e-2\n"

# a shell in the background makes its children ignore SIGINT, and Python then leaves it so
DRIVER = """
import json, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from typing import Any
from landscape.errors import InputError
from landscape.sweep.run import run_sweep
from landscape.sweep.grid import read_grid
from landscape.sweep.settings import overridden
from tests.sweep import faults

if __name__ == "__main__":
    grid = read_grid(Path(sys.argv[1]))
    settings = overridden(grid.engine, **json.loads(sys.argv[4]))
    try:
        tally = run_sweep(grid, Path(sys.argv[2]), settings, compute=getattr(faults, sys.argv[3], None))
    except (InputError, KeyboardInterrupt) as error:
        sys.exit(f"{type(error).__name__} {error}")
    shown = {name: getattr(tally, name) for name in ("jobs", "found", "done", "failed", "left", "stopped")}
    print(json.dumps(shown))
"""


def grid_file(folder: Path, seeds: int, **options: object) -> Path:
    path = folder / "grid.toml"
    settings = "".join(f"{name} = {json.dumps(value)}\n" for name, value in {"workers": 2, **options}.items())
    path.write_text(f"{PROBLEM}[start]\nseed = {{ from = 0, to = {seeds - 1} }}\n[engine]\n{settings}")
    return path


def begin(grid: Path, out: Path, compute: str = "nothing", **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", DRIVER, str(grid), str(out), compute, json.dumps(options)]
    return subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(driver: subprocess.Popen[str], seconds: float = 200) -> dict[str, Any]:
    try:
        out, err = driver.communicate(timeout=seconds)
    except BaseException:
        kill_family(driver.pid)
        raise
    assert driver.returncode == 0, err
    return json.loads(out)


def kill_family(process: int) -> None:
    """Kills a process that a test has started, and its children, by their ids."""
    try:
        family = [*psutil.Process(process).children(recursive=True), psutil.Process(process)]
    except psutil.NoSuchProcess:
        return
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.kill()


def workers_of(driver: subprocess.Popen[str]) -> list[psutil.Process]:
    """Returns the worker processes of a driver: its children that are no resource trackers."""
    try:
        children = psutil.Process(driver.pid).children()
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    except psutil.Error:
        return []


def records(folder: Path) -> list[Path]:
    """Returns the finished records of a folder; a killed worker may leave one half-written, under another name."""
    return [path for path in folder.glob("records/*/*.safetensors") if ".partial-" not in path.name]


def contents(folder: Path) -> dict[str, str]:
    archive = Archive.existing(folder)
    return {digest: archive.read(digest).content for digest in archive.names()}


def wait_for(count: int, folder: Path, driver: subprocess.Popen[str], seconds: float = 150) -> None:
    end = time.monotonic() + seconds
    while len(records(folder)) < count:
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def processes() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Yields what starts a process; all are ended with their children."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*command: str) -> subprocess.Popen[bytes]:
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        started.append(subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env=ENVIRONMENT, **quiet))
        return started[-1]

    try:
        yield start
    finally:
        for process in started:
            kill_family(process.pid)
            process.wait()


SCHEDULER = ("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--no-dashboard", "--port")
WORKER = ("distributed.cli.dask_worker", "--nthreads", "1", "--host", "127.0.0.1", "--no-dashboard")


def certificates(folder: Path) -> tuple[str, str, str]:
    """Writes a pair of certificates as files, and returns their paths."""
    from distributed.security import Security

    made = Security.temporary().get_tls_config_for_role("client")
    paths = []
    for name in ("ca_file", "cert", "key"):
        path = folder / f"{name} of mine.pem"
        path.write_text(made[name])
        path.chmod(0o600)
        paths.append(str(path))
    return paths[0], paths[1], paths[2]
