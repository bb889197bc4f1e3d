"""Products of ONE short vector, whose views, stacked matrices and fresh memory take as long as its matrix products.

The first product at a point is written down as calls on memory of its own, and the others repeat them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual
from torch.overrides import TorchFunctionMode

from landscape.display import brief
from landscape.model.column_pass import ColumnErrors
from landscape.model.thin_product import AddProducts, ThinErrors

_LARGEST = 1 << 15  # parameters; the copies of longer vectors take longer than the calls that they spare


class _Unrepeatable(Exception):
    """A call that the tape does not know to make again."""


class _Tape(TorchFunctionMode):
    """Writes down the calls of torch such that they can be made again, on the same memory: without Python in between."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Callable[[], object]] = []

    def __torch_function__(self, function: Any, _: Any, inputs: Any = (), options: Any = None) -> Any:
        options = dict(options or {})
        result = function(*inputs, **options)
        if function in _FRESH:
            self.steps.append(partial(function, *inputs, **{**options, "out": result}))
        elif function is Tensor.clone:
            self.steps.append(partial(result.copy_, *inputs))
        elif function in _IN_PLACE:
            self.steps.append(partial(function, *inputs, **options))
        elif function is not Tensor.dim and function.__name__ != "__get__":  # an attribute, such as a transposed view, is the same
            raise _Unrepeatable(function)
        return result


_FRESH = {torch.mm, torch.gather, torch.sub, torch.sum, torch.mul}
_IN_PLACE = {Tensor.addmm_, Tensor.add_, Tensor.mul_, Tensor.addcmul_}


@dataclass(frozen=True)
class Room:
    """Memory for one product, and the calls that compute it there.

    Attributes:
        row: The vector as a row, where the caller writes it.
        direction: The same vector, flat.
        result: The product, which the calls add to.
        column: The same product, as a column.
        steps: Calls that compute the product, in their order.
    """

    row: Float[Tensor, "1 p"]
    direction: Float[Tensor, " p"]
    result: Float[Tensor, " p"]
    column: Float[Tensor, "p 1"]
    steps: list[Callable[[], object]]

    __repr__ = brief


@dataclass
class Rooms:
    """Memory that products at one point use again; each product takes a room of its own, so that threads share none.

    Attributes:
        errors: The pass at the point.
        add_products: Adds the products of the data part to the factors of a result.
        views: Returns the factors of a vector as views.
        size: Number of the point's parameters.
        dtype: Type of the point's numbers.
        free: The rooms that no product uses now.
        repeatable: Whether all calls of a product can be made again, as far as is known.
    """

    errors: ThinErrors | ColumnErrors
    add_products: AddProducts
    views: Callable[[Tensor], list[Tensor]]
    size: int
    dtype: torch.dtype
    free: list[Room] = field(default_factory=list)
    repeatable: bool = True

    __repr__ = brief

    @classmethod
    def of(
        cls,
        errors: ThinErrors | ColumnErrors,
        add_products: AddProducts,
        views: Callable[[Tensor], list[Tensor]],
        point: Float[Tensor, "*b p"],
    ) -> "Rooms | None":
        """Returns none for batches, derivatives by the point, devices (whose streams would share memory) and long vectors."""
        if point.dim() > 1 or point.numel() > _LARGEST or not point.is_cpu or type(point) is not Tensor or point.requires_grad:
            return None
        return cls(errors, add_products, views, point.numel(), point.dtype) if unpack_dual(point).tangent is None else None

    def hold(self, vector: Tensor) -> bool:
        """Returns whether a vector can be written there and nothing be lost."""
        if (
            not self.repeatable
            or vector.numel() != self.size
            or vector.dtype is not self.dtype
            or vector.requires_grad
            or not vector.is_cpu
        ):
            return False
        return not torch.compiler.is_compiling()

    def take(self, like: Float[Tensor, " p"]) -> Room | None:
        """Returns a room, which the caller puts back into `free`; none where a call of the product cannot be made again."""
        try:
            return self.free.pop()
        except IndexError:
            pass
        try:
            with torch.inference_mode(False):  # of use in either mode
                return self._built(like)
        except _Unrepeatable:
            self.repeatable = False
            return None

    def _built(self, like: Tensor) -> Room:
        size = like.numel()
        last = math.prod(self.views(like)[-1].shape)
        memory, result = like.new_zeros(size + last), torch.zeros_like(like)
        direction, behind = memory[:size], memory[size:]
        changes, results = self.views(direction), self.views(result)
        stacks = self.errors.stacks(direction, behind) if isinstance(self.errors, ThinErrors) else []
        with _Tape() as tape:
            self.add_products(changes, [change.mT for change in changes], results, stacks)
        return Room(direction.unsqueeze(0), direction, result, result.unsqueeze(1), tape.steps)
