"""Spectra as pictures: one, or several on the same scales, side by side, stacked, overlaid or as small multiples."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from landscape.errors import InputError
from landscape.plot.spectrum_panel import (
    FLOOR,
    MOST_STEMS,
    ORIGINS,
    POINTS,
    Mark,
    annotate_heights,
    draw_panel,
    mark_decay,
    write_counts,
    zeros_in_words,
)
from landscape.plot.spectrum_parts import Drawable, SpectrumParts, parts_of
from landscape.plot.theme import COLUMN_WIDTH, axes_or_new, below, figure_of, new_figure, style, symmetric_log

Arrangement = Literal["beside", "stacked", "overlaid", "grid"]
AxisScale = Literal["symlog", "linear"]
_GRID, _PANEL = 4, 1.6  # small multiples in a row at most, and the inches that each needs
_WORDS = 1.15  # inches that the name of an origin takes in a legend
_NEGATIVE = 0.075  # inches that a letter of the count of negative eigenvalues takes
_INNER = 0.8  # of the width of axes that is left when the layout has made room for the labels


def plot_spectrum(
    spectrum: Drawable,
    ax: Axes | None = None,
    title: str | None = None,
    zero_radius: float | None = None,
    decay: float | None = None,
    axis: AxisScale = "symlog",
    origins: bool = True,
) -> Axes:
    """Draws multiplicities over eigenvalues, a stem for each or a histogram of more than 200, on given or new axes.

    The eigenvalue axis is logarithmic on both sides of a short linear stretch around 0 that holds nothing but the zeros. All
    zeros stand at 0 exactly, with their number. Eigenvalues that agree to 1e-6 share a stem. Beside a histogram, an eigenvalue
    that holds 2 % of the non-zero ones keeps a stem of its own. A report of the exact reduction knows where each eigenvalue
    comes from: stems have the colour of their origin then, and a legend stands below. An estimate is drawn with error bars, its
    unresolved part as eigenvalues per bin with a band of one standard error over the probes.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> axes = ls.plot_spectrum(ls.analyse(ls.place(problem, ls.Collapse())))
        >>> axes.get_title(), axes.get_xlabel()
        ('DNC', 'Hessian eigenvalue')

    Args:
        spectrum: All eigenvalues, a report that has them, or a density that probes have seen.
        ax: The axes; None makes a figure.
        title: Above the axes; None takes the structure of a report.
        zero_radius: Eigenvalues of at most this size are zeros; None takes that of the report, or the error of the spectrum.
        decay: Marks lambda and 2 lambda; None takes that of the report.
        axis: Scale of the eigenvalues.
        origins: Whether colours stand for origins where a report knows them; for signs otherwise.

    Raises:
        InputError: If the report has no spectrum.
    """
    parts = parts_of(spectrum, title, zero_radius, decay, origins)
    axes = axes_or_new(ax, 2.6 if parts.by_origin else 0.0)
    draw_parts([axes], [parts], axis)
    if parts.by_origin:
        _legend_below(axes, parts)
    return axes


def plot_spectra(
    spectra: Mapping[str, Drawable],
    ax: Sequence[Axes] | None = None,
    arrange: Arrangement = "beside",
    axis: AxisScale = "symlog",
    origins: bool = True,
    width: float = 0.0,
    height: float = 0.0,
) -> Sequence[Axes]:
    """Draws several spectra on the same scales, on given axes or on those of a new figure.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> points = {"DNC": ls.place(problem, ls.Collapse()), "low rank": ls.place(problem, ls.Pairs())}
        >>> axes = ls.plot_spectra({name: ls.analyse(point) for name, point in points.items()})
        >>> [place.get_title() for place in axes]
        ['DNC', 'low rank']
        >>> len(ls.plot_spectra({name: ls.spectrum(point) for name, point in points.items()}, arrange="overlaid"))
        1

    Args:
        spectra: Spectra by their title.
        ax: One for each spectrum, or one alone for overlaid spectra.
        arrange: Side by side, stacked, overlaid on one pair of axes, or small multiples in rows of four.
        axis: Scale of the eigenvalues.
        origins: Whether colours stand for origins where a report knows them.
        width: Inches of a new figure; 0 takes one column for each spectrum of a row.
        height: Inches of a new figure; 0 takes what the rows need.

    Raises:
        InputError: If a report has no spectrum, or the axes are not as many as the spectra.
    """
    overlaid = arrange == "overlaid"
    parts = [parts_of(source, name, origins=origins and not overlaid) for name, source in spectra.items()]
    needed = 1 if overlaid else len(parts)
    axes = _panels(needed, arrange, width, height, any(part.by_origin for part in parts)) if ax is None else list(ax)
    if len(axes) != needed:
        raise InputError(f"expected {needed} axes, one for each spectrum, got {len(axes)}")
    if overlaid:
        draw_overlaid(axes[0], parts, axis)
    else:
        draw_parts(axes, parts, axis, small=arrange == "grid")
        if ax is None and any(part.by_origin for part in parts):
            _legend_of_figure(axes, parts)
    return axes


def _panels(count: int, arrange: Arrangement, width: float, height: float, legend: bool) -> list[Axes]:
    """Returns the axes of a new figure; those that are left over in a grid are taken away."""
    abreast = min(count, _GRID, int(width / _PANEL) if width else _GRID)
    columns = {"beside": count, "stacked": 1, "overlaid": 1, "grid": max(abreast, 1)}[arrange]
    rows = math.ceil(count / columns)
    small = arrange == "grid"
    size = (width or (1.7 if small else COLUMN_WIDTH) * columns, height or (1.5 if small else 2.2) * rows + 0.35 * legend)
    figure, axes = new_figure(rows, columns, *size)
    for place in axes[count:]:
        figure.delaxes(place)
    return axes[:count]


def draw_parts(axes: Sequence[Axes], parts: Sequence[SpectrumParts], axis: AxisScale = "symlog", small: bool = False) -> None:
    """Draws each spectrum on its own axes, all on the same scales; axis labels stand at the outer axes only."""
    with style():
        for place, part in zip(axes, parts, strict=True):
            _set_scales(place, parts, axis, small)
            place.set_title(part.name, pad=13 if part.decay and not small else 6)  # the decay's marks stand below the title
            draw_panel(place, part)
        top = max(10.0, *(place.dataLim.y1 for place in axes)) / FLOOR
        for place, part in zip(axes, parts, strict=True):
            place.set(xlim=axes[0].get_xlim(), ylim=(FLOOR, FLOOR * top**1.28))  # the room above the stems is for the counts
            place.yaxis.set_major_locator(LogLocator(numticks=6))
            place.yaxis.set_minor_locator(NullLocator())
            write_counts(place, part if not small else _unmarked(part), small)
            place.label_outer()
        for place, part in zip(axes, parts, strict=True):
            if part.by_origin and not small:
                annotate_heights(place, part)


def _unmarked(part: SpectrumParts) -> SpectrumParts:
    return SpectrumParts(part.name, part.stems, part.nodes, part.counts)


def draw_overlaid(axes: Axes, parts: Sequence[SpectrumParts], axis: AxisScale = "symlog") -> None:
    """Draws several spectra on one pair of axes, a colour and a marker for each; the legend has their zeros.

    Raises:
        InputError: If there are more spectra than colours.
    """
    if len(parts) > len(POINTS):
        raise InputError(f"expected at most {len(POINTS)} overlaid spectra, got {len(parts)}: lay them out as a grid")
    decays = {part.decay for part in parts}
    with style():
        _set_scales(axes, parts, axis, small=False)
        for part, mark in zip(parts, POINTS, strict=False):
            words = f"{part.name}: {zeros_in_words(part)}"
            words += f", {part.negative:.0f} negative" if round(part.negative) else ""
            draw_panel(axes, part, Mark(words, mark.color, mark.marker))
        axes.set_ylim(FLOOR, FLOOR * (max(10.0, axes.dataLim.y1) / FLOOR) ** 1.1)
        axes.yaxis.set_minor_locator(NullLocator())
        mark_decay(axes, decays.pop() if len(decays) == 1 else None)
        handles, labels = axes.get_legend_handles_labels()
        named = [(handle, label) for handle, label in zip(handles, labels, strict=True) if label != "density"]
        columns = 2 if len(named) > 1 and max(len(label) for _, label in named) < 26 else 1
        _below(axes, [handle for handle, _ in named], [label for _, label in named], columns)


def _set_scales(axes: Axes, parts: Sequence[SpectrumParts], axis: AxisScale, small: bool) -> None:
    values = [value for part in parts for value in part.values]
    values += [step * part.decay for part in parts if part.decay for step in (1, 2)]
    letters = max((len(f"{part.negative:.0f} negative") for part in parts if round(part.negative)), default=0)
    if axis == "linear":
        low, high = min([0.0, *values]), max([0.0, *values])
        room = 0.06 * (high - low) or 1.0
        inches = _INNER * axes.bbox.width / figure_of(axes).dpi
        share = min(_NEGATIVE * letters / inches, 0.5)  # of the axis, left of zero
        axes.set_xlim(min(low - room, -share / (1 - share) * (high + room)), high + room)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.ticklabel_format(axis="x", scilimits=(-2, 3), useMathText=True)
    else:
        symmetric_log(axes, "x", values, _NEGATIVE * letters)
    binned = any(part.nodes or sum(1 for stem in part.stems if stem.value) > MOST_STEMS for part in parts)
    label = "number" if small else "multiplicity" + " or bin count" * binned
    axes.set(yscale="log", xlabel="eigenvalue" if small else "Hessian eigenvalue", ylabel=label)


def _below(axes: Axes, handles: Sequence[Artist], labels: Sequence[str], columns: int) -> None:
    axes.legend(handles, labels, ncols=columns, frameon=False, fontsize="small", handletextpad=0.3, **below(axes, 0.42))


def _legend_below(axes: Axes, parts: SpectrumParts) -> None:
    """Names the origins with their totals, under axes that stand alone."""
    totals = {look.words: sum(s.height for s in parts.stems if s.origin is kind) for kind, look in ORIGINS.items()}
    handles, labels = axes.get_legend_handles_labels()
    with style():
        _below(axes, handles, [f"{label} ({totals[label]:.0f})" for label in labels], 2)


def _legend_of_figure(axes: Sequence[Axes], parts: Sequence[SpectrumParts]) -> None:
    """Names the origins once, below all panels."""
    known: dict[str, Artist] = {}
    for place in axes:
        handles, labels = place.get_legend_handles_labels()
        known |= dict(zip(labels, handles, strict=True))
    words = [look.words for look in ORIGINS.values() if look.words in known]
    figure = figure_of(axes[0])
    columns = max(1, min(len(words), int(figure.get_figwidth() / _WORDS)))
    with style():
        figure.legend(
            [known[word] for word in words], words, loc="outside lower center", ncols=columns, frameon=False, handletextpad=0.2
        )
