"""Batches as frozen dataclasses whose fields are tensors with one row per start: take rows, put others back."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

from jaxtyping import Int
from torch import Tensor

B = TypeVar("B")
WHOLE = {"whole": True}  # metadata of a field that belongs to all rows together; a batch that is made of others has its default


def take(batch: B, rows: Int[Tensor, " r"]) -> B:
    """Returns the batch of these rows, in this order."""
    return _by_field(lambda tensor: tensor[rows], batch)


def put(batch: B, rows: Int[Tensor, " r"], new: B) -> B:
    """Returns the batch with these rows, in order and once each, replaced in place; if they are all there are, `new` itself."""
    return _by_field(lambda tensor, part: part if len(part) == len(tensor) else tensor.index_copy_(0, rows, part), batch, new)


def _by_field(apply: Callable[..., Tensor], *batches: B) -> B:
    """Fields that are batches themselves are entered; those of all rows together are left at their defaults."""
    first: Any = batches[0]
    columns = [[getattr(batch, column.name) for batch in batches] for column in fields(first) if not column.metadata]
    return type(first)(*(apply(*parts) if isinstance(parts[0], Tensor) else _by_field(apply, *parts) for parts in columns))
