"""The one look of all pictures: sizes of a two-column paper, colours that the colour-blind can tell apart, fonts that print.

The colours are seaborn's "colorblind" palette. They differ in lightness too, and a second sign (marker, dash, hatch or name) goes
with each, so that grey print keeps the meaning. No pyplot figure is made: no display and no global state is touched.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import seaborn
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.rcsetup import cycler
from matplotlib.ticker import FixedLocator
from matplotlib.transforms import ScaledTranslation

from landscape.atomic_files import atomic_write
from landscape.errors import InputError
from landscape.plot.dark import darken

COLUMN_WIDTH, PAGE_WIDTH = 3.25, 6.75  # inches: one column and the whole width of a two-column paper
BLUE, ORANGE, GREEN, RED, PURPLE = seaborn.color_palette("colorblind", 5)
INK, DARK_ORANGE = "0.25", "#9a5f00"  # for letters; the orange of the markers is too light for them
_MARGIN = 0.05  # inches that stay free at the right edge, where an axis has no label beyond its end
_METADATA = {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}  # no dates


StyleName = Literal["column", "page", "slide", "dark"]


@dataclass(frozen=True)
class Medium:
    """Where a picture is shown, and how large it is there. Letters keep their size in points.

    Attributes:
        width: Inches of the whole picture.
        height: Inches of the whole picture; 0 takes what its rows need.
        dark: Whether the ground is dark.
    """

    width: float
    height: float = 0.0
    dark: bool = False


# A slide is drawn small and shown large, so that its letters can be read from the last row: 1600 x 900 dots, the shape 16:9.
MEDIA: dict[StyleName, Medium] = {
    "column": Medium(COLUMN_WIDTH),
    "page": Medium(PAGE_WIDTH),
    "slide": Medium(16 / 3, 3.0),
    "dark": Medium(16 / 3, 3.0, dark=True),
}


def below(axes: Axes, inches: float) -> dict[str, Any]:
    """Returns where a legend stands that is centred under the axes, by a distance that does not depend on their height."""
    down = axes.transAxes + ScaledTranslation(0, -inches, axes.figure.dpi_scale_trans)
    return {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "bbox_transform": down}


@contextmanager
def style() -> Iterator[None]:
    """The look of every picture, for as long as the context lasts."""
    settings = {
        **seaborn.plotting_context("paper", font_scale=0.85),
        **seaborn.axes_style("ticks", {"axes.edgecolor": INK, "axes.spines.right": False, "axes.spines.top": False}),
        "axes.linewidth": 0.7,
        "axes.prop_cycle": cycler(color=[BLUE, ORANGE, GREEN, RED, PURPLE]),
        "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same letters on every machine
        "pdf.fonttype": 42,  # publishers refuse Type 3
        "savefig.dpi": 300,
        "svg.hashsalt": "landscape",  # without it the ids in the file are random
    }
    for axis in ("xtick", "ytick"):
        settings |= {f"{axis}.major.size": 3.0, f"{axis}.major.width": 0.7, f"{axis}.minor.size": 1.8, f"{axis}.minor.width": 0.5}
    with rc_context(settings):
        yield


def new_figure(
    rows: int = 1, columns: int = 1, width: float = COLUMN_WIDTH, height: float = 0.0, shares: Sequence[float] | None = None
) -> tuple[Figure, list[Axes]]:
    """Returns a figure and its axes, row by row, in the house style; sizes in inches, a height of 0 means 2.2 per row.

    The columns are equally wide unless `shares` gives the parts of the width that they get.

    Example:
        >>> import landscape as ls
        >>> figure, axes = ls.new_figure(columns=2, width=6.75)
        >>> len(axes), figure.get_size_inches().tolist()
        (2, [6.75, 2.2])
    """
    with style():
        layout = ConstrainedLayoutEngine(rect=(0, 0, 1 - _MARGIN / width, 1))
        figure = Figure(figsize=(width, height or 2.2 * rows), layout=layout)
        return figure, list(figure.subplots(rows, columns, squeeze=False, width_ratios=shares).flat)


def axes_or_new(ax: Axes | None, height: float = 0.0) -> Axes:
    """Returns the axes that were given, or those of a new figure one column wide; a height of 0 means 2.2 inches."""
    return new_figure(height=height)[1][0] if ax is None else ax


def figure_of(axes: Axes) -> Figure:
    """Returns the whole figure that axes stand in, also where they stand in a part of it."""
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Figure)
    return figure


def save_figure(figure: Figure, path: Path | str, dark: bool = False) -> None:
    """Writes PNG, PDF or SVG by the suffix of the name, whole or not at all; the same picture gives the same bytes.

    For a dark ground the figure itself is recoloured, once: draw it anew for paper.

    Example:
        >>> import landscape as ls
        >>> import tempfile
        >>> from pathlib import Path
        >>> figure, axes = ls.new_figure()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     ls.save_figure(figure, f"{folder}/empty.svg")
        ...     Path(folder, "empty.svg").read_text()[:5]
        '<?xml'

    Raises:
        InputError: If the suffix is another one or the file cannot be written.
    """
    path = Path(path)
    kind = path.suffix.lower().removeprefix(".")
    if kind not in _METADATA:
        raise InputError(f"expected a picture named .png, .pdf or .svg, got {path.name}")
    with atomic_write(path) as temporary, style():
        if dark:
            darken(figure)
        figure.savefig(temporary, format=kind, metadata=_METADATA[kind])


def symmetric_log(axes: Axes, which: Literal["x", "y"], values: Sequence[float], room_below: float = 0.0) -> None:
    """Makes an axis logarithmic on both sides of a linear stretch that lies below the smallest of the non-zero values.

    Only the sides in use are shown, the negative one on at least `room_below` inches. Labels that would crowd are left out.
    """
    sizes = list(map(abs, values)) or [1.0]
    low, high = 0.5 * min(sizes), 1.6 * max(sizes)
    if math.floor(math.log10(high)) < math.log10(low):
        high = 1.05 * 10.0 ** math.ceil(math.log10(high))  # at least one power of ten must be in sight
    axis, set_scale = (axes.xaxis, axes.set_xscale) if which == "x" else (axes.yaxis, axes.set_yscale)
    inches = axes.bbox.size["xy".index(which)] / axes.figure.dpi  # before the layout makes room for the labels
    set_scale("symlog", linthresh=low, linscale=0.9 * max(0.35, 0.12 * math.log10(high / low)))
    to_axis = axis.get_transform()
    outer = [high / max(sizes) * max(sign * value for value in [0.0, *values]) or 0.3 * low for sign in (-1, 1)]
    start, end = to_axis.transform(np.array([-outer[0], outer[1]]))
    start = min(start, -end * room_below / max(inches - room_below, 0.5 * inches))
    limits = to_axis.inverted().transform(np.array([start, end])).tolist()
    axes.set(**{f"{which}lim": limits})
    powers = range(math.floor(math.log10(high)), math.floor(math.log10(low)) - 1, -1)
    shown, apart = [0.0], (0.42 if which == "x" else 0.2) * (end - start) / inches
    for value in (sign * 10.0**power for sign in (1, -1) for power in powers):
        gaps = np.abs(to_axis.transform(np.array(shown)) - to_axis.transform(np.array([value])))
        gaps[0] /= 0.65  # the label of zero is short
        if low <= abs(value) and limits[0] <= value <= limits[1] and gaps.min() >= apart:
            shown.append(value)
    between = [sign * step * 10.0**power for sign in (1, -1) for power in powers for step in range(2, 10) if high < 3e3 * low]
    axis.set_major_locator(FixedLocator(sorted(shown)))
    axis.set_minor_locator(FixedLocator([value for value in between if low < abs(value)]))
