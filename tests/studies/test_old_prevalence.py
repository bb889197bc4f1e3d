"""Folders that version 0.1.0 wrote before records were sealed: read as they are, said once, never written."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from landscape.archive.experiment import Altered, Experiment
from landscape.cli import run
from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.report.content import sampled_rows
from landscape.solver.methods import Random
from landscape.studies import old_prevalence
from landscape.studies.prevalence import measure_prevalence

WRITTEN = Path(__file__).with_name("old_folder")
TINY = Experiment(Problem.balanced(4, 1, 4, 2, 1e-2))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(old_prevalence, "_said", set())
    return Path(shutil.copytree(WRITTEN, tmp_path / "old"))


def state(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_an_old_folder_is_read_and_said_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = state(folder)
    for _ in range(2):
        result = measure_prevalence(TINY, 3, folder)
    fresh = measure_prevalence(TINY, 3)
    assert result.counts == fresh.counts
    for old, new in zip(result.ends, fresh.ends, strict=True):
        assert (old.seed, old.structure, old.rank, old.nullity, old.index) == (
            new.seed,
            new.structure,
            new.rank,
            new.nullity,
            new.index,
        )
        assert old.loss == pytest.approx(new.loss, rel=1e-12)
    assert [record.getMessage().count("of an earlier version") for record in caplog.records] == [1]
    assert state(folder) == before


def test_an_old_folder_is_not_added_to(folder: Path) -> None:
    assert len(measure_prevalence(TINY, 2, folder).ends) == 2
    with pytest.raises(InputError, match=r"expected 4 seeds in .*, got the first 3, and nothing is added"):
        measure_prevalence(TINY, 4, folder)
    with pytest.raises(InputError, match=r"holds another study: start None, not 'random features:identity'"):
        measure_prevalence(Experiment(TINY.problem, Altered(Random(), "features:identity")), 2, folder)
    with pytest.raises(InputError, match=r"holds another study: feature_scale 1\.0, not 0\.5"):
        measure_prevalence(Experiment(TINY.problem, Random(feature_scale=0.5)), 3, folder)
    assert state(folder) == state(WRITTEN)


def test_its_settings_are_on_the_page(folder: Path) -> None:
    rows = dict(sampled_rows(folder))
    assert "width 4" in rows["model"]
    assert rows["starts"] == "W_l ~ N(0, 1.0² / d), H_1 ~ N(0, 1.0²)"
    (folder / "study.json").write_text("[" * 100_000)
    assert sampled_rows(folder) == []


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(WRITTEN / "study.json")


def without_a_type(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "nullity": "many"}))


HARM: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_text(""),
    "cut": lambda path: os.truncate(path, 100),
    "deep": lambda path: path.write_text("[" * 100_000),
    "array": lambda path: path.write_text("[]"),
    "copied": lambda path: shutil.copy(path.with_name("seed-00000.json"), path),
    "pipe": as_pipe,
    "link": as_link,
    "type": without_a_type,
}


@pytest.mark.parametrize("kind", HARM)
def test_a_damaged_record_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    HARM[kind](folder / "seeds" / "seed-00001.json")
    command = ["prevalence", "--classes", "4", "--samples", "1", "--width", "4", "--depth", "2", "--decay", "1e-2", "--seeds", "3"]
    assert run([*command, "--out", str(folder)]) == 2
    shown = capsys.readouterr()
    assert "seed-00001.json" in shown.err
    assert "choose another --out" in shown.err
    assert (shown.out, [line for line in shown.err.splitlines() if "earlier version, whose" not in line]) == (
        "",
        [shown.err.splitlines()[-1]],
    )
