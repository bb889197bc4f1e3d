"""Kills every command that writes with SIGKILL at random moments, and says what is corrupt or lost afterwards.

    OMP_NUM_THREADS=1 python benchmarks/kill9.py FOLDER [--kills 200] [--seed 0] [--only results]

Each command writes over what it wrote before. It is killed at a random moment, in three of four cases when bytes stand under a
temporary name of its own. After each kill every file must be there and whole. What a command writes alike each time must be byte
for byte what it was or what it becomes; points and records must have their checksums, a table of results a row for each record, and
a folder every record that it had. What is half-written stands under temporary names, and those who read the folder must pass it by.
Exit code 1 otherwise. Counts as killed during a write only what left bytes under a new temporary name.
"""

import argparse
import csv
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import landscape as ls
from landscape.archive.records import Archive
from landscape.atomic_files import PARTIAL
from landscape.proof.checker import check

MODEL = ("--problem", "K=4,n=2,d=6,L=2,decay=2**-8")
WRITING = 30.0  # seconds to wait for a write that does not come
GRID = """
[problem]
classes = 4
samples = 2
width = 6
depth = 2
decay = 0.003
[start]
seed = { from = 0, to = 11 }
[engine]
workers = 0
seconds = 0.2
"""
NETWORK = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 3), nn.Softplus(), nn.Linear(3, 2, bias=False))

generator = torch.Generator().manual_seed(1)
data = [(torch.randn(12, 3, generator=generator), torch.randint(2, (12,), generator=generator))]
"""
# a server that has loaded everything and forks for each command: otherwise nearly every kill would hit an import
SERVER = """
import os, sys
import numpy, pandas, pyarrow, torch, matplotlib.pyplot, seaborn, scipy.optimize
import landscape.degeneracy.analysis, landscape.solver.pool, landscape.sweep.run, landscape.report.page
import landscape.studies.prevalence, landscape.plot.spectrum, landscape.plot.atlas, landscape.catalogue.table
from landscape.cli import run
torch.set_num_threads(1)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        os._exit(run(line.rstrip("\\n").split("\\t")))
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


@dataclass(frozen=True)
class Command:
    """A command that writes.

    Attributes:
        words: Its command line.
        targets: What it writes, files or one folder of records.
        whole: Whether what is under a path is whole, where its bytes do not say it.
    """

    words: tuple[str, ...]
    targets: tuple[Path, ...]
    whole: Callable[[Path], bool]

    @property
    def name(self) -> str:
        """The words before the first option or file, and the endings of what it writes."""
        kinds = "".join(target.suffix for target in self.targets)
        return " ".join(self.words[: 2 if self.words[0] == "network" else 1]) + (f" {kinds}" if kinds else "")

    def strays(self) -> dict[str, int]:
        """Returns the bytes under every temporary name of its targets."""
        found: dict[str, int] = {}
        for target in self.targets:
            folder = target.suffix == ""
            places = [target, *(target / "records").glob("*"), target / "verified"] if folder else [target.parent]
            for place in places:
                with suppress(OSError), os.scandir(place) as entries:
                    for entry in entries:
                        if entry.name.startswith("." if folder else f".{target.stem}{PARTIAL}") and PARTIAL in entry.name:
                            with suppress(OSError):
                                found[entry.name] = entry.stat().st_size
        return found

    def kept(self) -> set[str]:
        """Returns the names of its files that are there, or of the records that its folder has."""
        if self.whole is archive:
            return {path.name for path in self.targets[0].glob("records/*/*.safetensors") if PARTIAL not in path.name}
        return {target.name for target in self.targets if target.exists()}

    def contents(self) -> dict[Path, bytes]:
        """Returns what stands in its files."""
        return {target: target.read_bytes() for target in self.targets if target.is_file()}


def point(path: Path) -> bool:
    """Whether a file is a point with its checksums."""
    return ls.load(path).gradient_norm >= 0


def network_point(path: Path) -> bool:
    """Whether a file is the point of a network with its checksums."""
    return bool(ls.load_network_point(path))


def proof(path: Path) -> bool:
    """Whether a file is a proof that is right."""
    return bool(check(path.read_text()))


def page(path: Path) -> bool:
    """Whether a page has its end."""
    return path.read_text().rstrip().endswith("</html>")


def by_bytes(path: Path) -> bool:
    """Nothing but its bytes says whether this file is whole."""
    return False


def archive(path: Path) -> bool:
    """Whether every record of a folder is sound."""
    there = Archive.existing(path)
    return all(there.read(digest).digest == digest for digest in there.names())


def rows_of(sweep: Path) -> Callable[[Path], bool]:
    """Returns what says whether a table has a row for each record of a sweep, and each row all of its columns."""

    def whole(path: Path) -> bool:
        records = sorted(Archive.existing(sweep).names())
        if path.suffix == ".parquet":
            import pandas

            return sorted(pandas.read_parquet(path)["digest"]) == records
        with path.open(newline="") as file:
            heading, *rows = csv.reader(file)
        full = all(len(row) == len(heading) for row in rows) and path.read_text().endswith("\n")
        return full and sorted(row[heading.index("digest")] for row in rows) == records

    return whole


def commands(folder: Path) -> list[Command]:
    """Writes what the commands read, and returns them."""
    import numpy

    (folder / "grid.toml").write_text(GRID)
    (folder / "net.py").write_text(NETWORK)
    (folder / "points").mkdir(exist_ok=True)
    solved = ls.place(ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=2.0**-8), ls.Collapse())
    arrays: dict[str, Any] = {name: numpy.asarray(value) for name, value in solved.factors().items()}
    numpy.savez(folder / "weights.npz", **arrays)
    weights, solution, sweep = str(folder / "weights.npz"), folder / "points" / "solved.safetensors", folder / "sweep"
    named = ("net.py:build", "--data", "net.py:data", "--decay", "1e-2")
    dnc, rows = (*MODEL, "--start", "dnc"), rows_of(sweep)
    phase = ("--classes", "4", "--over", "depth,decay", "--depth", "1:3", "--decay", "1e-4:1e-1", "--steps", "5")

    def made(words: tuple[str, ...], whole: Callable[[Path], bool], **targets: Path) -> Command:
        given = [part for option, target in targets.items() for part in (f"--{option}", str(target))]
        return Command((*words, *given), tuple(targets.values()), whole)

    return [
        made(("solve", *dnc), point, out=solution),
        made(("import", weights, "--decay", "2**-8"), point, out=folder / "points" / "imported.safetensors"),
        made(("spectrum", *dnc), by_bytes, out=folder / "spectrum.csv", plot=folder / "spectrum.svg"),
        made(("atlas", *MODEL), by_bytes, out=folder / "atlas.csv", plot=folder / "atlas.pdf"),
        made(("report", str(solution)), page, out=folder / "report.html"),
        made(("prevalence", *MODEL, "--seeds", "12"), archive, out=folder / "prevalence"),
        made(("sweep", str(folder / "grid.toml")), archive, out=sweep),
        made(("results", str(sweep), "--format", "csv"), rows, out=folder / "results.csv"),
        made(("results", str(sweep), "--format", "parquet"), rows, out=folder / "results.parquet"),
        made(("prove", *dnc), proof, out=folder / "proof.json"),
        made(("phase", *phase), by_bytes, out=folder / "phase.parquet", plot=folder / "phase.png"),
        made(("slice", *dnc, "--steps", "5"), by_bytes, out=folder / "slice.csv", plot=folder / "slice.png"),
        made(("predict", *MODEL, "--starts", "12"), archive, out=folder / "predict"),
        made(("network", "head", weights, "--decay", "2**-8"), point, out=folder / "points" / "head.safetensors"),
        made(("network", "inspect", *named, "--polish"), network_point, out=folder / "network.safetensors"),
        made(("network", "slice", *named, "--steps", "5"), by_bytes, out=folder / "plane.csv", plot=folder / "plane.svg"),
    ]


def readers(folder: Path) -> list[tuple[str, ...]]:
    """Returns commands that read folders in which something half-written may stand."""
    points = folder / "points"
    (folder / "points.toml").write_text('[points]\nfiles = "points/*.safetensors"\n[engine]\nworkers = 0\n')
    return [
        ("report", str(points), "--out", str(folder / "points.html")),
        ("spectrum", str(points), "--out", str(folder / "points.csv")),
        ("sweep", str(folder / "points.toml"), "--out", str(folder / "analysed")),
    ]


class Server:
    """A process that forks for each command, in a folder."""

    def __init__(self, folder: Path) -> None:
        code, given = [sys.executable, "-c", SERVER], {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process: subprocess.Popen[str] = subprocess.Popen(code, cwd=folder, text=True, **given)  # type: ignore[call-overload]

    def begin(self, words: tuple[str, ...]) -> int:
        """Starts a command, and returns its process."""
        assert self.process.stdin is not None
        self.process.stdin.write("\t".join(words) + "\n")
        self.process.stdin.flush()
        return self.heard()

    def heard(self) -> int:
        """Returns the next number that the server says: a process, or how it ended."""
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def run(self, words: tuple[str, ...]) -> int:
        """Runs a command to its end, and returns its exit code."""
        self.begin(words)
        return self.heard()

    def close(self) -> None:
        """Ends it."""
        self.process.stdin.close()  # type: ignore[union-attr]
        self.process.wait()


@dataclass
class Usual:
    """What a command does when nobody kills it.

    Attributes:
        seconds: What it takes.
        written: The bytes of its files, where they are alike each time.
    """

    seconds: float
    written: dict[Path, bytes]


def usual(command: Command, server: Server) -> Usual:
    """Runs a command twice.

    Raises:
        RuntimeError: If it fails, or what it writes is not whole by its own measure.
    """
    first: dict[Path, bytes] | None = None
    for _ in range(2):
        begin = time.monotonic()
        code = server.run(command.words)
        seconds = time.monotonic() - begin
        found = command.contents()
        alike, first = found == first, found
        if code or not command.kept() or not all(command.whole is by_bytes or command.whole(path) for path in command.targets):
            raise RuntimeError(f"{command.name} ends with exit code {code}")
    if command.whole is by_bytes and not alike:
        raise RuntimeError(f"{command.name} writes other bytes each time")
    return Usual(seconds, found if alike else {})


def killed(command: Command, server: Server, seconds: float, draw: random.Random, writing: bool) -> tuple[bool, int | None]:
    """Starts a command and kills it; returns whether that ended it, and the most bytes it left under a temporary name, if any."""
    before = command.strays()
    process, begin = server.begin(command.words), time.monotonic()
    moment = begin + draw.uniform(0, 1.1 * seconds)
    later = draw.choice((0.0, 0.0, draw.uniform(0, 2e-3)))  # after the first bytes: into the rest, the sync, the rename
    while time.monotonic() < (begin + WRITING if writing else moment):
        if writing and any(size for name, size in command.strays().items() if name not in before):
            time.sleep(later)
            break
        if writing and time.monotonic() > begin + 2 * seconds and not Path(f"/proc/{process}").exists():
            break
        time.sleep(1e-4)
    with suppress(ProcessLookupError):
        os.kill(process, 9)
    dead = server.heard() == -9
    return dead, max((size for name, size in command.strays().items() if name not in before), default=None)


def fault(command: Command, there: set[str], before: dict[Path, bytes], known: Usual) -> tuple[bool, bool]:
    """Returns whether something is lost, and whether something is corrupt."""
    lost = bool(there - command.kept())
    if command.whole is archive:
        return lost, command.targets[0].exists() and not archive(command.targets[0])
    for path, content in command.contents().items():
        if content != before.get(path) and content != known.written.get(path):
            if path in known.written and command.whole is by_bytes:
                return lost, True
            try:
                if not command.whole(path):
                    return lost, True
            except Exception as error:
                print(f"{path.name}: {type(error).__name__}: {error}")
                return lost, True
    return lost, False


def main(arguments: list[str] | None = None) -> int:
    """Prints a line per command and the sum."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="the commands whose names begin like this, after all have run once")
    options = parser.parse_args(arguments)
    folder = options.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    draw, server, tally = random.Random(options.seed), Server(folder), Counter[str]()
    every = commands(folder)
    known = {command.words: usual(command, server) for command in every}
    todo = [command for command in every if command.name.startswith(options.only)]
    deaths, faults = Counter[str](), 0
    for number in range(options.kills):
        command = todo[number % len(todo)]
        if command.whole is archive:  # so that there is something to do, part of the records goes
            records = sorted(command.targets[0].glob("records/*/*.safetensors"))
            for path in draw.sample(records, len(records) // 2):
                path.unlink()
        there, before = command.kept(), command.contents()
        dead, left = killed(command, server, known[command.words].seconds, draw, (number // len(todo)) % 4 != 3)
        deaths[command.name] += dead
        tally["killed"] += dead
        tally["left a temporary name"] += left is not None
        tally["during a write"] += bool(left)
        lost, corrupt = fault(command, there, before, known[command.words])
        tally["lost"] += lost
        tally["corrupt"] += corrupt
        if lost or corrupt:
            print(f"FAULT {command.name}, kill {number}, lost {lost}, corrupt {corrupt}", flush=True)
        if command.name.startswith("results"):
            tally["tables of no records"] += not list(Archive.existing(folder / "sweep").names())
        if number % 20 == 19:
            print(dict(tally), flush=True)
    again = {command.name: server.run(command.words) for command in every} | {
        f"{words[0]} of a folder": server.run(words) for words in readers(folder)
    }
    faults = tally["lost"] + tally["corrupt"] + sum(map(bool, again.values()))
    server.close()
    for name, count in deaths.items():
        print(f"{name:24} killed {count}")
    print("exit codes afterwards", again)
    print(f"{options.kills} tries, seed {options.seed}:", ", ".join(f"{value} {name}" for name, value in tally.items()))
    return int(faults > 0)


if __name__ == "__main__":
    raise SystemExit(main())
