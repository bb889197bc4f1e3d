"""Files with faults, and what every reader makes of them: an answer, or one line about the input, never another error.

    OMP_NUM_THREADS=1 python -m tests.fuzzing 10000 [--seed 0]

A file that is right is changed: bytes are flipped, cut, doubled or replaced by what parsers stumble over; the header of a point or
of a record is changed and sealed again, so that its checksum is right. Prints a table, and every fault with its change.
"""

import argparse
import copy
import json
import random
import signal
import struct
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file

import landscape as ls
from landscape.archive.lease import _holder
from landscape.archive.records import Archive
from landscape.curvature.counting import locking
from landscape.errors import InputError
from landscape.numbers import parse_decay, parse_number, parse_sizes
from landscape.plain_file import Damaged, read_text
from landscape.points.foreign_weights import WeightsLayout, import_weights
from landscape.proof.checker import LONGEST_TEXT, check
from landscape.seal import METADATA_KEY, sealed
from landscape.structures.notation import parse_range, parse_scales, parse_steps, parse_structure
from landscape.studies.old_prevalence import old_header
from landscape.studies.starts.swap import parse_swap
from landscape.sweep.files import saved_files
from landscape.sweep.filter import rows_where
from landscape.sweep.grid import read_grid
from landscape.sweep.results import read_results

LONGEST = 20.0  # seconds that a reader may take
SMALL = ls.Problem.balanced(classes=3, samples=1, width=3, depth=1, decay=0.02)
SWAPPED = ls.Problem.balanced(classes=3, samples=1, width=4, depth=2, decay=0.02)
GRID = """points = true
zip = [["problem.width", "problem.decay"]]
[problem]
classes = 3
samples = [1, 2]
width = { from = 4, to = 6 }
depth = 2
decay = { from = 1e-4, to = 1e-2, steps = 3 }
[start]
kind = ["random", "dnc", "partition:2,1"]
seed = { from = 0, to = 2 }
[engine]
workers = 2
memory = "2GiB"
partition = "short"
tls = ["ca.pem", "cert.pem", "key.pem"]
"""
TEXTS = (
    b"NaN",
    b"1e999",
    b"-1",
    b"0",
    b"9" * 400,
    b"[" * 3000,
    b'{"a":' * 500,
    b"\x00",
    b"\xff\xfe",
    b'"',
    b"\n",
    b"null",
    b"true",
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1 << 70,
    1e300,
    -0.5,
    "",
    "x" * 50,
    [],
    {},
    [[]],
    "nan",
    "../../etc",
    [1, "a"],
    {"kind": []},
)


def flipped(data: bytes, draw: random.Random) -> bytes:
    """Some bytes are others."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 8))):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


def cut(data: bytes, draw: random.Random) -> bytes:
    """It ends too early, or begins too late."""
    place = draw.randrange(len(data))
    return data[:place] if draw.random() < 0.7 else data[place:]


def spliced(data: bytes, draw: random.Random) -> bytes:
    """A part is what parsers stumble over."""
    begin, length = draw.randrange(len(data)), draw.choice((0, 1, 4, 20))
    return data[:begin] + draw.choice(TEXTS) + data[begin + length :]


def doubled(data: bytes, draw: random.Random) -> bytes:
    """A part is there twice, or somewhere else."""
    begin, length, place = draw.randrange(len(data)), draw.choice((4, 30, 200)), draw.randrange(len(data))
    return data[:place] + data[begin : begin + length] + data[place:]


def resized(data: bytes, draw: random.Random) -> bytes:
    """Eight bytes are another number, such as a length."""
    begin = draw.randrange(0, max(len(data) - 8, 1))
    return data[:begin] + struct.pack("<Q", draw.choice((0, 7, 1 << 20, 1 << 40, (1 << 64) - 1))) + data[begin + 8 :]


CHANGES = (flipped, cut, spliced, doubled, resized)


def altered(value: Any, draw: random.Random) -> Any:
    """Returns a JSON value one part of which is something else, or missing."""
    whole = {"": copy.deepcopy(value)}
    places: list[tuple[Any, Any]] = [(whole, "")]
    for holder, key in places:
        inner = holder[key]
        places += [
            (inner, each) for each in (inner if isinstance(inner, dict) else range(len(inner)) if isinstance(inner, list) else ())
        ]
    holder, key = draw.choice(places[1:] or places)
    if draw.random() < 0.2:
        del holder[key]
    else:
        holder[key] = draw.choice(VALUES)
    return whole.get("", {})


@dataclass(frozen=True)
class Reader:
    """What reads a file, where a right one is, and what is changed in it.

    Attributes:
        path: Where the file is.
        read: What reads it, from its path.
        header: Key of the sealed header in a safetensors file, whose entries are changed too; None if it has none.
    """

    path: Path
    read: Callable[[Path], object]
    header: str | None = None

    def changed(self, draw: random.Random) -> tuple[str, bytes]:
        """Returns the name of a change and the content after it."""
        data = self.path.read_bytes()
        if self.header is not None and draw.random() < 0.5:
            return "header, sealed again", resealed(data, self.header, draw)
        change = draw.choice(CHANGES)
        return change.__name__, change(data, draw)


def resealed(data: bytes, key: str, draw: random.Random) -> bytes:
    """Returns a safetensors file whose own header is changed and has the right checksum."""
    (length,) = struct.unpack("<Q", data[:8])
    outer = json.loads(data[8 : 8 + length])
    inner = altered(json.loads(outer["__metadata__"][key]), draw)
    try:
        outer["__metadata__"][key] = sealed(inner) if isinstance(inner, dict) else json.dumps(inner)
    except ValueError:
        outer["__metadata__"][key] = json.dumps(inner)
    text = json.dumps(outer).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def read_words(path: Path) -> None:
    """Reads a text by everything that reads what users type."""
    text = path.read_bytes().decode("latin-1")
    table = pd.DataFrame({"width": [4, 5], "structure": ["DNC", "zero"]})
    readers: tuple[Callable[[str], object], ...] = (
        *(parse_structure, parse_decay, parse_sizes, parse_scales, parse_steps),
        lambda text: parse_number(text, "a number"),
        lambda text: parse_range(text, "--width"),
        lambda text: rows_where(table, text),
    )
    for reader in readers:
        try:
            reader(text)
        except InputError:
            continue


def read_grid_and_jobs(path: Path) -> None:
    """Reads a grid, and a few of its jobs."""
    for _, job in zip(range(20), read_grid(path).jobs(), strict=False):
        job.digest  # noqa: B018


def read_sweep(path: Path) -> None:
    """Reads the folder of a sweep whose record, failure, lease or marker is changed."""
    folder = next(parent for parent in path.parents if parent.name.startswith("sweep"))
    _holder(folder / "lease")
    archive = Archive.existing(folder)
    archive.failures()
    table, damaged = read_results(folder, provenance=True, failures=True)
    archive.done(set(archive.names()))
    str((table, damaged))


def corpus(folder: Path) -> dict[str, Reader]:
    """Writes right files of every kind, and returns who reads them."""
    point = ls.place(SMALL, ls.Collapse())
    point.save(folder / "point.safetensors")
    (folder / "grid.toml").write_text(GRID)
    (folder / "jobs.toml").write_text(
        "problem = { classes = 3, samples = 1, width = 3, depth = 1, decay = 0.02 }\nengine = { workers = 0 }"
    )
    ls.run_sweep(ls.read_grid(folder / "jobs.toml"), folder / "sweep")
    archive = Archive.existing(folder / "sweep")
    (job,) = ls.read_grid(folder / "jobs.toml").jobs()
    other = job.with_seed(1)
    archive.fail(other, "error", "no reason", "run")
    factors: dict[str, Any] = {name: np.asarray(value) for name, value in point.factors().items()}
    np.savez(folder / "weights.npz", **factors)
    torch.save(point.factors(), folder / "weights.pt")
    save_file({name: value.contiguous() for name, value in point.factors().items()}, folder / "weights.safetensors")
    np.save(folder / "labels.npy", np.array([0, 1, 2]))
    proof: Any = ls.prove(point)
    ls.save_proof(proof, folder / "proof.json")
    (folder / "old").mkdir()
    (folder / "old" / "study.json").write_text(
        json.dumps({"format": 1, "problem": SMALL.as_dict(), "seeds": 3, "scales": [1.0, 1.0]})
    )
    (folder / "words").write_text("partition:6,2,2*small")
    square = torch.eye(3, dtype=torch.float64)
    state = locking.LockingState(square, square, square, square, torch.Generator().get_state(), 1, 2, False)
    locking.save(state, folder / "state.safetensors", {"size": 3})

    readers = networks_and_images(folder)

    def labelled(path: Path) -> object:
        return import_weights(folder / "weights.npz", 0.02, layout=WeightsLayout(labels=str(path)))

    return {
        "grid": Reader(folder / "grid.toml", read_grid_and_jobs),
        "point": Reader(folder / "point.safetensors", ls.load, METADATA_KEY),
        "point of a grid": Reader(folder / "point.safetensors", lambda path: saved_files((path.name,), path.parent), METADATA_KEY),
        "record": Reader(archive.path(job.digest), read_sweep, METADATA_KEY),
        "failure": Reader(folder / "sweep" / "failures" / f"{other.digest}.json", read_sweep),
        "marker": Reader(folder / "sweep" / "sweep.json", read_sweep),
        "lease": Reader(folder / "sweep" / "lease", read_sweep),
        "weights npz": Reader(folder / "weights.npz", lambda path: import_weights(path, 0.02)),
        "weights pt": Reader(folder / "weights.pt", lambda path: import_weights(path, 0.02)),
        "weights safetensors": Reader(folder / "weights.safetensors", lambda path: import_weights(path, 0.02)),
        "labels": Reader(folder / "labels.npy", labelled),
        "proof": Reader(folder / "proof.json", checked),
        "old study": Reader(folder / "old" / "study.json", lambda path: old_header(path.parent)),
        "checkpoint": Reader(folder / "state.safetensors", lambda path: locking.load_state(path, {"size": 3}, torch.device("cpu"))),
        "words": Reader(folder / "words", read_words),
        **readers,
    }


def networks_and_images(folder: Path) -> dict[str, Reader]:
    """Writes right files of networks, images and replaced features, and returns who reads them."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Softplus(), torch.nn.Linear(4, 2)).double()
    batch = (torch.eye(3, dtype=torch.float64), torch.tensor([0, 1, 1]))
    ls.save_network_point(
        folder / "network.safetensors", ls.ModuleLoss(module, torch.nn.functional.cross_entropy, [batch], decay=0.1)
    )
    torch.save({"state_dict": {f"module.{name}": value for name, value in module.state_dict().items()}}, folder / "module.ckpt")
    (folder / "t10k-images-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 1, *range(4)]))
    (folder / "t10k-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 3]))
    (folder / "test_batch.bin").write_bytes(bytes([6] + 3072 * [255]))
    np.save(folder / "gram.npy", np.eye(3))
    np.savetxt(folder / "gram.csv", np.eye(3), delimiter=",")

    def read_swap(path: Path) -> None:
        parse_swap(f"features:{path}").check(SWAPPED)

    return {
        "network point": Reader(folder / "network.safetensors", ls.load_network_point, METADATA_KEY),
        "network checkpoint": Reader(folder / "module.ckpt", lambda path: ls.load_checkpoint(copy.deepcopy(module), path)),
        "images": Reader(folder / "t10k-images-idx3-ubyte", lambda path: ls.idx_images(path.parent, "test")),
        "labels of images": Reader(folder / "t10k-labels-idx1-ubyte", lambda path: ls.idx_images(path.parent, "test")),
        "colour images": Reader(folder / "test_batch.bin", lambda path: ls.cifar10(path.parent, "test")),
        "features npy": Reader(folder / "gram.npy", read_swap),
        "features csv": Reader(folder / "gram.csv", read_swap),
    }


def checked(path: Path) -> str:
    """Checks a proof as the command line does: what it refuses is a ValueError."""
    text = read_text(path, LONGEST_TEXT, "a proof")
    try:
        return check(text)
    except ValueError as error:
        raise InputError(str(error)) from error


def faults(count: int, seed: int = 0, tally: Counter[tuple[str, str]] | None = None) -> Iterator[str]:
    """Yields what came of a change that should not: another error than one about the input, or no end."""

    def over(number: int, frame: object) -> None:
        raise AssertionError(f"no end after {LONGEST:g} s")

    before = signal.signal(signal.SIGALRM, over)
    try:
        with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            readers = corpus(Path(name))
            for number in range(count):
                kind = sorted(readers)[number % len(readers)]
                draw = random.Random(f"{seed} {number}")
                fault, ending = tried(readers[kind], draw)
                if tally is not None:
                    tally[kind, ending] += 1
                if fault:
                    yield f"{kind}, change {number} of seed {seed}, {fault}"
    finally:
        signal.signal(signal.SIGALRM, before)


def tried(reader: Reader, draw: random.Random) -> tuple[str, str]:
    """Returns the fault of a change, or nothing, and how the reader ended; the right file is back afterwards."""
    right = reader.path.read_bytes()
    change, data = reader.changed(draw)
    reader.path.write_bytes(data)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    begin = time.perf_counter()
    try:
        reader.read(reader.path)
    except (InputError, Damaged) as error:
        return ("" if str(error) else f"{change}: no word"), "refused"
    except (Exception, RecursionError) as error:
        return f"{change}: {type(error).__name__}: {error} (after {time.perf_counter() - begin:.1f} s)", "FAULT"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        reader.path.parent.mkdir(exist_ok=True)
        reader.path.write_bytes(right)
    return "", "read"


def main() -> int:
    """Prints the table and the faults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    tally: Counter[tuple[str, str]] = Counter()
    found = list(faults(options.count, options.seed, tally))
    for (kind, ending), times in sorted(tally.items()):
        print(f"{kind:20} {ending:8} {times}")
    print(*found, sep="\n")
    print(f"{len(found)} faults of {options.count}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
