"""CPU seconds of Hessian products when two processes share the data, beside one process.

    python -m benchmarks.data_parallel
    torchrun --nproc-per-node 2 -m benchmarks.data_parallel --folder EMPTY_FOLDER

Two ranks of one thread each, started by this script or by torchrun, meet at a file and talk by gloo over the loopback interface;
each holds half of the batches. torchrun itself listens on all network interfaces while it runs.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed
from torch import nn
from torch.distributed import FileStore, ProcessGroup  # type: ignore[attr-defined]
from torch.multiprocessing import spawn  # type: ignore[attr-defined]

from landscape.network.loss import ModuleLoss
from landscape.network.operators import ModuleHessian

RANKS = 2


def data(samples: int, batches: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Returns the same random batches at every call."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(samples, 64, dtype=torch.float64, generator=generator)
    y = torch.randint(10, (samples,), generator=generator)
    return list(zip(x.chunk(batches), y.chunk(batches), strict=True))


def hessian_of(batches: list[tuple[torch.Tensor, torch.Tensor]], group: ProcessGroup | None) -> ModuleHessian:
    """Returns the Hessian of the same small network on these batches."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 200), nn.Tanh(), nn.Linear(200, 100), nn.Tanh(), nn.Linear(100, 10)).double()
    return ModuleHessian(ModuleLoss(net, nn.functional.cross_entropy, batches, decay=1e-3, group=group))


def rank_of(rank: int, folder: str, samples: int, products: int) -> None:
    """Measures on one rank, and writes a line of what it found.

    Products with all data, by this rank alone, and with its share take turns, so that both meet the machine in the same state.
    """
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    store = FileStore(f"{folder}/meeting", RANKS)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=RANKS)
    try:
        whole = data(samples, 2 * RANKS)
        hessians = hessian_of(whole, None), hessian_of(whole[rank::RANKS], torch.distributed.group.WORLD)
        vector = torch.randn(hessians[0].size, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        expected, result = (hessian @ vector for hessian in hessians)
        seconds: tuple[list[float], list[float]] = ([], [])
        for _ in range(products):
            for hessian, taken in zip(hessians, seconds, strict=True):
                start = time.process_time()
                hessian @ vector
                taken.append(time.process_time() - start)
        alone, shared = map(statistics.median, seconds)
        apart = float((result - expected).norm() / expected.norm())
        line = f"{1e3 * shared:.1f} ms of CPU per product, {shared / alone:.3f} of the {1e3 * alone:.1f} ms of one process"
        Path(f"{folder}/{rank}.part").write_text(f"rank {rank}: {line}, {vector.numel()} parameters, apart {apart:.1e}\n")
        os.replace(f"{folder}/{rank}.part", f"{folder}/{rank}.txt")
    finally:
        torch.distributed.destroy_process_group()


def main() -> None:
    """Prints CPU seconds per product of each rank, their quotient to those of one process, and how far the products are apart."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--products", type=int, default=50)
    parser.add_argument("--folder", help="where the ranks of torchrun meet")
    arguments = parser.parse_args()
    rank = os.environ.get("RANK") if arguments.folder else None
    with tempfile.TemporaryDirectory() as own:
        folder = arguments.folder or own
        if rank is None:
            spawn(rank_of, (folder, arguments.samples, arguments.products), nprocs=RANKS)
        else:
            rank_of(int(rank), folder, arguments.samples, arguments.products)
        if rank in (None, "0"):
            for each in range(RANKS):
                path = Path(folder) / f"{each}.txt"
                while not path.exists():
                    time.sleep(0.1)
                print(path.read_text(), end="")


if __name__ == "__main__":
    main()
