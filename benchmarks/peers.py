"""Times our products and counts beside PyHessian, curvlinops, hessian-eigenthings and scipy, in one run on one operator.

    python benchmarks/peers.py [--width 70] [--depth 2] [--dense] [--compile] [--out build/peers.json]

Prints a table of ratios and writes it as JSON with all versions. A peer that is not installed is left out. Two are not in the
environment, since curvlinops brings torchvision along: pip install --pre -c constraints.txt curvlinops-for-pytorch
hessian-eigenthings. Ratios of one run are what to compare; seconds belong to the machine. One thread unless OMP_NUM_THREADS says
otherwise.
"""

import argparse
import csv
import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from landscape.curvature.compiled import compiled
from landscape.curvature.counting.deflation import Deflated
from landscape.curvature.counting.interface import nullity
from landscape.curvature.counting.lowrank import LowRank
from landscape.curvature.operators.algebra import to_scipy
from landscape.curvature.operators.operator import CHUNK, Hessian, Product
from landscape.curvature.pyhessian import PyHessian
from landscape.model.gauge_projector import orbit_projector
from landscape.model.logit_form import write_parameters
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Collapse

BLOCK = CHUNK
PEERS = ("torch", "scipy", "pyhessian", "curvlinops-for-pytorch", "hessian-eigenthings")


def medians(
    actions: dict[str, tuple[Callable[[], Any], int]], rounds: int = 15, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Returns the median seconds per vector of every action.

    The actions take turns, so that whatever else the machine does meets all of them.

    Args:
        actions: Each with the number of vectors that it multiplies.
        rounds: How often each is timed, after one call to warm it up.
        clock: The time in seconds; `time.process_time` where the machine has other work.
    """
    times: dict[str, list[float]] = {name: [] for name in actions}
    for turn in range(rounds + 1):
        for name, (action, vectors) in actions.items():
            start = clock()
            action()
            if turn:
                times[name].append((clock() - start) / vectors)
    return {name: statistics.median(values) for name, values in times.items()}


def write_rows(path: Path, columns: Sequence[str], rows: list[dict[str, Any]]) -> None:
    """Writes a table of a comparison as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


class Scalar(nn.Module):
    """The loss as a module, for the peers that want one."""

    def __init__(self, function: Callable[[Tensor], Tensor], at: Tensor) -> None:
        super().__init__()
        self.function, self.theta = function, nn.Parameter(at.clone())

    def forward(self, _: Tensor) -> Tensor:
        """Returns the loss whatever the input."""
        return self.function(self.theta)


@contextmanager
def peer_products(
    objective: Objective, theta: Tensor, vector: Tensor, block: Tensor | None
) -> Iterator[dict[str, tuple[Callable[[], Any], int]]]:
    """Gives the product of every installed peer with a vector, and with a block where the peer takes one and it is given."""
    actions: dict[str, tuple[Callable[[], Any], int]] = {}
    if importlib.util.find_spec("curvlinops"):
        from curvlinops import HessianLinearOperator

        nothing = [(torch.zeros(1, 1, dtype=theta.dtype), torch.zeros(1, 1, dtype=theta.dtype))]
        module = Scalar(objective.loss, theta)
        peer = HessianLinearOperator(module, Identity(), [module.theta], nothing, check_deterministic=False)
        actions["curvlinops, single"] = (lambda: peer @ vector, 1)
        if block is not None:
            actions["curvlinops, blocked"] = (lambda: peer @ block, block.shape[1])
    if importlib.util.find_spec("hessian_eigenthings"):
        from hessian_eigenthings.operators.hessian import HessianOperator

        other = HessianOperator(Scalar(objective.loss, theta), [torch.zeros(1)], lambda module, batch: module(batch))
        actions["hessian-eigenthings, single"] = (lambda: other.matvec(vector), 1)
    with PyHessian.of_loss(objective.loss, theta)._session() as (session, library):
        cached = library.hessian_vector_product
        actions["PyHessian, cached"] = (lambda: cached(session.gradsH, session.params, [vector]), 1)
        yield actions


def products(problem: Problem, theta: Tensor, compile_too: bool) -> dict[str, float]:
    """Returns the median seconds per vector of every way to multiply; prints what compiling took."""
    objective = Objective.of(problem, theta)
    block = torch.randn(problem.parameters, BLOCK, dtype=theta.dtype, generator=torch.Generator().manual_seed(0))
    column = block[:, :1].contiguous()
    written, traced = Product(objective.linearize(theta), theta), Hessian(objective.loss, theta)
    vector = column[:, 0].contiguous()
    expected = (written @ column)[:, 0]
    actions: dict[str, tuple[Callable[[], Any], int]] = {
        "hand-derived, blocked": (lambda: written @ block, BLOCK),
        "hand-derived, single": (lambda: written @ column, 1),
        "torch.func, blocked": (lambda: traced @ block, BLOCK),
        "torch.func, single": (lambda: traced @ column, 1),
    }
    if compile_too:
        for name, operator in ("hand-derived", written), ("torch.func", traced):
            program = compiled(operator)
            print(f"{name}: compiled for {BLOCK} columns in {program.seconds:.1f} s, relative difference {program.difference:.1e}")
            actions[f"{name}, compiled"] = (partial(program.__matmul__, block), BLOCK)
    with peer_products(objective, theta, vector, block) as others:
        actions |= others
        for name, (action, vectors) in actions.items():
            if vectors == 1:
                result = action()
                found = (result[0] if isinstance(result, list | tuple) else result).reshape(-1)
                error = float((found - expected).norm() / expected.norm())
                if not error < 1e-10:
                    raise SystemExit(f"error: {name} multiplies by another matrix, relative difference {error:.1e}")
        return medians(actions, 15 if problem.parameters < 100_000 else 3)


class Identity(nn.MSELoss):
    """Passes the loss through under the name of a loss that curvlinops knows."""

    def forward(self, outputs: Tensor, _: Tensor) -> Tensor:
        """Returns the outputs."""
        return outputs


def counts(problem: Problem, theta: Tensor, dense: bool) -> dict[str, dict[str, Any]]:
    """Returns the nullity that each method reports and the seconds it took; prints each as it comes: the last may take an hour."""
    import scipy.sparse.linalg

    objective = Objective.of(problem, theta)
    operator = Product(objective.linearize(theta), theta)
    table: dict[str, dict[str, Any]] = {}

    def record(name: str, action: Callable[[], tuple[int, bool]]) -> None:
        start = time.perf_counter()
        processor = time.process_time()
        number, certain = action()
        spent = {"seconds": time.perf_counter() - start, "processor_seconds": time.process_time() - processor}
        table[name] = {"nullity": number, "resolved": certain, **spent}
        told = f"{spent['seconds']:10.2f} s {spent['processor_seconds']:10.2f} s of processor   nullity {number:6d}"
        print(f"{name:45s} {told} {'exact' if certain else 'no proof'}", flush=True)

    def deflated() -> tuple[int, bool]:
        result = nullity(operator, Deflated(orbit_projector(problem, theta, 1e-9)), 1e-14)
        return result.count, result.resolved

    def lowrank() -> tuple[int, bool]:
        result = nullity(operator, LowRank(problem.mean_decay), 1e-14)
        return result.count, result.resolved

    def arpack() -> tuple[int, bool]:
        wanted = min(40, problem.parameters - 2)
        try:
            values = scipy.sparse.linalg.eigsh(
                to_scipy(operator), k=wanted, which="SA", return_eigenvectors=False, v0=start, tol=1e-8, maxiter=20
            )
        except scipy.sparse.linalg.ArpackNoConvergence as stopped:
            values = stopped.eigenvalues
        return int((abs(values) < 1e-9).sum()), False

    start = torch.randn(problem.parameters, dtype=theta.dtype, generator=torch.Generator().manual_seed(0)).numpy()
    record("Deflated, projector included", deflated)
    record("scipy ARPACK, 40 smallest, 20 restarts", arpack)
    if dense:
        from landscape.curvature.counting.dense_and_inertia import Dense

        record("LowRank", lowrank)
        record("Dense: assembly and eigvalsh", lambda: (nullity(operator, Dense(), 1e-14).count, True))
    return table


def main() -> None:
    """Runs everything and prints it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=70)
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--dense", action="store_true", help="also the methods that take minutes at width 70")
    parser.add_argument("--compile", action="store_true", help="also products compiled by torch.compile")
    parser.add_argument("--out", type=Path, default=Path("build/peers.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    problem = Problem.balanced(10, 5, arguments.width, arguments.depth, 2**-10)
    theta = write_parameters(problem, logit_form(problem, Collapse()))
    versions = {name: version(name) for name in PEERS}
    seconds = products(problem, theta, arguments.compile)
    fastest = seconds["hand-derived, blocked"]
    print(f"{problem}\n{versions}")
    for name, value in seconds.items():
        print(f"{name:45s} {1e3 * value:10.3f} ms per vector {value / fastest:8.1f} x")
    found = counts(problem, theta, arguments.dense)
    result = {"problem": str(problem), "versions": versions, "machine": platform.machine(), "products": seconds, "counts": found}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n")


def version(name: str) -> str | None:
    """Returns the version of a distribution, None if it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def run_name() -> str:
    """Returns what names this run in the tables that it writes: when it began, and the version of every library."""
    versions = [f"{name}={found}" for name in PEERS if (found := version(name))]
    return " ".join([f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", *versions])


if __name__ == "__main__":
    main()
