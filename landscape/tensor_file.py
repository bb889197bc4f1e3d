"""The one reader of safetensors files: named arrays, and a header that says where each of them is.

Reads ordinary files alone: it waits for no pipe and takes no endless device for a file. The header is bounded, and the arrays must
fill the rest of the file without gaps, before anything is read from it. Nothing that is in a file is run. Neither torch nor
safetensors is loaded, unless a tensor is asked for.
"""

import hashlib
import json
import math
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from landscape.plain_file import Damaged, ordinary

if TYPE_CHECKING:
    from torch import Tensor

LONGEST_HEADER = 16_000_000  # bytes; a hundred for each array, so that a hundred thousand fit
_BLOCK = 1 << 20  # bytes that are read at once for a digest
_LENGTH = 8  # bytes of the number that says how long the header is
# by the name in a file: the name in torch, and bytes of one number
DTYPES = {
    "F64": ("float64", 8),
    "F32": ("float32", 4),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "I64": ("int64", 8),
    "I32": ("int32", 4),
    "I16": ("int16", 2),
    "I8": ("int8", 1),
    "U8": ("uint8", 1),
    "BOOL": ("bool", 1),
}


@dataclass(frozen=True)
class Layout:
    """Type, shape and place of one array, as the header has them.

    Attributes:
        dtype: Name of the dtype as torch has it, without the module: float64.
        shape: Shape of the array, stored row by row.
        start: First byte of the array, counted from the end of the header.
        stop: End of the array's bytes, counted from the end of the header.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class TensorFile:
    """An open file whose header was read and fits its length.

    Attributes:
        metadata: Texts of the header by their key.
        layouts: Layouts of all arrays by name, in the order of the names.
    """

    metadata: dict[str, str]
    layouts: dict[str, Layout]
    _handle: BinaryIO
    _origin: int

    @classmethod
    @contextmanager
    def opened(cls, path: Path, follow: bool = True) -> Iterator["TensorFile"]:
        """Yields the file with its header read; the arrays are read on request, while the context lasts.

        Args:
            path: Path of the file.
            follow: Whether it may be a symbolic link.

        Raises:
            Damaged: If it is no ordinary file, cannot be read, or its header does not describe it.
        """
        with ordinary(path, follow) as handle:
            yield cls(*_header(handle), handle, handle.tell())

    def read(self, name: str) -> bytearray:
        """Returns the bytes of an array, row by row, little-endian.

        Raises:
            Damaged: If they cannot be read or do not fit in memory.
        """
        layout = self.layouts[name]
        try:
            self._handle.seek(self._origin + layout.start)
            data = bytearray(layout.stop - layout.start)
            if self._handle.readinto(data) != len(data):  # type: ignore[attr-defined]
                raise Damaged("it is shorter than its arrays")
        except MemoryError as error:
            raise Damaged("it is larger than the memory") from error
        except OSError as error:
            raise Damaged(f"it cannot be read ({error.strerror})") from error
        return data

    def tensor(self, name: str) -> "Tensor":
        """Returns an array as a torch tensor on the CPU, in memory of its own.

        Raises:
            Damaged: If its bytes cannot be read or do not fit in memory.
        """
        import torch

        layout, data = self.layouts[name], self.read(name)
        dtype = getattr(torch, layout.dtype)
        return torch.frombuffer(data, dtype=dtype).reshape(layout.shape) if data else torch.zeros(layout.shape, dtype=dtype)

    def digest(self) -> str:
        """Returns the checksum of all arrays, as `arrays_digest` computes it; one array is in memory at a time.

        Raises:
            Damaged: If they cannot be read.
        """
        return arrays_digest((name, layout.dtype, layout.shape, self.read(name)) for name, layout in self.layouts.items())


def arrays_digest(arrays: Iterable[tuple[str, str, tuple[int, ...], bytes | bytearray]]) -> str:
    """Returns the sha256 of arrays in the order of their names: of name, type, shape and bytes."""
    digest = hashlib.sha256()
    for name, dtype, shape, data in arrays:
        digest.update(f"{name}torch.{dtype}{shape}".encode())
        digest.update(data)
    return digest.hexdigest()


def _header(handle: BinaryIO) -> tuple[dict[str, str], dict[str, Layout]]:
    """Returns metadata and layouts of a file, which is left at the end of its header."""
    size = os.fstat(handle.fileno()).st_size
    try:
        start = handle.read(_LENGTH)
        length = struct.unpack("<Q", start)[0] if len(start) == _LENGTH else 0
        if not 0 < length <= size - _LENGTH or not length <= LONGEST_HEADER:
            raise Damaged("it is no safetensors file")
        entries = json.loads(handle.read(length), object_pairs_hook=_distinct)
    except OSError as error:
        raise Damaged(f"it cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise Damaged("it is no safetensors file, its header is not JSON") from error
    if not isinstance(entries, dict):
        raise Damaged("it is no safetensors file, its header is no object")
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise Damaged("its metadata are not texts")
    layouts = {name: _layout(name, entries[name]) for name in sorted(entries)}
    _require_filled(layouts, size - _LENGTH - length)
    return metadata, layouts


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns an object of the header, in which no key may stand twice: readers would differ in which one they believe."""
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise Damaged("its header has a key twice")
    return entries


def _layout(name: str, entry: Any) -> Layout:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise Damaged(f"its header does not describe the array {name[:40]!r}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    lists = isinstance(shape, list) and isinstance(offsets, list) and len(offsets) == 2
    if not lists or not all(type(number) is int and 0 <= number < 2**63 for number in (*shape, *offsets)):
        raise Damaged(f"its header gives the array {name[:40]!r} no shape or place")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise Damaged(f"its array {name[:40]!r} has an unknown type")
    kind, width = DTYPES[dtype]
    if offsets[1] - offsets[0] != width * math.prod(shape):
        raise Damaged(f"its array {name[:40]!r} is not of the size that its header says")
    return Layout(kind, tuple(shape), *offsets)


def _require_filled(layouts: dict[str, Layout], length: int) -> None:
    """Refuses arrays that overlap, leave a gap or do not end with the file: a checksum of the arrays would miss bytes."""
    end = 0
    for layout in sorted(layouts.values(), key=lambda layout: (layout.start, layout.stop)):
        if layout.start != end:
            raise Damaged("its arrays overlap or leave a gap")
        end = layout.stop
    if end != length:
        raise Damaged("it is longer than its arrays" if end < length else "it is shorter than its arrays")
