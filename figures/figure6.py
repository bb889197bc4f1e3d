"""Fig. 6: plain descent of the ReLU model against the lower bound of DNC and the point of Theorem 7; singular values per factor."""

import json
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, StrMethodFormatter

from figures import DATA
from figures.figure2 import STYLES
from landscape.plot.theme import PAGE_WIDTH, new_figure, style

REFERENCES = {"linear_collapse": ("lower bound: linear DNC", (0, (4, 2))), "theorem_7": ("point of Theorem 7", (0, (1, 1.5)))}


def load() -> dict[str, Any]:
    """Returns what scripts/figure6.py wrote."""
    return json.loads((DATA / "figure6.json").read_text())


def draw(data: dict[str, Any]) -> Figure:
    """Draws the loss curves and, for each scale of the start, the singular values."""
    figure, axes = new_figure(1, 3, width=PAGE_WIDTH, height=2.5)
    with style():
        for run in data["runs"]:
            color, _, line = STYLES[run["feature_scale"]]
            label = f"$H_1$ scale {run['feature_scale']:g}"
            axes[0].plot(run["steps"][1:], run["losses"][1:], color=color, linestyle=line, label=label)
        for name, (words, dashes) in REFERENCES.items():
            axes[0].axhline(data[name], color="0.35", linestyle=dashes, linewidth=0.9, label=words)
        axes[0].set(xscale="log", yscale="log", xlabel="step", ylabel="loss")
        axes[0].yaxis.set_major_locator(FixedLocator([0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 10]))
        axes[0].yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes[0].yaxis.set_minor_formatter(NullFormatter())
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
        for place, run in zip(axes[1:], data["runs"], strict=True):
            _singular_values(place, run)
        top = max(place.get_ylim()[1] for place in axes[1:])
        for place in axes[1:]:
            place.set_ylim(-0.03 * top, top)
    return figure


def _singular_values(axes: Axes, run: dict[str, Any]) -> None:
    color, marker, _ = STYLES[run["feature_scale"]]
    shown = data_width(run)
    for column, values in enumerate(run["singular"].values()):
        places = [column - 0.35 + 0.7 * (i + 0.5) / shown for i in range(shown)]
        axes.plot(places, values[:shown], marker, color=color, markersize=2.2, linestyle="none")
    names = [f"${name}$" for name in run["singular"]]
    title = f"$H_1$ scale {run['feature_scale']:g}"
    axes.set_xticks(range(len(names)), names)
    axes.set(title=title, xlabel=f"factor ({shown} largest of each)", ylabel="singular value")


def data_width(run: dict[str, Any]) -> int:
    """Returns how many singular values every factor has, at most 20: the smallest factor decides."""
    return min(20, *(len(values) for values in run["singular"].values()))
