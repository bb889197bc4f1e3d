"""The index of verified records: what has not changed is not read again, and nothing else is believed."""

import json
import os
from pathlib import Path

import pytest

from landscape.archive import records
from landscape.archive.index import known_stamps
from landscape.archive.records import Archive
from landscape.sweep.grid import Grid, parse_grid
from landscape.sweep.run import SweepProgress, run_sweep
from landscape.sweep.settings import EngineSettings
from tests.sweep import faults

COUNT = 12


def grid() -> Grid:
    problem = {"classes": 3, "samples": 1, "width": 3, "depth": 1, "decay": 1e-2}
    return parse_grid({"problem": problem, "start": {"seed": {"from": 0, "to": COUNT - 1}}})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished sweep with an index."""
    monkeypatch.setattr(records, "WORTH", 5)
    swept(tmp_path / "sweep")
    return tmp_path / "sweep"


def swept(folder: Path) -> SweepProgress:
    return run_sweep(grid(), folder, EngineSettings(workers=0), compute=faults.nothing)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The digests of the records that are read from now on."""
    seen: list[str] = []
    read = Archive.read

    def counted(self: Archive, digest: str) -> records.Record:
        seen.append(digest)
        return read(self, digest)

    monkeypatch.setattr(Archive, "read", counted)
    return seen


def test_a_finished_folder_is_not_read_again(folder: Path, reads: list[str]) -> None:
    assert swept(folder).found == COUNT
    assert reads == []


def test_what_has_changed_is_read_and_what_is_damaged_is_computed_again(folder: Path, reads: list[str]) -> None:
    archive = Archive.existing(folder)
    first, second, third, fourth = sorted(archive.names())[:4]
    data = bytearray(archive.path(first).read_bytes())
    data[-1] ^= 1
    archive.path(first).write_bytes(bytes(data))  # as long as before
    os.utime(archive.path(second))  # touched, and whole
    archive.path(third).unlink()
    copy = folder / "copy"
    archive.path(fourth).rename(copy)
    archive.path(fourth).symlink_to(copy)
    tally = swept(folder)
    assert (tally.found, tally.done, set(tally.damaged)) == (COUNT - 3, 3, {first, fourth})
    assert set(reads) == {first, second, fourth}
    reads.clear()
    assert swept(folder).found == COUNT
    assert reads == []


@pytest.mark.parametrize("text", ["", "[]", "{", '{"stamps": {}, "seal": "0"}', '{"stamps": []}', "null"])
def test_an_index_that_is_none_is_not_believed(folder: Path, reads: list[str], text: str) -> None:
    for path in (folder / "verified").iterdir():
        path.write_text(text)
    assert swept(folder).found == COUNT
    assert len(reads) == COUNT


def test_a_stamp_with_another_number_is_not_believed(folder: Path) -> None:
    path = next((folder / "verified").iterdir())
    fields = json.loads(path.read_text())
    digest = next(iter(fields["stamps"]))
    assert known_stamps(folder, path.stem)[digest]
    fields["stamps"][digest][0] += 1
    path.write_text(json.dumps(fields))
    assert known_stamps(folder, path.stem) == {}


def test_a_small_folder_has_no_index(tmp_path: Path) -> None:
    swept(tmp_path / "sweep")
    assert not (tmp_path / "sweep" / "verified").exists()
