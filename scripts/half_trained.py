"""Where weights go that plain float32 descent was stopped on: the flow of `solve --start`, and the descent itself, continued.

Paper setting, three seeds, stopped after 2000 to 40 000 steps. `import --polish` must end where both of these end.
"""

from dataclasses import astuple, dataclass
from pathlib import Path

import torch

from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.points.point import CriticalPoint, Origin, Outcome
from landscape.solver.methods import GradientDescent, Newton
from landscape.solver.moved import PointFacts
from landscape.solver.run import solve
from landscape.solver.starts import Random, random_start
from landscape.studies.tables import read_table, write_table

PAPER = Problem.balanced(classes=10, samples=5, width=70, depth=2, decay=2.0**-10)
STOPS = (2_000, 5_000, 10_000, 20_000, 40_000)
LEARNING_RATE = 0.5
SEEDS = range(3)
TABLE = Path(__file__).resolve().parent.parent / "figures" / "data" / "half_trained.csv"


@dataclass(frozen=True)
class Row:
    """One stop of one seed: the weights there, and where three ways of going on end."""

    seed: int
    steps: int
    loss: float
    gradient_norm: float
    before: str
    polished: str
    polished_loss: float
    outcome: str
    moved: float
    continued: str
    continued_loss: float


def trained(problem: Problem, seed: int, stops: tuple[int, ...]) -> dict[int, torch.Tensor]:
    """Returns the float32 weights of plain descent at these steps, widened to float64 as an import widens them."""
    theta = random_start(problem, Random(seed=seed)).float()
    objective, kept = Objective.of(problem, theta), {}
    for step in range(max(stops) + 1):
        if step in stops:
            kept[step] = theta.double()
        theta = theta - LEARNING_RATE * objective.gradient(theta)
    return kept


def continued(problem: Problem, theta: torch.Tensor) -> CriticalPoint:
    """Returns where plain descent in float64 ends from the weights."""
    end = solve(problem, theta, (GradientDescent(LEARNING_RATE, tolerance=1e-7), Newton()))
    assert end.outcome is Outcome.CONVERGED
    return end


def row(problem: Problem, seed: int, steps: int, theta: torch.Tensor, descent: CriticalPoint) -> Row:
    """Follows the flow from the weights, and names its end and that of the descent."""
    start = CriticalPoint.at(problem, theta, Origin("plain float32 descent", seed=seed))
    polished = solve(problem, theta)
    after, end = PointFacts.of(polished), PointFacts.of(descent)
    moved = float((polished.theta - theta).norm())
    return Row(
        seed, steps, start.loss, start.gradient_norm, PointFacts.of(start).structure, after.structure, polished.loss,
        polished.outcome.name.lower(), moved, end.structure, descent.loss,
    )  # fmt: skip


def read() -> list[Row]:
    """Returns the committed table."""
    return read_table(TABLE, Row)


if __name__ == "__main__":
    table: list[Row] = []
    for seed in SEEDS:
        for steps, theta in trained(PAPER, seed, STOPS).items():
            table.append(row(PAPER, seed, steps, theta, continued(PAPER, theta)))
            print(*astuple(table[-1]), flush=True)
            write_table(table, TABLE)
