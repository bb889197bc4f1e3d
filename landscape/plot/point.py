"""A point, drawn on given axes: its logits, the singular values of its factors, and the course of its solve."""

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from torch import Tensor

from landscape.model.objective import Objective, class_means
from landscape.plot.theme import BLUE, DARK_ORANGE, INK, ORANGE, axes_or_new, style, symmetric_log
from landscape.points.point import CriticalPoint
from landscape.solver.newton import rank_tolerance

_BAR = (1.04, 0.0, 0.06, 1.0)  # left, bottom, width and height of a colour bar in parts of its axes
_SIGNED = 12  # classes up to which the cells of a heat map hold a sign


def draw_logits(axes: Axes, class_mean_logits: Float[Tensor, "k m"], title: str = "") -> None:
    """Draws the logits, one column per class of the samples, as a heat map, white at 0, with a colour bar beside it.

    Where cells are large enough, the strongly negative ones carry a minus sign: grey print shows both signs alike.
    """
    logits = class_mean_logits.detach().cpu().numpy()
    limit = float(np.abs(logits).max()) or 1.0
    with style():
        image = axes.imshow(logits, cmap="vlag", vmin=-limit, vmax=limit, interpolation="nearest")
        if max(logits.shape) <= _SIGNED:
            for row, column in np.argwhere(logits < -0.5 * limit):
                axes.text(column, row, "−", color="white", ha="center", va="center", fontsize="small")
        axes.set(title=title, xlabel="class of the sample", ylabel="logit")
        for axis, count in ((axes.xaxis, logits.shape[1]), (axes.yaxis, logits.shape[0])):
            axis.set_ticks(range(0, count, next(step for step in (1, 2, 5, 10, 20, 50, 100, count) if count <= 10 * step)))
        axes.spines[:].set_visible(True)
        bar = axes.figure.colorbar(image, cax=axes.inset_axes(_BAR))  # inside the axes' frame of reference: as high as the map
        bar.outline.set_visible(False)
        bar.locator = MaxNLocator(5, steps=[1, 2, 5, 10])


def draw_singular_values(axes: Axes, point: CriticalPoint, tolerance: float | None = None, title: str = "") -> None:
    """Draws the singular values of each factor in its own column, the largest at the left; zeros stand at 0 with their number.

    The axis is linear, or logarithmic above a stretch that holds only the zeros where the values span a factor over 30.

    Args:
        axes: Axes to draw on.
        point: Point whose factors are drawn.
        tolerance: Values up to it are zeros; if not given, what the gradient norm allows, or far from critical only rounding.
        title: Above the axes.
    """
    factors = point.factors()
    values = [torch.linalg.svdvals(factor.detach()).cpu() for factor in factors.values()]
    largest = max(float(part[0]) for part in values)
    if tolerance is None:
        near, rounding = (rank_tolerance(point.problem, point.theta, norm) for norm in (point.gradient_norm, 0.0))
        tolerance = near if near <= 1e-3 * largest else rounding  # a larger one would swallow values that mean something
    kept = [part[part > tolerance].tolist() for part in values]
    with style():
        axes.set_ylim(-0.13 * (largest or 1.0), 1.12 * (largest or 1.0))
        if (sizes := [value for part in kept for value in part]) and max(sizes) > 30 * min(sizes):
            symmetric_log(axes, "y", sizes)
        for column, (part, shown) in enumerate(zip(values, kept, strict=True)):
            places = [column - 0.32 + 0.64 * (i + 0.5) / len(shown) for i in range(len(shown))]
            axes.plot(places, shown, "o", color=BLUE, markersize=2.6 if len(shown) <= 12 else 1.6, label="non-zero")
            if zeros := len(part) - len(shown):
                axes.plot([column], [0.0], "D", color=ORANGE, markersize=4.2, label="zero")
                note: dict[str, Any] = {"ha": "center", "fontsize": "small", "rotation": 90 if len(values) > 6 else 0}
                axes.annotate(f"×{zeros}", (column, 0.0), (0, 5), textcoords="offset points", color=DARK_ORANGE, **note)
        axes.axhline(0.0, color="0.8", linewidth=0.6, zorder=0)
        stride = math.ceil(0.3 * len(values) * axes.figure.dpi / axes.bbox.width)  # a label takes 0.3 inches
        axes.set_xticks(range(0, len(values), stride), [f"${name}$" for name in factors][::stride])
        axes.set(title=title, xlim=(-0.6, len(values) - 0.4), xlabel="factor", ylabel="singular value")


def draw_trace(axes: Axes, point: CriticalPoint, title: str = "") -> None:
    """Draws the loss (left axis) and the gradient norm (right axis, logarithmic) along a solve.

    The loss is on a logarithmic axis where it falls by a factor over 10. A gradient that is exactly zero is a triangle at the
    bottom; numbers that are not finite leave gaps. A point without a record says so.
    """
    steps, loss, norm = point.trace.detach().cpu().numpy().T
    with style():
        axes.set(title=title, xlabel="step")
        if not len(steps):
            axes.text(0.5, 0.5, "no record of a solve", transform=axes.transAxes, ha="center", va="center", color=INK)
            axes.set_axis_off()
            return
        right = axes.twinx()
        right.spines["right"].set_visible(True)
        finite = loss[np.isfinite(loss)]
        _draw_curve(axes, steps, loss, "loss", bool(0 < 10 * finite.min(initial=np.inf) < finite.max(initial=0.0)))
        _draw_curve(right, steps, norm, "gradient norm", True)
        axes.ticklabel_format(axis="x", scilimits=(-3, 4), useMathText=True)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))


def _draw_curve(axes: Axes, steps: np.ndarray, values: np.ndarray, name: str, logarithmic: bool) -> None:
    color, line, kind = (BLUE, "-", "solid") if name == "loss" else (ORANGE, "--", "dashed")
    fits = np.isfinite(values) & ((values > 0) | (not logarithmic))
    line = line if fits.sum() > 1 else "s" if name == "loss" else "o"
    axes.plot(steps, np.where(fits, values, np.nan), line, markersize=5 if line == "s" else 3, color=color, label=name)
    if logarithmic:
        axes.set_yscale("log")
        narrow = values[fits].max(initial=0.0) < 100 * values[fits].min(initial=np.inf)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if narrow else LogLocator(numticks=6))
        if narrow:  # powers of ten alone would leave one label or none
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        bottom, zeros = axes.get_xaxis_transform(), steps[values == 0]
        axes.plot(zeros, 0.02 + 0 * zeros, "v", color=color, markersize=4, transform=bottom, label=f"{name} 0")
    ink = tuple(0.75 * part for part in color)
    axes.set_ylabel(f"{name} ({kind})", color=ink)
    axes.tick_params(axis="y", which="both", colors=ink)


def plot_logits(point: CriticalPoint, ax: Axes | None = None, title: str = "") -> Axes:
    """Draws the class-mean logits of a point as a heat map, on given axes or on those of a new figure.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> ls.plot_logits(ls.place(problem, ls.Pairs())).get_xlabel()
        'class of the sample'
    """
    axes = axes_or_new(ax, 2.7)
    draw_logits(axes, class_means(point.problem, Objective.of(point.problem, point.theta).logits(point.theta)), title)
    return axes


def plot_singular_values(point: CriticalPoint, ax: Axes | None = None, title: str = "") -> Axes:
    """Draws the singular values of every factor of a point, on given axes or on those of a new figure.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> ls.plot_singular_values(ls.place(problem, ls.Pairs())).get_ylabel()
        'singular value'
    """
    axes = axes_or_new(ax)
    draw_singular_values(axes, point, title=title)
    return axes


def plot_solve(point: CriticalPoint, ax: Axes | None = None, title: str = "") -> Axes:
    """Draws loss and gradient norm along the solve of a point, on given axes or on those of a new figure.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> ls.plot_solve(ls.solve(problem, ls.Random(seed=0))).get_xlabel()
        'step'
    """
    axes = axes_or_new(ax)
    draw_trace(axes, point, title)
    return axes
