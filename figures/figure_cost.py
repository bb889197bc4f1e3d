"""How the cost of a Hessian product and of a solve grows with each size of the model, the others as in the paper."""

from matplotlib.figure import Figure

from benchmarks.solves import GrowthRow
from figures import DATA
from landscape.plot.theme import PAGE_WIDTH, new_figure, style
from landscape.studies.tables import read_table

LABELS = {"width": "width $d$", "classes": "classes $K$", "depth": "depth $L$", "samples": "samples per class $n$"}
CURVES = (("linear", "product, linear", "C0", "o"), ("relu", "product, ReLU", "C1", "s"), ("solve", "solve, linear", "C2", "^"))


def load() -> list[GrowthRow]:
    """Returns the table that benchmarks/solves.py wrote."""
    return read_table(DATA / "cost-growth.csv", GrowthRow)


def draw(data: list[GrowthRow]) -> Figure:
    """Draws one panel for each size, with both axes logarithmic."""
    figure, axes = new_figure(2, 2, width=PAGE_WIDTH)
    with style():
        for place, (varied, label) in zip(axes, LABELS.items(), strict=True):
            rows = sorted((row for row in data if row.varied == varied), key=lambda row: getattr(row, varied))
            sizes = [getattr(row, varied) for row in rows]
            for name, words, color, marker in CURVES:
                times = [getattr(row, name) for row in rows]
                place.plot(sizes, times, color=color, marker=marker, markersize=3, label=words)
            place.set(xscale="log", yscale="log", xlabel=label, ylabel="milliseconds")
            place.set_xticks(sizes, [str(size) for size in sizes])
            place.minorticks_off()
        axes[0].legend(frameon=False)
    return figure
