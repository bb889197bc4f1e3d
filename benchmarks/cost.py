"""Times products and solves of the DUFM in ONE run, beside other libraries, and writes both tables of docs/cost.md.

    python -m benchmarks.cost [--peers] [--seeds 3] [--out figures/data]

Products beside their bare matrix products (`benchmarks/ratios.py`) and solves beside descent, L-BFGS and their kernels
(`benchmarks/solves.py`), one after the other in this process: `cost-products.csv` and `cost-solves.csv`, whose last column is the
same in every row. With --peers also PyHessian, curvlinops and hessian-eigenthings (`benchmarks/peers.py` says how to install
them). One thread unless OMP_NUM_THREADS says otherwise.
"""

import argparse
import itertools
import os
from pathlib import Path

import torch

from benchmarks import ratios, solves
from benchmarks.peers import run_name
from landscape.studies.tables import write_table


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
    cases = itertools.product(ratios.ACTIVATIONS, ratios.WIDTHS, ratios.DEPTHS)
    products = ratios.table(cases, 0, arguments.peers, run)
    solved = solves.solved(arguments.seeds, run)
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_table(products, arguments.out / "cost-products.csv")
    write_table(solved, arguments.out / "cost-solves.csv")


if __name__ == "__main__":
    main()
