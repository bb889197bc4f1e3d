"""Krylov spaces of symmetric operators, orthogonalised twice against everything, that survive identical eigenvalues.

A Krylov space sees every distinct eigenvalue once per start vector. An operator with few distinct eigenvalues therefore ends
it after as few steps; what is left of the next vector is then rounding noise, and dividing by its norm would invent a
direction. Every function here compares that norm with the operator's and says how far the space went.
"""

import hashlib
import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from landscape.curvature.operators.counted import Counted
from landscape.curvature.operators.operator import SymmetricOperator, require_finite
from landscape.decomposition import singular_vectors
from landscape.display import brief
from landscape.errors import InputError

BREAKDOWN = 1e-13  # of the norm of the operator in float64: what is left of a vector below this is rounding noise


def noise_floor(norm: float, dtype: torch.dtype) -> float:
    """Returns the size below which a remainder of an operator of this norm is noise: BREAKDOWN in float64, scaled by eps."""
    return BREAKDOWN / torch.finfo(torch.float64).eps * torch.finfo(dtype).eps * norm


def seeded(seed: int, purpose: str) -> torch.Generator:
    """Returns a generator whose stream belongs to this seed and purpose.

    With `manual_seed(seed)` alone the probes would repeat the numbers that a caller drew an operator or a point from with the
    same seed, and would not be independent of it.
    """
    digest = hashlib.sha256(f"landscape.curvature {purpose} {seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def random_block(operator: SymmetricOperator, columns: int, generator: torch.Generator) -> Float[Tensor, "p k"]:
    """Returns standard normal columns, the same numbers on every device.

    Drawn on the device of the generator (the CPU, as a rule) and moved.
    """
    like = operator.like
    drawn = torch.randn(operator.size, columns, generator=generator, dtype=torch.float64, device=generator.device)
    return drawn.to(device=like.device, dtype=like.dtype)


def without(block: Float[Tensor, "p k"], *bases: Float[Tensor, "p _"] | None) -> Float[Tensor, "p k"]:
    """Returns the block minus its components along orthonormal bases, removed twice ("twice is enough", Kahan and Parlett)."""
    for _ in range(2):
        for basis in bases:
            if basis is not None and basis.shape[1]:
                block = block - basis @ (basis.mT @ block)
    return block


def orthonormal(block: Float[Tensor, "p k"], floor: float = 0.0) -> Float[Tensor, "p r"]:
    """Returns an orthonormal basis of the directions of a block whose singular value exceeds `floor`.

    One decision on the host (the rank). A column of zeros is allowed; r may be 0.

    Raises:
        InputError: If an entry is not finite: a direction that is NaN exceeds no floor, and would be dropped in silence.
    """
    rotation, triangle = torch.linalg.qr(block)
    require_finite(triangle)
    left, sizes, _ = singular_vectors(triangle, full=True)
    rank = int((sizes > floor).sum())
    return rotation @ left[:, :rank]


def eigenpairs(form: Float[Tensor, "k k"]) -> tuple[Float[Tensor, " k"], Float[Tensor, "k k"]]:
    """Returns ascending eigenvalues and eigenvectors of the symmetric part of a projected operator.

    Raises:
        InputError: If an entry is not finite.
    """
    require_finite(form)
    values, vectors = torch.linalg.eigh((form + form.mT) / 2)
    return values, vectors


@dataclass(frozen=True)
class Lanczos:
    """Size and seed of a block Krylov space.

    Attributes:
        steps: Number of block products.
        block: Columns of the start block; an eigenvalue is seen at most this often.
        seed: Seed of the start block and of the fresh directions after an early end.
    """

    steps: int
    block: int = 1
    seed: int = 0


@dataclass(frozen=True)
class Factorization:
    """A V = V T + R E', with V'V = I, T symmetric and E the last `residual.shape[1]` columns of the identity.

    Attributes:
        basis: Orthonormal basis V of the Krylov space.
        projected: The projected operator T = V'AV.
        residual: The remainder R, orthogonal to V.
        products: Products of the operator with one vector.
        restarts: How often the space ended early and went on from fresh random directions.
    """

    basis: Float[Tensor, "p j"]
    projected: Float[Tensor, "j j"]
    residual: Float[Tensor, "p b"]
    products: int
    restarts: int

    __repr__ = brief


def lanczos(operator: SymmetricOperator, settings: Lanczos) -> Factorization:
    """Builds a block Krylov space from a random start, going on from fresh directions where it ends early.

    Memory: `steps * block` vectors. Block directions that become dependent are dropped (their size is below rounding).

    Raises:
        InputError: If the block is wider than the space, or a product is not finite.
    """
    if not 1 <= settings.block <= operator.size:
        raise InputError(f"expected a block of 1 to {operator.size} columns (the size of the space), got {settings.block}")
    generator = seeded(settings.seed, "lanczos")
    start = orthonormal(random_block(operator, settings.block, generator))
    basis = start[:, :0]
    projected = start.new_zeros(0, 0)
    counted, restarts, norm = Counted.of(operator), 0, 0.0
    before = counted.products
    residual = start
    for step in range(settings.steps):
        if step:
            residual_basis = orthonormal(residual, noise_floor(norm, residual.dtype))
            if residual_basis.shape[1] == 0:
                restarts += 1
                width = min(settings.block, operator.size - basis.shape[1])
                fresh = without(random_block(operator, width, generator), basis)
                residual_basis = orthonormal(fresh, 1e-8 * math.sqrt(operator.size))
            residual_basis = without(residual_basis, basis)
            start = orthonormal(residual_basis, 0.5)
            if start.shape[1] == 0:  # the whole space is spanned
                break
        basis, projected, residual = extend(counted, basis, projected, start)
        require_finite(projected)
        norm = max(norm, float(torch.linalg.matrix_norm(projected, 2)))
    return Factorization(basis, projected, residual, counted.products - before, restarts)


def extend(
    operator: SymmetricOperator, basis: Float[Tensor, "p j"], projected: Float[Tensor, "j j"], block: Float[Tensor, "p b"]
) -> tuple[Float[Tensor, "p i"], Float[Tensor, "i i"], Float[Tensor, "p b"]]:
    """Appends an orthonormal block to a basis: returns the new basis, its projection of the operator and the residual block.

    No decision is taken on the host.
    """
    width = basis.shape[1]
    image = operator @ block
    basis = torch.cat([basis, block], dim=1)
    coefficients = basis.mT @ image
    residual = image - basis @ coefficients
    correction = basis.mT @ residual
    residual = residual - basis @ correction
    coefficients = coefficients + correction
    side, corner = coefficients.split([width, block.shape[1]])
    upper = torch.cat([projected, side], dim=1)
    lower = torch.cat([side.mT, (corner + corner.mT) / 2], dim=1)
    return basis, torch.cat([upper, lower]), residual


@dataclass(frozen=True)
class LanczosRuns:
    """Independent single-vector Lanczos runs, side by side, which `continue_runs` can continue.

    A run ends where what is left of its next vector is rounding noise; from there on its vectors are 0.

    Attributes:
        alpha: Diagonals of the tridiagonal matrices.
        beta: Norms of the remainders; the last couples the space to the rest.
        alive: Whether the remainder was above the noise.
        basis: Lanczos vectors of every run, in order.
        following: The next Lanczos vector of every run.
        scale: The largest entry of a tridiagonal matrix so far, which noise is relative to.
    """

    alpha: Float[Tensor, "k b"]
    beta: Float[Tensor, "k b"]
    alive: Bool[Tensor, "k b"]
    basis: Float[Tensor, "b k p"]
    following: Float[Tensor, "p b"]
    scale: Float[Tensor, ""]

    __repr__ = brief

    @classmethod
    def begin(cls, start: Float[Tensor, "p b"]) -> "LanczosRuns":
        """Returns the runs of no steps from the columns of a block, normalised."""
        size, runs = start.shape
        none = start.new_zeros(0, runs)
        unit = start / start.norm(dim=0)
        return cls(none, none, none.bool(), start.new_zeros(runs, 0, size), unit, start.new_zeros(()))

    @property
    def steps(self) -> int:
        """How many steps every run has made."""
        return self.alpha.shape[0]


def continue_runs(operator: SymmetricOperator, runs: LanczosRuns, steps: int) -> LanczosRuns:
    """Continues every run by `steps` Lanczos steps, reorthogonalised twice; never waits for the device."""
    done = runs.steps
    size, count = runs.following.shape
    basis = torch.cat([runs.basis, runs.basis.new_zeros(count, steps, size)], dim=1)
    alphas, betas, alives = list(runs.alpha), list(runs.beta), list(runs.alive)
    current, scale = runs.following, runs.scale
    relative = noise_floor(1.0, current.dtype)
    for step in range(done, done + steps):
        basis.select(1, step).copy_(current.mT)
        image = operator @ current
        alphas.append((current * image).sum(0))
        rest = torch.stack([_off(known.narrow(0, 0, step + 1), row) for known, row in zip(basis, image.mT, strict=True)])
        beta = rest.norm(dim=1)
        scale = torch.maximum(scale, torch.maximum(alphas[-1].abs().amax(), beta.amax()))
        alive = beta > relative * scale
        factor = torch.where(alive, 1 / torch.where(alive, beta, torch.ones_like(beta)), torch.zeros_like(beta))
        betas.append(beta)
        alives.append(alive)
        current = (rest * factor.unsqueeze(1)).mT
    return LanczosRuns(torch.stack(alphas), torch.stack(betas), torch.stack(alives), basis, current, scale)


def _off(known: Float[Tensor, "k p"], vector: Float[Tensor, " p"]) -> Float[Tensor, " p"]:
    """Returns the vector off the rows; two matrix-vector products a pass, which beat the batched ones on CPUs fourfold."""
    for _ in range(2):
        vector = vector - known.mT @ (known @ vector)
    return vector


@dataclass(frozen=True)
class RitzRun:
    """One run of a sweep, solved: on the CPU in float64.

    Attributes:
        values: Ritz values, ascending.
        weights: Squared first coordinates: the Gauss quadrature weights of the start vector's spectral measure.
        residuals: How far each Ritz pair is from an eigenpair.
        coordinates: Ritz vectors in coordinates of the run's basis.
        betas: Norms of the remainders at every step.
        ended: Whether the Krylov space is invariant up to rounding.
    """

    values: Float[Tensor, " j"]
    weights: Float[Tensor, " j"]
    residuals: Float[Tensor, " j"]
    coordinates: Float[Tensor, "j j"]
    betas: Float[Tensor, " j"]
    ended: bool

    __repr__ = brief


def solve_runs(result: LanczosRuns) -> list[RitzRun]:
    """Returns the Ritz values of every run of a sweep, each cut where it ended.

    Raises:
        InputError: If a product of the operator was not finite.
    """
    alphas, betas = result.alpha.to("cpu", torch.float64), result.beta.to("cpu", torch.float64)
    require_finite(torch.stack([alphas, betas]))
    runs = []
    for alpha, beta, alive in zip(alphas.mT, betas.mT, result.alive.cpu().mT, strict=True):
        ends = (~alive).nonzero()
        length = int(ends[0]) + 1 if len(ends) else len(alpha)
        tridiagonal = torch.diag(alpha[:length]) + torch.diag(beta[: length - 1], 1) + torch.diag(beta[: length - 1], -1)
        values, coordinates = torch.linalg.eigh(tridiagonal)
        residuals = beta[length - 1] * coordinates[-1].abs()
        runs.append(RitzRun(values, coordinates[0].square(), residuals, coordinates, beta[:length], len(ends) > 0))
    return runs


def estimate_norm(operator: SymmetricOperator, seed: int = 0, steps: int = 12, probes: int = 2) -> float:
    """Returns an estimate of the spectral norm, usually within a few percent.

    The largest |Ritz value| plus its residual, over independent runs of Lanczos. It is a scale for rounding errors, not a
    bound.

    Raises:
        InputError: If a product is not finite.
    """
    if operator.size == 0:
        return 0.0
    generator = seeded(seed, "norm")
    start = random_block(operator, min(probes, operator.size), generator)
    runs = solve_runs(continue_runs(operator, LanczosRuns.begin(start), min(steps, operator.size)))
    return max(float((run.values.abs() + run.residuals).max()) for run in runs)
