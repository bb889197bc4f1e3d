"""Operators made from operators: sums, shifts, multiples, compressions, blocks of coordinates, and the adapter to scipy."""

import math
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.operators.operator import LikeItsOperator, SymmetricOperator
from landscape.display import brief
from landscape.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator


@dataclass(frozen=True)
class Sum:
    """The sum of operators of one size.

    Attributes:
        parts: Operators that are added, at least one.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> matrix = ls.Matrix(torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64).diag())
        >>> ls.nullity(ls.Sum((matrix, matrix)), ls.Dense()).smallest_nonzero
        2.0

    Raises:
        InputError: If the sizes differ.
    """

    parts: tuple[SymmetricOperator, ...]

    __repr__ = brief

    def __post_init__(self) -> None:
        sizes = [part.size for part in self.parts]
        if len(set(sizes)) != 1:
            raise InputError(f"expected operators of one size to add, got sizes {sizes}")

    @property
    def size(self) -> int:
        """The number of rows."""
        return self.parts[0].size

    @property
    def like(self) -> Tensor:
        """A tensor of the dtype and device of the parts."""
        return self.parts[0].like

    def __matmul__(self, block: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
        return reduce(torch.add, (part @ block for part in self.parts))


@dataclass(frozen=True)
class Affine(LikeItsOperator):
    """factor * H + shift * I.

    Attributes:
        operator: The operator H that is scaled and shifted.
        factor: Number that multiplies the operator.
        shift: Number that multiplies the identity.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> matrix = ls.Matrix(torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64).diag())
        >>> count = ls.nullity(ls.Affine(matrix, shift=-1.0), ls.Dense())  # eigenvalues below, at and above 1
        >>> count.negative, count.count
        (1, 1)
    """

    operator: SymmetricOperator
    factor: float = 1.0
    shift: float = 0.0

    __repr__ = brief

    def __matmul__(self, block: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
        return self.factor * (self.operator @ block) + self.shift * block


@dataclass(frozen=True)
class Compression:
    """V'HV for orthonormal columns V: the operator seen in a subspace.

    Attributes:
        operator: The operator H that is compressed.
        basis: Orthonormal basis V of the subspace.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> matrix = ls.Matrix(torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64).diag())
        >>> last_two = torch.eye(3, dtype=torch.float64)[:, 1:]
        >>> ls.nullity(ls.Compression(matrix, last_two), ls.Dense()).count
        0
    """

    operator: SymmetricOperator
    basis: Float[Tensor, "p m"]

    __repr__ = brief

    @property
    def size(self) -> int:
        """The dimension of the subspace."""
        return self.basis.shape[1]

    @property
    def like(self) -> Tensor:
        """The basis, which has the dtype and device."""
        return self.basis

    def __matmul__(self, block: Float[Tensor, "m k"]) -> Float[Tensor, "m k"]:
        return self.basis.mT @ (self.operator @ (self.basis @ block))


@dataclass(frozen=True)
class DiagonalBlock(LikeItsOperator):
    """The block of an operator on a range of coordinates, such as the parameters of one layer.

    Attributes:
        operator: The operator H that the block belongs to.
        rows: Range of coordinates of the block; see `ModuleHessian.layers`.
    """

    operator: SymmetricOperator
    rows: slice

    __repr__ = brief

    def __post_init__(self) -> None:
        _require_range(self.rows, self.operator.size)

    @property
    def size(self) -> int:
        """The number of coordinates in the range."""
        return int(self.rows.stop - self.rows.start)

    def __matmul__(self, block: Float[Tensor, "q k"]) -> Float[Tensor, "q k"]:
        return _restricted(self.operator, self.rows, self.rows, block)


@dataclass(frozen=True)
class OffDiagonalBlock:
    """The rectangular block of an operator with rows in one range and columns in another; its transpose swaps them.

    Attributes:
        operator: The operator H that the block belongs to.
        rows: Range of coordinates of the result.
        columns: Range of coordinates of the argument.
    """

    operator: SymmetricOperator
    rows: slice
    columns: slice

    __repr__ = brief

    def __post_init__(self) -> None:
        _require_range(self.rows, self.operator.size)
        _require_range(self.columns, self.operator.size)

    @property
    def mT(self) -> "OffDiagonalBlock":
        """The transpose."""
        return OffDiagonalBlock(self.operator, self.columns, self.rows)

    def __matmul__(self, block: Float[Tensor, "q k"]) -> Float[Tensor, "r k"]:
        return _restricted(self.operator, self.rows, self.columns, block)


def to_scipy(operator: SymmetricOperator) -> "LinearOperator":
    """Returns a `scipy.sparse.linalg.LinearOperator` with the same products, in the operator's own precision.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> from scipy.sparse.linalg import eigsh
        >>> matrix = ls.Matrix(torch.tensor([0.0, 1.0, 2.0, 5.0], dtype=torch.float64).diag())
        >>> round(float(eigsh(ls.to_scipy(matrix), k=1, v0=torch.ones(4).numpy(), return_eigenvectors=False)[0]), 10)
        5.0

    Blocks of products stay blocks. scipy's eigensolvers count zeros wrongly and report convergence (docs/architecture.md): this is
    for comparison, and for what scipy is good at.
    """
    import numpy as np
    from scipy.sparse.linalg import LinearOperator

    like = operator.like

    def block_product(block: "np.ndarray") -> "np.ndarray":
        columns = torch.as_tensor(np.ascontiguousarray(block), dtype=like.dtype, device=like.device)
        result: np.ndarray = (operator @ columns.reshape(operator.size, -1)).detach().cpu().numpy()
        return result.reshape(block.shape)

    return LinearOperator(
        (operator.size, operator.size),
        matvec=block_product,
        matmat=block_product,
        rmatvec=block_product,
        rmatmat=block_product,
        dtype=torch.empty(0, dtype=like.dtype).numpy().dtype,
    )


def _restricted(operator: SymmetricOperator, rows: slice, columns: slice, block: Tensor) -> Tensor:
    padded = block.new_zeros(operator.size, math.prod(block.shape[1:]))
    padded.narrow(0, columns.start, columns.stop - columns.start).copy_(block)
    return (operator @ padded).narrow(0, rows.start, rows.stop - rows.start)


def _require_range(rows: slice, size: int) -> None:
    if rows.step is not None or not 0 <= (rows.start or 0) < (rows.stop or 0) <= size or rows.start is None:
        raise InputError(f"expected a range of coordinates inside 0:{size}, got {rows.start}:{rows.stop}:{rows.step}")
