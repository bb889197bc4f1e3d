"""Cosines beside all relabellings, one by one."""

from itertools import permutations
from typing import cast

import pytest
import torch

from landscape.model.problem import Problem
from landscape.solver.starts import place
from landscape.structures.kinds import Collapse, Kind, Pairs, Partition, Structure, Unnamed
from landscape.studies.heads.similarity import similarity


def largest(one: torch.Tensor, other: torch.Tensor) -> float:
    one, other = (matrix - matrix.mean(0) for matrix in (one, other))
    orders = [list(order) for order in permutations(range(len(one)))]
    return max(float((one * other[order][:, order]).sum()) for order in orders) / float(one.norm() * other.norm())


@pytest.mark.parametrize("kind", [Collapse(), Pairs(), Partition((4, 2)), Partition((3, 3)), Partition((3, 2, 1)), Unnamed(3)])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_cosine_is_the_largest_of_all_relabellings(kind: Kind, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    given = torch.randn(6, 6, generator=generator, dtype=torch.float64)
    if isinstance(kind, Unnamed):
        known = torch.randn(6, 3, generator=generator, dtype=torch.float64) @ torch.randn(3, 6, generator=generator).double()
    else:
        known = place(Problem.balanced(6, 2, 8, 2, 2e-3), cast(Structure, kind)).class_logits
    wanted = float((known - known.mean(0)).flatten() @ (given - given.mean(0)).flatten()) if kind == Collapse() else None
    found = similarity(kind, known, given)
    assert found == pytest.approx(largest(known, given), rel=1e-12)
    if wanted is not None:
        assert found == pytest.approx(wanted / float((known - known.mean(0)).norm() * (given - given.mean(0)).norm()), rel=1e-12)


@pytest.mark.parametrize("groups", [(5, 3, 2), (6, 2, 2), (4, 2, 2, 2), (8, 2)])
def test_groups_of_ten_classes_are_found_again(groups: tuple[int, ...]) -> None:
    known = place(Problem.balanced(10, 2, 10, 2, 1e-3), Partition(groups)).class_logits
    order = torch.randperm(10, generator=torch.Generator().manual_seed(0))
    assert similarity(Partition(groups), known, known[order][:, order] + 3) == pytest.approx(1, rel=1e-12)


def test_zero_logits_are_like_nothing() -> None:
    known = place(Problem.balanced(4, 2, 6, 2, 1e-2), Pairs()).class_logits
    assert similarity(Pairs(), known, torch.zeros(4, 4).double()) is None
    assert similarity(Pairs(), known, torch.ones(4, 4).double()) is None
