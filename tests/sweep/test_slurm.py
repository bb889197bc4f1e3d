"""SLURM for real: one node on 127.0.0.1, a sweep through dask-jobqueue, a job killed in the middle."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from landscape.archive.records import Archive
from tests.sweep.drivers import ROOT, certificates, contents

COMMANDS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "squeue")
GRID = """
[problem]
classes = 3
samples = 1
width = [3, 4]
depth = 1
decay = 1e-2
[start]
seed = { from = 0, to = 19 }
[engine]
workers = 2
seconds = 0.2
memory = "2GiB"
walltime = "00:10:00"
"""

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.slow,
    pytest.mark.skipif(not all(map(shutil.which, COMMANDS)), reason="no SLURM: scripts/packages installs it"),
]


def free_ports() -> int:
    """Returns the first of two ports that are free."""
    for _ in range(100):
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            if port < 65535 and other.connect_ex(("127.0.0.1", port + 1)) != 0:
                return port
    raise AssertionError("no two free ports")


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a SLURM that is ended afterwards, with its jobs."""
    folder = tmp_path / "slurm"
    environment = {**os.environ, "SLURM_PORT": str(free_ports()), "OMP_NUM_THREADS": "1"}
    up = [str(ROOT / "scripts" / "slurm"), "up", str(folder)]
    started = subprocess.run(up, env=environment, capture_output=True, text=True, timeout=60)
    if started.returncode != 0:
        pytest.skip(f"SLURM does not start here: {started.stderr.strip()}")
    environment["SLURM_CONF"] = str(folder / "slurm.conf")
    try:
        yield environment
    finally:
        subprocess.run([ROOT / "scripts" / "slurm", "down", folder], env=environment, timeout=60)


def sweep_command(grid: Path, out: Path, *options: str) -> list[str]:
    program = "from landscape.cli import main; main()"
    return [sys.executable, "-c", program, "sweep", str(grid), "--out", str(out), *options]


def running(environment: dict[str, str]) -> list[str]:
    listed = subprocess.run(["squeue", "--noheader", "--states=R", "--format=%i"], env=environment, capture_output=True, text=True)
    return listed.stdout.split()


ALONE = """
[problem]
classes = 3
samples = 1
width = 3
depth = 1
decay = 1e-2
[start]
seed = { from = 0, to = 3 }
[engine]
memory = "2GiB"
walltime = "00:10:00"
"""


@contextmanager
def driven(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A sweep as a process; it and its children are killed by their ids if they are still there in the end."""
    driver = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield driver
    finally:
        if driver.poll() is None:
            for member in [*psutil.Process(driver.pid).children(recursive=True), psutil.Process(driver.pid)]:
                member.kill()
        driver.communicate()


def test_a_folder_is_a_name_and_no_command_and_certificates_leave_with_the_sweep(slurm: dict[str, str], tmp_path: Path) -> None:
    """The folder has what a shell would run and what SLURM would replace; its certificates are its own, then given."""
    grid, mine = tmp_path / "grid.toml", certificates(tmp_path)
    for name, tls in (
        ("x $(touch pwned) `touch pwned` 100%j \"a\" 'b'; touch pwned", ""),
        ("given", f"tls = {json.dumps(mine)}\n"),
    ):
        out = tmp_path / name
        grid.write_text(ALONE + tls)
        with driven(sweep_command(grid, out, "--engine", "slurm"), slurm) as driver:
            _, err = driver.communicate(timeout=150)
        assert driver.returncode == 0, err
        assert len(contents(out)) == 4
        assert list((out / "logs").glob("job-*.out"))
        assert not [path for path in (out / "logs").rglob("*") if path.suffix == ".pem"]
    assert not [path for path in (*tmp_path.rglob("pwned"), Path("pwned")) if path.exists()]


def test_what_a_sweep_waits_for_is_said(slurm: dict[str, str], tmp_path: Path) -> None:
    """A job that holds the whole node keeps the worker waiting."""
    wrapped = ["sbatch", "--parsable", "--exclusive", "--output=/dev/null", "--wrap", "sleep 300"]
    held = subprocess.run(wrapped, env=slurm, check=True, capture_output=True, text=True).stdout.strip()
    grid = tmp_path / "grid.toml"
    grid.write_text(ALONE)
    with driven(sweep_command(grid, tmp_path / "out", "--engine", "slurm"), slurm) as driver:
        assert driver.stderr is not None
        lines: list[str] = []
        while not lines or "waiting" not in lines[-1]:
            lines.append(driver.stderr.readline())
            assert lines[-1], lines
        assert lines[-1] == "landscape: waiting for workers of SLURM: 1 PENDING (Resources)\n"
        subprocess.run(["scancel", held], env=slurm, check=True)
        driver.communicate(timeout=150)
        assert driver.returncode == 0


def test_workers_of_an_array_find_a_scheduler_by_its_file(slurm: dict[str, str], tmp_path: Path) -> None:
    """The recipe of docs/batch.md, with the certificates that it says."""
    (recipe,) = re.findall(r"```text\n(dask scheduler .*?)```", (ROOT / "docs" / "batch.md").read_text(), re.DOTALL)
    mine = certificates(tmp_path)
    for name, path in zip(("ca.pem", "cert.pem", "key.pem"), mine, strict=True):
        Path(path).rename(tmp_path / name)
    recipe = recipe.replace("1-20", "1-2").replace("HOST", "127.0.0.1")
    recipe = recipe.replace("sbatch ", "sbatch --output=/dev/null --mem=1G ")
    dask = Path(sys.executable).parent
    environment = {**slurm, "PATH": f"{dask}:{slurm['PATH']}", "PYTHONPATH": str(ROOT)}
    with driven(["bash", "-c", f"cd {shlex.quote(str(tmp_path))}\n{recipe}\nwait"], environment) as servers:
        end = time.monotonic() + 60
        while not (tmp_path / "s.json").exists():
            assert servers.poll() is None
            assert time.monotonic() < end
            time.sleep(0.1)
        address = json.loads((tmp_path / "s.json").read_text())["address"]
        assert address.startswith("tls://127.0.0.1:")
        grid = tmp_path / "grid.toml"
        paths = [str(tmp_path / name) for name in ("ca.pem", "cert.pem", "key.pem")]
        grid.write_text(ALONE + f"tls = {json.dumps(paths)}\n")
        with driven(sweep_command(grid, tmp_path / "out", "--engine", address), environment) as driver:
            _, err = driver.communicate(timeout=150)
        assert driver.returncode == 0, err
    assert len(contents(tmp_path / "out")) == 4


def test_a_sweep_through_slurm_survives_a_killed_job_and_finds_the_same(slurm: dict[str, str], tmp_path: Path) -> None:
    grid, out, alone = tmp_path / "grid.toml", tmp_path / "out", tmp_path / "alone"
    grid.write_text(GRID)
    with driven(sweep_command(grid, out, "--engine", "slurm"), slurm) as driver:
        end = time.monotonic() + 90
        while len(list(out.glob("records/*/*.safetensors"))) < 3:
            assert driver.poll() is None, driver.communicate()
            assert time.monotonic() < end, "no record within 90 s"
            time.sleep(0.1)
        victim = running(slurm)[0]
        subprocess.run(["scancel", "--signal=KILL", victim], env=slurm, check=True)
        _, err = driver.communicate(timeout=150)
    assert driver.returncode == 0, err
    done = subprocess.run(sweep_command(grid, alone, "--workers", "0"), env=slurm, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    assert len(contents(out)) == 40
    assert contents(out) == contents(alone)
    hosts = {Archive.existing(out).read(digest).provenance["process"] for digest in contents(out)}
    assert driver.pid not in hosts
