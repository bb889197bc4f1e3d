"""Times what this package does on a CUDA device beside the CPU of the same machine, and checks that both find the same.

    python -m benchmarks.gpu [--part products ...] [--out gpu.json]

Parts: products (of the model, at several widths, one vector and a block), count (a certified nullity at width 512), density
(stochastic Lanczos quadrature there), solve (one random start to its end), prevalence (many at once), network (products of a
ResNet-8) and sweep (one worker for each device). Everything is in float64. The result is one JSON value. Without a CUDA device it
says so in one line and exits with code 2; where the devices count differently, with code 1.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

import landscape as ls
from benchmarks.network_peers import CE, trained
from landscape.atomic_files import atomic_write
from landscape.curvature.compiled import compiled
from landscape.curvature.operators.operator import CHUNK, Product
from landscape.errors import InputError
from landscape.model.objective import Objective
from landscape.solver.starts import random_start
from landscape.sweep.grid import parse_grid
from landscape.sweep.run import run_sweep
from landscape.sweep.settings import EngineSettings

Row = dict[str, float | int | str]
PAPER = "K=10,n=5,d=70,L=2,decay=2**-10"
PAPER_SECTION = {"classes": 10, "samples": 5, "width": 70, "depth": 2, "decay": "2**-10"}  # the same, for a grid
WIDTHS = (70, 512, 1024)


def wait(device: str) -> None:
    """Waits for what the device still has to do."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def seconds(action: Callable[[], object], device: str, repeats: int = 7) -> float:
    """Returns the median time of an action after one call to warm it up, the device waited for."""
    times = []
    for _ in range(repeats + 1):
        wait(device)
        start = time.perf_counter()
        action()
        wait(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def product_of(problem: ls.Problem, device: str) -> tuple[Product, Tensor]:
    """Returns the Hessian at collapse on a device, and a block of `CHUNK` columns."""
    theta = ls.place(problem, ls.Collapse(), gauge=1).theta.to(device)
    block = torch.randn(problem.parameters, CHUNK, dtype=theta.dtype, generator=torch.Generator().manual_seed(0)).to(device)
    return Product(Objective.of(problem, theta).linearize(theta), theta), block


def products(device: str, widths: tuple[int, ...] = WIDTHS) -> Row:
    """Returns the milliseconds per vector, alone and in a block, by width; compiled too, where torch can."""
    row: Row = {}
    for width in widths:
        operator, block = product_of(ls.Problem.balanced(10, 5, width, 3, 2**-10), device)
        row[f"d={width}, one, ms"] = 1e3 * seconds(partial(operator.__matmul__, block[:, :1]), device)
        row[f"d={width}, block, ms"] = 1e3 * seconds(partial(operator.__matmul__, block), device, 3) / block.shape[1]
        if torch.device(device).type == "cuda" and width in (70, 512):
            try:
                program = compiled(operator, block.shape[1])
            except InputError as reason:
                row[f"d={width}, compiled"] = str(reason)
            else:
                row[f"d={width}, block compiled, ms"] = (
                    1e3 * seconds(partial(program.__matmul__, block), device, 3) / block.shape[1]
                )
    return row


def count(device: str, width: int = 512) -> Row:
    """Returns the certified nullity of the minimum, and its seconds."""
    problem = ls.Problem.balanced(10, 5, width, 3, 2**-10)
    operator, _ = product_of(problem, device)
    theta = operator.like
    start = time.perf_counter()
    found = ls.nullity(operator, ls.Deflated(ls.orbit_projector(problem, theta, 1e-9), probes=4), 1e-14)
    if not found.resolved:
        sys.exit(f"error: the count on {device} is undecided: {found.reason}")
    return {"count": found.count, "seconds": time.perf_counter() - start}


def density(device: str, width: int = 512) -> Row:
    """Returns the share of zeros by stochastic Lanczos quadrature, and its seconds."""
    problem = ls.Problem.balanced(10, 5, width, 3, 2**-10)
    operator, _ = product_of(problem, device)
    start = time.perf_counter()
    share = ls.density(operator, ls.Quadrature(probes=8, steps=60)).fraction(-1e-8, 1e-8)
    return {"share of zeros": share.mean, "error": share.error, "seconds": time.perf_counter() - start}


def solve(device: str, width: int = 512) -> Row:
    """Returns where one random start ends, and its seconds."""
    problem = ls.Problem.balanced(10, 5, width, 3, 2**-10)
    theta = random_start(problem, ls.Random(1.0, 1.0, 0)).to(device)
    start = time.perf_counter()
    point = ls.solve(problem, theta)
    took = time.perf_counter() - start
    return {"count": ls.analyse(point).structure, "gradient norm": point.gradient_norm, "seconds": took}


def prevalence(device: str, seeds: int = 64, problem: str = PAPER) -> Row:
    """Returns how often collapse is found by as many random starts, and the seconds of one."""
    start = time.perf_counter()
    found = ls.prevalence(ls.Problem.parse(problem), seeds=seeds, device=device)
    return {"count": found.counts.get("DNC", 0), "seeds": seeds, "seconds per seed": (time.perf_counter() - start) / seeds}


def network(device: str) -> Row:
    """Returns the milliseconds per vector of a ResNet-8, alone and in a block."""
    net, batch = trained("ResNet-8")
    x, y = (tensor.to(device) for tensor in batch)
    hessian = ls.ModuleHessian(ls.ModuleLoss(net.to(device), CE, [(x, y)]))
    block = torch.randn(hessian.size, 8, dtype=x.dtype, generator=torch.Generator().manual_seed(0)).to(device)
    one = seconds(partial(hessian.__matmul__, block[:, :1]), device, 5)
    return {"one, ms": 1e3 * one, "block, ms": 1e3 * seconds(partial(hessian.__matmul__, block), device, 3) / 8}


def sweep(device: str, seeds: int = 16) -> Row:
    """Returns how many jobs a sweep has done with one worker for each device (CPU: one in all), and their seconds."""
    grid = parse_grid({"problem": PAPER_SECTION, "start": {"kind": "random", "seed": {"from": 0, "to": seeds - 1}}})
    there = torch.cuda.device_count() if device != "cpu" else 1
    settings = EngineSettings(workers=there, gpus=int(device != "cpu"), device="cpu" if device == "cpu" else "cuda")
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        run_sweep(grid, folder, settings)
        took = time.perf_counter() - start
        return {"count": len(ls.read_results(folder)[0]), "workers": there, "seconds": took}


PARTS: dict[str, Callable[[str], Row]] = {
    part.__name__: part for part in (products, count, density, solve, prevalence, network, sweep)
}


def main() -> int:
    """Runs the parts on both devices and writes one JSON value."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, help="Where the JSON value goes too.")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("error: expected a CUDA device, found none: run this on a machine with one", file=sys.stderr)
        return 2
    found: dict[str, object] = {
        "device": torch.cuda.get_device_name(arguments.device),
        "torch": torch.__version__,
        "CPU threads": torch.get_num_threads(),
    }
    differ = False
    for name in arguments.part:
        rows = {device: PARTS[name](device) for device in ("cpu", arguments.device)}
        differ |= rows["cpu"].get("count") != rows[arguments.device].get("count")
        found[name] = rows
        print(name, json.dumps(rows), file=sys.stderr, flush=True)
        if arguments.out:
            with atomic_write(arguments.out) as temporary:
                temporary.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))
    if differ:
        print("error: the devices count differently", file=sys.stderr)
    return int(differ)


if __name__ == "__main__":
    sys.exit(main())
