"""The class means of a rectified head have its loss where its samples have collapsed, and the continuation goes down from there."""

import sys

import pytest
import torch

from landscape.model.problem import Problem
from landscape.points.point import CriticalPoint, Origin

DECAYS = (1e-3, 2e-2, 1e-2)


@pytest.fixture(scope="module")
def script(load_script):
    load_script("real_networks")
    return load_script("real_relu")


def head(spread: float) -> CriticalPoint:
    problem = Problem.balanced(3, 4, 5, 2, DECAYS, activation="relu")
    generator = torch.Generator().manual_seed(2)
    means = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    noise = spread * torch.randn(5, 12, generator=generator, dtype=torch.float64)
    layers = torch.randn(25 + 15, generator=generator, dtype=torch.float64)
    theta = torch.cat([(means.repeat_interleave(4, dim=1) + noise).flatten(), layers])
    return CriticalPoint.at(problem, theta, Origin("a test"))


def test_collapsed_samples_have_the_loss_and_the_gradient_of_their_mean(script):
    point = head(0.0)
    means = script.of_means(point)
    assert means.problem.decays == pytest.approx((4e-3, 2e-2, 1e-2))
    assert means.loss == pytest.approx(point.loss, rel=1e-14)
    assert script.of_means(head(0.1)).loss != pytest.approx(point.loss, rel=1e-6)


@pytest.mark.slow
def test_a_head_is_followed_to_its_kinks(script):
    row = script.smoothed(7, head(0.0))
    assert (row.seed, row.inputs) == (7, 15)
    assert row.loss == pytest.approx(head(0.0).loss, rel=1e-14)
    assert row.end_loss < row.loss
    assert 3 * row.dead <= row.inputs
    assert row.residual <= row.gradient_norm
    assert row.residual < 1e-6


def test_a_folder_without_heads_is_one_line(script, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["real_relu.py", str(tmp_path)])
    assert script.main() == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
