"""The command: what it prints, what it keeps, how it refuses."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from landscape.archive.records import Archive
from landscape.cli import run
from landscape.points.point import CriticalPoint

SMALL = ["prevalence", "--classes", "4", "--samples", "2", "--width", "6", "--depth", "2", "--decay", "1e-3"]


@pytest.mark.slow
def test_counts_as_json_and_as_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*SMALL, "--seeds", "12", "--out", str(tmp_path / "a"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["counts"] == {"DNC": 10, "pairs": 2}
    assert shown["non_converged"] == 0
    assert shown["intervals"]["DNC"] == pytest.approx([0.5520, 0.9530], abs=1e-4)  # Wilson, 10 of 12
    assert run([*SMALL, "--seeds", "12", "--out", str(tmp_path / "a")]) == 0
    table = capsys.readouterr().out
    assert [line.split()[:2] for line in table.splitlines()[2:4]] == [["DNC", "10"], ["pairs", "2"]]


def test_an_end_point_can_be_given_to_degeneracy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*SMALL, "--seeds", "2", "--out", str(tmp_path), "--json"]) == 0
    found = next(iter(json.loads(capsys.readouterr().out)["structures"].values()))
    assert run(["degeneracy", str(Archive.existing(tmp_path).path(found["record"])), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["excess"] == 0


def test_seeds_that_do_not_converge_are_said_and_cost_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--seeds", "3", "--method", "gd", "--max-steps", "20", "--json", "--out"]
    assert run([*SMALL, *options, str(tmp_path)]) == 1
    captured = capsys.readouterr()
    shown = json.loads(captured.out)
    assert shown["non_converged"] == 3
    assert shown["counts"] == {}
    assert shown["intervals"]["DNC"] == [0.0, 1.0]
    assert captured.err == "landscape: 3 of 3 seeds did not converge: 3 max_steps\n"


def test_a_swap_is_described_and_has_records_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide = ["prevalence", "--classes", "4", "--samples", "1", "--width", "8", "--depth", "2", "--decay", "1e-3", "--seeds", "6"]
    swap = ["--swap", "features:identity"]
    assert run([*wide, *swap, "--out", str(tmp_path / "a"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["swap"] == {"text": "features:identity", "change": "H_1' H_1 set to a multiple of the identity"}
    assert shown["counts"] == {"DNC": 6}
    assert run([*wide, *swap, "--out", str(tmp_path / "a")]) == 0
    assert "swapped: H_1' H_1 set to a multiple of the identity" in capsys.readouterr().out
    assert run([*wide, "--out", str(tmp_path / "a"), "--json"]) == 0
    assert "swap" not in json.loads(capsys.readouterr().out)
    assert len(list(Archive.existing(tmp_path / "a").names())) == 12


@pytest.mark.slow
def test_scores_stand_beside_the_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide = ["prevalence", "--classes", "6", "--samples", "1", "--width", "25", "--depth", "2", "--decay", "2**-7", "--seeds", "12"]
    assert run([*wide, "--scores", "--out", str(tmp_path / "a"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["scores"]
    assert [row["seed"] for row in shown["per_seed"]] == list(range(12))
    assert 0 <= shown["auc_interval"][0] <= shown["auc"] <= 1
    assert [row["lambda_t"] for row in shown["along_the_flow"]] == [0.0, 0.003, 0.1, 0.3, 1.0, 2.0, 3.0]
    assert all(0 <= row["auc_interval"][0] <= row["auc"] for row in shown["along_the_flow"])
    assert run([*wide, "--scores", "--out", str(tmp_path / "a")]) == 0
    lines = capsys.readouterr().out
    assert "area under the ROC curve of missing DNC" in lines
    assert "  lambda t = 0.003  " in lines


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--seeds 0", "--seeds: expected at least 1, got 0"),
        ("--seeds 3 --batch 0", "--batch: expected at least 1, got 0"),
        ("--seeds 3 --scores", "expected width >= 8"),
        ("--seeds 3 --scores --init-scale 1,0", "c_W,c_H > 0"),
        ("--seeds 3 --swap block:identity", "expected features:, weights: or block:"),
        ("--seeds 3 --swap features:identity", "expected width >= 8"),
        ("--seeds 3 --swap colour:red", "expected features:, weights: or block:"),
        ("--seeds 3 --swap features:missing.npy", "expected a matrix of numbers"),
        ("--seeds 3 --init-scale 1", "two scales"),
        ("--seeds 3 --max-steps 0", "--max-steps: expected at least 1"),
        ("--seeds 3 --handover 0", "--handover: expected a positive finite number"),
        ("--seeds 3 --method gd --learning-rate nan", "--learning-rate: expected a positive finite number"),
        ("--seeds 3 --narrower-than 2", "between 0 and 1"),
        ("--seeds 3 --device nowhere", "a device of this machine"),
        ("--seeds 3.5", "3.5"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: str, words: str) -> None:
    assert run([*SMALL, *options.split(), "--out", str(tmp_path / "out")]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert not captured.out


def test_two_experiments_share_a_folder_and_a_file_is_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scales = {"1,1": 1.0, "1,0.1": 0.1}
    for scale in (*scales, *scales):
        assert run([*SMALL, "--seeds", "2", "--init-scale", scale, "--out", str(tmp_path), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["feature_scale"] == scales[scale]
    assert len(list(Archive.existing(tmp_path).names())) == 4
    assert run([*SMALL, "--seeds", "1", "--out", str(tmp_path / "sweep.json")]) == 2
    assert "cannot make the folder" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_stopped_by_a_signal_goes_on_and_ends_where_an_uninterrupted_one_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["prevalence", "--classes", "10", "--samples", "5", "--width", "20", "--depth", "2", "--decay", "2**-10"]
    command += ["--seeds", "24", "--json"]
    cut = [*command, "--batch", "5", "--out", str(tmp_path / "cut")]
    program = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background shell ignores it
    program += "from landscape.cli import run; sys.exit(run(sys.argv[1:]))"
    process = subprocess.Popen([sys.executable, "-c", program, *cut], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while len(list(Archive(tmp_path / "cut").names())) < 6:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    shown, message = process.communicate(timeout=60)
    kept = len(list(Archive(tmp_path / "cut").names()))
    told = json.loads(shown)
    assert (process.returncode, told["seeds"], told["left"]) == (1, kept, 24 - kept)
    assert sum(told["counts"].values()) + told["non_converged"] == kept
    assert message.startswith(f"landscape: interrupted: {kept} of 24 seeds are in")
    assert 6 <= kept < 24
    answers = []
    for name in ("cut", "whole"):
        assert run([*cut[:-1], str(tmp_path / name)]) == 0
        answers.append(json.loads(capsys.readouterr().out)["counts"])
    assert answers[0] == answers[1]
    whole, parts = (Archive.existing(tmp_path / name) for name in ("whole", "cut"))
    assert set(whole.names()) == set(parts.names())
    for digest in whole.names():
        one, other = (CriticalPoint.load(archive.path(digest)) for archive in (whole, parts))
        assert (one.theta - other.theta).norm() <= 1e-6 * one.theta.norm()
        assert one.loss == pytest.approx(other.loss, rel=1e-13)
