"""Files that are written whole or not at all."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from landscape.errors import InputError

PARTIAL = ".partial-"  # in the name of a file that is not finished, or only tries whether one can be written


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary name in the folder of `path`; what is written there takes the place of `path` on success.

    The data and the folder are synced before and after the rename, so a crash leaves the old file or the new one.

    Raises:
        InputError: If the folder is missing or cannot be written to.
    """
    temporary = _temporary(path)
    try:
        _refuse_special(path)
        temporary.touch(exist_ok=False)
        mode = temporary.stat().st_mode
        yield temporary
        temporary.chmod(mode)  # some writers make files that only their owner can read
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Raises an InputError now if `path` cannot be written, before hours of work are spent on what should go there."""
    _refuse_special(path)
    probe = _temporary(path)  # a process killed now leaves a name that every reader of folders passes by
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def _temporary(path: Path) -> Path:
    """Returns a name that no other process has: those of two hosts may share a number.

    It keeps the suffix, from which writers guess the format, and begins with a dot, so that the patterns of a shell pass it by.
    """
    return path.with_name(f".{path.stem}{PARTIAL}{uuid.uuid4().hex}{path.suffix}")


def _refuse_special(path: Path) -> None:
    """A rename would replace a device, a pipe or a link by an ordinary file, for everyone if root does it."""
    if path.is_symlink():
        raise InputError(f"expected the name of a file to write, got {path}, a link to {os.readlink(path)}: name that file itself")
    if path.exists() and not path.is_file():
        raise InputError(f"expected the name of a file to write, got {path}, which is a folder or a device")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
