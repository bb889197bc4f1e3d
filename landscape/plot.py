"""Pictures of spectra, logits, singular values and solves, drawn on given axes; nothing here solves or reads a file.

Everything is sized for a column of 3.3 inches in print, in colours that the colour-blind can tell apart, with a marker shape
for each colour so that grey print keeps the meaning. No pyplot figure is made, so no display and no global state is touched.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import seaborn
import torch
from jaxtyping import Float
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from torch import Tensor

from landscape.curvature.spectrum import Spectrum
from landscape.errors import InputError
from landscape.point import CriticalPoint
from landscape.solver.newton import rank_tolerance
from landscape.store import replacing

COLUMN_WIDTH = 3.3  # inches, the text column of NeurIPS-like and two-column styles
FORMATS = ("png", "pdf", "svg")
MOST_STEMS = 200  # distinct eigenvalues; beyond that stems touch each other at column width and a histogram says more
_BLUE, _ORANGE, _GREEN, _RED = (seaborn.color_palette("colorblind")[i] for i in (0, 1, 2, 3))
_INK = "0.25"
_EQUAL = 1e-6  # relative difference that no print can show
_HEAVY = 0.02  # share of the non-zero eigenvalues from which a repeated one keeps its own stem beside a histogram
_METADATA = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Producer": None}, "svg": {"Date": None}}


@contextmanager
def style() -> Iterator[None]:
    """The look of every picture, for as long as the context lasts."""
    settings = {
        **seaborn.plotting_context("paper", font_scale=0.85),
        **seaborn.axes_style("ticks"),
        "axes.edgecolor": _INK,
        "axes.formatter.limits": (-3, 4),
        "axes.formatter.use_mathtext": True,
        "axes.linewidth": 0.7,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlepad": 8.0,
        "pdf.fonttype": 42,  # publishers refuse Type 3
        "savefig.dpi": 300,
        "svg.hashsalt": "landscape",  # without it the ids in the file are random
        "text.usetex": False,
        "xtick.major.width": 0.7,
        "ytick.major.width": 0.7,
        "xtick.major.size": 3.5,
        "ytick.major.size": 3.5,
        "xtick.minor.size": 1.8,
        "ytick.minor.size": 1.8,
    }
    with rc_context(settings):
        yield


def new_figure(
    rows: int = 1, columns: int = 1, width: float = COLUMN_WIDTH, height: float | None = None
) -> tuple[Figure, list[Axes]]:
    """Returns a figure with its axes, row by row, in the house style.

    Args:
        rows: Of axes.
        columns: Of axes.
        width: Inches.
        height: Inches; 2.2 per row if not given.
    """
    with style():
        figure = Figure(figsize=(width, 2.2 * rows if height is None else height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.flat)


def save_figure(figure: Figure, path: Path) -> None:
    """Writes PNG, PDF or SVG by the suffix of the name, whole or not at all; the same picture gives the same bytes.

    Raises:
        InputError: If the suffix is another one or the file cannot be written.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise InputError(f"expected a picture named .png, .pdf or .svg, got {path.name!r}")
    with replacing(path) as temporary, style():
        figure.savefig(temporary, format=kind, metadata=_METADATA[kind])


# ---------------------------------------------------------------------------------------------------------------- spectra


@dataclass(frozen=True)
class _Lines:
    """A spectrum as it is drawn: what cannot be told apart on paper is one line.

    Attributes:
        zeros: Eigenvalues within the zero radius.
        atoms: The others, ascending, as (eigenvalue, multiplicity).
    """

    zeros: int
    atoms: tuple[tuple[float, int], ...]

    @classmethod
    def of(cls, spectrum: Spectrum, zero_radius: float | None) -> "_Lines":
        radius = spectrum.error if zero_radius is None else zero_radius
        zeros, atoms = 0, list[tuple[float, int]]()
        for value, times in spectrum.pairs():
            if abs(value) <= radius:
                zeros += times
            elif atoms and value - atoms[-1][0] <= max(_EQUAL * abs(value), 2 * spectrum.error):
                atoms[-1] = (atoms[-1][0], atoms[-1][1] + times)
            else:
                atoms.append((value, times))
        return cls(zeros, tuple(atoms))

    @property
    def dense(self) -> bool:
        return len(self.atoms) > MOST_STEMS

    def split(self) -> tuple[list[tuple[float, int]], list[tuple[float, int]]]:
        """Returns the atoms that are drawn as stems and those that are counted in bins."""
        if not self.dense:
            return list(self.atoms), []
        threshold = max(2, _HEAVY * sum(times for _, times in self.atoms))
        heavy = [atom for atom in self.atoms if atom[1] >= threshold]
        return heavy, [atom for atom in self.atoms if atom[1] < threshold]


def draw_spectrum(
    axes: Axes,
    spectrum: Spectrum,
    zero_radius: float | None = None,
    title: str = "",
    decay: float | None = None,
) -> None:
    """Draws multiplicities over eigenvalues: a stem for each eigenvalue, or a histogram where there are more than `MOST_STEMS`.

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
    draw_spectra([axes], {title: spectrum}, None if zero_radius is None else {title: zero_radius}, decay)


def draw_spectra(
    axes: Sequence[Axes],
    spectra: Mapping[str, Spectrum],
    zero_radii: Mapping[str, float] | None = None,
    decay: float | None = None,
) -> None:
    """Draws several spectra, one on each of the axes, on the same scales; axis labels stand at the outer axes only.

    Args:
        axes: As many as there are spectra, for example the row or the column of `new_figure`.
        spectra: By title.
        zero_radii: By title; see `draw_spectrum`.
        decay: As in `draw_spectrum`.

    Raises:
        ValueError: If the numbers of axes and spectra differ.
    """
    lines = [_Lines.of(spectrum, (zero_radii or {}).get(name)) for name, spectrum in spectra.items()]
    values = [value for part in lines for value, _ in part.atoms]
    label = "multiplicity (bars: per bin)" if any(part.dense for part in lines) else "multiplicity"
    with style():
        for place, name, part in zip(axes, spectra, lines, strict=True):
            _symmetric_log(place, "x", [*values, *([decay, 2 * decay] if decay else [])])
            place.set_yscale("log")
            place.set(title=name, xlabel="Hessian eigenvalue", ylabel=label)
            _draw_lines(place, part)
        top = max(place.dataLim.y1 for place in axes)
        for place, part in zip(axes, lines, strict=True):
            place.set_ylim(0.6, 0.6 * (max(top, 10) / 0.6) ** 1.28)  # the room above the stems is for the counts
            place.yaxis.set_major_locator(LogLocator(numticks=6))
            place.yaxis.set_minor_locator(NullLocator())
            _write_counts(place, part)
            if decay:
                _mark_decay(place, decay)
            if len(axes) > 1:
                place.label_outer()


def _draw_lines(axes: Axes, lines: _Lines) -> None:
    stems, binned = lines.split()
    if binned:
        values, times = zip(*binned, strict=True)
        counts, edges, _ = axes.hist(
            values, bins=_bins(values), weights=times, color=_BLUE, alpha=0.45, edgecolor="white", linewidth=0.3, label="binned"
        )
    groups = (
        ("negative", _RED, "v", [atom for atom in stems if atom[0] < 0]),
        ("zero", _ORANGE, "D", [(0.0, lines.zeros)] if lines.zeros else []),
        ("positive", _BLUE, "o", [atom for atom in stems if atom[0] > 0]),
    )
    for name, color, marker, atoms in groups:
        if atoms:
            places, heights = zip(*atoms, strict=True)
            wide = name == "zero"
            axes.vlines(places, 0.1, heights, color=color, linewidth=1.6 if wide else 0.9, label=f"{name} stems")
            axes.plot(places, heights, marker, color=color, markersize=4.2 if wide else 3.2, label=name)


def _bins(values: Sequence[float]) -> list[float]:
    """Equal steps of the logarithm on each side of zero."""
    edges: list[float] = []
    for sign in (-1, 1):
        sizes = [abs(value) for value in values if value * sign > 0]
        if sizes:
            low, high = math.log10(min(sizes)) - 1e-3, math.log10(max(sizes)) + 1e-3
            count = min(max(round(12 * (high - low)), 8), 60)
            edges += [sign * 10 ** float(power) for power in np.linspace(low, high, count + 1)]
    return sorted(edges)


def _write_counts(axes: Axes, lines: _Lines) -> None:
    """Writes how many zeros there are above their stem, with a leader to it, and how many negative ones left of that."""
    across = axes.get_xaxis_transform()
    axes.annotate(
        f" {lines.zeros:,} zero{'' if lines.zeros == 1 else 's'}",
        (0.0, max(lines.zeros, 0.6)),
        (0.0, 0.985),
        textcoords=across,
        color="#9a5f00",  # the orange of the marker is too light for letters
        fontweight="bold",
        va="top",
        arrowprops={"arrowstyle": "-", "color": _ORANGE, "linestyle": ":", "linewidth": 0.9, "shrinkA": 0, "shrinkB": 2},
    )
    negative = sum(times for value, times in lines.atoms if value < 0)
    if negative:
        axes.text(0.0, 0.985, f"{negative:,} negative ", color=_RED, transform=across, ha="right", va="top")


def _mark_decay(axes: Axes, decay: float) -> None:
    for value, name, side in ((decay, r"$\lambda$", "right"), (2 * decay, r"$2\lambda$", "left")):
        axes.axvline(value, ymax=1.0, color="0.6", linewidth=0.6, linestyle=(0, (2, 2)), zorder=0)
        axes.text(value, 1.0, name, transform=axes.get_xaxis_transform(), ha=side, va="bottom", color=_INK, fontsize="small")


# ------------------------------------------------------------------------------------------------------- points and solves


def draw_logits(axes: Axes, class_mean_logits: Float[Tensor, "k m"], title: str = "") -> None:
    """Draws the logits as a heat map, white at 0, with a colour bar.

    Args:
        axes: Where; the colour bar takes its room from them.
        class_mean_logits: One column per class of the samples.
        title: Above the axes.
    """
    logits = class_mean_logits.detach().cpu().numpy()
    limit = float(np.abs(logits).max()) or 1.0
    with style():
        image = axes.imshow(
            logits, cmap=seaborn.color_palette("vlag", as_cmap=True), vmin=-limit, vmax=limit, interpolation="nearest"
        )
        axes.set(title=title, xlabel="class of the sample", ylabel="logit")
        for axis, count in ((axes.xaxis, logits.shape[1]), (axes.yaxis, logits.shape[0])):
            stride = next(step for step in (1, 2, 5, 10, 20, 50, 100, count) if count <= 10 * step)
            axis.set_major_locator(FixedLocator(range(0, count, stride)))
            axis.set_minor_locator(NullLocator())
        axes.spines[:].set_visible(True)
        figure = axes.get_figure(root=True)
        assert figure is not None, "axes are made by a figure"
        bar = figure.colorbar(image, ax=axes, shrink=0.9, pad=0.02)
        bar.outline.set_visible(False)
        bar.locator = MaxNLocator(5)
        bar.update_ticks()


def draw_singular_values(axes: Axes, point: CriticalPoint, tolerance: float | None = None, title: str = "") -> None:
    """Draws the singular values of each factor in its own column, the largest at the left; zeros stand at 0 with their number.

    The axis is linear, or logarithmic above a stretch that holds only the zeros where the values span a factor over 30.

    Args:
        axes: Where.
        point: Whose factors.
        tolerance: Singular values of at most this size are zeros; if not given, what the gradient norm allows at a nearly
            critical point, and only rounding elsewhere.
        title: Above the axes.
    """
    factors = point.factors()
    values = [torch.linalg.svdvals(factor.detach()).cpu() for factor in factors.values()]
    largest = max(float(part[0]) for part in values)
    if tolerance is None:
        tolerance = rank_tolerance(point.problem, point.theta, point.gradient_norm)
        if tolerance > 1e-3 * largest:  # far from critical it would swallow values that mean something
            tolerance = rank_tolerance(point.problem, point.theta, 0.0)
    kept = [part[part > tolerance].tolist() for part in values]
    sizes = [value for part in kept for value in part]
    logarithmic = bool(sizes) and max(sizes) > 30 * min(sizes)
    with style():
        if logarithmic:
            _symmetric_log(axes, "y", sizes)
        else:
            axes.set_ylim(-0.13 * (largest or 1.0), 1.12 * (largest or 1.0))
        for column, (part, shown) in enumerate(zip(values, kept, strict=True)):
            spread = [column - 0.32 + 0.64 * (i + 0.5) / len(shown) for i in range(len(shown))]
            axes.plot(spread, shown, "o", color=_BLUE, markersize=2.6 if len(shown) <= 12 else 1.6, label="non-zero")
            zeros = len(part) - len(shown)
            if zeros:
                axes.plot(column, 0.0, "D", color=_ORANGE, markersize=4.2, label="zero")
                axes.annotate(
                    f"{zeros:,}", (column, 0.0), (0, 4), textcoords="offset points", ha="center", color="#9a5f00", fontsize="small"
                )
        axes.axhline(0.0, color="0.8", linewidth=0.6, zorder=0)
        stride = math.ceil(len(values) * 0.3 / max(_inches(axes, "x"), 0.3))
        axes.set_xticks(range(0, len(values), stride), [f"${name}$" for name in factors][::stride])
        axes.set(title=title, xlim=(-0.6, len(values) - 0.4), ylabel="singular value (zeros: count)")


def draw_trace(axes: Axes, point: CriticalPoint, title: str = "") -> None:
    """Draws the loss (left axis) and the gradient norm (right axis, logarithmic) along a solve.

    The loss is on a logarithmic axis where it falls by a factor over 10. A gradient that is exactly zero is a triangle at the
    bottom; numbers that are not finite leave gaps. A point without a record says so.
    """
    steps, loss, norm = point.trace.detach().cpu().numpy().T
    with style():
        axes.set(title=title, xlabel="step")
        if not len(steps):
            axes.text(0.5, 0.5, "no record of a solve", transform=axes.transAxes, ha="center", va="center", color=_INK)
            axes.set(xticks=[], yticks=[])
            return
        right = axes.twinx()
        right.spines["right"].set_visible(True)
        usual = loss[np.isfinite(loss)]
        _draw_curve(axes, steps, loss, _BLUE, "-", "loss", len(usual) > 0 and 0 < 10 * usual.min() < usual.max())
        _draw_curve(right, steps, norm, _ORANGE, "--", "gradient norm", True)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def _draw_curve(
    axes: Axes, steps: np.ndarray, values: np.ndarray, color: tuple[float, float, float], line: str, name: str, log: bool
) -> None:
    marker = "o" if len(steps) == 1 else ""
    drawable = np.isfinite(values) & (values > 0) if log else np.isfinite(values)
    axes.plot(steps, np.where(drawable, values, np.nan), line, marker=marker, markersize=3, color=color, label=name)
    if log:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(numticks=6))
        axes.yaxis.set_minor_formatter(NullFormatter())
        zeros = steps[values == 0]
        axes.plot(
            zeros, np.full(len(zeros), 0.02), "v", color=color, markersize=4, transform=axes.get_xaxis_transform(), label=f"{name} 0"
        )
    ink = tuple(0.75 * part for part in color)
    axes.set_ylabel(f"{name} ({'dashed' if line == '--' else 'solid'})", color=ink)
    axes.tick_params(axis="y", colors=ink)


# ------------------------------------------------------------------------------------------------------------------- axes


def _symmetric_log(axes: Axes, which: Literal["x", "y"], values: Iterable[float]) -> None:
    """Makes an axis logarithmic on both sides of a linear stretch that lies below the smallest of the non-zero values.

    Only the sides that are used are shown. Decades that would crowd are left unlabelled.
    """
    sizes = sorted(abs(value) for value in values) or [1.0]
    low, high = 0.5 * sizes[0], 1.6 * sizes[-1]
    decades = math.log10(high / low)
    share = max(0.35, 0.12 * decades)  # of the linear stretch, in decades on each side
    negative, positive = (max((sign * value for value in values), default=0.0) for sign in (-1, 1))
    pad = 0.3 * low
    limits = (-1.6 * negative if negative > 0 else -pad, 1.6 * positive if positive > 0 else pad)
    options = {"linthresh": low, "linscale": 0.9 * share, "base": 10}
    axis: Axis = axes.xaxis if which == "x" else axes.yaxis
    if which == "x":
        axes.set_xscale("symlog", **options)
        axes.set_xlim(*limits)
    else:
        axes.set_yscale("symlog", **options)
        axes.set_ylim(*limits)
    transform = axis.get_transform()
    start, end = transform.transform(np.array(limits))
    inches = _inches(axes, which) / (end - start)
    room = 0.42 if which == "x" else 0.2
    powers = range(math.floor(math.log10(high)), math.ceil(math.log10(low)) - 1, -1)
    shown = [0.0]
    for value in (sign * 10.0**power for sign in (1, -1) for power in powers):
        spots = transform.transform(np.array([value, *shown])) * inches
        if limits[0] <= value <= limits[1] and np.abs(spots[1:] - spots[0]).min() >= room:
            shown.append(value)
    axis.set_major_locator(FixedLocator(sorted(shown)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _power(value)))
    minor = [sign * step * 10.0**power for sign in (1, -1) for power in [*powers, powers[-1] - 1] for step in range(2, 10)]
    few = decades <= 3.5
    axis.set_minor_locator(FixedLocator([v for v in minor if few and limits[0] < v < limits[1] and abs(v) > low]))
    axis.set_minor_formatter(NullFormatter())


def _inches(axes: Axes, which: Literal["x", "y"]) -> float:
    """The length of an axis before the labels have taken their room, less what they usually take."""
    figure = axes.get_figure(root=True)
    assert figure is not None, "axes are made by a figure"
    box = axes.get_position().bounds[2 if which == "x" else 3]
    return float(box * figure.get_size_inches()[0 if which == "x" else 1])


def _power(value: float) -> str:
    sign = "-" if value < 0 else ""
    return f"${sign}10^{{{round(math.log10(abs(value)))}}}$" if value else "$0$"
