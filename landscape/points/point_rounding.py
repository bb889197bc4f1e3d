"""How far loss and gradient norm of the same parameters may differ between two machines: by rounding alone.

With factors of Frobenius norms s_l, their product P bounds the logits. Computed logits differ by u P, where u stands for the
roundings of one chain of products: a constant times eps times the number of factors times the square root of the longest inner
product. The square root is how rounding errors of both signs add up (Higham and Mary, SIAM J. Sci. Comput. 41, 2019); the worst
case would have the length itself. The residual R of N samples is the derivative of the fit by the logits. Its norm is at most
sqrt(2 / N) for cross-entropy and (P + sqrt N) / N for squared error, and it moves by no more than u P / N. Hence

    |d loss| <= u (loss + P |R| + P / sqrt N),    |d gradient| <= u sum_l ( (P / s_l) (|R| + P / N) + decay_l s_l ).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.model.objective import Objective
from landscape.model.problem import Problem

_ROUNDINGS = 32  # two evaluations, each with products forwards and backwards, and an order of magnitude to spare


@dataclass(frozen=True)
class Rounding:
    """Bounds on what differs between two machines that evaluate one point.

    Attributes:
        loss: Bound on the absolute difference of the losses.
        gradient: Bound on the absolute difference of the gradient norms. Infinite for ReLU: at a kink the gradient jumps.
    """

    loss: float
    gradient: float


def rounding_of(problem: Problem, theta: Float[Tensor, " p"], loss: float, eps: float) -> Rounding:
    """Returns by how much loss and gradient norm at a point may differ between machines.

    Args:
        problem: The model of the point.
        theta: Parameters of the point.
        loss: There, with weight decay.
        eps: Machine epsilon of the type that the parameters are stored in.
    """
    sizes = [float(torch.linalg.vector_norm(factor)) for factor in Objective.of(problem, theta).split(theta)]
    samples = problem.total_samples
    logits = math.prod(sizes)
    unit = _ROUNDINGS * eps * (problem.depth + 2) * math.sqrt(max(problem.width, samples, problem.classes))
    residual = math.sqrt(2 / samples) if problem.loss == "ce" else (logits + math.sqrt(samples)) / samples
    gradient = math.fsum(
        math.prod(sizes[:index] + sizes[index + 1 :]) * (residual + logits / samples) + decay * size
        for index, (size, decay) in enumerate(zip(sizes, problem.decays, strict=True))
    )
    return Rounding(
        loss=unit * (abs(loss) + logits * residual + logits / math.sqrt(samples)),
        gradient=unit * gradient if problem.is_linear else math.inf,
    )
