"""Explanations beside observations: planted answers, hand formulas, and the page's table against the committed data."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu

from figures import DATA
from figures.figure_explanations import draw, load, on_sweep
from landscape.errors import InputError
from landscape.paper.explanations import EXPLANATIONS, Evidence, SeedRow, evidence, score, scores
from landscape.studies.tables import PrevalenceRow, read_table

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "why-collapse.md").read_text()
SETS = {
    "all, c_H = 1": lambda line: line.feature_scale == 1.0,
    "widths, c_H = 1": lambda line: line.feature_scale == 1.0 and on_sweep(line, "width"),
    "decays, c_H = 1": lambda line: line.feature_scale == 1.0 and on_sweep(line, "decay"),
    "all, c_H = 0.1": lambda line: line.feature_scale == 0.1,
    "both scales": lambda line: True,
}


def test_a_planted_explanation_wins_and_noise_does_not() -> None:
    rng = np.random.default_rng(0)
    x = np.linspace(-3, 3, 24)
    seeds = np.full(24, 400)
    found = rng.binomial(seeds, 1 / (1 + np.exp(-2 * x)))
    good, noise = score("x", x, found, seeds), score("noise", rng.permutation(x), found, seeds)
    share = found / seeds
    assert good.rank_correlation == pytest.approx(pd.Series(x).rank().corr(pd.Series(share).rank()), rel=1e-12)
    floor = float((share * (1 - share)).mean())  # nobody can predict single starts better than by their share
    assert floor <= good.brier < floor + 1e-3
    assert noise.brier > 0.95 * noise.brier_of_mean


def test_an_explanation_that_says_the_same_of_everything_is_the_mean() -> None:
    found, seeds = np.array([1, 5, 9, 2]), np.full(4, 10)
    flat = score("flat", np.full(4, 1.7), found, seeds)
    assert flat.rank_correlation is None
    assert flat.brier == flat.brier_of_mean


def test_what_is_said_of_a_setting_by_hand() -> None:
    rows = [PrevalenceRow(4, 8, d, 2, 1e-3, 1.0, 1.0, "DNC", 3, count, 10, 0.0, 1.0) for d, count in ((6, 1), (8, 4))]
    lines = evidence(rows)
    assert [(line.width, line.found, line.seeds) for line in lines] == [(6, 1, 10), (8, 4, 10)]
    for line in lines:
        d = line.width
        assert line.dimension_ratio == pytest.approx(2 * (3 * d - 6) / (2 * (2 * d - 3)))  # L (d r - r (r+1)/2), r = 3 and 2
    with pytest.raises(InputError, match="even number"):
        evidence([PrevalenceRow(5, 10, 6, 2, 1e-3, 1.0, 1.0, "DNC", 4, 1, 10, 0.0, 1.0)])
    with pytest.raises(InputError, match="at least 4"):
        scores(lines)


def test_the_committed_table_is_what_the_code_says() -> None:
    table = read_table(DATA / "figure2.csv", PrevalenceRow)
    chosen = [row for row in table if (row.width, row.feature_scale) == (20, 1.0)]
    computed = evidence(chosen)
    committed = [line for line in load() if (line.width, line.feature_scale) == (20, 1.0)]
    for name in Evidence.__dataclass_fields__:
        assert getattr(computed[0], name) == pytest.approx(getattr(committed[0], name), rel=1e-9), name
    assert len(load()) == len({(row.width, row.decay, row.feature_scale) for row in table})


def test_the_page_has_the_scores_of_the_committed_table() -> None:
    for words, chosen in SETS.items():
        for item in scores(load(), chosen):
            rank = "same for all" if item.rank_correlation is None else f"{item.rank_correlation:+.2f}"
            line = f"| {words} | {item.explanation} | {rank} | {item.brier:.3f} | {item.brier_of_mean:.3f} |"
            assert line in PAGE, f"expected in docs/why-collapse.md: {line}"


def test_the_page_has_the_alignment_of_single_starts() -> None:
    starts = read_table(DATA / "starts.csv", SeedRow)
    assert len(starts) == 100
    collapse = [row for row in starts if row.structure == "DNC"]
    others = [row for row in starts if row.structure != "DNC"]
    for words, value in (("cosine with the simplex", lambda r: r.simplex), ("its difference", lambda r: r.simplex - r.pairs)):
        test = mannwhitneyu([value(row) for row in collapse], [value(row) for row in others])
        share = test.statistic / len(collapse) / len(others)
        assert f"{words} {share:.2f} (p = {test.pvalue:.3f})" in PAGE


def test_the_figure_shows_every_setting() -> None:
    panels = draw(load()).axes
    assert len(panels) == 4
    assert sum(np.size(line.get_xdata()) for line in panels[0].lines) == len(load()) + 2  # where two sweeps cross, at either scale
    assert set(EXPLANATIONS) <= set(Evidence.__dataclass_fields__)
