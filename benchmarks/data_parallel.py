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


def measured(
    batches: list[tuple[torch.Tensor, torch.Tensor]], products: int, group: ProcessGroup | None
) -> tuple[float, torch.Tensor]:
    """Returns the median CPU seconds of one product in this process, and a product."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 200), nn.Tanh(), nn.Linear(200, 100), nn.Tanh(), nn.Linear(100, 10)).double()
    hessian = ModuleHessian(ModuleLoss(net, nn.functional.cross_entropy, batches, decay=1e-3, group=group))
    vector = torch.randn(hessian.size, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    result = hessian @ vector
    seconds = []
    for _ in range(products):
        start = time.process_time()
        result = hessian @ vector
        seconds.append(time.process_time() - start)
    return statistics.median(seconds), result


def rank_of(rank: int, folder: str, samples: int, products: int) -> None:
    """Measures on one rank and writes what it found."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    store = FileStore(f"{folder}/meeting", RANKS)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=RANKS)
    try:
        seconds, result = measured(data(samples, 2 * RANKS)[rank::RANKS], products, torch.distributed.group.WORLD)
        torch.save({"seconds": seconds, "result": result}, f"{folder}/{rank}.part")
        os.replace(f"{folder}/{rank}.part", f"{folder}/{rank}.pt")
    finally:
        torch.distributed.destroy_process_group()


def main() -> None:
    """Prints CPU seconds per product of one process and of each rank, their quotient, and how far the products are apart."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--products", type=int, default=15)
    parser.add_argument("--folder", help="where the ranks of torchrun meet")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rank = os.environ.get("RANK") if arguments.folder else None
    if rank in (None, "0"):
        alone, expected = measured(data(arguments.samples, 2 * RANKS), arguments.products, None)
        print(f"one process: {1e3 * alone:.1f} ms of CPU per product, {expected.numel()} parameters, {arguments.samples} samples")
    with tempfile.TemporaryDirectory() as own:
        folder = arguments.folder or own
        if rank is None:
            spawn(rank_of, (folder, arguments.samples, arguments.products), nprocs=RANKS)
        else:
            rank_of(int(rank), folder, arguments.samples, arguments.products)
        if rank in (None, "0"):
            for each in range(RANKS):
                show(each, folder, alone, expected)


def show(rank: int, folder: str, alone: float, expected: torch.Tensor) -> None:
    """Prints what a rank has written, waiting for it to have done so."""
    path = Path(folder) / f"{rank}.pt"
    while not path.exists():
        time.sleep(0.1)
    found = torch.load(path, weights_only=True)
    apart = float((found["result"] - expected).norm() / expected.norm())
    print(f"rank {rank}: {1e3 * found['seconds']:.1f} ms, {found['seconds'] / alone:.3f} of one process, apart {apart:.1e}")


if __name__ == "__main__":
    main()
