"""Gradients and Hessian products of many starts at once, against a Python loop over torch.func and against vmap of it.

    OMP_NUM_THREADS=1 python benchmarks/batch.py

CPU time of one process (`time.process_time`), the best of several rounds that alternate between the contestants, so that a busy
machine does not favour one of them. The starts are those of the paper's setting at several widths, as many as `batch_size` takes.
"""

import time
from collections.abc import Callable

import torch

from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.solver.pool import batch_size
from landscape.solver.starts import Random, random_start

WIDTHS = (10, 40, 70, 150)
ROUNDS = 7


def seconds(work: Callable[[], object], least: float = 0.1) -> float:
    """Returns the CPU time of one call, repeated until it can be measured."""
    calls, begin = 0, time.process_time()
    while time.process_time() - begin < least:
        work()
        calls += 1
    return (time.process_time() - begin) / calls


def contest(width: int) -> dict[str, float]:
    """Returns the microseconds per start of each way, after checking that all give the same numbers."""
    problem = Problem.balanced(classes=10, samples=5, width=width, depth=2, decay=2.0**-10)
    count = min(batch_size(problem, torch.device("cpu")), 128)
    theta = torch.stack([random_start(problem, Random(seed=seed)) for seed in range(count)])
    direction, objective = theta.flip(0), Objective.of(problem)
    gradient = torch.func.grad(objective.loss)

    def product(point: torch.Tensor, along: torch.Tensor) -> torch.Tensor:
        return torch.func.jvp(gradient, (point,), (along,))[1]

    apply = objective.linearize(theta)
    ways: dict[str, Callable[[], torch.Tensor]] = {
        "gradient, ours": lambda: objective.gradient(theta),
        "gradient, loop": lambda: torch.stack([gradient(point) for point in theta]),
        "gradient, vmap": lambda: torch.func.vmap(gradient)(theta),
        "product, ours": lambda: apply(direction),
        "product, loop": lambda: torch.stack([product(*pair) for pair in zip(theta, direction, strict=True)]),
        "product, vmap": lambda: torch.func.vmap(product)(theta, direction),
    }
    for kind in ("gradient", "product"):
        for way in ("loop", "vmap"):
            torch.testing.assert_close(ways[f"{kind}, {way}"](), ways[f"{kind}, ours"]())
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for name, work in ways.items():
            best[name] = min(best[name], seconds(work))
    return {"starts": count} | {name: 1e6 * value / count for name, value in best.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(f"{'':>5} {'':>6} | {'gradient, us per start':^34} | {'Hessian product, us per start':^34}")
    print(f"{'width':>5} {'starts':>6} |" + f" {'ours':>6} {'loop':>13} {'vmap':>13} |" * 2)
    for width in WIDTHS:
        took = contest(width)
        cells = []
        for kind in ("gradient", "product"):
            ours, loop, vmap = (took[f"{kind}, {way}"] for way in ("ours", "loop", "vmap"))
            cells.append(f" {ours:6.0f} {loop:6.0f} {loop / ours:5.1f}x {vmap:6.0f} {vmap / ours:5.1f}x |")
        print(f"{width:>5} {took['starts']:>6} |" + "".join(cells), flush=True)
