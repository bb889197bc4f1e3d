"""A critical point of the linear model as the singular values of its class-mean logits; parameters follow in any gauge.

The form is K numbers wide whatever the width and the number of samples.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.display import brief
from landscape.model.problem import Problem


@dataclass(frozen=True)
class LogitForm:
    """Class-mean logits times sqrt(class size), as left * diag(singular) * right^T with orthonormal columns.

    All factors share these singular vectors at a critical point; each factor's own singular values follow from
    `factor_singular_values` (Lemma 1 of the paper).

    Attributes:
        left: Left singular vectors, orthonormal columns.
        singular: Singular values of the scaled class-mean logits.
        right: Right singular vectors, orthonormal columns.
    """

    left: Float[Tensor, "k r"]
    singular: Float[Tensor, " r"]
    right: Float[Tensor, "k r"]

    __repr__ = brief

    @property
    def rank(self) -> int:
        """The number of singular values; the form stores no zeros."""
        return self.singular.numel()


def factor_singular_values(problem: Problem, singular: Float[Tensor, " r"]) -> list[Float[Tensor, " r"]]:
    """Returns the singular values of H_1, W_1, .., W_L at a critical point with these singular values of the logits.

    decay_l * s_l^2 is the same for all factors and the product of the s_l is the logits' value.
    """
    shared = singular ** (1 / (problem.depth + 1))
    return [shared * math.sqrt(problem.mean_decay / decay) for decay in problem.decays]


def write_parameters(problem: Problem, form: LogitForm, gauge: int | None = None) -> Float[Tensor, " p"]:
    """Returns the parameters of a point in aligned frames.

    Args:
        problem: The model of the point.
        form: Singular value decomposition of the class-mean logits.
        gauge: None puts every interface's frame on the first coordinates; a seed draws them uniformly (Haar).
    """
    generator = None if gauge is None else torch.Generator().manual_seed(gauge)
    frames = [_frame(problem.width, form.rank, generator) for _ in range(problem.depth)]
    sizes = torch.tensor(problem.class_sizes)
    columns = (form.right / sizes.double().sqrt()[:, None]).repeat_interleave(sizes, dim=0)
    ends = [columns, *frames, form.left]
    values = factor_singular_values(problem, form.singular)
    return torch.cat([((ends[i + 1] * values[i]) @ ends[i].mT).flatten() for i in range(problem.depth + 1)])


def _frame(width: int, rank: int, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        return torch.eye(width, rank, dtype=torch.float64)
    draw = torch.randn(width, rank, dtype=torch.float64, generator=generator)
    basis, triangle = torch.linalg.qr(draw)
    return basis * triangle.diagonal().sign()  # without the signs QR is not uniform
