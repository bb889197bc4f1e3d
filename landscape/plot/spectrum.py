"""Spectra, drawn on given axes: multiplicities as stems, or a histogram of many eigenvalues.

Everything is sized for a column of `COLUMN_WIDTH` in print and looks as `theme` says.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

from landscape.curvature.spectra.spectrum import Spectrum
from landscape.degeneracy.report import DegeneracyReport
from landscape.errors import InputError
from landscape.plot.theme import (
    BLUE,
    COLUMN_WIDTH,
    DARK_ORANGE,
    INK,
    ORANGE,
    RED,
    axes_or_new,
    new_figure,
    style,
    symmetric_log,
)

MOST_STEMS = 200  # distinct eigenvalues; beyond that stems touch at column width and a histogram says more


_HEAVY = 0.02  # share of the non-zero eigenvalues from which a repeated one keeps its own stem beside a histogram


_EQUAL = 1e-6  # relative difference that no print can show


_Atoms = list[tuple[float, int]]


def draw_spectrum(
    axes: Axes, spectrum: Spectrum, zero_radius: float | None = None, title: str = "", decay: float | None = None
) -> None:
    """Draws multiplicities over eigenvalues: a stem for each, or a histogram of more than `MOST_STEMS`.

    The eigenvalue axis is logarithmic on both sides of a short linear stretch around 0 that holds nothing but the zeros. All
    zeros stand at 0 exactly, with their number. Eigenvalues that agree to 1e-6 share a stem. Beside a histogram, an eigenvalue
    that holds 2 % of the non-zero ones keeps a stem of its own.

    Args:
        axes: Axes to draw on.
        spectrum: Eigenvalues to draw, with multiplicities.
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
        spectra: Spectra by their title.
        zero_radii: Zero radii by title; a missing one is the rounding error of its spectrum.
        decay: As in `draw_spectrum`.
    """
    parts = [_lines(spectrum, (zero_radii or {}).get(name, spectrum.error)) for name, spectrum in spectra.items()]
    values = [value for _, atoms in parts for value, _ in atoms] + ([decay, 2 * decay] if decay else [])
    indices = [sum(times for value, times in atoms if value < 0) for _, atoms in parts]
    label = "multiplicity" + " or bin count" * any(len(atoms) > MOST_STEMS for _, atoms in parts)
    with style():
        for place, name, (zeros, atoms) in zip(axes, spectra, parts, strict=True):
            symmetric_log(place, "x", values, 0.075 * len(f"{max(indices):,} negative") if any(indices) else 0.0)
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


def plot_spectrum(
    spectrum: Spectrum | DegeneracyReport,
    ax: Axes | None = None,
    title: str | None = None,
    zero_radius: float | None = None,
    decay: float | None = None,
) -> Axes:
    """Draws multiplicities over eigenvalues, as `draw_spectrum` does, on given axes or on those of a new figure.

    A report brings its own title, its zero radius and the decay that is marked.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> axes = ls.plot_spectrum(ls.analyse(ls.place(problem, ls.Collapse())))
        >>> axes.get_title(), axes.get_xlabel()
        ('DNC', 'Hessian eigenvalue')

    Args:
        spectrum: All eigenvalues, or a report that has them.
        ax: The axes; None makes a figure.
        title: Above the axes; None takes the structure of a report.
        zero_radius: Eigenvalues of at most this size are zeros; None takes that of the report, or the error of the spectrum.
        decay: Marks lambda and 2 lambda; None takes that of the report.

    Raises:
        InputError: If the report has no spectrum.
    """
    axes, (known, radius, marked) = axes_or_new(ax), _drawable(spectrum)
    name = title if title is not None else spectrum.structure if isinstance(spectrum, DegeneracyReport) else ""
    draw_spectrum(axes, known, radius if zero_radius is None else zero_radius, name, marked if decay is None else decay)
    return axes


def plot_spectra(spectra: Mapping[str, Spectrum | DegeneracyReport], ax: Sequence[Axes] | None = None) -> Sequence[Axes]:
    """Draws several spectra side by side on the same scales, on given axes or on those of a new figure.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> points = {"DNC": ls.place(problem, ls.Collapse()), "low rank": ls.place(problem, ls.Pairs())}
        >>> axes = ls.plot_spectra({name: ls.spectrum(point) for name, point in points.items()})
        >>> [place.get_title() for place in axes]
        ['DNC', 'low rank']

    Args:
        spectra: Spectra by their title.
        ax: One for each spectrum.

    Raises:
        InputError: If a report has no spectrum, or the axes are not as many as the spectra.
    """
    axes = new_figure(columns=len(spectra), width=COLUMN_WIDTH * len(spectra))[1] if ax is None else ax
    if len(axes) != len(spectra):
        raise InputError(f"expected {len(spectra)} axes, one for each spectrum, got {len(axes)}")
    parts = {name: _drawable(spectrum) for name, spectrum in spectra.items()}
    radii = {name: radius for name, (_, radius, _) in parts.items() if radius is not None}
    decays = {decay for _, _, decay in parts.values()}
    draw_spectra(axes, {name: known for name, (known, _, _) in parts.items()}, radii, decays.pop() if len(decays) == 1 else None)
    return axes


def _drawable(source: Spectrum | DegeneracyReport) -> tuple[Spectrum, float | None, float | None]:
    """Returns a spectrum, with the zero radius and the one decay of a report."""
    if isinstance(source, Spectrum):
        return source, None, None
    if source.spectrum is None:
        raise InputError(
            f"expected a report with a spectrum, got one by {source.method}: {source.reason or 'use reduction or dense'}"
        )
    decays = set(source.problem.decays)
    return source.spectrum, None if source.zeros is None else source.zeros.cutoff, decays.pop() if len(decays) == 1 else None
