"""Partitions are counted before they are listed."""

import pytest

from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.structures.blocks import size_of
from landscape.structures.enumeration import count_partitions, partitions, splits


@pytest.mark.parametrize(("size", "number"), [(1, 0), (2, 1), (10, 12), (50, 30701)])
def test_the_number_of_partitions(size: int, number: int) -> None:
    assert count_partitions(size) == number
    if size <= 10:
        assert len(list(splits(size, size))) == number


def test_two_roots_are_two_colours() -> None:
    problem = Problem.balanced(6, 1, 8, 2, 1e-3)
    listed = [tuple(sorted((size_of(block), root) for block, _, root in blocks)) for blocks in partitions(problem, "both")]
    assert len(listed) == len(set(listed)) == count_partitions(6, 2)


def test_too_many_classes_are_counted_and_refused() -> None:
    with pytest.raises(InputError, match="100 classes have 21339417: name the ones"):
        next(partitions(Problem.balanced(100, 1, 120, 2, 1e-4)))
