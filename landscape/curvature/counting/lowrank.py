"""The whole spectrum of an operator that is a multiple of the identity plus a low rank.

With weight decay lambda on every parameter the Hessian minus lambda I has low rank (for the product of factors it grows like
the width while the number of parameters grows like its square). A randomised range finder (Halko, Martinsson and Tropp, SIAM
Review 53, 2011) then spans that rank exactly, and the rest of the spectrum is lambda with its multiplicity.
"""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.checks import require_bound, require_positive
from landscape.curvature.counting.zeros import Nullity, count_zeros
from landscape.curvature.krylov import eigenpairs, estimate_norm, noise_floor, orthonormal, random_block, seeded, without
from landscape.curvature.operators.counted import Counted
from landscape.curvature.operators.operator import SymmetricOperator
from landscape.curvature.spectra.spectrum import Spectrum, rounding_radius
from landscape.display import brief
from landscape.errors import InputError

PROBES = 32
QUANTILE = 1 / 2  # a probe gives any one direction a standard normal weight x, and |x| <= t has probability <= t sqrt(2/pi)


@dataclass(frozen=True)
class LowRankSpectrum:
    """A complete spectrum with the evidence that the range is complete.

    Attributes:
        spectrum: All eigenvalues; their error includes twice the residual bound.
        vectors: Orthonormal eigenvectors of the first `vectors.shape[1]` entries of `inside`.
        inside: Eigenvalues on the range that was found, ascending.
        residual: Bound on the norm of the operator minus shift off the range, which holds with probability 1 - delta.
        delta: Chance that the residual bound fails.
        products: Products of the operator with one vector.
    """

    spectrum: Spectrum
    vectors: Float[Tensor, "p r"]
    inside: Float[Tensor, " r"]
    residual: float
    delta: float
    products: int

    __repr__ = brief


@dataclass(frozen=True)
class LowRank:
    """Counts from the whole spectrum by a range finder on H - shift I; index and multiplicities included.

    About 2 R products and one dense problem of size R, R the rank of H - shift I; R vectors of memory. If R is near N it is
    slower than `Dense` and says so by running out of `rank`.

    Attributes:
        shift: The multiple of the identity: the weight decay common to all parameters.
        block: Columns that are multiplied at a time.
        rank: Largest rank of H - shift I that may be found; None for the size of the operator.
        memory: Memory for the basis, in bytes; None for no bound.
        seed: Seed of the random sketch.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> matrix = ls.Matrix(torch.tensor([0.0, 0.0, 1.0, 2.0], dtype=torch.float64).diag())
        >>> count = ls.nullity(matrix, ls.LowRank(shift=0.0))
        >>> count.count, count.resolved
        (2, True)
    """

    shift: float
    block: int = 128
    rank: int | None = None
    memory: float | None = 8e9
    seed: int = 0

    def count(self, operator: SymmetricOperator, gradient_radius: float) -> Nullity:
        """Counts from the whole spectrum."""
        return self.zeros(self.spectrum(operator), operator, gradient_radius)

    def zeros(self, whole: LowRankSpectrum, operator: SymmetricOperator, gradient_radius: float) -> Nullity:
        """Counts the zeros of a spectrum that was already found."""
        result = replace(
            count_zeros(whole.spectrum, gradient_radius),
            delta=whole.delta,
            products=whole.products,
            seed=self.seed,
            method="lowrank",
        )
        allowed = 10 * rounding_radius(operator.size, whole.spectrum.norm, operator.like.dtype)
        if not whole.spectrum.error <= allowed:
            reason = f"the range leaves a residual of {whole.residual:.1e}"
            return replace(result, certified=False, reason=reason)
        return result.checked(operator.size)

    def spectrum(self, operator: SymmetricOperator) -> LowRankSpectrum:
        """Returns the whole spectrum.

        Raises:
            InputError: If the range exceeds the bounds on rank or memory, the block is empty, the shift not finite, or a product.
        """
        require_positive(block=self.block)
        if not math.isfinite(self.shift):
            raise InputError(f"expected a finite shift, got {self.shift}")
        counted = Counted.of(operator)
        before = counted.products
        generator = seeded(self.seed, "range")
        norm = estimate_norm(counted, self.seed) + abs(self.shift)
        basis = self._range(counted, norm, generator)
        images = [counted @ part for part in basis.split(self.block, dim=1)]
        form = torch.cat([basis.mT @ image for image in images], dim=1) if images else basis.mT @ basis
        values, rotation = eigenpairs(form)
        probes = random_block(operator, PROBES, generator)
        missed = without(counted @ probes - self.shift * probes, basis)
        residual = float(missed.norm(dim=0).max()) / QUANTILE
        rounding = rounding_radius(operator.size, norm, probes.dtype)
        inside = values.to("cpu", torch.float64)
        rest = torch.tensor([self.shift], dtype=torch.float64)
        parts = [(inside, 1), (rest, operator.size - len(inside))]
        counted.require_finite()
        return LowRankSpectrum(
            spectrum=Spectrum.merge(parts, rounding + 2 * residual),
            vectors=basis @ rotation,
            inside=inside,
            residual=residual,
            delta=(QUANTILE * (2 / torch.pi) ** 0.5) ** PROBES,
            products=counted.products - before,
        )

    def _range(self, operator: SymmetricOperator, norm: float, generator: torch.Generator) -> Float[Tensor, "p r"]:
        """Returns an orthonormal basis of the range of H - shift I, found block by block."""
        most = operator.size if self.rank is None else self.rank
        basis = operator.like.new_empty(operator.size, 0)
        floor = noise_floor(norm, basis.dtype) * operator.size**0.5
        parts: list[Tensor] = []
        found = 0
        while found < operator.size:
            width = min(self.block, operator.size - found)
            require_bound(
                2.0 * (found + width) * operator.size * basis.element_size(), self.memory, "the rank is large: use Inertia"
            )
            probes = random_block(operator, width, generator)
            block = operator @ probes - self.shift * probes
            fresh = orthonormal(without(block, *parts), floor)
            if fresh.shape[1]:
                fresh = torch.linalg.qr(without(fresh, *parts)).Q
                parts.append(fresh)
                found += fresh.shape[1]
            if found > most:
                raise InputError(f"expected H - shift I of rank at most {most}, found {found}: is the shift the decay?")
            if fresh.shape[1] < width:
                break
        return torch.cat(parts, dim=1) if parts else basis
