"""Times solves to gradient norm 1e-12 beside plain descent and L-BFGS, and beside the kernels that they are made of, in one run.

    python -m benchmarks.solves [--seeds 4] [--growth | --parts | --memory 1000] [--out figures/data/cost-solves.csv]

Plain descent and L-BFGS (torch's, with a strong Wolfe line search) use the same kernels; Newton finishes L-BFGS, whose line search
ends above 1e-12. The overhead is the time of a pool over that of its kernels alone: the Hessian products of its conjugate
gradients, and for each step tried a gradient and a linearisation, at the cost that each has on the same rows in the same run.
With --growth instead: one product and one solve, one size varied at a time, into figures/data/cost-growth.csv. With --parts: the
share of every part in the time of a pool, and its overhead over kernels that are called as the flow calls them. With --memory: the
memory of `landscape prevalence` after a hundred seeds of the paper's setting and after so many. Seconds are those of the processor,
since a machine has other work. One thread unless OMP_NUM_THREADS says otherwise.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import torch

from benchmarks.peers import medians, run_name
from landscape.model.objective import HessianProduct, Objective
from landscape.model.problem import ActivationName, Problem
from landscape.points.point import Outcome
from landscape.solver import flow, pool
from landscape.solver.flow import Systems
from landscape.solver.methods import LBFGS, GradientDescent, Method, Newton, PseudoTransient, Random
from landscape.solver.pool import Arrival, Start, batch_size, solve_batch
from landscape.solver.run import solve
from landscape.solver.starts import random_origin, random_start
from landscape.studies.tables import write_table

DATA = Path(__file__).resolve().parents[1] / "figures" / "data"
SETTINGS = [(4, 2, 16, 2), (10, 5, 70, 2), (10, 5, 70, 3)]  # K, n, d, L
PAPER = (10, 5, 70, 2)
GROWTH = {
    "width": [20, 35, 70, 140],
    "classes": [5, 10, 20, 40],
    "depth": [1, 2, 3, 4],
    "samples": [1, 5, 20, 80],
}
DECAY = 2.0**-10
FILLS = 4  # pools of starts that one pool solves, as `prevalence` refills it


@dataclass(frozen=True)
class SolveRow:
    """Cost of a solve in one setting, in milliseconds of the processor per seed.

    Attributes:
        classes: Number K of classes.
        samples: Number n of samples per class.
        width: Width d of the model.
        depth: Number L of weight matrices.
        seeds: Number of seeds of plain descent and L-BFGS; the pool has four pools of them, one after the other.
        pool: Time of a seed in a pool, polishing included.
        alone: Time of a seed that is solved alone.
        descent: Time of plain descent at learning rate 0.5; 0 where it was left out.
        lbfgs: Time of L-BFGS and Newton.
        products: Mean number of Hessian products of a seed of the pool.
        steps: Mean number of steps tried, each with a gradient and a linearisation.
        gradients: Mean number of gradients of plain descent.
        kernels: Time of the kernels of a seed of the pool alone.
        polish: Time of polishing a seed where its flow ended.
        run: Beginning of the run and versions of the libraries.
    """

    classes: int
    samples: int
    width: int
    depth: int
    seeds: int
    pool: float
    alone: float
    descent: float
    lbfgs: float
    products: float
    steps: float
    gradients: float
    kernels: float
    polish: float
    run: str = ""


@dataclass(frozen=True)
class GrowthRow:
    """Cost of a product and of a solve at one size, the others as in the paper.

    Attributes:
        varied: Name of the size that is varied.
        classes: Number K of classes.
        samples: Number n of samples per class.
        width: Width d of the model.
        depth: Number L of weight matrices.
        parameters: Number P of parameters.
        linear: Milliseconds of one Hessian product of the linear model.
        relu: Milliseconds of one Hessian product of the ReLU model.
        solve: Milliseconds of a solve to gradient norm 1e-12, median over the seeds.
        products: Hessian products of a solve, median over the seeds.
    """

    varied: str
    classes: int
    samples: int
    width: int
    depth: int
    parameters: int
    linear: float
    relu: float
    solve: float
    products: float


def spent(action: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """Returns the milliseconds of the processor that an action takes, and what it returns."""
    start = time.process_time()
    result = action(*arguments)
    return 1e3 * (time.process_time() - start), result


def pool_rows(problem: Problem) -> int:
    """Returns how many starts a pool of the benchmark holds at once."""
    return min(64, batch_size(problem, torch.device("cpu")))


def pooled(problem: Problem, starts: list[Start], size: int) -> list[Arrival]:
    """Returns the ends of all starts."""
    return list(solve_batch(problem, starts, PseudoTransient(), size))


def start_of(problem: Problem, seed: int) -> Start:
    """Returns the start of a seed."""
    return Start(random_start(problem, Random(seed=seed)), random_origin(Random(seed=seed)))


def problem_of(setting: tuple[int, int, int, int], activation: ActivationName = "linear") -> Problem:
    """Returns the problem of K, n, d and L."""
    return Problem.balanced(*setting, DECAY, "ce", activation)


def one_solve(problem: Problem, seed: int, methods: tuple[Method, ...]) -> int:
    """Solves from one seed, and returns the number of steps.

    Raises:
        SystemExit: If the gradient norm does not reach 1e-12.
    """
    point = solve(problem, Random(seed=seed), methods)
    if point.outcome is not Outcome.CONVERGED:
        raise SystemExit(f"error: seed {seed} of {problem} ended {point.outcome.name} at {point.gradient_norm:.1e}: {methods}")
    return point.steps


def kernel_costs(problem: Problem, rows: int) -> tuple[float, float, float]:
    """Returns the milliseconds per row of a product, a gradient with the loss, and a linearisation, of a pool of rows."""
    theta = torch.stack([random_start(problem, Random(seed=seed)) for seed in range(rows)])
    objective = Objective.of(problem)
    apply, direction = objective.linearize(theta), torch.randn_like(theta)
    actions: dict[str, tuple[Callable[[], object], int]] = {
        "product": (lambda: apply(direction), rows),
        "gradient": (lambda: objective.value_and_gradient(theta), rows),
        "linearize": (lambda: objective.linearize(theta), rows),
    }
    found = medians(actions, 41, time.process_time)
    return 1e3 * found["product"], 1e3 * found["gradient"], 1e3 * found["linearize"]


def flow_costs(problem: Problem, rows: int) -> tuple[float, float]:
    """Returns the milliseconds per row of a product, and of a gradient with its linearisation, as the flow calls them.

    In inference mode, products to memory that exists, each of another direction than the one before.
    """
    theta = torch.stack([random_start(problem, Random(seed=seed)) for seed in range(rows)])
    objective, directions, result = Objective.of(problem), cycle(torch.randn(4, *theta.shape).to(theta)), torch.empty_like(theta)
    apply = objective.linearize(theta)
    actions: dict[str, tuple[Callable[[], object], int]] = {
        "product": (lambda: apply.write(next(directions), result), rows),
        "expand": (lambda: objective.expand(theta), rows),
    }
    with torch.inference_mode():
        found = medians(actions, 41, time.process_time)
    return 1e3 * found["product"], 1e3 * found["expand"]


def overheads(problem: Problem, starts: list[Start], rows: int) -> str:
    """Returns the time of a pool over that of its kernels, both ways to call them and the products alone, medians of five turns."""
    found = []
    for _ in range(5):
        taken, arrivals = spent(pooled, problem, starts, rows)
        products, tried = (sum(counts) for counts in zip(*((end.products, end.point.steps) for end in arrivals), strict=True))
        product, gradient, linearisation = kernel_costs(problem, rows)
        written, expanded = flow_costs(problem, rows)
        kernels = (
            products * product + tried * (gradient + linearisation),
            products * written + tried * expanded,
            products * written,
        )
        found.append([taken / kernel for kernel in kernels])
    apart, called, alone = (statistics.median(ratios) for ratios in zip(*found, strict=True))
    return f"overhead {apart:.2f} over kernels one by one, {called:.2f} as the flow calls them, {alone:.2f} over products alone"


def measured(setting: tuple[int, int, int, int], seeds: int) -> SolveRow:
    """Times one setting; the methods take turns, seed by seed."""
    problem = problem_of(setting)
    rows = pool_rows(problem)
    starts = [start_of(problem, seed) for seed in range(FILLS * rows)]
    methods: dict[str, tuple[Method, ...]] = {
        "alone": (PseudoTransient(), Newton()),
        "lbfgs": (LBFGS(), Newton()),
        "descent": (GradientDescent(tolerance=1e-12),),
    }
    times: dict[str, list[float]] = {name: [] for name in ("pool", "polish", *methods)}
    steps, costs = [], []
    one_solve(problem, 0, methods["alone"])  # to warm up
    for seed in range(seeds):
        taken, arrivals = spent(pooled, problem, starts, rows)
        times["pool"].append(taken / len(starts))
        costs.append(kernel_costs(problem, rows))
        for name, chain in methods.items():
            taken, count = spent(one_solve, problem, seed, chain)
            times[name].append(taken)
        steps.append(count)
        flowed = solve(problem, Random(seed=seed), (PseudoTransient(),))
        times["polish"].append(spent(solve, problem, flowed, (Newton(),))[0])
    products = statistics.mean(arrival.products for arrival in arrivals)
    tried = statistics.mean(arrival.point.steps for arrival in arrivals)
    product, gradient, linearisation = (statistics.median(cost) for cost in zip(*costs, strict=True))
    middle = {name: round(statistics.median(values), 3) for name, values in times.items()}
    kernels = round(products * product + tried * (gradient + linearisation), 3)
    gradients = statistics.mean(steps)
    fields = {"products": products, "steps": tried, "gradients": gradients, "kernels": kernels, **middle}
    return SolveRow(*setting, seeds, **{name: float(value) for name, value in fields.items()})  # type: ignore[arg-type]


def solved(seeds: int, run: str) -> list[SolveRow]:
    """Times every setting, and prints it as it comes."""
    rows = []
    for setting in SETTINGS:
        rows.append(replace(measured(setting, seeds), run=run))
        print(rows[-1], flush=True)
    return rows


def grown(varied: str, value: int, seeds: int) -> GrowthRow:
    """Times a product and a solve where one size differs from the paper's."""
    classes, samples, width, depth = (
        value if name == varied else size for name, size in zip(("classes", "samples", "width", "depth"), PAPER, strict=True)
    )
    setting = (classes, samples, width, depth)
    actions: dict[str, tuple[Callable[[], Any], int]] = {}
    kinds: tuple[ActivationName, ...] = ("linear", "relu")
    for activation in kinds:
        theta = random_start(problem_of(setting, activation), Random())
        actions[activation] = (partial(Objective.of(problem_of(setting, activation)).linearize(theta), theta), 1)
    found = medians(actions, 41, time.process_time)
    problem = problem_of(setting)
    times, products = [], []
    for seed in range(seeds):
        taken, (arrived,) = spent(pooled, problem, [start_of(problem, seed)], 1)
        times.append(taken)
        products.append(arrived.products)
    linear, relu = (round(1e3 * found[kind], 4) for kind in kinds)
    solved, counted = round(statistics.median(times), 2), statistics.median(products)
    return GrowthRow(varied, *setting, problem.parameters, linear, relu, solved, counted)


class Stopwatch:
    """Seconds of the processor in calls that are measured, each without those inside it that are measured too."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.rows = 0  # of the directions that were multiplied
        self.polishing = False  # what a polish calls belongs to it

    def measure(self, owner: Any, attribute: str, name: str) -> None:
        """Measures a function or a method from now on."""
        plain = getattr(owner, attribute)

        def measured(*given: Any, **named: Any) -> Any:
            if self.polishing:
                return plain(*given, **named)
            start, before, self.polishing = time.process_time(), sum(self.seconds.values()), name == "polish"
            if name == "products":
                self.rows += len(given[1])
            result = plain(*given, **named)
            inside = sum(self.seconds.values()) - before
            self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - start - inside
            self.polishing = False
            return result

        setattr(owner, attribute, measured)


PARTS: list[tuple[Any, str, str]] = [
    (HessianProduct, "write", "products"),
    (Systems, "iterate", "vectors of conjugate gradients"),
    (Objective, "expand", "gradients with linearisations"),
    (flow, "_try_step", "judging steps"),
    (flow, "_settle", "writing steps and the next systems"),
    (pool, "advance", "the rest of an advance"),
    (pool._Pool, "look", "records"),
    (pool._Pool, "refilled", "rows into the pool"),
    (pool, "_polished", "polish"),
]


def parts(setting: tuple[int, int, int, int]) -> None:
    """Prints the overheads of a pool, the shares of the parts in its time, and of its products those that nobody needed."""
    problem, watch = problem_of(setting), Stopwatch()
    rows = pool_rows(problem)
    starts = [start_of(problem, seed) for seed in range(FILLS * rows)]
    pooled(problem, starts[:rows], rows)  # to warm up
    print(setting, overheads(problem, starts, rows))
    plain = [getattr(owner, attribute) for owner, attribute, _ in PARTS]
    for part in PARTS:
        watch.measure(*part)
    total, arrivals = spent(pooled, problem, starts, rows)
    for (owner, attribute, _), function in zip(PARTS, plain, strict=True):
        setattr(owner, attribute, function)
    shares = {name: 1e5 * seconds / total for name, seconds in watch.seconds.items()}
    idle = shares["products"] * (1 - sum(arrival.products for arrival in arrivals) / watch.rows)
    shares |= {"products": shares["products"] - idle, "products of rows that wait": idle}
    shares["the rest"] = 100 - sum(shares.values())
    print(setting, f"{total / len(starts):.1f} ms a seed:", ", ".join(f"{name} {share:.1f} %" for name, share in shares.items()))


def memory(seeds: int) -> str:
    """Returns the peak of the memory of `landscape prevalence` on so many seeds of the paper's setting, in a process of its own."""
    problem = "K={},n={},d={},L={},decay=2**-10".format(*PAPER)
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-m", "landscape", "prevalence", "--problem", problem, "--seeds", str(seeds), "--out", name]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"error: landscape prevalence ended with {process.returncode}")
    return f"{seeds} seeds: {used.ru_maxrss / 1024:.0f} MiB at the peak, {used.ru_utime + used.ru_stime:.0f} s of the processor"


def main() -> None:
    """Measures and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--parts", action="store_true")
    parser.add_argument("--memory", type=int, help="number of seeds")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    if arguments.memory:
        print(memory(100), memory(arguments.memory), sep="\n")
        return
    if arguments.parts:
        for setting in SETTINGS:
            parts(setting)
        return
    if arguments.growth:
        table: list[Any] = [grown(varied, value, arguments.seeds) for varied, values in GROWTH.items() for value in values]
        print(*table, sep="\n")
    else:
        table = solved(arguments.seeds, run_name())
    write_table(table, arguments.out or DATA / f"cost-{'growth' if arguments.growth else 'solves'}.csv")


if __name__ == "__main__":
    main()
