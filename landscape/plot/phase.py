"""Phase diagrams of DNC, drawn on given axes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from landscape.phase import STATES, Cell, PhaseDiagram, Setting, fold_decay, stability_decay
from landscape.plot.theme import below, style

# from nothing to the best: grey, orange, light and dark blue, whose lightness differs too, for grey print; white is undecided
_COLORS = ("#f0f0f0", "#d17f00", "#a9d0ea", "#1f5f99", "#ffffff")
_NAMES = {"decay": r"decay $\lambda$", "depth": "depth $L$", "classes": "classes $K$", "width": "width $d$"}
_FOLD, _STABILITY = {"color": "0.1", "linewidth": 1.1}, {"color": "#8b0000", "linewidth": 1.1, "linestyle": (0, (3, 1.2))}


def draw_phase(axes: Axes, diagram: PhaseDiagram, title: str = "") -> None:
    """Draws the state of DNC in colours and, where one of the settings is the decay, the exact thresholds as lines.

    The fold ends DNC; below alpha = K (L-1)/(L+1) it is a local minimum. Both are drawn as steps, one for each value of the other
    setting. The legend stands below the axes.
    """
    codes = np.array([[STATES.index(cell.state) for cell in row] for row in diagram.cells])
    first, second = diagram.over
    sides = (_edges(first, diagram.horizontal), _edges(second, diagram.vertical))
    with style():
        colors = ListedColormap(_COLORS)
        axes.pcolormesh(*sides, codes, cmap=colors, vmin=-0.5, vmax=len(STATES) - 0.5, rasterized=True)
        lines = _draw_thresholds(axes, diagram, sides)
        for name, axis, scale in ((first, axes.xaxis, axes.set_xscale), (second, axes.yaxis, axes.set_yscale)):
            if name == "decay":
                scale("log")
            else:
                axis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
        axes.set(title=title, xlabel=_NAMES[first], ylabel=_NAMES[second])
        axes.set(xlim=(sides[0][0], sides[0][-1]), ylim=(sides[1][0], sides[1][-1]))
        present = [i for i in range(len(STATES)) if (codes == i).any()]
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
    others: list[Cell] = [row[0] for row in diagram.cells] if not across else list(diagram.cells[0])
    edges = sides[0] if across else sides[1]
    drawn: list[Line2D] = []
    for look, compute, name in (
        (_FOLD, fold_decay, "fold"),
        (_STABILITY, stability_decay, r"$\alpha = K(L-1)/(L+1)$"),
    ):
        decays = [compute(cell.problem) for cell in others]
        values = np.array([np.nan if value is None else value for value in decays]).repeat(2)
        if not np.isnan(values).all():
            places = np.stack([edges[:-1], edges[1:]], axis=1).ravel()
            pair = (places, values) if across else (values, places)
            drawn += axes.plot(*pair, label=name, **look)  # type: ignore[arg-type]
    return drawn
