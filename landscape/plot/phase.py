"""Phase diagrams of DNC, drawn on given axes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from landscape.catalogue.phase_diagram import STATES, DncState, PhaseCell, PhaseDiagram, Setting, cell, varied
from landscape.plot.theme import axes_or_new, below, style
from landscape.structures.dnc import fold_decay, stability_decay

# from nothing to the best: grey, orange, light and dark blue, whose lightness differs too, for grey print; white is undecided
_COLORS = ("#f0f0f0", "#d17f00", "#a9d0ea", "#1f5f99", "#ffffff")
_NAMES = {"decay": r"decay $\lambda$", "depth": "depth $L$", "classes": "classes $K$", "width": "width $d$"}
_FOLD, _STABILITY = {"color": "0.1", "linewidth": 1.1}, {"color": "#8b0000", "linewidth": 1.1, "linestyle": (0, (3, 1.2))}


@dataclass(frozen=True)
class Piece:
    """A rectangle of a phase diagram in which no threshold runs.

    Attributes:
        left: Lower end in the first setting.
        right: Upper end in the first setting.
        bottom: Lower end in the second setting.
        top: Upper end in the second setting.
        state: What DNC is there.
    """

    left: float
    right: float
    bottom: float
    top: float
    state: DncState


def pieces(diagram: PhaseDiagram) -> list[Piece]:
    """Returns the cells of a diagram, those that a threshold crosses cut there; each part has the state of its own middle."""
    sides = (_edges(diagram.over[0], diagram.horizontal), _edges(diagram.over[1], diagram.vertical))
    found: list[Piece] = []
    for (bottom, top), row in zip(pairwise(sides[1].tolist()), diagram.cells, strict=True):
        for (left, right), one in zip(pairwise(sides[0].tolist()), row, strict=True):
            match diagram.over:
                case ("decay", _):
                    found += [Piece(low, high, bottom, top, state) for low, high, state in _cut(one, left, right)]
                case (_, "decay"):
                    found += [Piece(left, right, low, high, state) for low, high, state in _cut(one, bottom, top)]
                case _:
                    found.append(Piece(left, right, bottom, top, one.state))
    return found


def _cut(one: PhaseCell, low: float, high: float) -> list[tuple[float, float, DncState]]:
    thresholds = (fold_decay(one.problem), stability_decay(one.problem))
    ends = [low, *sorted(value for value in thresholds if value is not None and low < value < high), high]
    parts = []
    for start, end in pairwise(ends):
        inside = start <= one.problem.mean_decay < end
        state = one.state if inside else cell(varied(one.problem, "decay", math.sqrt(start * end))).state
        parts.append((start, end, state))
    return parts


def draw_phase(axes: Axes, diagram: PhaseDiagram, title: str = "") -> None:
    """Draws the state of DNC in colours and, where one of the settings is the decay, the exact thresholds as lines.

    The fold ends DNC; below alpha = K (L-1)/(L+1) it is a local minimum. Both are drawn as steps, one for each value of the other
    setting, and the colours change exactly there. The legend stands below the axes.
    """
    drawn = pieces(diagram)
    first, second = diagram.over
    sides = (_edges(first, diagram.horizontal), _edges(second, diagram.vertical))
    with style():
        corners = [[(p.left, p.bottom), (p.right, p.bottom), (p.right, p.top), (p.left, p.top)] for p in drawn]
        colors = [_COLORS[STATES.index(piece.state)] for piece in drawn]
        look: dict[str, Any] = {"facecolors": colors, "edgecolors": "none", "antialiaseds": False}
        axes.add_collection(PolyCollection(corners, **look), autolim=False)
        lines = _draw_thresholds(axes, diagram, sides)
        for name, axis, scale in ((first, axes.xaxis, axes.set_xscale), (second, axes.yaxis, axes.set_yscale)):
            if name == "decay":
                scale("log")
            else:
                axis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
        axes.set(title=title, xlabel=_NAMES[first], ylabel=_NAMES[second])
        axes.set(xlim=(sides[0][0], sides[0][-1]), ylim=(sides[1][0], sides[1][-1]))
        present = [i for i, state in enumerate(STATES) if any(piece.state == state for piece in drawn)]
        handles = [Patch(facecolor=_COLORS[i], edgecolor="0.6", linewidth=0.5, label=_label(i)) for i in present]
        looks: dict[str, Any] = {"ncols": 2, "frameon": False, "fontsize": "small", "handlelength": 1.6, "columnspacing": 1.2}
        axes.legend(handles=[*handles, *lines], **below(axes, 0.42), **looks)


def _label(state: int) -> str:
    match STATES[state]:
        case "no DNC point" | "undecided":
            return STATES[state]
        case "best known":
            return "DNC the best known"
        case kind:
            return f"DNC a {kind}"


def _edges(setting: Setting, values: Sequence[float]) -> np.ndarray:
    """Returns where the cells meet: half-way, for decays on the logarithm; whole numbers reach half a unit to each side."""
    places = np.log(values) if setting == "decay" else np.asarray(values, dtype=float)
    half = np.diff(places) / 2
    first, last = (half[0], half[-1]) if len(half) else (0.5, 0.5)
    if setting != "decay":
        first, last = min(first, 0.5), min(last, 0.5)
    edges = np.concatenate([[places[0] - first], places[:-1] + half, [places[-1] + last]])
    return np.exp(edges) if setting == "decay" else edges


def _draw_thresholds(axes: Axes, diagram: PhaseDiagram, sides: tuple[np.ndarray, np.ndarray]) -> list[Line2D]:
    if "decay" not in diagram.over:
        return []
    across = diagram.over.index("decay") == 1  # whether the decay is the vertical axis
    others: list[PhaseCell] = [row[0] for row in diagram.cells] if not across else list(diagram.cells[0])
    edges = sides[0] if across else sides[1]
    drawn: list[Line2D] = []
    for look, compute, name in (
        (_FOLD, fold_decay, "fold"),
        (_STABILITY, stability_decay, "stability threshold"),
    ):
        decays = [compute(cell.problem) for cell in others]
        values = np.array([np.nan if value is None else value for value in decays]).repeat(2)
        if not np.isnan(values).all():
            places = np.stack([edges[:-1], edges[1:]], axis=1).ravel()
            pair = (places, values) if across else (values, places)
            drawn += axes.plot(*pair, label=name, **look)  # type: ignore[arg-type]
    return drawn


def plot_phase(diagram: PhaseDiagram, ax: Axes | None = None, title: str = "") -> Axes:
    """Draws a phase diagram, as `draw_phase` does, on given axes or on those of a new figure.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> diagram = ls.phase_diagram(problem, ("decay", "depth"), (1e-3, 1e-2, 0.1), (1.0, 2.0))
        >>> ls.plot_phase(diagram).get_ylabel()
        'depth $L$'
    """
    axes = axes_or_new(ax, 2.7)
    draw_phase(axes, diagram, title)
    return axes
