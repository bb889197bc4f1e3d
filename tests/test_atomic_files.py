"""Files are whole or not there."""

import errno
import glob
import os
import signal
import stat
import subprocess
import sys
import time

import pytest

from landscape.atomic_files import PARTIAL, atomic_write, check_writable
from landscape.errors import InputError


def test_the_new_file_replaces_the_old_one(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_failing_writer_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with atomic_write(path) as temporary:
            temporary.write_text("ne")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half"):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_the_mode_is_that_of_an_ordinary_file(tmp_path):
    (tmp_path / "ordinary").touch()
    with atomic_write(tmp_path / "ours") as temporary:
        temporary.write_text("x")
        temporary.chmod(0o600)
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


@pytest.mark.parametrize("name", ["missing/a.txt", "."])
def test_unwritable_places_are_bad_input(tmp_path, name):
    with pytest.raises(InputError, match=name.partition("/")[0]), atomic_write(tmp_path / name):
        pass
    with pytest.raises(InputError, match=name.partition("/")[0]):
        check_writable(tmp_path / name)


def test_checking_a_path_changes_nothing(tmp_path):
    path = tmp_path / "a.txt"
    check_writable(path)
    assert os.listdir(tmp_path) == []
    path.write_text("old")
    check_writable(path)
    assert path.read_text() == "old"


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = (
        "import pathlib, sys, time\n"
        "from landscape.atomic_files import atomic_write\n"
        "with atomic_write(pathlib.Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('ne')\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    time.sleep(0.05)
    assert path.read_text() == "old"


def _written(path) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text("half")


@pytest.mark.parametrize("work", [check_writable, _written])
def test_what_a_killed_process_leaves_is_passed_by_and_hidden_from_a_shell(tmp_path, monkeypatch, work):
    """A process that is killed while it tries whether it can write, or while it writes, cleans nothing up."""

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        monkeypatch.setattr(type(tmp_path), "unlink", lambda path, missing_ok=False: None)
        raise Killed

    monkeypatch.setattr(type(tmp_path), "unlink", die)
    monkeypatch.setattr(os, "replace", die)
    with pytest.raises(Killed):
        work(tmp_path / "a.csv")
    (left,) = os.listdir(tmp_path)
    assert PARTIAL in left
    assert left.endswith(".csv")
    assert glob.glob("*.csv", root_dir=tmp_path) == []


@pytest.fixture
def steps(monkeypatch):
    """Returns what was done to files so far, in order, each as a word and what it was done to."""
    done: list[tuple[str, str]] = []
    replace, sync = os.replace, os.fsync

    def replaced(old, new) -> None:
        done.append(("replace", os.path.basename(new)))
        replace(old, new)

    def synced(descriptor: int) -> None:
        sort = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        done.append((f"sync {sort}", os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))))
        sync(descriptor)

    monkeypatch.setattr(os, "replace", replaced)
    monkeypatch.setattr(os, "fsync", synced)
    return done


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="names of open files are those of Linux")
def test_the_data_is_synced_before_the_rename_and_the_folder_after_it(tmp_path, steps):
    with atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
        name = temporary.name
        assert not steps
    assert steps == [("sync file", name), ("replace", "a.txt"), ("sync folder", tmp_path.name)]


def test_a_rename_and_no_copy_puts_the_file_in_place(tmp_path):
    """What is in place is the very file that was written: a copy would be half there for a while."""
    (tmp_path / "a.txt").write_text("old")
    with atomic_write(tmp_path / "a.txt") as temporary, (tmp_path / "a.txt").open() as reader:
        temporary.write_text("new")
        written = temporary.stat().st_ino
    assert (tmp_path / "a.txt").stat().st_ino == written
    with (tmp_path / "b.txt").open("w") as handle:
        handle.write("old")
    with (tmp_path / "b.txt").open() as reader:
        with atomic_write(tmp_path / "b.txt") as temporary:
            temporary.write_text("new")
        assert reader.read() == "old"  # who had it open still reads the old one


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_disk_that_fails_at_the_end_leaves_the_old_file(tmp_path, monkeypatch, broken):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, broken, fail)
    with pytest.raises(InputError, match="Input/output error"), atomic_write(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_link_is_refused_and_its_target_stays(tmp_path):
    (tmp_path / "target").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with (
        pytest.raises(InputError, match=r"a link to .*target: name that file itself"),
        atomic_write(tmp_path / "link") as temporary,
    ):
        temporary.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "mine"
