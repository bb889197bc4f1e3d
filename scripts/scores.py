"""One start: pair scores at time 0, when its end is decided, and how its singular values walk; the paper's setting at width 70.

After scripts/swaps.py, whose archive has the starts; without it they are followed first.
"""

from pathlib import Path

import numpy as np

from landscape.archive.experiment import Experiment
from landscape.model.problem import Problem
from landscape.studies.ends import start_of
from landscape.studies.prediction.decision import walk, when_decided
from landscape.studies.prediction.scores import scored
from landscape.studies.prediction.tables import DecisionRow, ScoreRow, WalkRow
from landscape.studies.prevalence import Prevalence, measure_prevalence
from landscape.studies.tables import write_table

SEEDS = 200
WALKED = ("DNC", "partition:8,2")  # the first start that ends at each of these is drawn
TIMES = (0.0, *(float(f"{time:.3g}") for time in np.geomspace(1e-4, 8.0, 120)))
ROOT = Path(__file__).resolve().parent.parent
EXPERIMENT = Experiment(Problem.balanced(classes=10, samples=5, width=70, depth=2, decay=2.0**-10))


def walks(result: Prevalence) -> list[WalkRow]:
    """The singular values along the flow of the first start of each structure."""
    rows = []
    for structure in WALKED:
        end = next(end for end, label in zip(result.ends, result.labels, strict=True) if label == structure)
        found = walk(EXPERIMENT.problem, start_of(EXPERIMENT.with_seed(end.seed)).theta, TIMES)
        for time, values in zip(found.times, found.values, strict=True):
            rows += [WalkRow(end.seed, structure, time, place, float(f"{value:.5g}")) for place, value in enumerate(values, 1)]
    return rows


def write(seeds: int, folder: Path, tables: Path) -> None:
    """Writes the three tables.

    Args:
        seeds: Starts that are scored.
        folder: Archive of their records.
        tables: Folder of the tables.
    """
    result = measure_prevalence(EXPERIMENT, seeds, folder, keep_points=False)
    answer = scored(result)
    scores = [ScoreRow(row["seed"], round(row["score"], 4), row["structure"]) for row in answer["per_seed"]]
    write_table(scores, tables / "scores.csv")
    print(answer["auc"], answer["auc_interval"], answer["boundary"])
    rows = []
    for when in when_decided(result):
        assert when.separation is not None
        numbers = (when.separation.area, when.separation.low, when.separation.high)
        rows.append(DecisionRow(when.time, len(scores), *(round(number, 4) for number in numbers)))
        print(rows[-1])
    write_table(rows, tables / "decision.csv")
    write_table(walks(result), tables / "walks.csv")


if __name__ == "__main__":
    write(SEEDS, ROOT / "build" / "swaps", ROOT / "figures" / "data")
