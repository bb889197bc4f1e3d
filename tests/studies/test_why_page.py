"""The tables of docs/why-collapse.md are those of the committed data, and the page's verdict follows from them."""

import math
import re
from itertools import pairwise
from pathlib import Path

import pytest

from figures import DATA, figure2, figure_prediction
from landscape.studies.intervals import share_interval
from landscape.studies.prediction.formula import FITTED
from landscape.studies.prediction.scores import separation
from landscape.studies.prediction.tables import (
    AreaRow,
    DecisionRow,
    FeatureRow,
    FormulaRow,
    LawRow,
    PairRow,
    RankRow,
    ScoreRow,
    SwapRow,
)
from landscape.studies.tables import read_table

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "why-collapse.md").read_text()
WORDS = {"none": "as drawn", "features:anew": "placebo: drawn anew", "features:identity": "orthogonal"}


def words(swap: str) -> str:
    return WORDS.get(swap, swap.replace("features:width=", "drawn as at width "))


def interval(row: "SwapRow | LawRow") -> str:
    return f"{row.low:.3f} to {row.high:.3f}"


def swaps(name: str = "swaps.csv") -> list[SwapRow]:
    return read_table(DATA / name, SwapRow)


def full_rows() -> list[str]:
    rows = swaps()
    lines = []
    for row in rows:
        if row.structure == "DNC" and row.samples == 50:
            mine = [r for r in rows if (r.width, r.swap, r.samples) == (row.width, row.swap, 50)]
            counts = {r.structure: r.count for r in mine}
            others = [str(counts.get(name, 0)) for name in ("pairs", "partition:8,2", "partition:6,2,2")]
            lines.append(f"| {row.width} | {words(row.swap)} | {row.count} | {interval(row)} | {' | '.join(others)} |")
    return lines


def single_rows() -> list[str]:
    kept = [row for row in swaps() if row.structure == "DNC" and row.samples == 10]
    return [f"| {row.width} | {words(row.swap)} | {row.count} | {interval(row)} |" for row in kept]


def part_rows() -> list[str]:
    kept = [row for row in swaps("swaps-law.csv") if row.structure == "DNC"]
    return [f"| {row.width} | {row.swap.replace('none', 'nothing')} | {row.count} | {interval(row)} |" for row in kept]


def deep_rows() -> list[str]:
    rows = swaps("swaps-deep.csv")
    lines = []
    for row in rows:
        if row.structure == "DNC":
            counts = {r.structure: r.count for r in rows if (r.width, r.swap) == (row.width, row.swap)}
            others = f"{counts.get('pairs', 0)} | {counts.get('partition:6,2', 0)}"
            lines.append(f"| {row.width} | {row.swap.replace('none', 'nothing')} | {row.count} | {interval(row)} | {others} |")
    return lines


def other_rows() -> list[str]:
    lines = []
    for row in read_table(DATA / "swaps-other.csv", RankRow):
        words = row.problem.split(" (P=")[0].removeprefix("linear ")
        place = f"{words} | {row.weight_scale:g} | {row.swap.replace('none', 'nothing')}"
        lines.append(f"| {place} | {row.full} of {row.seeds} | {row.low:.3f} to {row.high:.3f} |")
    return lines


def decision_rows() -> list[str]:
    kept = read_table(DATA / "decision.csv", DecisionRow)
    return [f"| {row.time:g} | {row.area:.3f} | {row.low:.3f} to {row.high:.3f} |" for row in kept]


def pair_rows() -> list[str]:
    lines = []
    for row in read_table(DATA / "pairs.csv", PairRow):
        setting = (
            f"{row.classes} | {row.samples // row.classes} | 2^{math.log2(row.decay):.0f} | {row.feature_scale:g} | {row.width}"
        )
        fitted = -row.classes - FITTED * (row.samples - row.classes)
        numbers = f"{row.probability:.2g} | {row.error:.1g} | {row.formula:.2g} | {row.shift:.0f} | {fitted:.0f}"
        lines.append(f"| {setting} | {numbers} |")
    return lines


def feature_rows() -> list[str]:
    lines = []
    for row in read_table(DATA / "features.csv", FeatureRow):
        name = row.features.replace("none", "random, as drawn")
        cosines = "near 0" if row.features == "none" else f"{row.least:.2f} to {row.most:.2f}"
        lines.append(f"| {name} | {cosines} | {row.found} of {row.starts} | {row.low:.3f} to {row.high:.3f} |")
    return lines


def law_rows() -> list[str]:
    lines = []
    for row in read_table(DATA / "law.csv", LawRow):
        full = [
            f"{r.count} of {r.seeds}"
            for r in figure2.load()
            if (r.structure, r.width, r.feature_scale, r.decay) == ("DNC", row.width, row.feature_scale, 2.0**-10)
        ]
        told = f"{row.formula:.3f}" if row.formula >= 0 else "refused"
        place = f"{row.width} | {row.feature_scale:g} | {row.groups} | {row.found} | {interval(row)}"
        lines.append(f"| {place} | {row.same} of {row.repeated} | {full[0] if full else '-'} | {told} |")
    return lines


def held_rows() -> list[str]:
    observed = {
        figure_prediction.held_out_key(row): row for row in read_table(DATA / "held-out.csv", SwapRow) if row.structure == "DNC"
    }
    areas = {
        (row.classes, row.samples, row.width, row.decay, row.feature_scale): row
        for row in read_table(DATA / "held-out-scores.csv", AreaRow)
    }
    lines = []
    for row in read_table(DATA / "held-out-predictions.csv", FormulaRow):
        key = figure_prediction.held_out_key(row)
        seen, area = observed[key], areas[key]
        setting = (
            f"{row.classes} | {row.samples // row.classes} | 2^{math.log2(row.decay):.0f} | {row.feature_scale:g} | {row.width}"
        )
        found = f"{row.predicted:.3f} | {seen.count / seen.seeds:.3f} | {interval(seen)}"
        lines.append(f"| {setting} | {found} | {area.area:.3f} ({area.low:.3f} to {area.high:.3f}) |")
    return lines


def excess() -> float:
    """Root mean square of observed minus predicted in the held-out settings, binomial variance subtracted."""
    squares = []
    observed = {
        figure_prediction.held_out_key(row): row for row in read_table(DATA / "held-out.csv", SwapRow) if row.structure == "DNC"
    }
    for row in read_table(DATA / "held-out-predictions.csv", FormulaRow):
        seen = observed[figure_prediction.held_out_key(row)]
        found = seen.count / seen.seeds
        squares.append((found - row.predicted) ** 2 - found * (1 - found) / (seen.seeds - 1))
    return math.sqrt(max(0.0, sum(squares) / len(squares)))


TABLES = (
    *(full_rows, single_rows, part_rows, deep_rows, other_rows, law_rows, held_rows),
    *(decision_rows, pair_rows, feature_rows),
)


@pytest.mark.parametrize("rows", TABLES)
def test_the_tables_are_those_of_the_data(rows) -> None:
    lines = rows()
    assert len(lines) >= 5
    for line in lines:
        assert line in PAGE, f"expected in docs/why-collapse.md: {line}"


def test_the_verdict_follows_from_the_swap() -> None:
    def dnc(width: int, swap: str) -> SwapRow:
        return figure_prediction.swap_row(swaps(), width, swap)

    assert dnc(70, "features:identity").low > 0.95 > 0.3 > dnc(70, "none").high
    assert dnc(70, "features:width=150").low > dnc(70, "none").high
    assert dnc(150, "features:width=70").high < dnc(150, "none").low
    for width in (70, 150):
        plain, placebo = dnc(width, "none"), dnc(width, "features:anew")
        assert max(plain.low, placebo.low) < min(plain.high, placebo.high)
    assert all(row.seeds == 200 for row in swaps())


def test_the_law_overlaps_the_counts() -> None:
    for row in read_table(DATA / "law.csv", LawRow):
        for full in figure2.load():
            if (full.structure, full.width, full.feature_scale, full.decay) == ("DNC", row.width, row.feature_scale, 2.0**-10):
                assert max(row.low, full.low) < min(row.high, full.high)


def test_the_scores_of_single_starts() -> None:
    rows = read_table(DATA / "scores.csv", ScoreRow)
    found = separation([row.score for row in rows], [row.structure != "DNC" for row in rows])
    assert found is not None
    assert f"it is {found.area:.3f} ({found.low:.3f} to {found.high:.3f})" in PAGE


def test_the_held_out_error() -> None:
    (said,) = re.findall(r"binomial variance subtracted, is (0\.\d+)", PAGE)
    assert float(said) == pytest.approx(excess(), abs=5e-4)


def test_the_scores_of_the_held_out_settings() -> None:
    areas = [row.area for row in read_table(DATA / "held-out-scores.csv", AreaRow)]
    assert min(areas) >= 0.80
    assert f"The mean AUC is {sum(areas) / len(areas):.3f}" in PAGE


def test_three_layers_need_more_than_the_features() -> None:
    found = {(row.width, row.swap): row for row in swaps("swaps-deep.csv") if row.structure == "DNC"}
    plain, symmetric, wide = found[40, "none"], found[40, "features:identity"], found[120, "none"]
    assert symmetric.low > plain.high
    assert found[40, "features:identity+weights:isometric"].low > symmetric.high
    assert found[40, "weights:isometric"].low < plain.high
    assert found[40, "features:width=120+weights:width=120"].high < wide.low
    assert found[120, "features:width=40"].high < wide.low
    for width in (40, 120):
        assert found[width, "features:anew"].low < found[width, "none"].high
        assert found[width, "none"].low < found[width, "features:anew"].high


def test_the_shift_of_the_tail_is_not_that_of_frequent_splits() -> None:
    *tail, single, several = read_table(DATA / "pairs.csv", PairRow)
    for row in tail:
        assert abs(row.probability - row.formula) < 2 * row.error
    observed = {
        figure_prediction.held_out_key(row): row.count / row.seeds
        for row in read_table(DATA / "held-out.csv", SwapRow)
        if row.structure == "DNC"
    }
    keys = [(row.classes, row.samples, row.width, row.decay, row.feature_scale) for row in (single, several)]
    told = [(1 - row.probability) ** math.comb(row.classes, 2) for row in (single, several)]
    numbers = f"shares of {told[0]:.2f} and {told[1]:.2f}, where {observed[keys[0]]:.3f} and {observed[keys[1]]:.3f} are observed"
    assert numbers in " ".join(PAGE.split())


def test_every_table_of_the_page_is_checked() -> None:
    """A row that no script wrote would be a number without a source; tests/paper/test_explanations.py has the last two tables."""
    known = {line for rows in TABLES for line in rows()}
    own = PAGE.split("## What degeneracy explains")[0]
    rows = {line for line in own.splitlines() if line.startswith("| ")}
    headings = {above for above, below in pairwise(own.splitlines()) if below.startswith("|---")}
    assert rows - headings == known


def test_intervals_are_of_the_counts() -> None:
    for row in swaps():
        if row.structure != "not converged":
            assert (row.low, row.high) == pytest.approx(share_interval(row.count, row.seeds), abs=1e-9)


def test_the_figure_shows_every_bar() -> None:
    panels = figure_prediction.draw(figure_prediction.load()).axes
    assert len(panels) == 4
    assert len(panels[1].patches) == len(figure_prediction.SWAPS)
