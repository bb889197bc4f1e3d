"""`python -m figures`: draws every figure from the committed data into figures/build, as PDF and PNG; or those that are named."""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from figures import BUILD
from landscape.plot.theme import save_figure


def names() -> list[str]:
    """Returns the modules that draw a figure."""
    return sorted(path.stem for path in Path(__file__).parent.glob("figure*.py"))


def build(folder: Path, chosen: Sequence[str] = ()) -> list[Path]:
    """Draws the chosen figures, all where none is named, and returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in chosen or names():
        module = import_module(f"figures.{name}")
        figure = module.draw(module.load())
        for suffix in ("pdf", "png"):
            written.append(folder / f"{name}.{suffix}")
            save_figure(figure, written[-1])
    return written


if __name__ == "__main__":
    if unknown := set(sys.argv[1:]) - set(names()):
        sys.exit(f"expected names among {', '.join(names())}, got {', '.join(sorted(unknown))}")
    for path in build(BUILD, sys.argv[1:]):
        print(path)
