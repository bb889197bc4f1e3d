"""Prediction beside observation: the share of DNC against what four explanations say of each setting of Fig. 2."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import DATA
from figures.figure2 import DECAY, WIDTH
from landscape.paper.explanations import Evidence
from landscape.plot.theme import PAGE_WIDTH, new_figure, style
from landscape.studies.tables import read_table

PANELS = {
    "dimension_ratio": "dimension ratio $R(d)$",
    "log_volume": r"$\Delta$ log volume",
    "free_energy_1e5": r"$-\Delta F/T$ at $T=10^{-5}$",
    "alignment": "mean alignment of the starts",
}
SWEEPS = {  # colour, marker, filled for the scale 1 of H_1
    ("width", 1.0): ("C0", "o", True),
    ("decay", 1.0): ("C1", "s", True),
    ("width", 0.1): ("C0", "o", False),
    ("decay", 0.1): ("C1", "s", False),
}


def load() -> list[Evidence]:
    """Returns the table that scripts/explanations.py wrote."""
    return read_table(DATA / "explanations.csv", Evidence)


def draw(data: list[Evidence]) -> Figure:
    """Draws one panel per explanation."""
    figure, axes = new_figure(2, 2, width=PAGE_WIDTH)
    with style():
        for panel, (name, words) in zip(axes, PANELS.items(), strict=True):
            _panel(panel, data, name)
            panel.set(xlabel=words, ylim=(-0.05, 1.05))
        axes[0].set_ylabel("share of DNC")
        axes[2].set_ylabel("share of DNC")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return figure


def _panel(axes: Axes, data: list[Evidence], name: str) -> None:
    for (sweep, scale), (color, marker, filled) in SWEEPS.items():
        lines = [line for line in data if line.feature_scale == scale and on_sweep(line, sweep)]
        places, shares = [getattr(line, name) for line in lines], [line.found / line.seeds for line in lines]
        label = f"{sweep}s, $H_1$ scale {scale:g}"
        axes.plot(places, shares, marker, color=color, fillstyle="full" if filled else "none", markersize=4, label=label)


def on_sweep(line: Evidence, name: str) -> bool:
    """Whether a setting belongs to the sweep along `name`, where the other parameter stands still."""
    return line.decay == DECAY if name == "width" else line.width == WIDTH
