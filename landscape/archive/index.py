"""Which records of a folder have been verified, and what their files were then: so that a finished folder is not read again.

One sealed file for each folder of records, `DIR/verified/ab.json`, with size and time of change of every record. A record whose
file has both is taken for verified; any other is read. The index is no evidence for anybody but the next run: `landscape results`
reads every record, and a folder without an index is whole.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from landscape.atomic_files import atomic_write
from landscape.errors import InputError
from landscape.plain_file import Damaged, read_ordinary
from landscape.seal import SEAL, seal_of, sealed

WORTH = 2_000  # records from which on reading them again takes longer than an index
NAME = "verified"
_LONGEST = 1_000_000_000  # bytes of one file
Stamp = tuple[int, int]  # bytes, and nanoseconds of the last change


def stamp_of(entry: "os.DirEntry[str] | Path") -> Stamp | None:
    """Returns the stamp of a file; None if it is a link or not there."""
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns) if not entry.is_symlink() else None


def known_stamps(folder: Path, shard: str) -> dict[str, Stamp]:
    """Returns the stamps of the verified records of a shard, by digest; none if there is no index that can be trusted."""
    try:
        found = json.loads(read_ordinary(folder / NAME / f"{shard}.json", _LONGEST, follow=False))
        if found[SEAL] != seal_of(found):
            return {}
        return {str(digest): (int(size), int(changed)) for digest, (size, changed) in found["stamps"].items()}
    except (Damaged, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def keep_stamps(folder: Path, shard: str, stamps: dict[str, Stamp]) -> None:
    """Writes the index of a shard; where that cannot be written there is none, and the next run reads the records."""
    try:
        (folder / NAME).mkdir(exist_ok=True)
        with atomic_write(folder / NAME / f"{shard}.json") as temporary:
            temporary.write_text(sealed({"stamps": {digest: list(stamp) for digest, stamp in stamps.items()}}))
    except (InputError, OSError):
        pass


def files_of(shard: Path) -> Iterator["os.DirEntry[str]"]:
    """Yields what is in the folder of a shard, in the order of the names."""
    with os.scandir(shard) as entries:
        yield from sorted(entries, key=lambda entry: entry.name)
