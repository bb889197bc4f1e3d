"""PyHessian 0.1 behind our questions, repaired where it breaks, for cross-checks.

What is repaired, and only while a call runs, in PyHessian's own module namespace and never in torch's:

- `torch.eig`, which its density calls, was removed from torch: a stand-in with the old return value on top of `linalg.eigh`.
- Its tridiagonal matrices are float32 (`torch.zeros` without dtype): they take the dtype of the parameters.
- `normalization` divides by the norm plus 1e-6, which biases eigenvalues: by the norm.
- `cuda=True` is its default: the device of the parameters decides.
- A `.grad` left from before is added to its gradient, which doubles the Hessian: it works on a copy whose gradients are None.
- Its Lanczos divides by rounding noise when the Krylov space ends: nothing is repaired there, ask for few steps.
- Its random vectors come from torch's global generator: seeded within a fork of it, so the caller's stream is untouched.

`get_esd_plot` is not in the wheel.
"""

import copy
import importlib
import threading
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn


@runtime_checkable
class FlatLoss(Protocol):
    """A scalar function of one flat vector that knows a point, as `ModuleLoss` is."""

    @property
    def theta(self) -> Tensor:
        """The point."""
        ...

    def __call__(self, theta: Tensor) -> Tensor:
        """Returns the value at a point."""
        ...


_LOCK = threading.Lock()  # the repairs live in a namespace that all threads share


@dataclass(frozen=True)
class PyHessian:
    """PyHessian 0.1 on a loss. Weight decay and batches are handled as in `ModuleLoss`, reduction "mean".

    Attributes:
        module: Module as PyHessian sees it: one whose output is the loss itself.
        seed: Seed of PyHessian's random vectors.
    """

    module: nn.Module
    seed: int = 0

    @classmethod
    def of_loss(cls, function: Callable[[Tensor], Tensor], at: Float[Tensor, " p"], seed: int = 0) -> "PyHessian":
        """Returns the backend for a scalar function of one flat vector."""
        return cls(_Scalar(function, at), seed)

    @classmethod
    def of_module(cls, problem: FlatLoss, seed: int = 0) -> "PyHessian":
        """Returns the backend for a module's loss over all its batches."""
        return cls(_Scalar(problem, problem.theta), seed)

    def products(self, block: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
        """Returns Hessian products, one column at a time as PyHessian does."""
        with self._session() as (session, library):
            columns = [library.hessian_vector_product(session.gradsH, session.params, [column])[0] for column in block.mT]
            return torch.stack(columns, dim=1).detach()

    def eigenvalues(self, count: int, iterations: int = 1000, tolerance: float = 1e-12) -> list[float]:
        """Returns the eigenvalues largest in size, by its power iteration with deflation."""
        with self._session() as (session, _):
            values: list[float] = session.eigenvalues(maxIter=iterations, tol=tolerance, top_n=count)[0]
            return values

    def trace(self, probes: int) -> list[float]:
        """Returns its Hutchinson samples of the trace; their mean is the estimate."""
        with self._session() as (session, _):
            samples: list[float] = session.trace(maxIter=probes, tol=0.0)
            return samples

    def density(self, steps: int, probes: int) -> tuple[list[list[float]], list[list[float]]]:
        """Returns the nodes and weights of its stochastic Lanczos quadrature, one list per probe."""
        with self._session() as (session, _):
            nodes, weights = session.density(iter=steps, n_v=probes)
            return [[float(v) for v in run] for run in nodes], [[float(v) for v in run] for run in weights]

    @contextmanager
    def _session(self) -> Iterator[tuple[Any, Any]]:
        """Gives a PyHessian object and its repaired module; undoes the repairs on the way out."""
        library: Any = importlib.import_module("pyhessian.hessian")
        module = copy.deepcopy(self.module)
        parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        for parameter in parameters:
            parameter.grad = None
        first = parameters[0]
        devices = [first.device] if first.device.type == "cuda" else []
        with _LOCK, warnings.catch_warnings(), torch.random.fork_rng(devices=devices):
            # Its loss.backward(create_graph=True) warns of a reference cycle; the copy of the module goes away with the call.
            warnings.filterwarnings("ignore", message="Using backward\\(\\) with create_graph=True", category=UserWarning)
            torch.manual_seed(self.seed)
            saved = {name: getattr(library, name) for name in ("torch", "normalization", "orthnormal")}
            try:
                library.torch = _repaired_torch(first)
                library.normalization, library.orthnormal = _normalised, _orthonormalised
                nothing = first.detach().new_zeros(1)
                session = library.hessian(module, lambda outputs, _: outputs, data=(nothing, nothing), cuda=first.is_cuda)
                yield session, library
            finally:
                for name, value in saved.items():
                    setattr(library, name, value)
                for parameter in parameters:
                    parameter.grad = None


class _Scalar(nn.Module):
    """A module whose only parameter is the flat vector and whose output is the loss."""

    def __init__(self, function: Callable[[Tensor], Tensor], at: Tensor) -> None:
        super().__init__()
        self._function = function
        self.theta = nn.Parameter(at.detach().clone())

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Scalar":
        return _Scalar(self._function, self.theta)

    def forward(self, _: Tensor) -> Tensor:
        return self._function(self.theta)


def _repaired_torch(like: Tensor) -> types.ModuleType:
    """Returns a stand-in for torch with `eig`, and `zeros` in the dtype and device of the parameters."""
    stand_in = types.ModuleType("torch")
    stand_in.__dict__.update(torch.__dict__)

    def eig(matrix: Tensor, eigenvectors: bool = True) -> tuple[Tensor, Tensor]:
        values, vectors = torch.linalg.eigh(matrix)
        return torch.stack([values, torch.zeros_like(values)], dim=1), vectors

    def zeros(*size: Any) -> Tensor:
        return torch.zeros(*size, dtype=like.dtype, device=like.device)

    stand_in.__dict__.update(eig=eig, zeros=zeros)
    return stand_in


def _normalised(vectors: Sequence[Tensor]) -> list[Tensor]:
    norm = torch.stack([vector.square().sum() for vector in vectors]).sum().sqrt()
    return [vector / norm for vector in vectors]


def _orthonormalised(vectors: Sequence[Tensor], known: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Gram-Schmidt against earlier vectors, out of place, as PyHessian's `orthnormal` does in place."""
    for other in known:
        overlap = torch.stack([(a * b).sum() for a, b in zip(vectors, other, strict=True)]).sum()
        vectors = [a - overlap * b for a, b in zip(vectors, other, strict=True)]
    return _normalised(vectors)
