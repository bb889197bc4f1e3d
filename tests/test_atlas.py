"""The table against numbers of the notes, dense Hessians, brute-force relabelling, and its refusals; the command around it."""

import itertools
import json
import math
from pathlib import Path

import pandas as pd
import pytest
import torch

from landscape.atlas import Survey, atlas
from landscape.cli import run
from landscape.codes import basis_of, codes_of_size, parse_block, size_of, symmetries_of
from landscape.copies import copies_of_blocks, copies_of_logits
from landscape.errors import InputError
from landscape.naming import structure_name
from landscape.notation import parse_structure
from landscape.objective import Objective
from landscape.problem import Problem
from landscape.reduction import Core
from landscape.search import search
from landscape.structures import Coded, analytic, embed
from landscape.theory import Root, simplex_equation, stability_threshold

PAPER = Problem.balanced(10, 5, 70, 2, 2**-10)


def test_the_paper_setting() -> None:
    rows = {entry.structure: entry for entry in atlas(PAPER).entries}
    minima = {"pairs": 0.0800126592, "partition (6,2,2)": 0.0860816013, "partition (8,2)": 0.0884334205, "DNC": 0.0906621832}
    for name, loss in minima.items():
        assert rows[name].loss == pytest.approx(loss, abs=1e-10)
        assert (rows[name].index, rows[name].excess) == (0, 0)
    groups = [row for name, row in rows.items() if name in minima or name.startswith("partition")]
    assert len(groups) == 12
    assert {row.structure for row in groups if row.index == 0} == set(minima)
    assert rows["partition (5,5)"].index == 18
    assert rows["partition (3,3,2,2)"].index == 4
    assert rows["blocks T5"].loss == pytest.approx(0.08143215, abs=1e-8)
    assert rows["pairs"].copies == 945
    assert rows["DNC"].paper_dimension == 2 * 9 * 61


def test_the_search_finds_the_code_and_adds_what_has_no_name() -> None:
    problem = Problem.balanced(10, 5, 10, 2, 2**-10)
    found = search(problem, 3, seed=1)
    names = [structure_name(problem, item.core.class_logits, item.core.rank) for item in found.found]
    assert "blocks T5" in names
    assert sum(item.times for item in found.found) + found.lost == 3
    again = search(problem, 3, seed=1)
    assert [item.fingerprint for item in again.found] == [item.fingerprint for item in found.found]


@pytest.mark.parametrize(
    ("classes", "depth"), [(2, 1), (3, 1), (4, 1), (5, 1), (2, 2), (3, 2), (4, 2), pytest.param(5, 2, marks=pytest.mark.slow)]
)
def test_every_row_is_that_of_the_dense_hessian(classes: int, depth: int) -> None:
    problem = Problem.balanced(classes, 2, classes + 1, depth, 3e-3)
    found = atlas(problem, Survey(roots="both", starts=4))
    assert len(found.entries) > 1
    for entry in found.entries:
        root: Root = "small" if entry.structure.endswith("at the small root") else "large"
        kind = entry.structure.removesuffix(" at the small root").replace(" (", ":").rstrip(")").replace(" ", ":")
        kind = {"DNC": "dnc", "pairs+apex": "apex"}.get(kind, kind)
        if kind != "zero" and "with" not in kind and root == "large":
            theta = embed(problem, analytic(problem, parse_structure(kind, root)), gauge=0)
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
    (row,) = atlas(Problem.balanced(5, 1, 7, 2, decay), Survey(groups=((5,),))).entries
    assert (row.structure, row.excess, row.verdict.near_zero) == ("DNC", 0, 5)
    assert row.index in (0, 5)
    fold = simplex_equation(Problem.balanced(5, 1, 7, 2, 1e-3), 5, 1).largest_decay
    (row,) = atlas(Problem.balanced(5, 1, 7, 2, fold * (1 - 2e-16)), Survey(groups=((5,),))).entries
    assert (row.excess, row.verdict.near_zero) == (0, 1)
    assert {"proved", "bits", "statement", "near_zero"} <= set(row.as_dict())


@pytest.mark.parametrize("text", ["3", "polygon5", "polygon6", "T5", "H2x3", "H3x2"])
def test_codes_are_projectors_with_constant_rows(text: str) -> None:
    block = parse_block(text)
    basis = basis_of(block)
    assert basis.shape[0] == size_of(block)
    assert float((basis.mT @ basis - torch.eye(basis.shape[1], dtype=torch.float64)).abs().max()) < 1e-14
    rows = (basis @ basis.mT).sort(dim=1).values
    assert float((rows - rows[0]).abs().max()) < 1e-14
    assert copies_of_logits(basis @ basis.mT, (1,) * size_of(block)) == math.factorial(size_of(block)) // symmetries_of(block)


@pytest.mark.parametrize("text", ["blocks:T5", "blocks:polygon5+5", "blocks:polygon5+3+2", "blocks:polygon10"])
def test_codes_are_critical_and_know_their_name_in_any_order(text: str) -> None:
    structure = parse_structure(text, "large")
    assert isinstance(structure, Coded)
    core = Core.from_form(PAPER, analytic(PAPER, structure))
    assert float(core.objective.gradient(core.theta).norm()) < 1e-14
    order = torch.randperm(10, generator=torch.Generator().manual_seed(1))
    logits = core.class_logits[order][:, order]
    assert structure_name(PAPER, logits, core.rank) == text.replace(":", " ")


def test_codes_of_size() -> None:
    assert [size for size in range(2, 30) if codes_of_size(size)] == [8, 9, 10, 15, 16, 21, 25, 27, 28]


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1, 1), (2, 2, 1, 1, 1)])
def test_copies_by_brute_force(sizes: tuple[int, ...]) -> None:
    logits = torch.zeros(5, 5, dtype=torch.float64)
    logits[:2, :2] = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    logits[2:, 2:] = 2 * torch.eye(3, dtype=torch.float64) - 0.5
    seen = set()
    for order in itertools.permutations(range(5)):
        if all(sizes[order[i]] == sizes[i] for i in range(5)):
            seen.add(tuple(logits[list(order)][:, list(order)].flatten().tolist()))
    assert copies_of_logits(logits, sizes) == len(seen)
    blocks = [(parse_block("2"), "large"), (parse_block("3"), "large")]
    assert copies_of_blocks(blocks, [sizes[0], sizes[2]]) == len(seen)


def test_imbalanced_classes_are_grouped_by_size() -> None:
    found = atlas(Problem((3, 3, 2, 2, 1), 8, 2, 1e-3))
    assert {entry.structure for entry in found.entries} == {"partition (2,2,1)", "zero"}
    assert found.omitted


@pytest.mark.parametrize(
    ("problem", "survey", "words"),
    [
        (Problem.balanced(4, 1, 6, 2, 0.5), Survey(groups=((4,),)), "the largest decay that has one is 0.177"),
        (Problem.balanced(4, 1, 6, 2, 1e-3), Survey(groups=((3, 2),)), "sum to 4 classes"),
        (Problem.balanced(100, 1, 120, 2, 1e-4), Survey(), "have 21339417"),
        (Problem.balanced(4, 1, 6, 2, 1e-3), Survey(temperature=0.0), "temperature > 0"),
        (Problem.balanced(4, 1, 6, 2, 1e-3, "mse"), Survey(), "loss ce"),
        (Problem.balanced(4, 1, 6, 2, 0.5), Survey(), "no partition point exists"),
    ],
)
def test_what_is_refused(problem: Problem, survey: Survey, words: str) -> None:
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
    assert {row["structure"] for row in json.loads(capsys.readouterr().out)} == {"partition (2,1)", "zero"}
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
