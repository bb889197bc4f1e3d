"""When it is decided where a start ends: singular values of one that collapses and of one that splits, and how well it is told."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import DATA
from landscape.plot.theme import PAGE_WIDTH, new_figure, style
from landscape.studies.prediction.tables import DecisionRow, WalkRow
from landscape.studies.tables import read_table

TITLES = {"DNC": "ends at DNC", "partition:8,2": "ends at (8,2)"}
FIRST = 1e-4  # of the times that a logarithmic axis shows
SHOWN = ([0.01, 0.1, 1], ["0.01", "0.1", "1"])


@dataclass(frozen=True)
class Tables:
    """The committed tables that the figure needs.

    Attributes:
        walks: Singular values of two starts along the flow.
        decision: How well the starts that miss DNC are told at each time.
    """

    walks: list[WalkRow]
    decision: list[DecisionRow]


def load() -> Tables:
    """Returns the tables that scripts/scores.py wrote."""
    return Tables(read_table(DATA / "walks.csv", WalkRow), read_table(DATA / "decision.csv", DecisionRow))


def draw(data: Tables) -> Figure:
    """Draws the two walks and the areas under the ROC curve."""
    figure, axes = new_figure(1, 3, width=PAGE_WIDTH)
    with style():
        for place, structure in zip(axes, TITLES, strict=False):
            _walk(place, [row for row in data.walks if row.structure == structure], TITLES[structure])
        axes[0].set_ylabel("singular values of the logits")
        _areas(axes[2], data.decision)
    return figure


def _walk(axes: Axes, rows: list[WalkRow], title: str) -> None:
    last = max(row.place for row in rows)
    for place in range(1, last + 1):
        mine = [(row.time, row.value) for row in rows if row.place == place and row.time >= FIRST]
        axes.plot(*zip(*mine, strict=True), color="C1" if place == last else "C0", linewidth=1.2 if place == last else 0.7)
    axes.set(xscale="log", xlabel=r"$\lambda t$", title=title)
    axes.set_xticks(*SHOWN)
    axes.minorticks_off()


def _areas(axes: Axes, rows: list[DecisionRow]) -> None:
    kept = [row for row in rows if row.time > 0]
    areas = np.array([row.area for row in kept])
    errors = [areas - [row.low for row in kept], [row.high for row in kept] - areas]
    axes.errorbar([row.time for row in kept], areas, errors, marker="o", markersize=3, capsize=2, color="C0")
    axes.axhline(0.5, color="0.5", linewidth=0.7, linestyle=":")
    axes.set(xscale="log", xlabel=r"$\lambda t$", title="who misses DNC", ylabel="AUC", ylim=(0.45, 1.02))
    axes.set_xticks(*SHOWN)
    axes.minorticks_off()
