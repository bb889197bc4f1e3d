"""The file of a saved point: safetensors with one metadata key, whose JSON header is sealed.

The header names the checksum of the arrays, and the seal is the checksum of the header: a change anywhere in a file is noticed.
Format 1, written before headers were sealed, is read as well, and that is said once.
"""

import json
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from landscape.atomic_files import atomic_write
from landscape.display import brief
from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.plain_file import Damaged, Missing
from landscape.seal import METADATA_KEY, SEAL, canonical_json, seal_of, sealed
from landscape.tensor_file import TensorFile
from landscape.tensor_file import arrays_digest as digest_of_bytes

FORMAT = 2
TRACE_COLUMNS = ("steps", "loss", "gradient_norm")
_UNSEALED = 1
_ENTRIES = {"format", "problem", "evidence", "origin", "trace_columns", "sha256"}  # of a header of format 1
_KINDS = ("float32", "float64")

log = logging.getLogger("landscape")
_said: set[str] = set()


@dataclass(frozen=True)
class PointFile:
    """Content of the file of a point, after its checksums were verified and before its loss is computed again.

    Attributes:
        path: Path of the file that was read.
        header: Header of the file, a JSON object of types that were checked.
        problem: The model that the header names.
        arrays: The factors H_1, W_1, .., W_L and the trace by name, and whatever a record holds beside them.
        seal: Checksum of the header; None for a file of format 1, whose header nothing protects.
    """

    path: Path
    header: dict[str, Any]
    problem: Problem
    arrays: dict[str, Tensor]
    seal: str | None

    __repr__ = brief

    @classmethod
    def read(cls, path: Path) -> "PointFile":
        """Reads a file. Says once in a process, on the log, that a file without a seal was read.

        Raises:
            InputError: If it is missing, no ordinary file, not a point, damaged, or of a newer format.
        """
        try:
            with TensorFile.opened(path) as file:
                header, seal = _opened_header(file.metadata, path)
                problem = Problem.from_dict(header["problem"])
                _require_shapes(file, problem, path)
                arrays = {name: file.tensor(name) for name in file.layouts}
        except Missing as error:
            raise InputError(f"no such file: {path}") from error
        except Damaged as error:
            if path.suffix in (".npz", ".pt", ".pth"):
                raise InputError(f"expected a point saved by landscape, got weights in {path}: use landscape import") from error
            raise InputError(f"expected a point saved by landscape, got a damaged or foreign file {path}: {error}") from error
        if header["sha256"] != tensors_digest(arrays):
            raise InputError(f"the arrays of {path} do not match their checksum: the file is damaged")
        if seal is None:
            _say_once(
                f"landscape: {path} is of format {_UNSEALED}, whose header no checksum protects; its loss and gradient were "
                "compared with its parameters. What is saved now has one. (Said once.)"
            )
        return cls(path, header, problem, arrays, seal)


def write(path: Path, header: dict[str, Any], arrays: dict[str, Tensor]) -> None:
    """Writes header and arrays, sealed, whole or not at all.

    Raises:
        InputError: If the file cannot be written, or a number of the header is not finite.
    """
    try:
        text = sealed(header)
    except ValueError as error:
        raise InputError(f"expected finite numbers to save in {path}, got one that is none ({error})") from error
    with atomic_write(path) as temporary:
        try:
            save_file(arrays, temporary, metadata={METADATA_KEY: text})
        except SafetensorError as error:  # safetensors reports a full disk and a missing folder in its own type
            raise InputError(f"cannot write {path}: {error}") from error


def tensors_digest(arrays: dict[str, Tensor]) -> str:
    """Returns the sha256 of named arrays: names, types, shapes and bytes."""
    return digest_of_bytes(
        (name, str(array.dtype).removeprefix("torch."), tuple(array.shape), array.contiguous().numpy().tobytes())
        for name, array in sorted(arrays.items())
    )


def factor_names(problem: Problem) -> list[str]:
    """Returns H_1, W_1, .., W_L."""
    return ["H_1", *(f"W_{index}" for index in range(1, problem.depth + 1))]


def _say_once(text: str) -> None:
    if not _said:
        _said.add(text)
        log.warning(text)


def _require_shapes(file: TensorFile, problem: Problem, path: Path) -> None:
    """Refuses arrays of other sizes than the problem before they are read, so that no more is read than it has."""
    foreign = [f"{layout.dtype} in {name}" for name, layout in file.layouts.items() if layout.dtype not in _KINDS]
    if foreign:
        raise InputError(f"expected float64 arrays in {path}, got {foreign[0]}: it is damaged")
    names = factor_names(problem)
    missing = {*names, "trace"} - set(file.layouts)
    if missing:
        raise InputError(f"the file {path} has no {', '.join(sorted(missing))}: it is damaged")
    shapes = tuple(file.layouts[name].shape for name in names)
    if shapes != problem.shapes:
        raise InputError(f"expected factors of shapes {problem.shapes} in {path}, got {shapes}")
    trace = file.layouts["trace"].shape
    if len(trace) != 2 or trace[1] != len(TRACE_COLUMNS):
        raise InputError(f"expected a trace of {len(TRACE_COLUMNS)} columns in {path}, got {trace}")


def _opened_header(metadata: dict[str, str], path: Path) -> tuple[dict[str, Any], str | None]:
    """Returns the header and its seal, both checked; no seal for a file of format 1."""
    if METADATA_KEY not in metadata:
        raise InputError(f"expected a point saved by landscape, got other tensors in {path}: use landscape import")
    text = metadata[METADATA_KEY]
    try:
        header = json.loads(text)
        written = canonical_json(header)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the header of {path} is not JSON of finite numbers: the file is damaged") from error
    if not isinstance(header, dict):
        raise InputError(f"expected an object as the header of {path}, got {type(header).__name__}: the file is damaged")
    if header.get("kind") == "network":
        raise InputError(f"expected a point of the model, got the point of a network in {path}: use landscape network inspect")
    if header.get("format") not in (_UNSEALED, FORMAT) or isinstance(header["format"], bool):
        raise InputError(f"expected format {FORMAT} in {path}, got {header.get('format')}: update landscape to read it")
    seal = header.get(SEAL)
    if seal is None and (header["format"] == FORMAT or set(header) != _ENTRIES):
        raise InputError(f"the header of {path} has no seal, or is not that of a point: the file is damaged")
    if seal is not None and (seal != seal_of(header) or text != written):
        raise InputError(f"the header of {path} does not match its seal: the file is damaged")
    _require_entries(header, path)
    return header, seal


def _require_entries(header: dict[str, Any], path: Path) -> None:
    missing = _ENTRIES - set(header)
    if missing:
        raise InputError(f"the header of {path} lacks {', '.join(sorted(missing))}: the file is damaged")
    evidence, origin = _section(header, "evidence", path), _section(header, "origin", path)
    _section(header, "problem", path)
    checks = {
        "an outcome": isinstance(evidence.get("outcome"), str),
        "a number of steps": _is_whole(evidence.get("steps")) and evidence["steps"] >= 0,
        "a finite loss": _is_finite(evidence.get("loss")),
        "a gradient norm": _is_finite(evidence.get("gradient_norm")) and evidence["gradient_norm"] >= 0,
        "a start in words": isinstance(origin.get("start"), str),
        "a list of methods": _are_words(origin.get("methods"), list),
        "a seed": "seed" in origin and (origin["seed"] is None or _is_whole(origin["seed"])),
        "versions": _are_words(origin.get("versions"), dict),
    }
    for expected, met in checks.items():
        if not met:
            raise InputError(f"expected {expected} in the header of {path}, got {evidence} and {origin}: the file is damaged")


def _section(header: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    section = header[name]
    if not isinstance(section, dict):
        raise InputError(f"expected an object as {name} in the header of {path}, got {section!r}: the file is damaged")
    return section


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _are_words(value: Any, kind: type) -> bool:
    words = list(value.values()) if isinstance(value, dict) else value
    return isinstance(value, kind) and all(isinstance(word, str) for word in words)
