"""Spectra of partition points against dense Hessians and the closed form."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from landscape.degeneracy.partition_spectrum import ScaledGroup, Screen, partition_reduction
from landscape.model.logit_form import write_parameters
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.structures.analytic import logit_form
from landscape.structures.blocks import size_of
from landscape.structures.enumeration import partitions
from landscape.structures.kinds import Partition, Root
from landscape.structures.scale_equation import simplex_equation
from tests.structures.closed_forms import dnc_spectrum

GROUPS = [(2,), (3,), (2, 1), (4,), (2, 2), (3, 1), (2, 1, 1), (5,), (3, 2), (2, 2, 1), (4, 1)]


def groups_of(problem: Problem, sizes: tuple[int, ...], root: Root) -> list[ScaledGroup] | None:
    found, start = [], 0
    for size in sizes:
        n = problem.class_sizes[start]
        scale = simplex_equation(problem, size, n).root(root) if size > 1 else 0.0
        if scale is None:
            return None
        found.append(ScaledGroup(size, n, scale))
        start += size
    return found


@settings(max_examples=15, deadline=None)
@given(
    sizes=st.sampled_from(GROUPS),
    extra=st.integers(0, 2),
    depth=st.integers(1, 3),
    decay=st.floats(1e-4, 0.2),
    root=st.sampled_from(["large", "small"]),
    samples=st.integers(1, 2),
    one_decay=st.booleans(),
    equal=st.booleans(),
)
def test_every_eigenvalue_is_that_of_the_dense_hessian(
    sizes: tuple[int, ...], extra: int, depth: int, decay: float, root: Root, samples: int, one_decay: bool, equal: bool
) -> None:
    class_sizes = tuple(samples + (0 if equal else place % 2) for place, size in enumerate(sizes) for _ in range(size))
    decays = decay if one_decay else tuple(decay * (1 + 0.3 * i) for i in range(depth + 1))
    problem = Problem(class_sizes, sum(sizes) + extra, depth, decays)
    groups = groups_of(problem, sizes, root)
    if groups is None:
        return
    spectrum = partition_reduction(problem, groups).spectrum
    theta = write_parameters(problem, logit_form(problem, Partition(sizes, root)), gauge=1)
    dense = torch.linalg.eigvalsh(torch.func.hessian(Objective.of(problem).loss)(theta))
    assert spectrum.size == problem.parameters
    assert float((spectrum.expanded() - dense).abs().max()) < 1e-12


def test_a_thousand_classes_equal_the_closed_form() -> None:
    problem = Problem.balanced(1000, 100, 5000, 8, 1e-9)
    alpha = simplex_equation(problem, 1000, 100).root("large")
    assert alpha is not None
    spectrum = partition_reduction(problem, [ScaledGroup(1000, 100, alpha)]).spectrum
    assert spectrum.size == problem.parameters
    closed = sorted((value, times) for values, times in dnc_spectrum(problem, alpha) for value in values.tolist() if times)
    ours = spectrum.pairs()

    def merged(pairs: list[tuple[float, int]]) -> list[tuple[float, int]]:
        atoms: list[tuple[float, int]] = []
        for value, times in pairs:
            if atoms and value - atoms[-1][0] < 1e-21:  # the smallest scale here is lambda = 1e-9
                atoms[-1] = (atoms[-1][0], atoms[-1][1] + times)
            else:
                atoms.append((value, times))
        return atoms

    left, right = merged(ours), merged(closed)
    assert [times for _, times in left] == [times for _, times in right]
    assert [value for value, _ in left] == pytest.approx([value for value, _ in right], rel=1e-11, abs=1e-21)


def test_the_screen_rejects_no_minimum_and_most_saddles() -> None:
    problem = Problem.balanced(10, 1, 12, 2, 2**-10 * 5 ** (1 / 3))
    screen, passed, minima = Screen(problem), set(), set()
    for blocks in partitions(problem):
        sizes = tuple(size_of(block) for block, _, _ in blocks)
        groups = groups_of(problem, sizes, "large")
        assert groups is not None
        if screen.passes(groups, 1e-12):
            passed.add(sizes)
        if float(partition_reduction(problem, groups).spectrum.values[0]) > -1e-12:
            minima.add(sizes)
    assert minima == {(10,), (8, 2), (6, 2, 2), (2, 2, 2, 2, 2)}
    assert minima <= passed
    assert len(passed) < 8


def test_torch_is_the_output() -> None:
    problem = Problem.balanced(4, 1, 6, 2, 1e-3)
    groups = groups_of(problem, (4,), "large")
    assert groups is not None
    assert all(block.values.dtype == torch.float64 for block in partition_reduction(problem, groups).blocks)
