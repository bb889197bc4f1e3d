"""The start of a seed: full or in the directions that descent reaches, as drawn or with a part of it swapped."""

from functools import lru_cache

from jaxtyping import Float
from torch import Tensor

from landscape.model.problem import Problem
from landscape.solver.starts import Random, random_start
from landscape.studies.starts.krylov import check_reducible, reduce_start
from landscape.studies.starts.law import draw_law
from landscape.studies.starts.swap import Swap


def seeded_start(
    problem: Problem, scales: tuple[float, float], seed: int, swap: Swap | None = None, groups: int | None = None
) -> tuple[Problem, Float[Tensor, " p"]]:
    """Returns the problem in which a start is followed, and the start.

    Without groups that is the problem itself. With groups and two layers the start is drawn by the exact law of the width; with
    more layers it is the projection of the seed's full start.

    Args:
        problem: The model whose starts are meant.
        scales: c_W and c_H.
        seed: Of the start.
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
        theta = swap.start(problem, scales, seed, theta)
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
        start = start.with_ends(swap.ends(problem, scales, seed, start.ends))
    reduced = start.reduced()
    return reduced.problem, reduced.theta


@lru_cache(maxsize=64)
def followed(problem: Problem, swap: Swap | None, groups: int | None) -> Problem:
    """Returns the problem in which the starts of all seeds are followed: the sizes of the groups do not depend on the seed.

    Raises:
        InputError: If the swap or the reduction does not exist for the problem.
    """
    if swap is not None:
        swap.check(problem)
    return problem if groups is None else seeded_start(problem, (1.0, 1.0), 0, swap, groups)[0]


def describe(scales: tuple[float, float], swap: Swap | None, groups: int | None, problem: Problem) -> str:
    """Returns the law of the starts in words, for the origin of a point."""
    words = f"random, c_W={scales[0]:g}, c_H={scales[1]:g}"
    if swap is not None:
        words += f", {swap.describe()}"
    if groups is not None:
        how = "by the law" if problem.depth == 2 else "projected from the start"
        words += f", {groups} groups of directions {how} of width {problem.width}"
    return words
