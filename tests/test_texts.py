"""The texts that an editor shows: every field and argument that a docstring lists exists, and its text stands alone."""

import dataclasses
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import pytest

import landscape as ls

FEWEST_WORDS = 3
# words that lean on a name beside the text
LEANING = {"its", "it", "of", "by", "with", "from", "to", "there", "likewise", "otherwise", "that", "these", "had"}
SECTION = "{}:\n((?:    .*\n|\n)*)"


def entries(documented: object, title: str) -> dict[str, str] | None:
    """Returns the texts of a section of a docstring by name; None where it has no such section."""
    found = re.search("^" + SECTION.format(title), (inspect.getdoc(documented) or "") + "\n", re.MULTILINE)
    if found is None:
        return None
    texts: dict[str, str] = {}
    for line in found[1].splitlines():
        if begun := re.match(r"    \**(\w+): (.*)", line):
            texts[begun[1]] = begun[2]
        elif line.strip():
            texts[next(reversed(texts))] += " " + line.strip()
    return texts


def faults(texts: dict[str, str]) -> Iterator[str]:
    """Yields texts that are too short, or lean on the name before them."""
    for name, text in texts.items():
        words = text.split()
        if len(words) < FEWEST_WORDS:
            yield f"{name}: {text!r} has fewer than {FEWEST_WORDS} words"
        elif words[0].lower() in LEANING:
            yield f"{name}: {text!r} does not stand alone"


def defined() -> list[tuple[str, Any]]:
    """Returns the classes and functions of all modules with their full names, methods included, private ones left out."""
    found = []
    for module in pkgutil.walk_packages(ls.__path__, "landscape."):
        if module.name.endswith((".preload", ".__main__")):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if getattr(value, "__module__", None) == module.name and not name.startswith("_"):
                found.append((f"{module.name}.{name}", value))
                methods = vars(value).items() if inspect.isclass(value) else ()
                found += [(f"{module.name}.{name}.{each}", getattr(m, "__func__", m)) for each, m in methods if each[0] != "_"]
    assert len(found) > 500
    return found


def test_every_field_has_a_text_that_stands_alone() -> None:
    broken = []
    for place, kind in defined():
        if inspect.isclass(kind) and dataclasses.is_dataclass(kind):
            fields = [field.name for field in dataclasses.fields(kind) if not field.name.startswith("_")]
            own = [name for name in fields if name in vars(kind).get("__annotations__", {})]  # a parent's may stand with the parent
            texts = entries(kind, "Attributes") or {}
            if list(texts) not in (fields, own):
                broken.append(f"{place}: documented {list(texts)}, fields {fields}")
            broken += [f"{place}.{fault}" for fault in faults(texts)]
    assert not broken, "\n".join(broken)


def test_every_argument_that_is_described_exists_and_its_text_stands_alone() -> None:
    broken = []
    for place, function in defined():
        texts = entries(function, "Args") if inspect.isfunction(function) else None
        if texts is not None:
            parameters = [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]
            if list(texts) != parameters:
                broken.append(f"{place}: described {list(texts)}, arguments {parameters}")
            broken += [f"{place}: {fault}" for fault in faults(texts)]
    assert not broken, "\n".join(broken)


@dataclasses.dataclass
class Told:
    """An example.

    Attributes:
        size: Number of rows,
            over two lines.
        seed: Of the draw.
        rank: r.
    """

    size: int
    seed: int
    rank: int


def test_the_reading_of_texts() -> None:
    assert entries(Told, "Attributes") == {"size": "Number of rows, over two lines.", "seed": "Of the draw.", "rank": "r."}
    assert entries(Told, "Args") is None


@pytest.mark.parametrize(
    ("text", "sound"),
    [("Number of rows.", True), ("The rows.", False), ("Of the draw.", False), ("There it is.", False), ("Often it is.", True)],
)
def test_the_sight_of_a_text_that_leans(text: str, sound: bool) -> None:
    assert (not list(faults({"name": text}))) is sound
