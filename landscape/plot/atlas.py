"""The atlas as a picture: loss against rank, one marker for each kind of critical point."""

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator
from matplotlib.transforms import Bbox

from landscape.catalogue.row import AtlasRow
from landscape.catalogue.table import Atlas
from landscape.plot.theme import BLUE, INK, axes_or_new, below, figure_of, style
from landscape.structures.kinds import Unnamed
from landscape.structures.names import in_words

_SADDLES = "YlOrBr"
_LARGE = 4.0  # highest over lowest loss from which the axis is logarithmic
_AREAS = (12.0, 70.0)  # points squared, for one copy and for the most
_APART, _ASIDE = 0.07, 0.19  # markers of one rank closer than this part of the height stand side by side, so far apart in rank
_STEPS = 16  # lines of letters, up and down, that a name is moved by to find room


def draw_atlas(axes: Axes, entries: Sequence[AtlasRow], title: str = "") -> None:
    """Draws every point at its rank and loss: area by the logarithm of its copies, colour by its index.

    Minima are blue discs with their names; saddles are triangles, darker with the index; what is undecided is hollow. The zero
    point is left out, for its loss is far above all others, and said in a corner. Points of one rank and nearly one loss stand
    side by side, the lowest at the rank itself.
    """
    shown = [entry for entry in entries if entry.rank] or list(entries)
    most = max((_log_copies(entry) for entry in shown), default=0.0)
    losses = [entry.loss for entry in shown]
    low, high = min(losses), max(losses)
    with style():
        axes.set(title=title, xlabel="rank", ylabel="loss", yscale="log" if high > _LARGE * low else "linear")
        axes.xaxis.set_major_locator(MaxNLocator(12, integer=True, min_n_ticks=1))
        to_height = math.log if high > _LARGE * low else float
        span = to_height(high) - to_height(low) or 1.0
        heights = [(to_height(entry.loss) - to_height(low)) / span for entry in shown]
        places = _side_by_side([entry.rank for entry in shown], heights)
        areas = [_AREAS[0] + (_AREAS[1] - _AREAS[0]) * _log_copies(entry) / (most or 1.0) for entry in shown]
        _draw_saddles(axes, shown, places, areas)
        for entry, place, area in zip(shown, places, areas, strict=True):
            if entry.index is None:
                axes.scatter(place, entry.loss, area, marker="s", facecolors="none", edgecolors=INK, linewidths=0.8)
            elif entry.index == 0:
                axes.scatter(place, entry.loss, area, color=BLUE, edgecolors="white", linewidths=0.4, zorder=3)
        axes.margins(x=0.1, y=0.12)
        _legend(axes, shown, most)
        _name_minima(axes, shown, places, areas)
        hidden = [entry for entry in entries if not entry.rank and entry not in shown]
        if hidden:
            note = f"zero point at {hidden[0].loss:.4g} not shown"
            axes.text(0.99, 0.99, note, transform=axes.transAxes, ha="right", va="top", fontsize="small", color=INK)


def _log_copies(entry: AtlasRow) -> float:
    return math.log10(entry.copies) if entry.copies else 0.0


def _side_by_side(ranks: Sequence[int], heights: Sequence[float]) -> list[float]:
    """Moves points of one rank whose heights nearly agree a little to the right of each other."""
    places: list[float] = []
    for i, (rank, height) in enumerate(zip(ranks, heights, strict=True)):
        taken = [places[j] for j in range(i) if ranks[j] == rank and abs(heights[j] - height) < _APART]
        place = float(rank)
        while any(abs(place - other) < 0.9 * _ASIDE for other in taken):
            place += _ASIDE
        places.append(place)
    return places


def _draw_saddles(axes: Axes, shown: Sequence[AtlasRow], places: Sequence[float], areas: Sequence[float]) -> None:
    saddles = [(p, e.loss, a, e.index) for p, e, a in zip(places, shown, areas, strict=True) if e.index]
    if not saddles:
        return
    x, y, sizes, indices = (np.array(part, dtype=float) for part in zip(*saddles, strict=True))
    scale = LogNorm(1, max(10, float(indices.max())))
    look: dict[str, Any] = {"marker": "^", "cmap": _SADDLES, "norm": scale, "edgecolors": INK, "linewidths": 0.4}
    marks = axes.scatter(x, y, sizes, indices, **look)
    bar = axes.figure.colorbar(marks, ax=axes, shrink=0.9, pad=0.02, label="index of the saddles")
    bar.outline.set_visible(False)
    bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _name_minima(axes: Axes, shown: Sequence[AtlasRow], places: Sequence[float], areas: Sequence[float]) -> None:
    """Writes the names of the minima below or above them, where nothing stands or at least no other name."""
    figure_of(axes).draw_without_rendering()
    marks = [_extent(axes, place, entry.loss, area) for entry, place, area in zip(shown, places, areas, strict=True)]
    note: dict[str, Any] = {"fontsize": "small", "color": INK, "textcoords": "offset points", "zorder": 4}
    note["bbox"] = {"color": "white", "pad": 0.4}  # over the lines of others
    taken: list[Bbox] = []
    named = [
        part for part in zip(shown, places, areas, strict=True) if part[0].index == 0 and not isinstance(part[0].kind, Unnamed)
    ]
    for entry, place, area in sorted(named, key=lambda part: part[1]):
        reach = math.sqrt(area) / 2 + 2
        spots = [(0, -reach, "center", "top"), (0, reach, "center", "bottom")]
        spots += [
            (0, sign * (reach + 9 * step), "center", "top" if sign < 0 else "bottom")
            for step in range(1, _STEPS)
            for sign in (-1, 1)
        ]
        for others, (x, y, across, upright) in product((marks, []), spots):
            text = axes.annotate(in_words(entry.kind), (place, entry.loss), (x, y), ha=across, va=upright, **note)
            box = text.get_window_extent()
            shift = min(0.0, axes.bbox.x1 - box.x1) + max(0.0, axes.bbox.x0 + 2 - box.x0)
            box = box.translated(shift, 0.0)
            if axes.bbox.y0 < box.y0 and box.y1 < axes.bbox.y1 and not any(box.overlaps(other) for other in [*taken, *others]):
                break
            text.remove()
        else:
            continue
        text.xyann = (72 * shift / figure_of(axes).dpi, y)
        if abs(y) > reach:  # a line leads from a name that stands apart
            line: dict[str, Any] = {"arrowstyle": "-", "color": "0.6", "linewidth": 0.5, "shrinkA": 0.0, "shrinkB": reach - 2}
            axes.annotate("", (place, entry.loss), text.xyann, textcoords="offset points", arrowprops=line, zorder=1)
        taken.append(box)


def _extent(axes: Axes, place: float, loss: float, area: float) -> Bbox:
    """Returns the box of a marker, in dots."""
    x, y = axes.transData.transform((place, loss))
    reach = math.sqrt(area) / 2 * figure_of(axes).dpi / 72
    return Bbox.from_extents(x - reach, y - reach, x + reach, y + reach)


def _legend(axes: Axes, shown: Sequence[AtlasRow], most: float) -> None:
    """Names the kinds of points at the left below the axes, and the sizes of the markers at the right."""
    kinds, looks = [], dict[str, Any](frameon=False, fontsize="small", handletextpad=0.3, columnspacing=1.2, ncols=3)
    if any(entry.index == 0 for entry in shown):
        kinds.append(_key("o", BLUE, "white", 30.0, "minimum"))
    if any(entry.index for entry in shown):
        kinds.append(_key("^", "#e8a33d", INK, 30.0, "saddle"))
    if any(entry.index is None for entry in shown):
        kinds.append(_key("s", "none", INK, 30.0, "undecided"))
    first = axes.legend(handles=kinds, **below(axes, 0.4), **looks)
    if most <= 0:
        return
    axes.add_artist(first)
    sizes = [_key("o", "0.8", "0.5", _AREAS[0], "one point"), _key("o", "0.8", "0.5", _AREAS[1], f"{_copies(most)} by relabelling")]
    axes.legend(handles=sizes, **below(axes, 0.62), **looks)


def _key(marker: str, face: Any, edge: str, area: float, label: str) -> Line2D:
    look: dict[str, Any] = {"markerfacecolor": face, "markeredgecolor": edge, "markeredgewidth": 0.5, "markersize": math.sqrt(area)}
    return Line2D([], [], marker=marker, linestyle="", label=label, **look)


def _copies(log: float) -> str:
    return f"{10**log:.0f}" if log < 7 else f"$10^{{{log:.0f}}}$"


def plot_atlas(atlas: Atlas, ax: Axes | None = None, title: str = "") -> Axes:
    """Draws an atlas, loss against rank, as `draw_atlas` does, on given axes or on those of a new figure.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> axes = ls.plot_atlas(ls.atlas(problem))
        >>> axes.get_xlabel(), axes.get_ylabel()
        ('rank', 'loss')
    """
    axes = axes_or_new(ax, 2.7)
    draw_atlas(axes, atlas.entries, title)
    return axes
