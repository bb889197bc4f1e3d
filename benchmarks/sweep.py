"""What a sweep costs beside its jobs: 100 000 jobs that do nothing and 10 000 small ones that are solved.

    OMP_NUM_THREADS=1 MKL_CBWR=AVX2 python benchmarks/sweep.py [--nothing 100000] [--solved 10000] [--workers 2] [--folder DIR]

For each, in a process of its own: seconds, seconds of the jobs themselves, CPU seconds and peak memory of the driver (in which a
local scheduler lives too), wall and CPU seconds and memory of a rerun that finds everything done, bytes on disk, and the most
records in one folder. A folder in memory, such as /dev/shm, leaves the disk and its syncs out.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.archive.experiment import Experiment
from landscape.sweep.grid import parse_grid
from landscape.sweep.run import run_sweep
from landscape.sweep.settings import EngineSettings

if TYPE_CHECKING:
    from landscape.studies.ends import EndPoint


def nothing(jobs: tuple[Experiment, ...], device: str, size: int | None) -> "Iterator[tuple[Experiment, EndPoint, None]]":
    """Ends every job at once."""
    from landscape.studies.ends import EndPoint

    for job in jobs:
        yield job, EndPoint(job.seed or 0, "DNC", 3, 1.0, 0.0, "CONVERGED", 1, 1, 0, 1, 1, (1.0,), ()), None


def measured(count: int, workers: int, solved: bool, place: Path | None) -> dict[str, float]:
    """Returns the figures of one sweep in a new folder."""
    problem = {"classes": 4, "samples": 1, "width": [4, 5, 6, 7, 8], "depth": [1, 2], "decay": 3e-2}
    fields: dict[str, Any] = {"problem": problem, "start": {"seed": {"from": 0, "to": count // 10 - 1}}}
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder, engine = Path(name) / "sweep", EngineSettings(workers=workers)
        begin = time.perf_counter()
        tally = run_sweep(parse_grid(fields), folder, engine, compute=None if solved else nothing)
        seconds, cpu = time.perf_counter() - begin, time.process_time()
        assert (tally.done, tally.left) == (count, 0)
        found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
        assert found is not None
        again = [sys.executable, str(Path(__file__).with_name("rerun.py")), "--once", json.dumps(fields), str(folder)]
        rerun = json.loads(subprocess.run(again, capture_output=True, text=True, check=True).stdout)
        assert rerun.pop("found") == count
        shards = [list(shard.iterdir()) for shard in (folder / "records").iterdir()]
        files = [path.stat() for shard in shards for path in shard]
    return {
        "jobs": count,
        "seconds": seconds,
        "of the jobs": tally.work,
        "driver's CPU seconds": cpu,
        "driver's MiB": int(found[1]) / 1024,
        **{f"rerun's {name}": value for name, value in rerun.items()},
        "disk MiB": sum(512 * file.st_blocks for file in files) / 2**20,
        "data MiB": sum(file.st_size for file in files) / 2**20,
        "in one folder": max(map(len, shards)),
    }


def main() -> None:
    """Prints both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nothing", type=int, default=100_000)
    parser.add_argument("--solved", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.nothing and options.solved:  # the memory of one would be that of the other
        for other in ("--solved", "--nothing"):
            subprocess.run([sys.executable, *sys.argv, other, "0"], check=True)
        return
    name, count = ("nothing", options.nothing) if options.nothing else ("solved", options.solved)
    figures = measured(count, options.workers, name == "solved", options.folder)
    print(name, *(f"{key} {value:.1f}" for key, value in figures.items()), sep="  ", flush=True)


if __name__ == "__main__":
    main()
