"""The landscape at the end points of Fig. 1 and at a saddle: along the gauge orbit, over two directions, and between the minima."""

from dataclasses import dataclass

from matplotlib.figure import Figure

from figures import figure1
from landscape.model.logit_form import write_parameters
from landscape.plot.slices import draw_line, draw_plane, draw_segments
from landscape.plot.theme import PAGE_WIDTH, new_figure
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Partition
from landscape.studies.basins import Segment
from landscape.studies.cuts import Line, Plane, spaced
from landscape.studies.slices import between, directions, line, plane

SADDLE, REACH, STEPS = Partition((5, 5)), 2.0, 81


@dataclass(frozen=True)
class Slices:
    """What the four panels show.

    Attributes:
        gauge: Along a gauge direction of DNC.
        valley: Over the stiffest and the gauge direction of DNC.
        saddle: Over the most negative and the stiffest direction of the saddle partition:5,5.
        straight: From DNC to the low-rank point, as descent left them.
        aligned: The same after gauge alignment.
    """

    gauge: Line
    valley: Plane
    saddle: Plane
    straight: Segment
    aligned: Segment


def load() -> Slices:
    """Computes the slices of the two saved points and of the analytic saddle."""
    points = figure1.load()
    collapse, pairs = points["collapse"], points["pairs"]
    problem, theta = collapse.problem, collapse.theta
    stiffest, gauge = directions(problem, theta, ["stiffest", "gauge"])
    saddle = write_parameters(problem, logit_form(problem, SADDLE), gauge=0)
    negative, steep = directions(problem, saddle, ["negative", "stiffest"])
    return Slices(
        line(problem, theta, gauge, spaced(theta)),
        plane(problem, theta, (stiffest, gauge), spaced(theta, None, STEPS)),
        plane(problem, saddle, (negative, steep), spaced(saddle, REACH, STEPS)),
        *between(problem, theta, pairs.theta),
    )


def draw(data: Slices) -> Figure:
    """Draws the four panels."""
    figure, axes = new_figure(2, 2, width=PAGE_WIDTH, height=5.3)
    draw_line(axes[0], data.gauge, "(a) DNC, along its gauge orbit")
    draw_plane(axes[1], data.valley, "(b) DNC, the valley of its orbit")
    ways = {"as found": data.straight, "gauge aligned": data.aligned}
    draw_segments(axes[2], ways, ("DNC", "low rank"), "(c) between the minima")
    draw_plane(axes[3], data.saddle, "(d) a saddle, partition:5,5")
    return figure
