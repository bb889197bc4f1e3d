"""Makes the floor plan from the layers of setup.cfg and the first lines of docstrings; `--write` puts it into docs/architecture.md.

The lists of layers are the one owner of the order. The pages of the reference follow them too (`reference_pages.py`).
"""

import ast
import configparser
import re
import sys
from pathlib import Path

import landscape

ROOT = Path(landscape.__file__).resolve().parent.parent  # pages may be copied before they are built
PAGE = Path(__file__).resolve().with_name("architecture.md")
BEGIN, END = "<!-- made by docs/floor_plan.py from setup.cfg -->", "<!-- end of what is made -->"


def layers() -> dict[str, list[list[str]]]:
    """Returns the layers inside the package ("landscape") and inside each folder ("landscape.model"), from the top down."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    found = {}
    for name, section in config.items():
        if name.startswith("importlinter:contract:") and section.get("type") == "layers" and section.get("exhaustive") == "true":
            rows = [line for line in section["layers"].splitlines() if line.strip()]
            found[section["containers"].strip()] = [re.findall(r"\w+", line) for line in rows]
    return found


def folders() -> list[str]:
    """Returns the folders directly below the package, from the ground up, as a reader meets them; `cli` is the last."""
    return [name for row in reversed(layers()["landscape"]) for name in row if (ROOT / "landscape" / name).is_dir()]


def modules(folder: str) -> list[str]:
    """Returns the dotted names of all modules of a folder, those that import nothing of it first; "" stands for the flat ones."""
    if not folder:
        return [name for row in reversed(layers()["landscape"]) for name in row if (ROOT / "landscape" / f"{name}.py").is_file()]
    plan = layers()
    if f"landscape.{folder}" not in plan:
        return sorted(f"{folder}.{path.stem}" for path in (ROOT / "landscape" / folder).glob("*.py") if path.stem != "__init__")
    found: list[str] = []
    for name in (name for row in reversed(plan[f"landscape.{folder}"]) for name in row):
        full = f"{folder}.{name}"
        found += [full] if place(full).suffix == ".py" else [full, *modules(full)]
    return found


def place(name: str) -> Path:
    """Returns the file of a module, or the folder of a package."""
    path = ROOT / "landscape" / name.replace(".", "/")
    return path if path.is_dir() else path.with_suffix(".py")


def summary(name: str) -> str:
    """Returns the first line of the docstring of a module or folder."""
    path = place(name)
    text = (path / "__init__.py" if path.is_dir() else path).read_text()
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]


def table() -> str:
    """Returns the floor plan in Markdown: the floors, then every folder with its modules."""
    rows = ["| floor | folders |", "|---|---|"]
    for number, row in enumerate(reversed(layers()["landscape"])):
        names = [f"`{name}/`" if place(name).is_dir() else f"`{name}.py`" for name in row]
        rows.append(f"| {number} | {', '.join(names)} |")
    parts = ["\n".join(rows)]
    for folder in ["", *folders()]:
        title = f"### {folder}/\n\n{summary(folder)}" if folder else "### The ground"
        lines = ["| module | what it answers |", "|---|---|"]
        for name in modules(folder):
            shown = name.removeprefix(f"{folder}.").replace(".", "/") + ("/" if place(name).is_dir() else ".py")
            lines.append(f"| `{shown}` | {summary(name).replace('|', chr(92) + '|')} |")
        parts.append(f"{title}\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


def filled(text: str) -> str:
    """Returns the page with the floor plan as setup.cfg has it."""
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n\n{table()}\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(filled(PAGE.read_text()))
    else:
        print(table())
