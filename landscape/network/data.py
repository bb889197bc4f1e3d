"""Batches as people have them: their inputs, targets and samples, cut into parts and merged, and read twice to be compared."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from landscape.display import brief
from landscape.errors import InputError
from landscape.network.trees import mapped, tensors

Adapter = Callable[[Any], tuple[Any, Any]]
_PAIR = "pass adapter=, a function from one batch to (inputs, targets)"


@dataclass(frozen=True)
class Batch:
    """One batch as the loss sees it.

    Attributes:
        inputs: Inputs of the module: a tensor, a sequence of positional or a mapping of named arguments.
        targets: Targets that the loss compares the outputs with.
        samples: Number of samples in the batch, counted on the targets.
        units: Number of parts that the batch can be cut into, counted on the inputs; fewer than the samples where each input has
            several.
        raw: The batch as the data gave it, for a `weight` function.
    """

    inputs: Any
    targets: Any
    samples: int
    units: int
    raw: Any = None

    __repr__ = brief


def keywords(labels: str = "labels") -> Adapter:
    """Returns an adapter for batches that are dictionaries of named arguments, as loaders of Hugging Face give them.

    The module is called as `module(**batch)`, with the labels among the arguments, and the targets are `batch[labels]`.

    Example:
        >>> import landscape as ls
        >>> inputs, targets = ls.keywords()({"input_ids": [3, 1], "labels": [0]})
        >>> targets
        [0]
    """

    def adapt(batch: Any) -> tuple[Any, Any]:
        if not isinstance(batch, Mapping) or labels not in batch:
            got = f"keys {sorted(map(str, batch))}" if isinstance(batch, Mapping) else type(batch).__name__
            raise InputError(f"expected a batch with an entry {labels!r}, got {got}: pass keywords(labels=..)")
        return batch, batch[labels]

    return adapt


def pair(batch: Any) -> tuple[Any, Any]:
    """Returns the inputs and targets of a batch that is a pair.

    Raises:
        InputError: If it is anything else.
    """
    if isinstance(batch, list | tuple) and len(batch) == 2:
        return batch[0], batch[1]
    if isinstance(batch, Mapping):
        raise InputError(
            f"expected batches of (inputs, targets), got a mapping of {sorted(map(str, batch))[:6]}: pass adapter=keywords() "
            "to call module(**batch), or an adapter of your own"
        )
    got = f"{len(batch)} items" if isinstance(batch, list | tuple) else type(batch).__name__
    raise InputError(f"expected batches of (inputs, targets), got {got}: {_PAIR}")


def batch_of(raw: Any, inputs: Any, targets: Any, axis: int) -> Batch:
    """Returns inputs and targets as a batch, with its samples counted."""
    return Batch(inputs, targets, count_samples(axis, targets, inputs), count_samples(axis, inputs, targets), raw)


def count_samples(axis: int, *trees: Any) -> int:
    """Returns the length of the first tensor that has one on the axis of samples.

    Raises:
        InputError: If no tensor has an axis to count on.
    """
    for tree in trees:
        for leaf in tensors(tree):
            if leaf.ndim:
                return leaf.shape[_axis(leaf, axis)]
    raise InputError(f"expected a tensor of samples in a batch, got none with an axis: {_PAIR}")


def _axis(leaf: Tensor, axis: int) -> int:
    return min(axis, leaf.ndim - 1)


def part(batch: Batch, start: int, stop: int, axis: int) -> Batch:
    """Returns the units start to stop of a batch; tensors whose length is neither that of inputs nor of targets are kept whole."""

    def cut(leaf: Tensor) -> Tensor:
        place = _axis(leaf, axis) if leaf.ndim else 0
        if not leaf.ndim or leaf.shape[place] not in (batch.units, batch.samples):
            return leaf
        each = leaf.shape[place] // batch.units
        return leaf.narrow(place, start * each, (stop - start) * each)

    return batch_of(mapped(batch.raw, cut), mapped(batch.inputs, cut), mapped(batch.targets, cut), axis)


def merged(first: Batch, second: Batch, axis: int) -> Batch | None:
    """Returns the samples of two batches as one, or None where their tensors do not fit together."""
    trees = []
    for one, other in ((first.inputs, second.inputs), (first.targets, second.targets), (first.raw, second.raw)):
        others = list(tensors(other))
        if len(others) != len(list(tensors(one))):
            return None
        following = iter(others)
        try:
            trees.append(mapped(one, lambda leaf, rest=following: _joined(leaf, next(rest), first, second, axis)))  # type: ignore[misc]
        except RuntimeError:  # shapes that do not fit, such as sentences padded to different lengths
            return None
    return batch_of(trees[2], trees[0], trees[1], axis)


def _joined(one: Tensor, other: Tensor, first: Batch, second: Batch, axis: int) -> Tensor:
    place = _axis(one, axis) if one.ndim else 0
    lengths = (one.shape[place], other.shape[_axis(other, axis)]) if one.ndim and other.ndim else ()
    if lengths in ((first.samples, second.samples), (first.units, second.units)):
        return torch.cat([one, other], dim=place)
    if one.shape == other.shape and torch.equal(one, other):
        return one
    raise RuntimeError("two tensors that do not count samples and differ")


def fingerprint(batch: Any) -> str:
    """Returns a digest of all tensors of a batch: their shapes, types and bytes."""
    digest = hashlib.blake2b(digest_size=16)
    for leaf in tensors(batch):
        digest.update(f"{tuple(leaf.shape)}{leaf.dtype}".encode())
        if not leaf.is_meta:
            flat = leaf.detach().to("cpu").contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
    return digest.hexdigest()


def require_repeatable(data: Iterable[Any]) -> None:
    """Reads data twice and compares every tensor; a list or tuple holds its batches and is not read.

    Raises:
        InputError: If the batches of the second reading differ, as with shuffling or random augmentation.
    """
    if isinstance(data, list | tuple):
        return
    first, second = ([fingerprint(batch) for batch in data] for _ in range(2))
    if first != second:
        place = next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second)))
        raise InputError(
            f"expected the same batches at every reading, got another batch {place} the second time: pass list(loader), or switch "
            "shuffling and random augmentation off"
        )


def require_again(data: object) -> None:
    """Refuses data that can be read only once.

    Raises:
        InputError: If it is an iterator, or no iterable at all.
    """
    if isinstance(data, Iterator):
        raise InputError("expected data that can be iterated again, got an iterator: pass a list or a DataLoader")
    if not isinstance(data, Iterable) or isinstance(data, str | Mapping | Tensor):
        raise InputError(f"expected an iterable of batches, got {type(data).__name__}: pass a list such as [(inputs, targets)]")
