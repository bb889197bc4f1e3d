"""Times Hessian products of the DUFM beside the bare matrix products that they need at least, in one run.

    python -m benchmarks.ratios [--widths 70 512 1024] [--depths 2 3] [--peers] [--out build/ratios.csv]

The bare products have the shapes of the hand-derived formula, in the orientation that was fastest of up to eight (operands and
result stored either way, a batch at once or one after the other), results written to memory that exists. Those of a block run
operation by operation or column by column, whichever is faster. All actions take turns; medians. "alone" is the same columns
multiplied one at a time, with all products kept: what a block must not exceed. `benchmarks.cost` runs this and the solves in one
go and writes the tables of docs/cost.md. With --peers also PyHessian, curvlinops and
hessian-eigenthings (`benchmarks/peers.py` says how to install them), in times the single product. One thread unless
OMP_NUM_THREADS says otherwise.
"""

import argparse
import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.peers import medians, peer_products, run_name
from landscape.curvature.operators.operator import Product
from landscape.model.objective import Objective
from landscape.model.problem import ActivationName, Problem
from landscape.solver.methods import Random
from landscape.solver.starts import random_start
from landscape.studies.tables import write_table

CLASSES, SAMPLES, DECAY = 10, 5, 2.0**-10
ACTIVATIONS: tuple[ActivationName, ...] = ("linear", "relu")
WIDTHS, DEPTHS = (70, 512, 1024), (2, 3)
BLOCK_NUMBERS = 4_000_000  # of a block at most: 32 MB, beyond which the C library asks the system for every array anew
Action = Callable[[], object]


@dataclass(frozen=True)
class RatioRow:
    """Times of one case, in milliseconds per vector.

    Attributes:
        activation: Activation function of the model.
        width: Width d of the model.
        depth: Number L of weight matrices.
        columns: Number of vectors of the block.
        single: Median time of one product.
        single_bare: Median time of its bare matrix products.
        block: Median time of a product with the block.
        block_bare: Median time of the bare matrix products of the block.
        alone: Median time of the columns of the block one at a time, all results kept.
        peers: Times of other libraries, as name=milliseconds, in the order of the names.
        run: Beginning of the run and versions of the libraries.
    """

    activation: str
    width: int
    depth: int
    columns: int
    single: float
    single_bare: float
    block: float
    block_bare: float
    alone: float
    peers: str
    run: str


@dataclass(frozen=True)
class Bare:
    """One matrix product thin @ wide, of one direction or of a block of them.

    Attributes:
        thin: The factor with few rows, whose storage may be chosen.
        wide: The other factor, stored as it is in the vector of parameters.
        free: Whether the storage of the result may be chosen; where it is a part of the result vector, it may not.
    """

    thin: Tensor
    wide: Tensor
    free: bool = True

    def single(self, i: int | None) -> "Bare":
        """Returns the product for one direction of the block."""
        if i is None:
            return self
        thin, wide = (x if x.dim() == 2 else x[i] for x in (self.thin, self.wide))
        return Bare(thin, wide, self.free)

    def ways(self) -> list[Action]:
        """Returns ways to compute it."""
        thins = [self.thin.contiguous(), self.thin.mT.contiguous().mT]
        if self.thin.dim() == self.wide.dim() == 2:
            return [partial(torch.mm, thin, self.wide, out=out) for thin in thins for out in self._results(())]
        count = max(x.shape[0] for x in (self.thin, self.wide) if x.dim() == 3)
        found: list[Action] = []
        for thin, out in itertools.product(thins, self._results((count,))):
            rows, columns = (x if x.dim() == 3 else x.expand(count, -1, -1) for x in (thin, self.wide))
            found += [partial(torch.bmm, rows, columns, out=out), partial(_one_by_one, rows, columns, out)]
        if self.wide.dim() == 2:
            flat = thins[0].flatten(0, 1)
            found.append(partial(torch.mm, flat, self.wide, out=flat.new_empty(flat.shape[0], self.wide.shape[1])))
        return found

    def _results(self, batch: tuple[int, ...]) -> list[Tensor]:
        rows, columns = self.thin.shape[-2], self.wide.shape[-1]
        plain = self.wide.new_empty(*batch, rows, columns)
        return [plain, self.wide.new_empty(*batch, columns, rows).mT] if self.free else [plain]


def _one_by_one(rows: Tensor, columns: Tensor, out: Tensor) -> None:
    for i in range(out.shape[0]):
        torch.mm(rows[i], columns[i], out=out[i])


def bare_products(problem: Problem, block: Tensor | None) -> "Groups":
    """Returns what a Hessian product computes at least.

    Args:
        problem: Model whose Hessian is multiplied.
        block: Directions as rows; None for one direction.
    """
    objective = Objective.of(problem)
    draw = partial(torch.randn, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    features, *layers = objective.split(draw(problem.parameters))
    tangent, *turns = objective.split(draw(problem.parameters) if block is None else block)
    batch = () if block is None else (len(block),)
    return (_thin if problem.activation == "linear" else _by_columns)(draw, batch, features, layers, tangent, turns)


Draw = Callable[..., Tensor]
Groups = list[list[list[Bare]]]  # of each group the fastest alternative counts, and an alternative is one product or several


def _thin(
    draw: Draw, batch: tuple[int, ...], features: Tensor, layers: list[Tensor], tangent: Tensor, turns: list[Tensor]
) -> Groups:
    """The linear model: K rows through the layers and back (`model.thin_product`)."""
    (width, columns), rows = features.shape, layers[-1].shape[0]
    fixed, moving = draw(rows, width), draw(*batch, rows, width)
    error, change = draw(rows, columns), draw(*batch, rows, columns)
    products = [Bare(moving, features), Bare(fixed, tangent), Bare(change, features.mT), Bare(error, tangent.mT)]
    groups = [[[product]] for product in products]
    groups.append([[Bare(moving.mT, error, False), Bare(fixed.mT, change, False)]])
    for layer, turn in zip(layers[:-1], turns[:-1], strict=True):
        products = [Bare(moving, layer), Bare(fixed, turn), Bare(moving, layer.mT), Bare(fixed, turn.mT)]
        groups += [[[product]] for product in products]
        groups.append(_outer(draw, batch, (rows, width, width)))
    return groups


def _by_columns(
    draw: Draw, batch: tuple[int, ...], features: Tensor, layers: list[Tensor], tangent: Tensor, turns: list[Tensor]
) -> Groups:
    """Any model: N columns through the layers and back (`model.column_pass`)."""
    columns, groups = features.shape[1], []
    for layer, turn in zip(layers, turns, strict=True):
        before, after = [(draw(columns, size), draw(*batch, columns, size)) for size in (layer.shape[1], layer.shape[0])]
        products = [Bare(before[1], layer.mT), Bare(before[0], turn.mT), Bare(after[1], layer), Bare(after[0], turn)]
        groups += [[[product]] for product in products]
        groups.append(_outer(draw, batch, (columns, layer.shape[0], layer.shape[1])))
    return groups


def _outer(draw: Draw, batch: tuple[int, ...], sizes: tuple[int, int, int]) -> list[list[Bare]]:
    """The two products that meet in the derivative of a layer, apart or as one of twice the inner size."""
    inner, rows, columns = sizes
    apart = [
        Bare(draw(*batch, inner, rows).mT, draw(inner, columns), False),
        Bare(draw(inner, rows).mT, draw(*batch, inner, columns), False),
    ]
    return [apart, [Bare(draw(*batch, 2 * inner, rows).mT, draw(*batch, 2 * inner, columns), False)]]


def chosen(groups: Groups, columns: int | None) -> list[Action]:
    """Returns the fastest way of every product; with a number of columns, column by column, each as the first is fastest."""
    found: list[list[Action]] = [[] for _ in range(columns or 1)]
    for group in groups:
        plans = []
        for alternative in group:
            timed = [_fastest(bare.single(0 if columns else None).ways()) for bare in alternative]
            plans.append((sum(seconds for seconds, _ in timed), [index for _, index in timed], alternative))
        _, indices, alternative = min(plans, key=lambda plan: plan[0])
        for i, actions in enumerate(found):
            actions += [bare.single(i if columns else None).ways()[index] for bare, index in zip(alternative, indices, strict=True)]
    return list(itertools.chain(*found))


def _fastest(ways: list[Action], rounds: int = 5) -> tuple[float, int]:
    """Returns the median seconds of the fastest way, and which it is."""
    times: list[list[float]] = [[] for _ in ways]
    for _, (taken, way) in itertools.product(range(rounds), zip(times, ways, strict=True)):
        start = time.process_time()
        way()
        taken.append(time.process_time() - start)
    middle = [statistics.median(taken) for taken in times]
    return min(middle), middle.index(min(middle))


def _all(actions: list[Action]) -> None:
    for action in actions:
        action()


def measured(problem: Problem, columns: int, rounds: int, with_peers: bool, run: str) -> RatioRow:
    """Times one case, all ways taking turns."""
    theta = random_start(problem, Random())
    objective = Objective.of(problem)
    operator = Product(objective.linearize(theta), theta)
    rows = torch.randn(columns, problem.parameters, dtype=theta.dtype, generator=torch.Generator().manual_seed(1))
    block, vector = rows.mT, rows[:1].mT
    often = max(1, 500_000 // problem.parameters)  # or a small one pays for the caches that the action before it has emptied
    actions: dict[str, tuple[Action, int]] = {
        "single": (partial(_all, [lambda: operator @ vector] * often), often),
        "single_bare": (partial(_all, chosen(bare_products(problem, None), None) * often), often),
        "block": (lambda: operator @ block, columns),
        "together": (partial(_all, chosen(bare_products(problem, rows), None)), columns),
        "apart": (partial(_all, chosen(bare_products(problem, rows), columns)), columns),
        "alone": (lambda: [operator @ column for column in block.split(1, dim=1)], columns),
    }
    with peer_products(objective, theta, vector[:, 0].contiguous(), None) as others:
        actions |= others if with_peers else {}
        found = {name: 1e3 * seconds for name, seconds in medians(actions, rounds, time.process_time).items()}
    found["block_bare"] = min(found["together"], found["apart"])
    peers = " ".join(f"{name.split(',')[0]}={found[name]:.3f}" for name in others if with_peers)
    times = {name: round(found[name], 5) for name in ("single", "single_bare", "block", "block_bare", "alone")}
    return RatioRow(problem.activation, problem.width, problem.depth, columns, **times, peers=peers, run=run)


def table(cases: Iterable[tuple[ActivationName, int, int]], rounds: int, with_peers: bool, run: str) -> list[RatioRow]:
    """Measures every case of activation, width and depth, and prints it as it comes."""
    print("activation    d  L   k  single   bare ratio   block   bare ratio   alone ratio")
    rows = []
    for activation, width, depth in cases:
        problem = Problem.balanced(CLASSES, SAMPLES, width, depth, DECAY, "ce", activation)
        columns = max(4, min(64, BLOCK_NUMBERS // problem.parameters))
        often = rounds or (41 if problem.parameters < 20_000 else 11)
        row = measured(problem, columns, often, with_peers, run)
        rows.append(row)
        print(
            f"{activation:7s} {width:7d} {depth:2d} {columns:3d} {row.single:7.3f} {row.single_bare:6.3f} "
            f"{row.single / row.single_bare:5.2f} {row.block:7.3f} {row.block_bare:6.3f} {row.block / row.block_bare:5.2f} "
            f"{row.alone:7.3f} {row.block / row.alone:5.2f}  {row.peers}",
            flush=True,
        )
    return rows


def main() -> None:
    """Measures all cases and prints them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--depths", type=int, nargs="+", default=DEPTHS)
    parser.add_argument("--activations", nargs="+", default=ACTIVATIONS)
    parser.add_argument("--rounds", type=int, default=0, help="0: 41 below 20 000 parameters, else 11")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("build/ratios.csv"))
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    run = run_name()
    print(run, f"{torch.get_num_threads()} thread(s)")
    cases = itertools.product(arguments.activations, arguments.widths, arguments.depths)
    rows = table(cases, arguments.rounds, arguments.peers, run)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_table(rows, arguments.out)


if __name__ == "__main__":
    main()
