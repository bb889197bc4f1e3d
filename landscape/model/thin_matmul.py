"""Products of a thin matrix with a wide one, the thin one first: the orientation that every BLAS multiplies fast.

With the thin side last or the result stored by columns, the same product took up to 80 times as long (MKL on an AMD processor, 10
rows, width 1024). A matrix without a batch dimension meets a batch as it is: nothing is copied, and rows of a batch are joined
where one product can take them all.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


def times(thin: Float[Tensor, "*b r s"], wide: Float[Tensor, "*c s t"], out: None = None) -> Float[Tensor, "*d r t"]:
    """Returns thin @ wide, in fresh memory; each has one batch dimension or none."""
    if wide.dim() == 2:
        return torch.mm(thin, wide) if thin.dim() == 2 else thin.flatten(0, -2).mm(wide).view(*thin.shape[:-1], wide.shape[-1])
    return _batch(thin, wide.shape[0]).bmm(wide)


def add_times(total: Float[Tensor, "*d r t"], thin: Float[Tensor, "*b r s"], wide: Float[Tensor, "*c s t"]) -> None:
    """Adds thin @ wide to `total` in place; the factors have its batch dimension or none."""
    if total.dim() == 2:
        total.addmm_(thin, wide)
    else:
        total.baddbmm_(_batch(thin, total.shape[0]), _batch(wide, total.shape[0]))


def _batch(matrix: Tensor, count: int) -> Tensor:
    """Returns the matrix as a batch, asked first whether it is one: `expand` takes as long as a third of a small product."""
    return matrix if matrix.dim() == 3 else matrix.expand(count, -1, -1)


class Stack(NamedTuple):
    """Memory for two products that are added as one, the fixed half of either factor written; None where there is none.

    Attributes:
        thin: Both first factors, side by side.
        wide: Both second factors, one above the other.
        first: The place of the changing half of `thin`, transposed.
        second: The place of the changing half of `wide`.
    """

    thin: Float[Tensor, "d r2"] | None = None
    wide: Float[Tensor, "r2 t"] | None = None
    first: Float[Tensor, "r d"] | None = None
    second: Float[Tensor, "r t"] | None = None


class RowKernels(NamedTuple):
    """The products of one vector or of a batch, chosen once: to ask at each of them takes a tenth of a small one.

    Attributes:
        times: Returns thin @ wide, in the memory `out` if it is given.
        add_times: Adds thin @ wide to its first argument, in place.
        add_outer: Adds a' @ b + c' @ d to its first argument, in place, given a, b, c, d and the stack that holds them; a and d
            have the batch dimension, b and c may lack it.
        add_last: Adds a @ b + c @ d to its first argument, in place.
    """

    times: Callable[..., Tensor]
    add_times: Callable[[Tensor, Tensor, Tensor], object]
    add_outer: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Stack], None]
    add_last: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], None]

    @classmethod
    def of(cls, result: Tensor) -> "RowKernels":
        """Returns those for a result with a batch dimension, or with none."""
        return _SINGLE if result.dim() == 2 else _BATCH


def _add_outer(total: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, stack: Stack) -> None:
    if stack.thin is None or stack.wide is None:
        total.addmm_(a.mT, b)
        total.addmm_(c.mT, d)
    else:
        total.addmm_(stack.thin, stack.wide)


def _add_outer_joined(total: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, _: Stack) -> None:
    """One product of both: the result is wide, and for a batch each pass over it costs as much as a product."""
    count = total.shape[0]
    total.baddbmm_(torch.cat([a, _batch(c, count)], dim=1).mT, torch.cat([_batch(b, count), d], dim=1))


def _add_last(total: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> None:
    total.addmm_(a, b)
    total.addmm_(c, d)


def _add_last_joined(total: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> None:
    part = times(a, b)
    add_times(part, c, d)
    total.add_(part)


_SINGLE = RowKernels(torch.mm, Tensor.addmm_, _add_outer, _add_last)
_BATCH = RowKernels(times, add_times, _add_outer_joined, _add_last_joined)


class ColumnKernels(NamedTuple):
    """The products of a matrix with columns on its right, which are few; either has one batch dimension or none.

    Attributes:
        times: Returns wide @ columns.
        add_times: Adds wide @ columns to its first argument, in place.
        stored: Returns columns in the storage of the results.
    """

    times: Callable[[Tensor, Tensor], Tensor]
    add_times: Callable[[Tensor, Tensor, Tensor], object]
    stored: Callable[[Tensor], Tensor]

    @classmethod
    def of(cls, columns: Tensor) -> "ColumnKernels":
        """Returns those for columns like these: short ones are multiplied as they are, longer ones as rows."""
        if columns.shape[-2] > _SHORT:
            return _AS_ROWS
        return _SINGLE_COLUMNS if columns.dim() == 2 else _BATCH_COLUMNS


_SHORT = 128  # rows of columns: as rows they took 1.4 times as long at 35, 1.1 at 128, as long at 160, 0.8 at 300


def stored_as_rows(columns: Float[Tensor, "*b s m"]) -> Float[Tensor, "*b s m"]:
    """Returns a copy of the columns whose transposed matrix is contiguous."""
    return columns.mT.clone(memory_format=torch.contiguous_format).mT


def _times_columns(wide: Tensor, columns: Tensor) -> Tensor:
    count = (columns if wide.dim() == 2 else wide).shape[0]
    return _batch(wide, count).bmm(_batch(columns, count))


def _times_as_rows(wide: Tensor, columns: Tensor) -> Tensor:
    return times(columns.mT, wide.mT).mT


def _add_times_as_rows(total: Tensor, wide: Tensor, columns: Tensor) -> None:
    add_times(total.mT, columns.mT, wide.mT)


def _same(columns: Tensor) -> Tensor:
    return columns


_SINGLE_COLUMNS = ColumnKernels(torch.mm, Tensor.addmm_, _same)
_BATCH_COLUMNS = ColumnKernels(_times_columns, add_times, _same)
_AS_ROWS = ColumnKernels(_times_as_rows, _add_times_as_rows, stored_as_rows)
