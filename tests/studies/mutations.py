"""Harm done to the folder of a prevalence, seeded: every mutation is noticed, or what it spoiled is computed again.

`python -m tests.studies.mutations` tries 400 of them, and writes how each ended to mutations.tsv; the suite tries the first tenth.
"""

import contextlib
import io
import json
import logging
import os
import random
import shutil
import signal
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from landscape.archive.records import Archive
from landscape.cli import run
from landscape.seal import METADATA_KEY, sealed

TABLE, MANY = Path(__file__).with_name("mutations.tsv"), 400
SEEDS = 12
COMMAND = ["prevalence", "--classes", "4", "--samples", "1", "--width", "4", "--depth", "2", "--decay", "1e-2"]
COMMAND += ["--seeds", str(SEEDS), "--json", "--out"]
_LONGEST = 60  # seconds of one command: a pipe that is waited for would hang it
_DEEP = 200_000
_OLD = 10 * 365 * 86_400.0  # seconds since 1970 of a file that a dead process left

Random = random.Random


@dataclass(frozen=True)
class Answer:
    """What the command said of a folder.

    Attributes:
        code: Its exit code.
        counts: How often each structure was found, with the facts about it; empty if it refused.
        said: Lines of standard error and of the log.
    """

    code: int
    counts: dict[str, object]
    said: tuple[str, ...]


def ask(folder: Path) -> Answer:
    """Runs the command on a folder. What it raises is a traceback to a user, and passes through."""
    out, err, lines = io.StringIO(), io.StringIO(), _Lines()
    logger = logging.getLogger("landscape")
    logger.addHandler(lines)
    before = signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(_LONGEST)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run([*COMMAND, str(folder)])
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        logger.removeHandler(lines)
    shown = json.loads(out.getvalue()) if out.getvalue() else {}
    counts = {name: shown[name] for name in ("counts", "structures", "intervals", "non_converged") if name in shown}
    return Answer(code, counts, (*err.getvalue().splitlines(), *lines.texts))


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def _too_long(number: int, frame: object) -> None:
    raise TimeoutError(f"no answer after {_LONGEST} s")


def records(folder: Path) -> list[Path]:
    return sorted(folder.glob("records/*/*.safetensors"))


def header_of(path: Path) -> tuple[dict[str, object], dict[str, object], bytes]:
    """Returns the header of a record, that of its safetensors file, and its arrays."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    entries = json.loads(data[8 : 8 + length])
    return json.loads(entries["__metadata__"][METADATA_KEY]), entries, data[8 + length :]


def put(path: Path, text: str, entries: dict[str, object], arrays: bytes) -> None:
    """Writes a record with this text as its header, at the lengths that safetensors wants."""
    header = json.dumps({**entries, "__metadata__": {METADATA_KEY: text}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + arrays)


def edited(folder: Path, draw: Random) -> None:
    """A fact of a record is another one; its seal is the old one."""
    for path in draw.sample(records(folder), draw.randint(1, 3)):
        header, entries, arrays = header_of(path)
        fact, value = draw.choice([("structure", "unnamed rank 2"), ("nullity", 0), ("index", 7), ("loss", 0.5), ("rank", 1)])
        header["result"][fact] = value  # type: ignore[index]
        put(path, json.dumps(header), entries, arrays)


def resealed(folder: Path, draw: Random) -> None:
    """A fact is of another type, under a seal that is right."""
    path = draw.choice(records(folder))
    header, entries, arrays = header_of(path)
    fact = draw.choice(["structure", "nullity", "index", "loss", "rank", "singular", "outcome", "steps"])
    header["result"][fact] = draw.choice([{"a": 1}, [[1]], True, ["x"]])  # type: ignore[index]
    put(path, sealed(header), entries, arrays)


def of_another_job(folder: Path, draw: Random) -> None:
    """The identity in a record is that of another seed, under a seal that is right."""
    path = draw.choice(records(folder))
    header, entries, arrays = header_of(path)
    header["job"]["start"]["seed"] += 1000  # type: ignore[index]
    put(path, sealed(header), entries, arrays)


def flipped(folder: Path, draw: Random) -> None:
    path = draw.choice(records(folder))
    data = bytearray(path.read_bytes())
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    path.write_bytes(bytes(data))


def copied(folder: Path, draw: Random) -> None:
    """A record takes the places of others."""
    first, *others = draw.sample(records(folder), draw.randint(2, 4))
    for other in others:
        shutil.copy(first, other)


def copied_elsewhere(folder: Path, draw: Random) -> None:
    """A record also stands under a name that no job has."""
    name = f"{draw.getrandbits(256):064x}"
    place = folder / "records" / name[:2] / f"{name}.safetensors"
    place.parent.mkdir(exist_ok=True)
    shutil.copy(draw.choice(records(folder)), place)


def swapped(folder: Path, draw: Random) -> None:
    one, other = draw.sample(records(folder), 2)
    spare = folder / "spare"
    one.rename(spare)
    other.rename(one)
    spare.rename(other)


def cut(folder: Path, draw: Random) -> None:
    for path in draw.sample(records(folder), draw.randint(1, 3)):
        os.truncate(path, draw.randrange(path.stat().st_size))


def grown(folder: Path, draw: Random) -> None:
    path = draw.choice(records(folder))
    if draw.random() < 0.5:
        path.write_bytes(path.read_bytes() + b"\0" * draw.randint(1, 64))
    else:
        os.truncate(path, 1 << 43)  # more than the memory, and nothing on the disk


def deep(folder: Path, draw: Random) -> None:
    """JSON that is nested deeper than a parser recurses: the file's header, the record's header, or a part of it."""
    path, nested = draw.choice(records(folder)), "[" * _DEEP + "]" * _DEEP
    header, entries, arrays = header_of(path)
    match draw.randrange(3):
        case 0:
            path.write_bytes(struct.pack("<Q", len(nested)) + nested.encode())
        case 1:
            put(path, nested, entries, arrays)
        case _:
            put(path, json.dumps(header)[:-1] + f',"extra":{nested}}}', entries, arrays)


def linked(folder: Path, draw: Random) -> None:
    """A record is a link: to itself moved elsewhere, to another record, to nothing, or to itself."""
    path, other = draw.sample(records(folder), 2)
    target = {0: folder.parent / "outside.safetensors", 1: other, 2: Path("nowhere"), 3: path}[draw.randrange(4)]
    if target.name == "outside.safetensors":
        shutil.copy(path, target)
    path.unlink()
    path.symlink_to(target)


def part_linked(folder: Path, draw: Random) -> None:
    """A folder of the archive is a link to where it was moved."""
    part = draw.choice([folder / "records", folder / "failures", draw.choice(records(folder)).parent])
    part.rename(folder.parent / "moved")
    part.symlink_to(folder.parent / "moved")


def lost(folder: Path, draw: Random) -> None:
    for path in draw.sample(records(folder), draw.randint(1, SEEDS // 2)):
        path.unlink()


def part_lost(folder: Path, draw: Random) -> None:
    shutil.rmtree(draw.choice([folder / "records", folder / "failures", draw.choice(records(folder)).parent]))


def piped(folder: Path, draw: Random) -> None:
    """A pipe that nobody writes to stands in a place of the archive."""
    path = draw.choice(records(folder))
    places = [path, path, path.parent, folder / "sweep.json", folder / "failures", folder / "failures" / f"{'0' * 64}.json"]
    place = draw.choice(places)
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    os.mkfifo(place)


def foldered(folder: Path, draw: Random) -> None:
    path = draw.choice(records(folder))
    path.unlink()
    path.mkdir()
    (path / "thesis.tex").touch()


def marker(folder: Path, draw: Random) -> None:
    """What says whose folder it is says something else, is nested too deep, or is gone."""
    place = folder / "sweep.json"
    texts = ["", "{", "[]", '{"format":99}', '{"format":[1]}', "[" * _DEEP, '{"format":1', "\udcff"]
    text = draw.choice([*texts, None])
    if text is None:
        place.unlink()
    else:
        place.write_text(text, errors="surrogateescape")


def stray(folder: Path, draw: Random) -> None:
    """Half-written files of a process that is dead, and of one that may live."""
    path = draw.choice(records(folder))
    names = [
        path.parent / f"{path.stem}.partial-{draw.getrandbits(32):08x}.safetensors",
        folder / "stop-1",
        folder / "records/.DS_Store",
    ]
    for name in names:
        name.write_bytes(path.read_bytes()[:100])
        if draw.random() < 0.5:
            os.utime(name, (_OLD, _OLD))


MUTATIONS: tuple[Callable[[Path, Random], None], ...] = (
    *(edited, resealed, of_another_job, flipped, copied, copied_elsewhere, swapped, cut, grown, deep),
    *(linked, part_linked, lost, part_lost, piped, foldered, marker, stray),
)


@dataclass(frozen=True)
class Outcome:
    """How one mutation ended.

    Attributes:
        name: Of the mutation.
        ending: "refused" in one line, "computed again", or "no harm": everything that was asked for was there and sound.
        fault: What should not have happened; empty if all is well.
    """

    name: str
    ending: str
    fault: str = ""


def mutate(whole: Path, expected: Answer, contents: dict[str, str], place: Path, number: int) -> Outcome:
    """Copies a sound folder, harms the copy, runs the command on it, and compares."""
    change, draw = MUTATIONS[number % len(MUTATIONS)], Random(number)
    folder = place / "folder"
    shutil.copytree(whole, folder)
    change(folder, draw)
    try:
        before = sound(folder)
        answer = ask(folder)
    except Exception as error:
        return Outcome(change.__name__, "traceback", f"{type(error).__name__}: {error}")
    if answer.code == 2:
        fault = "" if len(answer.said) == 1 and not answer.counts else f"more than one line: {answer.said}"
        return Outcome(change.__name__, "refused", fault)
    if (answer.code, answer.counts) != (expected.code, expected.counts):
        return Outcome(change.__name__, "miscounted", f"{answer.counts} instead of {expected.counts}")
    if sound(folder) != contents:
        return Outcome(change.__name__, "not repaired", "the records are not those of the unharmed run")
    if before != contents and change not in (lost, part_lost) and not any("was refused" in line for line in answer.said):
        return Outcome(change.__name__, "silent", f"a record was made again without a word: {answer.said}")
    return Outcome(change.__name__, "no harm" if before == contents else "computed again")


def sound(folder: Path) -> dict[str, str]:
    """Returns the content of every sound record of the seeds, by digest."""
    found = {}
    for path in records(folder):
        with contextlib.suppress(ValueError):
            record = Archive(folder).read(path.stem)
            found[path.stem] = record.content
    return found


def outcomes(count: int, first: int = 0) -> Iterator[Outcome]:
    """Yields how mutations `first` .. `first + count - 1` ended."""
    with tempfile.TemporaryDirectory() as name:
        whole = Path(name) / "whole"
        expected = ask(whole)
        contents = sound(whole)
        if len(contents) != SEEDS or expected.code:
            raise RuntimeError(f"expected {SEEDS} records, got {len(contents)}: {expected.said}")
        for number in range(first, first + count):
            place = Path(name) / f"{number}"
            place.mkdir()
            yield mutate(whole, expected, contents, place, number)
            shutil.rmtree(place)


def main() -> int:
    """Writes the table, prints the endings and every fault."""
    found = list(outcomes(MANY))
    TABLE.write_text("".join(f"{each.name}\t{each.ending}\n" for each in found))
    for each in found:
        if each.fault:
            print(f"FAULT {each.name}: {each.fault[:300]}")
    faults = sum(bool(each.fault) for each in found)
    print(dict(Counter(each.ending for each in found)), f"{faults} faults of {len(found)}")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
