"""Where DNC is missing, a saddle, a local minimum or the best known point: over decay and depth, and over classes and decay."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from landscape.catalogue.phase_diagram import PhaseDiagram, phase_diagram
from landscape.model.problem import Problem
from landscape.plot.phase import draw_phase
from landscape.plot.theme import PAGE_WIDTH, new_figure, style

PROBLEM = Problem.balanced(classes=10, samples=1, width=20, depth=2, decay=1e-3)
DECAYS = tuple(np.geomspace(1e-3, 0.2, 48).tolist())
DEPTHS, CLASSES = tuple(map(float, range(1, 9))), tuple(map(float, range(2, 15)))


def load() -> list[PhaseDiagram]:
    """Computes both diagrams; nothing is solved but scalar equations."""
    return [
        phase_diagram(PROBLEM, ("decay", "depth"), DECAYS, DEPTHS),
        phase_diagram(PROBLEM, ("decay", "classes"), DECAYS, CLASSES),
    ]


def draw(data: Sequence[PhaseDiagram]) -> Figure:
    """Draws the diagrams side by side with one legend."""
    figure, axes = new_figure(1, 2, width=PAGE_WIDTH, height=2.7)
    for place, diagram, title in zip(axes, data, ("$K = 10$", "$L = 2$"), strict=True):
        draw_phase(place, diagram, title)
        legend = place.get_legend()
        assert legend is not None
        handles = legend.legend_handles
        legend.remove()  # one for both stands below
    with style():
        figure.legend(handles=handles, loc="outside lower center", ncols=6, frameon=False, fontsize="small", columnspacing=1.2)
    return figure
