"""Origins of eigenvalues: counted by the formulas of the reduction, and against the rank of the generators."""

import pytest
import torch

from landscape.degeneracy.analysis import analyse
from landscape.degeneracy.origins import by_origin
from landscape.degeneracy.reduction import EigenvalueFamily, EigenvalueKind, Reduction, reduce
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Collapse, Pairs, Partition, Structure


def core_of(problem: Problem, structure: Structure) -> Core:
    return Core.from_form(problem, logit_form(problem, structure))


@pytest.mark.parametrize(
    ("problem", "structure", "rank"),
    [
        (Problem.balanced(4, 2, 6, 2, 1e-2), Collapse(), 3),
        (Problem.balanced(4, 2, 6, 2, 1e-2), Pairs(), 2),
        (Problem.balanced(10, 5, 70, 2, 2**-10), Partition((5, 5)), 8),
        (Problem.balanced(5, 1, 9, 3, 1e-3), Partition((3, 2)), 3),
    ],
)
def test_all_zeros_are_rotations_and_every_eigenvalue_has_one_origin(problem: Problem, structure: Structure, rank: int) -> None:
    report = analyse(core_of(problem, structure))
    assert report.zeros is not None
    zeros: dict[EigenvalueKind, int] = {}
    for family in report.families:
        for value in family.values.tolist():
            if abs(value) <= report.zeros.cutoff:
                zeros[family.kind] = zeros.get(family.kind, 0) + family.multiplicity
    # The paper's group: L rotations of d-dimensional spaces of which an r-dimensional part is seen.
    assert zeros == {EigenvalueKind.GAUGE: problem.depth * (problem.width * rank - rank * (rank + 1) // 2)}
    assert sum(family.multiplicity * len(family.values) for family in report.families) == problem.parameters
    partners = sum(f.multiplicity * len(f.values) for f in report.families if f.kind is EigenvalueKind.PARTNER)
    assert partners == problem.depth * rank * (problem.width - rank)


def test_zeros_beyond_the_orbit_stay_with_the_core() -> None:
    core = EigenvalueFamily(EigenvalueKind.CORE, torch.tensor([0.0, 1e-15, -1e-15, 0.5], dtype=torch.float64), 2, "standard")
    outside = EigenvalueFamily(EigenvalueKind.GAUGE, torch.zeros(1, dtype=torch.float64), 7)
    found = by_origin(Reduction((outside, core), (), 1e-16), 1e-14, orbit_dimension=11)
    listed = [(f.kind, f.values.tolist(), f.multiplicity) for f in found]
    assert listed == [
        (EigenvalueKind.GAUGE, [0.0], 7),
        (EigenvalueKind.GAUGE, [0.0], 4),
        (EigenvalueKind.CORE, [0.0], 2),
        (EigenvalueKind.CORE, [0.5], 2),
    ]


def test_origins_are_known_to_the_reduction_alone() -> None:
    problem = Problem.balanced(4, 2, 6, 2, 1e-2)
    core = core_of(problem, Collapse())
    assert len(analyse(core).families) > 4
    merged = sorted(value for f in analyse(core).families for value in f.values.tolist() for _ in range(f.multiplicity))
    exact = reduce(core).spectrum.expanded().tolist()
    assert max(abs(a - b) for a, b in zip(merged, exact, strict=True)) < 1e-13
