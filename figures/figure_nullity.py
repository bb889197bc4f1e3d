"""The nullity measured, beside our formula and the paper's: against the width, and what either formula misses against the depth."""

from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from landscape.degeneracy.analysis import analyse
from landscape.model.dimensions import orbit_dimension, paper_dimension_at
from landscape.model.logit_form import write_parameters
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.plot.theme import BLUE, INK, ORANGE, PAGE_WIDTH, new_figure, style
from landscape.points.point import CriticalPoint, Origin
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Collapse, Pairs, Structure

WIDTH, DEPTH = 70, 2  # where the two panels cross
WIDTHS, DENSE, DEPTHS = (10, 20, 30, 40, 55, 70, 85, 100), (10, 15, 20), (1, 2, 3, 4, 5, 6)
DOTS = (0, (2, 1.5))
RING: dict[str, Any] = {"linestyle": "none", "markerfacecolor": "none", "markeredgecolor": INK, "markersize": 6.5}
POINTS: dict[str, tuple[Structure, str, str]] = {"DNC": (Collapse(), BLUE, "o"), "pairs": (Pairs(), ORANGE, "s")}


@dataclass(frozen=True)
class Count:
    """The nullity of one point.

    Attributes:
        structure: A key of `POINTS`.
        width: Width d of the model.
        depth: Number L of weight matrices.
        method: "reduction", or "dense": all eigenvalues of the full Hessian.
        rank: Rank r of the logits.
        nullity: Number of zero eigenvalues, as measured.
        orbit: Dimension of the orbit, L (d r - r (r+1)/2).
        paper: What Theorem 5 counts.
    """

    structure: str
    width: int
    depth: int
    method: str
    rank: int
    nullity: int
    orbit: int
    paper: int


def load() -> list[Count]:
    """Counts the zeros of all points; the dense ones take most of the time."""
    counts = [count(name, width, DEPTH, "dense") for name in POINTS for width in DENSE]
    counts += [count(name, width, DEPTH, "reduction") for name in POINTS for width in WIDTHS]
    return counts + [count(name, WIDTH, depth, "reduction") for name in POINTS for depth in DEPTHS if depth != DEPTH]


def count(name: str, width: int, depth: int, method: str) -> Count:
    """Returns the nullity of a point of the paper's setting at another width and depth."""
    problem = Problem.balanced(classes=10, samples=5, width=width, depth=depth, decay=2.0**-10)
    form = logit_form(problem, POINTS[name][0])
    if method == "dense":
        report = analyse(CriticalPoint.at(problem, write_parameters(problem, form, gauge=0), Origin("analytic")), "dense")
    else:
        report = analyse(Core.from_form(problem, form), "reduction")
    paper = paper_dimension_at(problem, form.singular.tolist())
    assert report.nullity is not None
    assert paper is not None
    return Count(name, width, depth, method, form.rank, report.nullity, orbit_dimension(form.rank, width, depth), paper)


def draw(data: list[Count]) -> Figure:
    """Draws the nullity against the width and the zeros that each formula misses against the depth."""
    figure, axes = new_figure(1, 2, width=PAGE_WIDTH, height=2.6)
    with style():
        for name in POINTS:
            mine = [point for point in data if point.structure == name]
            _width_panel(axes[0], [point for point in mine if point.depth == DEPTH], name)
            _depth_panel(axes[1], [point for point in mine if point.width == WIDTH], name)
        axes[0].set(xlabel=f"width $d$ (with $L = {DEPTH}$)", ylabel="zero eigenvalues", ylim=(0, None))
        axes[1].set(xlabel=f"layers $L$ (with $d = {WIDTH}$)", ylabel="zeros minus formula", ylim=(-38, 240))
        keys = [
            _key("$L(dr - r(r{+}1)/2)$", linewidth=1.2),
            _key("Theorem 5 of the paper", linewidth=1.2, linestyle=DOTS),
            _key("measured", linestyle="none", marker="o", markersize=3.5),
            _key("measured, full Hessian", marker="o", **RING),
        ]
        figure.legend(handles=keys, loc="outside lower center", ncols=4, frameon=False, columnspacing=1.4)
    return figure


def _key(label: str, **look: Any) -> Line2D:
    return Line2D([], [], color=INK, label=label, **look)


def _width_panel(axes: Axes, points: list[Count], name: str) -> None:
    _, color, marker = POINTS[name]
    exact = sorted((point for point in points if point.method == "reduction"), key=lambda point: point.width)
    widths = [point.width for point in exact]
    axes.plot(widths, [point.orbit for point in exact], color=color, linewidth=1.0)
    axes.plot(widths, [point.paper for point in exact], color=color, linewidth=1.0, linestyle=DOTS)
    axes.plot(widths, [point.nullity for point in exact], marker, color=color, markersize=3.5)
    dense = [point for point in points if point.method == "dense"]
    axes.plot([point.width for point in dense], [point.nullity for point in dense], marker=marker, **RING)
    last = exact[-2]
    note: dict[str, Any] = {"textcoords": "offset points", "color": INK, "fontsize": "small"}
    where: dict[str, Any] = {"xytext": (-6, 3), "ha": "right"} if name == "DNC" else {"xytext": (2, -20), "ha": "center"}
    axes.annotate(f"{name}, rank {last.rank}", (last.width, last.nullity), **where, **note)


def _depth_panel(axes: Axes, points: list[Count], name: str) -> None:
    _, color, marker = POINTS[name]
    exact = sorted((point for point in points if point.method == "reduction"), key=lambda point: point.depth)
    depths = [point.depth for point in exact]
    missed = [point.nullity - point.paper for point in exact]
    axes.plot(depths, missed, linestyle=DOTS, color=color, marker=marker, markersize=3.5)
    size = 5.5 if name == "DNC" else 2.5  # both lie at zero: one is seen around the other
    axes.plot(depths, [point.nullity - point.orbit for point in exact], color=color, marker=marker, markersize=size, linewidth=1.0)
    note: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "color": INK, "fontsize": "small"}
    axes.annotate(name, (depths[-2], missed[-2]), (-3, 7), **note)
    if name == "DNC":
        axes.annotate("both", (depths[-2], 0), (-3, -11), **note)
