"""Symmetric linear operators whose primitive is the product with a BLOCK of vectors."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.memory import require_room
from landscape.curvature.operators.product_checks import require_hessian
from landscape.curvature.operators.reverse import GradientGraph, gradient, plain_autograd
from landscape.display import brief
from landscape.errors import InputError

CHUNK = 64  # columns per vmapped product: the fastest on CPUs among 1 .. 256 at 9100 parameters, and it bounds the memory
_CACHED = 150_000  # numbers of a block that CPUs multiply fastest, but no fewer than _FEWEST columns
_FEWEST = 4  # one column took a sixth longer than each of four at 292 864 parameters, and a third longer at 1 110 016
_LARGE = 1 << 22  # bytes from which numpy asks for large pages
_ALIGNED = 64  # bytes to a multiple of which torch aligns its own arrays


@runtime_checkable
class SymmetricOperator(Protocol):
    """A real symmetric matrix known by its products."""

    @property
    def size(self) -> int:
        """The number of rows."""
        ...

    @property
    def like(self) -> Tensor:
        """A tensor of the operator's dtype and device."""
        ...

    def __matmul__(self, block: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]: ...


class LikeItsOperator:
    """What multiplies with another operator has its size, dtype and device."""

    operator: SymmetricOperator

    @property
    def size(self) -> int:
        """The number of rows."""
        return self.operator.size

    @property
    def like(self) -> Tensor:
        """A tensor of the operator's dtype and device."""
        return self.operator.like


@dataclass(frozen=True)
class Matrix:
    """A symmetric operator given by its entries; the dense twin of every other one.

    Attributes:
        entries: The whole matrix, symmetric.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> matrix = ls.Matrix(torch.tensor([0.0, 0.0, 1.0, 2.0], dtype=torch.float64).diag())
        >>> ls.nullity(matrix, ls.Dense()).count
        2
    """

    entries: Float[Tensor, "p p"]

    __repr__ = brief

    @property
    def size(self) -> int:
        """The number of rows."""
        return self.entries.shape[0]

    @property
    def like(self) -> Tensor:
        """The entries themselves."""
        return self.entries

    def __matmul__(self, block: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
        return self.entries @ block


@dataclass(frozen=True)
class Hessian:
    """The Hessian of a scalar function of one flat vector, by reverse over reverse.

    The graph of the gradient is built once; a product then costs about as much as a gradient, with no forward pass of its own.
    Blocks are differentiated in batches of `CHUNK` columns where torch can, else column by column. At the first product the
    Hessian is checked for repetition, linearity, symmetry and against a difference quotient of gradients.

    Attributes:
        function: Twice differentiable at `at`; near a kink there is no Hessian, and the difference quotient refuses most of them.
        at: The point where the function is differentiated.
        check: Whether the first product is checked, which costs about ten products.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> valley = ls.Hessian(lambda x: (x[0] * x[1] - 1) ** 2, torch.ones(2, dtype=torch.float64))
        >>> ls.dense(valley).tolist()
        [[2.0, 2.0], [2.0, 2.0]]

    Raises:
        InputError: At the first product, if a check fails or torch cannot differentiate the function twice.
    """

    function: Callable[[Tensor], Tensor]
    at: Float[Tensor, " p"]
    check: bool = True

    __repr__ = brief

    @property
    def size(self) -> int:
        """The number of parameters."""
        return self.at.numel()

    @property
    def like(self) -> Tensor:
        """The point."""
        return self.at

    @cached_property
    def _graph(self) -> GradientGraph:
        graph = GradientGraph.of(self.function, self.at)
        if self.check and self.size and not self.at.is_meta:
            require_hessian(graph.products, lambda theta: gradient(self.function, theta)[1], self.at)
        return graph

    def __matmul__(self, block: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
        with plain_autograd(self.at.device):
            return torch.cat([self._graph.products(part) for part in block.split(CHUNK, dim=1)], dim=1)


@dataclass(frozen=True)
class Product:
    """A symmetric operator given by a function from row vectors (one or a batch) to their products, as hand-derived kernels are.

    Attributes:
        apply: Maps a batch of row vectors to the batch of their products; one that has `write(rows, results)` and `column(block)`
            as well, for rows and for one column, is spared copies (`HessianProduct`).
        like: A vector of the space, for size, dtype and device.
    """

    apply: Callable[[Tensor], Tensor]
    like: Float[Tensor, " p"]

    __repr__ = brief

    @property
    def size(self) -> int:
        """The number of rows."""
        return self.like.numel()

    def __matmul__(self, block: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
        column = getattr(self.apply, "column", None)
        if column is not None and block.size(1) == 1:
            return column(block)
        write = getattr(self.apply, "write", None)
        # Small arrays beside the result: large ones come fresh from the system every time, and that takes as long as the products.
        result, step = _fresh(block.mT), _columns(block)
        for part, target in zip(block.mT.split(step), result.split(step), strict=True):
            rows = part.contiguous()
            if write is None:
                target.copy_(self.apply(rows))
            elif len(rows) == 1:
                write(rows.view(self.size), target.view(self.size))
            else:
                write(rows, target)
        return result.mT


def _columns(block: Float[Tensor, "p k"]) -> int:
    """Returns how many columns to multiply at a time on the block's device."""
    return min(CHUNK, max(_FEWEST, _CACHED // block.shape[0])) if block.device.type == "cpu" else CHUNK


def _fresh(like: Float[Tensor, "r c"]) -> Float[Tensor, "r c"]:
    """Returns an array that is not filled; large ones on CPUs from numpy, whose large pages the system gives four times as fast."""
    length = like.numel() * like.element_size()
    if like.device.type != "cpu" or length < _LARGE or torch.compiler.is_compiling():
        return like.new_empty(like.shape)
    memory = np.empty(length + _ALIGNED, dtype=np.uint8)
    start = -memory.ctypes.data % _ALIGNED
    return torch.from_numpy(memory[start : start + length]).view(like.dtype).view(like.shape)


def dense(operator: SymmetricOperator) -> Float[Tensor, "p p"]:
    """Returns the entries of an operator, from its products with the identity, CHUNK columns at a time.

    Symmetrised; what is done with it is given room for three matrices of size^2 numbers.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> ls.dense(ls.Hessian(lambda x: x.square().sum(), torch.zeros(2, dtype=torch.float64))).tolist()
        [[2.0, 0.0], [0.0, 2.0]]

    Raises:
        InputError: If a product is not finite, the result is not symmetric to rounding, or three matrices exceed half of the
            memory.
    """
    require_room(3.0 * operator.size**2 * operator.like.element_size(), operator.like.device, "use a method that forms no matrix")
    entries = operator.like.new_empty(operator.size, operator.size)
    for start in range(0, operator.size, CHUNK):
        stop = min(start + CHUNK, operator.size)
        units = operator.like.new_zeros(operator.size, stop - start)
        units[start:stop].fill_diagonal_(1)
        entries[:, start:stop] = operator @ units
    require_finite(entries)
    scale = float(entries.abs().amax()) if operator.size else 0.0
    asymmetry = float((entries - entries.mT).abs().amax()) if operator.size else 0.0
    if not asymmetry <= asymmetry_allowed(entries.dtype) * operator.size**0.5 * scale:
        raise InputError(f"expected a symmetric operator, got entries that differ by {asymmetry:.1e} (largest {scale:.1e})")
    return (entries + entries.mT) / 2


def require_finite(products: Tensor) -> None:
    """Refuses products, or what was computed from them, with an entry that is NaN or infinite. Waits for the device.

    Raises:
        InputError: If there is one.
    """
    if not bool(torch.isfinite(products).all()):
        raise InputError("expected finite products of the operator, got NaN or infinity: is the point finite?")


def asymmetry_allowed(dtype: torch.dtype) -> float:
    """Returns the relative difference up to which x'Hy and y'Hx are equal: a thousand roundings of the dtype."""
    return 1e3 * torch.finfo(dtype).eps
