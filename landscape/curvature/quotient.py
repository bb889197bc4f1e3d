"""A known null space taken out by its projector: the evidence that it is null, and the proof for minima.

The projector is a value the caller supplies (the model half makes one from the orbit of the symmetry group); nothing here
needs the basis of the null space as a matrix.
"""

import math
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from scipy.special import gammaincinv
from torch import Tensor

from landscape.curvature.counting import require_memory
from landscape.curvature.krylov import estimate_norm, random_block, seeded
from landscape.curvature.nullity import UNDECIDED_FACTOR, Nullity
from landscape.curvature.operator import CHUNK, SymmetricOperator, dense
from landscape.curvature.spectrum import rounding_radius
from landscape.display import brief
from landscape.errors import InputError

EVIDENCE_PROBES = 32
EVIDENCE_DELTA = 1e-12  # the chance that the measured radius is too small


@runtime_checkable
class Projector(Protocol):
    """An orthogonal projector onto a space of known dimension.

    Attributes:
        rank: The dimension. It is believed (a trace estimate only catches gross errors), so it must come from an exact formula
            or an explicit basis.
    """

    @property
    def rank(self) -> int:
        """The dimension of the space."""
        ...

    def apply(self, block: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
        """Returns the components of the columns in the space."""
        ...


@dataclass(frozen=True)
class BasisProjector:
    """The projector onto the span of orthonormal columns.

    Attributes:
        basis: Orthonormal; `null_evidence` checks that.
    """

    basis: Float[Tensor, "p m"]

    __repr__ = brief

    @property
    def rank(self) -> int:
        """The number of columns."""
        return self.basis.shape[1]

    def apply(self, block: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
        """Returns the components of the columns in the span."""
        return self.basis @ (self.basis.mT @ block)


@dataclass(frozen=True)
class Quotient:
    """(I-Q) H (I-Q) + sigma Q, where Q projects onto the known space and the locked vectors.

    On the compression alone the known space would come back as zeros through rounding once the Krylov space breaks down, and
    be counted; a shift inside the spectrum keeps it where it does no harm.

    Attributes:
        operator: H.
        projector: The known space; None for the zero space.
        locked: Orthonormal columns, orthogonal to the known space.
        shift: sigma.
    """

    operator: SymmetricOperator
    projector: Projector | None
    locked: Float[Tensor, "p m"]
    shift: float

    __repr__ = brief

    @property
    def size(self) -> int:
        """The number of rows."""
        return self.operator.size

    @property
    def like(self) -> Tensor:
        """What the operator is like."""
        return self.operator.like

    @property
    def dimension(self) -> int:
        """The dimension of the quotient."""
        return self.size - self.locked.shape[1] - (self.projector.rank if self.projector else 0)

    def clean(self, block: Float[Tensor, "p k"], passes: int = 2) -> Float[Tensor, "p k"]:
        """Returns the columns without their components in the known and locked space; twice, for vectors that are not clean."""
        for _ in range(passes):
            if self.projector is not None:
                block = block - self.projector.apply(block)
            if self.locked.shape[1]:
                block = block - self.locked @ (self.locked.mT @ block)
        return block

    def __matmul__(self, block: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
        inside = self.clean(block, passes=1)
        return self.clean(self.operator @ inside, passes=1) + self.shift * (block - inside)


@dataclass(frozen=True)
class NullEvidence:
    """How null the range of a projector is.

    Attributes:
        radius: With probability 1 - delta no unit vector of the range has a longer product.
        delta: That chance.
        products: Spent.
    """

    radius: float
    delta: float
    products: int


def null_evidence(operator: SymmetricOperator, projector: Projector, seed: int) -> NullEvidence:
    """Measures the products of the operator with random vectors of a projector's range.

    Let s be the largest singular value of A = HP, at a direction v, and G the b Gaussian probes. Then |AG| >= s |v'G| in the
    spectral norm, and |v'G|^2 is chi-squared with b degrees of freedom, which falls below its delta-quantile with chance delta.

    Raises:
        InputError: If the map is not a symmetric idempotent, or its rank is grossly wrong, or the columns of a `BasisProjector` are
            not orthonormal: a column of zeros would count as a null direction.
    """
    if isinstance(projector, BasisProjector) and projector.rank:
        gram = projector.basis.mT @ projector.basis
        gram.diagonal().sub_(1)
        off = float(gram.abs().amax())
        if not off <= gram.shape[0] * 1e3 * torch.finfo(gram.dtype).eps:
            raise InputError(f"expected an orthonormal basis, got columns off by {off:.1e}: use torch.linalg.qr")
    generator = seeded(seed, "null evidence")
    probes = random_block(operator, EVIDENCE_PROBES, generator)
    inside = projector.apply(probes)
    again = projector.apply(inside)
    form = probes.mT @ inside
    tolerance = 1e4 * torch.finfo(probes.dtype).eps * float(probes.square().sum(0).max())
    defect = max(float((again - inside).norm(dim=0).max()), float((form - form.mT).abs().max()))
    if not defect <= tolerance:
        raise InputError(f"expected an orthogonal projector, got one that misses P^2 = P = P' by {defect:.1e}")
    mean = float(inside.square().sum(0).mean())
    if abs(mean - projector.rank) > 7 * math.sqrt(2 * max(projector.rank, 1) / EVIDENCE_PROBES):
        raise InputError(f"expected a projector of rank {projector.rank}, got one of trace about {mean:.1f}")
    if not projector.rank:
        return NullEvidence(0.0, 0.0, EVIDENCE_PROBES)
    longest = float(torch.linalg.matrix_norm(operator @ inside, 2))
    quantile = 2 * float(gammaincinv(EVIDENCE_PROBES / 2, EVIDENCE_DELTA))  # of chi-squared
    return NullEvidence(longest / math.sqrt(quantile), EVIDENCE_DELTA, EVIDENCE_PROBES)


@dataclass(frozen=True)
class QuotientCholesky:
    """The proof for minima with a known null space: H + sigma P - tau I has a Cholesky factorisation.

    Then H >= tau on the complement of the range of P, so at most rank P eigenvalues lie below tau, and none of them but the
    null ones: index 0. That part is deterministic up to the rounding of the factorisation, which is added to tau; that the
    range is null is measured on random vectors. N products, one factorisation (N^3/3), three N^2 arrays. At a saddle, or if
    there are more zeros than the projector knows, it fails and says that it is undecided.

    Attributes:
        projector: Onto the known null space.
        memory: Bytes that may be used; None for no bound.
        seed: Of the probes.
    """

    projector: Projector
    memory: float | None = None
    seed: int = 0

    def count(self, operator: SymmetricOperator, gradient_radius: float) -> Nullity:
        """Counts by one factorisation."""
        size, rank = operator.size, self.projector.rank
        require_memory(3.0 * size**2 * operator.like.element_size(), self.memory, "use Deflated")
        norm = estimate_norm(operator, self.seed)
        rounding = rounding_radius(size, norm, operator.like.dtype)
        cutoff = rounding + gradient_radius
        evidence = null_evidence(operator, self.projector, self.seed)
        bound = UNDECIDED_FACTOR * cutoff
        matrix = dense(operator)
        _add_projector(matrix, self.projector, norm / 2)
        matrix.diagonal().sub_(bound + rounding)
        factor, failed = torch.linalg.cholesky_ex(matrix)
        positive = not bool(failed)
        result = Nullity(
            count=rank,
            negative=0 if positive else None,
            undecided=0,
            cutoff=cutoff,
            largest_zero=evidence.radius,
            smallest_nonzero=bound,
            rounding=rounding,
            gradient=gradient_radius,
            norm=norm,
            delta=evidence.delta,
            products=size + evidence.products + 26,
            seed=self.seed,
            method="quotient-cholesky",
            sharp=False,
        )
        if not positive:
            return replace(result, certified=False, reason="not positive on the quotient: a saddle, or more zeros than known")
        if evidence.radius > cutoff:
            return replace(result, certified=False, reason=f"the given space is null only to {evidence.radius:.1e}")
        return replace(result, smallest_nonzero=bound + _smallest(factor, self.seed)) if size > rank else result


def _add_projector(matrix: Float[Tensor, "p p"], projector: Projector, shift: float) -> None:
    """Adds `shift` times the projector to a matrix, CHUNK columns at a time."""
    for start in range(0, matrix.shape[0], CHUNK):
        stop = min(start + CHUNK, matrix.shape[0])
        units = matrix.new_zeros(matrix.shape[0], stop - start)
        units[start:stop].fill_diagonal_(1)
        matrix[:, start:stop] += shift * projector.apply(units)


def _smallest(factor: Float[Tensor, "p p"], seed: int, steps: int = 8, block: int = 8) -> float:
    """Returns a lower estimate of the smallest eigenvalue of L L', by block inverse iteration, less the last change."""
    generator = seeded(seed, "inverse iteration")
    drawn = torch.randn(factor.shape[0], min(block, factor.shape[0]), generator=generator, dtype=torch.float64)
    vectors = drawn.to(device=factor.device, dtype=factor.dtype)
    values: list[float] = []
    for _ in range(steps):
        vectors = torch.linalg.qr(vectors).Q
        image = torch.cholesky_solve(vectors, factor)
        values.append(1 / float(torch.linalg.eigvalsh(vectors.mT @ image)[-1]))
        vectors = image
    return max(values[-1] - abs(values[-1] - values[-2]), 0.0)
