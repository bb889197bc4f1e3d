"""The diagram read back from its artists."""

import numpy as np
from matplotlib.collections import PolyCollection

from landscape.catalogue.phase_diagram import cell, phase_diagram, varied
from landscape.model.problem import Problem
from landscape.plot.phase import draw_phase, pieces
from landscape.plot.theme import new_figure
from landscape.structures.dnc import fold_decay, stability_decay

DECAYS = (1e-3, 1e-2, 5e-2, 0.3)


def test_colours_are_states_and_lines_are_thresholds() -> None:
    diagram = phase_diagram(Problem.balanced(6, 1, 6, 2, 1e-3), ("decay", "depth"), DECAYS, (2.0, 3.0))
    figure, (axes,) = new_figure()
    draw_phase(axes, diagram, "K = 6")
    figure.canvas.draw()
    (areas,) = axes.collections
    assert isinstance(areas, PolyCollection)
    assert len(areas.get_paths()) == len(pieces(diagram))
    for line, compute in zip(axes.lines, (fold_decay, stability_decay), strict=True):
        wanted = [compute(row[0].problem) for row in diagram.cells]
        assert np.asarray(line.get_xdata()).tolist() == np.repeat(wanted, 2).tolist()
        assert np.asarray(line.get_ydata()).tolist() == [1.5, 2.5, 2.5, 3.5]
    assert axes.get_xscale() == "log"
    legend = axes.get_legend()
    assert legend is not None
    assert "fold" in [text.get_text() for text in legend.get_texts()]


def test_the_decay_may_stand_upright() -> None:
    diagram = phase_diagram(Problem.balanced(6, 1, 6, 2, 1e-3), ("width", "decay"), (4.0, 5.0, 6.0), DECAYS)
    _, (axes,) = new_figure()
    draw_phase(axes, diagram)
    assert axes.get_yscale() == "log"
    assert np.asarray(axes.lines[0].get_ydata()).tolist() == [fold_decay(diagram.cells[0][0].problem)] * 6


def test_colours_change_exactly_at_the_thresholds() -> None:
    problem = Problem.balanced(10, 1, 9, 2, 1e-3)
    diagram = phase_diagram(problem, ("decay", "depth"), tuple(np.geomspace(1e-4, 0.2, 12).tolist()), (2.0, 4.0))
    found = pieces(diagram)
    assert len(found) > 24, "no cell was cut"
    for piece in found:
        depth = round((piece.bottom + piece.top) / 2)
        at = varied(problem, "depth", float(depth))
        for decay in (piece.left * (1 + 1e-9), piece.right * (1 - 1e-9)):  # just inside both sides
            here = cell(varied(at, "decay", decay)).state
            if "best known" not in (here, piece.state):  # where a rival passes below DNC is no line of the diagram
                assert here == piece.state, (piece, decay)
    widths = {depth: sum(p.right - p.left for p in found if p.bottom < depth < p.top and p.state == "saddle") for depth in (2, 4)}
    for depth, width in widths.items():
        at = varied(problem, "depth", float(depth))
        stable = stability_decay(at)
        assert stable is not None
        assert abs(width - (fold_decay(at) - stable)) < 1e-12
