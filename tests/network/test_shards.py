"""Data spread over two processes: everything equals one process, and what fails on one rank is said on both.

The ranks meet at a file and talk over the loopback interface; a TCPStore would listen on all interfaces.
"""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed
from torch import nn
from torch.distributed import FileStore  # type: ignore[attr-defined]
from torch.multiprocessing import spawn  # type: ignore[attr-defined]

import landscape as ls
from landscape.network.smoothness import kinks

CE = nn.functional.cross_entropy
X = torch.randn(12, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
Y = torch.randint(3, (12,), generator=torch.Generator().manual_seed(1))
CUTS = ((0, 3), (3, 7), (7, 12))  # the first rank has the first batch, the second the others: unequal shards


def network(activation: type[nn.Module] = nn.Softplus) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), activation(), nn.Linear(5, 3)).double()


def shard(rank: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(X[a:b], Y[a:b]) for a, b in (CUTS[:1] if rank == 0 else CUTS[1:])]


def everything(problem: ls.ModuleLoss) -> dict[str, torch.Tensor]:
    """What is asked of a loss, as tensors."""
    value, slope = problem.gradient()
    found = {"samples": torch.tensor(problem.samples), "value": value, "slope": slope, "again": problem(problem.theta)}
    for keep in (True, False):
        hessian = ls.ModuleHessian(problem, keep=keep)
        found[f"hessian {keep}"] = ls.dense(hessian)
    found["newton"] = ls.dense(ls.ModuleGaussNewton(problem))
    density = ls.density(hessian, ls.Quadrature(probes=3, steps=20)).fraction(0.01, 1e6)
    found["density"] = torch.tensor([density.mean, density.error])
    found["symmetries"] = torch.tensor(ls.symmetries(problem).dimension)
    polished = ls.polish(problem)
    found["polished"] = torch.tensor([polished.loss, float(polished.converged)])
    at = ls.ModuleHessian(polished.problem)
    for method in (ls.Dense(), ls.BlockLanczos()):
        count = ls.nullity(at, method)
        found[type(method).__name__] = torch.tensor([count.count, count.negative, float(count.resolved)])
    return found


def worker(rank: int, folder: str, work: str) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    store = FileStore(f"{folder}/meeting", 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    try:
        torch.save(WORK[work](rank, torch.distributed.group.WORLD), f"{folder}/{rank}.pt")
        torch.distributed.barrier()  # a rank that leaves first breaks the last sum of the other
    finally:
        torch.distributed.destroy_process_group()


def message(make) -> dict[str, str]:
    try:
        make()
    except ls.InputError as error:
        return {"error": str(error)}
    return {"error": ""}


class Lying(torch.autograd.Function):
    """A cube whose second derivative is wrong."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, slope):
        return slope * 3 * ctx.saved_tensors[0].detach() ** 2


def one_rank_lies(rank, group):
    loss = (lambda o, t: CE(Lying.apply(o), t)) if rank else (lambda o, t: CE(o**3, t))
    return message(lambda: ls.ModuleHessian(ls.ModuleLoss(network(), loss, shard(rank), group=group)))


def other_weights(rank, group):
    net = network()
    with torch.no_grad():
        net.get_parameter("0.bias")[1] += rank
    return message(lambda: ls.ModuleLoss(net, CE, shard(rank), group=group))


def other_sizes(rank, group):
    net = nn.Linear(4, 3 + rank).double()
    return message(lambda: ls.ModuleLoss(net, CE, shard(rank), group=group))


def at_a_kink(rank, group):
    net = network(nn.ReLU)
    x = X.clone()
    with torch.no_grad():
        first = net.get_parameter("0.weight")[0]
        x[9, 0] -= (x[9] @ first + net.get_parameter("0.bias")[0]) / first[0]  # one pre-activation of the second rank
    data = [(x[:7], Y[:7])] if rank == 0 else [(x[7:], Y[7:])]
    found = kinks(ls.ModuleLoss(net, CE, data, group=group))
    return {"near": found.near, "watched": found.watched, "smallest": found.smallest, "operation": found.operation}


WORK = {
    "everything": lambda rank, group: everything(ls.ModuleLoss(network(), CE, shard(rank), decay=0.02, group=group)),
    "empty shard": lambda rank, group: message(lambda: ls.ModuleLoss(network(), CE, shard(0) if rank == 0 else [], group=group)),
    "one rank lies": one_rank_lies,
    "other weights": other_weights,
    "other sizes": other_sizes,
    "a gradient": lambda rank, group: message(
        lambda: (p := ls.ModuleLoss(network(), CE, shard(rank), group=group))(p.theta.clone().requires_grad_())
    ),
    "kink": at_a_kink,
}


def ran(folder: Path, work: str) -> list[dict[str, Any]]:
    spawn(worker, (str(folder), work), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    alone = everything(ls.ModuleLoss(network(), CE, [(X, Y)], decay=0.02))
    first, second = ran(tmp_path, "everything")
    for name, expected in alone.items():
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], expected, rtol=1e-12, atol=1e-12, msg=name)
    assert alone["polished"][1] == alone["Dense"][2] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("work", "words", "rank"),
    [
        ("empty shard", "got empty data on this rank", 1),
        ("one rank lies", "differences of gradients", 1),
        ("other weights", "one point and one decay on all ranks, got others on rank 1", 1),
        ("other sizes", "one point and one decay on all ranks", 0),
        ("a gradient", "a point without gradient", 0),
    ],
)
def test_what_fails_on_one_rank_is_one_line_on_both(tmp_path, work, words, rank):
    said = [each["error"] for each in ran(tmp_path, work)]
    assert words in said[rank]
    assert words in said[1 - rank] or "another rank" in said[1 - rank]


@pytest.mark.slow
def test_kinks_of_all_ranks_are_counted_on_both(tmp_path):
    first, second = ran(tmp_path, "kink")
    assert first == second
    assert (first["near"], first["watched"], first["operation"]) == (1, 60, "relu")
    assert first["smallest"] < 1e-8
