"""The atlas against dense Hessians, and the command that prints it."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest
import torch

from landscape.catalogue.search import search
from landscape.catalogue.table import AtlasOptions, atlas
from landscape.cli import run
from landscape.errors import InputError
from landscape.model.logit_form import write_parameters
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.structures.analytic import logit_form
from landscape.structures.blocks import parse_block
from landscape.structures.dnc import stability_threshold
from landscape.structures.kinds import Unnamed
from landscape.structures.notation import parse_structure
from landscape.structures.recognition import structure_name
from landscape.structures.scale_equation import simplex_equation

PAPER = Problem.balanced(10, 5, 70, 2, 2**-10)


def test_the_paper_setting() -> None:
    rows = {entry.structure: entry for entry in atlas(PAPER).entries}
    minima = {"pairs": 0.0800126592, "partition:6,2,2": 0.0860816013, "partition:8,2": 0.0884334205, "DNC": 0.0906621832}
    for name, loss in minima.items():
        assert rows[name].loss == pytest.approx(loss, abs=1e-10)
        assert (rows[name].index, rows[name].excess) == (0, 0)
    groups = [row for name, row in rows.items() if name in minima or name.startswith("partition")]
    assert len(groups) == 12
    assert {row.structure for row in groups if row.index == 0} == set(minima)
    assert rows["partition:5,5"].index == 18
    assert rows["partition:3,3,2,2"].index == 4
    assert rows["blocks:T5"].loss == pytest.approx(0.08143215, abs=1e-8)
    assert rows["pairs"].copies == 945
    assert rows["DNC"].paper_dimension == 2 * 9 * 61


@pytest.mark.slow
def test_the_search_finds_the_code_and_adds_what_has_no_name() -> None:
    problem = Problem.balanced(10, 5, 10, 2, 2**-10)
    found = search(problem, 3, seed=1)
    names = [structure_name(problem, item.core.class_logits, item.core.rank) for item in found.found]
    assert "blocks:T5" in names
    assert sum(item.times for item in found.found) + found.lost == 3
    again = search(problem, 3, seed=1)
    assert [item.fingerprint for item in again.found] == [item.fingerprint for item in found.found]


@pytest.mark.parametrize(
    ("classes", "depth"), [(2, 1), (3, 1), (4, 1), (5, 1), (2, 2), (3, 2), (4, 2), pytest.param(5, 2, marks=pytest.mark.slow)]
)
def test_every_row_is_that_of_the_dense_hessian(classes: int, depth: int) -> None:
    problem = Problem.balanced(classes, 2, classes + 1, depth, 3e-3)
    found = atlas(problem, AtlasOptions(roots="both", starts=4))
    assert len(found.entries) > 1
    for entry in found.entries:
        seen = entry.smallest_positive is not None and entry.smallest_positive > 1e-9  # else the dense Hessian sees it as zero
        if not isinstance(entry.kind, Unnamed) and seen:
            theta = write_parameters(problem, logit_form(problem, parse_structure(entry.structure)), gauge=0)
            dense = torch.linalg.eigvalsh(torch.func.hessian(Objective.of(problem).loss)(theta))
            assert int((dense.abs() < 1e-12).sum()) == entry.nullity
            assert int((dense < -1e-12).sum()) == entry.index
            assert float(dense[dense > 1e-12].min()) == pytest.approx(entry.smallest_positive, rel=1e-6)
            assert float(dense[dense.abs() > 1e-12].abs().log().sum()) == pytest.approx(entry.log_pdet, rel=1e-9)
        assert entry.excess == 0
        assert entry.reason == ""


def test_what_is_near_zero_at_the_threshold_and_at_the_fold() -> None:
    """The decays are irrational: at a double beside them no eigenvalue is zero, but some would be within its last places."""
    alpha = stability_threshold(5, 2)
    decay = math.exp(-alpha) / (1 + 4 * math.exp(-alpha)) * alpha ** (1 / 3)
    (row,) = atlas(Problem.balanced(5, 1, 7, 2, decay), AtlasOptions(groups=((5,),))).entries
    assert (row.structure, row.excess, row.verdict.near_zero) == ("DNC", 0, 5)
    assert row.index in (0, 5)
    fold = simplex_equation(Problem.balanced(5, 1, 7, 2, 1e-3), 5, 1).largest_decay
    (row,) = atlas(Problem.balanced(5, 1, 7, 2, fold * (1 - 2e-16)), AtlasOptions(groups=((5,),))).entries
    assert (row.excess, row.verdict.near_zero) == (0, 1)
    assert {"proved", "bits", "statement", "near_zero"} <= set(row.as_dict())


def test_imbalanced_classes_are_grouped_by_size() -> None:
    found = atlas(Problem((3, 3, 2, 2, 1), 8, 2, 1e-3))
    assert {entry.structure for entry in found.entries} == {"partition:2,2,1", "zero"}
    assert found.omitted


@pytest.mark.parametrize(
    ("problem", "survey", "words"),
    [
        (Problem.balanced(4, 1, 6, 2, 0.5), AtlasOptions(groups=((4,),)), "the largest decay that has one is 0.177"),
        (Problem.balanced(4, 1, 6, 2, 1e-3), AtlasOptions(groups=((3, 2),)), "sum to 4 classes"),
        (Problem.balanced(100, 1, 120, 2, 1e-4), AtlasOptions(), "have 21339417"),
        (Problem.balanced(4, 1, 6, 2, 1e-3), AtlasOptions(temperature=0.0), "temperature > 0"),
        (Problem.balanced(4, 1, 6, 2, 1e-3, "mse"), AtlasOptions(), "loss ce"),
        (Problem.balanced(4, 1, 6, 2, 0.5), AtlasOptions(), "no partition point exists"),
    ],
)
def test_what_is_refused(problem: Problem, survey: AtlasOptions, words: str) -> None:
    with pytest.raises(InputError, match=words):
        atlas(problem, survey)


def test_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    base = "atlas --classes 6 --samples 2 --width 8 --depth 2 --decay 2**-10 --temperature 1e-4"
    assert run([*base.split(), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    wanted = {"structure", "rank", "loss", "index", "nullity", "orbit_dimension", "paper_dimension", "excess", "copies"}
    assert wanted | {"log_volume", "log_pdet", "learning_coefficient"} <= set(rows[0])
    assert [row["loss"] for row in rows] == sorted(row["loss"] for row in rows)
    for name in ("atlas.csv", "atlas.parquet"):
        assert run([*base.split(), "--index", "0", "--out", str(tmp_path / name)]) == 0
        table = pd.read_csv(tmp_path / name) if name.endswith("csv") else pd.read_parquet(tmp_path / name)
        assert set(table["index"]) == {0}
    capsys.readouterr()
    picture = tmp_path / "atlas.png"
    uneven = "atlas --class-sizes 3,3,1 --width 4 --depth 2 --decay 1e-3 --json"
    assert run([*uneven.split(), "--plot", str(picture)]) == 0
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert {row["structure"] for row in json.loads(capsys.readouterr().out)} == {"partition:2,1", "zero"}
    capsys.readouterr()
    for bad in ("--plot atlas.txt", "--samples 2", "--classes 4"):
        assert run([*uneven.split(), *bad.split()]) == 2
    assert run(["atlas", "--width", "4", "--depth", "2", "--decay", "1e-3"]) == 2
    assert capsys.readouterr().err.count("\n") == 4
    assert run([*base.split(), "--out", str(tmp_path / "atlas.txt")]) == 2
    assert run([*base.replace("1e-4", "-1").split()]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_refusals_name_the_problem() -> None:
    with pytest.raises(InputError, match="polygon5 or larger"):
        parse_block("polygon4")
