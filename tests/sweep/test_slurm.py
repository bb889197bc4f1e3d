"""SLURM for real: one node on 127.0.0.1, a sweep through dask-jobqueue, a job killed in the middle."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from landscape.archive.records import Archive

ROOT = Path(__file__).resolve().parents[2]
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


def contents(folder: Path) -> dict[str, str]:
    archive = Archive.existing(folder)
    return {digest: archive.read(digest).content for digest in archive.names()}


def running(environment: dict[str, str]) -> list[str]:
    listed = subprocess.run(["squeue", "--noheader", "--states=R", "--format=%i"], env=environment, capture_output=True, text=True)
    return listed.stdout.split()


def test_a_sweep_through_slurm_survives_a_killed_job_and_finds_the_same(slurm: dict[str, str], tmp_path: Path) -> None:
    grid, out, alone = tmp_path / "grid.toml", tmp_path / "out", tmp_path / "alone"
    grid.write_text(GRID)
    driver = subprocess.Popen(sweep_command(grid, out, "--engine", "slurm"), env=slurm, stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 90
        while len(list(out.glob("records/*/*.safetensors"))) < 3:
            assert driver.poll() is None, driver.communicate()
            assert time.monotonic() < end, "no record within 90 s"
            time.sleep(0.1)
        victim = running(slurm)[0]
        subprocess.run(["scancel", "--signal=KILL", victim], env=slurm, check=True)
        _, err = driver.communicate(timeout=150)
    finally:
        if driver.poll() is None:
            for member in [*psutil.Process(driver.pid).children(recursive=True), psutil.Process(driver.pid)]:
                member.kill()
    assert driver.returncode == 0, err
    done = subprocess.run(sweep_command(grid, alone, "--workers", "0"), env=slurm, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    assert len(contents(out)) == 40
    assert contents(out) == contents(alone)
    hosts = {Archive.existing(out).read(digest).provenance["process"] for digest in contents(out)}
    assert driver.pid not in hosts
