"""The table and the claims of docs/real-networks.md are those of the committed data, and the lines are those of the catalogue."""

from pathlib import Path

import pytest

from figures import DATA, figure_heads
from landscape.model.problem import Problem
from landscape.studies.heads.standing import Lines
from landscape.studies.heads.tables import HeadLine, HeadRow
from landscape.studies.tables import read_table

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "real-networks.md").read_text()
ROWS = read_table(DATA / "real-networks.csv", HeadRow)
LINEAR = [row for row in ROWS if row.activation == "linear"]


def words(row: HeadRow) -> str:
    changes = ["" if row.init == 1 else ", weights x 3", ", ReLU head" if row.activation == "relu" else ""]
    changes.append(f", seed {row.seed}" if row.seed else "")
    cosine = "-" if row.end_cosine is None else f"{row.end_cosine:.6f}"
    start = f"| {row.data} | {row.backbone}{''.join(changes)} | {row.depth}, {row.decay:g} | {row.width} |"
    return f"{start} {row.end} | {cosine} | {row.moved:.3f} |"


def test_the_page_has_the_rows_of_the_table() -> None:
    shown = [line for line in PAGE.splitlines() if line.startswith(("| fashion", "| mnist"))]
    assert shown == [words(row) for row in ROWS]
    assert f"{len(ROWS)} of the 57 runs" in PAGE


def test_the_claims_of_the_page_hold_in_the_table() -> None:
    assert all(row.loss > row.best_loss for row in LINEAR)
    assert all(row.end_cosine > 0.9999 for row in LINEAR)
    assert {row.end for row in LINEAR if row.data == "mnist"} == {"pairs"}
    plain = [row for row in LINEAR if row.data == "fashion" and row.init == 1]
    assert {row.rank for row in plain if row.depth == 3} == {4}
    assert [(row.depth, row.end) for row in LINEAR if row.init == 3] == [(2, "partition:8,2"), (3, "pairs")]
    assert "DNC" not in {row.end for row in ROWS}
    assert (min(row.adam_rank for row in LINEAR), max(row.adam_rank for row in LINEAR)) == (4, 9)
    assert min(row.adam_moved for row in LINEAR) > 0.01
    assert max(row.adam_moved for row in LINEAR) < 0.75


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
