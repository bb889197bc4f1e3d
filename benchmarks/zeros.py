"""Asks other libraries how many eigenvalues are zero at deep neural collapse of the paper's setting, where 1170 of 9100 are.

    python -m benchmarks.zeros [--probes 10] [--steps 40] [--out figures/data/zeros-peers.csv]

A density is nodes with weights; those within a cutoff, times the parameters, are the zeros that it says, with the standard error
over the probes. Two cutoffs, since the smallest other eigenvalue is 1e-3 and some make their tridiagonal matrix in float32. A
Krylov space from one vector is asked for its Ritz values within the cutoff instead. `benchmarks/network_peers.py` says how to
install the others; one that is not installed is left out.
"""

import argparse
import importlib.metadata
import importlib.util
import statistics
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers import Identity, Scalar, write_rows
from landscape.curvature.pyhessian import PyHessian
from landscape.model.logit_form import write_parameters
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Collapse

CUTOFFS = (1e-9, 1e-5)
LONG = 300  # steps of the Krylov space whose Ritz values are counted
TABLE = Path(__file__).parent.parent / "figures" / "data" / "zeros-peers.csv"
COLUMNS = ("method", "library", "version", "probes", "steps", "cutoff", "zeros", "error")
Probe = tuple[list[float], list[float]]  # nodes and weights
Density = Callable[[int, int], list[Probe]]  # of steps and probes


def densities(loss: Callable[[Tensor], Tensor], theta: Tensor) -> Iterator[tuple[str, str, Density]]:
    """Yields name, distribution and stochastic Lanczos quadrature of every library that is installed."""
    yield "density, torch.eig replaced and nothing else", "pyhessian", lambda steps, probes: _bare(loss, theta, steps, probes)
    repaired = PyHessian.of_loss(loss, theta)
    yield "density, repaired", "pyhessian", lambda steps, probes: list(zip(*repaired.density(steps, probes), strict=True))
    module, nothing = Scalar(loss, theta), (torch.zeros(1, 1, dtype=theta.dtype), torch.zeros(1, 1, dtype=theta.dtype))
    if importlib.util.find_spec("landscaper"):
        from landscaper import PyHessian as Copied

        def copied(steps: int, probes: int) -> list[Probe]:
            torch.manual_seed(0)
            nodes, squares = Copied(module, Identity(), [nothing], "cpu", try_cache=True).density(steps, probes)
            return [
                ([float(n.real) for n in node], [float(w.real) for w in square[0]])
                for node, square in zip(nodes, squares, strict=True)
            ]

        yield "density", "landscaper", copied
    if importlib.util.find_spec("hessian_eigenthings"):
        from hessian_eigenthings.algorithms.spectral_density import spectral_density
        from hessian_eigenthings.operators.hessian import HessianOperator

        other = HessianOperator(module, [torch.zeros(1)], lambda model, batch: model(batch))

        def runs(steps: int, probes: int) -> list[Probe]:
            found = spectral_density(other, num_runs=probes, lanczos_steps=steps, num_grid_points=2, seed=0)
            return list(zip(found.raw_eigenvalues.tolist(), found.raw_weights.tolist(), strict=True))

        yield "stochastic quadrature", "hessian-eigenthings", runs
    if importlib.util.find_spec("curvlinops"):
        yield "stochastic quadrature", "curvlinops-for-pytorch", lambda steps, probes: _papyan(module, nothing, steps, probes)


def _papyan(module: Scalar, nothing: tuple[Tensor, Tensor], steps: int, probes: int) -> list[Probe]:
    """Returns what curvlinops sees."""
    from curvlinops import HessianLinearOperator
    from curvlinops.papyan2020traces.spectrum import fast_lanczos

    operator = HessianLinearOperator(module, Identity(), [module.theta], [nothing], check_deterministic=False)
    torch.manual_seed(0)
    found = [fast_lanczos(operator, steps) for _ in range(probes)]
    return [(nodes.tolist(), vectors[0].square().tolist()) for nodes, vectors in found]


def _bare(loss: Callable[[Tensor], Tensor], theta: Tensor, steps: int, probes: int) -> list[Probe]:
    """Returns what PyHessian sees with a stand-in for the one call that torch no longer has."""
    library: Any = importlib.import_module("pyhessian.hessian")

    def eig(matrix: Tensor, eigenvectors: bool = True) -> tuple[Tensor, Tensor]:
        values, vectors = torch.linalg.eigh(matrix)
        return torch.stack([values, torch.zeros_like(values)], dim=1), vectors

    stand_in, torch_of_it = types.ModuleType("torch"), library.torch
    stand_in.__dict__.update(torch.__dict__, eig=eig)
    torch.manual_seed(0)
    nothing = torch.zeros(1, dtype=theta.dtype)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Using backward\\(\\) with create_graph=True", category=UserWarning)
        library.torch = stand_in
        try:
            session = library.hessian(Scalar(loss, theta), lambda outputs, _: outputs, data=(nothing, nothing), cuda=False)
            nodes, weights = session.density(iter=steps, n_v=probes)
        finally:
            library.torch = torch_of_it
    return list(zip(nodes, weights, strict=True))


def zeros(probes: list[Probe], size: int, cutoff: float) -> tuple[float, float]:
    """Returns the mean number of eigenvalues that probes see within a cutoff, and its standard error."""
    each = [
        size * sum(float(weight) for node, weight in zip(nodes, weights, strict=True) if abs(node) <= cutoff)
        for nodes, weights in probes
    ]
    return statistics.mean(each), statistics.stdev(each) / len(each) ** 0.5


def rows(problem: Problem, steps: int, probes: int) -> Iterator[dict[str, Any]]:
    """Yields a row for each method and cutoff at the analytic deep neural collapse of a problem."""
    theta = write_parameters(problem, logit_form(problem, Collapse()), gauge=0)
    loss = Objective.of(problem, theta).loss
    for method, library, density in densities(loss, theta):
        found = density(steps, probes)
        for cutoff in CUTOFFS:
            mean, error = zeros(found, problem.parameters, cutoff)
            yield _row(method, library, probes, steps, cutoff, f"{mean:.0f}", f"{error:.0f}")
    if importlib.util.find_spec("curvlinops"):
        nothing = (torch.zeros(1, 1, dtype=theta.dtype), torch.zeros(1, 1, dtype=theta.dtype))
        spaces = _papyan(Scalar(loss, theta), nothing, LONG, probes)
        for cutoff in CUTOFFS:
            counted = [sum(abs(node) <= cutoff for node in nodes) for nodes, _ in spaces]
            found_there = f"{min(counted)} to {max(counted)}"
            yield _row("Ritz values of one vector", "curvlinops-for-pytorch", probes, LONG, cutoff, found_there, "")


def _row(method: str, library: str, probes: int, steps: int, cutoff: float, mean: str, error: str) -> dict[str, Any]:
    values = (method, library, importlib.metadata.version(library), probes, steps, f"{cutoff:.0e}", mean, error)
    return dict(zip(COLUMNS, values, strict=True))


def main() -> None:
    """Measures, prints and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--probes", type=int, default=10)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--out", type=Path, default=TABLE)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lines = []
    for line in rows(Problem.balanced(10, 5, 70, 2, 2**-10), arguments.steps, arguments.probes):
        print(*line.values(), sep="  ", flush=True)
        lines.append(line)
    write_rows(arguments.out, COLUMNS, lines)


if __name__ == "__main__":
    main()
