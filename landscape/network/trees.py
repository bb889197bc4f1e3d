"""Nested containers of tensors, as inputs, targets and outputs of modules are: dictionaries, sequences, dataclasses."""

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor


def tensors(tree: object) -> Iterator[Tensor]:
    """Yields the tensors of a nested container, in the order of its entries; anything else is passed over."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from tensors(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from tensors(value)
    elif dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        for field in dataclasses.fields(tree):
            yield from tensors(getattr(tree, field.name))


def mapped(tree: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """Returns a container of the same kind with every tensor replaced, in the order of `tensors`; the tree itself is left alone."""
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, Mapping):
        return _replaced_entries(tree, {key: mapped(value, function) for key, value in tree.items()})
    if isinstance(tree, list | tuple):
        values = [mapped(value, function) for value in tree]
        if isinstance(tree, tuple) and hasattr(tree, "_fields"):
            return type(tree)(*values)
        return type(tree)(values)
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        result = copy.copy(tree)
        for field in dataclasses.fields(tree):
            object.__setattr__(result, field.name, mapped(getattr(tree, field.name), function))
        return result
    return tree


def _replaced_entries(tree: Any, entries: dict[Any, Any]) -> Any:
    """Returns a mapping of the same kind with other values; a plain dictionary where the kind cannot be copied and set."""
    if type(tree) is dict:
        return entries
    result = copy.copy(tree)
    try:
        for key, value in entries.items():
            result[key] = value
    except TypeError:  # read-only mappings
        return entries
    return result


def flattened(tree: object) -> Tensor:
    """Returns the floating-point tensors of a tree that carry a gradient as one flat vector, or all of them if none does."""
    floating = [part for part in tensors(tree) if part.is_floating_point()]
    carried = [part for part in floating if part.requires_grad] or floating
    return torch.cat([part.reshape(-1) for part in carried]) if carried else torch.zeros(0)


def refilled(tree: Any, flat: Tensor) -> Any:
    """Returns the tree with the tensors that `flattened` took replaced by the entries of a flat vector, the others detached."""
    floating = [part for part in tensors(tree) if part.is_floating_point()]
    carried = {id(part) for part in floating if part.requires_grad} or {id(part) for part in floating}
    start = 0

    def take(part: Tensor) -> Tensor:
        nonlocal start
        if id(part) not in carried:
            return part.detach()
        start += part.numel()
        return flat[start - part.numel() : start].view(part.shape)

    return mapped(tree, take)
