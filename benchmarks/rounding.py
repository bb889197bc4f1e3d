"""Measures the rounding error of one step of `ls.ShortRecurrence`, which its certificate rests on, in longer precision.

    python -m benchmarks.rounding [--steps 120]

For every operator the recurrence runs in float64; then B q_j - beta_{j-1} q_{j-1} - alpha_j q_j - beta_j q_{j+1} is computed in
extended precision (64 digits of the mantissa) with B the matrix of the operator: entries that are exact, or, for a network, its
Hessian column by column, made symmetric. Printed are the median and the largest length of all steps in units of eps |B|, beside
the bound that the certificate takes.
"""

import argparse
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from landscape.curvature.counting.quotient import Quotient
from landscape.curvature.counting.short_recurrence import Recurrence, rounding_of_step
from landscape.curvature.krylov import seeded
from landscape.curvature.operators.operator import Matrix, Product, SymmetricOperator, dense
from landscape.network.loss import ModuleLoss
from landscape.network.operators import ModuleHessian

EPS = float(torch.finfo(torch.float64).eps)


def operators() -> Iterator[tuple[str, SymmetricOperator, Tensor]]:
    """Yields operators by name, with their matrices."""
    generator = torch.Generator().manual_seed(0)
    for size in (100, 1000, 3000):
        for condition in (1e2, 1e8):
            values = torch.logspace(-float(np.log10(condition)), 0, size, dtype=torch.float64)
            yield f"diagonal, {size}, condition {condition:.0e}", Product(partial(torch.mul, values), values), values.diag()
        drawn = torch.randn(size, size, generator=generator, dtype=torch.float64)
        wishart = drawn @ drawn.mT / size
        yield f"dense, {size}", Matrix((wishart + wishart.mT) / 2), (wishart + wishart.mT) / 2
    networks = {
        "tanh 20-30-5": nn.Sequential(nn.Linear(20, 30), nn.Tanh(), nn.Linear(30, 5)),
        "softplus 30-30-30-5": nn.Sequential(nn.Linear(30, 30), nn.Softplus(), nn.Linear(30, 30), nn.Softplus(), nn.Linear(30, 5)),
        "convolutions": nn.Sequential(
            nn.Unflatten(1, (1, 6, 6)), nn.Conv2d(1, 8, 3), nn.Tanh(), nn.Conv2d(8, 8, 3), nn.Tanh(), nn.Flatten(), nn.Linear(32, 5)
        ),
    }
    for name, network in networks.items():
        first = next(network.parameters())
        inputs = torch.randn(200, 36 if first.ndim == 4 else first.shape[1], generator=generator, dtype=torch.float64)
        problem = ModuleLoss(network.double(), nn.functional.cross_entropy, [(inputs, torch.arange(200) % 5)], decay=1e-2)
        hessian = ModuleHessian(problem)
        entries = dense(hessian)
        yield f"{name}, {hessian.size}", hessian, (entries + entries.mT) / 2


def errors(operator: SymmetricOperator, matrix: Tensor, steps: int) -> np.ndarray:
    """Returns the length of the rounding error of every step."""
    generator = seeded(0, "rounding")
    quotient = Quotient(operator, None, operator.like.new_zeros(operator.size, 0), 0.0)
    run = Recurrence.begin(quotient, 1, generator)
    vectors = [run.current[:, 0]]
    for _ in range(steps):
        run = run.continued(quotient, 1, generator)
        vectors.append(run.current[:, 0])
    q = torch.stack(vectors, 1).numpy().astype(np.longdouble)
    alpha, beta = (torch.stack(part)[:, 0].numpy().astype(np.longdouble) for part in (run.alpha, run.beta))
    image = matrix.numpy().astype(np.longdouble) @ q[:, :-1]
    rest = image - q[:, :-1] * alpha - q[:, 1:] * beta
    rest[:, 1:] -= q[:, :-2] * beta[:-1]
    return np.sqrt((rest**2).sum(0)).astype(float)


def main() -> None:
    """Prints a line for each operator."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=120)
    steps = parser.parse_args().steps
    torch.set_num_threads(1)
    for name, operator, matrix in operators():
        norm = float(torch.linalg.matrix_norm(matrix, 2))
        found = errors(operator, matrix, min(steps, operator.size // 2)) / (EPS * norm)
        quotient = Quotient(operator, None, operator.like.new_zeros(operator.size, 0), 0.0)
        bound = rounding_of_step(quotient, norm, seeded(0, "short recurrence")) / (EPS * norm)
        print(f"{name:40s} median {np.median(found):7.2f}, largest {found.max():7.2f}, bound {bound:7.1f}", flush=True)


if __name__ == "__main__":
    main()
