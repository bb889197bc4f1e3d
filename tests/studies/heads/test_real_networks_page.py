"""The table and the claims of docs/real-networks.md are those of the committed data, and the lines are those of the catalogue."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from figures import DATA, figure_heads
from landscape.model.problem import Problem
from landscape.studies.heads.standing import Lines
from landscape.studies.heads.tables import HeadLine, HeadRow
from landscape.studies.tables import read_table

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "real-networks.md").read_text()
ROWS = read_table(DATA / "real-networks.csv", HeadRow)
LINEAR = [row for row in ROWS if row.activation == "linear"]


SETTING = ("data", "backbone", "activation", "depth", "decay", "width", "init", "decayed", "feature_init", "head_init")


def settings() -> list[list[HeadRow]]:
    """The runs of each setting, in the order of the table."""
    found: dict[tuple[Any, ...], list[HeadRow]] = {}
    for row in ROWS:
        found.setdefault(tuple(getattr(row, name) for name in SETTING), []).append(row)
    return list(found.values())


def ends(names: Iterable[str]) -> str:
    return ", ".join(f"{name or '-'} {count}" for name, count in Counter(names).most_common())


def words(rows: list[HeadRow]) -> str:
    one = rows[0]
    changes = ["" if one.init == 1 else ", weights x 3", ", ReLU head" if one.activation == "relu" else ""]
    changes.append("" if one.head_init == 1 else f", features x {one.feature_init:g}, head x {one.head_init:g}")
    changes.append("" if one.decayed == "features" else ", all decay")
    cosines = [row.end_cosine for row in rows if row.end_cosine is not None]
    cosine = f"{min(cosines):.6f}" if cosines else "-"
    setting = f"| {one.data} | {one.backbone}{''.join(changes)} | {one.depth}, {one.decay:g} | {one.width} | {len(rows)} |"
    reached = f"{ends(row.start_flow for row in rows)} | {ends(row.end for row in rows)}"
    return f"{setting} {reached} | {cosine} | {max(row.moved for row in rows):.3f} |"


def test_the_page_has_the_rows_of_the_table() -> None:
    shown = [line for line in PAGE.splitlines() if line.startswith(("| fashion | mlp", "| fashion | cnn", "| mnist | mlp"))]
    assert shown == [words(rows) for rows in settings()]
    assert f"{len(ROWS)} of the 69 runs" in PAGE


@pytest.mark.parametrize(("depth", "decay"), [(2, 1e-3), (3, 5e-3)])
def test_the_lines_are_the_critical_points_of_the_model(depth: int, decay: float) -> None:
    problem = Problem.balanced(10, 50, 64, depth, (decay / 50, *(decay,) * depth))
    committed = {row.structure: row.loss for row in read_table(DATA / "real-networks-lines.csv", HeadLine) if row.depth == depth}
    known = {point.loss for point in Lines.of(problem).known}
    named = [loss for structure, loss in committed.items() if not structure.startswith("unnamed")]
    assert len(named) == len(known)
    assert sorted(named) == pytest.approx(sorted(known), rel=1e-10)


def test_partners_stand_beside_each_other_in_the_picture() -> None:
    matrix = figure_heads.cosines([entry for entry in figure_heads.load().grams if entry.run == figure_heads.name_of(2, 1e-3)])
    order = figure_heads.together(matrix)
    assert sorted(order) == list(range(10))
    assert all(matrix[one, other] < -0.99 for one, other in zip(order[::2], order[1::2], strict=True))
