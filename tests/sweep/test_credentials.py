"""Who may speak to a sweep: its own processes, and nobody else on the machine."""

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from landscape.errors import InputError
from landscape.sweep.credentials import credentials, is_loopback, require_encryption
from landscape.sweep.engine import open_engine
from landscape.sweep.settings import EngineSettings
from tests.sweep.drivers import (
    SCHEDULER,
    WORKER,
    begin,
    certificates,
    contents,
    finish,
    free_port,
    grid_file,
    kill_family,
    processes,
    wait_for,
)
from tests.sweep.intruder import read

INTRUDER = Path(__file__).with_name("intruder.py")
NOBODY = 65534


def intrude(ports: set[int]) -> list[str]:
    """Returns the doors that open to another user of this machine."""
    command = [sys.executable, str(INTRUDER), *map(str, (NOBODY, *sorted(ports)))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def listening(process: int) -> set[tuple[str, int]]:
    """Returns the addresses at which a process and its children listen."""
    family = [psutil.Process(process), *psutil.Process(process).children(recursive=True)]
    return {(at.laddr.ip, at.laddr.port) for each in family for at in each.net_connections(kind="inet") if at.status == "LISTEN"}


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
def test_another_user_finds_no_open_door(tmp_path: Path) -> None:
    """First at a scheduler without certificates, so that it is known that the intruder would get in; then at a default sweep."""
    with processes() as start:
        port = free_port()
        start(*SCHEDULER, str(port))
        open_doors: list[str] = []
        for _ in range(20):
            if open_doors := intrude({port}):
                break
        assert open_doors == [f"tcp {port}"]
    driver = begin(grid_file(tmp_path, 500, seconds=0.5), tmp_path / "out", "slow")
    try:
        wait_for(1, tmp_path / "out", driver)
        found = listening(driver.pid)
        assert len(found) >= 6  # scheduler and its pages, two nannies, two workers
        assert intrude({port for _, port in found}) == []
        assert listening(driver.pid) >= found
    finally:
        kill_family(driver.pid)
        driver.communicate()


@pytest.mark.slow
def test_a_local_sweep_listens_on_this_machine_alone_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    engine = open_engine(EngineSettings(workers=1), tmp_path)
    try:
        (private,) = scratch.iterdir()
        assert private.stat().st_mode & 0o777 == 0o700
        while engine.workers == 0:
            assert engine.next(0.2) is None
        found = listening(os.getpid())
        assert len(found) >= 4
        assert {host for host, _ in found} == {"127.0.0.1"}
        assert engine.dashboard is not None
        with urllib.request.urlopen(engine.dashboard, timeout=20) as answer:
            assert answer.status == 200
        assert [page for _, port in found for page in read(port)] == []
        secret = engine.dashboard.rsplit("/", 1)[0]
        with pytest.raises(OSError, match="404"):
            urllib.request.urlopen(f"{secret}/proxy/1/127.0.0.1/status", timeout=20)
    finally:
        engine.close()
    assert list(scratch.iterdir()) == []


@pytest.mark.slow
def test_given_certificates_reach_every_part(tmp_path: Path) -> None:
    mine = certificates(tmp_path)
    grid = grid_file(tmp_path, 3, tls=mine)
    tally = finish(begin(grid, tmp_path / "local", "nothing"))
    assert (tally["done"], tally["left"]) == (6, 0)
    port = free_port()
    address, tls = f"tls://127.0.0.1:{port}", ("--tls-ca-file", mine[0], "--tls-cert", mine[1], "--tls-key", mine[2])
    with processes() as start:
        start(*SCHEDULER, str(port), *tls)
        start(*WORKER, *tls, address)
        tally = finish(begin(grid, tmp_path / "running", "nothing", engine=address))
    assert (tally["done"], tally["left"]) == (6, 0)
    assert contents(tmp_path / "running") == contents(tmp_path / "local")


@pytest.mark.parametrize(
    ("kind", "tls", "message"),
    [
        ("tcp://10.1.2.3:8786", None, "expected a scheduler with TLS on another machine, got tcp://10.1.2.3:8786"),
        ("tcp://0.0.0.0:8786", None, "expected a scheduler with TLS on another machine"),
        ("tcp://[2001:db8::1]:8786", None, "expected a scheduler with TLS on another machine"),
        ("tls://10.1.2.3:8786", None, r"expected tls = \[authority, certificate, key\]"),
        ("tcp://127.0.0.1:8786", ("a", "b", "c"), "expected an address tls://127.0.0.1:8786 with tls"),
    ],
)
def test_no_connection_leaves_the_machine_without_encryption(kind: str, tls: tuple[str, str, str] | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        require_encryption(EngineSettings(kind=kind, tls=tls))
    with pytest.raises(InputError, match=message):
        open_engine(EngineSettings(kind=kind, tls=tls), Path())


@pytest.mark.parametrize("kind", ["local", "slurm", "tcp://127.0.0.1:1", "tcp://localhost:1", "tcp://[::1]:1"])
def test_this_machine_needs_no_certificates_of_the_user(kind: str) -> None:
    require_encryption(EngineSettings(kind=kind))


def test_the_sight_of_loopback() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "10.0.0.1", "::", "no.such.name.invalid", "")))


def test_certificates_that_are_none_are_said(tmp_path: Path) -> None:
    mine = certificates(tmp_path)
    for given, message in (
        ((mine[0], mine[1], str(tmp_path / "none")), "expected a file of certificates .*none: it does not exist"),
        ((mine[0], str(tmp_path), mine[2]), "expected a file of certificates"),
        ((mine[0], mine[2], mine[1]), "as PEM files that fit"),
    ):
        with pytest.raises(InputError, match=message):
            credentials(EngineSettings(tls=given))


def test_without_the_package_a_sweep_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(InputError, match=r"expected the package cryptography .* pip install 'landscape-dufm\[batch\]'"):
        open_engine(EngineSettings(workers=1), tmp_path)
