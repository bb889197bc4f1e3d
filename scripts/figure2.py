"""Fig. 2 of the paper: how often descent finds DNC, against the width and against the decay, at two initialisation scales."""

from pathlib import Path

from landscape.archive.experiment import Experiment
from landscape.model.problem import Problem
from landscape.solver.methods import Random
from landscape.studies.tables import survey, write_table

SEEDS = 40  # the paper has 10
FEATURE_SCALES = (1.0, 0.1)  # the paper leaves this open
WIDTHS = (10, 20, 40, 70, 100, 150)  # at decay 2^-10
DECAYS = tuple(2.0**-power for power in (8, 9, 10, 11, 12, 13))  # at width 70
SETTINGS = sorted({(width, 2.0**-10) for width in WIDTHS} | {(70, decay) for decay in DECAYS})
GRID = [
    Experiment(Problem.balanced(classes=10, samples=5, width=width, depth=2, decay=decay), Random(feature_scale=scale))
    for scale in FEATURE_SCALES
    for width, decay in SETTINGS
]
ROOT = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    table = survey(GRID, SEEDS, ROOT / "build" / "prevalence", watch=lambda done: print(done.experiment, done.counts, flush=True))
    write_table(table, ROOT / "figures" / "data" / "figure2.csv")
