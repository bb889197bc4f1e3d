"""The state that every method of the solver reports."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from landscape.display import brief


@dataclass(frozen=True)
class State:
    """State of a method between two steps.

    Attributes:
        theta: Current parameters, in one flat vector.
        loss: Loss at these parameters.
        gradient_norm: Gradient norm at these parameters.
        steps: Number of steps that this method took so far.
        stalled: Whether the method can do no more.
    """

    theta: Float[Tensor, " p"]
    loss: float
    gradient_norm: float
    steps: int
    stalled: bool = False

    __repr__ = brief
