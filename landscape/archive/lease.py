"""One driver at a time in a folder of records, so that no work is done twice.

The lease is a lock of the operating system on the file `lease`. It ends with the process that holds it, however that dies, and so
needs no clock and no clearing up. It holds between machines where the file system has locks for them (NFS, GPFS,
Lustre with `flock`); where it has none, two drivers do work twice, and records are still whole.
"""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from landscape.errors import InputError
from landscape.plain_file import Damaged, read_ordinary
from landscape.seal import canonical_json

T = TypeVar("T")
NAME = "lease"
_LONGEST = 10_000  # bytes


@contextmanager
def leased(folder: Path) -> Iterator[None]:
    """Holds the lease of a folder.

    Raises:
        InputError: If another process holds it, or it cannot be written.
    """
    path = folder / NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"expected {folder} for one driver, got {_holder(path)} at work in it: wait for it or end it"
            ) from error
        except OSError:
            pass  # no locks on this file system
        os.ftruncate(descriptor, 0)
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        os.pwrite(descriptor, canonical_json({"host": socket.gethostname(), "process": os.getpid(), "since": now}).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def while_leased(folder: Path, items: Iterable[T]) -> Iterator[T]:
    """Yields the items and holds the lease of a folder from the first to the last.

    Raises:
        InputError: If another process holds it.
    """
    with leased(folder):
        yield from items


def _holder(path: Path) -> str:
    try:
        said = json.loads(read_ordinary(path, _LONGEST, follow=False))
        return f"process {int(said['process'])} of {said['host']!s:.60} since {said['since']!s:.20}"
    except (Damaged, ValueError, KeyError, TypeError, OverflowError, RecursionError):  # 1e999 is infinite
        return "another one"
