"""Pictures read back from their artists: what is drawn must be what was given, and must be legible at column width."""

from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from landscape.curvature.spectra.spectrum import Spectrum
from landscape.degeneracy.reduction import reduce
from landscape.errors import InputError
from landscape.model.logit_form import write_parameters
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.plot.point import draw_logits, draw_singular_values, draw_trace
from landscape.plot.spectrum import draw_parts, plot_spectrum
from landscape.plot.spectrum_panel import MOST_STEMS
from landscape.plot.spectrum_parts import parts_of
from landscape.plot.theme import new_figure, save_figure
from landscape.points.point import CriticalPoint, Origin
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Collapse, Partition

PAPER = Problem.balanced(10, 5, 70, 2, 2**-10)
SMALL = Problem.balanced(6, 2, 12, 3, 1e-3)
RADIUS = 1e-12


def spectrum_of(problem: Problem, structure: Collapse | Partition) -> Spectrum:
    return reduce(Core.from_form(problem, logit_form(problem, structure))).spectrum


def given(values: list[float], multiplicities: list[int]) -> Spectrum:
    return Spectrum(torch.tensor(values, dtype=torch.float64), tuple(multiplicities), 1e-15)


def dense_spectrum() -> Spectrum:
    values = 1e-2 * torch.randn(1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = torch.cat([values, torch.zeros(40, dtype=torch.float64), torch.full((300,), 1e-3, dtype=torch.float64)])
    return Spectrum(values.sort().values, (1,) * len(values), 1e-15)


def point_of(problem: Problem, structure: Collapse | Partition) -> CriticalPoint:
    return CriticalPoint.at(problem, write_parameters(problem, logit_form(problem, structure), gauge=0), Origin("analytic"))


def traced(rows: list[list[float]]) -> CriticalPoint:
    return replace(point_of(SMALL, Collapse()), trace=torch.tensor(rows, dtype=torch.float64).reshape(-1, 3))


def draw_spectrum(
    axes: Axes, spectrum: Spectrum, zero_radius: float | None = None, title: str = "", decay: float | None = None
) -> None:
    plot_spectrum(spectrum, axes, title, zero_radius, decay)


def drawn(axes: Axes, name: str) -> list[tuple[float, float]]:
    """The points of the lines with this label."""
    lines = [line for line in axes.lines if line.get_label() == name]
    return [(float(x), float(y)) for line in lines for x, y in np.asarray(line.get_xydata())]


def texts(axes: Axes) -> list[str]:
    return [text.get_text().strip() for text in axes.texts]


def assert_legible(figure: Figure) -> None:
    """No text leaves the figure and no two lie on each other."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    everywhere = figure.findobj(Axes)  # also a colour bar inside other axes
    outside = {
        id(label)
        for axes in everywhere
        for axis in (axes.xaxis, axes.yaxis)
        for tick in (*axis.majorTicks, *axis.minorTicks)
        if not axes.axison or not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
        for label in (tick.label1, tick.label2)  # these exist but are not drawn
    }
    outside |= {id(axis.label) for axes in everywhere for axis in (axes.xaxis, axes.yaxis) if not axes.axison}
    shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip() and id(text) not in outside]
    boxes = [(text.get_text(), Text.get_window_extent(text, canvas.get_renderer()).padded(-0.5)) for text in shown]
    assert boxes, "nothing is written"
    for place, (name, box) in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, f"{name!r} leaves the figure"
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, f"{name!r} leaves the figure"
        for other, second in boxes[place + 1 :]:
            assert not box.overlaps(second), f"{name!r} lies on {other!r}"


# ---------------------------------------------------------------------------------------------------------------- spectra


@pytest.mark.parametrize(
    ("problem", "structure", "zeros", "negative"),
    [
        (PAPER, Collapse(), 1170, 0),
        (PAPER, Partition((6, 2, 2)), 924, 0),
        (PAPER, Partition((5, 5)), 1048, 18),
        (PAPER, Collapse("small"), 1170, 45),
        (Problem.balanced(10, 5, 20_000, 6, 1e-3), Collapse(), 6 * (20_000 * 9 - 45), 0),
    ],
)
def test_stems_are_the_multiplicities(problem: Problem, structure: Collapse | Partition, zeros: int, negative: int) -> None:
    spectrum = spectrum_of(problem, structure)
    figure, (axes,) = new_figure()
    draw_spectrum(axes, spectrum, RADIUS, title="spectrum", decay=problem.mean_decay)
    assert drawn(axes, "zero") == [(0.0, zeros)]
    assert sum(height for _, height in drawn(axes, "negative")) == negative
    stems = {*drawn(axes, "negative"), *drawn(axes, "positive")}
    expected: dict[float, int] = {}
    for value, times in spectrum.pairs():
        if abs(value) > RADIUS:
            near = next((known for known in expected if abs(known - value) <= 1e-6 * abs(value)), value)
            expected[near] = expected.get(near, 0) + times
    assert stems == set(expected.items())
    assert sum(height for _, height in stems) + zeros == problem.parameters
    assert f"{zeros} zeros" in texts(axes)
    assert (f"{negative} negative" in texts(axes)) == bool(negative)
    tops = {np.asarray(path.vertices)[1, 1] for lines in axes.collections for path in lines.get_paths()}
    assert tops >= {height for _, height in stems} | {zeros}
    assert_legible(figure)


def test_everything_drawn_lies_inside_the_axes() -> None:
    figure, (axes,) = new_figure()
    draw_spectrum(axes, given([-0.5, -1e-7, 1e-20, 1e-8, 3e-4, 1e-1], [3, 12, 999, 1, 10**10, 5]), decay=1e-4)
    low, high = axes.get_xlim()
    assert low < -0.5
    assert high > 0.1
    assert axes.get_ylim()[0] < 1
    assert axes.get_ylim()[1] > 10**10
    threshold = vars(axes.xaxis.get_transform())["linthresh"]
    assert threshold < 1e-8, "only the zeros may lie in the linear stretch"
    assert drawn(axes, "zero") == [(0.0, 999)]
    assert_legible(figure)


def test_zero_radius_moves_the_border() -> None:
    spectrum = given([-1e-9, 1e-20, 1e-9, 1e-3], [2, 5, 3, 7])
    for radius, zeros in ((None, 5), (1e-8, 10)):
        _, (axes,) = new_figure()
        draw_spectrum(axes, spectrum, radius)
        assert drawn(axes, "zero") == [(0.0, zeros)]


@pytest.mark.parametrize(
    ("values", "note"),
    [([0.0], "1 zero"), ([-2.0, -1.0], "0 zeros"), ([0.5], "0 zeros"), ([], "0 zeros"), ([3e-7, 4e-7], "0 zeros")],
)
def test_one_sided_and_empty_spectra(values: list[float], note: str) -> None:
    figure, (axes,) = new_figure()
    draw_spectrum(axes, given(values, [1] * len(values)))
    assert note in texts(axes)
    assert_legible(figure)
    if any(values):
        assert any("10" in label.get_text() for label in axes.get_xticklabels()), "no scale on the axis"


def test_dense_spectrum_is_a_histogram() -> None:
    spectrum = dense_spectrum()
    figure, (axes,) = new_figure()
    draw_spectrum(axes, spectrum, title="dense", decay=1e-3)
    bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert sum(bar.get_height() for bar in bars) == 1000
    values = spectrum.values.numpy()
    values = values[(values != 0) & (values != 1e-3)]
    heights: dict[tuple[float, float], float] = {}  # the two signs are stacked on the same bins
    for bar in bars:
        sides = bar.get_x(), bar.get_x() + bar.get_width()
        heights[sides] = heights.get(sides, 0.0) + bar.get_height()
    for (left, right), height in heights.items():
        assert height == np.count_nonzero((values > left) & (values < right))
    assert drawn(axes, "zero") == [(0.0, 40)]
    assert drawn(axes, "positive") == [(1e-3, 300)], "a heavy eigenvalue keeps its stem"
    assert "bin" in axes.get_ylabel()
    assert_legible(figure)


@pytest.mark.parametrize(("count", "bars"), [(MOST_STEMS, False), (MOST_STEMS + 1, True)])
def test_histogram_begins_beyond_the_limit(count: int, bars: bool) -> None:
    _, (axes,) = new_figure()
    draw_spectrum(axes, given(np.linspace(1e-3, 1e-1, count).tolist(), [1] * count))
    assert bool(axes.patches) == bars


@pytest.mark.parametrize(("rows", "columns", "width"), [(2, 1, 3.3), (1, 2, 6.6)])
def test_several_spectra_share_their_scales(rows: int, columns: int, width: float) -> None:
    spectra = {"DNC": spectrum_of(PAPER, Collapse()), "partition:5,5": spectrum_of(PAPER, Partition((5, 5)))}
    figure, axes = new_figure(rows, columns, width)
    parts = [parts_of(spectrum, name, RADIUS, PAPER.mean_decay) for name, spectrum in spectra.items()]
    draw_parts(axes, parts)
    assert axes[0].get_xlim() == axes[1].get_xlim()
    assert axes[0].get_ylim() == axes[1].get_ylim()
    assert [place.get_title() for place in axes] == list(spectra)
    assert [drawn(place, "zero") for place in axes] == [[(0.0, 1170)], [(0.0, 1048)]]
    assert_legible(figure)
    with pytest.raises(ValueError, match="zip"):
        draw_parts(axes[:1], parts)


# ------------------------------------------------------------------------------------------------------- points and solves


@pytest.mark.parametrize("classes", [2, 10, 11, 50, 150])
def test_logits(classes: int) -> None:
    logits = torch.eye(classes, dtype=torch.float64) * 3 - 1
    figure, (axes,) = new_figure(height=2.7)
    draw_logits(axes, logits, "logits")
    (image,) = axes.images
    assert np.array_equal(image.get_array(), logits.numpy())
    assert (image.norm.vmin, image.norm.vmax) == (-2.0, 2.0)
    assert axes.get_aspect() == 1.0
    assert 2 <= len(axes.get_xticks()) <= 10
    assert_legible(figure)


def test_logits_that_are_all_zero() -> None:
    figure, (axes,) = new_figure()
    draw_logits(axes, torch.zeros(3, 3))
    assert axes.images[0].norm.vmax == 1.0
    assert_legible(figure)


@pytest.mark.parametrize("depth", [1, 2, 8])
def test_singular_values(depth: int) -> None:
    problem = Problem.balanced(10, 5, 70, depth, 1e-4)
    point = point_of(problem, Partition((6, 4)))
    figure, (axes,) = new_figure()
    draw_singular_values(axes, point, title="values")
    heights = [height for _, height in drawn(axes, "non-zero")]
    expected = torch.cat([torch.linalg.svdvals(factor)[:8] for factor in point.factors().values()])
    assert heights == expected.tolist()
    assert drawn(axes, "zero") == [(float(column), 0.0) for column in range(depth + 1)]
    assert texts(axes) == ["×42", *["×62"] * (depth - 1), "×2"]
    assert axes.get_yscale() == "linear"
    assert_legible(figure)


def test_singular_values_of_very_different_factors() -> None:
    point = point_of(SMALL, Partition((4, 2)))
    scaled = [factor * scale for factor, scale in zip(point.factors().values(), (1, 0.01, 100, 1), strict=True)]
    point = CriticalPoint.at(SMALL, torch.cat([factor.flatten() for factor in scaled]), Origin("scaled"))
    figure, (axes,) = new_figure()
    draw_singular_values(axes, point)
    assert axes.get_yscale() == "symlog"
    assert texts(axes) == ["×8", "×8", "×8", "×2"], "far from critical only rounding counts as zero"
    assert_legible(figure)
    _, (axes,) = new_figure()
    draw_singular_values(axes, point, tolerance=1.0)
    assert texts(axes) == ["×8", "×12", "×8", "×2"]


def test_singular_values_of_nothing() -> None:
    point = CriticalPoint.at(SMALL, torch.zeros(SMALL.parameters, dtype=torch.float64), Origin("zero"))
    figure, (axes,) = new_figure()
    draw_singular_values(axes, point)
    assert texts(axes) == ["×12", "×12", "×12", "×6"]
    assert_legible(figure)


@pytest.mark.parametrize(
    ("rows", "scale", "zeros"),
    [
        ([[0, 4.0, 1.0], [10, 1.0, 1e-3], [20, 0.1, 1e-16]], "log", 0),
        ([[0, 1.2, 0.9], [10, 1.1, 0.3]], "linear", 0),
        ([[0, 1.2, 0.0], [1, 1.1, 1e-3], [2, 1.0, 1e-9], [3, 1.0, 0.0]], "linear", 2),
        ([[5, 1.2, 1e-7]], "linear", 0),
        ([[0, 1.2, 0.0]], "linear", 1),
        ([[0, 1.2, 1.0], [1, 50.0, 1e3], [2, float("inf"), float("nan")]], "log", 0),
        ([[4500.0 * i, 2 * 0.9**i + 0.05, 0.8**i] for i in range(100)], "log", 0),
    ],
)
def test_trace(rows: list[list[float]], scale: str, zeros: int) -> None:
    figure, (axes,) = new_figure()
    draw_trace(axes, traced(rows), "solve")
    left, right = figure.axes
    assert (left.get_yscale(), right.get_yscale()) == (scale, "log")
    finite = [(step, loss) for step, loss, _ in rows if np.isfinite(loss)]
    assert [place for place in drawn(left, "loss") if np.isfinite(place[1])] == finite
    positive = [(step, norm) for step, _, norm in rows if norm > 0]
    assert [place for place in drawn(right, "gradient norm") if np.isfinite(place[1])] == positive
    assert len(drawn(right, "gradient norm 0")) == zeros
    assert_legible(figure)


def test_a_point_without_a_record_says_so() -> None:
    figure, (axes,) = new_figure()
    draw_trace(axes, traced([]))
    assert texts(axes) == ["no record of a solve"]
    assert_legible(figure)


# ------------------------------------------------------------------------------------------------------------------ files


def picture() -> Figure:
    figure, axes = new_figure(2, 2, width=5.0)
    draw_spectrum(axes[0], spectrum_of(SMALL, Partition((4, 2))), RADIUS, decay=1e-3)
    draw_logits(axes[1], torch.eye(6))
    draw_singular_values(axes[2], point_of(SMALL, Collapse()))
    draw_trace(axes[3], traced([[0, 4.0, 1.0], [10, 0.1, 1e-3]]))
    return figure


@pytest.fixture(scope="module")
def twins() -> tuple[Figure, Figure]:
    return picture(), picture()


@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_formats_are_written_and_deterministic(tmp_path: Path, twins: tuple[Figure, Figure], suffix: str, magic: bytes) -> None:
    paths = [tmp_path / f"first.{suffix}", tmp_path / f"second.{suffix}"]
    for figure, path in zip(twins, paths, strict=True):
        save_figure(figure, path)
    first, second = (path.read_bytes() for path in paths)
    assert first.startswith(magic)
    assert len(first) > 5_000
    assert first == second
    assert sorted(tmp_path.iterdir()) == paths, "a partial file stayed behind"


def test_suffix_in_capitals(tmp_path: Path) -> None:
    save_figure(Figure(figsize=(1, 1)), tmp_path / "picture.PNG")
    assert (tmp_path / "picture.PNG").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["picture.jpg", "picture", "picture.png.txt", ".svg"])
def test_other_suffixes_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"\.png, \.pdf or \.svg"):
        save_figure(Figure(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_unwritable_place_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write"):
        save_figure(Figure(), tmp_path / "missing" / "picture.png")


def test_drawing_leaves_the_settings_alone() -> None:
    before = dict(matplotlib.rcParams)
    picture()
    assert dict(matplotlib.rcParams) == before
