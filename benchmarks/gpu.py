"""Times products and the certified count on a CUDA device beside the CPU, and checks that both count the same.

    python benchmarks/gpu.py [--width 512] [--depth 3] [--device cuda]

Everything stays in float64 on the device. Without a CUDA device it says so in one line and exits with code 2.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch

from landscape.curvature.counting.deflation import Deflated
from landscape.curvature.counting.interface import nullity
from landscape.curvature.operators.operator import CHUNK, Product
from landscape.model.gauge_projector import orbit_projector
from landscape.model.logit_form import write_parameters
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Collapse


def seconds(action: Callable[[], object], device: str, repeats: int = 7) -> float:
    """Returns the median time of an action after one call to warm it up, the device waited for."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        action()
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def measured(problem: Problem, device: str) -> dict[str, float]:
    """Returns the milliseconds per vector of a product, the seconds of a certified count, and the count itself."""
    theta = write_parameters(problem, logit_form(problem, Collapse())).to(device)
    operator = Product(Objective.of(problem, theta).linearize(theta), theta)
    block = torch.randn(problem.parameters, CHUNK, dtype=theta.dtype, generator=torch.Generator().manual_seed(0)).to(device)
    product = 1e3 * seconds(lambda: operator @ block, device) / CHUNK
    start = time.perf_counter()
    result = nullity(operator, Deflated(orbit_projector(problem, theta, 1e-9), probes=4), 1e-14)
    if not result.resolved:
        sys.exit(f"error: the count on {device} is undecided: {result.reason}")
    return {"ms per vector": product, "count seconds": time.perf_counter() - start, "nullity": result.count}


def main() -> int:
    """Runs on both devices and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("error: expected a CUDA device, found none: run this on a machine with one", file=sys.stderr)
        return 2
    problem = Problem.balanced(10, 5, arguments.width, arguments.depth, 2**-10)
    rows = {device: measured(problem, device) for device in ("cpu", arguments.device)}
    print(f"{problem}, torch {torch.__version__}, {torch.cuda.get_device_name(arguments.device)}")
    for name in rows["cpu"]:
        print(f"{name:15s}", *(f"{device} {row[name]:12.4g}" for device, row in rows.items()))
    if rows["cpu"]["nullity"] != rows[arguments.device]["nullity"]:
        sys.exit("error: the devices count differently")
    return 0


if __name__ == "__main__":
    sys.exit(main())
