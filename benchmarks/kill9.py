"""Kills every command that writes with SIGKILL at random moments, and says what is corrupt or lost afterwards.

    OMP_NUM_THREADS=1 python benchmarks/kill9.py FOLDER [--kills 200] [--seed 0]

Each command writes over what it wrote before. It is killed at a random moment, in three of four cases when a temporary name of a
file that is being written stands in its folder. After each kill every file must be there and whole: points and records with their
checksums, tables and pages to their end, and a sweep or a prevalence must still have every record that it had. What is half-written
may stand beside them under a temporary name. Exit code 1 otherwise.
"""

import argparse
import csv
import json
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

MODEL = "K=4,n=2,d=6,L=2,decay=2**-8"
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
        target: What it writes.
        whole: Whether what is under a path is whole.
    """

    words: tuple[str, ...]
    target: Path
    whole: Callable[[Path], bool]


def point(path: Path) -> bool:
    """Whether a file is a point with its checksums."""
    return ls.load(path).gradient_norm >= 0


def table(path: Path) -> bool:
    """Whether a file is a table with its last line, as wide as the first; one of no records has the first alone."""
    if path.suffix == ".parquet":
        import pandas

        return len(pandas.read_parquet(path)) > 0
    with path.open(newline="") as file:
        widths = {len(row) for row in csv.reader(file)}
    return path.read_text().endswith("\n") and len(widths) == 1


def page(path: Path) -> bool:
    """Whether a page has its end."""
    return path.read_text().rstrip().endswith("</html>")


def archive(path: Path) -> bool:
    """Whether every record of a folder is sound."""
    there = Archive.existing(path)
    return all(there.read(digest).digest == digest for digest in there.names())


def commands(folder: Path) -> list[Command]:
    """Writes what the commands read, and returns them."""
    (folder / "grid.toml").write_text(
        "[problem]\nclasses = 4\nsamples = 2\nwidth = 6\ndepth = 2\ndecay = 0.003\n[start]\nseed = { from = 0, to = 11 }\n"
        "[engine]\nworkers = 0\nseconds = 0.2\n"
    )
    import numpy

    solved = ls.place(ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=2.0**-8), ls.Collapse())
    arrays: dict[str, Any] = {name: numpy.asarray(value) for name, value in solved.factors().items()}
    numpy.savez(folder / "weights.npz", **arrays)
    names = {name: str(folder / name) for name in ("p", "i", "s", "a", "r", "prev", "sweep", "results")}
    files = {
        key: f"{names[key]}.{end}"
        for key, end in {"p": "safetensors", "i": "safetensors", "s": "csv", "a": "csv", "r": "html"}.items()
    }
    table_file = f"{names['results']}.csv"
    given = ("--problem", MODEL)
    return [
        Command(("solve", *given, "--start", "dnc", "--out", files["p"]), Path(files["p"]), point),
        Command(("import", str(folder / "weights.npz"), "--decay", "2**-8", "--out", files["i"]), Path(files["i"]), point),
        Command(("spectrum", *given, "--start", "dnc", "--out", files["s"]), Path(files["s"]), table),
        Command(("atlas", *given, "--out", files["a"]), Path(files["a"]), table),
        Command(("report", files["p"], "--out", files["r"]), Path(files["r"]), page),
        Command(("prevalence", *given, "--seeds", "12", "--out", names["prev"]), Path(names["prev"]), archive),
        Command(("sweep", str(folder / "grid.toml"), "--out", names["sweep"]), Path(names["sweep"]), archive),
        Command(("results", names["sweep"], "--format", "csv", "--out", table_file), Path(table_file), table),
    ]


class Server:
    """A process that forks for each command."""

    def __init__(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

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

    def close(self) -> None:
        """Ends it."""
        self.process.stdin.close()  # type: ignore[union-attr]
        self.process.wait()


def kill(process: int) -> None:
    """Kills one process that we have started."""
    with suppress(ProcessLookupError):
        os.kill(process, 9)


def half_written(target: Path) -> bool:
    """Whether something is being written now: a temporary name stands there."""
    places = [target.parent] if not target.is_dir() else [target, *(target / "records").glob("*"), target / "verified"]
    for place in places:
        try:
            if any(PARTIAL in name for name in os.listdir(place)):
                return True
        except OSError:
            continue
    return False


def kept(target: Path) -> set[str]:
    """Returns the names of the records that a folder has; of a file, whether it is there."""
    if target.is_dir():
        return {path.name for path in target.glob("records/*/*.safetensors") if PARTIAL not in path.name}
    return {target.name} if target.exists() else set()


def main() -> int:
    """Prints a line per command and the sum."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    draw, server, tally = random.Random(options.seed), Server(), Counter[str]()
    todo, usual = commands(options.folder), {}
    for command in todo:
        begin = time.monotonic()
        server.begin(command.words)
        code = server.heard()
        usual[command.words[0]] = time.monotonic() - begin
        print(f"{command.words[0]}: {usual[command.words[0]]:.1f} s", flush=True)
        if code or not command.whole(command.target):
            print(f"{command.words[0]} ends with exit code {code}")
            return 1
    for number in range(options.kills):
        command = todo[number % len(todo)]
        name = command.words[0]
        if command.whole is archive:  # so that there is something to do, part of the records goes
            records = sorted(command.target.glob("records/*/*.safetensors"))
            for path in draw.sample(records, len(records) // 2):
                path.unlink()
        before = kept(command.target)
        process, begin = server.begin(command.words), time.monotonic()
        moment, writing = begin + draw.uniform(0, 1.1 * usual[name]), number % 4 != 3
        while time.monotonic() < (begin + 3 * usual[name] if writing else moment):
            if writing and time.monotonic() > begin + 0.5 * (moment - begin) and half_written(command.target):
                break
            time.sleep(2e-4)
        during = half_written(command.target)
        kill(process)
        dead = server.heard() == -9
        tally["killed"] += dead
        tally["during a write"] += dead and (half_written(command.target) or during)
        tally[f"killed {name}"] += 1
        if number % 10 == 9:
            print(dict(tally), flush=True)
        lost = before - kept(command.target)
        try:
            sound = command.whole(command.target) if command.target.exists() else not before
        except Exception as error:
            sound, lost = False, lost | {f"{type(error).__name__}: {error}"}
        if lost or not sound:
            tally["lost"] += bool(lost)
            tally["corrupt"] += not sound
            print(f"FAULT {name}, kill {number}: {sorted(lost)[:3]}", flush=True)
    again = [server.begin(command.words) and server.heard() for command in todo]
    server.close()
    print(json.dumps({**tally, "the same commands afterwards": again, "corrupt": tally["corrupt"], "lost": tally["lost"]}))
    return int(bool(tally["lost"] or tally["corrupt"] or any(again)))


if __name__ == "__main__":
    raise SystemExit(main())
