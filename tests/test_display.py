"""What values print at a prompt and show in a notebook: short, useful, escaped."""

import dataclasses
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser

import pytest
import torch

import landscape
from landscape.archive.experiment import Experiment
from landscape.catalogue.table import AtlasOptions, atlas
from landscape.curvature.operators.operator import Hessian, Matrix
from landscape.curvature.spectra.spectrum import Spectrum
from landscape.degeneracy.analysis import analyse
from landscape.degeneracy.judgement import Doubt, Verdict
from landscape.display import aligned, brief, table
from landscape.model.logit_form import write_parameters
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.model.reduced_point import compress
from landscape.network.loss import ModuleLoss
from landscape.network.operators import ModuleHessian
from landscape.points.point import CriticalPoint, Origin
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Collapse
from landscape.studies.prevalence import measure_prevalence

PROBLEM = Problem.balanced(4, 2, 6, 2, 1e-2)
LARGE = re.compile(r"Tensor|ndarray|Array|Callable|Operator")


def point(problem: Problem = PROBLEM, start: str = "analytic") -> CriticalPoint:
    return CriticalPoint.at(problem, write_parameters(problem, logit_form(problem, Collapse()), gauge=0), Origin(start))


def public_values() -> list[type]:
    found: list[type] = []
    for module in pkgutil.walk_packages(landscape.__path__, "landscape."):
        for name, kind in vars(importlib.import_module(module.name)).items():
            public = inspect.isclass(kind) and kind.__module__ == module.name and not name.startswith("_")
            if public and "__dataclass_fields__" in vars(kind):
                found.append(kind)
    return found


def dumps(kind: type) -> bool:
    """Whether the repr is the dataclass's own, although a field holds a tensor or a function."""
    made = inspect.unwrap(kind.__repr__).__code__.co_filename == "<string>"  # dataclasses write theirs as text and execute it
    return made and any(field.repr and LARGE.search(str(field.type)) for field in dataclasses.fields(kind))


def test_no_public_value_dumps_a_tensor() -> None:
    kinds = public_values()
    assert len(kinds) > 50
    assert [kind.__qualname__ for kind in kinds if dumps(kind)] == []


def test_the_search_for_dumps() -> None:
    @dataclass(frozen=True)
    class Bad:
        theta: torch.Tensor

    @dataclass(frozen=True)
    class Good:
        theta: torch.Tensor
        __repr__ = brief

    assert dumps(Bad)
    assert not dumps(Good)


def test_one_line_each() -> None:
    found = point(Problem.balanced(10, 5, 70, 2, 2**-10))
    report = analyse(found, "reduction")
    core, _ = compress(found.problem, found.theta, 1e-9)
    module = torch.nn.Sequential(*(torch.nn.Linear(4, 4) for _ in range(30))).double()
    data = [(torch.zeros(2, 4, dtype=torch.float64), torch.zeros(2, 4, dtype=torch.float64))]
    values = (
        found, report, report.spectrum, core, Objective.of(found.problem), atlas(PROBLEM, AtlasOptions(index=0)),
        measure_prevalence(Experiment(PROBLEM), 2), ModuleHessian(ModuleLoss(module, torch.nn.functional.mse_loss, data)),
        Hessian(torch.sum, found.theta), report.zeros,
    )  # fmt: skip
    for value in values:
        text = repr(value)
        assert "\n" not in text, text
        assert "tensor(" not in text, text
        assert text.startswith(type(value).__name__ + "("), text
        assert len(text) < 700, text
    assert repr(found) == (
        "CriticalPoint(linear CE model, K=10 n=5 d=70 L=2 decay=0.000976562 (P=9100); "
        f"loss 0.0906621832, gradient norm {found.gradient_norm:.1e}, given)"
    )
    assert repr(report).startswith("DegeneracyReport(DNC, nullity 1170, index 0; ")
    assert repr(Matrix(torch.zeros(3, 3))) == "Matrix(entries=<float32 3 x 3>)"


def test_print_gives_the_rows() -> None:
    found = point()
    report = analyse(found, "reduction")
    assert re.search(r"^nullity +24$", str(report), re.MULTILINE)
    assert re.search(r"^start +analytic$", str(found), re.MULTILINE)
    assert sum(int(line.split()[1]) for line in str(report.spectrum).splitlines()[1:]) == 108
    doubtful = dataclasses.replace(
        report, facts=dataclasses.replace(report.facts, verdict=Verdict.doubtful(Doubt.TOO_FAINT, "because"))
    )
    assert "not stated" in str(doubtful)
    assert "undecided: because" in repr(doubtful)


@pytest.mark.parametrize("show", [lambda p: p, lambda p: analyse(p, "reduction"), lambda p: analyse(p, "reduction").spectrum])
def test_notebooks_get_tables(show: Callable[[CriticalPoint], object]) -> None:
    html = show(point())._repr_html_()  # type: ignore[attr-defined]
    parser = HTMLParser()
    parser.feed(html)
    assert html.startswith("<table>")
    assert html.count("<tr>") == html.count("</tr>") >= 5
    for name, value in getattr(show(point()), "rows", list)():
        assert f"<th>{name}</th><td>{value}</td>" in html


def test_notebooks_escape_what_files_say() -> None:
    html = point(start="<script>boom()</script>")._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;boom()" in html
    assert table("<i>", [("<b>", "&")], ("<u>",)) == (
        "<table><caption>&lt;i&gt;</caption><thead><tr><th>&lt;u&gt;</th></tr></thead>"
        "<tbody><tr><th>&lt;b&gt;</th><td>&amp;</td></tr></tbody></table>"
    )


def test_long_spectra_are_cut_in_the_middle() -> None:
    spectrum = Spectrum(torch.arange(1000, dtype=torch.float64), (1,) * 1000, 1e-12)
    lines = str(spectrum).splitlines()
    assert len(lines) == 62
    assert "940 more rows" in lines[31]
    assert lines[-1].split() == ["9.990000000e+02", "1"]
    assert repr(Spectrum(torch.zeros(0, dtype=torch.float64), (), 0.0)) == "Spectrum(0 eigenvalues, 0 stored, error 0.0e+00)"


def test_brief() -> None:
    @dataclass(frozen=True)
    class Value:
        numbers: tuple[int, ...]
        one: torch.Tensor
        name: str
        hidden: int = dataclasses.field(default=3, repr=False)

    assert repr(brief(Value((1,), torch.tensor(0.5), "a"))) == "\"Value(numbers=(1,), one=0.5, name='a')\""
    assert brief(Value(tuple(range(9)), torch.zeros(0), "a")) == "Value(numbers=<9 entries>, one=<float32 0>, name='a')"
    assert aligned([("a", "1"), ("long", "2")]) == "a     1\nlong  2"
    assert aligned([]) == ""
