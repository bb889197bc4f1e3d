"""Every known kind of critical point of the paper's setting: loss against rank, area by copies, colour by index."""

from matplotlib.figure import Figure

from landscape.catalogue.table import Atlas, atlas
from landscape.model.problem import Problem
from landscape.plot.atlas import draw_atlas
from landscape.plot.theme import PAGE_WIDTH, new_figure

PAPER = Problem.balanced(classes=10, samples=5, width=70, depth=2, decay=2.0**-10)


def load() -> Atlas:
    """Computes the table; nothing is solved at the width."""
    return atlas(PAPER)


def draw(data: Atlas) -> Figure:
    """Draws the points with the names of the minima."""
    figure, (axes,) = new_figure(width=PAGE_WIDTH, height=3.9)
    draw_atlas(axes, data.entries)
    return figure
