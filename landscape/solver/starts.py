"""Random starts as parameters: the draw of one seed."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.model.problem import Problem
from landscape.solver.methods import Random as Random


def random_start(problem: Problem, start: Random) -> Float[Tensor, " p"]:
    """Returns a random start, drawn on the CPU in float64 so that a seed means the same on every device."""
    generator = torch.Generator().manual_seed(start.seed)
    scales = (start.feature_scale, *(start.weight_scale / math.sqrt(problem.width),) * problem.depth)
    return torch.cat(
        [
            scale * torch.randn(rows * columns, dtype=torch.float64, generator=generator)
            for (rows, columns), scale in zip(problem.shapes, scales, strict=True)
        ]
    )
