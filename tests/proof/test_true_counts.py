"""scripts/true_counts.py and scripts/proved_points.py: their committed tables, and a seeded tenth computed again."""

import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import proved_points
import true_counts
from full_inertia import Model, Truth, truth

SAMPLE = sorted(random.Random(0).sample(range(true_counts.CASES), true_counts.CASES // 10))


@pytest.mark.slow
def test_the_oracle_knows_the_faint_eigenvalues_and_the_thresholds() -> None:
    pairs = Model((2,) * 4, 6, 2, (1e-7,) * 3, "ce")
    assert truth(pairs, [(2, 2, "small")] * 2) == Truth(18, 3)
    beside = Model((3,) * 5, 6, 4, (0.06443059911283797,) * 5, "ce")
    assert truth(beside, [(5, 3, "large")]) == Truth(56, 5)
    above = Model((1,) * 3, 4, 2, (0.2213,) * 3, "ce")
    assert truth(above, [(3, 1, "large")]) is None


def test_no_stated_count_of_the_table_is_wrong() -> None:
    table = true_counts.read()
    assert {row.case for row in table} == set(range(true_counts.CASES))
    assert [row for row in table if row.stated and not row.right] == []
    for source in ("structure", "atlas", "saved"):
        away = [row for row in table if row.source == source and row.far and row.true_nullity >= 0]
        assert sum(not row.stated for row in away) < 0.05 * len(away)


def test_answers_are_compared_with_the_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert true_counts.compare(2) == 0
    other = [replace(row, nullity=row.nullity + 1) if row.source == "saved" else row for row in true_counts.read()]
    monkeypatch.setattr(true_counts, "read", lambda: other)
    assert true_counts.compare(2) == 2
    assert "case 1, saved: " in capsys.readouterr().out


def test_every_point_of_the_table_is_proved_and_accepted() -> None:
    table = proved_points.read()
    assert all(row.right for row in table)
    assert sum(row.source.startswith("problem") for row in table) >= proved_points.FOUND
    assert sum(row.source.startswith("paper seed") and row.index == 0 for row in table) == proved_points.SEEDS
    seconds = {row.structure: row.prove_seconds for row in table if row.source.startswith("paper seed")}
    assert seconds["DNC"] < 2
    assert seconds["pairs"] < 1
    assert all(row.prove_seconds < 1 for row in table if row.source == "named")


@pytest.mark.slow
@pytest.mark.parametrize("case", SAMPLE)
def test_a_tenth_of_the_random_problems_again(case: int) -> None:
    rows = true_counts.rows_of(case)
    assert [row for row in rows if row.stated and not row.right] == []
    assert rows == [row for row in true_counts.read() if row.case == case]


@pytest.mark.slow
def test_a_tenth_of_the_points_again(tmp_path: Path) -> None:
    rows = [proved_points.named(*proved_points.NAMED[1], tmp_path), proved_points.named(*proved_points.NAMED[5], tmp_path)]
    rows += [proved_points.saved(name, point, tmp_path) for name, point in proved_points.points(range(2, 4))]
    for problem in proved_points.PROBLEMS[1:4:2]:
        rows += [proved_points.saved(name, point, tmp_path) for name, point in proved_points.minima(problem, 4)]
    assert len(rows) >= 9
    assert all(row.right for row in rows)
