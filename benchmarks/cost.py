"""Times products and solves of the DUFM in ONE run, beside other libraries, and writes both tables of docs/cost.md.

    python -m benchmarks.cost [--peers] [--seeds 3] [--out figures/data]

Products beside their bare matrix products (`benchmarks/ratios.py`) and solves beside descent, L-BFGS and their kernels
(`benchmarks/solves.py`), one after the other in this process: `cost-products.csv` and `cost-solves.csv`, whose last column is the
same in every row. Prints the lines of the page's tables at the end. With --peers also PyHessian, curvlinops and hessian-eigenthings
(`benchmarks/peers.py` says how to install them). One thread unless OMP_NUM_THREADS says otherwise.
"""

import argparse
import itertools
import os
from pathlib import Path

import torch

from benchmarks import ratios, solves
from benchmarks.peers import run_name
from landscape.studies.tables import write_table

LIBRARIES = ("PyHessian", "hessian-eigenthings", "curvlinops")
NAMES = {"linear": "linear", "relu": "ReLU"}


def product_lines(rows: list[ratios.RatioRow]) -> list[str]:
    """Returns the lines of the page's table of products."""
    lines = []
    for row in rows:
        peers = dict(part.split("=") for part in row.peers.split())
        theirs = [f"{float(peers[name]):.3g}" if name in peers else "" for name in LIBRARIES]
        single = [f"{row.single:.3g}", f"{row.single / row.single_bare:.2f}"]
        block = [row.columns, f"{row.block:.3g}", f"{row.block / row.block_bare:.2f}", f"{row.block / row.alone:.2f}"]
        lines.append(_line(NAMES[row.activation], row.width, row.depth, *single, *block, *theirs))
    return lines


def solve_lines(rows: list[solves.SolveRow]) -> list[str]:
    """Returns the lines of the page's table of solves."""
    lines = []
    for row in rows:
        setting = f"{row.classes}, {row.samples}, {row.width}, {row.depth}"
        slower = [f"{row.descent / row.pool:.0f}", f"{row.descent / row.alone:.0f}", f"{row.lbfgs / row.alone:.2f}"]
        counts = [f"{row.products:.0f}", f"{row.steps:.0f}", f"{row.gradients:.0f}"]
        overhead = [f"{row.pool / row.kernels:.1f}", f"{(row.pool - row.polish) / row.kernels:.1f}"]
        lines.append(_line(setting, f"{row.pool:.3g}", f"{row.alone:.3g}", *slower, *counts, *overhead))
    return lines


def _line(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Measures both tables and writes them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--seeds", type=int, default=3, help="of descent, L-BFGS and one seed")
    parser.add_argument("--out", type=Path, default=solves.DATA)
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    run = run_name()
    print(run, f"{torch.get_num_threads()} thread(s)", flush=True)
    cases = [(kind, width, depth) for width, kind, depth in itertools.product(ratios.WIDTHS, ratios.ACTIVATIONS, ratios.DEPTHS)]
    products = ratios.table(cases, 0, arguments.peers, run)
    solved = solves.solved(arguments.seeds, run)
    arguments.out.mkdir(parents=True, exist_ok=True)
    print("", *product_lines(products), "", *solve_lines(solved), sep="\n")
    write_table(products, arguments.out / "cost-products.csv")
    write_table(solved, arguments.out / "cost-solves.csv")


if __name__ == "__main__":
    main()
