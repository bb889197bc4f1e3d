"""Real networks with a deep linear head: loss curves above the lines of their model, and what their heads become."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import DATA
from landscape.plot.theme import PAGE_WIDTH, new_figure, style
from landscape.studies.heads.tables import HeadCurve, HeadGram, HeadLine, HeadRow
from landscape.studies.tables import read_table

DRAWN = ("DNC", "pairs", "blocks:antiprism8+2", "blocks:T5")  # lines with a name in the figure
WORDS = {"DNC": "DNC", "pairs": "pairs", "blocks:antiprism8+2": "antiprism + pair", "blocks:T5": "T(5)"}
GARMENTS = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")


@dataclass(frozen=True)
class Tables:
    """The committed tables that the figure needs.

    Attributes:
        rows: End of every run.
        curves: Training curves of the first seeds.
        grams: Cosines between the class means of the features, of the first seeds.
        lines: Known critical points of the models.
    """

    rows: list[HeadRow]
    curves: list[HeadCurve]
    grams: list[HeadGram]
    lines: list[HeadLine]


def load() -> Tables:
    """Returns the tables that scripts/real_networks.py wrote."""
    return Tables(
        read_table(DATA / "real-networks.csv", HeadRow),
        read_table(DATA / "real-networks-curves.csv", HeadCurve),
        read_table(DATA / "real-networks-gram.csv", HeadGram),
        read_table(DATA / "real-networks-lines.csv", HeadLine),
    )


def draw(data: Tables) -> Figure:
    """Draws, for two layers and for three, the loss, the singular values of the logits and the cosines of the class means."""
    figure, axes = new_figure(2, 3, width=PAGE_WIDTH, height=0.62 * PAGE_WIDTH)
    with style():
        for row, (depth, decay) in zip((axes[:3], axes[3:]), ((2, 1e-3), (3, 5e-3)), strict=True):
            chosen = name_of(depth, decay)
            curve = [point for point in data.curves if point.run == chosen]
            lines = [line for line in data.lines if (line.depth, line.decay) == (depth, decay)]
            _loss(row[0], curve, lines)
            row[0].set_title(f"L = {depth}, $\\lambda_W$ = {decay:g}")
            _singular(row[1], curve)
            _cosines(row[2], [entry for entry in data.grams if entry.run == chosen])
    return figure


def name_of(depth: int, decay: float) -> str:
    """Returns the run that is drawn: an MLP of width 64 on Fashion-MNIST, the first seed."""
    return f"fashion-mlp-linear-{depth}-{decay}-64-1.0-0"


def _loss(axes: Axes, curve: list[HeadCurve], lines: list[HeadLine]) -> None:
    lowest = min(lines, key=lambda line: line.loss)
    axes.plot([point.step for point in curve], [point.loss - lowest.loss for point in curve], color="C0")
    for place, structure in enumerate(DRAWN):
        line = next(line for line in lines if line.structure == structure)
        if line.loss > lowest.loss:
            axes.axhline(line.loss - lowest.loss, color=f"C{place + 1}", linewidth=0.8, linestyle="--", label=WORDS[structure])
    axes.set(yscale="log", xlabel="step", ylabel="loss above the best known")
    axes.legend(loc="upper right", frameon=False)


def _singular(axes: Axes, curve: list[HeadCurve]) -> None:
    values = np.array([[float(value) for value in point.logits.split()] for point in curve])
    axes.plot([point.step for point in curve], values, color="C0", linewidth=0.8)
    axes.set(xlabel="step", ylabel="singular value", title="logits")


def _cosines(axes: Axes, entries: list[HeadGram]) -> None:
    """Draws the cosines, with the classes in an order that puts those together that point against each other."""
    matrix = cosines(entries)
    order = together(matrix)
    image = axes.imshow(matrix[np.ix_(order, order)], vmin=-1, vmax=1, cmap="RdBu_r")
    bar = axes.figure.colorbar(image, cax=axes.inset_axes((1.04, 0.0, 0.06, 1.0)), ticks=(-1, 0, 1))
    bar.outline.set_visible(False)
    axes.set_title("cosines of the class means")
    axes.set_xticks([])
    axes.set_yticks(range(len(matrix)), [GARMENTS[label] for label in order])


def cosines(entries: list[HeadGram]) -> np.ndarray:
    """Returns the entries of one run as a matrix."""
    size = max(entry.row for entry in entries) + 1
    matrix = np.zeros((size, size))
    for entry in entries:
        matrix[entry.row, entry.column] = entry.cosine
    return matrix


def together(matrix: np.ndarray) -> list[int]:
    """Returns the classes so that each is followed by the one, of those left, that points most against it."""
    left = list(range(len(matrix)))
    order: list[int] = []
    while left:
        first = min(left, key=lambda label: float(min((matrix[label, other] for other in left if other != label), default=0.0)))
        order.append(left.pop(left.index(first)))
        if left:
            partner = min(left, key=lambda label: float(matrix[first, label]))
            order.append(left.pop(left.index(partner)))
    return order
