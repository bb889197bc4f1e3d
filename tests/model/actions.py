"""What leaves the loss of a model unchanged besides the gauge, as maps of points: the data symmetry and relabelling."""

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.model.dimensions import equal_classes
from landscape.model.gauge import _class_basis
from landscape.model.objective import Objective
from landscape.model.problem import Problem


def rotate_classes(problem: Problem, theta: Float[Tensor, " p"], generator: torch.Generator) -> Float[Tensor, " p"]:
    """Returns a point of the same loss, moved by a random rotation of each set of equal classes (the data symmetry).

    Its logits are other ones, U Z V^T. Nothing moves where the problem has no `equal_classes`.
    """
    factors = Objective.of(problem, theta).split(theta)
    means = _class_basis(problem, theta)
    for members in equal_classes(problem):
        chosen = list(members)
        draw = torch.randn(len(chosen), len(chosen), dtype=theta.dtype, generator=generator)
        turn = torch.linalg.qr(draw)[0].to(theta.device)
        basis, change = means[:, chosen], turn.mT - torch.eye(len(chosen), dtype=theta.dtype, device=theta.device)
        factors[0] = factors[0] + factors[0] @ basis @ change @ basis.mT
        factors[-1] = factors[-1].index_copy(0, torch.tensor(chosen, device=theta.device), turn @ factors[-1][chosen])
    return torch.cat([factor.flatten() for factor in factors])


def relabel(problem: Problem, theta: Float[Tensor, " p"], order: list[int]) -> tuple[Problem, Float[Tensor, " p"]]:
    """Returns the problem and the point with class order[i] moved to place i."""
    factors = Objective.of(problem, theta).split(theta)
    blocks = factors[0].split(list(problem.class_sizes), dim=1)
    factors[0] = torch.cat([blocks[c] for c in order], dim=1)
    factors[-1] = factors[-1][order]
    moved = Problem(
        tuple(problem.class_sizes[c] for c in order),
        problem.width,
        problem.depth,
        problem.decay,
        problem.loss,
        problem.activation,
    )
    return moved, torch.cat([factor.flatten() for factor in factors])
