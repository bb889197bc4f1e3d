"""Whether a sweep loses anything while its processes are killed: once its workers, once its driver too, against a serial one.

    OMP_NUM_THREADS=1 python benchmarks/killed.py benchmarks/killed.toml FOLDER [--every 4] [--drivers 10] [--seed 0]

A worker dies by SIGKILL every so many seconds, half to one and a half times that, from the first second to the last; in the third
run the driver dies as often as said, at random moments, and is started again. Prints, for each run, what the records are against
those of one process alone, and exits with 1 where one differs, is missing or is too many.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import psutil

from landscape.archive.records import Archive

_TICK = 0.1  # seconds between two looks


def begin(grid: Path, folder: Path, *options: str) -> subprocess.Popen[str]:
    """Starts a sweep as a process of its own."""
    program = Path(sys.executable).with_name("landscape")
    command: list[str | Path] = [program, "sweep", str(grid), "--out", str(folder), "--json", *options]
    environment = {**os.environ, "MKL_CBWR": "AVX2"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def workers_of(driver: subprocess.Popen[str]) -> list[psutil.Process]:
    """Returns the worker processes, which are the children that are no resource trackers."""
    found = []
    with suppress(psutil.Error):
        for child in psutil.Process(driver.pid).children():
            with suppress(psutil.Error):
                found += [child] if "spawn_main" in " ".join(child.cmdline()) else []
    return found


@dataclass
class Murderer:
    """Kills workers while a driver lives.

    Attributes:
        every: Seconds between two deaths, on average.
        draw: Of times and victims.
        deaths: When workers died.
    """

    every: float
    draw: random.Random
    deaths: list[float] = field(default_factory=list)

    def attend(self, driver: subprocess.Popen[str], seconds: float) -> bool:
        """Kills until the driver ends, or the time is over; returns whether it has ended."""
        end = time.monotonic() + seconds
        due = time.monotonic() + self.draw.uniform(0.5, 1.5) * self.every
        while driver.poll() is None and time.monotonic() < end:
            time.sleep(_TICK)
            if time.monotonic() > due and (victims := workers_of(driver)):
                with suppress(psutil.Error):
                    self.draw.choice(victims).kill()
                    self.deaths.append(time.monotonic())
                due = time.monotonic() + self.draw.uniform(0.5, 1.5) * self.every
        return driver.poll() is not None


def survive(grid: Path, folder: Path, murderer: Murderer, drivers: int, usual: float) -> dict[str, object]:
    """Runs a sweep to its end under a murderer, who also kills so many drivers, and returns what it came to."""
    begun, killed = time.monotonic(), 0
    while True:
        driver = begin(grid, folder)
        span = murderer.draw.uniform(0, 2 * usual / (drivers + 1)) if killed < drivers else float("inf")
        if murderer.attend(driver, span):
            break
        driver.kill()
        driver.communicate()
        killed += 1
    ended = time.monotonic()
    times = [begun, *murderer.deaths, ended]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    last = json.loads(driver.communicate()[0])
    shown = {"exit": driver.returncode, "seconds": round(ended - begun, 1), "drivers killed": killed}
    return shown | {"workers killed": len(murderer.deaths), "longest pause": round(max(pauses), 1), "last driver said": last}


def contents(folder: Path) -> dict[str, str]:
    """Returns the content of every record, by job."""
    archive = Archive.existing(folder)
    return {digest: archive.read(digest).content for digest in archive.names()}


def main() -> int:
    """Prints the three runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("grid", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=float, default=4.0)
    parser.add_argument("--drivers", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    begun = time.monotonic()
    alone = begin(options.grid, options.folder / "serial", "--workers", "0")
    alone.communicate()
    serial = contents(options.folder / "serial")
    usual = time.monotonic() - begun
    print("serial", {"exit": alone.returncode, "seconds": round(usual, 1), "records": len(serial)}, flush=True)
    lost = alone.returncode
    for name, drivers in (("workers", 0), ("drivers", options.drivers)):
        folder = options.folder / name
        shown = survive(options.grid, folder, Murderer(options.every, random.Random(options.seed)), drivers, usual)
        found = contents(folder)
        shown |= {"records": len(found), "failures": len(Archive.existing(folder).failures())}
        shown["equal to serial"] = sum(serial.get(digest) == content for digest, content in found.items())
        print(name, shown, flush=True)
        lost = lost or found != serial
    return int(lost)


if __name__ == "__main__":
    raise SystemExit(main())
