"""The paper's figures, one module each with `draw(data) -> Figure`, drawn from the small data beside them."""

from pathlib import Path

DATA = Path(__file__).resolve().parent / "data"
BUILD = Path(__file__).resolve().parent / "build"
