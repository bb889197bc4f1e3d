"""Benchmarks: that for a CUDA device measures what is right where there is none; what others say of zeros is on the page."""

import csv
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import gpu, zeros
from landscape.model.problem import Problem


@pytest.mark.parametrize(
    ("part", "arguments"),
    [("count", {"width": 12}), ("density", {"width": 12}), ("solve", {"width": 12}), ("products", {"widths": (12,)})],
)
def test_a_part_runs_on_the_cpu_too(part: str, arguments: dict[str, Any]) -> None:
    row = gpu.PARTS[part]("cpu", **arguments)
    assert all(not isinstance(value, float) or value >= 0 for value in row.values())
    if part == "count":
        assert row["count"] == 3 * (12 * 9 - 45)


def test_many_starts_are_counted() -> None:
    row = gpu.prevalence("cpu", seeds=3, problem="K=3,n=1,d=4,L=2,decay=1e-2")
    assert row["seeds"] == 3
    assert row["count"] in range(4)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_it_refuses(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    assert gpu.main() == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1


def test_the_zeros_of_a_density_are_its_mass_near_zero() -> None:
    probes = [([0.0, 1e-12, 2.0], [0.25, 0.25, 0.5]), ([-1e-10, 1e-6, 3.0], [0.5, 0.25, 0.25])]
    assert zeros.zeros(probes, 100, 1e-9) == (50.0, 0.0)
    assert zeros.zeros(probes, 100, 1e-5) == (62.5, 12.5)


def test_the_libraries_that_are_here_are_asked() -> None:
    """12 of 64 are zero."""
    found = list(zeros.rows(Problem.balanced(4, 2, 4, 2, 1e-2), steps=12, probes=30))
    assert {row["library"] for row in found} >= {"pyhessian"}
    exact = 2 * (4 * 3 - 6)
    for row in found:
        if row["method"] == "density, repaired":
            assert abs(float(row["zeros"]) - exact) <= 4 * float(row["error"])


def test_the_page_has_what_other_libraries_said() -> None:
    with zeros.TABLE.open() as file:
        rows = list(csv.DictReader(file))
    said = [row["zeros"] + (f" ± {row['error']}" if row["error"] not in ("", "0") else "") for row in rows]
    page = (Path(__file__).parent.parent / "docs" / "comparison.md").read_text()
    table = page.split("| method | within 1e-9 of 0 | within 1e-5 of 0 |\n|---|---|---|\n")[1].split("\n\n")[0]
    assert [cell for line in table.splitlines() for cell in line.strip("| ").split(" | ")[1:]] == said
    assert all(row["version"] in page for row in rows)
