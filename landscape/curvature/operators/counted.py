"""An operator that counts its products, so that what a method reports is what it spent."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.operators.operator import LikeItsOperator, SymmetricOperator, require_finite
from landscape.display import brief
from landscape.errors import InputError


@dataclass(eq=False)
class Counted(LikeItsOperator):
    """The same operator, with a count of the columns that it was multiplied with.

    The count is taken from the shape of a block, so that nothing waits for the device. Whether a product was not finite is kept
    on the device as well, and read by `require_finite` alone. A method wraps its operator with `of` and reports the difference
    of `products` between its end and its start: methods that call each other share one count.

    Attributes:
        operator: The operator whose products are counted.
        products: Number of columns multiplied so far.
    """

    operator: SymmetricOperator
    products: int = 0
    _finite: Tensor | None = field(default=None, repr=False)

    __repr__ = brief

    @classmethod
    def of(cls, operator: SymmetricOperator) -> "Counted":
        """Returns the operator itself if it counts already, else a new count that starts at 0."""
        return operator if isinstance(operator, Counted) else cls(operator)

    def __matmul__(self, block: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
        self.products += block.shape[1]
        result = self.operator @ block
        if result.shape != block.shape:
            raise InputError(f"expected products of shape {tuple(block.shape)}, got {tuple(result.shape)}")
        finite = torch.isfinite(result).all()
        self._finite = finite if self._finite is None else self._finite & finite
        return result

    def require_finite(self) -> None:
        """Waits for the device and refuses if any product so far had an entry that is NaN or infinite.

        Raises:
            InputError: If one had.
        """
        if self._finite is not None:
            require_finite(torch.where(self._finite, 0.0, torch.nan))
