"""`landscape degeneracy`, `spectrum` and `show`: what they print, word by word and key by key.

Counts and eigenvalues are held to a Hessian made here: our own loss, differentiated twice by autograd, diagonalised by numpy.
"""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from landscape.cli import run
from tests.degeneracy.test_analysis import REPORT_KEYS

SMALL = ["--classes", "4", "--samples", "2", "--width", "6", "--depth", "2", "--decay", "1e-2"]
PROBLEM = "K=4,n=2,d=6,L=2,decay=1e-2"


def ask(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def answer(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> dict[str, Any]:
    """Returns the one JSON object that stdout holds."""
    got, out, err = ask(capsys, *arguments, "--json")
    assert got == code, err
    assert out.count("\n") == 1, f"expected one line, got {out!r}"
    value = json.loads(out)
    assert isinstance(value, dict)
    if code == 0:
        assert err == ""
    return value


def made(path: Path, *arguments: str) -> Path:
    assert run(["solve", *SMALL, *arguments, "--out", str(path)]) in (0, 1)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("points")


@pytest.fixture(scope="module")
def dnc(folder: Path) -> Path:
    return made(folder / "dnc.safetensors", "--start", "dnc")


@pytest.fixture(scope="module")
def pairs(folder: Path) -> Path:
    return made(folder / "pairs.safetensors", "--start", "pairs", "--seed", "1")


@pytest.fixture(scope="module")
def unfinished(folder: Path) -> Path:
    return made(folder / "unfinished.safetensors", "--method", "gd", "--max-steps", "1000")


def eigenvalues(path: Path, sizes: list[int], decays: list[float], mse: bool = False) -> np.ndarray:
    arrays = load_file(path)
    factors = [arrays[name] for name in ["H_1", *(f"W_{layer}" for layer in range(1, len(decays)))]]
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    shapes = [factor.shape for factor in factors]

    def loss(theta: torch.Tensor) -> torch.Tensor:
        parts = [p.reshape(shape) for p, shape in zip(theta.split([s.numel() for s in shapes]), shapes, strict=True)]
        logits = parts[0]
        for part in parts[1:]:
            logits = part @ logits
        if mse:
            fit = (logits.T - torch.eye(len(sizes), dtype=theta.dtype)[labels]).square().sum() / (2 * len(labels))
        else:
            fit = torch.nn.functional.cross_entropy(logits.T, labels)
        return fit + sum(decay / 2 * part.square().sum() for decay, part in zip(decays, parts, strict=True))

    hessian = torch.autograd.functional.hessian(loss, torch.cat([factor.flatten() for factor in factors]))
    return np.linalg.eigvalsh(hessian.numpy())


# ------------------------------------------------------------------------------------------------------------ degeneracy


def test_the_keys_are_those_that_were_promised(dnc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = answer(capsys, "degeneracy", dnc)
    assert set(report) == REPORT_KEYS
    assert set(report["flatness"]) == {"spectral", "frobenius", "trace", "gauss_newton"}
    assert set(report["flatness"]["gauss_newton"]) == {"frobenius", "trace"}
    assert set(report["certificate"]) >= {"method", "cutoff", "largest_zero", "smallest_nonzero", "gradient_norm", "second"}
    assert report["certificate"]["second"]["nullity"] == report["nullity"]
    assert set(report["collapse"]) >= {"nc1", "nc2", "nc3", "balancedness"}


@pytest.mark.parametrize(
    ("method", "name", "nullity", "paper", "rank", "index"),
    [
        ("auto", "dnc", 24, 18, 3, 0),
        ("dense", "dnc", 24, 18, 3, 0),
        ("reduction", "pairs", 18, 16, 2, 0),
    ],
)
def test_the_numbers_are_those_of_the_hessian(
    request, capsys, method: str, name: str, nullity: int, paper: int, rank: int, index: int
) -> None:
    path = request.getfixturevalue(name)
    values = eigenvalues(path, [2] * 4, [1e-2] * 3)
    assert int((abs(values) < 1e-14).sum()) == nullity, "the oracle itself"
    report = answer(capsys, "degeneracy", path, "--method", method)
    assert report["nullity"] == report["orbit_dimension"] == nullity
    assert (report["rank"], report["paper_dimension"], report["excess"], report["index"]) == (rank, paper, 0, index)
    assert report["learning_coefficient"] == (len(values) - nullity) / 2
    assert (report["parameters"], report["resolved"]) == (108, True)
    assert report["structure"] == {"dnc": "DNC", "pairs": "pairs"}[name]
    assert report["max_eigenvalue"] == pytest.approx(values[-1], abs=1e-13)
    assert report["min_eigenvalue"] == pytest.approx(values[0], abs=1e-13)
    assert report["smallest_positive"] == pytest.approx(values[values > 1e-14].min(), abs=1e-13)
    assert report["flatness"]["spectral"] == pytest.approx(abs(values).max(), abs=1e-13)
    assert report["flatness"]["frobenius"] == pytest.approx(np.sqrt((values**2).sum()), abs=1e-12)
    assert report["flatness"]["trace"] == pytest.approx(values.sum(), abs=1e-12)
    repeated = np.concatenate([[value] * times for value, times in report["spectrum"]])
    assert np.allclose(np.sort(repeated), values, rtol=0, atol=1e-13)
    assert report["certificate"]["method"] == ("dense" if method == "dense" else "reduction")
    assert report["certificate"]["largest_zero"] <= report["certificate"]["cutoff"] < report["certificate"]["smallest_nonzero"]
    assert report["gradient_norm"] == report["certificate"]["gradient_norm"] < 1e-12


def test_a_saddle_has_an_index_and_no_learning_coefficient(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = made(folder / "saddle.safetensors", "--start", "dnc", "--root", "small")
    values = eigenvalues(path, [2] * 4, [1e-2] * 3)
    report = answer(capsys, "degeneracy", path)
    assert report["index"] == int((values < -1e-14).sum()) > 0
    assert report["nullity"] == int((abs(values) < 1e-14).sum())
    assert report["min_eigenvalue"] == pytest.approx(values[0], abs=1e-13)
    assert report["learning_coefficient"] is None
    assert report["structure"] == "DNC-small"


@pytest.mark.parametrize(("method", "loss"), [("reduction", "ce"), ("dense", "ce"), ("reduction", "mse")])
def test_uneven_classes_and_one_decay_per_factor(folder: Path, capsys, method: str, loss: str) -> None:
    path, decays = folder / f"uneven-{loss}.safetensors", [1e-3, 3e-3, 2e-3]
    problem = ["--class-sizes", "4,1,2", "--width", "5", "--depth", "2", "--decay", ",".join(map(str, decays)), "--loss", loss]
    assert run(["solve", *problem, "--out", str(path)]) == 0
    values = eigenvalues(path, [4, 1, 2], decays, mse=loss == "mse")
    report = answer(capsys, "degeneracy", path, "--method", method)
    assert report["nullity"] == int((abs(values) < 1e-14).sum())
    assert report["index"] == int((values < -1e-14).sum())
    assert report["max_eigenvalue"] == pytest.approx(values[-1], abs=1e-12)
    assert report["flatness"]["trace"] == pytest.approx(values.sum(), abs=1e-11)


def test_text_has_the_counts_and_the_evidence(dnc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ask(capsys, "degeneracy", dnc)
    assert (code, err) == (0, "")
    rows = dict(re.split(r"  +", line, maxsplit=1) for line in out.splitlines())
    assert rows["structure"] == "DNC"
    assert rows["nullity"] == "24"
    assert rows["index"] == "0"
    assert rows["orbit dimension"] == "24 (formula 24)"
    assert rows["paper dimension"] == "18 (Theorem 5)"
    assert rows["learning coefficient"] == "42.0"
    assert rows["smallest non-zero"].endswith("by reduction")


@pytest.mark.parametrize("method", ["inertia", "quotient", "deflated", "recurrence", "lowrank", "lanczos"])
def test_every_method_is_a_choice(method: str, dnc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = answer(capsys, "degeneracy", dnc, "--method", method)
    assert (report["nullity"], report["index"]) == (24, 0)
    assert report["certificate"]["method"] == method
    assert (report["spectrum"] is None) == (method != "lowrank")


def test_estimates_of_a_spectrum(dnc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "spectrum", dnc, "--method", "slq")["nullity_estimate"]
    assert abs(found["mean"] - 24) < 4 * found["error"]
    code, out, _ = ask(capsys, "spectrum", dnc, "--method", "slq")
    assert code == 0
    assert " +- " in out
    rows = answer(capsys, "spectrum", dnc, "--method", "pyhessian")["comparison"]
    assert rows[0]["pyhessian"] == pytest.approx(rows[0]["ours"], rel=1e-6)
    code, out, _ = ask(capsys, "spectrum", dnc, "--method", "pyhessian")
    assert code == 0
    assert "eigenvalue 1" in out


def test_points_stand_side_by_side(dnc: Path, pairs: Path, unfinished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ask(capsys, "degeneracy", dnc, pairs)
    assert (code, err) == (0, "")
    rows = {cells[0]: cells[1:] for cells in (re.split(r"  +", line) for line in out.splitlines())}
    assert rows["structure"] == ["DNC", "pairs"]
    assert rows["nullity"] == ["24", "18"]
    reports = answer(capsys, "degeneracy", dnc, unfinished, pairs, code=1)
    assert set(reports) == {"reports"}
    assert [report["nullity"] for report in reports["reports"]] == [24, None, 18]
    assert all(set(report) == REPORT_KEYS for report in reports["reports"])


def test_an_unfinished_solve_gets_no_count_but_what_to_run(unfinished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = answer(capsys, "degeneracy", unfinished, code=1)
    assert set(report) == REPORT_KEYS
    assert report["resolved"] is False
    for key in ("nullity", "index", "excess", "learning_coefficient"):
        assert report[key] is None
    code, out, err = ask(capsys, "degeneracy", unfinished)
    assert code == 1
    assert err.count("\n") == 1
    assert err.startswith("landscape: not critical enough")
    assert "landscape solve --start FILE" in err
    assert re.search(r"^nullity +undecided$", out, re.MULTILINE)


def test_a_kink_has_no_hessian(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With all weights zero the gradient is zero, and every pre-activation of the hidden layer stands on its kink."""
    weights, path = folder / "zero.npz", folder / "relu.safetensors"
    np.savez(weights, H_1=np.zeros((4, 6)), W_1=np.zeros((4, 4)), W_2=np.zeros((3, 4)))
    assert run(["import", str(weights), "--decay", "1e-2", "--activation", "relu", "--out", str(path)]) == 1
    on_kink = 4 * 6
    report = answer(capsys, "degeneracy", path, code=1)
    assert (report["nullity"], report["index"], report["spectrum"], report["resolved"]) == (None, None, None, False)
    code, _, err = ask(capsys, "degeneracy", path)
    assert code == 1
    assert f"{on_kink} pre-activations lie within" in err
    assert "ReLU kink, where there is no Hessian" in err
    code, out, err = ask(capsys, "degeneracy", path, "--method", "reduction")
    assert (code, out) == (2, "")
    assert "use --method dense" in err


# ------------------------------------------------------------------------------------------------------- without a file


@pytest.mark.parametrize(
    ("start", "root"), [("dnc", "large"), ("dnc", "small"), ("pairs", "large"), ("pairs", "small"), ("partition:3,1", "large")]
)
def test_a_problem_needs_no_file(folder: Path, capsys: pytest.CaptureFixture[str], start: str, root: str) -> None:
    report = answer(capsys, "degeneracy", "--problem", PROBLEM, "--start", start, "--root", root)
    path = made(folder / "same.safetensors", "--start", start, "--root", root)
    values = eigenvalues(path, [2] * 4, [1e-2] * 3)
    assert report["nullity"] == int((abs(values) < 1e-14).sum())
    assert report["index"] == int((values < -1e-14).sum())
    assert report["max_eigenvalue"] == pytest.approx(values[-1], abs=1e-13)
    assert sum(times for _, times in report["spectrum"]) == report["parameters"] == 108


def test_two_thousand_million_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    """The orbit of the paper's gauge group, L (d r - r (r+1)/2) with r = 9."""
    report = answer(capsys, "degeneracy", "--problem", "K=10,n=5,d=20000,L=6,decay=1e-3", "--start", "dnc")
    assert report["parameters"] == 20_000 * 50 + 5 * 20_000**2 + 10 * 20_000
    assert report["nullity"] == 6 * (20_000 * 9 - 45)
    assert report["structure"] == "DNC"
    assert sum(times for _, times in report["spectrum"]) == report["parameters"]


# -------------------------------------------------------------------------------------------------------------- spectrum


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("source", ["file", "problem"])
def test_tables(dnc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str, source: str) -> None:
    table = tmp_path / f"spectrum.{suffix}"
    where = [dnc] if source == "file" else ["--problem", PROBLEM, "--start", "dnc"]
    assert ask(capsys, "spectrum", *where, "--out", table) == (0, "", "")
    frame = pd.read_csv(table) if suffix == "csv" else pd.read_parquet(table)
    assert list(frame.columns) == ["eigenvalue", "multiplicity", "origin"]
    assert frame["multiplicity"].sum() == 108
    assert frame["eigenvalue"].is_monotonic_increasing
    repeated = frame["eigenvalue"].repeat(frame["multiplicity"]).to_numpy()
    assert np.allclose(repeated, eigenvalues(dnc, [2] * 4, [1e-2] * 3), rtol=0, atol=1e-13)
    assert [path.name for path in tmp_path.iterdir()] == [table.name]


def test_a_printed_spectrum(dnc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ask(capsys, "spectrum", dnc)
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines() if re.match(r" *-?\d", line)]
    assert sum(int(times) for _, times, *_ in rows) == 108
    zero = [int(times) for value, times, *_ in rows if abs(float(value)) < 1e-12]
    assert zero == [24]


def test_a_spectrum_as_json_with_other_outputs_beside(dnc: Path, pairs: Path, tmp_path: Path, capsys) -> None:
    value = answer(capsys, "spectrum", dnc, "--out", tmp_path / "s.csv", "--plot", tmp_path / "s.svg")
    assert sum(times for _, times in value["spectrum"]) == 108
    assert value["resolved"] is True
    assert value["method"] == "reduction"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.csv", "s.svg"]
    both = answer(capsys, "spectrum", dnc, pairs)
    assert [one["structure"] for one in both["reports"]] == ["DNC", "pairs"]


def is_picture(path: Path) -> bool:
    match path.suffix:
        case ".png":
            with Image.open(path) as image:
                return image.format == "PNG" and min(image.size) > 200 and len(image.convert("L").getcolors() or []) > 2
        case ".pdf":
            content = path.read_bytes()
            return content.startswith(b"%PDF-") and content.rstrip().endswith(b"%%EOF")
        case _:
            return ElementTree.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_pictures(dnc: Path, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str) -> None:
    beside, shown = tmp_path / f"beside.{suffix}", tmp_path / f"shown.{suffix}"
    assert ask(capsys, "spectrum", dnc, pairs, "--plot", beside) == (0, "", "")
    assert ask(capsys, "show", dnc, "--plot", shown)[0] == 0
    assert is_picture(beside)
    assert is_picture(shown)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_spectrum_that_is_no_answer_is_exit_1(unfinished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = answer(capsys, "spectrum", unfinished, code=1)
    assert value["resolved"] is False
    code, _, err = ask(capsys, "spectrum", unfinished)
    assert code == 1
    assert err.startswith("landscape: not critical enough")


# ------------------------------------------------------------------------------------------------------------------ show


def test_show(dnc: Path, unfinished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ask(capsys, "show", dnc)
    assert (code, err) == (0, "")
    assert "linear CE model, K=4 n=2 d=6 L=2 decay=0.01 (P=108)" in out
    assert "analytic DNC, seed 0" in out
    for shape in ("H_1 (6, 8)", "W_1 (6, 6)", "W_2 (4, 6)"):
        assert shape in out
    value = answer(capsys, "show", unfinished)
    assert set(value) == {"problem", "loss", "gradient_norm", "outcome", "steps", "origin", "format", "seal"}
    assert value["outcome"] == "max_steps"
    assert value["steps"] == 1000
    assert value["problem"] == {
        "class_sizes": [2, 2, 2, 2],
        "width": 6,
        "depth": 2,
        "decay": 0.01,
        "loss": "ce",
        "activation": "linear",
    }
    assert value["origin"]["seed"] == 0
    assert value["origin"]["versions"]["torch"] == torch.__version__
