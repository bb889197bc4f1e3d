"""The top and bottom eigenpairs, found by block Lanczos with restarts and checked by their residuals.

A Krylov space from b columns holds at most b copies of an eigenvalue: ask for a block at least as wide as the largest
multiplicity that matters. The residual of each pair is returned; a small one proves that an eigenvalue is there, none proves
that no other lies beyond.
"""

from dataclasses import dataclass
from typing import Literal, get_args

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
_SPACE = 8  # blocks in the Krylov space before a restart
_COPIES = 100  # Ritz values closer than so many residuals are one eigenvalue


End = Literal["both", "top", "bottom"]


@dataclass(frozen=True)
class Extremes:
    """Settings of the search for eigenpairs at the ends of the spectrum, by restarted block Lanczos.

    Networks have many eigenvalues next to zero, so that the lower end takes many times the products of the upper one: ask for the
    end that matters. One column (`block=1`) takes the fewest products and sees every multiple eigenvalue once.

    Attributes:
        count: Number of eigenpairs at either end.
        block: Columns of a block; None for count + 4.
        restarts: Most restarts of the Krylov space.
        tolerance: Residual at which a pair has converged, relative to the norm of the operator.
        seed: Seed of the start block.
        end: Which end of the spectrum is sought; of the other, nothing is returned.

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
    end: End = "both"


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
    """Returns the extreme eigenpairs at the ends that are asked for. Memory: about 8 blocks of vectors, or 6 for each pair.

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
    if settings.end not in get_args(End):
        raise InputError(f"expected an end among {', '.join(get_args(End))}, got {settings.end!r}")
    operator = counted = Counted.of(operator)
    before = counted.products
    require_symmetric(counted, settings.seed)
    basis, values, coordinates, limit = _converged(counted, settings)
    ends = {"top": slice(len(values) - count, None), "bottom": slice(0, count)}
    nothing = slice(0, 0)
    pairs = {
        name: _pairs(operator, basis @ coordinates[:, place if settings.end in ("both", name) else nothing], limit)
        for name, place in ends.items()
    }
    counted.require_finite()
    return BothEnds(_reversed(pairs["top"]), pairs["bottom"], counted.products - before)


def _converged(operator: SymmetricOperator, settings: Extremes) -> tuple[Tensor, Tensor, Tensor, float]:
    """Returns a basis, the Ritz values and coordinates of its space, and the residual that converged pairs have."""
    size, count = operator.size, settings.count
    generator = seeded(settings.seed, "extremes")
    width = min(settings.block or count + 4, size)
    space = min(_SPACE * max(width, count), size)
    block = orthonormal(random_block(operator, width, generator))
    basis, projected, residual = block[:, :0], block.new_zeros(0, 0), block
    norm, restarts = 0.0, 0
    while True:
        look = min(basis.shape[1] + max(width, _STRIDE // 2), space)
        while basis.shape[1] < look:
            block = _next_block(operator, basis, residual, noise_floor(norm, basis.dtype), generator)[:, : space - basis.shape[1]]
            basis, projected, residual = extend(operator, basis, projected, block)
            require_finite(projected)
            norm = max(norm, float(torch.linalg.matrix_norm(projected, 2)))
        values, coordinates = eigenpairs(projected)
        limit = settings.tolerance * norm
        errors = (residual @ coordinates[len(values) - residual.shape[1] :]).norm(dim=0)
        if len(values) == size or (len(values) > 2 * count and bool((_at(errors, settings.end, count) <= limit).all())):
            return basis, values, coordinates, limit
        if basis.shape[1] == space:
            restarts += 1
            if restarts == settings.restarts:
                return basis, values, coordinates, limit
            keep = _at(torch.arange(space), settings.end, space // (4 if settings.end == "both" else 2)).to(values.device)
            basis, projected = basis @ coordinates[:, keep], values[keep].diag()


def _at(row: Tensor, end: End, count: int) -> Tensor:
    """Returns the entries of a row at one end, or at both."""
    parts = {"bottom": row[:count], "top": row[len(row) - count :]}
    return torch.cat(list(parts.values())) if end == "both" else parts[end]


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
