"""The benchmark for a CUDA device: what it measures is right where there is none, and it refuses in one line."""

import sys
from typing import Any

import pytest
import torch

from benchmarks import gpu


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
