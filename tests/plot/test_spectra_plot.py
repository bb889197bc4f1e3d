"""Pictures of several spectra, of origins and of estimates, read back from their artists."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from landscape.curvature.operators.operator import Matrix
from landscape.curvature.spectra.density import Quadrature, density
from landscape.curvature.spectra.sampled import SampledSpectrum
from landscape.degeneracy.analysis import analyse
from landscape.degeneracy.report import DegeneracyReport
from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.plot.spectrum import Arrangement, AxisScale, plot_spectra, plot_spectrum
from landscape.plot.theme import MEDIA, new_figure, save_figure
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Collapse, Pairs, Partition, Structure
from tests.plot.test_spectrum_plot import assert_legible, drawn, given, texts

PAPER = Problem.balanced(10, 5, 70, 2, 2**-10)


def report_of(structure: Structure) -> DegeneracyReport:
    return analyse(Core.from_form(PAPER, logit_form(PAPER, structure)))


@pytest.fixture(scope="module")
def reports() -> dict[str, DegeneracyReport]:
    return {"DNC": report_of(Collapse()), "pairs": report_of(Pairs()), "partition:5,5": report_of(Partition((5, 5)))}


def figure_of(axes: Axes) -> Figure:
    assert isinstance(axes.figure, Figure)
    return axes.figure


def test_origins_have_their_own_colours_and_totals(reports: dict[str, DegeneracyReport]) -> None:
    axes = plot_spectrum(reports["DNC"])
    assert drawn(axes, "gauge rotations") == [(0.0, 1170)]
    assert drawn(axes, "their partners") == [(2 * 2.0**-10, 1098)]
    assert sum(height for _, height in drawn(axes, "weight decay")) == 6283
    assert sum(height for _, height in drawn(axes, "within class")) == 360
    assert sum(height for _, height in drawn(axes, "core")) == 9100 - 1170 - 1098 - 6283 - 360
    legend = axes.get_legend()
    assert legend is not None
    named = [text.get_text() for text in legend.get_texts()]
    assert named == ["gauge rotations (1170)", "their partners (1098)", "weight decay (6283)", "within class (360)", "core (189)"]
    assert {"1170 zeros", "1098", "6283"} <= set(texts(axes))
    assert_legible(figure_of(axes))
    colours = {
        str(line.get_label()): to_rgb(line.get_color()) for line in axes.lines if line.get_label() in ("core", "weight decay")
    }
    assert len(set(colours.values())) == 2


def test_signs_can_be_asked_for(reports: dict[str, DegeneracyReport]) -> None:
    axes = plot_spectrum(reports["partition:5,5"], origins=False)
    assert sum(height for _, height in drawn(axes, "negative")) == 18
    assert drawn(axes, "zero") == [(0.0, 1048)]


@pytest.mark.parametrize("width", [3.3, 6.8])
@pytest.mark.parametrize("arrange", ["beside", "stacked", "overlaid", "grid"])
def test_every_arrangement_is_legible(reports: dict[str, DegeneracyReport], arrange: Arrangement, width: float) -> None:
    two = {name: reports[name] for name in ("pairs", "partition:5,5")}
    shown = two if arrange in ("beside", "grid") and width < 4 else reports
    size = width * (1.5 if arrange == "beside" else 1.0)
    axes = plot_spectra(shown, arrange=arrange, width=size)
    assert len(axes) == (1 if arrange == "overlaid" else len(shown))
    assert len({place.get_xlim() for place in axes}) == 1
    assert_legible(figure_of(axes[0]))
    zeros = {report.nullity for report in shown.values()}
    words = " ".join(texts(axes[0])) if arrange != "overlaid" else str([t.get_text() for t in axes[0].get_legend().get_texts()])
    found = [words] if arrange == "overlaid" else [" ".join(texts(place)) for place in axes]
    assert all(any(f"{count} zeros" in text for text in found) for count in zeros)


def test_more_spectra_than_colours_are_refused() -> None:
    many = {str(place): given([0.0, 1.0 + place], [2, 1]) for place in range(7)}
    with pytest.raises(InputError, match="expected at most 6 overlaid spectra, got 7: lay them out as a grid"):
        plot_spectra(many, arrange="overlaid")
    axes = plot_spectra(many, arrange="grid")
    assert [place.get_title() for place in axes] == list(many)
    assert_legible(figure_of(axes[0]))


def test_a_linear_axis_has_the_same_stems(reports: dict[str, DegeneracyReport]) -> None:
    axes = plot_spectrum(reports["partition:5,5"], axis="linear")
    assert axes.get_xscale() == "linear"
    assert drawn(axes, "gauge rotations") == [(0.0, 1048)]
    low, high = axes.get_xlim()
    assert reports["partition:5,5"].spectrum is not None
    values = reports["partition:5,5"].spectrum.values
    assert low < float(values[0]) < float(values[-1]) < high
    assert_legible(figure_of(axes))


@pytest.mark.parametrize("axis", ["linear", "symlog"])
def test_the_number_of_negative_eigenvalues_stands_inside_its_panel(reports: dict[str, DegeneracyReport], axis: AxisScale) -> None:
    _, (axes,) = new_figure(width=3.3, height=3.0)
    plot_spectrum(reports["partition:5,5"], axes, axis=axis)
    assert_legible(figure_of(axes))
    (words,) = (text for text in axes.texts if "negative" in text.get_text())
    assert axes.bbox.x0 < words.get_window_extent().x0


def test_an_estimate_has_error_bars_and_a_band() -> None:
    bulk = np.random.default_rng(0).uniform(0.2, 0.8, 200)
    matrix = Matrix(torch.diag(torch.from_numpy(np.concatenate([np.zeros(60), np.full(40, 2.0), bulk]))))
    found = density(matrix, Quadrature(probes=40, steps=30))
    axes = plot_spectrum(found, title="estimate")
    ((place, height),) = drawn(axes, "zero")
    assert place == 0.0
    assert abs(height - 60) < 3 * found.nullity().error
    assert any("±" in text for text in texts(axes))
    bands = [band for band in axes.collections if band.get_label() == "" or "fill" in type(band).__name__.lower()]
    assert bands
    (curve,) = [line for line in axes.lines if line.get_label() == "density"]
    x, y = np.asarray(curve.get_xdata(), dtype=float), np.asarray(curve.get_ydata(), dtype=float)
    inside = y[(x > 0.25) & (x < 0.7)]
    # A bin is a twelfth of a decade: at x it is x * ln 10 / 12 wide, and holds 200 / 0.6 eigenvalues for each unit.
    expected = 200 / 0.6 * x[(x > 0.25) & (x < 0.7)] * np.log(10) / 12
    assert np.abs(inside / expected - 1).max() < 0.25
    assert_legible(figure_of(axes))


def test_nodes_of_a_peer_are_drawn_on_a_linear_axis_too() -> None:
    seen = SampledSpectrum.of_nodes("peer", 10, [[0.0, 1.0], [0.0, 1.1], [0.0, 0.9]], [[0.2, 0.8], [0.4, 0.6], [0.3, 0.7]])
    axes = plot_spectrum(seen, axis="linear", title="peer")
    assert any(line.get_label() == "density" for line in axes.lines)
    assert_legible(figure_of(axes))


def test_a_dark_picture_is_dark_with_light_letters(reports: dict[str, DegeneracyReport], tmp_path: Path) -> None:
    figure, (axes,) = new_figure(width=MEDIA["dark"].width, height=MEDIA["dark"].height)
    plot_spectrum(reports["DNC"], axes)
    save_figure(figure, tmp_path / "dark.png", dark=True)
    with Image.open(tmp_path / "dark.png") as image:
        assert image.size == (1600, 900)
        grey = np.asarray(image.convert("L"))
    assert grey[0, 0] < 40
    assert np.median(grey) < 40
    assert grey.max() > 200
    assert min(to_rgb(axes.title.get_color())) > 0.6
    assert max(to_rgb(axes.get_facecolor())) < 0.2
    assert all(min(to_rgb(label.get_color())) > 0.6 for label in axes.get_xticklabels())
