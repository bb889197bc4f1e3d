"""Projectors onto known spaces, and the measurement that a map is one, of the rank that it says.

The rank of an orthogonal projector is its trace, an integer. Random probes estimate a trace to sqrt(2 rank / probes) only,
which tells no rank from the next. So it is measured in one of three exact ways: summed over the unit vectors, up to `UNITS`
rows; from the projector's own factors, where it has a `trace`; else by a sketch. Let G have rank + OVERSAMPLED Gaussian columns.
If the true rank is m, then PG has min(m, columns) non-zero singular values, those of a Gaussian matrix. With 16 columns to spare
the smallest is below t with a chance of about t^17, and the others are rounding.
"""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.checks import require_bound, require_orthonormal
from landscape.curvature.krylov import eigenpairs, random_block, seeded
from landscape.curvature.operators.operator import CHUNK, SymmetricOperator
from landscape.display import brief
from landscape.errors import InputError

UNITS = 1024  # rows up to which the trace is summed over the unit vectors: cheaper there than the products of a count
OVERSAMPLED = 16
_PROBES = 32
_SKETCH_BYTES = 2e9
_NULL = 1e-8  # of the columns of a sketch: squared singular values below are rounding (1e-12), true ones are above 1e-3
_OFF = 0.25  # from an integer; the trace of a map that is a projector to rounding is off by 1e-10


@runtime_checkable
class Projector(Protocol):
    """An orthogonal projector onto a space of known dimension.

    Attributes:
        rank: The dimension of the space. It is not believed: `require_projector` measures it.
    """

    @property
    def rank(self) -> int:
        """The dimension of the space."""
        ...

    def apply(self, block: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
        """Returns the components of the columns in the space."""
        ...


@runtime_checkable
class Traced(Protocol):
    """A projector that can compute its trace from the factors that `apply` multiplies with, not from its rank."""

    @property
    def trace(self) -> float:
        """The sum of the eigenvalues, in floating point."""
        ...


@dataclass(frozen=True)
class BasisProjector:
    """The projector onto the span of orthonormal columns.

    Attributes:
        basis: Orthonormal columns that span the range; `require_projector` checks that they are.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> ls.BasisProjector(torch.eye(3, 1)).apply(torch.ones(3, 1)).flatten().tolist()
        [1.0, 0.0, 0.0]
    """

    basis: Float[Tensor, "p m"]

    __repr__ = brief

    @property
    def rank(self) -> int:
        """The number of columns."""
        return self.basis.shape[1]

    @property
    def trace(self) -> float:
        """The squared Frobenius norm of the basis."""
        return float(self.basis.square().sum())

    def apply(self, block: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
        """Returns the components of the columns in the span."""
        return self.basis @ (self.basis.mT @ block)


def require_projector(projector: Projector, operator: SymmetricOperator, seed: int) -> None:
    """Checks that a map is a symmetric idempotent of the rank that it says. No products of the operator.

    Symmetry and idempotence are measured on 32 random vectors, the rank as the module says.

    Args:
        projector: The map that should be a projector.
        operator: Gives size, dtype and device.
        seed: Seed of the random vectors.

    Raises:
        InputError: If it is no orthogonal projector, or one of another rank, or the columns of a `BasisProjector` are not
            orthonormal, or the rank cannot be measured in 2 GB.
    """
    if isinstance(projector, BasisProjector):
        require_orthonormal(projector.basis)
    probes = random_block(operator, _PROBES, seeded(seed, "projector"))
    inside = projector.apply(probes)
    form = probes.mT @ inside
    defect = torch.stack([(projector.apply(inside) - inside).norm(dim=0).max(), (form - form.mT).abs().max()])
    tolerance = 1e4 * torch.finfo(probes.dtype).eps * float(probes.square().sum(0).max())
    if not bool((defect <= tolerance).all()):
        raise InputError(f"expected an orthogonal projector, got one that misses P^2 = P = P' by {float(defect.max()):.1e}")
    mean, rank = float(inside.square().sum(0).mean()), projector.rank
    if not abs(mean - rank) <= 7 * math.sqrt(2 * max(rank, 1) / _PROBES):
        raise InputError(f"expected a projector of rank {rank}, got one of trace about {mean:.1f}")
    trace = measured_trace(projector, operator, seed)
    if not abs(trace - rank) <= _OFF:
        raise InputError(f"expected a projector of rank {rank}, got one of trace {trace:.2f}: it projects onto another space")


def measured_trace(projector: Projector, operator: SymmetricOperator, seed: int) -> float:
    """Returns the trace of a projector: over the unit vectors, from its own factors, or its rank from a sketch.

    Raises:
        InputError: If a sketch is needed and takes more than 2 GB.
    """
    columns = projector.rank + OVERSAMPLED
    if operator.size <= max(UNITS, columns):
        return _unit_trace(projector, operator.like.new_empty(operator.size, 0))
    if isinstance(projector, Traced):
        return projector.trace
    needed = 2.0 * columns * operator.size * operator.like.element_size()
    require_bound(needed, _SKETCH_BYTES, "give the projector a property `trace`, from its own factors")
    probes = random_block(operator, columns, seeded(seed, "rank"))
    inside = torch.cat([projector.apply(part) for part in probes.split(CHUNK, dim=1)], dim=1)
    squares = eigenpairs(inside.mT @ inside)[0]
    return float((squares > _NULL * columns).sum())


def _unit_trace(projector: Projector, like: Float[Tensor, "p _"]) -> float:
    """Returns the sum over the unit vectors, or NaN if that of the squared entries differs: both are the rank of a projector."""
    size = like.shape[0]
    trace = squares = 0.0
    for start in range(0, size, CHUNK):
        stop = min(start + CHUNK, size)
        units = like.new_zeros(size, stop - start)
        units[start:stop].fill_diagonal_(1)
        image = projector.apply(units)
        trace += float(image[start:stop].diagonal().sum())
        squares += float(image.square().sum())
    return trace if abs(trace - squares) <= _OFF else math.nan
