"""Pictures of spectra, logits, singular values and solves, drawn on given axes; nothing here solves or reads a file.

Everything is sized for a column of `COLUMN_WIDTH` in print and looks as `theme` says.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from torch import Tensor

from landscape.curvature.spectrum import Spectrum
from landscape.plot.theme import BLUE, COLUMN_WIDTH, DARK_ORANGE, INK, ORANGE, PAGE_WIDTH, RED, new_figure, save_figure, style
from landscape.point import CriticalPoint
from landscape.solver.newton import rank_tolerance

MOST_STEMS = 200  # distinct eigenvalues; beyond that stems touch at column width and a histogram says more
_HEAVY = 0.02  # share of the non-zero eigenvalues from which a repeated one keeps its own stem beside a histogram
_SIGNED = 12  # classes up to which the cells of a heat map hold a sign
_EQUAL = 1e-6  # relative difference that no print can show
_Atoms = list[tuple[float, int]]

__all__ = [
    "COLUMN_WIDTH",
    "MOST_STEMS",
    "PAGE_WIDTH",
    "draw_logits",
    "draw_singular_values",
    "draw_spectra",
    "draw_spectrum",
    "draw_trace",
    "new_figure",
    "save_figure",
    "style",
]


def draw_spectrum(
    axes: Axes, spectrum: Spectrum, zero_radius: float | None = None, title: str = "", decay: float | None = None
) -> None:
    """Draws multiplicities over eigenvalues: a stem for each, or a histogram of more than `MOST_STEMS`.

    The eigenvalue axis is logarithmic on both sides of a short linear stretch around 0 that holds nothing but the zeros. All
    zeros stand at 0 exactly, with their number. Eigenvalues that agree to 1e-6 share a stem. Beside a histogram, an eigenvalue
    that holds 2 % of the non-zero ones keeps a stem of its own.

    Args:
        axes: Where.
        spectrum: What.
        zero_radius: Eigenvalues of at most this size are zeros; the rounding error of the spectrum if not given.
        title: Above the axes.
        decay: Marks lambda and 2 lambda, where weight decay alone acts.
    """
    draw_spectra([axes], {title: spectrum}, {} if zero_radius is None else {title: zero_radius}, decay)


def draw_spectra(
    axes: Sequence[Axes],
    spectra: Mapping[str, Spectrum],
    zero_radii: Mapping[str, float] | None = None,
    decay: float | None = None,
) -> None:
    """Draws several spectra on the same scales, each as `draw_spectrum` does; axis labels stand at the outer axes only.

    Args:
        axes: One for each spectrum, a row or a column of `new_figure`, each about `COLUMN_WIDTH` wide.
        spectra: By title.
        zero_radii: By title; a missing one is the rounding error of its spectrum.
        decay: As in `draw_spectrum`.
    """
    parts = [_lines(spectrum, (zero_radii or {}).get(name, spectrum.error)) for name, spectrum in spectra.items()]
    values = [value for _, atoms in parts for value, _ in atoms] + ([decay, 2 * decay] if decay else [])
    indices = [sum(times for value, times in atoms if value < 0) for _, atoms in parts]
    label = "multiplicity" + " or bin count" * any(len(atoms) > MOST_STEMS for _, atoms in parts)
    with style():
        for place, name, (zeros, atoms) in zip(axes, spectra, parts, strict=True):
            _symmetric_log(place, "x", values, 0.075 * len(f"{max(indices):,} negative") if any(indices) else 0.0)
            place.set(yscale="log", xlabel="Hessian eigenvalue", ylabel=label)
            place.set_title(name, pad=13 if decay else 6)  # the marks of the decay stand between the title and the axes
            _draw_atoms(place, zeros, atoms)
        top = max(10, *(place.dataLim.y1 for place in axes)) / 0.6
        for place, (zeros, _), index in zip(axes, parts, indices, strict=True):
            place.set(xlim=axes[0].get_xlim(), ylim=(0.6, 0.6 * top**1.28))  # the room above the stems is for the counts
            place.yaxis.set_major_locator(LogLocator(numticks=6))
            place.yaxis.set_minor_locator(NullLocator())
            _write_counts(place, zeros, index, decay)
            place.label_outer()


def _lines(spectrum: Spectrum, zero_radius: float) -> tuple[int, _Atoms]:
    """Returns the number of zeros, and the other eigenvalues with those merged that cannot be told apart on paper."""
    zeros, atoms = 0, _Atoms()
    for value, times in spectrum.pairs():
        last, count = atoms[-1] if atoms else (0.0, 0)
        if abs(value) <= zero_radius:
            zeros += times
        elif value * last > 0 and value - last <= max(_EQUAL * abs(value), 2 * spectrum.error):
            atoms[-1] = (last, count + times)
        else:
            atoms.append((value, times))
    return zeros, atoms


def _draw_atoms(axes: Axes, zeros: int, atoms: _Atoms) -> None:
    least = max(2, _HEAVY * sum(times for _, times in atoms)) if len(atoms) > MOST_STEMS else 0
    binned = [atom for atom in atoms if atom[1] < least]
    stems = [atom for atom in atoms if atom[1] >= least]
    if binned:
        values, weights = zip(*binned, strict=True)
        axes.hist(values, _bins(values), weights=weights, color=BLUE, alpha=0.45, edgecolor="white", linewidth=0.3)
    for name, color, marker, size, group in (
        ("negative", RED, "v", 3.2, [atom for atom in stems if atom[0] < 0]),
        ("zero", ORANGE, "D", 4.2, [(0.0, zeros)] if zeros else []),
        ("positive", BLUE, "o", 3.2, [atom for atom in stems if atom[0] > 0]),
    ):
        if group:
            places, heights = zip(*group, strict=True)
            axes.vlines(places, 0.1, heights, color=color, linewidth=1.6 if name == "zero" else 0.9)
            axes.plot(places, heights, marker, color=color, markersize=size, label=name)


def _bins(values: Sequence[float]) -> list[float]:
    """Equal steps of the logarithm on each side of zero."""
    edges: list[float] = []
    for sign in (-1, 1):
        if sizes := [sign * value for value in values if sign * value > 0]:
            low, high = 0.999 * min(sizes), 1.001 * max(sizes)
            edges += (sign * np.geomspace(low, high, 1 + min(max(round(12 * math.log10(high / low)), 8), 60))).tolist()
    return sorted(edges)


def _write_counts(axes: Axes, zeros: int, negative: int, decay: float | None) -> None:
    """Writes the number of zeros above their stem, that of negative eigenvalues left of it, and marks the decay."""
    row: dict[str, Any] = {"va": "top", "bbox": {"color": "white", "pad": 0.6}}
    top, place = axes.get_xaxis_transform(), (0.0, 0.985)
    axes.text(*place, f" {zeros:,} zero{'' if zeros == 1 else 's'}", transform=top, color=DARK_ORANGE, weight="bold", **row)
    if zeros:
        axes.vlines(0.0, zeros, 0.6 * (axes.get_ylim()[1] / 0.6) ** 0.9, color=ORANGE, linestyle=":", linewidth=0.9)
    if negative:
        axes.text(*place, f"{negative:,} negative ", transform=top, color=RED, ha="right", **row)
    for value, name, side in ((decay, r"$\lambda$", "right"), (2 * decay, r"$2\lambda$", "left")) if decay else ():
        axes.axvline(value, color="0.6", linewidth=0.6, linestyle=(0, (2, 2)), zorder=0)
        axes.text(value, 1.0, name, transform=top, ha=side, va="bottom", color=INK, fontsize="small")


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
        bar = axes.figure.colorbar(image, ax=axes, shrink=0.9, pad=0.02)
        bar.outline.set_visible(False)
        bar.locator = MaxNLocator(5, steps=[1, 2, 5, 10])


def draw_singular_values(axes: Axes, point: CriticalPoint, tolerance: float | None = None, title: str = "") -> None:
    """Draws the singular values of each factor in its own column, the largest at the left; zeros stand at 0 with their number.

    The axis is linear, or logarithmic above a stretch that holds only the zeros where the values span a factor over 30.

    Args:
        axes: Where.
        point: Whose factors.
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
            _symmetric_log(axes, "y", sizes)
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


def _symmetric_log(axes: Axes, which: Literal["x", "y"], values: Sequence[float], room_below: float = 0.0) -> None:
    """Makes an axis logarithmic on both sides of a linear stretch that lies below the smallest of the non-zero values.

    Only the sides in use are shown, the negative one on at least `room_below` inches. Labels that would crowd are left out.
    """
    sizes = list(map(abs, values)) or [1.0]
    low, high = 0.5 * min(sizes), 1.6 * max(sizes)
    if math.floor(math.log10(high)) < math.log10(low):
        high = 1.05 * 10.0 ** math.ceil(math.log10(high))  # at least one power of ten must be in sight
    axis, set_scale = (axes.xaxis, axes.set_xscale) if which == "x" else (axes.yaxis, axes.set_yscale)
    inches = axes.bbox.size["xy".index(which)] / axes.figure.dpi  # before the layout makes room for the labels
    set_scale("symlog", linthresh=low, linscale=0.9 * max(0.35, 0.12 * math.log10(high / low)))
    to_axis = axis.get_transform()
    outer = [high / max(sizes) * max(sign * value for value in [0.0, *values]) or 0.3 * low for sign in (-1, 1)]
    start, end = to_axis.transform(np.array([-outer[0], outer[1]]))
    start = min(start, -end * room_below / max(inches - room_below, 0.5 * inches))
    limits = to_axis.inverted().transform(np.array([start, end])).tolist()
    axes.set(**{f"{which}lim": limits})
    powers = range(math.floor(math.log10(high)), math.floor(math.log10(low)) - 1, -1)
    shown, apart = [0.0], (0.42 if which == "x" else 0.2) * (end - start) / inches
    for value in (sign * 10.0**power for sign in (1, -1) for power in powers):
        gaps = np.abs(to_axis.transform(np.array(shown)) - to_axis.transform(np.array([value])))
        gaps[0] /= 0.65  # the label of zero is short
        if low <= abs(value) and limits[0] <= value <= limits[1] and gaps.min() >= apart:
            shown.append(value)
    between = [sign * step * 10.0**power for sign in (1, -1) for power in powers for step in range(2, 10) if high < 3e3 * low]
    axis.set_major_locator(FixedLocator(sorted(shown)))
    axis.set_minor_locator(FixedLocator([value for value in between if low < abs(value)]))
