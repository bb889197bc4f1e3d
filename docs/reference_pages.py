"""Writes the pages of the reference: the public names first, then one page for each folder of the floor plan, in its order."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import floor_plan
import public_names

INDEX = """# Reference

The public names, which are what `import landscape as ls` promises; then all modules from their docstrings, one page for each
folder, from the ground up, for those who change the code. Shapes stand in the signatures in jaxtyping's notation:
`Float[Tensor, "p k"]` is a matrix of p rows and k columns. Bad input raises `InputError`, everywhere.

"""


def groups() -> dict[str, tuple[str, list[str]]]:
    """Returns page to title and modules; all modules of the package but the command line's are on one of them."""
    pages = {folder: (floor_plan.summary(folder), [folder, *floor_plan.modules(folder)]) for folder in floor_plan.folders()}
    del pages["cli"]
    return {"ground": ("The ground: errors, numbers, files, and how values show themselves", floor_plan.modules("")), **pages}


def write(folder: Path) -> None:
    """Writes the pages into a folder, which is made."""
    folder.mkdir(exist_ok=True)
    pages = "\n".join(["public", *groups()])
    (folder / "public.md").write_text(public_names.page())
    (folder / "index.md").write_text(f"{INDEX}```{{toctree}}\n:maxdepth: 1\n\n{pages}\n```\n")
    for page, (title, names) in groups().items():
        parts = [f"## landscape.{name}\n\n```{{eval-rst}}\n.. automodule:: landscape.{name}\n```\n" for name in names]
        (folder / f"{page}.md").write_text("\n".join([f"# {title}\n", *parts]))
