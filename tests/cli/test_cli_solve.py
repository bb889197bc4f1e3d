"""`landscape solve` as a user meets it: every start and method, what it prints, what it saves, how it goes on.

The saved file is read by plain safetensors and judged by a loss written here once more, differentiated by autograd.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from landscape.cli import run

SMALL = ["--classes", "4", "--samples", "2", "--width", "6", "--depth", "2", "--decay", "1e-2"]


def solve(*arguments: object) -> int:
    return run(["solve", *map(str, arguments)])


def read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    with safe_open(path, framework="pt") as handle:
        arrays = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118 (not a dict)
        return arrays, json.loads(handle.metadata()["landscape"])


def judged(path: Path) -> tuple[float, float]:
    """Returns loss and gradient norm of a saved point by a loss of our own."""
    arrays, header = read(path)
    problem = header["problem"]
    factors = [arrays[name].requires_grad_() for name in ("H_1", *(f"W_{i}" for i in range(1, problem["depth"] + 1)))]
    decays = problem["decay"] if isinstance(problem["decay"], list) else [problem["decay"]] * len(factors)
    signal = factors[0]
    for place, factor in enumerate(factors[1:]):
        signal = factor @ (signal.relu() if problem["activation"] == "relu" and place else signal)
    labels = torch.arange(len(problem["class_sizes"])).repeat_interleave(torch.tensor(problem["class_sizes"]))
    if problem["loss"] == "ce":
        fit = torch.nn.functional.cross_entropy(signal.T, labels)
    else:
        fit = (signal.T - torch.eye(len(problem["class_sizes"]), dtype=torch.float64)[labels]).square().sum() / (2 * len(labels))
    loss = fit + sum(decay / 2 * factor.square().sum() for decay, factor in zip(decays, factors, strict=True))
    gradient = torch.autograd.grad(loss, factors)
    return float(loss.detach()), float(torch.cat([part.flatten() for part in gradient]).norm())


def test_text_says_what_was_found_and_the_file_holds_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "point.safetensors"
    assert solve(*SMALL, "--out", out) == 0
    said = capsys.readouterr()
    assert said.err == ""
    rows = dict(line.split("  ", 1) for line in said.out.splitlines())
    rows = {name: text.strip() for name, text in rows.items()}
    assert rows["problem"] == "linear CE model, K=4 n=2 d=6 L=2 decay=0.01 (P=108)"
    assert rows["outcome"] == "converged"
    assert rows["out"] == str(out)
    loss, gradient = judged(out)
    assert float(rows["loss"]) == pytest.approx(loss, rel=1e-14)
    assert gradient < 1e-12
    assert [path.name for path in tmp_path.iterdir()] == ["point.safetensors"]


@pytest.mark.parametrize("method", ["ptc", "gd", "lbfgs"])
def test_every_method_reaches_a_critical_point(tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str) -> None:
    out = tmp_path / "point.safetensors"
    assert solve(*SMALL[:-1], "3e-2", "--out", out, "--method", method, "--seed", 3, "--json") == 0
    said = capsys.readouterr()
    assert said.out.count("\n") == 1
    answer = json.loads(said.out)
    assert set(answer) == {"out", "loss", "gradient_norm", "outcome", "steps", "seed", "parameters"}
    assert (answer["outcome"], answer["seed"], answer["parameters"]) == ("converged", 3, 6 * 8 + 6 * 6 + 4 * 6)
    loss, gradient = judged(out)
    assert answer["loss"] == pytest.approx(loss, rel=1e-14)
    assert gradient < 1e-12
    names = {"ptc": "PseudoTransient", "gd": "GradientDescent", "lbfgs": "LBFGS"}
    methods = read(out)[1]["origin"]["methods"]
    assert methods[0].startswith(names[method])
    assert methods[-1].startswith("Newton")


@pytest.mark.parametrize(
    ("arguments", "rank"),
    [
        (["--start", "dnc"], 3),
        (["--start", "dnc", "--root", "small"], 3),
        (["--start", "pairs"], 2),
        (["--start", "pairs", "--root", "small"], 2),
        (["--start", "partition:4"], 3),
        (["--start", "partition:3,1"], 2),
        (["--start", "partition:2,2"], 2),
        (["--start", "partition:2,1,1", "--root", "small"], 1),
        (["--start", "dnc", "--loss", "mse"], 4),
        (["--start", "dnc", "--method", "ptc"], 3),
        pytest.param(["--start", "apex", "--classes", "5"], 3, marks=pytest.mark.slow),
    ],
)
def test_analytic_starts_are_critical_points_of_their_rank(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], rank: int
) -> None:
    out = tmp_path / "point.safetensors"
    given = list(SMALL)
    if "--classes" in arguments:
        given[1] = arguments[-1]
        arguments = arguments[:-2]
    assert solve(*given, *arguments, "--out", out, "--json") == 0, capsys.readouterr().err
    answer = json.loads(capsys.readouterr().out)
    loss, gradient = judged(out)
    assert gradient < 1e-12
    assert answer["loss"] == pytest.approx(loss, rel=1e-14)
    for name, factor in read(out)[0].items():
        if name != "trace":
            assert int((torch.linalg.svdvals(factor) > 1e-9).sum()) == rank


def test_the_gauge_of_an_analytic_start_is_the_seed_and_changes_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seed in (("a", 0), ("b", 1), ("c", 0)):
        assert solve(*SMALL, "--start", "dnc", "--seed", seed, "--out", tmp_path / f"{name}.safetensors") == 0
    capsys.readouterr()
    first, other, again = (read(tmp_path / f"{name}.safetensors")[0]["W_1"] for name in "abc")
    assert torch.equal(first, again)
    assert float((first - other).abs().max()) > 0.01
    assert judged(tmp_path / "a.safetensors")[0] == pytest.approx(judged(tmp_path / "b.safetensors")[0], rel=1e-14)


@pytest.mark.parametrize(
    "problem",
    [
        ["--class-sizes", "4,1,2", "--width", "5", "--depth", "3", "--decay", "1e-3,2e-3,2^-9,1e-3"],
        ["--class-sizes", "4:1:2", "--width", "3", "--depth", "1", "--decay", "2**-6"],
        ["--classes", "4", "--samples", "2", "--width", "6", "--depth", "2", "--decay", "5e-3", "--loss", "mse"],
        ["--classes", "4", "--samples", "2", "--width", "2", "--depth", "2", "--decay", "1e-2"],
    ],
)
def test_other_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str], problem: list[str]) -> None:
    out = tmp_path / "point.safetensors"
    assert solve(*problem, "--out", out) == 0
    capsys.readouterr()
    assert judged(out)[1] < 1e-12
    stored = read(out)[1]["problem"]
    if "4,1,2" in problem:
        assert stored["class_sizes"] == [4, 1, 2]
        assert stored["decay"] == [1e-3, 2e-3, 2**-9, 1e-3]


def test_the_same_seed_is_the_same_point_bit_for_bit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        assert solve(*SMALL, "--seed", seed, "--out", tmp_path / f"{name}.safetensors") == 0
    capsys.readouterr()
    first, again, other = ((tmp_path / f"{name}.safetensors").read_bytes() for name in "abc")
    assert first == again
    assert first != other


def test_init_scales_scale_the_random_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One step of a descent too slow to move anything leaves the start itself in the file."""
    still = ["--method", "gd", "--learning-rate", "1e-300", "--max-steps", "1"]
    for name, scales in (("a", "1,1"), ("b", "0.5,2**2")):
        assert solve(*SMALL, *still, "--init-scale", scales, "--out", tmp_path / f"{name}.safetensors") == 1
    capsys.readouterr()
    plain, scaled = (read(tmp_path / f"{name}.safetensors")[0] for name in "ab")
    assert torch.equal(scaled["W_1"], 0.5 * plain["W_1"])
    assert torch.equal(scaled["W_2"], 0.5 * plain["W_2"])
    assert torch.equal(scaled["H_1"], 4 * plain["H_1"])


def test_out_of_steps_is_exit_1_and_goes_on_from_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short, done, straight = (tmp_path / f"{name}.safetensors" for name in ("short", "done", "straight"))
    assert solve(*SMALL, "--max-steps", 5, "--seed", 3, "--out", short, "--json") == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["outcome"] == "max_steps"
    assert said.err.startswith("landscape: not critical: the steps ran out: continue with --start FILE")
    assert judged(short)[1] > 1e-6
    assert solve("--start", short, "--out", done, "--json") == 0
    assert json.loads(capsys.readouterr().out)["seed"] == 3
    assert solve(*SMALL, "--seed", 3, "--out", straight) == 0
    capsys.readouterr()
    assert judged(done)[1] < 1e-12
    assert judged(done)[0] == pytest.approx(judged(straight)[0], rel=1e-12)
    assert len(read(done)[1]["origin"]["methods"]) == 4


def test_going_on_may_overwrite_its_own_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "point.safetensors"
    assert solve(*SMALL, "--max-steps", 5, "--out", out) == 1
    assert solve("--start", out, "--out", out) == 0
    capsys.readouterr()
    assert judged(out)[1] < 1e-12


def test_a_tolerance_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "point.safetensors"
    assert solve(*SMALL, "--max-steps", 20, "--tolerance", 1e3, "--out", out) == 0
    assert solve(*SMALL, "--tolerance", 1e-300, "--out", out) == 1
    assert "not critical" in capsys.readouterr().err


@pytest.mark.parametrize("trouble", [["--method", "gd", "--learning-rate", "1e10"], ["--init-scale", "1e200,1e200"]])
def test_a_solve_that_diverges_saves_nothing_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], trouble: list[str]
) -> None:
    assert solve(*SMALL, *trouble, "--out", tmp_path / "point.safetensors", "--json") == 1
    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert (answer["outcome"], answer["loss"], answer["gradient_norm"], answer["out"]) == ("diverged", None, None, None)
    assert said.err.count("\n") == 1
    assert "not finite: lower the learning rate" in said.err
    assert list(tmp_path.iterdir()) == []


def test_relu_is_critical_or_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "point.safetensors"
    relu = ["--classes", "3", "--samples", "2", "--width", "4", "--depth", "2", "--decay", "1e-2", "--activation", "relu"]
    code = solve(*relu, "--max-steps", 300, "--out", out, "--json")
    said = capsys.readouterr()
    answer = json.loads(said.out)
    loss, gradient = judged(out)
    assert answer["loss"] == pytest.approx(loss, rel=1e-14)
    assert code == (0 if gradient <= 1e-12 else 1)
    assert (answer["outcome"] == "converged") is (code == 0)
    assert ("not critical" in said.err) is (code == 1)
