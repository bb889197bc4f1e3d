"""Every figure is drawn from its committed data, and the data say what the pages say of them."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.lines import Line2D
from matplotlib.text import Text

import figures
from benchmarks import cost
from benchmarks.ratios import RatioRow
from benchmarks.solves import SolveRow
from figures import (
    figure1,
    figure2,
    figure5,
    figure6,
    figure_atlas,
    figure_cost,
    figure_decision,
    figure_explanations,
    figure_nullity,
    figure_prediction,
    figure_slices,
    figure_spectrum,
)
from figures.__main__ import build, names
from landscape.degeneracy.analysis import analyse
from landscape.degeneracy.reduction import EigenvalueKind
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.paper.theorem7_point import nonnegative_pairs
from landscape.plot.spectrum_parts import parts_of
from landscape.plot.theme import COLUMN_WIDTH, PAGE_WIDTH, save_figure
from landscape.studies.tables import read_table
from tests.plot.test_spectrum_plot import assert_legible


@pytest.mark.slow
def test_all_figures_are_built(tmp_path: Path) -> None:
    written = build(tmp_path)
    drawers = sorted(path.stem for path in Path(figures.__file__).parent.glob("*.py") if "def draw(" in path.read_text())
    assert names() == drawers
    assert len(drawers) >= 10
    assert {path.name for path in written} == {f"{name}.{suffix}" for name in drawers for suffix in ("pdf", "png")}
    assert all(path.stat().st_size > 5_000 for path in written)


def test_one_figure_is_drawn_alone(tmp_path: Path) -> None:
    assert build(tmp_path, ["figure_heads_width"]) == [tmp_path / f"figure_heads_width.{suffix}" for suffix in ("pdf", "png")]


def heights_of(line: Line2D) -> list[float]:
    return [float(height) for height in np.asarray(line.get_ydata())]


def test_figure1_has_the_two_structures_of_the_paper() -> None:
    points = figure1.load()
    assert {name: analyse(point).structure for name, point in points.items()} == {"collapse": "DNC", "pairs": "pairs"}
    curves, *_ = figure1.draw(points).axes
    references = sorted({round(heights[0], 10) for heights in map(heights_of, curves.lines) if len(heights) == 2})
    assert references == pytest.approx([0.0800126592451, 0.0906621832129], abs=1e-9)  # shared/theory.md, section 8
    for point in points.values():
        assert min(abs(point.loss - reference) for reference in references) < 1e-9


def test_figures_2_and_5_have_forty_seeds_a_point_and_both_scales() -> None:
    table = figure2.load()
    assert table == figure5.load()
    assert min(row.seeds for row in table) >= 40
    for scale in (1.0, 0.1):
        mine = [row for row in table if row.feature_scale == scale]
        assert len({row.width for row in mine}) >= 6
        assert len({row.decay for row in mine}) >= 6
        for setting in {(row.width, row.decay) for row in mine}:
            group = [row for row in mine if (row.width, row.decay) == setting]
            assert sum(row.count for row in group) == group[0].seeds
            assert [row.structure for row in group].count("DNC") == 1


def test_figure_2_shows_the_numbers_of_the_table() -> None:
    table = figure2.load()
    panel, _ = figure2.draw(table).axes
    shown = next(each for each in panel.containers if isinstance(each, ErrorbarContainer) and each.get_label() == "1")
    rows = sorted(
        (row.width, row.count / row.seeds)
        for row in table
        if row.structure == "DNC" and row.feature_scale == 1.0 and row.decay == 2.0**-10
    )
    assert list(map(tuple, np.asarray(shown.lines[0].get_xydata()).tolist())) == rows


def test_figure_6_has_the_bound_and_the_construction_of_theorem_7() -> None:
    data = figure6.load()
    assert data["linear_collapse"] == pytest.approx(0.14706077, abs=1e-8)
    relu = Problem.balanced(**data["setting"], activation="relu")
    assert data["theorem_7"] == pytest.approx(float(Objective.of(relu).loss(nonnegative_pairs(relu))), rel=1e-9)
    curves, *panels = figure6.draw(data).axes
    references = {heights[0] for heights in map(heights_of, curves.lines) if len(heights) == 2}
    assert references == {data["linear_collapse"], data["theorem_7"]}
    assert len(panels) == len(data["runs"]) == 2
    assert all(len(panel.lines) == data["setting"]["depth"] + 1 for panel in panels)


def test_the_cost_grows_as_its_page_says() -> None:
    data = figure_cost.load()
    panels = figure_cost.draw(data).axes
    for panel, varied in zip(panels, figure_cost.LABELS, strict=True):
        rows = [row for row in data if row.varied == varied]
        assert len(rows) == 4
        assert [heights_of(line) for line in panel.lines] == [
            [getattr(row, name) for row in rows] for name, *_ in figure_cost.CURVES
        ]
        assert [row.linear for row in rows] == sorted(row.linear for row in rows)
        assert all(row.linear < row.relu for row in rows)
    products = {row.classes: row.products for row in data if row.varied == "classes"}
    assert products[40] > 20 * products[10]


def test_the_tables_of_cost_hold_what_their_page_says() -> None:
    products = read_table(figures.DATA / "cost-products.csv", RatioRow)
    assert len(products) == 12
    for row in products:
        assert row.block < 1.5 * row.block_bare
        assert row.block < row.alone
        assert row.single < 1.5 * row.single_bare
        peers = dict(part.split("=") for part in row.peers.split())
        assert list(peers) == ["curvlinops", "hessian-eigenthings", "PyHessian"]
        assert row.single < min(map(float, peers.values()))
    solves = read_table(figures.DATA / "cost-solves.csv", SolveRow)
    for solved in solves:
        assert solved.kernels < solved.pool < solved.alone < solved.descent / 30
    assert len({row.run for row in products} | {row.run for row in solves}) == 1
    page = (Path(__file__).parents[1] / "docs" / "cost.md").read_text().splitlines()
    lines = [*cost.product_lines(products), *cost.solve_lines(solves)]
    assert [line for line in page if line in lines] == lines


def test_the_named_spectrum_has_every_eigenvalue_once() -> None:
    data = figure_spectrum.load()
    for name, report in data.items():
        found: dict[EigenvalueKind, dict[float, int]] = {}
        for stem in parts_of(report).stems:
            assert stem.origin is not None
            found.setdefault(stem.origin, {})[round(stem.value / figure_spectrum.PAPER.mean_decay, 9)] = round(stem.height)
        assert sum(sum(part.values()) for part in found.values()) == figure_spectrum.PAPER.parameters
        rank, spare = {"DNC": (9, 61), "pairs": (5, 65)}[name]
        assert found[EigenvalueKind.GAUGE] == {0.0: 2 * (70 * rank - rank * (rank + 1) // 2)}
        assert found[EigenvalueKind.PARTNER] == {2.0: 2 * rank * spare}
        assert found[EigenvalueKind.DECAY] == {1.0: spare**2 + spare * (10 - rank) + spare * (50 - rank)}
        assert sum(found[EigenvalueKind.WITHIN_CLASS].values()) == 40 * rank
    figure = figure_spectrum.draw(data)
    assert [place.get_title() for place in figure.axes] == ["DNC, rank 9", "pairs, rank 5"]
    written = [{text.get_text().strip() for text in place.texts} for place in figure.axes]
    assert written[0] >= {"1170 zeros", "1098", "6283", "40"}
    assert written[1] >= {"670 zeros", "650", "7475", "160", "40"}


def test_the_nullity_is_our_formula_and_not_the_papers() -> None:
    points = [figure_nullity.count(name, 10, 2, method) for name in ("DNC", "pairs") for method in ("dense", "reduction")]
    assert [point.nullity for point in points] == [90, 90, 70, 70]
    assert all(point.nullity == point.orbit for point in points)
    assert [point.nullity - point.paper for point in points] == [72, 72, 20, 20]  # L r (r-1) / 2
    points += [figure_nullity.count(name, 70, depth, "reduction") for name in ("DNC", "pairs") for depth in (1, 2)]
    width, depth = figure_nullity.draw(points).axes
    marked = [heights_of(line) for line in width.lines if line.get_marker() in ("o", "s")]
    assert marked == [[90, 1170], [90], [70, 670], [70]]
    assert [heights_of(line) for line in depth.lines] == [[36, 72], [0, 0], [10, 20], [0, 0]]


@pytest.mark.slow
def test_the_saddle_of_the_slices_has_lower_ground_on_both_sides_and_its_minimum_none() -> None:
    data = figure_slices.load()
    assert float(data.gauge.loss.min()) == pytest.approx(float(data.gauge.orbit[0]), abs=1e-15)
    middle = len(data.saddle.places) // 2
    here = float(data.saddle.loss[middle, middle])
    assert float(data.saddle.loss[:, : middle - 5].min()) < here > float(data.saddle.loss[:, middle + 6 :].min())
    assert float(data.valley.loss.min()) >= float(data.valley.loss[middle, middle]) - 1e-15
    assert data.aligned.barrier < 0.1 * data.straight.barrier


@pytest.mark.slow
def test_figures_are_as_wide_as_a_paper_and_hide_no_text(tmp_path: Path) -> None:
    """Embedded TrueType letters, one of two widths, no text over another: of the figures that are drawn in no time."""
    quick = (figure1, figure2, figure5, figure6, figure_atlas, figure_cost, figure_decision, figure_explanations, figure_prediction)
    for module in (*quick, figure_spectrum):
        figure = module.draw(module.load())
        assert figure.get_size_inches()[0] in (COLUMN_WIDTH, PAGE_WIDTH)
        assert_legible(figure)
        assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) > 6  # points, in print
        save_figure(figure, tmp_path / "figure.pdf")
        written = (tmp_path / "figure.pdf").read_bytes()
        assert b"/FontFile2" in written, "the letters are not embedded as TrueType"
        assert b"/Subtype /Type3" not in written
