"""Compares what `landscape sweep --dry-run` says a grid costs with the processor time that it takes.

    python -m benchmarks.estimates [--all]

Prints a line for each small grid: jobs, seconds said, seconds of the processor, their ratio. The stated factor is
`landscape.sweep.planner.FACTOR`. `--all` adds grids that take minutes. Time of the processor, so that waiting does not count.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch

from landscape.sweep.grid import read_grid
from landscape.sweep.planner import FACTOR, estimate
from landscape.sweep.run import run_sweep


def grid(model: str, starts: int, more: str = "") -> str:
    """Returns a grid of random starts as text."""
    return f"problem = {{ {model} }}\nstart.seed = {{ from = 0, to = {starts - 1} }}\n{more}"


PAPER = "classes = 10, samples = 5, depth = 2, decay = '2**-10'"
FOUR = "classes = 4, samples = 2, depth = 2, decay = 1e-2"
SMALL = {
    "K=4, d=6 and 10, 40 starts": grid(f"{FOUR}, width = [6, 10]", 20),
    "K=4, d=6, 400 starts": grid(f"{FOUR}, width = 6", 400),
    "K=4, d=8, three layers": grid("classes = 4, samples = 2, width = 8, depth = 3, decay = 5e-3", 10),
    "K=10, d=20": grid(f"{PAPER}, width = 20", 10),
    "K=10, d=40": grid(f"{PAPER}, width = 40", 10),
    "K=10, d=70": grid(f"{PAPER}, width = 70", 4),
    "K=10, d=12 and 20, analytic": f"problem = {{ {PAPER}, width = [12, 20] }}\nstart.kind = ['DNC', 'pairs', 'partition:6,2,2']",
}
LARGE = {
    "K=10, d=70, three layers": grid("classes = 10, samples = 5, width = 70, depth = 3, decay = 5e-4", 4),
    "K=4, d=8, plain descent": grid(f"{FOUR}, width = 8", 4, "method.name = 'gd'"),
    "K=10, d=40, plain descent": grid(f"{PAPER}, width = 40", 4, "method.name = 'gd'"),
}


def compared(text: str) -> tuple[int, float, float]:
    """Returns the jobs of a grid, the seconds said and those of the processor."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "grid.toml")
        path.write_text(f"{text}\nengine.workers = 0\n")
        grid = read_grid(path)
        said = sum(map(estimate, grid.jobs()))
        begun = time.process_time()
        tally = run_sweep(grid, Path(folder, "sweep"))
        return tally.done, said, time.process_time() - begun


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="also grids that take minutes")
    torch.set_num_threads(1)
    compared(next(iter(SMALL.values())))  # what is loaded once is no job's
    for name, text in (SMALL | LARGE if parser.parse_args().all else SMALL).items():
        jobs, said, took = compared(text)
        within = "within" if 1 / FACTOR <= took / said <= FACTOR else "NOT within"
        print(
            f"{name:32s} {jobs:4d} jobs {said:8.1f} s said {took:8.1f} s taken {took / said:6.2f}, {within} a factor of {FACTOR:g}"
        )


if __name__ == "__main__":
    main()
