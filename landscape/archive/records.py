"""The folder of a sweep: one file per finished job under the digest of the job, failures beside them.

    DIR/sweep.json                           whose folder this is
    DIR/records/ab/abcd...safetensors        the existence of a record says that its job is done
    DIR/verified/ab.json                     which records need not be read again
    DIR/lease                                who computes now
    DIR/failures/abcd...json                 why a job has no record; tried again by the next run

A record is written under another name and renamed, and carries checksums of its header and its arrays. Reading one needs neither
torch nor safetensors, follows no link and runs nothing that is in it.
"""

import contextlib
import json
import os
import re
import time
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from landscape.archive.experiment import Experiment
from landscape.archive.index import WORTH, Stamp, files_of, keep_stamps, known_stamps, stamp_of
from landscape.atomic_files import PARTIAL, atomic_write
from landscape.errors import InputError
from landscape.plain_file import Damaged, read_ordinary
from landscape.seal import METADATA_KEY, SEAL, canonical_json, digest_of, seal_of, sealed
from landscape.tensor_file import TensorFile

RECORD_FORMAT = 1
SUFFIX = ".safetensors"
_LONGEST_TEXT = 10_000_000  # bytes of a marker or of a failure
_STALE = 3600.0  # seconds after which what a dead process has left is swept away
_SHARD = re.compile("[0-9a-f]{2}")
_DIGEST_LENGTH = 64


@dataclass(frozen=True)
class Record:
    """Result of a job, as its file has it.

    Attributes:
        digest: Digest of the job, which is also the name of the record.
        job: Settings that identify the job, in JSON types.
        result: End point of the job: outcome, structure, counts.
        provenance: Seconds, host, time and versions: what may differ between two records of one job.
        arrays: Checksum of the arrays that stand beside the header.
    """

    digest: str
    job: dict[str, Any]
    result: dict[str, Any]
    provenance: dict[str, Any]
    arrays: str

    @property
    def content(self) -> str:
        """Digest of everything but the provenance: equal for two records that are equal bit for bit."""
        return digest_of({"job": self.job, "result": self.result, "arrays": self.arrays})


@dataclass(frozen=True)
class Failure:
    """Failure of a job, with the reason why it has no record.

    Attributes:
        digest: Digest of the job, which is also the name of the failure.
        job: Settings that identify the job, in JSON types.
        kind: error, timeout, memory, poisoned or worker; hung if its batch had to be ended and it has not been tried alone.
        reason: Why the job failed, in one line.
        run: Name of the sweep run that saw the failure; another run tries the job again.
    """

    digest: str
    job: dict[str, Any]
    kind: str
    reason: str
    run: str


@dataclass(frozen=True)
class Archive:
    """The folder of a sweep, shared by all that compute into it.

    Attributes:
        folder: Folder that holds the records, the failures and the points.
    """

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> "Archive":
        """Makes the folder, or checks that it is one of a sweep, and sweeps away what dead processes have left in it.

        Raises:
            InputError: If it holds something else or cannot be made.
        """
        marker = folder / "sweep.json"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not marker.exists():
                _require_nothing_else(folder)
                with atomic_write(marker) as temporary:
                    temporary.write_text(canonical_json({"format": RECORD_FORMAT}))
            for part in (folder / "records", folder / "failures"):
                part.mkdir(exist_ok=True)
            _sweep_away(folder)
        except OSError as error:
            raise InputError(f"cannot make the folder {folder}: {error.strerror or error}") from error
        return cls.existing(folder)

    @classmethod
    def planned(cls, folder: Path) -> "Archive | None":
        """Returns the archive of a folder, or None where `create` would make one; changes nothing.

        Raises:
            InputError: Where `create` would raise one.
        """
        there = next(part for part in (folder, *folder.parents) if os.path.lexists(part))
        _require_folder(there)
        if not (folder / "sweep.json").exists():
            if there == folder:
                _require_nothing_else(folder)
            _require_writable(there)
            return None
        archive = cls.existing(folder)
        for _ in archive.names():
            pass  # it looks at every part
        return archive

    @classmethod
    def existing(cls, folder: Path) -> "Archive":
        """Returns the archive of a folder.

        Raises:
            InputError: If it is not that of a sweep, or of another format, or a part of it is a link.
        """
        try:
            header = json.loads(_plain(folder / "sweep.json"))
        except (Damaged, ValueError, RecursionError) as error:
            raise InputError(f"expected the folder of a sweep, got {folder}, which has no sweep.json that can be read") from error
        if not isinstance(header, dict) or header.get("format") != RECORD_FORMAT:
            raise InputError(f"expected a sweep of format {RECORD_FORMAT} in {folder}, got {header!r}: choose another --out")
        for part in (folder / "records", folder / "failures"):
            if os.path.lexists(part):
                _require_folder(part)
        return cls(folder)

    def require_writable(self) -> None:
        """Checks that records may be written, without writing.

        Raises:
            InputError: If not.
        """
        _require_writable(self.folder / "records" if (self.folder / "records").exists() else self.folder)

    def path(self, digest: str) -> Path:
        """Returns where the record of a job is, or would be."""
        return self.folder / "records" / digest[:2] / f"{digest}{SUFFIX}"

    def names(self) -> Iterator[str]:
        """Yields the digests under which there is something.

        Raises:
            InputError: If a part of the folder is a link.
        """
        for shard in self._shards():
            yield from (digest for digest, _ in _named(shard))

    def _shards(self) -> Iterator[Path]:
        for shard in sorted((self.folder / "records").glob("*")):
            if _SHARD.fullmatch(shard.name):  # others are what a file system or a desktop leaves everywhere
                _require_folder(shard)
                yield shard

    def done(
        self, wanted: Iterable[str], check: Callable[[Record], object] = lambda record: None
    ) -> tuple[set[str], dict[str, str]]:
        """Returns which of the jobs have a sound record, and what is wrong with the records that are none: see `examined`."""
        asked = wanted if isinstance(wanted, set | frozenset) else set(wanted)
        found = dict(self.examined(asked, check))
        damaged = {digest: fault for digest, fault in found.items() if fault}
        return found.keys() - damaged.keys(), damaged

    def examined(
        self, wanted: Container[str], check: Callable[[Record], object] = lambda record: None
    ) -> Iterator[tuple[str, str]]:
        """Yields the jobs that have a record, folder by folder, each with what is wrong with the record, or nothing.

        What is wrong is removed: its job is computed again. Records that have been verified, and whose files are still of that
        size and time, are not read.

        Args:
            wanted: Digests of the jobs.
            check: Sees every record that is read and whose checksums are right; what it raises as `Damaged` is wrong too.
        """
        large = self._is_large()
        for shard in self._shards():
            known, fresh = known_stamps(self.folder, shard.name), dict[str, Stamp]()
            for digest, entry in _named(shard):
                if digest not in wanted:
                    continue
                if digest not in known or stamp_of(entry) != known[digest]:
                    try:
                        check(self.read(digest))
                    except Damaged as error:
                        _remove(self.path(digest))
                        yield digest, str(error)
                        continue
                    if large and (stamp := stamp_of(entry)) is not None:
                        fresh[digest] = stamp
                yield digest, ""
            if fresh:
                keep_stamps(self.folder, shard.name, {**known, **fresh})

    def index(self, sound: Container[str]) -> None:
        """Remembers which records are sound, so that the next run need not read them; a small folder is read faster."""
        for shard in self._shards() if self._is_large() else ():
            found = {digest: stamp_of(entry) for digest, entry in _named(shard) if digest in sound}
            stamps = {digest: stamp for digest, stamp in found.items() if stamp is not None}
            if stamps != known_stamps(self.folder, shard.name):
                keep_stamps(self.folder, shard.name, stamps)

    def _is_large(self) -> bool:
        return sum(1 for _ in islice(self.names(), WORTH)) == WORTH

    def read(self, digest: str) -> Record:
        """Returns the record of a job.

        Raises:
            Damaged: If there is none, or what is there is a link, no record, that of another job, or fails a checksum.
        """
        header, raw = _opened(self.path(digest))
        job, result, provenance = (_object(header, key) for key in ("job", "result", "provenance"))
        try:
            seal, name = seal_of(header), digest_of(job)
        except (ValueError, RecursionError) as error:
            raise Damaged("its header is not JSON of finite numbers") from error
        if header.get("format") != RECORD_FORMAT or header.get(SEAL) != seal:
            raise Damaged("its header does not match its checksum")
        if name != digest:
            raise Damaged("it is the record of another job")
        if header.get("sha256") != raw:
            raise Damaged("its arrays do not match their checksum")
        return Record(digest, job, result, provenance, raw)

    def has(self, digest: str) -> bool:
        """Whether there is a file under the name of the record, unread."""
        return self.path(digest).is_file() and not self.path(digest).is_symlink()

    def write(self, job: Experiment, header: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Writes a record, whole or not at all, and forgets that the job has failed.

        Args:
            job: Whose it is.
            header: Header with format, result, provenance and the sha256 of the arrays, as `point.CriticalPoint.contents` makes it.
            arrays: float64 tensors by name.

        Raises:
            InputError: If it cannot be written.
        """
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        path = self.path(job.digest)
        header = {**header, "job": job.identity}
        text = sealed(header)
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror or error}") from error
        _require_folder(path.parent)
        with atomic_write(path) as temporary:
            try:
                save_file(arrays, temporary, metadata={METADATA_KEY: text})
            except SafetensorError as error:
                raise InputError(f"cannot write {path}: {error}") from error
        with contextlib.suppress(OSError):
            self._failure_path(job.digest).unlink()

    def _failure_path(self, digest: str) -> Path:
        return self.folder / "failures" / f"{digest}.json"

    def fail(self, job: Experiment, kind: str, reason: str, run: str) -> Failure:
        """Records why a job has no record.

        Raises:
            InputError: If that cannot be written.
        """
        failure = Failure(job.digest, job.identity, kind, " ".join(reason.split())[:1000] or kind, run)
        with atomic_write(self._failure_path(job.digest)) as temporary:
            temporary.write_text(canonical_json(vars(failure)))
        return failure

    def failure(self, digest: str) -> Failure | None:
        """Returns why a job has no record, where that is known."""
        try:
            fields = json.loads(_plain(self._failure_path(digest)))
            return Failure(**{key: fields[key] for key in ("digest", "job", "kind", "reason", "run")})
        except (Damaged, ValueError, KeyError, TypeError, RecursionError):
            return None

    def failures(self) -> list[Failure]:
        """Returns all that is known, in the order of the digests."""
        digests = sorted(path.stem for path in (self.folder / "failures").glob("*.json") if PARTIAL not in path.name)
        return [failure for digest in digests if (failure := self.failure(digest)) is not None and not self.has(digest)]


def _named(shard: Path) -> "Iterator[tuple[str, os.DirEntry[str]]]":
    """Yields the digest and the entry of everything in a shard that has the name of a record."""
    for entry in files_of(shard):
        name = entry.name.removesuffix(SUFFIX)
        if len(name) == _DIGEST_LENGTH and name[:2] == shard.name:
            yield name, entry


def _require_nothing_else(folder: Path) -> None:
    if any(PARTIAL not in path.name for path in folder.iterdir()):
        raise InputError(f"expected a new folder or that of a sweep, got {folder} with other files: choose another --out")


def _require_writable(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"cannot write in {folder}: choose another --out")


def _require_folder(path: Path) -> None:
    """A link would lead out of the folder of the sweep."""
    if path.is_symlink() or not path.is_dir():
        raise InputError(f"expected a folder, got {path}, which is a link or a file: remove it")


def _sweep_away(folder: Path) -> None:
    """Removes what is half-written, and signs to stop, once whoever made them must be dead."""
    for place in (folder, folder / "failures", folder / "verified", *(folder / "records").glob("*")):
        if not place.is_dir() or place.is_symlink():
            continue
        with os.scandir(place) as entries:
            left = [entry for entry in entries if PARTIAL in entry.name or (place == folder and entry.name.startswith("stop-"))]
        for entry in left:
            with contextlib.suppress(FileNotFoundError):
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > _STALE:
                    os.unlink(entry.path)


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            path.rename(path.parent.parent / f"refused-{path.name}")  # what is in it is not ours to delete
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"expected a record, got {path}, which cannot be removed ({error.strerror}): remove it") from error


def _object(header: dict[str, Any], key: str) -> dict[str, Any]:
    value = header.get(key)
    if not isinstance(value, dict):
        raise Damaged(f"its header has no {key}")
    return value


def _plain(path: Path) -> bytes:
    """Returns what is in a small ordinary file that is no link.

    Raises:
        Damaged: If it is none, or cannot be read.
    """
    return read_ordinary(path, _LONGEST_TEXT, follow=False)


def _opened(path: Path) -> tuple[dict[str, Any], str]:
    """Returns the header in the metadata of a safetensors file, and the checksum of its arrays as `point_file` computes it."""
    with TensorFile.opened(path, follow=False) as file:
        if any(layout.dtype != "float64" for layout in file.layouts.values()):
            raise Damaged("its arrays are not those of a record")
        try:
            header = json.loads(file.metadata[METADATA_KEY])
        except (ValueError, KeyError, RecursionError) as error:
            raise Damaged("it is no safetensors file of landscape") from error
        if not isinstance(header, dict):
            raise Damaged("its header is no object")
        return header, file.digest()
