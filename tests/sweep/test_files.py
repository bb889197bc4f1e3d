"""Saved points as jobs: one record a file, found by pattern, with the spectrum and the proof that were asked for."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from landscape.archive.records import Archive
from landscape.cli import run
from landscape.degeneracy.analysis import analyse
from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.points.point import CriticalPoint, Origin
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Collapse, Pairs, Structure
from landscape.sweep.grid import Grid, parse_grid
from landscape.sweep.results import read_results
from landscape.sweep.run import run_sweep
from landscape.sweep.settings import EngineSettings
from landscape.tensor_file import TensorFile

MODEL = Problem.balanced(4, 2, 6, 2, 1e-3)
HERE = EngineSettings(workers=0)


def saved(path: Path, structure: Structure, problem: Problem = MODEL) -> CriticalPoint:
    path.parent.mkdir(exist_ok=True)
    core = Core.from_form(problem, logit_form(problem, structure))
    frames = [torch.eye(problem.width, core.rank, dtype=torch.float64)] * problem.depth
    point = CriticalPoint.at(problem, core.embed(frames), Origin("analytic"))
    point.save(path)
    return point


def grid_of(folder: Path, **settings: Any) -> Grid:
    return parse_grid({"points": {"files": "runs/*.safetensors", **settings}}, folder=folder)


@pytest.fixture
def points(tmp_path: Path) -> dict[str, CriticalPoint]:
    named: dict[str, Structure] = {"dnc": Collapse(), "pairs": Pairs(), "small": Pairs("small")}
    return {f"runs/{name}.safetensors": saved(tmp_path / "runs" / f"{name}.safetensors", kind) for name, kind in named.items()}


def test_one_record_a_point_with_the_name_of_its_file(tmp_path: Path, points: dict[str, CriticalPoint]) -> None:
    tally = run_sweep(grid_of(tmp_path), tmp_path / "out", HERE)
    assert (tally.jobs, tally.done, tally.failed) == (3, 3, {})
    table, damaged = read_results(tmp_path / "out")
    assert damaged == {}
    assert sorted(table["file"]) == sorted(points)
    for _, row in table.iterrows():
        report = analyse(points[row["file"]], "auto")
        assert (row["structure"], row["nullity"], row["index"]) == (report.structure, report.nullity, report.index)
        assert (row["start"], row["loss"]) == ("file", points[row["file"]].loss)
        kept = CriticalPoint.load(Archive.existing(tmp_path / "out").path(row["digest"]))
        assert torch.equal(kept.theta, points[row["file"]].theta)
    assert run_sweep(grid_of(tmp_path), tmp_path / "out", HERE).found == 3


def test_the_identity_is_the_content_and_not_the_name(tmp_path: Path, points: dict[str, CriticalPoint]) -> None:
    before = {job.digest for job in grid_of(tmp_path).jobs()}
    (tmp_path / "runs" / "pairs.safetensors").rename(tmp_path / "runs" / "other.safetensors")
    shutil.copy(tmp_path / "runs" / "other.safetensors", tmp_path / "runs" / "twin.safetensors")
    assert {job.digest for job in grid_of(tmp_path).jobs()} == before
    assert len(list(grid_of(tmp_path).jobs())) == 3
    saved(tmp_path / "runs" / "dnc.safetensors", Collapse(), Problem.balanced(4, 2, 6, 2, 2e-3))
    assert len({job.digest for job in grid_of(tmp_path).jobs()} & before) == 2
    for settings in ({"method": "dense"}, {"proof": True}, {"spectrum": True}):
        assert not {job.digest for job in grid_of(tmp_path, **settings).jobs()} & before


def test_spectrum_and_proof_are_in_the_record(tmp_path: Path, points: dict[str, CriticalPoint]) -> None:
    run_sweep(grid_of(tmp_path, method="dense", spectrum=True, proof=True, keep=False), tmp_path / "out", HERE)
    archive = Archive.existing(tmp_path / "out")
    for digest in archive.names():
        record = archive.read(digest)
        assert record.result["statement"].startswith("yes")
        with TensorFile.opened(archive.path(digest)) as file:
            assert "H_1" not in file.layouts
            values, times = file.tensor("spectrum").T
        assert int(times.sum()) == MODEL.parameters
        if "small" not in record.provenance["file"]:  # at the small root eigenvalues of 1e-18 are proved to be none
            assert int(times[values.abs() < 1e-9].sum()) == record.result["nullity"]
        expected = torch.linalg.eigvalsh(_hessian(points[record.provenance["file"]]))
        assert torch.repeat_interleave(values, times.long()) == pytest.approx(expected, abs=1e-10)


def _hessian(point: CriticalPoint) -> torch.Tensor:
    """By double backward of the loss as the paper writes it."""
    labels = torch.arange(4).repeat_interleave(2)

    def loss(theta: torch.Tensor) -> torch.Tensor:
        features, inner, outer = theta.split((48, 36, 24))
        logits = outer.reshape(4, 6) @ inner.reshape(6, 6) @ features.reshape(6, 8)
        return torch.nn.functional.cross_entropy(logits.T, labels) + 0.5e-3 * theta.square().sum()

    return torch.autograd.functional.hessian(loss, point.theta)


def test_a_file_that_changes_under_the_sweep_is_a_failure_and_so_is_a_damaged_one(
    tmp_path: Path, points: dict[str, CriticalPoint]
) -> None:
    grid = grid_of(tmp_path)
    saved(tmp_path / "runs" / "dnc.safetensors", Collapse(), Problem.balanced(4, 2, 6, 2, 2e-3))
    damaged = tmp_path / "runs" / "pairs.safetensors"
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 1
    damaged.write_bytes(bytes(data))
    tally = run_sweep(grid, tmp_path / "out", HERE)
    assert (tally.done, len(tally.failed)) == (1, 2)
    assert any("got another content" in reason for reason in tally.failed.values())
    assert any("do not match their checksum" in reason for reason in tally.failed.values())


def test_points_and_problems_in_one_grid(tmp_path: Path, points: dict[str, CriticalPoint]) -> None:
    problem = {"classes": 3, "samples": 1, "width": 3, "depth": 1, "decay": 1e-2}
    grid = parse_grid({"points": {"files": ["runs/dnc.*", "runs/*.safetensors"]}, "problem": problem}, folder=tmp_path)
    assert (grid.combinations, len(list(grid.jobs()))) == (4, 4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('files = "nothing/*"', "grid.toml:2: points.files: expected files that match 'nothing/*'"),
        ('files = "*.toml"', "it is no safetensors file"),
        ('files = "pipe"', "it is no ordinary file"),
        ("files = []", "grid.toml:2: points.files: expected at least one value"),
        ('method = "dense"', "points.files: expected this setting, got none"),
        ('files = "runs/*"\nmethod = "guess"', "grid.toml:3: points.method: expected"),
        ('files = "runs/*"\nproof = 1', "grid.toml:3: points.proof: expected a valid boolean, got 1"),
        ('files = "runs/*"\nfoo = 1', "grid.toml:3: points.foo: unknown key"),
        ('files = ""', "points.files: expected a pattern such as runs/*.safetensors, got ''"),
    ],
)
def test_bad_sections_are_one_line(
    tmp_path: Path, points: dict[str, CriticalPoint], capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "grid.toml").write_text(f"[points]\n{text}\n")
    assert run(["sweep", str(tmp_path / "grid.toml"), "--out", str(tmp_path / "out")]) == 2
    shown = capsys.readouterr()
    assert words in shown.err
    assert (shown.err.count("\n"), shown.out) == (1, "")


def test_a_grid_of_nothing_is_refused() -> None:
    for fields in ({}, {"points": True}):
        with pytest.raises(InputError, match="expected a table of problems, or a table of points"):
            parse_grid(fields)
    with pytest.raises(InputError, match="saved: unknown key"):
        parse_grid({"points": {"files": "x"}, "saved": []})


def test_the_command_lists_them(tmp_path: Path, points: dict[str, CriticalPoint], capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "grid.toml").write_text('[points]\nfiles = "runs/*.safetensors"\n')
    out = str(tmp_path / "out")
    assert run(["sweep", str(tmp_path / "grid.toml"), "--out", out, "--workers", "0", "--json"]) == 0
    capsys.readouterr()
    assert run(["results", out]) == 0
    assert "runs/small.safetensors" in capsys.readouterr().out
    assert run(["results", out, "--format", "json", "--where", "index > 0"]) == 0
    assert [row["file"] for row in json.loads(capsys.readouterr().out)] == ["runs/small.safetensors"]
