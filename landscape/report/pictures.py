"""The pictures of a report, as data URIs of SVG with letters as outlines, so that they need no font and no file."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import seaborn
from matplotlib.figure import Figure

from landscape.degeneracy.report import DegeneracyReport
from landscape.network.report import NetworkReport
from landscape.plot.point import draw_logits, draw_singular_values, draw_trace
from landscape.plot.spectrum import plot_spectrum
from landscape.plot.theme import new_figure, style
from landscape.points.point import CriticalPoint

_MOST_KINDS = 6  # spectra on the page of a folder; one for each kind of point, the most frequent first
NOT_CRITICAL_SPECTRUM = "Hessian spectrum at the point itself, which is not a critical point"
_MARKERS = "osD^vPX*"


@dataclass(frozen=True)
class Picture:
    """A picture with the words that replace it for who cannot see it.

    Attributes:
        source: Image as a data URI.
        caption: Caption below the picture.
        words: Text that says in numbers what the picture shows.
    """

    source: str
    caption: str
    words: str


def point_pictures(point: CriticalPoint, report: DegeneracyReport) -> list[Picture]:
    """Returns spectrum, logits, singular values and the course of the solve, as far as the point has them."""
    caption = "Hessian spectrum" if report.critical else NOT_CRITICAL_SPECTRUM
    pictures = [_spectrum_picture(report, caption)] if _has_spectrum(report) else []
    problem = point.problem
    figure, (axes,) = new_figure(height=2.6)
    draw_logits(axes, point.class_logits)
    words = f"Heat map of {problem.classes} logits for {problem.classes} classes"
    pictures.append(Picture(_svg(figure), "Class-mean logits", words))
    figure, (axes,) = new_figure(height=2.6)
    draw_singular_values(axes, point)
    rank = "of unequal rank" if report.rank is None else f"of rank {report.rank}"
    pictures.append(Picture(_svg(figure), "Singular values of each factor", f"{problem.depth + 1} factors {rank}"))
    if len(point.trace) < 2:  # imported and analytic points have no course
        return pictures
    figure, (axes,) = new_figure(height=2.6)
    draw_trace(axes, point)
    words = f"{point.steps} steps to loss {point.loss:.10f} and gradient norm {point.gradient_norm:.1e}"
    pictures.append(Picture(_svg(figure), "How the solve went", words))
    return pictures


def network_spectrum(report: NetworkReport) -> Picture:
    """Returns the spectrum of a network whose eigenvalues are all known."""
    assert report.spectrum is not None
    figure, (axes,) = new_figure(height=2.6)
    decays = set(report.problem.decays.tolist())
    radius = None if report.zeros is None else report.zeros.cutoff
    plot_spectrum(report.spectrum, axes, zero_radius=radius, decay=decays.pop() if len(decays) == 1 else None)
    values = report.spectrum.values
    words = f"{report.parameters} eigenvalues from {float(values[0]):.3e} to {float(values[-1]):.3e}"
    return Picture(_svg(figure), "Hessian spectrum", words)


def folder_pictures(found: Sequence[tuple[str, CriticalPoint, DegeneracyReport]]) -> list[Picture]:
    """Returns loss against nullity of all points, and the spectrum of one point of each of the most frequent structures."""
    reports = [report for _, _, report in found]
    names = [report.structure for report in reports]
    order = sorted(set(names), key=lambda name: (-names.count(name), name))
    pictures = [_scatter(reports, order)] if any(report.nullity is not None for report in reports) else []
    for name in order[:_MOST_KINDS]:
        report = reports[names.index(name)]
        if _has_spectrum(report) and report.critical:
            pictures.append(_spectrum_picture(report, f"Hessian spectrum of {name}, {found[names.index(name)][0]}"))
    return pictures


def _has_spectrum(report: DegeneracyReport) -> bool:
    return report.spectrum is not None and bool(report.spectrum.multiplicities)


def _spectrum_picture(report: DegeneracyReport, caption: str) -> Picture:
    assert report.spectrum is not None
    figure, (axes,) = new_figure(height=3.0)
    plot_spectrum(report, axes, "")
    low, high = float(report.spectrum.values[0]), float(report.spectrum.values[-1])
    counts = f"{report.nullity} zero, {report.index} negative"
    if report.nullity is None:
        counts = "counts undecided" + (
            "" if report.zeros is None else f", {report.zeros.count} within {report.zeros.cutoff:.1e} of zero"
        )
    return Picture(_svg(figure), caption, f"{report.spectrum.size} eigenvalues from {low:.3e} to {high:.3e}: {counts}")


def _scatter(reports: Sequence[DegeneracyReport], order: Sequence[str]) -> Picture:
    figure, (axes,) = new_figure(height=2.6)
    counted = [each for each in reports if each.nullity is not None]
    groups = {name: [each for each in counted if each.structure == name] for name in order[: len(_MARKERS)]}
    groups["other"] = [each for each in counted if each.structure not in groups]
    looks = [*zip(seaborn.color_palette("colorblind", len(_MARKERS)), _MARKERS, strict=True), ("0.5", ".")]
    with style():
        for (name, members), (colour, marker) in zip(groups.items(), [*looks[: len(groups) - 1], looks[-1]], strict=True):
            if members:
                places = [each.nullity or 0 for each in members], [each.loss for each in members]
                look: dict[str, Any] = {"color": colour, "marker": marker, "linewidths": 0.4, "edgecolors": "white"}
                axes.scatter(*places, s=28, label=f"{name} ({len(members)})", **look)
        axes.set(xlabel="zero eigenvalues (nullity)", ylabel="loss")
        axes.margins(0.12)
        axes.legend(fontsize="small", frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2, handletextpad=0.2)
    left_out = len(reports) - len(counted)
    words = f"{len(counted)} points" + (f"; {left_out} without a stated count are not in it" if left_out else "")
    return Picture(_svg(figure), "Loss against nullity", words)


def _svg(figure: Figure) -> str:
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"
