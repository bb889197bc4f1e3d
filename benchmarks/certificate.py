"""Polishes a large network, finds its symmetries and certifies without a matrix or a basis that nothing else is zero.

    python -m benchmarks.certificate [--hidden 256] [--maps 32] [--inputs 784] [--samples 100] [--device cpu] [--threads 1]

The network is Linear, tanh, then two linear maps, whose symmetry is a rotation of `maps`; decay on everything. 256 units have
2.1e5 parameters, 1230 have 1.0e6. The data are ten clusters of random points, 784 numbers each. Every line has the seconds so far
(wall clock, and processor time of this process) and the peak of the resident memory (VmHWM).
"""

import argparse
import math
import re
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from landscape.network.analysis import analyse_network
from landscape.network.loss import ModuleLoss
from landscape.network.polishing import polish

CLASSES = 10


def problem(arguments: argparse.Namespace) -> ModuleLoss:
    """Returns the loss of the network at its initialisation."""
    generator = torch.Generator().manual_seed(arguments.seed)
    labels = torch.arange(arguments.samples) % CLASSES
    centres = torch.randn(CLASSES, arguments.inputs, generator=generator, dtype=torch.float64)
    noise = torch.randn(arguments.samples, arguments.inputs, generator=generator, dtype=torch.float64)
    points = (centres[labels] + noise) / math.sqrt(arguments.inputs)
    torch.manual_seed(arguments.seed)
    maps = nn.Linear(arguments.hidden, arguments.maps), nn.Linear(arguments.maps, CLASSES)
    network = nn.Sequential(nn.Linear(arguments.inputs, arguments.hidden), nn.Tanh(), *maps).double().to(arguments.device)
    batches = list(zip(points.split(arguments.batch), labels.split(arguments.batch), strict=True))
    return ModuleLoss(network, nn.functional.cross_entropy, batches, decay=arguments.decay)


def clock(device: str) -> Callable[[str], None]:
    """Returns a function that prints a line with the time so far and the peak of the memory."""
    wall, own = time.perf_counter(), time.process_time()

    def say(line: str) -> None:
        peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
        memory = f"{int(peak[1]) / 1e6:.2f} GB" if peak else "unknown memory"
        if device != "cpu":
            memory += f", {torch.cuda.max_memory_allocated() / 1e9:.2f} GB on the device"
        print(f"{time.perf_counter() - wall:8.1f} s ({time.process_time() - own:.1f} of CPU, {memory}): {line}", flush=True)

    return say


def main() -> None:
    """Prints parameters, gradient norm, products, seconds, memory and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=784)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--maps", type=int, default=32, help="width between the two linear maps")
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--batch", type=int, default=10_000, help="samples of one batch")
    parser.add_argument("--decay", type=float, default=1e-2)
    parser.add_argument("--to", type=float, default=1e-11, help="gradient norm to polish to")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    say = clock(arguments.device)
    loss = problem(arguments)
    say(f"P = {loss.theta.numel()}, device {loss.theta.device}, {arguments.threads} threads, {arguments.samples} samples")
    trained = polish(loss, to=arguments.to)
    say(
        f"gradient {trained.gradient_norm:.1e} after {trained.gradients} gradients and {trained.products} products: "
        f"{trained.stopped.value}"
    )
    report = analyse_network(trained, "recurrence", progress=say)
    say("done")
    print(report)


if __name__ == "__main__":
    main()
