"""Random starts: the distribution that descent begins from, as a value and as parameters."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.model.problem import Problem


@dataclass(frozen=True)
class Random:
    """W_l ~ N(0, weight_scale^2 / d) and H_1 ~ N(0, feature_scale^2), entry by entry, from one seed.

    The paper does not state its scales; both change which structure descent finds.
    """

    weight_scale: float = 1.0
    feature_scale: float = 1.0
    seed: int = 0


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
