"""Does the implicit flow end where the paper's dynamics ends? The same starts followed by both, at four widths."""

from pathlib import Path

from landscape.archive.experiment import Experiment
from landscape.model.problem import Problem
from landscape.solver.methods import GradientDescent
from landscape.studies.tables import MethodComparison, compare_methods, write_table

SEEDS = 10
WIDTHS = (10, 40, 70, 100)
PLAIN = GradientDescent(learning_rate=0.5, tolerance=1e-7)
ROOT = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    table: list[MethodComparison] = []
    for width in WIDTHS:
        experiment = Experiment(Problem.balanced(classes=10, samples=5, width=width, depth=2, decay=2.0**-10))
        table += compare_methods(experiment, PLAIN, SEEDS, ROOT / "build" / "fidelity")
        same = sum(row.same for row in table)
        print(f"width {width}: {same} of {len(table)} starts so far end at the same structure", flush=True)
        write_table(table, ROOT / "figures" / "data" / "fidelity.csv")
