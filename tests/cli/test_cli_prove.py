"""`landscape prove` and `landscape check`: what they print, what they write, and their exit codes."""

import json
from pathlib import Path

import pytest

from landscape.cli import run

SMALL = ["--classes", "4", "--samples", "2", "--width", "6", "--depth", "2", "--decay", "1e-2"]
PROBLEM = "K=4,n=2,d=6,L=2,decay=1e-2"


def ask(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run([str(argument) for argument in arguments])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return code, said.out, said.err


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("proofs")


@pytest.fixture(scope="module")
def pairs(folder: Path) -> Path:
    path = folder / "pairs.safetensors"
    assert run(["solve", *SMALL, "--start", "pairs", "--seed", "1", "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def unfinished(folder: Path) -> Path:
    path = folder / "unfinished.safetensors"
    run(["solve", *SMALL, "--method", "gd", "--max-steps", "1000", "--out", str(path)])
    return path


def test_a_structure_is_proved_by_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "dnc.json"
    code, out, err = ask(capsys, "prove", "--problem", PROBLEM, "--start", "dnc", "--out", path)
    assert (code, err) == (0, "")
    assert out.count("\n") == 1
    assert "has the critical point DNC, of rank 3. At width 6 its Hessian has exactly 24 zero and 0 negative" in out
    assert json.loads(path.read_text())["name"] == "DNC"
    assert not list(folder.glob("*partial*"))
    assert ask(capsys, "check", path) == (0, out, "")
    assert ask(capsys, "check", path, "--problem", PROBLEM) == (0, out, "")


@pytest.mark.parametrize(
    ("problem", "start", "root", "name", "nullity", "index"),
    [
        (PROBLEM, "pairs", "small", "pairs-small", 18, 3),
        ("K=4,n=2,d=6,L=2,decay=1e-7", "pairs", "small", "pairs-small", 18, 3),
        ("K=5,n=3,d=6,L=4,decay=0.06443059911283797", "dnc", "large", "DNC", 56, 5),
        ("K=6,n=2,d=8,L=3,decay=0.058060360421295205", "dnc", "large", "DNC", 75, 9),
        ("K=1000,n=100,d=5000,L=8,decay=1e-5", "dnc", "large", "DNC", 35_964_000, 498_500),
        ("K=3,n=2,d=5,L=2,decay=1e-3,loss=mse", "dnc", "large", "DNC", 18, 0),
        ("sizes=3:3:2:2,d=5,L=2,decay=1e-3", "partition:2,1,1", "large", "partition:2,1,1", 8, 2),
    ],
)
def test_facts_of_named_structures(
    problem: str, start: str, root: str, name: str, nullity: int, index: int, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = ask(capsys, "prove", "--problem", problem, "--start", start, "--root", root, "--json")
    assert code == 0
    facts = json.loads(out)
    assert facts["proved"] is True
    assert (facts["kind"], facts["name"], facts["nullity"]) == ("structure", name, nullity)
    assert facts["index"] == index
    assert facts["distance"] is None
    assert f"the critical point {name}" in facts["theorem"]


def test_other_starts_take_the_box_and_carry_no_name(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ask(capsys, "prove", "--problem", "K=5,n=2,d=6,L=2,decay=1e-3", "--start", "apex")
    assert (code, err) == (0, "")
    assert "exactly one critical point in the box of this proof, of rank 3" in out
    assert "apex" not in out


def test_a_saved_point(pairs: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "box.json"
    code, out, err = ask(capsys, "prove", pairs, "--out", path)
    assert (code, err) == (0, "")
    theorem, away, named = out.splitlines()
    assert "exactly 18 zero and 0 negative eigenvalues among 108" in theorem
    assert "pairs" not in theorem
    assert "from the saved one" in away
    assert "from those of the critical point pairs, which is proved to have 18 zero and 0 negative eigenvalues" in named
    assert ask(capsys, "check", path)[:2] == (0, theorem + "\n")
    code, out, _ = ask(capsys, "check", path, pairs, "--json")
    facts = json.loads(out)
    assert (code, facts["theorem"], facts["index"]) == (0, theorem, 0)
    assert facts["distance"] < 1e-13


def test_what_is_not_critical_is_not_proved(unfinished: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "none.json"
    code, out, err = ask(capsys, "prove", unfinished, "--out", path)
    assert (code, out) == (1, "")
    assert err.startswith("landscape: not proved: the point ")
    assert err.count("\n") == 1
    assert not path.exists()
    code, out, _ = ask(capsys, "prove", unfinished, "--json")
    assert code == 1
    assert set(json.loads(out)) == {"proved", "reason"}


def test_a_structure_above_its_fold_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ask(capsys, "prove", "--problem", "K=4,n=2,d=6,L=2,decay=1", "--start", "dnc")
    assert (code, out) == (1, "")
    assert "above the fold" in err


def test_a_proof_of_something_else_is_said(pairs: Path, unfinished: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "other.json"
    assert ask(capsys, "prove", pairs, "--out", path)[0] == 0
    for problem, word in (
        ("K=4,n=2,d=6,L=2,decay=0.010000000000000002", "decays"),
        ("K=4,n=2,d=7,L=2,decay=1e-2", "width"),
        ("K=4,n=3,d=6,L=2,decay=1e-2", "class sizes"),
        ("K=4,n=2,d=6,L=2,decay=1e-2,loss=mse", "loss"),
        ("K=4,n=2,d=6,L=2,decay=1e-2,activation=relu", "relu"),
    ):
        code, out, err = ask(capsys, "check", path, "--problem", problem)
        assert (code, out) == (1, "")
        assert "about another problem" in err
        assert word in err
    code, _, err = ask(capsys, "check", path, unfinished)
    assert code == 1
    assert "about another point" in err


def test_a_false_proof_is_refused_with_the_reason(pairs: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "false.json"
    assert ask(capsys, "prove", pairs, "--out", path)[0] == 0
    path.write_text(path.read_text().replace('"nullity":18', '"nullity":19'))
    code, out, err = ask(capsys, "check", path)
    assert (code, out) == (1, "")
    assert err == "landscape: not proved: the file claims nullity 19, and 18 is proved\n"
    code, out, _ = ask(capsys, "check", path, "--json")
    assert (code, json.loads(out)) == (1, {"proved": False, "reason": "the file claims nullity 19, and 18 is proved"})
    path.write_text("no proof")
    assert ask(capsys, "check", path)[0] == 1


def test_bad_input_is_one_line(pairs: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    relu = folder / "relu.safetensors"
    run(["solve", *SMALL, "--activation", "relu", "--max-steps", "10", "--out", str(relu)])
    cases: list[list[object]] = [
        ["prove"],
        ["prove", pairs, "--problem", PROBLEM, "--start", "dnc"],
        ["prove", "--problem", PROBLEM],
        ["prove", pairs, "--start", "dnc"],
        ["prove", "--problem", PROBLEM, "--start", "partition:2,1"],
        ["prove", "--problem", PROBLEM, "--start", "partition:4,0"],
        ["prove", "--problem", "K=4,n=2,d=2,L=2,decay=1e-2", "--start", "dnc"],
        ["prove", "--problem", "sizes=1:2:2,d=4,L=2,decay=1e-2", "--start", "dnc"],
        ["prove", "--problem", "K=4,n=2,d=6,L=2,decay=1e-2,activation=relu", "--start", "dnc"],
        ["prove", pairs, "--out", folder / "proof.txt"],
        ["prove", pairs, "--out", folder / "missing" / "proof.json"],
        ["prove", relu],
        ["prove", folder / "nothing.safetensors"],
        ["check", folder / "nothing.json"],
        ["check", folder],
        ["check", pairs],
        ["check", folder / "nothing.json", pairs, "--problem", PROBLEM],
    ]
    for arguments in cases:
        code, out, err = ask(capsys, *arguments)
        assert (code, out) == (2, ""), (arguments, err)
        assert err.startswith("landscape: ")
        assert err.count("\n") == 1
