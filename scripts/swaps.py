"""The causal test: starts in which one part is replaced, beside plain starts and a placebo.

`python scripts/swaps.py` computes the full starts, `python scripts/swaps.py law` the same changes, part by part, on reduced starts.
Both go on where they were interrupted and write the table of what is done.
"""

import sys
from pathlib import Path

from landscape.archive.experiment import Experiment
from landscape.model.problem import Problem
from landscape.solver.methods import Random
from landscape.studies.prediction.tables import swap_table
from landscape.studies.prevalence import Prevalence
from landscape.studies.starts.seeds import altered
from landscape.studies.tables import write_table

SEEDS = 200
REDUCED_SEEDS = 100  # of each part on reduced starts
ROOT = Path(__file__).resolve().parent.parent


def paper(width: int) -> Problem:
    """The setting of the paper at a width."""
    return Problem.balanced(classes=10, samples=5, width=width, depth=2, decay=2.0**-10)


def single(width: int) -> Problem:
    """One sample per class at a width."""
    return Problem.balanced(classes=10, samples=1, width=width, depth=2, decay=2.0**-9)


FULL = [
    (paper(70), None),
    (paper(70), "features:identity"),
    (paper(70), "features:width=150"),
    (paper(70), "features:anew"),
    (single(30), None),
    (single(30), "features:identity"),
    (single(30), "features:anew"),
    (single(150), None),
    (single(150), "features:width=30"),
    (paper(150), None),
    (paper(150), "features:width=70"),
    (paper(150), "features:anew"),
]
PARTS = [
    (paper(width), swap)
    for width, other in ((70, 150), (150, 70))
    for swap in (
        None,
        "features:identity",
        f"features:width={other}",
        f"weights:width={other}",
        f"block:width={other}",
        f"features:width={other}+weights:width={other}+block:width={other}",
    )
]


def show(done: Prevalence) -> None:
    """Says what a setting gave."""
    print(done.experiment, done.counts, flush=True)


if __name__ == "__main__":
    reduced = sys.argv[1:] == ["law"]
    grid = [Experiment(problem, altered(Random(), swap, 2 if reduced else None)) for problem, swap in (PARTS if reduced else FULL)]
    for last in range(1, len(grid) + 1):
        table = swap_table(
            grid[:last],
            REDUCED_SEEDS if reduced else SEEDS,
            ROOT / "build" / "swaps",
            show if last == len(grid) else lambda done: None,
        )
        write_table(table, ROOT / "figures" / "data" / ("swaps-law.csv" if reduced else "swaps.csv"))
