"""What a sweep costs beside its jobs: 100 000 jobs that do nothing and 10 000 small ones that are solved.

    OMP_NUM_THREADS=1 MKL_CBWR=AVX2 python benchmarks/sweep.py [--nothing 100000] [--solved 10000] [--workers 2]

For each: seconds, seconds of the jobs themselves, the peak memory of the driver (in which a local scheduler lives too), seconds of
a rerun that finds everything done, bytes on disk, and the most records in one folder.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

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


def measured(count: int, workers: int, solved: bool) -> dict[str, float]:
    """Returns the figures of one sweep in a new folder."""
    problem = {"classes": 4, "samples": 1, "width": [4, 5, 6, 7, 8], "depth": [1, 2], "decay": 3e-2}
    grid = parse_grid({"problem": problem, "start": {"seed": {"from": 0, "to": count // 10 - 1}}})
    with tempfile.TemporaryDirectory() as name:
        folder, engine = Path(name) / "sweep", EngineSettings(workers=workers)
        begin = time.perf_counter()
        tally = run_sweep(grid, folder, engine, compute=None if solved else nothing)
        seconds = time.perf_counter() - begin
        assert (tally.done, tally.left) == (count, 0)
        begin = time.perf_counter()
        assert run_sweep(grid, folder, engine).found == count
        rerun = time.perf_counter() - begin
        shards = [list(shard.iterdir()) for shard in (folder / "records").iterdir()]
        files = [path.stat() for shard in shards for path in shard]
    return {
        "jobs": count,
        "seconds": seconds,
        "of the jobs": tally.work,
        "rerun": rerun,
        "driver MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "disk MiB": sum(512 * file.st_blocks for file in files) / 2**20,
        "data MiB": sum(file.st_size for file in files) / 2**20,
        "in one folder": max(map(len, shards)),
    }


def main() -> None:
    """Prints both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nothing", type=int, default=100_000)
    parser.add_argument("--solved", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    for name, count, solved in (("nothing", options.nothing, False), ("solved", options.solved, True)):
        if count:
            figures = measured(count, options.workers, solved)
            print(name, *(f"{key} {value:.1f}" for key, value in figures.items()), sep="  ", flush=True)


if __name__ == "__main__":
    main()
