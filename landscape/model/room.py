"""Memory for products of ONE short vector, which take as long to make views, stack matrices and allocate as to multiply."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

from landscape.display import brief
from landscape.model.column_pass import ColumnErrors
from landscape.model.thin_matmul import Stack
from landscape.model.thin_product import ThinErrors

_LARGEST = 1 << 15  # parameters; the copies of longer vectors take longer than the calls that they spare


@dataclass(frozen=True)
class Room:
    """Memory for one product, with all views of it.

    Attributes:
        row: The vector as a row, where the caller writes it.
        direction: The same vector, flat.
        changes: Its factors.
        turned: Its transposed factors.
        result: The product, from where the caller copies it.
        column: The same product, as a column.
        results: Its factors.
        stacks: Memory for products that are added as one.
    """

    row: Float[Tensor, "1 p"]
    direction: Float[Tensor, " p"]
    changes: list[Tensor]
    turned: list[Tensor]
    result: Float[Tensor, " p"]
    column: Float[Tensor, "p 1"]
    results: list[Tensor]
    stacks: list[Stack]

    __repr__ = brief


@dataclass(frozen=True)
class Rooms:
    """Memory that products at one point use again; each product takes a room of its own, so that threads share none.

    Attributes:
        errors: The pass at the point.
        views: Returns the factors of a vector as views.
        size: Number of the point's parameters.
        dtype: Type of the point's numbers.
        free: The rooms that no product uses now.
    """

    errors: ThinErrors | ColumnErrors
    views: Callable[[Tensor], list[Tensor]]
    size: int
    dtype: torch.dtype
    free: list[Room] = field(default_factory=list)

    __repr__ = brief

    @classmethod
    def of(
        cls, errors: ThinErrors | ColumnErrors, views: Callable[[Tensor], list[Tensor]], point: Float[Tensor, "*b p"]
    ) -> "Rooms | None":
        """Returns none for batches, derivatives by the point, devices (whose streams would share memory) and long vectors."""
        if point.dim() > 1 or not point.is_cpu or point.numel() > _LARGEST or point.requires_grad:
            return None
        return cls(errors, views, point.numel(), point.dtype) if unpack_dual(point).tangent is None else None

    def hold(self, vector: Tensor) -> bool:
        """Returns whether a vector can be written there and nothing be lost."""
        fits = vector.numel() == self.size and vector.dtype is self.dtype and vector.is_cpu
        return fits and not vector.requires_grad and not torch.compiler.is_compiling()

    def take(self, like: Float[Tensor, " p"]) -> Room:
        """Returns a room, which the caller puts back into `free`."""
        try:
            return self.free.pop()
        except IndexError:
            with torch.inference_mode(False):  # of use in either mode
                return self._built(like)

    def _built(self, like: Tensor) -> Room:
        size = like.numel()
        last = math.prod(self.views(like)[-1].shape)
        memory, result = like.new_empty(size + last), torch.empty_like(like)
        direction, behind = memory[:size], memory[size:]
        changes = self.views(direction)
        stacks = self.errors.stacks(direction, behind) if isinstance(self.errors, ThinErrors) else []
        turned = [change.mT for change in changes]
        return Room(direction.unsqueeze(0), direction, changes, turned, result, result.unsqueeze(1), self.views(result), stacks)
