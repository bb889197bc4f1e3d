"""Pair scores of the starts of the paper's setting at width 70, beside where each ends (after scripts/swaps.py, in its folder)."""

from pathlib import Path

from landscape.archive.experiment import Experiment
from landscape.model.problem import Problem
from landscape.studies.prediction.scores import scored
from landscape.studies.prediction.tables import ScoreRow
from landscape.studies.prevalence import measure_prevalence
from landscape.studies.tables import write_table

SEEDS = 200
ROOT = Path(__file__).resolve().parent.parent


if __name__ == "__main__":
    experiment = Experiment(Problem.balanced(classes=10, samples=5, width=70, depth=2, decay=2.0**-10))
    answer = scored(measure_prevalence(experiment, SEEDS, ROOT / "build" / "swaps", keep_points=False))
    rows = [ScoreRow(row["seed"], round(row["score"], 4), row["structure"]) for row in answer["per_seed"]]
    write_table(rows, ROOT / "figures" / "data" / "scores.csv")
    print(answer["auc"], answer["auc_interval"], answer["boundary"])
