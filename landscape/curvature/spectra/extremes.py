"""The top and bottom eigenpairs, found by block Lanczos with restarts and checked by their residuals.

A Krylov space from b columns holds at most b copies of an eigenvalue: ask for a block at least as wide as the largest
multiplicity that matters. The residual of each pair is returned; a small one proves that an eigenvalue is there, none proves
that no other lies beyond.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.checks import require_positive, require_symmetric
from landscape.curvature.krylov import (
    LanczosRuns,
    continue_runs,
    eigenpairs,
    extend,
    noise_floor,
    orthonormal,
    random_block,
    seeded,
    solve_runs,
    without,
)
from landscape.curvature.operators.counted import Counted
from landscape.curvature.operators.operator import SymmetricOperator, require_finite
from landscape.display import brief
from landscape.errors import InputError

_STRIDE = 10  # steps between two looks
_COPIES = 100  # Ritz values closer than so many residuals are one eigenvalue


@dataclass(frozen=True)
class Extremes:
    """Settings of the search for eigenpairs at both ends, by restarted block Lanczos.

    Attributes:
        count: Number of eigenpairs at either end.
        block: Columns of a block; None for count + 4.
        restarts: Most restarts of the Krylov space.
        tolerance: Residual at which a pair has converged, relative to the norm of the operator.
        seed: Seed of the start block.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> matrix = ls.Matrix(torch.tensor([0.0, 0.0, 1.0, 2.0], dtype=torch.float64).diag())
        >>> ends = ls.extremes(matrix, ls.Extremes(count=1))
        >>> round(float(ends.top.values[0]), 10), ends.top.converged
        (2.0, True)
    """

    count: int = 6
    block: int | None = None
    restarts: int = 60
    tolerance: float = 1e-12
    seed: int = 0


_DEFAULT = Extremes()


@dataclass(frozen=True)
class Eigenpairs:
    """Eigenpairs of one end of the spectrum, the outermost first.

    Attributes:
        values: Eigenvalues, as Rayleigh quotients of the vectors.
        vectors: Eigenvectors, as orthonormal columns.
        residuals: Residual norms of H v - value v.
        converged: Whether every residual is within the tolerance.
    """

    values: Float[Tensor, " k"]
    vectors: Float[Tensor, "p k"]
    residuals: Float[Tensor, " k"]
    converged: bool

    __repr__ = brief


@dataclass(frozen=True)
class BothEnds:
    """The top and the bottom of a spectrum.

    Attributes:
        top: Eigenpairs of the upper end, the largest first.
        bottom: Eigenpairs of the lower end, the smallest first.
        products: Products of the operator with one vector.
    """

    top: Eigenpairs
    bottom: Eigenpairs
    products: int


def extremes(operator: SymmetricOperator, settings: Extremes = _DEFAULT) -> BothEnds:
    """Returns the extreme eigenpairs at both ends. Memory: about 8 blocks of vectors.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> saddle = ls.place(problem, ls.Collapse(root="small"))
        >>> ends = ls.extremes(ls.hessian(saddle), ls.Extremes(count=3))
        >>> ends.bottom.converged, bool(ends.bottom.values[2] < -1e-3)
        (True, True)

    Raises:
        InputError: If more pairs are asked for than the operator has, a setting is below 1, or the operator is not symmetric or not
            finite.
    """
    size, count = operator.size, settings.count
    if not 1 <= count <= size:
        raise InputError(f"expected 1 to {size} eigenpairs at an end (the size of the operator), got {count}")
    require_positive(block=settings.block, restarts=settings.restarts)
    operator = counted = Counted.of(operator)
    before = counted.products
    require_symmetric(counted, settings.seed)
    generator = seeded(settings.seed, "extremes")
    width = min(settings.block or count + 4, size)
    limit = min(8 * width, size)
    block = orthonormal(random_block(operator, width, generator))
    basis, projected, residual = block[:, :0], block.new_zeros(0, 0), block
    norm = 0.0
    for restart in range(settings.restarts):
        while basis.shape[1] < limit:
            block = _next_block(operator, basis, residual, noise_floor(norm, basis.dtype), generator)[:, : limit - basis.shape[1]]
            basis, projected, residual = extend(operator, basis, projected, block)
            require_finite(projected)
            norm = max(norm, float(torch.linalg.matrix_norm(projected, 2)))
        values, coordinates = eigenpairs(projected)
        errors = (residual @ coordinates[len(values) - residual.shape[1] :]).norm(dim=0)
        outer = torch.cat([errors[:count], errors[-count:]])
        if basis.shape[1] >= size or restart + 1 == settings.restarts or bool((outer <= settings.tolerance * norm).all()):
            break
        half = min(2 * width, len(values) // 2)
        keep = torch.cat([torch.arange(half), torch.arange(len(values) - half, len(values))]).to(values.device)
        basis, projected = basis @ coordinates[:, keep], values[keep].diag()
    ends = [slice(len(values) - count, None), slice(0, count)]
    pairs = [_pairs(operator, basis @ coordinates[:, end], settings.tolerance * norm) for end in ends]
    counted.require_finite()
    return BothEnds(_reversed(pairs[0]), pairs[1], counted.products - before)


def seen_from(operator: SymmetricOperator, start: Float[Tensor, " p"], steps: int, tolerance: float) -> BothEnds:
    """Runs Lanczos from `start`; returns the largest and the smallest eigenpair among the eigenspaces not orthogonal to it.

    The eigenvector of a multiple eigenvalue is the normalised projection of `start` onto its eigenspace, so it does not depend on
    rounding, as that of `extremes` does. There are as many steps as distinct eigenvalues, where these are few. Memory: one vector
    for each step.

    Args:
        operator: The operator whose ends are sought.
        start: Start vector, which must not be zero.
        steps: Most Lanczos steps that are made.
        tolerance: Residual at which a pair has converged, relative to the norm of the operator.
    """
    operator = counted = Counted.of(operator)
    before = counted.products
    runs = continue_runs(operator, LanczosRuns.begin(start.unsqueeze(1)), min(_STRIDE, operator.size, steps))
    while True:
        (run,) = solve_runs(runs)
        limit = tolerance * float(run.values.abs().max())
        if run.ended or float(run.residuals[[0, -1]].max()) <= limit or runs.steps >= min(operator.size, steps):
            break
        runs = continue_runs(operator, runs, min(_STRIDE, operator.size - runs.steps, steps - runs.steps))
    basis = runs.basis.select(0, 0).narrow(0, 0, len(run.values)).mT
    # Rounding may have brought a multiple eigenvalue back already; the copies' first coordinates are their share of the start.
    near = [(run.values - run.values[end]).abs() <= _COPIES * limit for end in (-1, 0)]
    ends = [(run.coordinates[:, copies] @ run.coordinates[0, copies]).unsqueeze(1) for copies in near]
    top, bottom = (_pairs(operator, basis @ end.to(basis), limit) for end in ends)
    counted.require_finite()
    return BothEnds(top, bottom, counted.products - before)


def _next_block(operator: SymmetricOperator, basis: Tensor, residual: Tensor, floor: float, generator: torch.Generator) -> Tensor:
    """Returns an orthonormal block from the residual, or from fresh random columns where the Krylov space has ended."""
    block = orthonormal(without(orthonormal(residual, floor), basis), 0.5)
    if block.shape[1]:
        return block
    width = min(residual.shape[1], operator.size - basis.shape[1])
    return orthonormal(without(orthonormal(without(random_block(operator, width, generator), basis)), basis))


def _pairs(operator: SymmetricOperator, vectors: Tensor, tolerance: float) -> Eigenpairs:
    """Returns the Rayleigh-Ritz pairs of a subspace, with residuals measured by products."""
    vectors = torch.linalg.qr(vectors).Q
    image = operator @ vectors
    form = vectors.mT @ image
    values, rotation = eigenpairs(form)
    vectors = vectors @ rotation
    residuals = (image @ rotation - vectors * values).norm(dim=0)
    return Eigenpairs(values, vectors, residuals, bool((residuals <= 10 * tolerance).all()))


def _reversed(pairs: Eigenpairs) -> Eigenpairs:
    return Eigenpairs(pairs.values.flip(0), pairs.vectors.flip(1), pairs.residuals.flip(0), pairs.converged)
