"""The diagram read back from its artists."""

import numpy as np

from landscape.catalogue.phase_diagram import STATES, phase_diagram
from landscape.model.problem import Problem
from landscape.plot.phase import draw_phase
from landscape.plot.theme import new_figure
from landscape.structures.dnc import fold_decay, stability_decay

DECAYS = (1e-3, 1e-2, 5e-2, 0.3)


def test_colours_are_states_and_lines_are_thresholds() -> None:
    diagram = phase_diagram(Problem.balanced(6, 1, 6, 2, 1e-3), ("decay", "depth"), DECAYS, (2.0, 3.0))
    figure, (axes,) = new_figure()
    draw_phase(axes, diagram, "K = 6")
    figure.canvas.draw()
    (mesh,) = axes.collections
    codes = np.asarray(mesh.get_array()).reshape(2, 4)
    assert [[STATES[int(code)] for code in row] for row in codes] == [[cell.state for cell in row] for row in diagram.cells]
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
