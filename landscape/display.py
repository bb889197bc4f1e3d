"""How values show themselves: one line for a prompt, aligned lines for print, a table for a notebook. Never a dump of a tensor."""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_ARRAYS = (("torch", "Tensor"), ("numpy", "ndarray"))
_LONGEST = 8  # entries of a tuple, list or dictionary that are shown one by one
_LONGEST_TEXT = 200  # characters of one value; a module with many layers is shown by its class


def brief(value: Any) -> str:
    """Returns a dataclass on one line: tensors by shape and type, long collections by their number. Serves as a `__repr__`."""
    parts = [f"{field.name}={_short(getattr(value, field.name))}" for field in dataclasses.fields(value) if field.repr]
    return f"{type(value).__name__}({', '.join(parts)})"


def _is_array(value: Any) -> bool:
    """Returns whether a value is a tensor or an array, without loading the libraries: what has one has loaded its library."""
    kinds = (getattr(sys.modules.get(module), name, None) for module, name in _ARRAYS)
    return any(kind is not None and isinstance(value, kind) for kind in kinds)


def _short(value: Any) -> str:
    if _is_array(value):
        kind = str(value.dtype).removeprefix("torch.")
        return f"{value.item():g}" if value.shape == () else f"<{kind} {' x '.join(map(str, value.shape))}>"
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str) and len(value) > _LONGEST:
        return f"<{len(value)} entries>"
    if isinstance(value, list | tuple):
        inside = ", ".join(map(_short, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' if len(value) == 1 else ''})"
    if callable(value) and hasattr(value, "__qualname__"):
        return f"<function {value.__qualname__}>"
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST_TEXT else f"<{type(value).__name__}>"


def aligned(rows: Sequence[tuple[str, str]]) -> str:
    """Returns name and value in two columns."""
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join(f"{name.ljust(width)}  {value}".rstrip() for name, value in rows)


def table(caption: str, rows: Sequence[Sequence[str]], header: Sequence[str] = ()) -> str:
    """Returns an HTML table, all text escaped, whose first column holds headings; it has no style, so the notebook's applies."""
    head = f"<thead><tr>{_cells('th', header)}</tr></thead>" if header else ""
    body = "".join(f"<tr>{_cells('th', row[:1])}{_cells('td', row[1:])}</tr>" for row in rows)
    return f"<table><caption>{escape(caption)}</caption>{head}<tbody>{body}</tbody></table>"


def _cells(tag: str, texts: Sequence[str]) -> str:
    return "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)
