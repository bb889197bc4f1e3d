"""Arrays that other programs saved, read without running anything: checkpoints as people save them, by bare names.

Accepted: .safetensors, .npz, torch's files (.pt, .pth, .ckpt, .bin) through its weights-only loader, and .npy, an array that is
known by the path of its file. Of a nested checkpoint the dictionary of weights is taken; what was passed over is said.
"""

import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from landscape.display import brief
from landscape.errors import InputError
from landscape.memory import require_memory
from landscape.plain_file import Missing, ordinary
from landscape.tensor_file import TensorFile

PREFIXES = ("module.", "_orig_mod.", "model.")  # of DataParallel, torch.compile and Lightning modules
_TORCH = (".pt", ".pth", ".ckpt", ".bin")
_NESTED = ("state_dict", "model_state_dict", "model", "net", "module", "network", "weights")  # in order of preference
_DEPTH = 3  # of dictionaries in dictionaries


@dataclass(frozen=True)
class ForeignArrays:
    """The arrays of a file, and how they were found in it.

    Attributes:
        tensors: Arrays by name, in the file's order (safetensors: in natural order of the names, which it sorts).
        entry: Keys that lead to the dictionary of weights in a nested checkpoint.
        ignored: Keys that were passed over on the way: optimisers, counters, settings.
    """

    tensors: dict[str, Tensor]
    entry: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    __repr__ = brief

    def without_prefixes(self) -> dict[str, Tensor]:
        """Returns the arrays with the prefixes of wrappers taken off, where no two names become one.

        A prefix goes if every name with a dot has it, and `_orig_mod.` wherever it stands.
        """
        named = {name: re.sub(r"(^|\.)_orig_mod\.", r"\1", name) for name in self.tensors}
        while prefix := _shared(named.values()):
            named = {name: short.removeprefix(prefix) for name, short in named.items()}
        if len(set(named.values())) < len(named):
            return self.tensors
        return {short: self.tensors[name] for name, short in named.items()}


def read_arrays(*paths: Path) -> ForeignArrays:
    """Returns the arrays of files by name, on the CPU, without a gradient.

    Raises:
        InputError: If a file is missing, damaged, of another kind, or holds anything but arrays with numbers in them, or if two
            arrays have one name.
    """
    first, *others = [_file_of_arrays(path) for path in paths]
    tensors = dict(first.tensors)
    for other in others:
        if shared := tensors.keys() & other.tensors.keys():
            raise InputError(f"expected every array in one file, got {listed(sorted(shared))} in two")
        tensors |= other.tensors
    return ForeignArrays(tensors, first.entry, first.ignored)


def _file_of_arrays(path: Path) -> ForeignArrays:
    try:
        with warnings.catch_warnings():  # torch warns about what it then refuses
            warnings.simplefilter("ignore")
            found = _read(path)
            _require_numbers(found.tensors, path)
            return found
    except InputError:  # itself a ValueError
        raise
    except Missing as error:
        raise InputError(f"no such file: {path}") from error
    except pickle.UnpicklingError as error:
        raise InputError(
            f"refused {path.name}: it holds more than tensors{_more_than_tensors(path)}, and reading that could run code: "
            "save model.state_dict() alone"
        ) from error
    except Exception as error:  # on damaged files the readers fail with nearly every kind: zlib.error, KeyError, AssertionError, ..
        raise InputError(f"expected arrays in {path.name}, got a damaged or foreign file ({first_line(error)})") from error


def listed(names: Iterable[str], most: int = 6) -> str:
    """Returns the first names of many as text, and how many are left out."""
    every = list(names)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")


def first_line(error: Exception) -> str:
    """Returns the first line of what an exception says, of at most 150 characters."""
    return next(iter(str(error).splitlines()), type(error).__name__)[:150]


def _read(path: Path) -> ForeignArrays:
    if path.suffix == ".safetensors":
        with TensorFile.opened(path) as file:
            return ForeignArrays({name: file.tensor(name) for name in sorted(file.layouts, key=_natural)})
    if path.suffix == ".npz":
        with _opened(path) as handle, np.load(handle, allow_pickle=False) as archive:
            return ForeignArrays({name: torch.from_numpy(archive[name]) for name in archive.files})
    if path.suffix == ".npy":
        with _opened(path) as handle:
            return ForeignArrays({str(path): torch.from_numpy(np.load(handle, allow_pickle=False))})
    if path.suffix in _TORCH:
        with _opened(path) as handle:
            return _weights(torch.load(handle, map_location="cpu", weights_only=True), path)
    raise InputError(f"expected a .safetensors, .npz, .npy, {', '.join(_TORCH[:-1])} or {_TORCH[-1]} file, got {path.name}")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Yields a file of arrays whose unpacked size fits in memory: a small zip file may hold an endless array of zeros."""
    with ordinary(path) as handle:
        size = os.fstat(handle.fileno()).st_size
        if zipfile.is_zipfile(handle):
            with zipfile.ZipFile(handle) as archive:
                size = max(size, sum(part.file_size for part in archive.infolist()))
        require_memory(float(size), f"the file {path.name}", "import fewer arrays")
        handle.seek(0)
        yield handle


def _weights(loaded: object, path: Path) -> ForeignArrays:
    """Returns the tensors of a checkpoint, from the one dictionary in it that holds weights."""
    entry: tuple[str, ...] = ()
    ignored: list[str] = []
    while isinstance(loaded, Mapping) and len(entry) < _DEPTH:
        inside = [key for key, value in loaded.items() if _holds_tensors(value, _DEPTH - len(entry))]
        known = [key for key in _NESTED if key in inside]
        if not known and (len(inside) != 1 or any(isinstance(value, Tensor) for value in loaded.values())):
            break
        taken = known[0] if known else inside[0]
        ignored += [str(key) for key in loaded if key != taken]
        loaded, entry = loaded[taken], (*entry, str(taken))
    if not isinstance(loaded, Mapping):
        raise InputError(f"expected a dictionary of tensors in {path.name}, got {type(loaded).__name__}")
    found = {str(name): value.detach() for name, value in loaded.items() if isinstance(value, Tensor)}
    if loaded and not found:
        raise InputError(
            f"expected a dictionary of tensors in {path.name}, got keys {listed(map(str, loaded))}: save model.state_dict() alone"
        )
    return ForeignArrays(found, entry, (*ignored, *(str(name) for name in loaded if str(name) not in found)))


def _holds_tensors(value: object, depth: int) -> bool:
    """Says whether a value is a dictionary of tensors, or one that holds such a dictionary under a known key."""
    if not isinstance(value, Mapping) or depth == 0:
        return False
    return any(isinstance(each, Tensor) for each in value.values()) or any(
        _holds_tensors(value.get(key), depth - 1) for key in _NESTED
    )


def _require_numbers(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuses tensors that are no plain arrays of numbers."""
    for name, tensor in tensors.items():
        if tensor.is_meta:
            kind, remedy = "a meta tensor, which has no numbers", "save the weights after they are loaded"
        elif tensor.is_quantized or (tensor.dtype in (torch.int8, torch.uint8) and name.endswith("weight")):
            kind, remedy = "a quantised one", "save the weights before quantisation"
        elif tensor.layout != torch.strided:
            kind, remedy = "a sparse one", "save tensor.to_dense()"
        else:
            continue
        raise InputError(f"expected plain arrays in {path.name}, got {name}, {kind}: {remedy}")


def _more_than_tensors(path: Path) -> str:
    """Returns which kinds of objects a file of torch holds besides, found without making them."""
    try:
        with warnings.catch_warnings(), ordinary(path) as handle:
            warnings.simplefilter("ignore")
            kinds = torch.serialization.get_unsafe_globals_in_checkpoint(handle)
    except Exception:  # a damaged file, or one of the old format
        return ""
    return f" ({listed(sorted(kinds), 3)[:80]})" if kinds else ""


def _shared(names: Iterable[str]) -> str:
    """Returns the prefix of a wrapper that all names with a dot have, or none."""
    dotted = [name for name in names if "." in name]
    return next((prefix for prefix in PREFIXES if dotted and all(name.startswith(prefix) for name in dotted)), "")


def _natural(name: str) -> list[tuple[int, str]]:
    """Orders layers.2 before layers.10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
