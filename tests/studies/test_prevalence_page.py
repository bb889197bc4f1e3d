"""The tables of docs/prevalence.md are those of the committed data and of the formulas; its command is a real one."""

import math
import re
from pathlib import Path

import pytest

from figures import DATA, figure2, figure6
from landscape.model.dimensions import orbit_dimension, paper_dimension
from landscape.studies.intervals import share_interval
from landscape.studies.tables import MethodComparison, read_table

PAGE = (Path(__file__).parents[2] / "docs" / "prevalence.md").read_text()


def cells(heading: str) -> list[list[str]]:
    """Returns the rows of the table whose first line begins so."""
    (table,) = re.findall(rf"^\| {re.escape(heading)}.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


@pytest.mark.parametrize(("heading", "key"), [("d | DNC of 40, scale 1 |", "width"), ("decay | DNC of 40", "decay")])
def test_the_counts_of_figure_2(heading: str, key: str) -> None:
    table = [row for row in figure2.load() if row.structure == "DNC" and figure2.on_panel(row, key)]
    shown = cells(heading)
    assert len(shown) == len({getattr(row, key) for row in table}) >= 6
    for place, *counts in shown:
        value = float(place) if key == "width" else 2.0 ** int(place.removeprefix("2^"))
        for scale, text in zip((1.0, 0.1), counts, strict=True):
            (row,) = (row for row in table if getattr(row, key) == value and row.feature_scale == scale)
            assert text == f"{row.count} ({row.low:.2f} to {row.high:.2f})"
            assert (row.low, row.high) == pytest.approx(share_interval(row.count, row.seeds))


def test_the_comparison_with_plain_descent() -> None:
    table = read_table(DATA / "fidelity.csv", MethodComparison)
    assert len(table) == 40
    for width, same, copies, *_ in cells("d | same structure"):
        rows = [row for row in table if row.width == int(width)]
        assert same == f"{sum(row.structure == row.other_structure for row in rows)} of {len(rows)}"
        assert copies == f"{sum(row.distance < 1e-9 for row in rows)} of {len(rows)}"
    assert f"same in {sum(row.same for row in table)} of 40" in PAGE
    assert sum(row.same for row in table) >= 38


def test_the_ratios_of_dimensions() -> None:
    rows = cells("d | orbit, DNC")
    assert [int(row[0]) for row in rows] == [10, 20, 40, 70, 100, 150]
    for row in rows:
        width = int(row[0])
        collapse, pairs = orbit_dimension(9, width, 2), orbit_dimension(5, width, 2)
        assert row[1:3] == [str(collapse), str(pairs)]
        assert float(row[3]) == pytest.approx(collapse / pairs, abs=5e-4)
        # Theorem 5 with all singular values equal: L r (d - r)
        assert float(row[4]) == pytest.approx(9 * (width - 9) / (5 * (width - 5)), abs=5e-4)
        assert float(row[4]) == pytest.approx(paper_dimension([9], width, 2) / paper_dimension([5], width, 2), abs=5e-4)


def test_the_relu_runs() -> None:
    data = figure6.load()
    for run, row in zip(data["runs"], cells("H_1 scale | loss"), strict=True):
        assert float(row[0]) == run["feature_scale"]
        assert float(row[1]) == pytest.approx(run["losses"][-1], abs=1e-6)
        assert row[3] == ", ".join(str(sum(s > 0.01 * part[0] for s in part)) for part in run["singular"].values())
    for name in ("linear_collapse", "theorem_7"):
        assert f"{data[name]:.8f}" in PAGE
    assert f"{data['runs'][0]['steps'][-1]:,} steps" in PAGE


def test_the_hundred_seeds_are_a_hundred_with_their_intervals() -> None:
    rows = cells("structure | seeds of 100")
    assert sum(int(row[1]) for row in rows) == 100
    for row in rows:
        low, high = share_interval(int(row[1]), 100)
        assert row[2] == f"{low:.3f} to {high:.3f}"
        assert int(row[5]) == orbit_dimension(int(row[3]), 70, 2)
    assert math.isclose(float(rows[0][4]), 0.0800126592, abs_tol=1e-9)
