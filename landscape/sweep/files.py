"""Saved points that people have: which files a grid names, and what each of them is. Imports no torch."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from landscape.archive.experiment import SavedPoint
from landscape.atomic_files import PARTIAL
from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.plain_file import Damaged, file_digest
from landscape.seal import METADATA_KEY
from landscape.tensor_file import TensorFile


@dataclass(frozen=True)
class SavedFile:
    """A file of a saved point.

    Attributes:
        problem: The model that its header names.
        start: The file with the digest of its content.
    """

    problem: Problem
    start: SavedPoint


def saved_files(patterns: tuple[str, ...], folder: Path) -> tuple[SavedFile, ...]:
    """Returns the points that the patterns name, in the order of their names.

    Args:
        patterns: Such as "runs/*.safetensors"; a file that two of them name counts once.
        folder: Where relative patterns begin.

    Raises:
        InputError: If a pattern names no file, or a file is no saved point.
    """
    found: dict[str, Path] = {}
    for pattern in patterns:
        matches = [place for place in _matches(pattern, folder) if PARTIAL not in place.name and not place.is_dir()]
        if not matches:
            raise InputError(f"expected files that match {pattern!r} in {folder.absolute()}, got none")
        found |= {os.path.relpath(place, folder): place for place in matches}
    return tuple(_saved_file(found[name], os.fsencode(name).decode(errors="replace")) for name in sorted(found))


def _matches(pattern: str, folder: Path) -> list[Path]:
    whole = Path(pattern)
    try:
        if whole.is_absolute():
            return list(Path(whole.anchor).glob(str(whole.relative_to(whole.anchor))))
        return list(folder.glob(pattern))
    except (ValueError, IndexError, NotImplementedError, OSError) as error:
        raise InputError(f"expected a pattern such as runs/*.safetensors, got {pattern!r}: {error}") from error


def _saved_file(path: Path, name: str) -> SavedFile:
    """Reads the model in the header of a file; whether the file is whole is for its job to find."""
    try:
        content = file_digest(path)
        with TensorFile.opened(path) as file:
            header = json.loads(file.metadata[METADATA_KEY])
        return SavedFile(Problem.from_dict(header["problem"]), SavedPoint(content, str(path.absolute()), name))
    except Damaged as error:
        raise InputError(f"expected a point saved by landscape, got {path}: {error}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"expected a point saved by landscape, got another file {path}: use landscape import") from error
