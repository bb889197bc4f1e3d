"""Weights of a checkpoint put into a module: names are matched although wrappers left prefixes in them, shapes must agree."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from landscape.display import brief
from landscape.errors import InputError
from landscape.network.functional import unwrapped
from landscape.points.foreign_arrays import ForeignArrays, listed, read_arrays

_COUNTER = "num_batches_tracked"  # of batch normalisation: no evaluation uses it, and old files lack it


@dataclass(frozen=True)
class LoadedCheckpoint:
    """What of a checkpoint went into a module.

    Attributes:
        module: The module, without wrappers, with the weights of the file.
        entry: Keys that led to the weights in a nested checkpoint.
        prefix: What was taken off the names of the file, or in front of those of the module where the file lacks it.
        unused: Arrays and entries of the file that the module has no place for.
    """

    module: nn.Module
    entry: tuple[str, ...]
    prefix: str
    unused: tuple[str, ...]

    __repr__ = brief


def load_checkpoint(module: nn.Module, path: Path | str) -> LoadedCheckpoint:
    """Writes the weights of a file into a module: .safetensors, .npz, .pt, .pth, .ckpt or .bin, in the module's precision.

    Nothing in the file is run. Names match as they are, or after the prefixes of wrappers are taken off either side.

    Example:
        >>> import landscape as ls
        >>> import tempfile
        >>> import torch
        >>> network, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in other.state_dict().items()}}, f"{folder}/c.pt")
        ...     loaded = ls.load_checkpoint(network, f"{folder}/c.pt")
        >>> torch.equal(network.weight, other.weight), loaded.prefix, loaded.unused
        (True, 'module.', ('epoch',))

    Raises:
        InputError: If the file cannot be read safely, or lacks a parameter or buffer of the module, or has one of another shape.
    """
    path, module = Path(path), unwrapped(module)
    file = read_arrays(path)
    found, prefix = _matched(file, _needed(module), path)
    load_named(module, found, path)
    wanted = module.state_dict()
    unused = tuple(name for name in found if name not in wanted)
    return LoadedCheckpoint(module, file.entry, prefix, (*unused, *file.ignored))


def load_named(module: nn.Module, found: Mapping[str, Tensor], path: Path) -> None:
    """Writes arrays into a module by the names that it has.

    Raises:
        InputError: If one is missing or has another shape; the module is then left alone.
    """
    wanted, needed = module.state_dict(), _needed(module)
    if missing := sorted(needed - set(found)):
        raise InputError(f"expected {listed(missing, 3)} in {path.name}, got {listed(found, 3)}: is it another architecture?")
    for name in sorted(needed):
        if found[name].shape != wanted[name].shape:
            raise InputError(
                f"expected {name} of shape {tuple(wanted[name].shape)} in {path.name}, got {tuple(found[name].shape)}: "
                "was it trained with other sizes?"
            )
    with torch.no_grad():
        module.load_state_dict({name: value for name, value in found.items() if name in wanted}, strict=False)


def _needed(module: nn.Module) -> set[str]:
    return {name for name, value in module.state_dict().items() if isinstance(value, Tensor) and not name.endswith(_COUNTER)}


def _matched(file: ForeignArrays, needed: set[str], path: Path) -> tuple[dict[str, Tensor], str]:
    """Returns the arrays by the names that the module has, and the prefix that made them fit.

    Raises:
        InputError: If no prefix makes all names of the module appear.
    """
    best, anchor = needed, min(needed, default="")
    for arrays in (file.tensors, file.without_prefixes()):
        ends = {""} | {each.removesuffix(anchor) for each in arrays if each.endswith(anchor)}
        for prefix in sorted(ends, key=len):
            short = {each.removeprefix(prefix): value for each, value in arrays.items()}
            if not (missing := needed - set(short)):
                return short, prefix or _removed(file.tensors, arrays)
            best = min(best, missing, key=len)
    for first in {each.partition(".")[0] + "." for each in needed}:
        arrays = {first + each: value for each, value in file.without_prefixes().items()}
        if not needed - set(arrays):
            return arrays, first
    raise InputError(
        f"expected the parameters of the module in {path.name}, got {listed(file.tensors, 3)}, without {listed(sorted(best), 3)}: "
        "is it another architecture?"
    )


def _removed(before: dict[str, Tensor], after: dict[str, Tensor]) -> str:
    """Returns the prefix by which the first names of two readings of one file differ."""
    one, other = next(iter(before), ""), next(iter(after), "")
    return one.removesuffix(other) if one != other else ""
