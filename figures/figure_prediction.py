"""Why collapse is found: the share against the width, the swap, all settings on one curve, and pair scores by end point."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import norm

from figures import DATA, figure2
from landscape.plot.theme import PAGE_WIDTH, new_figure, style
from landscape.studies.prediction.tables import FormulaRow, LawRow, ScoreRow, SwapRow
from landscape.studies.tables import PrevalenceRow, read_table

PAPER = (10, 50, 2.0**-10)  # K, N and the decay of the setting of the paper
WIDEST = 300  # of the widths that are drawn
SWAPS = (  # width, swap, words under the bar
    (70, "none", "70"),
    (70, "features:anew", "70\nanew"),
    (70, "features:width=150", "70\nof 150"),
    (70, "features:identity", "70\n$I$"),
    (150, "none", "150"),
    (150, "features:anew", "150\nanew"),
    (150, "features:width=70", "150\nof 70"),
)


@dataclass(frozen=True)
class Tables:
    """The committed tables that the figure needs.

    Attributes:
        counts: Full starts of Fig. 2.
        law: Shares by the law of the width and by the formula.
        swaps: Full starts with one part replaced.
        predictions: What the formula said of the held-out settings.
        observed: Full starts of the held-out settings.
        scores: Largest pair score and end point of every start at width 70.
    """

    counts: list[PrevalenceRow]
    law: list[LawRow]
    swaps: list[SwapRow]
    predictions: list[FormulaRow]
    observed: list[SwapRow]
    scores: list[ScoreRow]


def load() -> Tables:
    """Returns the tables that the scripts wrote."""
    return Tables(
        figure2.load(),
        read_table(DATA / "law.csv", LawRow),
        read_table(DATA / "swaps.csv", SwapRow),
        read_table(DATA / "held-out-predictions.csv", FormulaRow),
        read_table(DATA / "held-out.csv", SwapRow),
        read_table(DATA / "scores.csv", ScoreRow),
    )


def draw(data: Tables) -> Figure:
    """Draws the four panels."""
    figure, axes = new_figure(2, 2, width=PAGE_WIDTH)
    with style():
        _widths(axes[0], data)
        _swaps(axes[1], data)
        _collapse(axes[2], data)
        _scores(axes[3], data)
    return figure


def _bars(
    axes: Axes, places: list[float], rows: "list[PrevalenceRow] | list[SwapRow] | list[LawRow]", shares: list[float], **look: Any
) -> None:
    errors = [
        [max(0.0, share - low) for share, low in zip(shares, [row.low for row in rows], strict=True)],
        [max(0.0, high - share) for share, high in zip(shares, [row.high for row in rows], strict=True)],
    ]
    axes.errorbar(places, shares, errors, linestyle="none", capsize=2, markersize=3, **look)


def _widths(axes: Axes, data: Tables) -> None:
    for scale, color in ((1.0, "C0"), (0.1, "C1")):
        full = [
            row for row in data.counts if row.structure == "DNC" and row.feature_scale == scale and figure2.on_panel(row, "width")
        ]
        best = {
            row.width: row for row in data.law if row.feature_scale == scale and row.width <= WIDEST
        }  # the last has most groups
        law = list(best.values())
        _bars(
            axes,
            [row.width for row in full],
            full,
            [row.count / row.seeds for row in full],
            color=color,
            marker="o",
            label=f"counts, $c_H$={scale:g}",
        )
        _bars(
            axes,
            [row.width + 3 for row in law],
            law,
            [row.found / row.starts for row in law],
            color=color,
            marker="x",
            label=f"law, $c_H$={scale:g}",
        )
        told = sorted((row.width, row.formula) for row in law if row.formula >= 0)
        axes.plot(*zip(*told, strict=True), "--", color=color, label=f"formula, $c_H$={scale:g}")
    axes.set(xlabel="width $d$", ylabel="share of DNC", ylim=(-0.03, 1.03))
    axes.legend(frameon=False)


def _swaps(axes: Axes, data: Tables) -> None:
    for place, (width, swap, _) in enumerate(SWAPS):
        row = swap_row(data.swaps, width, swap)
        share = row.count / row.seeds
        axes.bar(place, share, color="C0" if width == 70 else "C1", width=0.7)
        axes.errorbar(place, share, [[max(0.0, share - row.low)], [max(0.0, row.high - share)]], color="black", capsize=2)
    axes.set_xticks(range(len(SWAPS)), [words for *_, words in SWAPS])
    axes.set(ylim=(0, 1.03), ylabel="share of DNC", xlabel="width, and Gram matrix of the features")


def swap_row(rows: list[SwapRow], width: int, swap: str, structure: str = "DNC") -> SwapRow:
    """Returns the row of the setting of the paper at a width with a swap."""
    (found,) = (
        row
        for row in rows
        if (row.classes, row.samples, row.decay) == PAPER and (row.width, row.swap, row.structure) == (width, swap, structure)
    )
    return found


def _collapse(axes: Axes, data: Tables) -> None:
    grid = np.linspace(0, 4, 200)
    axes.plot(grid, norm.cdf(grid), color="black", linewidth=0.8, label=r"$\Phi$")
    for told in data.predictions:
        found = [row for row in data.observed if row.structure == "DNC" and held_out_key(row) == held_out_key(told)]
        for row in found:
            pairs = row.classes * (row.classes - 1) / 2
            place = told.r * told.effective_width**0.5
            low, share, high = (value ** (1 / pairs) for value in (row.low, row.count / row.seeds, row.high))
            axes.errorbar(
                place, share, [[max(0.0, share - low)], [max(0.0, high - share)]], color="C0", marker="o", markersize=3, capsize=2
            )
    axes.set(xlabel=r"$r \sqrt{d_{\rm eff}}$", ylabel="share of DNC, per pair", xlim=(1.5, 2.8), ylim=(0.93, 1.003))
    axes.legend(frameon=False)


def held_out_key(row: "FormulaRow | SwapRow") -> tuple[int, int, int, float, float]:
    """Returns what tells one held-out setting from another."""
    return row.classes, row.samples, row.width, row.decay, row.feature_scale


def _scores(axes: Axes, data: Tables) -> None:
    groups = [[row.score for row in data.scores if (row.structure == "DNC") is kept] for kept in (True, False)]
    axes.hist(groups, bins=14, density=True, label=["DNC", "others"])
    axes.set(xlabel="largest pair score at the start", ylabel="density")
    axes.legend(frameon=False)
