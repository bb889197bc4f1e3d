"""Every figure is drawn from its committed data, and the data say what the pages say of them."""

from pathlib import Path

import pytest

from figures import figure1, figure2, figure5, figure6
from figures.__main__ import build, names
from landscape.construction import nonnegative_pairs
from landscape.degeneracy import analyse
from landscape.problem import Problem


@pytest.mark.slow
def test_all_figures_are_built(tmp_path: Path) -> None:
    written = build(tmp_path)
    assert names() == ["figure1", "figure2", "figure5", "figure6", "figure_explanations"]
    assert {path.name for path in written} == {f"{name}.{suffix}" for name in names() for suffix in ("pdf", "png")}
    assert all(path.stat().st_size > 5_000 for path in written)


def test_figure1_has_the_two_structures_of_the_paper() -> None:
    points = figure1.load()
    assert {name: analyse(point).structure for name, point in points.items()} == {"collapse": "DNC", "pairs": "pairs"}
    curves, *_ = figure1.draw(points).axes
    references = sorted({round(float(line.get_ydata()[0]), 10) for line in curves.lines if len(line.get_ydata()) == 2})
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
    shown = next(container for container in panel.containers if container.get_label() == "1")
    rows = sorted(
        (row.width, row.count / row.seeds) for row in table
        if row.structure == "DNC" and row.feature_scale == 1.0 and row.decay == 2.0**-10
    )
    assert list(zip(*shown.lines[0].get_data(), strict=True)) == rows


def test_figure_6_has_the_bound_and_the_construction_of_theorem_7() -> None:
    data = figure6.load()
    assert data["linear_collapse"] == pytest.approx(0.14706077, abs=1e-8)
    relu = Problem.balanced(**data["setting"], activation="relu")
    assert data["theorem_7"] == pytest.approx(float(relu.objective().loss(nonnegative_pairs(relu))), rel=1e-9)
    curves, *panels = figure6.draw(data).axes
    references = {float(line.get_ydata()[0]) for line in curves.lines if len(line.get_ydata()) == 2}
    assert references == {data["linear_collapse"], data["theorem_7"]}
    assert len(panels) == len(data["runs"]) == 2
    assert all(len(panel.lines) == data["setting"]["depth"] + 1 for panel in panels)
