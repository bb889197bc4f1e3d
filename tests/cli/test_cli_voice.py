"""One voice: the options, the words, the tables and the progress that all commands share."""

import inspect
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
from cyclopts import ArgumentCollection

from landscape.cli import app, run
from landscape.cli.options import ProblemOptions, ProblemRanges
from landscape.cli.output import LONGEST, harmless, print_table, short, warn, write_table
from landscape.cli.progress import Report, progress
from landscape.errors import InputError
from landscape.model.problem import Problem

# a command that makes no tensors whose place a user could choose, and why
WITHOUT_DEVICE = {
    "results": "it reads records",
    "phase": "closed forms of a few numbers",
    "verify": "small models, on the CPU that the page was made on",
}
OF_THE_SHELL = {"--help", "-h", "--version", "install-completion"}
NETWORK = [f"network {name}" for name in app["network"] if name not in OF_THE_SHELL]  # these have a word of their own
COMMANDS = sorted([*(name for name in app if name not in OF_THE_SHELL | {"network"}), *NETWORK])
FROM_WEIGHTS = {"import", *NETWORK}  # what the weights do not say
TEXT = "K=4,n=2,d=6,L=2,decay=1e-2"
OPTIONS = ["--classes", "4", "--samples", "2", "--width", "6", "--depth", "2", "--decay", "1e-2"]


def arguments_of(command: str) -> ArgumentCollection:
    found = app
    for word in command.split():
        found = found[word]
    return found.assemble_argument_collection()


def options_of(command: str) -> set[str]:
    return {name for argument in arguments_of(command) for name in argument.names}


def test_every_command_is_here() -> None:
    assert {"solve", "degeneracy", "prove", "check", "spectrum", "slice", "import", "show", "atlas", "network head"} <= set(
        COMMANDS
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_json_and_a_device_where_tensors_live(command: str) -> None:
    names = options_of(command)
    assert "--json" in names
    assert ("--device" in names) is (command not in WITHOUT_DEVICE)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_options_of_a_problem_are_all_there_or_none(command: str) -> None:
    """A command has the options of one problem, those of a diagram, or (an import) what the weights do not say."""
    one = {f"--{name.replace('_', '-')}" for name in inspect.signature(ProblemOptions).parameters}
    several = {f"--{name.replace('_', '-')}" for name in inspect.signature(ProblemRanges).parameters}
    shared = options_of(command) & one
    assert shared in (set(), one, several if command == "phase" else one) or command in FROM_WEIGHTS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_a_help_text_and_no_option_is_called_by_a_letter(command: str) -> None:
    for argument in arguments_of(command):
        if argument.name == "*":  # all options of a problem
            continue
        assert argument.parameter.help, argument.name
        assert all(len(name.lstrip("-")) > 1 for name in argument.names)


# ------------------------------------------------------------------------------------------------------------- the problem


def test_text_and_options_mean_the_same_and_may_be_mixed() -> None:
    wanted = Problem.balanced(4, 2, 6, 2, 1e-2)
    assert ProblemOptions(problem=TEXT).build() == wanted
    assert ProblemOptions(classes=4, samples=2, width=6, depth=2, decay="1e-2").build() == wanted
    assert ProblemOptions(problem="K=4,n=2,d=6", depth=2, decay="1e-2").build() == wanted
    assert ProblemOptions(problem="d=6,L=2,decay=1e-2", class_sizes="2,2,2,2").build() == wanted
    assert ProblemOptions(problem="K=4,d=6,L=2,decay=1e-2").build(n="2") == wanted
    assert ProblemOptions(problem=TEXT).build(n="7") == wanted
    assert ProblemOptions(problem="sizes=4:1,d=6,L=2,decay=1e-2").build(n="7").class_sizes == (4, 1)
    rectified = ProblemOptions(problem=TEXT, loss="mse", activation="relu").build()
    assert (rectified.loss, rectified.activation) == ("mse", "relu")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (ProblemOptions(problem=TEXT, width=6), "expected d once, got it in --problem and as --width"),
        (ProblemOptions(problem=TEXT, class_sizes="1,2"), "expected --class-sizes alone, or --classes and --samples"),
        (ProblemOptions(problem="K=4,n=2,d=6"), r"expected --depth \(L\), --decay \(decay\): give the options"),
        (ProblemOptions(), r"expected --width \(d\), --depth \(L\), --decay \(decay\), --classes \(K\), --samples \(n\)"),
    ],
)
def test_a_problem_that_is_named_twice_or_not_wholly_is_refused(options: ProblemOptions, words: str) -> None:
    with pytest.raises(InputError, match=words):
        options.build()


def test_the_answers_of_both_ways_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    answers = []
    for model in (["--problem", TEXT], OPTIONS, ["--problem", "K=4,n=2,d=6", "--depth", "2", "--decay", "1e-2"]):
        assert run(["degeneracy", *model, "--start", "dnc", "--json"]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0] == answers[1] == answers[2]


# ------------------------------------------------------------------------------------------------------------------- words


def test_no_message_is_longer_than_a_line_and_the_remedy_survives(capsys: pytest.CaptureFixture[str]) -> None:
    warn(f"expected less, got {'x' * 5000}\nand more: run landscape solve --start FILE")
    said = capsys.readouterr().err
    assert len(said) == LONGEST + 1
    assert said.startswith("landscape: expected less")
    assert said.endswith("run landscape solve --start FILE\n")
    assert short("a\n  b") == "a b"
    assert run(["degeneracy", "--problem", "K=4," + "k" * 9000, "--start", "dnc"]) == 2
    assert len(capsys.readouterr().err) <= LONGEST + 1
    assert run(["show", "y" * 9000]) == 2
    assert len(capsys.readouterr().err) <= LONGEST + 1


def test_a_count_of_weights_names_the_import(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    torch.save({"H_1": torch.ones(6, 8)}, tmp_path / "weights.pt")
    assert run(["degeneracy", str(tmp_path / "weights.pt")]) == 2
    assert "use landscape import" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["solve", "import"])
def test_a_link_is_not_replaced_in_silence(capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str) -> None:
    torch.save({"H_1": torch.ones(6, 8), "W_1": torch.ones(4, 6)}, tmp_path / "w.pt")
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "link.safetensors").symlink_to("mine")
    arguments = [str(tmp_path / "w.pt"), "--decay", "1e-2"] if command == "import" else [*OPTIONS, "--start", "dnc"]
    assert run([command, *arguments, "--out", str(tmp_path / "link.safetensors")]) == 2
    assert "a link to mine: name that file itself" in capsys.readouterr().err
    assert (tmp_path / "link.safetensors").is_symlink()
    assert (tmp_path / "mine").read_text() == "mine"


def test_what_a_spreadsheet_would_run_is_text(tmp_path: Path) -> None:
    table = pd.DataFrame({"text": ["=1+1", "+1", "-x", "@a", "\tb", "fine", None], "number": [-1.5, 2, 3, 4, 5, 6, 7], "=head": 1})
    write_table(table, tmp_path / "table.csv")
    lines = (tmp_path / "table.csv").read_text().splitlines()
    assert lines[0] == "text,number,'=head"
    assert [line.split(",")[0] for line in lines[1:]] == ["'=1+1", "'+1", "'-x", "'@a", "'\tb", "fine", ""]
    assert [line.split(",")[1] for line in lines[1:3]] == ["-1.5", "2.0"]
    assert list(harmless(table)["number"]) == list(table["number"])
    write_table(table, tmp_path / "table.parquet")
    assert list(pd.read_parquet(tmp_path / "table.parquet")["text"])[:4] == ["=1+1", "+1", "-x", "@a"]


def test_a_table_has_columns_as_wide_as_their_widest_cell(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([("name", "count"), ("a", "1"), ("longer", "10")], numbers=(1,))
    assert capsys.readouterr().out == "name    count\na           1\nlonger     10\n"


# ---------------------------------------------------------------------------------------------------------------- progress


def test_a_line_a_minute_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    clock: Iterator[float] = itertools.count(100.0, 20.0)  # twenty seconds at each look
    report = Report("points", clock=lambda: next(clock))
    for done in range(1, 8):
        report.update(done, 7, f"loss {done}")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("landscape: points: 3 of 7, loss 3, ")
    assert len(lines) == 2
    assert all(line.endswith(" min") for line in lines)


def test_nothing_is_said_in_the_first_minute(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("work") as report:
        for place in range(100):
            report.update(place, 100)
        report.update(state="no number")
    assert capsys.readouterr().err == ""


def test_a_terminal_has_a_bar() -> None:
    import pty

    parent, child = pty.openpty()
    script = (
        "from landscape.cli.progress import progress\n"
        "import time\n"
        "with progress('points') as report:\n"
        "    report.update(1, 2, 'half'); report.say('dashboard here'); report.update(1, 2, label='DNC'); time.sleep(0.3)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stderr=child, stdin=child, env={**os.environ, "TERM": "xterm"})
    os.close(child)
    shown = b""
    try:
        while chunk := os.read(parent, 4096):
            shown += chunk
    except OSError:  # the other end was closed
        pass
    assert process.wait(60) == 0
    assert all(word in shown for word in (b"points", b"half", b"dashboard here", b"DNC"))


INTERRUPTED = """
import os, signal
import landscape.solver.run as run
from landscape.cli import main

thinned = run._thinned

def interrupting(record):
    if len(record) == 3:
        os.kill(os.getpid(), signal.SIGINT)
    return thinned(record)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job that a shell started in the background ignores it
run._thinned = interrupting
main()
"""


def test_an_interrupted_solve_says_what_it_has_and_can_go_on(tmp_path: Path) -> None:
    """The signal comes with the third state of the descent, however fast the machine."""
    out = tmp_path / "point.safetensors"
    command = [sys.executable, "-c", INTERRUPTED, "solve", "--problem"]
    command += ["K=10,n=5,d=300,L=3,decay=1e-3", "--method", "gd", "--max-steps", "1000000"]
    command += ["--tolerance", "1e-300", "--out", str(out)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert said.returncode == 1, said
    assert "interrupted by hand: continue with --start FILE" in said.stderr
    assert f"it is saved in {out}" in said.stderr
    assert out.exists()


def test_an_interrupt_anywhere_else_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("landscape.catalogue.table.atlas", stopped)
    assert run(["atlas", "--problem", TEXT]) == 1
    said = capsys.readouterr().err
    assert said.startswith("landscape: interrupted: what was not saved before is lost")
    assert said.count("\n") == 1
