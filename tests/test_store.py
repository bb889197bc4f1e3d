"""Files are whole or not there."""

import os
import signal
import subprocess
import sys
import time

import pytest

from landscape.errors import InputError
from landscape.store import check_writable, replacing


def test_the_new_file_replaces_the_old_one(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_failing_writer_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("ne")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half"):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_the_mode_is_that_of_an_ordinary_file(tmp_path):
    (tmp_path / "ordinary").touch()
    with replacing(tmp_path / "ours") as temporary:
        temporary.write_text("x")
        temporary.chmod(0o600)
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


@pytest.mark.parametrize("name", ["missing/a.txt", "."])
def test_unwritable_places_are_bad_input(tmp_path, name):
    with pytest.raises(InputError, match=name.partition("/")[0]), replacing(tmp_path / name):
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
        "from landscape.store import replacing\n"
        "with replacing(pathlib.Path(sys.argv[1])) as temporary:\n"
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
