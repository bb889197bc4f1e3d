"""Fig. 5: the ranks of the end points, against the width and against the decay; the area of a disc is the share of starts."""

from collections import defaultdict

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import DATA
from figures.figure2 import STYLES, on_panel
from landscape.plot.theme import PAGE_WIDTH, new_figure, style
from landscape.studies.tables import PrevalenceRow, read_table

KEYS = (1.0, 0.5, 0.1)  # shares in the legend
LARGEST = 36.0  # points^2 of a disc that holds all starts


def load() -> list[PrevalenceRow]:
    """Returns the table that scripts/figure5.py wrote."""
    return read_table(DATA / "figure5.csv", PrevalenceRow)


def draw(data: list[PrevalenceRow]) -> Figure:
    """Draws both panels; the two initialisation scales stand side by side and lines join their mean ranks."""
    figure, axes = new_figure(1, 2, width=PAGE_WIDTH)
    with style():
        _panel(axes[0], data, "width")
        _panel(axes[1], data, "decay")
        axes[0].set(xlabel="width $d$", ylabel="rank")
        axes[1].set(xlabel=r"decay $\lambda$")
        axes[0].legend(frameon=False, title="$H_1$ scale", loc="upper left")
        discs = [axes[1].scatter([], [], LARGEST * share, color="0.6", linewidths=0, label=f"{share:.0%}") for share in KEYS]
        discs[0].set_label(f"{KEYS[0]:.0%} of the starts")
        axes[1].legend(handles=discs, frameon=False, loc="lower left", ncols=len(KEYS), handletextpad=0.1, columnspacing=1.0)
    return figure


def _panel(axes: Axes, data: list[PrevalenceRow], name: str) -> None:
    for side, (scale, (color, _, line)) in zip((-1, 1), STYLES.items(), strict=True):
        rows = [row for row in data if row.feature_scale == scale and on_panel(row, name)]
        seeds = {getattr(row, name): row.seeds for row in rows}
        shares: defaultdict[tuple[float, int], float] = defaultdict(float)
        for row in rows:
            shares[getattr(row, name), row.rank] += row.count / row.seeds
        beside = {place: place * 1.07**side if name == "decay" else place + 2.5 * side for place in seeds}
        present = [key for key, share in shares.items() if share]
        sizes = [LARGEST * shares[key] for key in present]
        axes.scatter([beside[place] for place, _ in present], [rank for _, rank in present], sizes, color=color, linewidths=0)
        means = [sum(rank * share for (at, rank), share in shares.items() if at == place) for place in sorted(seeds)]
        axes.plot([beside[place] for place in sorted(seeds)], means, color=color, linestyle=line, linewidth=0.9, label=f"{scale:g}")
    axes.set_ylim(3.3, 9.5)
    if name == "decay":
        axes.set_xscale("log", base=2)
