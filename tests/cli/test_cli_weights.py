"""`landscape import` as a user meets it: weights of any kind end at the right critical point, or exit 1 says that they do not.

What is right is where plain descent, written here in numpy's and autograd's terms, ends from the same weights.
"""

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from landscape.cli import run

DECAY = 1e-2
SIZES = {"classes": 4, "samples": 2, "width": 6, "depth": 2}


def plain_loss(factors: list[torch.Tensor], kind: str = "ce") -> torch.Tensor:
    signal = factors[0]
    for factor in factors[1:]:
        signal = factor @ signal
    classes, samples = signal.shape
    labels = torch.arange(classes).repeat_interleave(samples // classes)
    if kind == "ce":
        fit = torch.nn.functional.cross_entropy(signal.T, labels)
    else:
        fit = (signal.T - torch.eye(classes, dtype=signal.dtype)[labels]).square().sum() / (2 * samples)
    return fit + DECAY / 2 * sum(factor.square().sum() for factor in factors)


def descended(factors: list[torch.Tensor], steps: int, rate: float = 0.5, kind: str = "ce") -> list[torch.Tensor]:
    """Plain gradient descent by autograd."""
    factors = [factor.clone().requires_grad_() for factor in factors]
    for _ in range(steps):
        gradient = torch.autograd.grad(plain_loss(factors, kind), factors)
        with torch.no_grad():
            for factor, slope in zip(factors, gradient, strict=True):
                factor -= rate * slope
    return [factor.detach() for factor in factors]


def drawn(seed: int, classes: int = 4, samples: int = 2, width: int = 6, depth: int = 2) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(width, classes * samples), *[(width, width)] * (depth - 1), (classes, width)]
    scales = [1.0, *[width**-0.5] * depth]
    return [scale * torch.randn(shape, generator=generator) for shape, scale in zip(shapes, scales, strict=True)]


def stored(path: Path, factors: list[torch.Tensor]) -> Path:
    names = ["H_1", *(f"W_{index}" for index in range(1, len(factors)))]
    arrays: dict[str, Any] = {name: factor.numpy() for name, factor in zip(names, factors, strict=True)}
    np.savez(path, **arrays)
    return path


def imported(capsys: pytest.CaptureFixture[str], weights: Path, *more: str) -> tuple[int, dict[str, Any], str]:
    code = run(["import", str(weights), "--decay", str(DECAY), "--out", str(weights.with_suffix(".safetensors")), *more, "--json"])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else {}, said.err


@cache
def plain_end(seed: int) -> float:
    """The loss where plain descent in float64 ends from the start of a seed; the error falls as exp(-steps / 100)."""
    return float(plain_loss(descended([factor.double() for factor in drawn(seed)], 4_000)))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("steps", [100, 300, 1000])
def test_half_trained_weights_end_where_descent_and_the_flow_of_solve_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], steps: int, seed: int
) -> None:
    """Ten times the gradient norm over the decay exceeds every singular value here, and the zero point is critical."""
    factors = descended(drawn(seed), steps)
    code, answer, err = imported(capsys, stored(tmp_path / "half.npz", factors), "--polish")
    assert (code, err, answer["outcome"]) == (0, "", "converged")
    before, after = answer["before"], answer["after"]
    assert before["structure"] == "not critical"
    assert before["loss"] == pytest.approx(float(plain_loss([factor.double() for factor in factors])), rel=1e-13)
    assert after["loss"] == answer["loss"] == pytest.approx(plain_end(seed), abs=1e-8)
    assert after["structure"] == answer["structure"] != "zero"
    assert after["gradient_norm"] < 1e-12 < before["gradient_norm"]
    assert answer["moved"] > 1e-3
    saved, flowed = tmp_path / "raw.npz", tmp_path / "flow.safetensors"
    assert imported(capsys, stored(saved, factors))[0] == 1
    assert run(["solve", "--start", str(saved.with_suffix(".safetensors")), "--out", str(flowed), "--json"]) == 0
    solved = json.loads(capsys.readouterr().out)
    assert (solved["before"], solved["after"], solved["moved"]) == (before, after, answer["moved"])


def test_weights_at_rest_keep_their_name_and_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    factors = descended(drawn(1), 3_000)
    code, answer, _ = imported(capsys, stored(tmp_path / "done.npz", factors), "--polish")
    assert code == 0
    assert answer["before"]["structure"] == answer["after"]["structure"] == answer["structure"]
    assert 1e-9 < answer["moved"] < 1e-4


def test_text_says_before_after_and_how_far(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights, out = stored(tmp_path / "half.npz", descended(drawn(0), 100)), tmp_path / "p.safetensors"
    assert run(["import", str(weights), "--decay", str(DECAY), "--polish", "--out", str(out)]) == 0
    rows = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    assert rows["before"].strip().startswith("loss ")
    assert rows["before"].endswith(", not critical")
    assert float(rows["after"].split("gradient norm ")[1].split(",")[0]) < 1e-12
    assert float(rows["moved"].split()[0]) > 1e-3
    assert " in parameters of norm " in rows["moved"]


def test_without_polish_nothing_moves_and_what_is_not_critical_is_called_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    factors = descended(drawn(0), 100)
    code, answer, err = imported(capsys, stored(tmp_path / "half.npz", factors))
    assert code == 1
    assert (answer["moved"], answer["before"]) == (0.0, answer["after"])
    assert answer["structure"] == answer["after"]["structure"] == "not critical"
    assert (answer["nullity"], answer["index"]) == (None, None)
    assert err.count("\n") == 1
    assert err.startswith("landscape: not critical")
    assert "--polish" in err


@pytest.mark.parametrize("scale", [1e-160, 1e-20, 1e-8, 1e-4])
def test_tiny_weights_are_at_zero_and_zero_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], scale: float) -> None:
    """With two layers zero is a minimum whose Hessian is the decay."""
    weights = stored(tmp_path / "tiny.npz", [scale * factor.double() for factor in drawn(0)])
    code, answer, err = imported(capsys, weights, "--polish")
    assert (code, err) == (0, "")
    assert (answer["after"]["structure"], answer["nullity"], answer["index"]) == ("zero", 0, 0)
    assert answer["after"]["loss"] == pytest.approx(math.log(4), abs=1e-14)
    assert answer["before"]["structure"] == ("zero" if scale < 1e-10 else "not critical")


@pytest.mark.parametrize("scale", [1e2, 1e5, 1e20])
def test_huge_weights_are_critical_or_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str], scale: float) -> None:
    code, answer, err = imported(
        capsys, stored(tmp_path / "huge.npz", [scale * factor.double() for factor in drawn(0)]), "--polish"
    )
    assert code == (0 if answer["after"]["gradient_norm"] <= 1e-12 else 1)
    assert (answer["after"]["structure"] == "not critical") is (code == 1)
    assert (answer["nullity"] is None) is (code == 1)
    assert err.count("\n") == code


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e200])
def test_weights_without_a_loss_are_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str], bad: float) -> None:
    factors = [factor.double() for factor in drawn(0)]
    factors[1][0, 0] = bad
    code, answer, err = imported(capsys, stored(tmp_path / "bad.npz", factors), "--polish")
    assert (code, answer, err.count("\n")) == (2, {}, 1)
    assert list(tmp_path.iterdir()) == [tmp_path / "bad.npz"]


def test_factors_out_of_balance_are_not_called_zero(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The gradient is nearly the decay of the features alone, but the Hessian is far from that at zero."""
    features, inner, last = (factor.double() for factor in drawn(0))
    code, answer, _ = imported(capsys, stored(tmp_path / "p.npz", [1e8 * features, inner, 1e-8 * last]), "--polish")
    assert answer["before"]["structure"] == "not critical"
    assert code == (0 if answer["after"]["gradient_norm"] <= 1e-12 else 1)
    assert (answer["after"]["structure"] == "not critical") is (code == 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "more"),
    [
        ({"classes": 6, "width": 3}, []),
        ({"depth": 1}, []),
        ({"depth": 3}, []),
        ({}, ["--loss", "mse"]),
        ({"depth": 1}, ["--loss", "mse"]),
    ],
    ids=["width below K", "one layer", "three layers", "squared error", "squared error, one layer"],
)
def test_other_problems_end_where_descent_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shape: dict[str, int], more: list[str]
) -> None:
    kind, rate = ("mse", 0.1) if more else ("ce", 0.5)
    factors = descended(drawn(0, **(SIZES | shape)), 20, rate, kind)
    code, answer, err = imported(capsys, stored(tmp_path / "half.npz", factors), "--polish", *more)
    assert code == 0, err
    settled = descended([factor.double() for factor in factors], 500, rate, kind)
    end = float(plain_loss(descended(settled, 4_000, 0.5, kind), kind))
    assert answer["after"]["loss"] == pytest.approx(end, abs=1e-7)
    assert answer["before"]["structure"] == "not critical"
    assert answer["after"]["structure"] not in ("zero", "not critical")


def test_a_relu_model_is_critical_or_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, answer, err = imported(capsys, stored(tmp_path / "relu.npz", drawn(0)), "--polish", "--activation", "relu")
    assert code == (0 if answer["after"]["gradient_norm"] <= 1e-12 else 1)
    assert (answer["after"]["structure"] == "not critical") is (code == 1)
    assert ("not critical" in err) is (code == 1)
    assert answer["after"]["loss"] < answer["before"]["loss"]


@pytest.mark.parametrize("kind", ["parameter", "nested", "compiled", "bin"])
def test_checkpoints_as_people_save_them_can_be_polished(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    names = ["H_1", "W_1", "W_2"]
    state = dict(zip(names, descended(drawn(0), 300), strict=True))
    weights = tmp_path / ("trained.bin" if kind == "bin" else "trained.pt")
    saved = {
        "parameter": {name: torch.nn.Parameter(factor) for name, factor in state.items()},
        "nested": {"epoch": 3, "model_state_dict": {"module." + name: factor for name, factor in state.items()}},
        "compiled": {"_orig_mod." + name: factor for name, factor in state.items()},
        "bin": state,
    }
    torch.save(saved[kind], weights)
    code, answer, err = imported(capsys, weights, "--polish")
    assert (code, err) == (0, "")
    assert answer["loss"] == pytest.approx(plain_end(0), abs=1e-8)
    assert answer["read"]["entry"] == (["model_state_dict"] if kind == "nested" else [])
    assert answer["read"]["weights"] == ["W_1", "W_2"]


def test_what_was_guessed_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    factors = descended([factor.double() for factor in drawn(0, 4, 2, 8)], 3_000)
    weights = tmp_path / "turned.npz"
    labels = np.arange(4).repeat(2)
    np.savez(weights, H_1=factors[0].T.numpy(), W_1=factors[1].numpy(), W_2=factors[2].numpy(), y=labels)
    run(["import", str(weights), "--decay", str(DECAY), "--out", str(tmp_path / "p.safetensors")])
    rows = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    assert "samples x width" in rows["features"]
    assert "rejected" in rows["features"]
    assert "labels y found in the file" in rows["classes"]
    assert "weight_decay of torch.optim.SGD" in rows["loss is"]
    assert run(["import", str(weights), "--decay", str(DECAY), "--no-transpose", "--out", str(tmp_path / "q.safetensors")]) == 1
    assert "width x samples" in capsys.readouterr().out
