"""The generalised Gauss-Newton matrix J' (d^2 loss / d outputs^2) J by reverse passes alone."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.operators.reverse import (
    TWICE,
    TWICE_REMEDY,
    Transpose,
    one_line,
    plain_autograd,
    require_dependence,
    right_operations,
    scalar,
)
from landscape.display import brief


@dataclass(frozen=True)
class GaussNewtonGraph:
    """The graphs of one Gauss-Newton matrix, kept.

    J v is the derivative of J'w, which is linear in w, along v: a second reverse pass, so no operation needs a forward-mode rule.

    Attributes:
        push: The derivative of J'w with respect to w; multiplies by J.
        bend: The gradient of the loss with respect to the outputs; multiplies by its second derivative.
        pull: The outputs as functions of the parameters; multiplies by J'.
    """

    push: Transpose = field(repr=False)
    bend: Transpose = field(repr=False)
    pull: Transpose = field(repr=False)

    @classmethod
    def of(
        cls, outputs: Callable[[Tensor], Tensor], loss: Callable[[Tensor], Tensor], at: Float[Tensor, " p"]
    ) -> "GaussNewtonGraph":
        """Builds the graphs for outputs that are one flat vector; call it and use the products inside `plain_autograd`.

        Raises:
            InputError: If torch cannot differentiate either function twice.
        """
        leaf = at.detach().clone().requires_grad_()
        with one_line(TWICE, TWICE_REMEDY), right_operations():
            value = outputs(leaf)
            require_dependence(value)
            flat = value.reshape(-1)
            free = torch.zeros_like(flat).requires_grad_()
            (pulled,) = torch.autograd.grad(flat, leaf, free, create_graph=True, materialize_grads=True)
            middle = flat.detach().clone().requires_grad_()
            total = scalar(loss(middle.view_as(value)))
            require_dependence(total)
            (slope,) = torch.autograd.grad(total, middle, create_graph=True, materialize_grads=True)
        return cls(Transpose(pulled, free), Transpose(slope, middle), Transpose(flat, leaf))

    def products(self, block: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
        """Returns Gauss-Newton products of a block.

        Raises:
            InputError: If torch has no second derivative of an operation.
        """
        with one_line(TWICE, TWICE_REMEDY):
            return (self.pull @ (self.bend @ (self.push @ block.detach())).detach()).detach()


@dataclass(frozen=True)
class GaussNewton:
    """The Gauss-Newton matrix of loss(outputs(theta)), for a loss on one flat vector.

    Attributes:
        outputs: Maps the flat vector to outputs, a tensor of any shape.
        loss: Maps outputs to the scalar loss.
        at: The point where both are differentiated.
        decay: Weight decay, added on the diagonal of the matrix.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> valley = ls.GaussNewton(lambda x: x[0] * x[1] - 1, lambda z: z**2, torch.ones(2, dtype=torch.float64))
        >>> ls.dense(valley).tolist()  # the Hessian there, since the residual vanishes
        [[2.0, 2.0], [2.0, 2.0]]
    """

    outputs: Callable[[Tensor], Tensor]
    loss: Callable[[Tensor], Tensor]
    at: Float[Tensor, " p"]
    decay: float = 0.0

    __repr__ = brief

    @property
    def size(self) -> int:
        """The number of parameters."""
        return self.at.numel()

    @property
    def like(self) -> Tensor:
        """The point."""
        return self.at

    @cached_property
    def _graph(self) -> GaussNewtonGraph:
        return GaussNewtonGraph.of(self.outputs, self.loss, self.at)

    def __matmul__(self, block: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
        with plain_autograd(self.at.device):
            return self._graph.products(block) + self.decay * block
