"""The command: what it predicts, what it keeps, how it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest

from landscape.cli import run

SMALL = ["predict", "--classes", "6", "--samples", "1", "--width", "25", "--depth", "2", "--decay", "2**-7"]


@pytest.mark.slow
def test_the_law_as_json_and_as_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [*SMALL, "--starts", "8", "--out", str(tmp_path)]
    assert run([*command, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    law = shown["law"]
    assert law["follows"] == "reduced starts of width 12"
    assert law["starts"] == 8 == sum(law["counts"].values())
    assert law["agreement"]["groups"] == [2, 3]
    assert shown["swap"] is None
    assert run(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["law", "8", "reduced", "starts", "of", "width", "12,", "T=2"]


@pytest.mark.slow
def test_the_formula_beside_the_law(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*SMALL, "--method", "both", "--starts", "2", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["formula"]["approximation"] is True
    assert 0.5 < shown["formula"]["share"] < 0.95
    assert shown["law"]["starts"] == 2
    assert run([*SMALL, "--method", "formula"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "an approximation" in lines[2]
    assert not any(line.startswith("law") for line in lines)


def test_a_swap_changes_the_prediction(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*SMALL, "--starts", "6", "--swap", "features:identity", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["swap"]["text"] == "features:identity"
    assert shown["law"]["counts"] == {"DNC": 6}


def test_class_means_of_given_features_are_one_sample_per_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    means = np.random.default_rng(0).standard_normal((40, 4))
    np.savetxt(tmp_path / "means.csv", means, delimiter=",")
    command = ["predict", "--classes", "4", "--samples", "8", "--width", "20", "--depth", "2", "--decay", "2**-8", "--json"]
    assert run([*command, "--starts", "3", "--swap", f"features:{tmp_path / 'means.csv'}"]) == 0
    captured = capsys.readouterr()
    shown = json.loads(captured.out)
    assert shown["problem"]["class_sizes"] == [1, 1, 1, 1]
    assert shown["problem"]["decay"] == pytest.approx(2.0**-7)  # 2^-8 times the cube root of 8
    assert "the given features are class means" in captured.err
    np.savetxt(tmp_path / "five.csv", means[:, :3], delimiter=",")
    assert run([*command, "--swap", f"features:{tmp_path / 'five.csv'}"]) == 2
    refused = capsys.readouterr().err
    assert "expected features of 32 samples for the swap" in refused
    assert refused.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--init-scale 1,0", "c_W,c_H > 0"),
        ("--init-scale 0,1", "c_W,c_H > 0"),
        ("--init-scale 1,-1", "expected"),
        ("--swap weights:identity", "expected features:, weights: or block:"),
        ("--starts 0", "--starts: expected at least 1, got 0"),
        ("--device nowhere", "a device of this machine"),
        ("--groups 0", "--groups: expected at least 1, got 0"),
        ("--swap colour:red", "expected features:, weights: or block:"),
        ("--swap features:width=0", "a width such as width=150"),
        ("--method formula --swap features:identity", "plain starts"),
        ("--method formula --classes 3", "at least 4 classes"),
        ("--method formula --width 12", "effective width >= 12"),
        ("--method formula --depth 3", "depth 2 with loss ce"),
        ("--activation relu", "expected linear layers"),
        ("--depth 1", "expected depth >= 2"),
    ],
)
def test_bad_input_is_one_line(options: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = [*SMALL]
    for name, value in zip(options.split()[::2], options.split()[1::2], strict=True):
        if name in command:
            command[command.index(name) + 1] = value
        else:
            command += [name, value]
    assert run(command) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert words in captured.err
