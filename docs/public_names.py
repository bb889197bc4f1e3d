"""Makes the stub of the package and the page of public names from the table in landscape/__init__.py; `--write` writes the stub."""

import ast
import sys
from collections.abc import Sequence
from pathlib import Path

import landscape

STUB = Path(landscape.__file__).with_name("__init__.pyi")
GROUPS = {  # first part of a module: the heading on the page, in the order of a reader's questions
    "model": "The model",
    "structures": "Known structures",
    "solver": "Find a critical point",
    "points": "A saved point",
    "degeneracy": "How degenerate it is",
    "proof": "Proofs",
    "catalogue": "All known points of a problem",
    "studies": "Where descent ends, and slices of the loss",
    "sweep": "Many experiments",
    "curvature": "The Hessian of anything",
    "network": "Networks",
    "prediction": "Predictions",
    "plot": "Pictures",
    "errors": "Bad input",
}


def homes() -> dict[str, tuple[str, ...]]:
    """Returns the public names of every module that has some."""
    found: dict[str, tuple[str, ...]] = landscape._HOMES
    return found


def stub() -> str:
    """Returns what editors and type checkers read in place of `landscape/__init__.py`."""
    lines = [f"from .{home} import {name} as {name}" for home in sorted(homes()) for name in _ordered(homes()[home])]
    names = "".join(f"    {name!r},\n" for name in _ordered(landscape.__all__)).replace("'", '"')
    head = '"""Made by docs/public_names.py from the table in __init__.py."""'
    return "\n".join([head, "", *lines, "", "__version__: str", f"__all__ = [\n{names}]", ""])


def page() -> str:
    """Returns the page of the reference that has every public name, grouped by what a reader wants to do."""
    parts = ["# Public names\n\nEverything here is reached by `import landscape as ls`; each is loaded on first use."]
    for group, title in GROUPS.items():
        names = [(home, name) for home, found in homes().items() if home.partition(".")[0] == group for name in found]
        if names:
            rows = [f"| `ls.{name}` | {summary(home, name)} | [landscape.{home}]({group_page(home)}.md) |" for home, name in names]
            parts.append("\n".join([f"## {title}\n", "| name | what it is | defined in |", "|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def group_page(home: str) -> str:
    """Returns the page of the reference that a module stands on."""
    return home.partition(".")[0] if "." in home else "ground"


def summary(home: str, name: str) -> str:
    """Returns the first sentence of the docstring of a public name, read without importing its module."""
    path = STUB.parent / f"{home.replace('.', '/')}.py"
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return (ast.get_docstring(node) or "").partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")
    raise ValueError(f"expected {name} to be defined in {path}, got none: correct the table in landscape/__init__.py")


def _ordered(names: Sequence[str]) -> list[str]:
    """Constants, classes, functions, as ruff sorts imports."""
    return sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        STUB.write_text(stub())
    else:
        print(page())
