"""Share of DNC and of pairs against the width of the head: trained networks beside the model with their own features."""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import DATA
from landscape.archive.experiment import UNSWAPPED
from landscape.plot.theme import PAGE_WIDTH, new_figure, style
from landscape.studies.heads.tables import HeadPrediction, HeadRow
from landscape.studies.intervals import share_interval
from landscape.studies.tables import read_table

STRUCTURES = ("DNC", "pairs")
STARTS = {(1.0, 1.0): "usual start", (0.1, 6.0): "large head"}  # by factors on features and head; large beside small features
WORDS = {"fashion": "Fashion-MNIST", "mnist": "MNIST"}


@dataclass(frozen=True)
class Share:
    """How many networks of one setting end at a structure.

    Attributes:
        width: Width of the features and of the head.
        count: Networks that end there.
        networks: Networks that were trained.
    """

    width: int
    count: int
    networks: int

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the share."""
        return share_interval(self.count, self.networks)


@dataclass(frozen=True)
class Tables:
    """The committed tables that the figure needs.

    Attributes:
        rows: End of every run.
        predictions: Ends of the model's starts with the features of untrained networks.
    """

    rows: list[HeadRow]
    predictions: list[HeadPrediction]


def load() -> Tables:
    """Returns the tables that scripts/real_networks.py and scripts/real_predictions.py wrote."""
    return Tables(
        read_table(DATA / "real-networks.csv", HeadRow), read_table(DATA / "real-networks-predictions.csv", HeadPrediction)
    )


def shares(rows: list[HeadRow], data: str, start: tuple[float, float], structure: str) -> list[Share]:
    """Returns the shares of a structure by width: MLP below a linear head of two layers, decay on the features."""
    alike = [
        row
        for row in rows
        if (row.data, row.backbone, row.activation, row.depth, row.init) == (data, "mlp", "linear", 2, 1.0)
        and (row.decayed, row.feature_init, row.head_init) == ("features", *start)
    ]
    found = []
    for width in sorted({row.width for row in alike}):
        ends = [row.end for row in alike if row.width == width]
        found.append(Share(width, ends.count(structure), len(ends)))
    return found


def draw(data: Tables) -> Figure:
    """Draws a column for each data set and a row for each structure: networks with intervals, the model as lines."""
    figure, axes = new_figure(len(STRUCTURES), 2, width=PAGE_WIDTH, height=0.72 * PAGE_WIDTH)
    with style():
        for row, structure in enumerate(STRUCTURES):
            for column, name in enumerate(WORDS):
                panel = axes[2 * row + column]
                _panel(panel, data, name, structure)
                panel.set(xscale="log", ylim=(-0.04, 1.04), ylabel=f"share of {structure}", xticks=[16, 64, 200, 800])
                panel.set_xticklabels(["16", "64", "200", "800"])
                panel.minorticks_off()
                if row == 0:
                    panel.set_title(WORDS[name])
                if row == len(STRUCTURES) - 1:
                    panel.set_xlabel("width")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def _panel(axes: Axes, data: Tables, name: str, structure: str) -> None:
    for place, (start, words) in enumerate(STARTS.items()):
        for features, dashes in (("own", "-"), (UNSWAPPED, ":")):
            alike = [
                row
                for row in data.predictions
                if (row.data, row.feature_init, row.head_init, row.features) == (name, *start, features)
            ]
            widths = sorted({row.width for row in alike})
            drawn = [count / starts for count, starts in (_counted(alike, each, structure) for each in widths)]
            ends = [share_interval(*_counted(alike, each, structure)) for each in widths]
            label = f"model, {features if features == 'own' else 'random'} features, {words}"
            marker = {"own": "x", UNSWAPPED: "+"}[features] if len(widths) == 1 else None
            axes.plot(widths, drawn, color=f"C{place}", linestyle=dashes, linewidth=0.9, marker=marker, label=label)
            lowest, highest = zip(*ends, strict=True)
            axes.fill_between(widths, lowest, highest, color=f"C{place}", alpha=0.12, linewidth=0)
        found = shares(data.rows, name, start, structure)
        middle = [share.count / share.networks for share in found]
        low, high = ([share.interval[end] for share in found] for end in (0, 1))
        errors = [
            [max(m - a, 0.0) for m, a in zip(middle, low, strict=True)],
            [max(b - m, 0.0) for m, b in zip(middle, high, strict=True)],
        ]
        places = [share.width * (1 + 0.06 * place) for share in found]
        axes.errorbar(
            places, middle, errors, color=f"C{place}", fmt="os"[place], markersize=3.5, capsize=2, label=f"networks, {words}"
        )


def _counted(rows: list[HeadPrediction], width: int, structure: str) -> tuple[int, int]:
    """Returns the starts of a width that end at a structure, and all of them."""
    alike = [row for row in rows if row.width == width]
    return sum(row.count for row in alike if row.structure == structure), alike[0].starts
