"""What goes into a job of SLURM, without SLURM: settings that are refused, names that are quoted, the host that is found."""

import shlex
from pathlib import Path

import pytest

from landscape.errors import InputError
from landscape.sweep.clusters import visible_devices
from landscape.sweep.credentials import forget_jobs, written_for_jobs
from landscape.sweep.grid import parse_grid
from landscape.sweep.settings import EngineSettings, overridden
from landscape.sweep.slurm import host_for_nodes, jobs_awaited, quoted_pattern

PROBLEM = {"classes": 3, "samples": 1, "width": 3, "depth": 1, "decay": 1e-2}


def program(folder: Path, name: str, lines: str) -> None:
    """Writes a command of SLURM that prints these lines."""
    path = folder / name
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{lines}\nEND\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("partition", "short\n#SBATCH --wrap=x"),
        ("partition", "short long"),
        ("partition", "-x"),
        ("partition", "$(id)"),
        ("partition", ""),
        ("directives", ["--exclusive\nrm x"]),
        ("directives", ["exclusive"]),
        ("host", "10.0.0.1; id"),
        ("host", ""),
        ("walltime", "01:00:00\n"),
    ],
)
def test_settings_that_would_be_lines_of_a_script_are_refused(name: str, value: object) -> None:
    with pytest.raises(InputError, match=f"engine.{name}.*: expected ") as refused:
        parse_grid({"problem": PROBLEM, "engine": {name: value}})
    assert "\n" not in str(refused.value)


def test_settings_of_real_clusters_are_taken() -> None:
    given = {
        "partition": "gpu_a100,debug-1.x",
        "directives": ["--account=physics", "-C 'a100&nvlink'"],
        "host": "login1.example.org",
    }
    grid = parse_grid({"problem": PROBLEM, "engine": given})
    assert (grid.engine.partition, grid.engine.host) == (given["partition"], given["host"])
    assert overridden(EngineSettings(), workers=2).host is None


def test_a_folder_in_a_directive_is_one_word() -> None:
    pattern = quoted_pattern(Path("/x $(id) 100%j \"a\" 'b'"), "job-%j.out")
    assert pattern == '"/x $(id) 100%%j \\"a\\" \'b\'/job-%j.out"'
    for bad in ("/x\\y", "/x\ny", "/x\x1b"):
        with pytest.raises(InputError, match="expected a folder without backslashes"):
            quoted_pattern(Path(bad), "job-%j.out")


def test_certificates_of_jobs_are_read_by_their_owner_alone_and_are_one_word(tmp_path: Path) -> None:
    from distributed.security import Security

    folder = tmp_path / "a b $(id)"
    folder.mkdir()
    words = written_for_jobs(Security.temporary(), folder)
    for name in ("ca_file", "cert", "key"):
        (path,) = shlex.split(words[name] or "")
        assert "-----BEGIN" in Path(path).read_text()
        assert Path(path).stat().st_mode & 0o077 == Path(path).parent.stat().st_mode & 0o077 == 0
    assert words["ciphers"] is None
    forget_jobs(folder)
    assert list(folder.iterdir()) == []


def test_the_host_is_where_the_nodes_find_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    program(tmp_path, "sinfo", "127.0.0.1\nlocalhost")
    assert host_for_nodes(None) == "127.0.0.1"
    for nodes in ("no-such-node.invalid", ""):
        program(tmp_path, "sinfo", nodes)
        with pytest.raises(InputError, match=r'expected host = "\.\." in the engine section'):
            host_for_nodes("short")
    (tmp_path / "sinfo").write_text("#!/bin/sh\necho 'slurm_load_partitions: Unable to contact' >&2\nexit 1\n")
    with pytest.raises(
        InputError, match="SLURM does not say where its nodes and jobs are: slurm_load_partitions: Unable to contact"
    ):
        host_for_nodes(None)


def test_what_the_jobs_wait_for_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert jobs_awaited([]) == "SLURM has taken no job of this sweep yet"
    program(tmp_path, "squeue", "PENDING (Resources)\nRUNNING (None)\nPENDING (Resources)")
    assert jobs_awaited(["7", "8", "9"]) == "2 PENDING (Resources), 1 RUNNING"
    (tmp_path / "squeue").write_text("#!/bin/sh\nexit 0\n")
    assert jobs_awaited(["7"]) == "its jobs have ended: see logs/"


@pytest.mark.parametrize(
    ("outer", "wanted", "expected"),
    [(None, 2, ["0", "1"]), ("5,3,7", 2, ["5", "3"]), (" GPU-aa , MIG-b ", 2, ["GPU-aa", "MIG-b"]), ("0", 0, [])],
)
def test_devices_are_those_that_this_process_may_see(outer: str | None, wanted: int, expected: list[str]) -> None:
    assert visible_devices(wanted, {} if outer is None else {"CUDA_VISIBLE_DEVICES": outer}) == expected


@pytest.mark.parametrize("outer", ["", "2", "2,-1,3"])
def test_devices_that_are_missing_are_said(outer: str) -> None:
    with pytest.raises(InputError, match="expected 2 devices for these workers, got CUDA_VISIBLE_DEVICES="):
        visible_devices(2, {"CUDA_VISIBLE_DEVICES": outer})
