"""The table and the claims of docs/real-networks.md are those of the committed data, and the lines are those of the catalogue."""

import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from figures import DATA, figure_heads, figure_heads_spectrum, figure_heads_width
from landscape.model.problem import Problem
from landscape.studies.heads.standing import Lines
from landscape.studies.heads.tables import HeadFeatures, HeadLine, HeadPrediction, HeadRow, HeadSmoothed
from landscape.studies.intervals import share_interval
from landscape.studies.tables import read_table

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "real-networks.md").read_text()
SAID = " ".join(PAGE.split())
ROWS = read_table(DATA / "real-networks.csv", HeadRow)
LINEAR = [row for row in ROWS if row.activation == "linear"]
PREDICTED = read_table(DATA / "real-networks-predictions.csv", HeadPrediction)


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


def share(count: int, runs: int) -> str:
    low, high = share_interval(count, runs)
    return f"{count} of {runs} ({low:.3f} to {high:.3f})"


def claims() -> list[str]:
    """The sentences of the page that count runs, each with its interval."""
    bounded = [row for row in LINEAR if row.decayed == "features"]
    alike = [row for row in bounded if row.end_cosine is not None and row.end_cosine > 0.98]
    named = [row for row in alike if not row.end.startswith("unnamed")]
    lines = read_table(DATA / "real-networks-lines.csv", HeadLine)
    known = [row for row in alike if any(line.structure == row.end and abs(line.loss - row.end_loss) < 1e-9 for line in lines)]
    above = sum(row.loss > row.best_loss for row in bounded)
    shallow = [row for row in bounded if (row.backbone, row.depth, row.init) == ("mlp", 2, 1)]
    counts = {
        (data, large, end): share(
            sum(row.end == end for row in shallow if (row.data, row.head_init) == (data, large)),
            sum((row.data, row.head_init) == (data, large) for row in shallow),
        )
        for data in ("fashion", "mnist")
        for large in (1, 6)
        for end in ("DNC", "pairs")
    }
    usual = [row for row in shallow if row.head_init == 1]
    same = share(sum(row.start_flow == row.end for row in usual), len(usual))
    wide = [row for row in usual if row.width == 200]
    same_wide = share(sum(row.start_flow == row.end for row in wide), len(wide))
    return [
        f"The loss lies above the best known point of the model in {share(above, len(bounded))} runs with a linear head and decay "
        "on the features.",
        "The class-mean logits at the end of training have a cosine above 0.98 with those of the critical point that the flow "
        f"leads to in {share(len(alike), len(bounded))} of these runs. That point is among the known ones, "
        f"named or found by the search, in {share(len(known), len(bounded))}, and has a name in {share(len(named), len(bounded))}.",
        f"From the end of training the flow of these {len(alike)} moves at most {max(row.moved for row in alike):.3f} of the norm "
        f"of the parameters, from the end of Adam up to {max(row.adam_moved for row in alike):.2f}.",
        *(
            f"In the run of {row.depth} layers, width {row.width} and seed {row.seed} L-BFGS took no step from the end of Adam, at "
            f"loss {row.loss:.4f}: the cosine is {row.end_cosine:.2f}, and the flow moves {row.moved:.2f} of the norm."
            for row in bounded
            if row not in alike
        ),
        f"Started as usual, heads of two layers below an MLP end at DNC in {counts['fashion', 1, 'DNC']} runs on Fashion-MNIST and "
        f"in {counts['mnist', 1, 'DNC']} on MNIST, and at pairs in {counts['fashion', 1, 'pairs']} and "
        f"{counts['mnist', 1, 'pairs']}.",
        f"With small features below a large head they end at DNC in {counts['fashion', 6, 'DNC']} runs on Fashion-MNIST and "
        f"in {counts['mnist', 6, 'DNC']} on MNIST.",
        "From the features of all images and the head that the network starts with, the model reaches the structure where the "
        f"network ends in {same} of these runs started as usual, and in {same_wide} of those of width 200.",
    ]


def test_the_claims_of_the_page_hold_in_the_table() -> None:
    for claim in claims():
        assert claim in SAID
    deep = [row for row in LINEAR if row.depth == 3 and row.init == 1 and row.decayed == "features"]
    assert {row.rank for row in deep} == {3, 4, 5}
    assert sum(row.rank == 4 for row in deep) > len(deep) / 2
    large = {depth: [(row.start_flow, row.end) for row in LINEAR if (row.init, row.depth) == (3, depth)] for depth in (2, 3)}
    assert {start for start, _ in large[2]} == {"pairs"}
    assert {end for _, end in large[2]} == {"DNC", "partition:8,2"}
    assert {end for _, end in large[3]} == {"pairs"}
    assert min(row.moved for row in ROWS if row.decayed == "network") > 0.49
    stopped = [row for row in LINEAR if row.decayed == "features" and row.moved > 0.1]
    assert all(row.adam_loss - row.loss < 1e-7 for row in stopped)
    assert all(row.best_known == "" and row.best_loss is None for row in ROWS if row.decayed == "network")
    assert {row.start_flow for row in ROWS if row.head_init == 6} == {"DNC"}


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


def test_the_spectra_are_those_of_the_ends_of_the_table() -> None:
    reports = figure_heads_spectrum.load()
    for (depth, decay), report in zip(figure_heads_spectrum.SETTINGS, reports.values(), strict=True):
        (row,) = [
            each
            for each in ROWS
            if (each.data, each.backbone, each.depth, each.decay, each.width, each.seed, each.decayed, each.init)
            == ("fashion", "mlp", depth, decay, 64, 0, "features", 1.0)
        ]
        assert (report.structure, report.index, report.nullity) == (row.end, row.index, row.nullity)
        assert f"{report.nullity} of {report.problem.parameters}" in PAGE
    panels = figure_heads_spectrum.draw(reports).axes
    assert [panel.get_title() for panel in panels] == ["L = 2: pairs, rank 5", "L = 3: triangular code T(5), rank 4"]


def test_the_shares_of_the_figure_are_counts_of_the_table() -> None:
    tables = figure_heads_width.load()
    for data in figure_heads_width.WORDS:
        for start in figure_heads_width.STARTS:
            found = {name: figure_heads_width.shares(tables.rows, data, start, name) for name in figure_heads_width.STRUCTURES}
            alike = [row for row in LINEAR if (row.data, row.backbone, row.depth, row.init) == (data, "mlp", 2, 1.0)]
            alike = [row for row in alike if (row.decayed, row.feature_init, row.head_init) == ("features", *start)]
            assert sum(share.networks for share in found["pairs"]) == len(alike)
            assert sum(share.count for share in found["pairs"]) == sum(row.end == "pairs" for row in alike)
            assert sum(share.count for share in found["DNC"]) == sum(row.end == "DNC" for row in alike)
    assert len(figure_heads_width.draw(tables).axes) == 4


def test_the_predictions_of_the_page_are_those_of_the_table() -> None:
    rows = PREDICTED
    settings = list(dict.fromkeys((row.data, row.width, row.feature_init, row.head_init, row.features) for row in rows))
    shown = []
    for setting in settings:
        alike = [row for row in rows if (row.data, row.width, row.feature_init, row.head_init, row.features) == setting]
        (collapse,) = [row for row in alike if row.structure == "DNC"]
        data, width, small, large, features = setting
        others = ", ".join(
            f"{row.structure.partition(', loss')[0]} {row.count}" for row in alike if row is not collapse and row.count
        )
        start = "as usual" if small == large == 1 else f"features x {small:g}, head x {large:g}"
        share = f"{collapse.count} of {collapse.starts} | {collapse.low:.3f} to {collapse.high:.3f}"
        shown.append(f"| {data} | {width} | {start} | {'own' if features == 'own' else 'random'} | {share} | {others or '-'} |")
        assert sum(row.count for row in alike) == collapse.starts
    assert [line for line in PAGE.splitlines() if line.startswith("|") and ("| own |" in line or "| random |" in line)] == shown


def test_the_counts_of_the_text_on_predictions_are_sums_of_the_table() -> None:
    own = [row for row in PREDICTED if row.features == "own" and row.structure == "DNC"]
    usual, large = ([row for row in own if (row.head_init == 1) == same] for same in (True, False))
    for rows, text in ((usual, "{} starts as usual ({})"), (large, "{} starts ({})")):
        count, starts = sum(row.count for row in rows), sum(row.starts for row in rows)
        assert text.format(*share(count, starts).removesuffix(")").split(" (")) in SAID
    random = {row.width: row.count for row in PREDICTED if (row.features, row.structure, row.head_init) == ("none", "DNC", 1)}
    assert {width for width, count in random.items() if count} == {width for width in random if width >= 200}


def test_what_the_page_says_of_untrained_features_is_in_the_table() -> None:
    rows = [row for row in read_table(DATA / "real-networks-features.csv", HeadFeatures) if row.width > 16]
    assert {row.width for row in rows} == {64, 200, 800}
    assert {(row.data, row.seed) for row in rows} == {(data, seed) for data in ("fashion", "mnist") for seed in range(5)}
    least, most = min(row.least for row in rows), max(row.most for row in rows)
    assert f"cosines of {least:.2f} to {most:.2f}, {min(row.common for row in rows):.2f} or more of their squared norm" in SAID
    assert f"three directions hold {min(row.three for row in rows):.2f} to {max(row.three for row in rows):.2f} of the rest" in SAID


def test_what_the_page_says_of_rectified_heads_is_in_the_table() -> None:
    rows = [row for row in ROWS if row.activation == "relu"]
    assert {(row.depth, row.width) for row in rows} == {(4, 64)}
    assert {row.end for row in rows} == {"not critical"}
    units = 3 * 64
    normal = units * 500 * math.erf(1e-3 / math.sqrt(2))
    kinks, dead = (f"{a}, {b} and {c}" for a, b, c in ([row.kinks for row in rows], [row.dead for row in rows]))
    assert f"of the {units * 500} hidden pre-activations of each, {kinks} are within" in SAID
    assert f"would have about {normal:.0f}, and {dead} of {units} hidden units are closed" in SAID
    assert f"after {max(row.moved for row in rows):.5f} of the norm" in SAID


def test_what_the_page_says_of_smoothed_heads_is_in_the_table() -> None:
    rows = read_table(DATA / "real-networks-relu.csv", HeadSmoothed)
    trained = {row.seed: row.loss for row in ROWS if row.activation == "relu"}
    assert all(0 <= trained[row.seed] - row.loss < 2e-4 for row in rows)
    assert {(row.inputs, row.gradient_norm > 1e-3, row.rank < 10) for row in rows} == {(3 * 64 * 10, True, True)}
    losses, kinks, dead, residuals = (
        ", ".join(f"{value:{form}}" for value in values)
        for values, form in (
            ([row.end_loss for row in rows], ".4f"),
            ([row.kinks for row in rows], "d"),
            ([row.dead for row in rows], "d"),
            ([row.residual for row in rows], ".1e"),
        )
    )
    seeds = ", ".join(str(row.seed) for row in rows)
    assert f"(seed {seeds}) to a loss of {losses}, at kinks too: {kinks} of 1920 pre-activations" in SAID
    assert f"{dead} of 192 units are closed on every class" in SAID
    assert f"shortest generalised gradient found has the norm {residuals}" in SAID


def test_the_time_that_the_page_names_is_that_of_the_runs() -> None:
    seconds = [row.core_seconds for row in ROWS]
    each = f"{min(seconds):.0f} to {max(seconds):.0f} seconds each"
    assert f"{len(ROWS)} runs took {sum(seconds) / 60:.0f} minutes of one core, {each}" in SAID
    assert sum(seconds) < 3 * 3600
