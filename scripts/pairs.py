"""How often one pair of classes splits off: the formula's tail at widths that no count reaches, and its finite-width shift.

The setting of the paper at four widths, then held-out settings with one sample per class, each at its own width.
"""

import math
from pathlib import Path

from scipy.stats import norm

from landscape.model.problem import Problem
from landscape.studies.prediction.formula import predict_by_formula
from landscape.studies.prediction.lines import pair_probability
from landscape.studies.prediction.tables import FormulaRow, PairRow
from landscape.studies.tables import read_table, write_table

LINES = 16
WIDTHS = (300, 600, 1200, 150)
DATA = Path(__file__).resolve().parent.parent / "figures" / "data"


def row(problem: Problem, feature_scale: float, lines: int) -> PairRow:
    """Follows the lines of one setting."""
    found = pair_probability(problem, (1.0, feature_scale), lines)
    told = predict_by_formula(problem, (1.0, feature_scale))
    formula = float(norm.sf(told.r * math.sqrt(told.effective_width)))
    place = (problem.classes, problem.total_samples, problem.width, problem.mean_decay, feature_scale)
    numbers = (float(f"{value:.4g}") for value in (found.value, found.error, formula))
    said = PairRow(*place, lines, *numbers, round(found.effective_width - problem.width, 2))
    print(said, flush=True)
    return said


def settings() -> list[tuple[Problem, float]]:
    """The settings with the scale of their features."""
    paper = [(Problem.balanced(10, 5, width, 2, 2.0**-10), 1.0) for width in WIDTHS]
    held = [row for row in read_table(DATA / "held-out-predictions.csv", FormulaRow) if row.samples == row.classes]
    return paper + [(Problem.balanced(row.classes, 1, row.width, 2, row.decay), row.feature_scale) for row in held]


if __name__ == "__main__":
    rows = []
    for problem, scale in settings():
        rows.append(row(problem, scale, LINES))
        write_table(rows, DATA / "pairs.csv")
