"""Where a solve begins: random starts as parameters, and known structures written out as points."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.memory import require_memory
from landscape.model.logit_form import write_parameters
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.points.point import CriticalPoint, Origin
from landscape.solver.methods import Random as Random
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Structure
from landscape.structures.names import name

_DRAWN = 2  # copies of a random start at the peak: its parts, and the whole
_PLACED = 4  # of a structure that is written out: the parts, the whole, its gradient, and what that is made from


def random_origin(start: Random) -> Origin:
    """Returns the provenance of a random start, in the words that every file has."""
    return Origin(f"random, c_W={start.weight_scale:g}, c_H={start.feature_scale:g}", seed=start.seed)


def place(problem: Problem, structure: Structure, gauge: int | None = None) -> CriticalPoint:
    """Returns the critical point of a known structure, from its closed form; nothing is solved but scalar equations.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> point = ls.place(problem, ls.Pairs(), gauge=1)
        >>> point.gradient_norm < 1e-14
        True

    Args:
        problem: A model with linear layers.
        structure: `Collapse`, `Pairs`, `Partition` or `Apex`.
        gauge: Seed of random rotations of the hidden spaces; None aligns every frame with the first coordinates.

    Raises:
        InputError: If the problem has no such point; the message names the largest decay that has one.
    """
    _require_room(problem, _PLACED, "the parameters of a structure")
    theta = write_parameters(problem, logit_form(problem, structure), gauge)
    return CriticalPoint.at(problem, theta, Origin(f"analytic {name(structure)}", seed=gauge))


def place_reduced(problem: Problem, structure: Structure) -> Core:
    """Returns a known structure as a reduced point: no array of it has the size of the width or of the samples.

    `analyse` and `prove` take it in place of a point, so a model of any width can be counted.

    Example:
        >>> import landscape as ls
        >>> huge = ls.Problem.balanced(classes=10, samples=5, width=20_000, depth=6, decay=1e-3)
        >>> huge.parameters
        2001200000
        >>> ls.analyse(ls.place_reduced(huge, ls.Collapse())).nullity
        1079730

    Raises:
        InputError: If the problem has no such point.
    """
    return Core.from_form(problem, logit_form(problem, structure))


def random_start(problem: Problem, start: Random) -> Float[Tensor, " p"]:
    """Returns a random start, drawn on the CPU in float64 so that a seed means the same on every device.

    Raises:
        InputError: If it would take more main memory than is allowed.
    """
    _require_room(problem, _DRAWN, "a random start")
    generator = torch.Generator().manual_seed(start.seed)
    scales = (start.feature_scale, *(start.weight_scale / math.sqrt(problem.width),) * problem.depth)
    return torch.cat(
        [
            scale * torch.randn(rows * columns, dtype=torch.float64, generator=generator)
            for (rows, columns), scale in zip(problem.shapes, scales, strict=True)
        ]
    )


def _require_room(problem: Problem, copies: int, what: str) -> None:
    require_memory(8.0 * copies * problem.parameters, f"{what}, {problem.parameters} numbers", "lower --width or --depth")
