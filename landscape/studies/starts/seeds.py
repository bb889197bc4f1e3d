"""The start of a seed: full or in the directions that descent reaches, as drawn or with a part of it swapped."""

from dataclasses import replace
from functools import lru_cache

from jaxtyping import Float
from torch import Tensor

from landscape.archive.experiment import Altered
from landscape.model.problem import Problem
from landscape.points.point import Origin
from landscape.solver.methods import Random
from landscape.solver.starts import random_origin, random_start
from landscape.studies.starts.krylov import check_reducible, reduce_start
from landscape.studies.starts.law import draw_law
from landscape.studies.starts.swap import Swap, swap_of
from landscape.studies.starts.swapped import swapped_ends, swapped_start


def seeded_start(
    problem: Problem, scales: tuple[float, float], seed: int, swap: Swap | None = None, groups: int | None = None
) -> tuple[Problem, Float[Tensor, " p"]]:
    """Returns the problem in which a start is followed, and the start.

    Without groups that is the problem itself. With groups and two layers the start is drawn by the exact law of the width; with
    more layers it is the projection of the seed's full start.

    Args:
        problem: The model whose starts are meant.
        scales: c_W and c_H.
        seed: Seed of the start.
        swap: What is replaced in it.
        groups: T of the reduction; None for a full start.

    Raises:
        InputError: If the swap or the reduction does not exist for the problem.
    """
    if groups is not None:
        check_reducible(problem, groups)
        if problem.depth == 2:
            return _by_law(problem, scales, seed, swap, groups)
    theta = random_start(problem, Random(*scales, seed))
    if swap is not None:
        theta = swapped_start(swap, problem, scales, seed, theta)
    if groups is None:
        return problem, theta
    start = reduce_start(problem, theta, groups)
    return start.problem, start.theta


def _by_law(
    problem: Problem, scales: tuple[float, float], seed: int, swap: Swap | None, groups: int
) -> tuple[Problem, Float[Tensor, " p"]]:
    start = draw_law(problem, scales, groups, seed)
    if swap is not None:
        swap.check(problem)
        start = start.with_ends(swapped_ends(swap, problem, scales, seed, start.ends))
    reduced = start.reduced()
    return reduced.problem, reduced.theta


def altered_start(problem: Problem, start: Altered) -> tuple[Problem, Float[Tensor, " p"]]:
    """Returns the problem in which an altered start is followed, and its parameters.

    Raises:
        InputError: If the swap or the reduction does not exist for the problem.
    """
    drawn = start.random
    return seeded_start(problem, (drawn.weight_scale, drawn.feature_scale), drawn.seed, swap_of(start), start.groups)


def followed(problem: Problem, start: Altered) -> Problem:
    """Returns the problem in which the starts of all seeds are followed: the sizes of the groups do not depend on the seed.

    Raises:
        InputError: If the swap or the reduction does not exist for the problem.
    """
    swap = swap_of(start)
    if swap is not None:
        swap.check(problem)
    return problem if start.groups is None else _narrow(problem, swap, start.groups)


@lru_cache(maxsize=64)
def _narrow(problem: Problem, swap: Swap | None, groups: int) -> Problem:
    return seeded_start(problem, (1.0, 1.0), 0, swap, groups)[0]


def altered_origin(problem: Problem, start: Altered) -> Origin:
    """Returns the provenance of an altered start in words."""
    plain, swap = random_origin(start.random), swap_of(start)
    words = plain.start
    if swap is not None:
        words += f", {swap.describe()}"
    if start.groups is not None:
        how = "by the law" if problem.depth == 2 else "projected from the start"
        words += f", {start.groups} groups of directions {how} of width {problem.width}"
    return replace(plain, start=words)
