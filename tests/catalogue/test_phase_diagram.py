"""Cells against the dense Hessian and against the atlas, thresholds against what happens on either side of them."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest
import torch

from landscape.catalogue.phase_diagram import best_partition, cell, phase_diagram, varied
from landscape.catalogue.table import AtlasOptions, atlas
from landscape.cli import run
from landscape.errors import InputError
from landscape.model.logit_form import write_parameters
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.structures.analytic import logit_form
from landscape.structures.dnc import dnc_decay, fold_decay, stability_decay
from landscape.structures.kinds import Collapse, Pairs, Partition, Zero
from landscape.structures.notation import parse_range


def dense_index(problem: Problem) -> int:
    theta = write_parameters(problem, logit_form(problem, Collapse()))
    values = torch.linalg.eigvalsh(torch.func.hessian(Objective.of(problem).loss)(theta))
    return int((values < -1e-9).sum())


@pytest.mark.parametrize(
    ("K", "L", "decay", "state", "index"),
    [
        (4, 2, 1e-3, "best known", 0),
        (4, 2, 3e-2, "local minimum", 0),
        (4, 2, 0.17, "saddle", 2),
        (4, 2, 0.1775, "saddle", 5),  # just below the fold the standard representation is negative too
        (3, 2, 0.2207, "saddle", 2),
        (4, 3, 0.15, "saddle", 2),
        (4, 2, 0.2, "no DNC point", None),
        (5, 1, 1e-2, "best known", 0),
    ],
)
def test_cells_against_the_dense_hessian(K: int, L: int, decay: float, state: str, index: int | None) -> None:
    problem = Problem.balanced(K, 1, K, L, decay)
    found = cell(problem)
    assert (found.state, found.index) == (state, index)
    if index is not None:
        assert dense_index(problem) == index


def test_too_narrow_for_dnc() -> None:
    assert cell(Problem.balanced(6, 1, 4, 2, 1e-3)).state == "no DNC point"
    assert cell(Problem.balanced(6, 1, 5, 2, 1e-3)).state == "local minimum"


@pytest.mark.parametrize(("K", "L", "n"), [(6, 3, 1), (10, 2, 5), (20, 4, 2)])
def test_the_thresholds_separate_the_states(K: int, L: int, n: int) -> None:
    problem = Problem.balanced(K, n, K, L, 1e-3)
    fold, stable = fold_decay(problem), stability_decay(problem)
    assert stable is not None
    states = [cell(varied(problem, "decay", decay)) for decay in (stable * (1 - 1e-6), stable * (1 + 1e-6), fold * (1 + 1e-9))]
    assert [found.state for found in states] == ["local minimum", "saddle", "no DNC point"]
    assert states[1].index == K * (K - 3) // 2
    assert cell(varied(problem, "decay", fold * (1 - 1e-6))).alpha is not None


def test_there_is_no_threshold_for_three_classes_or_one_layer() -> None:
    assert stability_decay(Problem.balanced(3, 1, 3, 2, 1e-3)) is None
    assert stability_decay(Problem.balanced(8, 1, 8, 1, 1e-3)) is None


def test_the_decay_of_a_scale_solves_the_scale_equation() -> None:
    K, n, L, alpha = 7, 3, 3, 6.5
    q = math.exp(-alpha) / (1 + 6 * math.exp(-alpha))
    assert dnc_decay(K, n, L, alpha) * n ** (1 / 4) == pytest.approx(q * alpha**0.5, rel=1e-14)


@pytest.mark.parametrize(("K", "decay"), [(6, 2e-3), (7, 1e-2), (8, 5e-2)])
def test_the_best_partition_is_the_atlas_s(K: int, decay: float) -> None:
    problem = Problem.balanced(K, 2, K, 2, decay)
    rows = [row for row in atlas(problem, AtlasOptions()).entries if isinstance(row.kind, Pairs | Partition)]
    kind, loss = best_partition(problem)
    best = min(rows, key=lambda row: row.loss)
    assert kind == best.kind
    assert loss == pytest.approx(best.loss, rel=1e-12)


def test_zero_is_a_rival_too() -> None:
    problem = Problem.balanced(10, 1, 10, 2, 1.0)
    kind, loss = best_partition(problem)
    assert kind == Zero()
    assert loss == pytest.approx(math.log(10))


def test_bad_grids() -> None:
    problem = Problem.balanced(4, 1, 4, 2, 1e-3)
    with pytest.raises(InputError, match="two different settings"):
        phase_diagram(problem, ("decay", "decay"), (1e-3,), (1e-3,))
    with pytest.raises(InputError, match="20000 cells"):
        phase_diagram(problem, ("decay", "depth"), (1e-3,) * 300, (2.0,) * 100)
    with pytest.raises(InputError, match="balanced classes"):
        phase_diagram(Problem((1, 2), 2, 2, 1e-3), ("decay", "depth"), (1e-3,), (2.0,))


def test_ranges() -> None:
    assert parse_range("2:4", "depth") == [2, 3, 4]
    assert parse_range("7", "depth") == [7]
    assert parse_range("1e-4:1e-2", "decay", 3) == pytest.approx([1e-4, 1e-3, 1e-2])
    for text, steps in (("4:2", None), ("1:2:3", None), ("1.5:3", None), ("0:1", 5), ("x", 5), ("1:30001", None)):
        with pytest.raises(InputError):
            parse_range(text, "it", steps)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = "phase --over decay,depth --decay 1e-3:0.3 --depth 1:3 --classes 4 --steps 5"
    picture, rows = tmp_path / "phase.png", tmp_path / "phase.csv"
    assert run([*base.split(), "--plot", str(picture), "--out", str(rows)]) == 0
    assert "s saddle" in capsys.readouterr().out
    assert picture.read_bytes()[:4] == b"\x89PNG"
    table = pd.read_csv(rows)
    assert len(table) == 15
    assert table["fold_decay"].nunique() == 3
    assert run([*base.split(), "--json"]) == 0
    assert [row["state"] for row in json.loads(capsys.readouterr().out)] == table["state"].tolist()
    for bad in (
        base.replace("decay,depth", "decay,decay"),
        base.replace("decay,depth", "decay,loss"),
        base.replace("decay,depth", "decay,width"),
        base.replace("--steps 5", "--steps 1"),
        base + " --out phase.txt",
    ):
        assert run(bad.split()) == 2
    assert capsys.readouterr().err.count("\n") == 5
