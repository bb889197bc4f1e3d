"""The share of DNC by the law of the width and by the formula, in the setting of Fig. 2 and far beyond; a run can be continued."""

import time
from pathlib import Path

from landscape.archive.experiment import Altered, Experiment
from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.solver.methods import Random
from landscape.studies.prediction.counts import predict_by_law
from landscape.studies.prediction.formula import predict_by_formula
from landscape.studies.prediction.tables import LawRow
from landscape.studies.tables import write_table

STARTS = 200
# d, c_H, T
SETTINGS = (
    (70, 1.0, 2),
    (100, 1.0, 2),
    (150, 1.0, 2),
    (100, 0.1, 2),
    (150, 0.1, 2),
    (150, 0.1, 3),
    (10**6, 1.0, 2),
)
ROOT = Path(__file__).resolve().parent.parent


def row(width: int, scale: float, groups: int) -> LawRow:
    """Follows the starts of one setting."""
    problem = Problem.balanced(classes=10, samples=5, width=width, depth=2, decay=2.0**-10)
    setting = Experiment(problem, Altered(Random(feature_scale=scale), groups=groups))
    begin = time.process_time()
    answer = predict_by_law(setting, STARTS, ROOT / "build" / "law")
    spent = time.process_time() - begin
    try:
        formula = round(predict_by_formula(problem, (1.0, scale)).share, 4)
    except InputError:
        formula = -1.0
    agreement = answer.agreement
    assert agreement is not None
    found = answer.result.counts.get("DNC", 0)
    print(f"d={width} c_H={scale:g}: {found} of {STARTS}, formula {formula}, {agreement}, {spent:.0f} s of CPU", flush=True)
    return LawRow(width, scale, groups, found, STARTS, *answer.result.interval("DNC"), agreement.same, agreement.repeated, formula)


if __name__ == "__main__":
    table = []
    for setting in SETTINGS:
        table.append(row(*setting))
        write_table(table, ROOT / "figures" / "data" / "law.csv")
