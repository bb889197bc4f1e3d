"""Records: written whole or not at all, believed only if sound."""

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from landscape.archive.experiment import Experiment
from landscape.archive.records import Archive
from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.plain_file import Damaged
from landscape.points.point import CriticalPoint
from landscape.studies.ends import packed
from landscape.sweep.grid import parse_grid
from landscape.sweep.run import run_sweep
from landscape.sweep.settings import EngineSettings
from tests.sweep import faults

JOB = Experiment(Problem((1, 1, 1), 3, 1, 1e-2))
HERE = EngineSettings(workers=0)
GRID = {"problem": {"classes": 3, "samples": 1, "width": 3, "depth": 1, "decay": 1e-2}, "start": {"seed": [0, 1]}}


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    archive = Archive.create(tmp_path / "sweep")
    archive.write(JOB, *packed(faults.end_of(JOB), None, 1.5, "cpu"))
    return archive


def test_a_record_comes_back(archive: Archive) -> None:
    record = archive.read(JOB.digest)
    assert record.job == JOB.identity
    assert record.result["structure"] == "DNC"
    assert record.provenance["seconds"] == 1.5
    archive.write(JOB, *packed(faults.end_of(JOB), None, 9.0, "cpu"))
    assert archive.read(JOB.digest).content == record.content
    archive.write(JOB, *packed(faults.end_of(JOB, 1.0 + 2**-52), None, 1.5, "cpu"))
    assert archive.read(JOB.digest).content != record.content


def test_a_record_with_parameters_is_a_saved_point(tmp_path: Path) -> None:
    run_sweep(parse_grid(GRID), tmp_path / "sweep", HERE)
    archive = Archive.existing(tmp_path / "sweep")
    for digest in archive.names():
        point, record = CriticalPoint.load(archive.path(digest)), archive.read(digest)
        assert point.loss == record.result["loss"]
        assert point.gradient_norm < 1e-12


class Attack:
    """What a pickle may do when it is loaded."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch owned",)


def changed_byte(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def edited_header(path: Path, old: str, new: str) -> None:
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = data[8 : 8 + length].decode().replace(old, new).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data[8 + length :])


def as_link(path: Path) -> None:
    kept = path.rename(path.parents[3] / "outside.safetensors")
    path.symlink_to(kept)


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_another(path: Path) -> None:
    other = JOB.with_seed(5)
    Archive.existing(path.parents[2]).write(other, *packed(faults.end_of(other), None, 1.0, "cpu"))
    path.write_bytes(Archive.existing(path.parents[2]).path(other.digest).read_bytes())


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "pickle": (lambda path: path.write_bytes(pickle.dumps(Attack())), "no safetensors file"),
    "empty": (lambda path: path.write_bytes(b""), "no safetensors file"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-3]), "it is shorter than its arrays"),
    "longer": (lambda path: path.write_bytes(path.read_bytes() + b"0" * 8), "longer than its arrays"),
    "array": (lambda path: changed_byte(path, -1), "arrays do not match their checksum"),
    "header": (lambda path: edited_header(path, "DNC", "XYZ"), "header does not match its checksum"),
    "nested": (
        lambda path: path.write_bytes(struct.pack("<Q", 100_000) + b"[" * 100_000),
        "no safetensors file, its header is not JSON",
    ),
    "types": (lambda path: edited_header(path, '"F64"', '"F32"'), "not of the size that its header says"),
    "link": (as_link, "symbolic link"),
    "another": (as_another, "the record of another job"),
    "pipe": (as_pipe, "no ordinary file"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_what_is_no_record_is_refused_and_removed(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    spoil, words = DAMAGE[kind]
    spoil(archive.path(JOB.digest))
    with pytest.raises(Damaged, match=words):
        archive.read(JOB.digest)
    done, damaged = archive.done({JOB.digest})
    assert (done, list(damaged)) == (set(), [JOB.digest])
    assert not os.path.lexists(archive.path(JOB.digest))
    assert not (tmp_path / "owned").exists()
    if kind == "link":
        assert (tmp_path / "outside.safetensors").exists()


def test_a_damaged_record_is_computed_again_and_said(tmp_path: Path) -> None:
    grid = parse_grid(GRID)
    run_sweep(grid, tmp_path, HERE)
    archive = Archive.existing(tmp_path)
    first, second = archive.names()
    before = archive.read(first).content
    changed_byte(archive.path(first), -1)
    kept = archive.path(second).stat().st_mtime_ns
    tally = run_sweep(grid, tmp_path, HERE)
    assert list(tally.damaged) == [first]
    assert (tally.found, tally.done) == (1, 1)
    assert archive.read(first).content == before
    assert archive.path(second).stat().st_mtime_ns == kept


@pytest.mark.parametrize("part", ["records", "records/shard", "failures"])
def test_a_folder_that_is_a_link_is_refused(archive: Archive, tmp_path: Path, part: str) -> None:
    place = archive.folder / part.replace("shard", JOB.digest[:2])
    place.rename(tmp_path / "outside")
    place.symlink_to(tmp_path / "outside")
    with pytest.raises(InputError, match="which is a link"):
        Archive.existing(archive.folder).done({JOB.digest})


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match="with other files"):
        Archive.create(tmp_path)
    (tmp_path / "sweep.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(InputError, match="of format 1"):
        Archive.create(tmp_path)
    with pytest.raises(InputError, match=r"no sweep\.json"):
        Archive.existing(tmp_path / "nowhere")


def test_what_a_dead_process_left_is_swept_away_when_it_is_old(archive: Archive) -> None:
    shard = archive.path(JOB.digest).parent
    old, new = shard / f"{JOB.digest}.partial-1.safetensors", shard / f"{JOB.digest}.partial-2.safetensors"
    for path in (old, new):
        path.touch()
    os.utime(old, (0, 0))
    sign = archive.folder / "stop-0"
    sign.touch()
    os.utime(sign, (0, 0))
    assert list(archive.names()) == [JOB.digest]
    assert old.exists()  # reading changes nothing
    Archive.create(archive.folder)
    assert (old.exists(), new.exists(), sign.exists()) == (False, True, False)


def test_what_is_no_part_of_a_sweep_stops_nothing(archive: Archive) -> None:
    for stray in ("records/.DS_Store", "records/probe.probe-1", f"records/{JOB.digest[:2]}/.nfs01"):
        (archive.folder / stray).touch()
    assert Archive.create(archive.folder).done({JOB.digest}) == ({JOB.digest}, {})


def test_a_driver_killed_while_it_makes_the_folder_leaves_one_that_can_be_used(tmp_path: Path) -> None:
    (tmp_path / "sweep.partial-1.json").touch()
    assert list(Archive.create(tmp_path).names()) == []
    (tmp_path / "failures").rmdir()
    assert Archive.create(tmp_path).failures() == []


def test_a_folder_or_more_than_memory_under_the_name_of_a_record_is_said_and_computed_again(archive: Archive) -> None:
    path = archive.path(JOB.digest)
    path.unlink()
    path.mkdir()
    (path / "thesis.tex").touch()
    assert archive.done({JOB.digest}) == (set(), {JOB.digest: "it is no ordinary file"})
    assert list(archive.folder.glob("records/refused-*/thesis.tex"))
    with path.open("wb") as file:
        file.truncate(1 << 43)
    assert archive.done({JOB.digest}) == (set(), {JOB.digest: "it is no safetensors file"})
    assert not path.exists()


def test_a_pipe_among_the_failures_is_not_waited_for(archive: Archive) -> None:
    os.mkfifo(archive.folder / "failures" / f"{'0' * 64}.json")
    assert archive.failures() == []


def test_a_failure_is_kept_until_there_is_a_record(archive: Archive) -> None:
    other = JOB.with_seed(1)
    archive.fail(other, "error", "it  broke\nbadly", "run")
    assert [(failure.kind, failure.reason) for failure in archive.failures()] == [("error", "it broke badly")]
    archive.write(other, *packed(faults.end_of(other), None, 1.0, "cpu"))
    assert archive.failures() == []
    (archive.folder / "failures" / "x.json").write_text("[")
    assert archive.failures() == []
