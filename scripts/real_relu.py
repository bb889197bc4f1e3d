"""Where the rectified heads of real_networks.py lead when their kinks are smoothed: softplus continuation from their class means.

`python scripts/real_relu.py FOLDER` reads the heads that `real_networks.py FOLDER` saved, takes the mean of every class as the only
sample of a model with the same loss, and writes figures/data/real-networks-relu.csv. By the symmetry of the samples of a class a
critical point of that model is one of the head's. A minute of one core for each head.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from real_networks import AT_KINK, DATA, dead, hidden, kinks, runs

from landscape.degeneracy.relu_kinks import shortest_gradient
from landscape.errors import InputError
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.points.point import CriticalPoint, Origin
from landscape.solver.methods import SoftplusContinuation
from landscape.solver.run import solve
from landscape.structures.recognition import rank_of_logits
from landscape.studies.heads.tables import HeadSmoothed
from landscape.studies.tables import write_table


def of_means(point: CriticalPoint) -> CriticalPoint:
    """Returns the class means of a head as the samples of a model, whose features decay as much as all samples of a class."""
    problem = point.problem
    samples, decays = problem.class_sizes[0], problem.decays
    means = Problem.balanced(problem.classes, 1, problem.width, problem.depth, (samples * decays[0], *decays[1:]), "ce", "relu")
    features, *layers = point.factors().values()
    averaged = features.reshape(problem.width, problem.classes, samples).mean(2)
    theta = torch.cat([part.flatten() for part in (averaged, *layers)])
    return CriticalPoint.at(means, theta, Origin("class means of a trained head"))


def smoothed(seed: int, trained: CriticalPoint) -> HeadSmoothed:
    """Follows the smoothed flow of one head, and says what stands at its end."""
    start = of_means(trained)
    end = solve(start.problem, start, [SoftplusContinuation()])
    signals = hidden(end)
    at_kink = [signal.abs() <= AT_KINK for signal in signals]
    opened = [(signal > AT_KINK).to(signal) for signal in signals]
    _, residual = shortest_gradient(end.problem, end.theta, opened, at_kink)
    return HeadSmoothed(
        seed=seed,
        loss=start.loss,
        end_loss=end.loss,
        rank=rank_of_logits(end.class_logits),
        kinks=kinks(end) or 0,
        inputs=sum(signal.numel() for signal in signals),
        dead=dead(end) or 0,
        gradient_norm=float(Objective.of(end.problem, end.theta).gradient(end.theta).norm()),
        residual=residual,
    )


def rows(folder: Path) -> Iterator[HeadSmoothed]:
    """Yields the end of every rectified head.

    Raises:
        InputError: If a head was not trained yet.
    """
    for run in runs():
        if run.activation == "relu":
            yield smoothed(run.seed, CriticalPoint.load(folder / f"{run.name}.safetensors"))


def main() -> int:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="Where real_networks.py has put its records.")
    given = parser.parse_args()
    torch.set_num_threads(1)
    table: list[HeadSmoothed] = []
    try:
        for row in rows(given.folder):
            table.append(row)
            write_table(table, DATA / "real-networks-relu.csv")
            print(row, flush=True)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
