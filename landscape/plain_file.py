"""The one reader of plain files: it waits for no pipe, takes no endless device for a file, and reads no more than it was allowed.

Every reader of the package begins here: grids, records, labels, weights, points, proofs. Neither numpy nor torch is loaded.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from landscape.errors import InputError

_BLOCK = 1 << 20  # bytes that are read at once for a digest


class Damaged(ValueError):
    """A file that is not what its name or its header says; the message is a clause about it, such as "it is cut short"."""


class Missing(Damaged):
    """There is no file under the name."""


@contextmanager
def ordinary(path: Path, follow: bool = True) -> Iterator[BinaryIO]:
    """Yields an ordinary file, open for reading. It neither waits for a pipe nor opens a device or a folder.

    Args:
        path: Path of the file.
        follow: Whether it may be a symbolic link.

    Raises:
        Damaged: If it is something else or cannot be opened.
    """
    try:
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
        descriptor = os.open(path, flags)
    except FileNotFoundError as error:
        raise Missing("it does not exist") from error
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        linked = not follow and path.is_symlink()
        reason = getattr(error, "strerror", None) or error
        raise Damaged("it is a symbolic link" if linked else f"it cannot be opened ({reason})") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Damaged("it is no ordinary file")
        with open(descriptor, "rb", closefd=False) as handle:
            yield handle
    finally:
        os.close(descriptor)


def read_ordinary(path: Path, longest: int, follow: bool = True) -> bytes:
    """Returns what is in an ordinary file of at most `longest` bytes.

    Raises:
        Damaged: If it is something else, longer, or cannot be read.
    """
    with ordinary(path, follow) as handle:
        try:
            if os.fstat(handle.fileno()).st_size > longest:
                raise Damaged(f"it is longer than {longest} bytes")
            data = handle.read(longest + 1)  # some files of the system say that they are empty
        except OSError as error:
            raise Damaged(f"it cannot be read ({error.strerror})") from error
    if len(data) > longest:
        raise Damaged(f"it is longer than {longest} bytes")
    return data


def file_digest(path: Path) -> str:
    """Returns the sha256 of an ordinary file, a block of it in memory at a time.

    Raises:
        Damaged: If it is something else or cannot be read.
    """
    digest = hashlib.sha256()
    with ordinary(path) as handle:
        try:
            while block := handle.read(_BLOCK):
                digest.update(block)
        except OSError as error:
            raise Damaged(f"it cannot be read ({error.strerror})") from error
    return digest.hexdigest()


def read_text(path: Path, longest: int, wanted: str) -> str:
    """Returns the text of a file that a user named.

    Args:
        path: The file; it may be a symbolic link.
        longest: The number of bytes that it may have.
        wanted: What it should be, for the error: "a proof".

    Raises:
        InputError: If it is missing, no ordinary file, too long, or no UTF-8.
    """
    try:
        return read_ordinary(path, longest).decode("utf-8")
    except Missing as error:
        raise InputError(f"no such file: {path}") from error
    except Damaged as error:
        raise InputError(f"expected {wanted}, got {path}: {error}") from error
    except UnicodeDecodeError as error:
        reason = f"{error.reason} at byte {error.start}"
        raise InputError(f"expected {wanted}, got {path}, which cannot be read as text: it is no UTF-8 ({reason})") from error
