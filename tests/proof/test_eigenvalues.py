"""Enclosed eigenvalues of structures against the dense Hessian of the full loss, and faint ones against their asymptotic law."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from landscape.model.logit_form import write_parameters
from landscape.model.objective import Objective
from landscape.model.problem import LossName, Problem
from landscape.proof import scales
from landscape.proof.eigenvalues import Eigenvalue, enclosed_eigenvalues, enclosed_smallest
from landscape.proof.scales import Group
from landscape.proof.statement import NoPoint, Proof
from landscape.proof.structures import prove_structure
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Partition, Root


def listed(problem: Problem, groups: list[Group]) -> list[Eigenvalue]:
    found = enclosed_eigenvalues(problem, groups)
    assert isinstance(found, tuple)
    assert sum(value.multiplicity for value in found) == problem.parameters
    return sorted(found, key=lambda value: value.lower)


@settings(max_examples=12, deadline=None)
@given(
    sizes=st.sampled_from([(2,), (3,), (2, 1), (4,), (2, 2), (3, 1), (2, 1, 1), (5,), (3, 2), (2, 2, 1), (4, 1)]),
    root=st.sampled_from(["large", "small"]),
    samples=st.integers(1, 2),
    depth=st.integers(1, 3),
    exponent=st.floats(1, 4),
    equal=st.booleans(),
)
def test_every_enclosure_holds_the_eigenvalue_of_the_dense_hessian(
    sizes: tuple[int, ...], root: Root, samples: int, depth: int, exponent: float, equal: bool
) -> None:
    class_sizes = tuple(samples + (0 if equal else place % 2) for place, size in enumerate(sizes) for _ in range(size))
    decay = 10**-exponent
    problem = Problem(
        class_sizes, sum(sizes) + 1, depth, decay if equal else tuple(decay * (1 + 0.3 * i) for i in range(depth + 1))
    )
    groups, start = [], 0
    for size in sizes:
        groups.append(Group(size, class_sizes[start], root))
        start += size
    if isinstance(prove_structure(problem, groups), NoPoint):
        return
    theta = write_parameters(problem, logit_form(problem, Partition(sizes, root)), gauge=1)
    dense = torch.linalg.eigvalsh(torch.func.hessian(Objective.of(problem).loss)(theta)).tolist()
    found = [value for value in listed(problem, groups) for _ in range(value.multiplicity)]
    for value, number in zip(found, dense, strict=True):
        assert value.lower - 1e-12 <= number <= value.upper + 1e-12
        assert value.upper - value.lower <= 1e-11 * abs(value.upper)


@pytest.mark.parametrize("exponent", range(3, 11))
def test_the_faint_eigenvalues_of_small_root_pairs(exponent: int) -> None:
    problem = Problem.balanced(4, 2, 6, 2, 10.0**-exponent)
    faint = enclosed_smallest(problem, [Group(2, 2, "small")] * 2)
    assert isinstance(faint, Eigenvalue)
    assert faint.multiplicity == 2
    assert faint.lower <= faint.upper
    assert faint.lower == pytest.approx(512 * 4 * 10.0 ** (-7 * exponent), rel=2e-3 if exponent == 3 else 1e-3)


def test_the_family_that_sixty_digits_did_not_see() -> None:
    family = enclosed_smallest(Problem.balanced(5, 3, 6, 4, 0.06443059911283797), [Group(5, 3, "large")])
    assert isinstance(family, Eigenvalue)
    assert family.multiplicity == 5
    assert family.lower == pytest.approx(-1.146e-16, rel=1e-3)


@pytest.mark.parametrize("loss", ["ce", "mse"])
def test_the_zero_point_and_modes_of_one_layer(loss: LossName) -> None:
    problem = Problem((1, 2, 2), 4, 1, (0.05, 0.1), loss)
    pull = torch.diag(torch.tensor([1.0, math.sqrt(2), math.sqrt(2)], dtype=torch.float64))
    if loss == "ce":
        pull = pull - pull.diagonal() / 3
    eye = torch.eye(3, dtype=torch.float64)
    dense = torch.linalg.eigvalsh(torch.cat([torch.cat([0.1 * eye, pull / 5], 1), torch.cat([pull.mT / 5, 0.05 * eye], 1)]))
    expected = sorted([*dense.tolist() * 4, *[0.05] * 8])
    found = listed(problem, [Group(1, n, "off") for n in (1, 2, 2)])
    assert [value.lower for value in found for _ in range(value.multiplicity)] == pytest.approx(expected, abs=1e-12)


def test_modes_of_squared_error() -> None:
    for depth in (1, 2):
        problem = Problem((2, 2, 1), 4, depth, 0.02, "mse")
        cases: list[list[scales.GroupRoot]] = [["large", "small", "off"], ["large", "off", "off"], ["large", "large", "large"]]
        for roots in cases:
            groups = [
                Group(1, n, "large" if depth == 1 and root == "small" else root) for n, root in zip((2, 2, 1), roots, strict=True)
            ]
            proof = prove_structure(problem, groups)
            if not isinstance(proof, NoPoint):
                assert isinstance(proof, Proof)
                found = listed(problem, groups)
                assert sum(value.multiplicity for value in found if value.upper < 0) == proof.index
                assert sum(value.multiplicity for value in found if value.lower == value.upper == 0) == proof.nullity
