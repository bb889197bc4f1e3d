"""One panel of a spectrum picture: stems coloured by origin or sign, histograms of many eigenvalues, the curve of probes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from landscape.degeneracy.reduction import EigenvalueKind
from landscape.plot.spectrum_parts import SpectrumParts, Stem
from landscape.plot.theme import BLUE, DARK_ORANGE, GREEN, INK, ORANGE, PURPLE, RED, figure_of

MOST_STEMS = 200  # distinct eigenvalues; beyond that stems touch at column width and a histogram says more
FLOOR = 0.6  # lower end of the logarithmic axis of multiplicities, below one
_HEAVY = 0.02  # share of the non-zero eigenvalues from which a repeated one keeps its own stem beside a histogram
_PER_DECADE, _FEWEST, _MOST, _LINEAR = 12, 8, 60, 60  # bins
_CROWDED, _SMALLER = 40, 0.6  # stems beyond which their signs shrink, and by how much
_CURVE = 400  # places at which the curve of probes is computed


@dataclass(frozen=True)
class Mark:
    """How a group of eigenvalues looks.

    Attributes:
        words: Name of the mark in the legend.
        color: Colour of stems, bars and markers.
        marker: Sign at the top of its stems.
        size: Size of the sign in points.
    """

    words: str
    color: Any
    marker: str
    size: float = 3.4


ORIGINS = {
    EigenvalueKind.GAUGE: Mark("gauge rotations", ORANGE, "D", 4.2),
    EigenvalueKind.PARTNER: Mark("their partners", PURPLE, "s"),
    EigenvalueKind.DECAY: Mark("weight decay", "0.5", "^"),
    EigenvalueKind.WITHIN_CLASS: Mark("within class", GREEN, "v", 3.6),
    EigenvalueKind.CORE: Mark("core", BLUE, "o"),
    EigenvalueKind.COMPLEMENT: Mark("complement", RED, "P", 3.8),
}
SIGNS = (Mark("negative", RED, "v", 3.2), Mark("zero", ORANGE, "D", 4.2), Mark("positive", BLUE, "o", 3.2))
POINTS = tuple(Mark("", c, m) for c, m in zip((BLUE, ORANGE, GREEN, RED, PURPLE, "0.35"), "oDvsP^", strict=True))


def draw_panel(axes: Axes, parts: SpectrumParts, mark: Mark | None = None) -> None:
    """Draws the stems and the curve of one spectrum on axes whose scales are set; one mark for all where it is given."""
    groups = [(mark, list(parts.stems))] if mark else _groups(parts)
    others = sum(stem.height for stem in parts.stems if stem.value)
    many = sum(1 for stem in parts.stems if stem.value) > MOST_STEMS
    least = max(2, _HEAVY * others) if many else 0
    binned = [(look, [stem for stem in stems if stem.value and stem.height < least]) for look, stems in groups]
    _draw_bars(axes, [(look, stems) for look, stems in binned if stems])
    for look, stems in groups:
        if shown := [stem for stem in stems if not stem.value or stem.height >= least]:
            crowded = sum(1 for stem in parts.stems if stem.height >= least) > _CROWDED
            _draw_stems(axes, look, shown, _SMALLER if crowded else 1.0)
    if parts.nodes:
        _draw_curve(axes, parts, mark.color if mark else BLUE)


def _groups(parts: SpectrumParts) -> list[tuple[Mark, list[Stem]]]:
    if parts.by_origin:
        return [(look, [stem for stem in parts.stems if stem.origin is kind]) for kind, look in ORIGINS.items()]
    return [
        (look, [stem for stem in parts.stems if np.sign(stem.value) == sign]) for sign, look in zip((-1, 0, 1), SIGNS, strict=True)
    ]


def _draw_stems(axes: Axes, look: Mark, stems: Sequence[Stem], scale: float) -> None:
    places, heights = [stem.value for stem in stems], [stem.height for stem in stems]
    axes.vlines(places, 0.1, heights, color=look.color, linewidth=[0.9 if stem.value else 1.6 for stem in stems], zorder=2)
    edge: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.3, "zorder": 3}
    axes.plot(places, heights, look.marker, color=look.color, markersize=scale * look.size, label=look.words, **edge)
    for stem in stems:
        if stem.error:
            low = max(stem.height - stem.error, 0.1)
            axes.vlines(stem.value, low, stem.height + stem.error, color=INK, linewidth=1.2, zorder=4)


def _draw_bars(axes: Axes, groups: Sequence[tuple[Mark, Sequence[Stem]]]) -> None:
    """Draws one stacked histogram of the groups, in bins of the axis."""
    if not groups:
        return
    values = [[stem.value for stem in stems] for _, stems in groups]
    edges = _bins(axes, [value for group in values for value in group])
    weights = [[stem.height for stem in stems] for _, stems in groups]
    looks: dict[str, Any] = {"alpha": 0.45, "edgecolor": "white", "linewidth": 0.3, "stacked": True}
    axes.hist(values, edges, weights=weights, color=[look.color for look, _ in groups], **looks)


def _bins(axes: Axes, values: Sequence[float]) -> list[float]:
    """Equal steps of the logarithm on each side of zero, or equal steps where the axis is linear."""
    if axes.get_xscale() == "linear":
        return np.linspace(min(0.0, *values), max(0.0, *values), _LINEAR + 1).tolist()
    edges: list[float] = []
    for sign in (-1, 1):
        if sizes := [sign * value for value in values if sign * value > 0]:
            low, high = 0.999 * min(sizes), 1.001 * max(sizes)
            steps = min(max(round(_PER_DECADE * math.log10(high / low)), _FEWEST), _MOST)
            edges += (sign * np.geomspace(low, high, 1 + steps)).tolist()
    return sorted(edges)


def _draw_curve(axes: Axes, parts: SpectrumParts, color: Any) -> None:
    """Draws the eigenvalues per bin that the probes see, smoothed over one bin, with the standard error of the probes as a band."""
    transform: Any = axes.xaxis.get_transform()
    limits = np.array(axes.get_xlim())
    start, end = transform.transform(limits)
    width = (end - start) / _LINEAR if axes.get_xscale() == "linear" else transform.linthresh / _PER_DECADE
    grid = np.linspace(start, end, _CURVE)
    curves = []
    for nodes, counts in zip(parts.nodes, parts.counts, strict=True):
        distance = (grid[:, None] - transform.transform(np.array(nodes, dtype=float))) / width
        curves.append(np.exp(-(distance**2) / 2) @ np.array(counts, dtype=float) / math.sqrt(2 * math.pi))
    mean = np.mean(curves, axis=0)
    error = np.std(curves, axis=0, ddof=1) / math.sqrt(len(curves)) if len(curves) > 1 else 0 * mean
    places = transform.inverted().transform(grid)
    axes.fill_between(places, np.maximum(mean - error, 0.1), np.maximum(mean + error, 0.1), color=color, alpha=0.3, linewidth=0)
    axes.plot(places, np.where(mean > 0.1, mean, np.nan), color=color, linewidth=1.0, label="density")


def write_counts(axes: Axes, parts: SpectrumParts, small: bool = False) -> None:
    """Writes the number of zeros above their stem, that of negative eigenvalues left of it, and marks the decay."""
    row: dict[str, Any] = {"va": "top", "bbox": {"color": "white", "pad": 0.6}, "zorder": 5}
    row |= {"fontsize": "small"} if small else {}
    top, place = axes.get_xaxis_transform(), (0.0, 0.985)
    height = sum(stem.height for stem in parts.zeros)
    axes.text(*place, f" {zeros_in_words(parts)}", transform=top, color=DARK_ORANGE, weight="bold", **row)
    if height:
        axes.vlines(0.0, height, FLOOR * (axes.get_ylim()[1] / FLOOR) ** 0.9, color=ORANGE, linestyle=":", linewidth=0.9)
    if round(parts.negative):
        axes.text(*place, negative_in_words(parts), transform=top, color=RED, ha="right", **row)
    mark_decay(axes, parts.decay)


def mark_decay(axes: Axes, decay: float | None) -> None:
    """Marks lambda and 2 lambda, where weight decay alone acts."""
    top = axes.get_xaxis_transform()
    for value, name, side in ((decay, r"$\lambda$", "right"), (2 * decay, r"$2\lambda$", "left")) if decay else ():
        axes.axvline(value, color="0.6", linewidth=0.6, linestyle=(0, (2, 2)), zorder=0)
        axes.text(value, 1.0, name, transform=top, ha=side, va="bottom", color=INK, fontsize="small")


def zeros_in_words(parts: SpectrumParts) -> str:
    """Returns `1170 zeros`, or an estimate with its error."""
    height, error = sum(stem.height for stem in parts.zeros), sum(stem.error for stem in parts.zeros)
    if parts.estimated:
        return f"{height:.0f} ± {error:.0f} zeros"
    return f"{height:.0f} zero{'' if height == 1 else 's'}"


def negative_in_words(parts: SpectrumParts) -> str:
    """Returns the number of negative eigenvalues with a space behind it, for the left of an axis."""
    return f"{parts.negative:.0f} negative "


def annotate_heights(axes: Axes, parts: SpectrumParts) -> None:
    """Writes multiplicities above the stems whose origin has few of them, wherever there is room; call it when all is drawn."""
    figure_of(axes).draw_without_rendering()
    taken = [text.get_window_extent() for text in axes.texts]
    listed = sorted((stem for stem in parts.stems if stem.value and stem.height > 1), key=lambda stem: -stem.height)
    pixels = {stem: axes.transData.transform((stem.value, stem.height)) for stem in listed}
    for stem in listed:
        note: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "fontsize": "small", "color": INK}
        text = axes.annotate(f"{stem.height:.0f}", (stem.value, stem.height), (0, 4), zorder=5, **note)
        box = text.get_window_extent()
        crossed = any(other is not stem and box.x0 - 1 < x < box.x1 + 1 and y > box.y0 - 1 for other, (x, y) in pixels.items())
        if crossed or any(box.padded(1).overlaps(other) for other in taken) or not axes.bbox.padded(4).containsx(box.x1):
            text.remove()
        else:
            taken.append(box)
