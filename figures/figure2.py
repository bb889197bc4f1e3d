"""Fig. 2: the share of starts that end at DNC, against the width and against the decay, with 95 % intervals."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import DATA
from landscape.plot.theme import PAGE_WIDTH, new_figure, style
from landscape.studies.tables import PrevalenceRow, read_table

WIDTH, DECAY = 70, 2.0**-10  # where the two panels cross
STYLES = {1.0: ("C0", "o", "-"), 0.1: ("C1", "s", "--")}


def load() -> list[PrevalenceRow]:
    """Returns the table that scripts/figure2.py wrote."""
    return read_table(DATA / "figure2.csv", PrevalenceRow)


def draw(data: list[PrevalenceRow]) -> Figure:
    """Draws both panels."""
    figure, axes = new_figure(1, 2, width=PAGE_WIDTH)
    with style():
        _panel(axes[0], data, "width")
        _panel(axes[1], data, "decay")
        axes[0].set(xlabel="width $d$", ylabel="share of DNC")
        axes[1].set(xlabel=r"decay $\lambda$")
        axes[0].legend(frameon=False, title="$H_1$ scale")
    return figure


def _panel(axes: Axes, data: list[PrevalenceRow], name: str) -> None:
    for scale, (color, marker, line) in STYLES.items():
        rows = [row for row in data if row.structure == "DNC" and row.feature_scale == scale and on_panel(row, name)]
        rows.sort(key=lambda row: getattr(row, name))
        shares = [row.count / row.seeds for row in rows]
        errors = [
            [max(0.0, share - row.low) for share, row in zip(shares, rows, strict=True)],
            [max(0.0, row.high - share) for share, row in zip(shares, rows, strict=True)],
        ]
        places = [getattr(row, name) for row in rows]
        look: dict[str, Any] = {"color": color, "marker": marker, "linestyle": line, "markersize": 3, "capsize": 2}
        axes.errorbar(places, shares, errors, label=f"{scale:g}", **look)
    axes.set_ylim(-0.03, 1.03)
    if name == "decay":
        axes.set_xscale("log", base=2)


def on_panel(row: PrevalenceRow, name: str) -> bool:
    """Whether a row belongs to the panel along `name`, where the other parameter stands still."""
    return row.decay == DECAY if name == "width" else row.width == WIDTH
