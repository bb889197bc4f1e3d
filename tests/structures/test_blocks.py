"""Codes: projectors, critical points, and their names."""

import math

import pytest
import torch

from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.structures.analytic import logit_form
from landscape.structures.block_bases import basis_of
from landscape.structures.blocks import Antiprism, Bipyramid, codes_of_size, parse_block, size_of, symmetries_of
from landscape.structures.kinds import Blocks
from landscape.structures.notation import parse_structure
from landscape.structures.recognition import structure_name
from landscape.structures.relabelling import copies_of_logits

PAPER = Problem.balanced(10, 5, 70, 2, 2**-10)


@pytest.mark.parametrize("text", ["3", "polygon5", "polygon6", "T5", "H2x3", "H3x2"])
def test_codes_are_projectors_with_constant_rows(text: str) -> None:
    block = parse_block(text)
    assert not isinstance(block, Antiprism | Bipyramid)
    basis = basis_of(block)
    assert basis.shape[0] == size_of(block)
    assert float((basis.mT @ basis - torch.eye(basis.shape[1], dtype=torch.float64)).abs().max()) < 1e-14
    rows = (basis @ basis.mT).sort(dim=1).values
    assert float((rows - rows[0]).abs().max()) < 1e-14
    assert copies_of_logits(basis @ basis.mT, (1,) * size_of(block)) == math.factorial(size_of(block)) // symmetries_of(block)


@pytest.mark.parametrize("text", ["blocks:T5", "blocks:polygon5+5", "blocks:polygon5+3+2", "blocks:polygon10"])
def test_codes_are_critical_and_know_their_name_in_any_order(text: str) -> None:
    structure = parse_structure(text, "large")
    assert isinstance(structure, Blocks)
    core = Core.from_form(PAPER, logit_form(PAPER, structure))
    assert float(core.objective.gradient(core.theta).norm()) < 1e-14
    order = torch.randperm(10, generator=torch.Generator().manual_seed(1))
    logits = core.class_logits[order][:, order]
    assert structure_name(PAPER, logits, core.rank) == text


def test_codes_of_size() -> None:
    assert [size for size in range(2, 30) if codes_of_size(size)] == [8, 9, 10, 15, 16, 21, 25, 27, 28]
