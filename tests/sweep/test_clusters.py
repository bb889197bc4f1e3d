"""What a cluster says that does not start."""

from pathlib import Path

import pytest

from landscape.cli import run


def test_what_slurm_refuses_is_said_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "sbatch"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'sbatch: error: invalid partition specified: night' >&2\nexit 1\n")
    program.chmod(0o755)
    nodes = program.with_name("sinfo")
    nodes.write_text("#!/bin/sh\necho 127.0.0.1\n")
    nodes.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    grid = tmp_path / "grid.toml"
    grid.write_text("[problem]\nclasses = 3\nsamples = 1\nwidth = 3\ndepth = 1\ndecay = 1e-2\n")
    assert run(["sweep", str(grid), "--out", str(tmp_path / "out"), "--engine", "slurm"]) == 2
    assert capsys.readouterr().err == "landscape: SLURM does not take a job: sbatch: error: invalid partition specified: night\n"
    assert list((tmp_path / "out" / "logs").iterdir()) == []
