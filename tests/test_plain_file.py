"""Every reader of files, given what is no plain file: one clear line, at once, and no memory taken."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from landscape.errors import InputError
from landscape.plain_file import Damaged, Missing, file_digest, read_ordinary, read_text

# by reader: the command line, whose FILE is the file; every command that reads a file is here
READERS = {
    "a grid": ["sweep", "FILE.toml", "--out", "records"],
    "a point to show": ["show", "FILE.safetensors"],
    "a point to count": ["degeneracy", "FILE.safetensors"],
    "a point to draw": ["spectrum", "FILE.safetensors"],
    "a point to cut": ["slice", "FILE.safetensors"],
    "a second point": ["slice", "FILE.safetensors", "FILE.safetensors"],
    "a point to prove": ["prove", "FILE.safetensors"],
    "a start": ["solve", "--start", "FILE.safetensors", "--out", "new.safetensors"],
    "a point of a page": ["report", "FILE.safetensors", "--out", "page.html"],
    "a proof": ["check", "FILE.json"],
    "weights (.npz)": ["import", "FILE.npz", "--decay", "1e-2", "--out", "new.safetensors"],
    "weights (.pt)": ["import", "FILE.pt", "--decay", "1e-2", "--out", "new.safetensors"],
    "weights (.safetensors)": ["import", "FILE.safetensors", "--decay", "1e-2", "--out", "new.safetensors"],
    "labels (.npy)": ["import", "good.npz", "--decay", "1e-2", "--out", "new.safetensors", "--labels", "FILE.npy"],
    "labels (.txt)": ["import", "good.npz", "--decay", "1e-2", "--out", "new.safetensors", "--labels", "FILE.txt"],
}
KINDS = ["pipe", "endless device", "folder", "missing", "dangling link", "one byte"]
# one process for all cases, with a limit of memory that an endless file would exceed, so that the fault cannot fill the machine
SCRIPT = """
import contextlib, io, json, os, resource, signal, sys
from landscape.cli import run
import landscape.degeneracy.analysis, landscape.points.foreign_weights, landscape.proof.checker, landscape.report.page
import landscape.studies.slices, landscape.sweep.grid
used = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
resource.setrlimit(resource.RLIMIT_AS, (used + 2_000_000_000,) * 2)
answers = []
for arguments in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    signal.alarm(20)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(arguments)
    answers.append([code, out.getvalue(), err.getvalue()])
signal.alarm(0)
print(json.dumps(answers))
"""


def made(kind: str, path: Path) -> None:
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "endless device":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
        case "dangling link":
            path.symlink_to("nowhere")
        case "one byte":
            path.write_bytes(b"[")


@pytest.mark.slow
def test_no_reader_waits_for_a_pipe_or_follows_a_device_or_fails_in_words_of_python(tmp_path: Path) -> None:
    import json

    np.savez(tmp_path / "good.npz", H_1=np.ones((6, 8)), W_1=np.ones((6, 6)), W_2=np.ones((4, 6)))
    cases, arguments = [], []
    for kind in KINDS:
        for name, words in READERS.items():
            stem = f"{kind.replace(' ', '_')}"
            wanted = next(word for word in words if word.startswith("FILE"))
            path = tmp_path / wanted.replace("FILE", stem)
            if not path.exists() and not path.is_symlink():
                made(kind, path)
            if kind == "folder" and name == "a point of a page":
                continue  # a folder is what a page may be of
            cases.append((kind, name, path.name))
            arguments.append([word.replace("FILE", stem) for word in words])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps(arguments),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers = json.loads(done.stdout.splitlines()[-1])
    for (kind, name, file), (code, out, err) in zip(cases, answers, strict=True):
        refused = 1 if (name, kind) == ("a proof", "one byte") else 2  # any text is a proof that proves nothing
        assert (code, out) == (refused, ""), (kind, name, err)
        assert err.startswith("landscape: "), (kind, name, err)
        assert err.count("\n") == 1, (kind, name, err)
        assert len(err) <= 301, (kind, name, err)
        if refused == 2:
            assert file in err, (kind, name, err)
    assert len(answers) == len(KINDS) * len(READERS) - 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_reader_itself(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    made(kind, path)
    if kind == "one byte":
        assert read_ordinary(path, 1) == b"["
        assert read_text(path, 1, "a letter") == "["
        assert file_digest(path) == "245843abef9e72e7efac30138a994bf6301e7e1d7d7042a33d42e863d2638811"
        with pytest.raises(Damaged, match="longer than 0 bytes"):
            read_ordinary(path, 0)
        return
    for reader in (lambda: read_ordinary(path, 10), lambda: file_digest(path)):
        with pytest.raises(Missing if kind in ("missing", "dangling link") else Damaged):
            reader()
    with pytest.raises(InputError, match=str(path)):
        read_text(path, 10, "a letter")


def test_links_are_refused_where_they_are_not_followed_and_text_must_be_utf_8(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xff")
    (tmp_path / "link").symlink_to("file")
    assert read_ordinary(tmp_path / "link", 1) == b"\xff"
    with pytest.raises(Damaged, match="symbolic link"):
        read_ordinary(tmp_path / "link", 1, follow=False)
    with pytest.raises(InputError, match="no UTF-8"):
        read_text(tmp_path / "file", 1, "a letter")
    with pytest.raises(Damaged, match="cannot be opened"):
        read_ordinary(tmp_path / "a\0b", 1)


def test_a_small_archive_of_endless_zeros_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from landscape.points.foreign_arrays import read_arrays

    np.savez_compressed(tmp_path / "bomb.npz", H_1=np.zeros(2_000_000))
    assert (tmp_path / "bomb.npz").stat().st_size < 100_000
    monkeypatch.setenv("LANDSCAPE_MEMORY", "10MB")
    with pytest.raises(InputError, match=r"expected work within 0\.01 GB of memory, got the file bomb.npz"):
        read_arrays(tmp_path / "bomb.npz")
    monkeypatch.setenv("LANDSCAPE_MEMORY", "20MB")
    assert read_arrays(tmp_path / "bomb.npz").tensors["H_1"].shape == (2_000_000,)
