"""Times Hessian products and the five largest eigenvalues of two networks beside four other libraries.

    python -m benchmarks.network_peers [--rounds 7] [--out figures/data/network-peers.csv]

One run, one batch, float64, one thread: a ResNet-8 with batch normalisation and a tiny transformer, both trained for some steps.
Products take turns and are timed in seconds of the processor, so that whatever else runs meets all of them: of one vector, and per
vector of a block of eight where a library takes blocks and is faster there; the ratio is that of the latter. The error is
that of a product against two plain backward passes of the network itself, and for the transformer, which is smooth, against a
difference quotient of its gradients, right to about 1e-8. Attention has the MATH kernel for all, since no other has a
second derivative. A peer that is not installed is left out; `benchmarks/peers.py` says how to install them. landscaper wants
numpy 1, and what is used of it here runs with numpy 2: pip install --no-deps landscaper gudhi topopy nglpy treelib drawsvg
coloraide. Eigenvalues are found by `ls.extremes`, for curvlinops by ARPACK, and by the methods of the others; all are asked
for nine digits.
"""

import argparse
import importlib.metadata
import importlib.util
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import scipy.sparse.linalg
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.peers import medians, write_rows
from landscape.curvature.pyhessian import PyHessian
from landscape.curvature.spectra.extremes import Extremes, extremes
from landscape.network.loss import ModuleLoss
from landscape.network.operators import ModuleHessian

CE = nn.CrossEntropyLoss()
TOP = 5
BLOCK = 8
TABLE = Path(__file__).parent.parent / "figures" / "data" / "network-peers.csv"
COLUMNS = (
    "network",
    "parameters",
    "library",
    "version",
    "ms_one",
    "ms_per_vector",
    "ratio",
    "error",
    "top5_seconds",
    *(f"top{i}" for i in range(1, TOP + 1)),
)
Batch = tuple[Tensor, Tensor]


class Block(nn.Module):
    """Two convolutions with batch normalisation beside a shortcut."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(after), nn.BatchNorm2d(after)])
        self.short = nn.Conv2d(before, after, 1, stride, bias=False) if before != after else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Returns the sum of both ways, rectified."""
        out = torch.relu(self.norms[0](self.first(x)))
        out = self.norms[1](self.second(out))
        return torch.relu(out + self.short(x))


class ResNet8(nn.Module):
    """Seven convolutions on the long way and a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.blocks = nn.Sequential(Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2))
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits."""
        return self.head(self.blocks(torch.relu(self.norm(self.stem(x)))).mean((2, 3)))


class Transformer(nn.Module):
    """Two causal layers before a vocabulary of 40; logits of all places as one axis."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(40, 32), nn.Parameter(0.1 * torch.randn(12, 32))
        layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 40)

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits, a row for each token."""
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1], dtype=self.place.dtype)
        return self.head(self.layers(self.embed(x) + self.place, mask=mask, is_causal=True)).flatten(0, 1)


def trained(name: str) -> tuple[nn.Module, Batch]:
    """Returns a network in evaluation mode after 100 steps of Adam on random data, and the batch."""
    torch.manual_seed(0)
    net: nn.Module
    if name == "ResNet-8":
        net, x, y = ResNet8().double(), torch.randn(16, 3, 16, 16, dtype=torch.float64), torch.randint(10, (16,))
    else:
        net, x, y = Transformer().double(), torch.randint(40, (16, 12)), torch.randint(40, (16 * 12,))
    adam = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(100):
        adam.zero_grad()
        CE(net(x), y).backward()
        adam.step()
    adam.zero_grad()
    return net.eval(), (x, y)


class Whole(nn.Module):
    """A network whose output is the loss, for PyHessian."""

    def __init__(self, net: nn.Module, batch: Batch) -> None:
        super().__init__()
        self.net, self.batch = net, batch

    def forward(self, _: Tensor) -> Tensor:
        """Returns the loss whatever the input."""
        return CE(self.net(self.batch[0]), self.batch[1])


def by_arpack(operator: Any) -> list[float]:
    """Returns the largest eigenvalues that scipy finds with an operator."""
    start = torch.randn(operator.shape[0], dtype=torch.float64, generator=torch.Generator().manual_seed(0)).numpy()
    values = scipy.sparse.linalg.eigsh(operator, k=TOP, which="LA", v0=start, tol=1e-9, return_eigenvectors=False)
    return sorted(values.tolist(), reverse=True)


def double_backward(net: nn.Module, batch: Batch, vector: Tensor) -> Tensor:
    """Returns the product by two plain backward passes of the network itself."""
    parameters = list(net.parameters())
    first = torch.autograd.grad(CE(net(batch[0]), batch[1]), parameters, create_graph=True)
    along = torch.cat([part.reshape(-1) for part in first]) @ vector
    return torch.cat([part.reshape(-1) for part in torch.autograd.grad(along, parameters)])


def quotient(net: nn.Module, batch: Batch, vector: Tensor) -> Tensor:
    """Returns the derivative of the network's own gradient along a vector, by central differences of fourth order."""
    at = nn.utils.parameters_to_vector(net.parameters()).detach()

    def slope(step: float) -> Tensor:
        nn.utils.vector_to_parameters(at + step * vector, net.parameters())
        return torch.cat([g.reshape(-1) for g in torch.autograd.grad(CE(net(batch[0]), batch[1]), list(net.parameters()))])

    step = 1e-3 / float(vector.norm())
    result = (8 * (slope(step) - slope(-step)) - (slope(2 * step) - slope(-2 * step))) / (12 * step)
    nn.utils.vector_to_parameters(at, net.parameters())
    return result


def libraries(net: nn.Module, batch: Batch) -> dict[str, tuple[dict[int, Callable[[Tensor], Tensor]], Callable[[], list[float]]]]:
    """Returns of every library that is installed the products by the columns of a block, and its five largest eigenvalues."""
    hessian = ModuleHessian(ModuleLoss(net, CE, [batch]))
    found: dict[str, Any] = {
        "landscape-dufm": (
            {1: lambda v: hessian @ v, BLOCK: lambda v: hessian @ v},
            lambda: extremes(hessian, Extremes(TOP, block=1, end="top", tolerance=1e-9)).top.values.tolist(),
        )
    }
    if importlib.util.find_spec("curvlinops"):
        from curvlinops import HessianLinearOperator

        peer = HessianLinearOperator(net, CE, list(net.parameters()), [batch], check_deterministic=False)
        found["curvlinops-for-pytorch"] = ({1: lambda v: peer @ v, BLOCK: lambda v: peer @ v}, lambda: by_arpack(peer.to_scipy()))
    if importlib.util.find_spec("hessian_eigenthings"):
        from hessian_eigenthings import HessianOperator, lanczos

        other = HessianOperator(net, [batch], lambda model, data: CE(model(data[0]), data[1]))
        found["hessian-eigenthings"] = (
            {1: lambda v: other.matvec(v[:, 0].contiguous())[:, None]},
            lambda: sorted(
                lanczos(other, k=TOP, tol=1e-9, max_iter=120, reorthogonalize=True, seed=0, which="LA").eigenvalues.tolist(),
                reverse=True,
            )[:TOP],
        )
    if importlib.util.find_spec("landscaper"):
        found["landscaper"] = _landscaper(net, batch)
    return found


def _landscaper(net: nn.Module, batch: Batch) -> tuple[dict[int, Callable[[Tensor], Tensor]], Callable[[], list[float]]]:
    """Returns product and eigenvalues of landscaper's copy of PyHessian, with its cached gradients."""
    from landscaper import PyHessian as Copied

    copied = Copied(net, CE, [batch], "cpu", try_cache=True)

    def product(v: Tensor) -> Tensor:
        parts = [p.view_as(q) for p, q in zip(v[:, 0].split([q.numel() for q in copied.params]), copied.params, strict=True)]
        return torch.cat([p.reshape(-1) for p in copied.hv_product(parts)[1]])[:, None]

    return {1: product}, lambda: sorted(copied.eigenvalues(maxIter=400, tol=1e-9, top_n=TOP)[0], reverse=True)


def rows(name: str, rounds: int) -> list[dict[str, Any]]:
    """Returns one row for each library; seconds are medians, the ratio is of the time per vector to ours."""
    net, batch = trained(name)
    size = sum(p.numel() for p in net.parameters())
    block = torch.randn(size, BLOCK, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    every = libraries(net, batch)
    with PyHessian(Whole(net, batch))._session() as (session, library):

        def cached(v: Tensor) -> Tensor:
            parts = [p.view_as(q) for p, q in zip(v[:, 0].split([q.numel() for q in session.params]), session.params, strict=True)]
            return torch.cat([p.reshape(-1) for p in library.hessian_vector_product(session.gradsH, session.params, parts)])[
                :, None
            ]

        def by_powers() -> list[float]:
            return sorted(session.eigenvalues(maxIter=400, tol=1e-9, top_n=TOP)[0], reverse=True)

        every["pyhessian"] = ({1: cached}, by_powers)
        actions: dict[str, tuple[Callable[[], Any], int]] = {}
        for library_name, (products, _) in every.items():
            for columns, product in products.items():
                part = block[:, :columns].contiguous()
                actions[f"{library_name} {columns}"] = (partial(product, part), columns)
        truth = double_backward if name == "ResNet-8" else quotient
        expected = truth(net, batch, block[:, 0])
        seconds = medians(actions, rounds, time.process_time)
        lines = []
        for library_name, (products, top) in every.items():
            best = min(seconds[f"{library_name} {columns}"] for columns in products)
            apart = float((products[1](block[:, :1].contiguous())[:, 0].detach() - expected).norm() / expected.norm())
            start = time.process_time()
            values = top()
            spent = time.process_time() - start
            ours = min(seconds["landscape-dufm 1"], seconds[f"landscape-dufm {BLOCK}"])
            line = {
                "network": name,
                "parameters": size,
                "library": library_name,
                "version": importlib.metadata.version(library_name),
            }
            line |= {"ms_one": f"{1e3 * seconds[f'{library_name} 1']:.2f}", "ms_per_vector": f"{1e3 * best:.2f}"}
            line |= {"ratio": f"{best / ours:.2f}", "error": f"{apart:.0e}"}
            line |= {"top5_seconds": f"{spent:.1f}"}
            line |= {f"top{place}": f"{value:.8f}" for place, value in enumerate(values, 1)}
            print(line, file=sys.stderr, flush=True)
            lines.append(line)
        return lines


def main() -> None:
    """Measures both networks and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=TABLE)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with sdpa_kernel(SDPBackend.MATH):
        lines = [line for name in ("ResNet-8", "tiny transformer") for line in rows(name, arguments.rounds)]
    write_rows(arguments.out, COLUMNS, lines)


if __name__ == "__main__":
    main()
