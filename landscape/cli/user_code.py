"""Objects that the user names as FILE.py:NAME. The file is imported, which runs it: only files that the user typed are."""

import importlib.util
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from landscape.errors import InputError


def named(spec: str, option: str) -> Any:
    """Returns what stands under a name in a Python file.

    Args:
        spec: As typed: my_model.py:build.
        option: For the message.

    Raises:
        InputError: If the text is no such name, or the file is missing, raises or has no such name.
    """
    file, separator, name = spec.rpartition(":")
    if not separator or not file.endswith(".py") or not name.isidentifier():
        raise InputError(f"{option}: expected FILE.py:NAME, such as my_model.py:build, got {spec!r}")
    found = getattr(_imported(Path(file).resolve(), option), name, _MISSING)
    if found is _MISSING:
        raise InputError(f"{option}: expected {name} in {file}, got a file without it")
    return found


def function(spec: str, option: str) -> Callable[..., Any]:
    """Returns a function of a Python file.

    Raises:
        InputError: As `named`, or if it cannot be called.
    """
    found = named(spec, option)
    if not callable(found):
        raise InputError(f"{option}: expected {spec} to be a function, got {type(found).__name__}")
    return found


def called(spec: str, option: str) -> Any:
    """Returns what a function of a Python file returns, or the object itself where it is no function.

    Raises:
        InputError: As `named`, or if the function raises.
    """
    found = named(spec, option)
    if isinstance(found, type) or (callable(found) and hasattr(found, "__code__")):
        return _guarded(found, f"{option}: expected {spec} to return without an error")
    return found


_MISSING = object()


@cache
def _imported(path: Path, option: str) -> ModuleType:
    if not path.is_file():
        raise InputError(f"{option}: no such file: {path.name}")
    name = f"landscape_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{option}: expected a Python file, got {path.name}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    sys.path.insert(0, str(path.parent))  # so that it finds its neighbours, as it does when it is run
    loader = spec.loader
    _guarded(lambda: loader.exec_module(module), f"{option}: expected {path.name} to be imported")
    return module


def _guarded(work: Callable[[], Any], expected: str) -> Any:
    """Does what the user's code does, and turns what it raises into one line."""
    try:
        return work()
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        text = " ".join(str(error).split())[:150]
        raise InputError(f"{expected}, got {type(error).__name__}{f': {text}' if text else ''}") from error
