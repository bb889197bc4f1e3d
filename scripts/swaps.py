"""The causal test: starts in which one part is replaced, beside plain starts and a placebo.

`python scripts/swaps.py` computes the full starts, `law` the same changes, part by part, on reduced starts, `deep` three layers,
and `other` what else a start or a loss can be. All go on where they were interrupted and write the table of what is done.
"""

import sys
from pathlib import Path
from typing import Any

from landscape.archive.experiment import Experiment
from landscape.model.problem import Problem
from landscape.solver.methods import Random
from landscape.studies.prediction.tables import rank_row, swap_rows
from landscape.studies.prevalence import measure_prevalence
from landscape.studies.starts.swap import altered
from landscape.studies.tables import write_table

SEEDS = {"full": 200, "law": 100, "deep": 200, "other": 50}
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

UNEVEN = (1, 1, 1, 1, 2, 2, 2, 2)


def deep(width: int) -> Problem:
    """Three layers at a width."""
    return Problem.balanced(classes=8, samples=1, width=width, depth=3, decay=2.0**-9)


DEEP = [
    *(
        (deep(40), swap)
        for swap in (
            None,
            "features:anew",
            "features:identity",
            "features:width=120",
            "weights:anew",
            "weights:isometric",
            "weights:width=120",
            "features:identity+weights:isometric",
            "features:width=120+weights:width=120",
        )
    ),
    *((deep(120), swap) for swap in (None, "features:anew", "features:width=40")),
]
OTHER = [
    *(
        (Problem(UNEVEN, 30, 2, 2.0**-8), Random(), swap)
        for swap in (None, "features:anew", "features:identity", "features:width=60")
    ),
    *((Problem(UNEVEN, 60, 2, 2.0**-8), Random(), swap) for swap in (None, "features:anew", "features:width=30")),
    *(
        (Problem.balanced(10, 1, 60, 2, 2.0**-9), Random(weight_scale=scale), swap)
        for scale in (0.5, 2.0)
        for swap in (None, "features:anew", "features:identity")
    ),
    *((Problem.balanced(8, 1, 20, depth, 2.0**-6, loss="mse"), Random(), None) for depth in (2, 3)),
]


def experiments(name: str) -> list[Experiment]:
    """The experiments of one table."""
    if name == "other":
        return [Experiment(problem, altered(start, swap)) for problem, start, swap in OTHER]
    settings = {"full": FULL, "law": PARTS, "deep": DEEP}[name]
    return [Experiment(problem, altered(Random(), swap, 2 if name == "law" else None)) for problem, swap in settings]


def table(name: str, seeds: int, folder: Path, file: Path) -> None:
    """Follows the starts of one table, and writes it anew after every setting.

    Args:
        name: "full", "law", "deep" or "other".
        seeds: Of every setting.
        folder: Archive of the records.
        file: Of the table.
    """
    rows: list[Any] = []
    for setting in experiments(name):
        result = measure_prevalence(setting, seeds, folder, keep_points=False)
        print(result.experiment, result.counts, flush=True)
        rows += [rank_row(result)] if name == "other" else swap_rows(result)
        write_table(rows, file)


if __name__ == "__main__":
    chosen = (sys.argv[1:] or ["full"])[0]
    name = "swaps" if chosen == "full" else f"swaps-{chosen}"
    file = ROOT / "figures" / "data" / f"{name}.csv"
    table(chosen, SEEDS[chosen], ROOT / "build" / "swaps", file)
