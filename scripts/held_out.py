"""The formula on settings that it has not seen: predictions first, starts afterwards.

`python scripts/held_out.py predict` writes what the formula says, and that table is committed. Only then
`python scripts/held_out.py observe` follows full starts of the same settings; it goes on where it was interrupted. `scores` writes
how well the pair scores of those starts tell which of them miss DNC.
"""

import math
import sys
from pathlib import Path

from landscape.archive.experiment import Experiment
from landscape.model.problem import Problem
from landscape.solver.methods import Random
from landscape.studies.prediction.formula import effective_width, predict_by_formula
from landscape.studies.prediction.scores import scored
from landscape.studies.prediction.tables import AreaRow, FormulaRow, swap_rows
from landscape.studies.prevalence import measure_prevalence
from landscape.studies.tables import read_table, write_table

SEEDS = 300
# K, n, log2 of the decay, c_H, d; chosen for effective widths of at least 2 K and predictions away from 0 and 1
SETTINGS = (
    (6, 3, -5, 1.0, 30),
    (7, 1, -5, 1.0, 40),
    (7, 4, -7, 1.0, 45),
    (8, 2, -8, 0.1, 70),
    (9, 1, -8, 0.5, 70),
    (9, 4, -10, 0.3, 70),
    (11, 2, -12, 0.5, 90),
    (12, 1, -10, 1.0, 140),
    (13, 1, -10, 2.0, 140),
    (12, 3, -13, 1.0, 120),
)
ROOT = Path(__file__).resolve().parent.parent
PREDICTIONS = ROOT / "figures" / "data" / "held-out-predictions.csv"
OBSERVATIONS = ROOT / "figures" / "data" / "held-out.csv"


def experiment(row: FormulaRow) -> Experiment:
    """The starts that a prediction is about."""
    problem = Problem.balanced(row.classes, row.samples // row.classes, row.width, 2, row.decay)
    return Experiment(problem, Random(feature_scale=row.feature_scale))


def predict() -> None:
    """Writes the predictions."""
    table = []
    for K, n, power, scale, width in SETTINGS:
        problem = Problem.balanced(K, n, width, 2, 2.0**power)
        answer = predict_by_formula(problem, (1.0, scale))
        table.append(
            FormulaRow(K, K * n, width, problem.mean_decay, scale, effective_width(problem), answer.r, round(answer.share, 4))
        )
    write_table(table, PREDICTIONS)


def observe() -> None:
    """Follows the starts, prints each setting beside its prediction, and writes the table of what is done."""
    table, squares = [], []
    for row in read_table(PREDICTIONS, FormulaRow):
        setting = experiment(row)
        result = measure_prevalence(setting, SEEDS, ROOT / "build" / "held-out", keep_points=False)
        found = result.counts.get("DNC", 0) / SEEDS
        squares.append((found - row.predicted) ** 2 - found * (1 - found) / (SEEDS - 1))
        print(setting.problem, f"predicted {row.predicted:.3f}, observed {found:.3f}", result.counts, flush=True)
        table += swap_rows(result)
        write_table(table, OBSERVATIONS)
    print(f"rms of observed minus predicted, binomial variance subtracted: {math.sqrt(max(0.0, sum(squares) / len(squares))):.4f}")


def score() -> None:
    """Writes the areas of the settings whose starts have been followed."""
    table = []
    for row in read_table(PREDICTIONS, FormulaRow):
        setting = experiment(row)
        result = measure_prevalence(setting, SEEDS, ROOT / "build" / "held-out", keep_points=False)
        answer = scored(result)
        found = result.counts.get("DNC", 0)
        place = (row.classes, row.samples, row.width, row.decay, row.feature_scale)
        table.append(AreaRow(*place, SEEDS, found, answer["auc"], *answer["auc_interval"]))
        print(table[-1], flush=True)
    write_table(table, ROOT / "figures" / "data" / "held-out-scores.csv")


if __name__ == "__main__":
    {"predict": predict, "observe": observe, "scores": score}[sys.argv[1]]()
