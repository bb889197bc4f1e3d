"""Slices read back from their artists."""

import numpy as np
import pytest
import torch
from matplotlib.contour import QuadContourSet
from mpl_toolkits.mplot3d import Axes3D

from landscape.errors import InputError
from landscape.model.logit_form import write_parameters
from landscape.model.problem import Problem
from landscape.network.loss import ModuleLoss
from landscape.plot.slices import draw_line, draw_plane, draw_segments, plot_slice
from landscape.plot.theme import new_figure
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Collapse, Pairs, Partition, Structure
from landscape.studies.cuts import Along, spaced
from landscape.studies.slices import between, directions, line, plane, slice_plane
from tests.plot.test_spectrum_plot import assert_legible

PROBLEM = Problem.balanced(4, 2, 6, 2, 1e-3)
SADDLE = write_parameters(PROBLEM, logit_form(PROBLEM, Partition((2, 1, 1))), 1)
PLACES = spaced(SADDLE, 1.0, 11)


@pytest.mark.parametrize(("name", "lines"), [("stiffest", 3), ("negative", 3), ("gauge", 4)])
def test_a_line_stands_beside_what_is_known_of_it(name: Along, lines: int) -> None:
    (found,) = directions(PROBLEM, SADDLE, [name])
    result = line(PROBLEM, SADDLE, found, PLACES)
    figure, (axes,) = new_figure()
    draw_line(axes, result, "slice")
    assert len(axes.lines) == lines
    straight, known, *_ = axes.lines
    assert np.asarray(straight.get_ydata()).tolist() == result.loss.tolist()
    expected = found.curvature / 2 * PLACES**2 if found.quartic is None else found.quartic * PLACES**4
    assert np.asarray(known.get_ydata()) == pytest.approx((result.loss[5] + expected).numpy(), rel=1e-14)
    if result.orbit is not None:
        assert np.asarray(axes.lines[2].get_ydata()).tolist() == result.orbit.tolist()
    assert_legible(figure)


def test_a_plane_has_the_losses_and_the_height_of_its_point() -> None:
    first, second = directions(PROBLEM, SADDLE, ["negative", "stiffest"])
    result = plane(PROBLEM, SADDLE, (first, second), PLACES)
    figure, (axes,) = new_figure(height=2.7)
    draw_plane(axes, result)
    filled, height = (part for part in axes.collections if isinstance(part, QuadContourSet))
    assert filled.get_clim() == pytest.approx((float(result.loss.min()), float(result.loss.max())))
    assert list(height.levels) == [float(result.loss[5, 5])]
    assert "most negative" in axes.get_xlabel()
    assert "stiffest" in axes.get_ylabel()
    assert_legible(figure)


def test_a_gauge_plane_has_the_shadow_of_the_orbit() -> None:
    first, second = directions(PROBLEM, SADDLE, ["stiffest", "gauge"])
    result = plane(PROBLEM, SADDLE, (first, second), PLACES)
    figure, (axes,) = new_figure(height=2.7)
    draw_plane(axes, result)
    shadow, _ = axes.lines
    assert np.asarray(shadow.get_xydata()).tolist() == result.shadow.tolist()
    assert axes.get_xlim() == axes.get_ylim() == (-1, 1)
    assert_legible(figure)


def test_a_constant_plane_is_drawn() -> None:
    first, second = directions(PROBLEM, SADDLE, ["negative", "stiffest"])
    result = plane(PROBLEM, SADDLE, (first, second), torch.zeros(3, dtype=torch.float64))
    figure, (axes,) = new_figure(height=2.7)
    draw_plane(axes, type(result)(first, second, PLACES[:3], result.loss))
    figure.canvas.draw()


def test_the_way_between_two_points() -> None:
    structures: list[Structure] = [Collapse(), Pairs()]
    ends = [write_parameters(PROBLEM, logit_form(PROBLEM, structure), gauge) for gauge, structure in enumerate(structures)]
    straight, aligned = between(PROBLEM, ends[0], ends[1], 9)
    figure, (axes,) = new_figure()
    draw_segments(axes, {"as saved": straight, "gauge aligned": aligned}, ("DNC", "pairs"))
    first, second, marks = axes.lines
    assert np.asarray(first.get_ydata()).tolist() == straight.loss.tolist()
    assert np.asarray(second.get_ydata()).tolist() == aligned.loss.tolist()
    assert np.asarray(marks.get_ydata()).tolist() == [float(straight.loss[0]), float(straight.loss[-1])]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["DNC", "half-way", "pairs"]
    assert_legible(figure)


def test_a_plane_as_a_surface() -> None:
    first, second = directions(PROBLEM, SADDLE, ["negative", "stiffest"])
    result = plane(PROBLEM, SADDLE, (first, second), PLACES)
    axes = plot_slice(result, title="a saddle", surface=True)
    (drawn,) = axes.collections
    assert "Poly3D" in type(drawn).__name__
    assert isinstance(axes, Axes3D)
    assert axes.zz_dataLim.intervalx.tolist() == [float(result.loss.min()), float(result.loss.max())]
    assert axes.lines[0].get_data_3d()[2] == [float(result.loss[5, 5])]
    axes.figure.canvas.draw()
    assert axes.title.get_window_extent().y1 <= axes.figure.bbox.y1  # the name of the point is in the picture
    with pytest.raises(InputError, match="axes of three dimensions"):
        plot_slice(result, new_figure()[1][0], surface=True)


def test_the_directions_of_a_network_are_named() -> None:
    torch.manual_seed(0)
    net = torch.nn.Linear(3, 2).double()
    batch = (torch.randn(6, 3, dtype=torch.float64), torch.randint(2, (6,)))
    loss = ModuleLoss(net, torch.nn.functional.cross_entropy, [batch])
    axes = plot_slice(slice_plane(loss, ("random", "second"), steps=5))
    assert axes.get_xlabel() == "filter-normalised random direction"
    assert axes.get_ylabel().startswith("second stiffest direction, $\\mu = ")
    figure = axes.get_figure(root=True)
    assert figure is not None
    assert_legible(figure)
