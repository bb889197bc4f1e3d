"""Slices of the loss, drawn on given axes: lines and planes through a point, and the way between two points."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d import Axes3D

from landscape.errors import InputError
from landscape.plot.dark import KEPT
from landscape.plot.theme import BLUE, COLUMN_WIDTH, GREEN, INK, ORANGE, axes_or_new, style
from landscape.studies.basins import Segment
from landscape.studies.cuts import Direction, Line, Plane

_LEVELS = 16
_NAMES = {"negative": "most negative", "second": "second stiffest", "random": "filter-normalised random"}
_EIGEN = ("stiffest", "negative", "second", "lowest")


def draw_line(axes: Axes, line: Line, title: str = "") -> None:
    """Draws the loss along a direction beside what the point says of it.

    That is the parabola of its eigenvalue mu; along a gauge direction the loss on the orbit's own curve, which is constant, and the
    t^4 by which the straight line leaves that curve.
    """
    direction, here = line.direction, len(line.places) // 2
    places, loss = line.places.detach().cpu().numpy(), line.loss.detach().cpu().numpy()
    base = loss[here] if len(loss) % 2 else float(np.interp(0.0, places, loss))
    look: dict[str, Any] = {"linewidth": 0.9, "zorder": 3}
    with style():
        axes.plot(places, loss, color=BLUE, linewidth=1.6, label="straight line")
        if direction.quartic is None:
            axes.plot(places, base + direction.curvature * places**2 / 2, "--", color=ORANGE, label=r"$\mu t^2/2$", **look)
        else:
            off = r"$t^4\, w^{\!\top}\! H w\,/\,8$: it leaves the orbit"
            axes.plot(places, base + direction.quartic * places**4, "--", color=ORANGE, label=off, **look)
        if line.orbit is not None:
            axes.plot(places, line.orbit.detach().cpu().numpy(), "-.", color=GREEN, label="the orbit's own curve", **look)
        axes.plot([0.0], [base], "o", color=INK, markersize=3.2, zorder=4)
        low, high = float(loss.min()), float(loss.max())
        room = (high - low) or abs(base) or 1.0
        above = 0.3 if line.orbit is None else 0.45  # the legend stands above the curves
        axes.set_ylim(low - 0.1 * room, high + above * room)
        axes.set(title=title, xlabel=_named(direction), ylabel="loss", xlim=(places[0], places[-1]))
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.legend(frameon=False, loc="upper center", fontsize="small", borderaxespad=0.0, labelspacing=0.3)


def draw_plane(axes: Axes, plane: Plane, title: str = "") -> None:
    """Draws the loss over two directions as filled contours, close together where it is low, and the point as a dot.

    A white line marks the height of the point itself; a dotted one is the shadow of the gauge orbit, whose curve leaves the plane.
    """
    places, loss = plane.places.detach().cpu().numpy(), plane.loss.detach().cpu().numpy()
    here = len(places) // 2
    low, high = float(loss.min()), float(loss.max())
    levels = low + ((high - low) or 1.0) * np.linspace(0, 1, _LEVELS + 1) ** 3
    with style():
        filled = axes.contourf(places, places, loss, levels=levels, norm=BoundaryNorm(levels, 256), cmap="cividis")
        filled.set_edgecolor("face")  # no hairlines between the bands in PDF viewers
        if loss[here, here] > low + 1e-6 * (high - low):
            height = [float(loss[here, here])]
            axes.contour(places, places, loss, levels=height, colors="white", linewidths=0.8, linestyles="--").set_gid(KEPT)
        if plane.shadow is not None:
            axes.plot(*plane.shadow.detach().cpu().numpy().T, color="white", linestyle=(0, (1, 1.5)), linewidth=1.1, gid=KEPT)
            axes.set(xlim=(places[0], places[-1]), ylim=(places[0], places[-1]))
        axes.plot([0.0], [0.0], "o", color="white", markeredgecolor=INK, markersize=4.0, markeredgewidth=0.7, gid=KEPT)
        axes.set(title=title, xlabel=_named(plane.horizontal), ylabel=_named(plane.vertical), box_aspect=1)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.spines[:].set_visible(True)
        bar = axes.figure.colorbar(filled, ax=axes, pad=0.03, shrink=0.9, label="loss", ticks=levels[:: _LEVELS // 4])
        bar.outline.set_visible(False)
        bar.ax.set_yticklabels([f"{level:.3g}" for level in levels[:: _LEVELS // 4]])


def draw_surface(axes: Axes3D, plane: Plane, title: str = "") -> None:
    """Draws the loss over two directions as a surface, and the point as a dot; the axes must be three-dimensional."""
    places, loss = plane.places.detach().cpu().numpy(), plane.loss.detach().cpu().numpy()
    here = len(places) // 2
    horizontal, vertical = np.meshgrid(places, places)
    with style():
        axes.plot_surface(horizontal, vertical, loss, cmap="cividis", rcount=len(places), ccount=len(places), linewidth=0)
        axes.plot([0.0], [0.0], [loss[here, here]], "o", color="white", markeredgecolor=INK, markersize=4.0, zorder=10, gid=KEPT)
        names = [_NAMES.get(each.name, each.name).removeprefix("filter-normalised ") for each in (plane.horizontal, plane.vertical)]
        axes.set(title=title, xlabel=names[0], ylabel=names[1], zlabel="loss")  # no layout makes room for long labels here
        axes.tick_params(pad=-1)
        for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
            axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))


def draw_segments(
    axes: Axes, segments: Mapping[str, Segment], ends: tuple[str, str] = ("first", "second"), title: str = ""
) -> None:
    """Draws the loss on straight lines between two points, by name.

    Args:
        axes: Axes to draw on.
        segments: Segments by name; the second and later ones are dashed.
        ends: What stands at 0 and 1.
        title: Above the axes.
    """
    with style():
        for (name, part), color, dash in zip(segments.items(), (BLUE, ORANGE, GREEN), ("-", "--", "-."), strict=False):
            label = f"{name} (distance {part.distance:.3g})"
            axes.plot(part.places.tolist(), part.loss.tolist(), dash, color=color, label=label, linewidth=1.4)
        ((name, first), *_) = segments.items()
        axes.plot([0.0, 1.0], [float(first.loss[0]), float(first.loss[-1])], "o", color=INK, markersize=3.2, zorder=4)
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + 0.3 * (high - low))
        axes.set_xticks([0.0, 0.5, 1.0], [ends[0], "half-way", ends[1]])
        axes.set(title=title, ylabel="loss", xlim=(-0.04, 1.04))
        axes.legend(frameon=False, loc="upper center", fontsize="small", borderaxespad=0.0)


def _named(direction: Direction) -> str:
    value = f", $\\mu = {_power(direction.curvature)}$" if direction.name in _EIGEN else ""
    return f"{_NAMES.get(direction.name, direction.name)} direction{value}"


def _power(value: float) -> str:
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{value:.3g}" if -3 <= int(exponent) < 4 else f"{mantissa} \\times 10^{{{int(exponent)}}}"


def plot_slice(cut: Line | Plane | Mapping[str, Segment], ax: Axes | None = None, title: str = "", surface: bool = False) -> Axes:
    """Draws what `slice_line`, `slice_plane` or `slice_between` found, on given axes or on those of a new figure.

    Args:
        cut: Slice that is drawn.
        ax: Where; None makes a figure.
        title: Above the axes.
        surface: Whether a plane is drawn as a surface in three dimensions; axes that are given must then have three.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> axes = ls.plot_slice(ls.slice_line(ls.place(problem, ls.Collapse()), "gauge"))
        >>> axes.get_xlabel()
        'gauge direction'

    Raises:
        InputError: If a surface is asked of anything but a plane, or on axes of two dimensions.
    """
    if surface:
        axes = surface_axes() if ax is None else ax
        if not (isinstance(cut, Plane) and isinstance(axes, Axes3D)):
            raise InputError('expected a plane and axes of three dimensions for a surface: add_subplot(projection="3d")')
        draw_surface(axes, cut, title)
        return axes
    axes = axes_or_new(ax, 2.7 if isinstance(cut, Plane) else 0.0)
    if isinstance(cut, Line):
        draw_line(axes, cut, title)
    elif isinstance(cut, Plane):
        draw_plane(axes, cut, title)
    else:
        draw_segments(axes, cut, title=title)
    return axes


def surface_axes(width: float = COLUMN_WIDTH, height: float = 0.0) -> Axes3D:
    """Returns three-dimensional axes of a new figure in the house style; sizes in inches, a height of 0 means 2.9."""
    with style(), rc_context({"grid.color": "0.6", "grid.linewidth": 0.4}):  # a grey for both grounds
        axes: Axes3D = Figure(figsize=(width, height or 2.9)).add_axes((0.0, 0.03, 0.9, 0.9), projection="3d")
        axes.set_box_aspect(None, zoom=0.85)
        return axes
