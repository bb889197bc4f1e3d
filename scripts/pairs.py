"""How often one pair of classes splits off: the formula's tail at widths that no count reaches, and its finite-width shift.

The setting of the paper at four widths, then two of the held-out settings, each at its own width. Goes on where it was interrupted.
"""

import math
from pathlib import Path

from scipy.stats import norm

from landscape.model.problem import Problem
from landscape.studies.prediction.formula import predict_by_formula
from landscape.studies.prediction.lines import pair_probability
from landscape.studies.prediction.tables import PairRow
from landscape.studies.tables import read_table, write_table

LINES = 16
WIDTHS = (300, 600, 1200, 150)
TABLE = Path(__file__).resolve().parent.parent / "figures" / "data" / "pairs.csv"


def row(problem: Problem, feature_scale: float, lines: int) -> PairRow:
    """Follows the lines of one setting."""
    found = pair_probability(problem, (1.0, feature_scale), lines)
    told = predict_by_formula(problem, (1.0, feature_scale))
    formula = float(norm.sf(told.r * math.sqrt(told.effective_width)))
    value, error, told_value = (float(f"{number:.4g}") for number in (found.value, found.error, formula))
    said = PairRow(
        classes=problem.classes,
        samples=problem.total_samples,
        width=problem.width,
        decay=problem.mean_decay,
        feature_scale=feature_scale,
        lines=lines,
        probability=value,
        error=error,
        formula=told_value,
        shift=round(found.effective_width - problem.width, 2),
    )
    print(said, flush=True)
    return said


def settings() -> list[tuple[Problem, float]]:
    """The settings with the scale of their features."""
    paper = [(Problem.balanced(10, 5, width, 2, 2.0**-10), 1.0) for width in WIDTHS]
    return [*paper, (Problem.balanced(9, 1, 70, 2, 2.0**-8), 0.5), (Problem.balanced(8, 2, 70, 2, 2.0**-8), 0.1)]


if __name__ == "__main__":
    rows = read_table(TABLE, PairRow) if TABLE.exists() else []
    for problem, scale in settings()[len(rows) :]:
        rows.append(row(problem, scale, LINES))
        write_table(rows, TABLE)
