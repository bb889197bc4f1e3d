"""Does the free energy tell where the mass is? Predicted and sampled shares of the minima of a small problem."""

from pathlib import Path

from landscape.model.problem import Problem
from landscape.paper.boltzmann import Tempering, shares
from landscape.structures.scale_equation import simplex_equation
from landscape.studies.tables import write_table

FOLD = simplex_equation(Problem.balanced(classes=3, samples=1, width=3, depth=2, decay=1e-3), group=3, samples=1).largest_decay
PARTS = (0.86, 0.93)  # of the fold's decay: zero, (2,1) and DNC are minima of nearly equal loss
SETTINGS = Tempering(temperatures=(0.003, 0.004, 0.006), ladders=48, trajectories=4_000)
DATA = Path(__file__).resolve().parent.parent / "figures" / "data"

if __name__ == "__main__":
    problems = [Problem.balanced(classes=3, samples=1, width=3, depth=2, decay=part * FOLD) for part in PARTS]
    write_table([line for problem in problems for line in shares(problem, SETTINGS)], DATA / "sampling.csv")
