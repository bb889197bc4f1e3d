"""A known null space taken out by its projector: the evidence that it is null, and the proof for minima.

The projector is a value the caller supplies (the model half makes one from the orbit of the symmetry group); nothing here
needs the basis of the null space as a matrix.
"""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from scipy.special import gammaincinv
from torch import Tensor

from landscape.curvature.checks import require_bound
from landscape.curvature.counting.zeros import UNDECIDED_FACTOR, Nullity
from landscape.curvature.krylov import estimate_norm, random_block, seeded
from landscape.curvature.operators.counted import Counted
from landscape.curvature.operators.operator import CHUNK, LikeItsOperator, SymmetricOperator, dense, require_finite
from landscape.curvature.projection import Projector, require_projector
from landscape.curvature.spectra.spectrum import rounding_radius
from landscape.display import brief

EVIDENCE_PROBES = 32
EVIDENCE_DELTA = 1e-12  # the chance that the measured radius is too small


@dataclass(frozen=True)
class Quotient(LikeItsOperator):
    """(I-Q) H (I-Q) + sigma Q, where Q projects onto the known space and the locked vectors.

    Without the shift, rounding would let the projected-out directions reappear as zeros once the Krylov space breaks down, and they
    would be counted. The shift moves them into the bulk of the spectrum.

    Attributes:
        operator: The operator H that is restricted to the complement.
        projector: Projector onto the known space; None for the zero space.
        locked: Orthonormal columns, orthogonal to the known space.
        shift: Eigenvalue sigma that the known space is moved to.
    """

    operator: SymmetricOperator
    projector: Projector | None
    locked: Float[Tensor, "p m"]
    shift: float

    __repr__ = brief

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
        radius: Largest norm of a product with a unit vector of the range, up to the chance `delta`.
        delta: Chance that a unit vector of the range has a longer product.
    """

    radius: float
    delta: float


def null_evidence(operator: SymmetricOperator, projector: Projector, seed: int) -> NullEvidence:
    """Measures the products of the operator with random vectors of a projector's range.

    Let s be the largest singular value of A = HP, at a direction v, and G the b Gaussian probes. Then |AG| >= s |v'G| in the
    spectral norm, and |v'G|^2 is chi-squared with b degrees of freedom, which falls below its delta-quantile with chance delta.
    32 products of the operator.

    Raises:
        InputError: As `require_projector` does, or if a product is not finite.
    """
    require_projector(projector, operator, seed)
    if not projector.rank:
        return NullEvidence(0.0, 0.0)
    probes = random_block(operator, EVIDENCE_PROBES, seeded(seed, "null evidence"))
    image = operator @ projector.apply(probes)
    require_finite(image)
    longest = float(torch.linalg.matrix_norm(image, 2))
    quantile = 2 * float(gammaincinv(EVIDENCE_PROBES / 2, EVIDENCE_DELTA))  # of chi-squared
    return NullEvidence(longest / math.sqrt(quantile), EVIDENCE_DELTA)


@dataclass(frozen=True)
class QuotientCholesky:
    """The proof for minima with a known null space: H + sigma P - tau I has a Cholesky factorisation.

    Then H >= tau on the complement of the range of P, so at most rank P eigenvalues lie below tau, and none of them but the
    null ones: index 0. That part is deterministic up to the rounding of the factorisation, which is added to tau; that the
    range is null is measured on random vectors. N products, one factorisation (N^3/3), three N^2 arrays. At a saddle, or if
    there are more zeros than the projector knows, it fails and says that it is undecided.

    Attributes:
        projector: Projector onto the known null space.
        memory: Memory that may be used, in bytes; None for no bound.
        seed: Seed of the probes that measure how null the range is.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> matrix = ls.Matrix(torch.tensor([0.0, 0.0, 1.0, 2.0], dtype=torch.float64).diag())
        >>> known = ls.BasisProjector(torch.eye(4, 2, dtype=torch.float64))
        >>> count = ls.nullity(matrix, ls.QuotientCholesky(known))
        >>> count.count, count.negative, count.resolved
        (2, 0, True)
    """

    projector: Projector
    memory: float | None = None
    seed: int = 0

    def count(self, operator: SymmetricOperator, gradient_radius: float) -> Nullity:
        """Counts by one factorisation.

        Raises:
            InputError: If the memory bound is too small, a product is not finite, or the projector is none or of another rank.
        """
        size = operator.size
        require_bound(3.0 * size**2 * operator.like.element_size(), self.memory, "use Deflated")
        counted = Counted.of(operator)
        before = counted.products
        norm = estimate_norm(counted, self.seed)
        evidence = null_evidence(counted, self.projector, self.seed)
        matrix = dense(counted)
        rounding = rounding_radius(size, norm, operator.like.dtype)
        cutoff = rounding + gradient_radius
        result = Nullity(
            count=self.projector.rank,
            negative=None,
            undecided=0,
            cutoff=cutoff,
            largest_zero=evidence.radius,
            smallest_nonzero=UNDECIDED_FACTOR * cutoff,
            rounding=rounding,
            gradient=gradient_radius,
            norm=norm,
            delta=evidence.delta,
            products=counted.products - before,
            seed=self.seed,
            method="quotient",
            sharp=False,
        )
        return self._factorised(matrix, result).checked(size)

    def _factorised(self, matrix: Float[Tensor, "p p"], result: Nullity) -> Nullity:
        """Returns the count with what the factorisation says; the matrix is overwritten."""
        _add_projector(matrix, self.projector, result.norm / 2)
        matrix.diagonal().sub_(result.smallest_nonzero + result.rounding)
        factor, failed = torch.linalg.cholesky_ex(matrix)
        if not (int(failed) == 0 and bool(torch.isfinite(factor.diagonal()).all())):
            return replace(result, certified=False, reason="not positive on the quotient: a saddle, or more zeros than known")
        result = replace(result, negative=0)
        if not result.largest_zero <= result.cutoff:
            return replace(result, certified=False, reason=f"the given space is null only to {result.largest_zero:.1e}")
        if matrix.shape[0] == result.count:
            return result
        return replace(result, smallest_nonzero=result.smallest_nonzero + _smallest(factor, self.seed))


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
