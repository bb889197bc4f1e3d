"""`analyse` is a straight way: a saved point enters each step module once, in order, and nothing is computed twice."""

import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import get_args

import pytest

import landscape.degeneracy as folder
from landscape.degeneracy.analysis import analyse
from landscape.degeneracy.methods import MethodName
from landscape.degeneracy.proved import Wanted
from landscape.degeneracy.report import DegeneracyReport
from landscape.model.logit_form import write_parameters
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.points.point import CriticalPoint, Origin
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Collapse, Pairs

STEPS = ["locate", "count", "decide", "confirm"]
ONCE = ["critical_core", "reduce", "orbit", "recognise", "kinks_of", "choose", "measure", "second_method", "collapse_metrics"]
LINEAR = Problem.balanced(4, 2, 6, 2, 1e-3)
RELU = Problem.balanced(3, 2, 3, 2, 1e-2, activation="relu")


def traced(source: CriticalPoint | Core, method: MethodName, wanted: Wanted) -> tuple[DegeneracyReport, list[str], Counter[str]]:
    """Returns a report, the step modules in the order in which they were entered, and how often each function was called."""
    place = Path(str(folder.__file__)).parent
    package = place.parent
    modules = {str(place / f"{name}.py"): name for name in STEPS}
    entered: list[str] = []
    called: Counter[str] = Counter()

    def watch(frame: FrameType, event: str, _: object) -> None:
        if event != "call":
            return
        code, caller = frame.f_code, frame.f_back
        if not code.co_filename.startswith(str(package)):
            return
        called[code.co_name] += 1
        while caller is not None and not caller.f_code.co_filename.startswith(str(package)):  # over the wrappers of beartype
            caller = caller.f_back
        if code.co_filename in modules and (caller is None or caller.f_code.co_filename != code.co_filename):
            entered.append(modules[code.co_filename])

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        report = analyse(source, method, wanted)
    finally:
        sys.setprofile(before)
    return report, entered, called


def saved(problem: Problem, structure) -> CriticalPoint:
    return CriticalPoint.at(problem, write_parameters(problem, logit_form(problem, structure), gauge=3), Origin("x"))


@pytest.mark.parametrize("method", ["auto", "reduction", "dense", "deflated"])
@pytest.mark.parametrize("effort", ["doubtful", "small"])
def test_a_saved_point_enters_each_step_once_in_order(method: MethodName, effort) -> None:
    report, entered, called = traced(saved(LINEAR, Pairs()), method, Wanted(effort))
    assert report.resolved
    assert entered == STEPS
    assert {name: called[name] for name in ONCE if called[name] > 1} == {}
    assert called["critical_core"] == called["recognise"] == called["orbit"] == 1
    assert called["reduce"] == (method in ("auto", "reduction", "deflated"))


def test_so_does_a_core_that_was_never_written_out() -> None:
    _, entered, called = traced(Core.from_form(LINEAR, logit_form(LINEAR, Collapse())), "auto", Wanted())
    assert entered == STEPS
    assert (called["reduce"], called["recognise"], called["critical_core"]) == (1, 1, 0)


def test_and_a_point_that_is_not_critical() -> None:
    theta = write_parameters(RELU, logit_form(Problem.balanced(3, 2, 3, 2, 1e-2), Collapse()), gauge=1)
    report, entered, called = traced(CriticalPoint.at(RELU, theta, Origin("x")), "auto", Wanted())
    assert (report.nullity, report.resolved) == (None, False)
    assert entered == STEPS
    assert {name: called[name] for name in ONCE if called[name] > 1} == {}


@pytest.mark.parametrize("method", [method for method in get_args(MethodName) if method != "auto"])
def test_a_method_is_called_what_the_option_calls_it(method: MethodName) -> None:
    report = analyse(saved(LINEAR, Pairs()), method)
    assert report.method == method
    assert report.zeros is not None
    assert report.zeros.method in (method, "")  # a count in a complete spectrum says only that
