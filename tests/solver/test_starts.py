"""Random starts have the scales that were asked for."""

import math

import pytest
import torch

from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.solver.starts import Random, random_start

PAPER = Problem.balanced(10, 5, 70, 2, 2**-10)


def test_random_starts_have_their_scales():
    theta = random_start(PAPER, Random(weight_scale=2.0, feature_scale=0.1, seed=5))
    features, *layers = Objective.of(PAPER).split(theta)
    assert float(features.std()) == pytest.approx(0.1, rel=0.05)
    assert [float(layer.std()) for layer in layers] == pytest.approx([2 / math.sqrt(70)] * 2, rel=0.08)
    assert torch.equal(theta, random_start(PAPER, Random(2.0, 0.1, 5)))
    assert not torch.equal(theta, random_start(PAPER, Random(2.0, 0.1, 6)))
