"""Options that the chosen method, start or output would ignore are refused, in every command."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App

from landscape.cli import app, run
from landscape.cli.applies import Chosen, Needs, NotWith, rules

SMALL = ("--problem", "K=3,n=1,d=3,L=2,decay=1e-2")
PICTURE = {"--title", "--size", "--style"}


def commands(of: App = app, prefix: str = "") -> Iterator[tuple[str, App]]:
    for name in of:
        if not name.startswith("-") and name != "install-completion":
            inner = of[name]
            if inner.default_command is None:
                yield from commands(inner, f"{prefix}{name} ")
            else:
                yield prefix + name, inner


COMMANDS = dict(commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_rules_name_options_of_their_command(name: str) -> None:
    arguments = {argument.name: argument for argument in COMMANDS[name].assemble_argument_collection()}
    groups = {argument.parameter.group for argument in arguments.values()}
    for argument in arguments.values():
        for rule in rules(argument):
            others = rule.options if isinstance(rule, Needs) else (rule.option,)
            assert set(others) <= set(arguments) - {argument.name}
            for other in others:
                assert arguments[other].parameter.group == argument.parameter.group, groups
            if isinstance(rule, Chosen):
                assert set(rule.values) <= set(_choices(arguments[rule.option].hint))


def _choices(hint: object) -> list[object]:
    from typing import Literal, get_args, get_origin

    return list(get_args(hint)) if get_origin(hint) is Literal else [part for each in get_args(hint) for part in _choices(each)]


def test_some_rule_of_each_kind_is_used() -> None:
    kinds = {type(rule) for command in COMMANDS.values() for each in command.assemble_argument_collection() for rule in rules(each)}
    assert kinds == {Needs, Chosen, NotWith}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_picture_has_the_same_options(name: str) -> None:
    known = {argument.name: argument for argument in COMMANDS[name].assemble_argument_collection()}
    assert set(known) >= PICTURE if "--plot" in known else not PICTURE & set(known)
    for option in PICTURE & set(known):
        assert rules(known[option]) == [Needs(("--plot",))]


IGNORED = [
    (("solve", *SMALL, "--start", "dnc", "--method", "lbfgs", "--learning-rate", "3", "--out", "a.safetensors"), "--method gd"),
    (("solve", *SMALL, "--learning-rate", "3", "--out", "a.safetensors"), "--method gd"),
    (("prevalence", *SMALL, "--learning-rate", "0.5", "--out", "starts"), "--method gd"),
    (("degeneracy", "p.safetensors", "--root", "small"), "--start"),
    (("spectrum", "p.safetensors", "--root", "large"), "--start"),
    (("prove", "p.safetensors", "--root", "small"), "--start"),
    (("slice", "p.safetensors", "--root", "small"), "--start"),
    (("slice", "p.safetensors", "q.safetensors", "--along", "gauge"), "OTHER"),
    (("slice", "p.safetensors", "q.safetensors", "--span", "1"), "OTHER"),
    (("slice", "p.safetensors", "q.safetensors", "--seed", "1"), "OTHER"),
    (("slice", "p.safetensors", "--surface"), "--plot"),
    (("slice", "p.safetensors", "--plot", "a.png", "--label", "a", "--label", "b"), "--other"),
    (("slice", "p.safetensors", "--style", "dark"), "--plot"),
    (("spectrum", "p.safetensors", "--axis", "linear"), "--plot"),
    (("spectrum", "p.safetensors", "--signs", "--out", "a.csv"), "--plot"),
    (("spectrum", "p.safetensors", "--label", "a"), "--plot or --out"),
    (("show", "p.safetensors", "--title", "a"), "--plot"),
    (("atlas", *SMALL, "--seed", "1"), "--search"),
    (("atlas", *SMALL, "--size", "3"), "--plot"),
    (("phase", "--over", "decay,depth", "--decay", "1e-4:0.1", "--depth", "1:2", "--style", "page"), "--plot"),
    (("phase", "--over", "classes,depth", "--classes", "3:4", "--depth", "1:2", "--decay", "1e-3", "--steps", "3"), "decay"),
    (("predict", *SMALL, "--method", "formula", "--starts", "3"), "--method law or both"),
    (("predict", *SMALL, "--method", "formula", "--groups", "3"), "--method law or both"),
    (("predict", *SMALL, "--method", "formula", "--out", "a"), "--method law or both"),
    (("network", "inspect", "a.py:b", "--data", "a.py:c", "--to", "1e-3"), "--polish"),
    (("network", "inspect", "a.py:b", "--data", "a.py:c", "--title", "b"), "--plot"),
    (("network", "slice", "a.py:b", "q.pt", "--data", "a.py:c", "--along", "random"), "OTHER"),
    (("network", "slice", "a.py:b", "q.pt", "--data", "a.py:c", "--seed", "1"), "OTHER"),
    (("network", "head", "h.npz", "--decay", "1e-2,1e-2", "--seed", "1"), "--search"),
]


@pytest.mark.parametrize(("command", "other"), IGNORED)
def test_an_option_that_would_be_ignored_is_refused_in_one_line(
    command: tuple[str, ...], other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(list(command)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "expected --" in said.err
    assert other in said.err
    assert not list(tmp_path.iterdir())


def test_a_saved_start_has_its_own_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = str(tmp_path / "a.safetensors")
    assert run(["solve", *SMALL, "--start", "dnc", "--seed", "3", "--out", saved]) == 0
    capsys.readouterr()
    assert run(["solve", "--start", saved, "--seed", "3", "--out", saved]) == 2
    assert "expected no --seed" in capsys.readouterr().err
