"""The benchmark for a CUDA device: what it measures is right where there is none, and it refuses in one line."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from landscape.model.problem import Problem

PATH = Path(__file__).resolve().parent.parent / "benchmarks" / "gpu.py"


@pytest.fixture
def benchmark_gpu():
    specification = importlib.util.spec_from_file_location("benchmark_gpu", PATH)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_it_counts_what_the_formula_says(benchmark_gpu):
    found = benchmark_gpu.measured(Problem.balanced(10, 1, 12, 2, 2**-10), "cpu")
    assert found["nullity"] == 2 * (12 * 9 - 45)
    assert found["ms per vector"] > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_it_refuses(benchmark_gpu, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    assert benchmark_gpu.main() == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
