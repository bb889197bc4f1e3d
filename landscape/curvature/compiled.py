"""An operator whose products run as a program of torch.compile, checked against the products that it replaces."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.krylov import random_block, seeded
from landscape.curvature.operators.operator import CHUNK, LikeItsOperator, SymmetricOperator
from landscape.display import brief
from landscape.errors import InputError

_AGREEMENT = 1e3  # times eps: a compiled sum adds in another order, and may differ by a few roundings of the operator's norm


@dataclass(frozen=True)
class Compiled(LikeItsOperator):
    """The same matrix, multiplied by compiled code; off unless you ask for it, since compiling takes seconds to minutes.

    The program is for blocks of exactly `columns` columns: a wider block is multiplied in such parts, and what is left over by the
    operator itself. Choose the width that the caller uses: the probes of `Deflated`, `CHUNK` for `dense`. A program that torch
    compiled before the first product of a linearised function was wrong by a factor of 40 in silence, so `compiled` makes that
    product first and compares.

    Attributes:
        operator: The operator that was compiled.
        columns: Number of columns that the program is compiled for.
        seconds: Time that compiling took, in seconds.
        difference: Norm of the difference of both products of a random block, over the norm of the product.
        program: The compiled product with one block.
    """

    operator: SymmetricOperator
    columns: int
    seconds: float
    difference: float
    program: Callable[[Tensor], Tensor]

    __repr__ = brief

    def __matmul__(self, block: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
        parts = block.split(self.columns, dim=1)
        return torch.cat(
            [(self.program if part.shape[1] == self.columns else self.operator.__matmul__)(part) for part in parts], dim=1
        )


def compiled(
    operator: SymmetricOperator, columns: int = CHUNK, compiler: Callable[..., Callable[..., Tensor]] = torch.compile
) -> Compiled:
    """Compiles an operator's product and compares it with the operator's own on a random block.

    Args:
        operator: Operator to compile. Its product must be pure torch, as that of `Product` is; products on a kept graph stay as
            they are.
        columns: The width of the block.
        compiler: Makes the program from the product.

    Raises:
        InputError: If torch cannot compile here (on CPUs it needs a C++ compiler), or if the program multiplies by another matrix.
    """
    if columns < 1:
        raise InputError(f"expected a block of at least one column, got {columns}")
    block = random_block(operator, columns, seeded(0, "compiled"))
    expected = operator @ block  # first, or what the operator keeps for itself is made inside the program
    begun = time.perf_counter()
    program = compiler(operator.__matmul__, dynamic=False)
    try:
        found = program(block)
    except Exception as failure:  # whatever the compiler, its back end and the C++ compiler raise
        first = str(failure).strip().splitlines() or [type(failure).__name__]
        raise InputError(f"expected a product that torch.compile can compile, got {first[0]}: go on without compiling") from failure
    seconds = time.perf_counter() - begun
    difference = float((found - expected).norm() / expected.norm().clamp(min=torch.finfo(expected.dtype).tiny))
    if not difference <= _AGREEMENT * torch.finfo(expected.dtype).eps:
        raise InputError(
            f"expected a compiled product equal to the operator's own, got a relative difference of {difference:.1e}: "
            "go on without compiling"
        )
    return Compiled(operator, columns, seconds, difference, program)
