"""The orthogonal projector onto the tangent space of the orbit (gauge and data symmetry), without a basis of it as a matrix.

A skew matrix A at an interface splits along the directions U that the two factors around it use (`orbit` in `gauge`). Its
part inside U is small: an explicit basis, independent of the width. Its part X U' - U X' that rotates U into the rest moves the
factor below by X (U'W) and the one above by (W U) X': row by row of X the same map, so that one orthonormal factor of the rows
of [U'W, (WU)'] projects all of them at once. The parts are orthogonal to each other, and so are the interfaces.

Rotations of equal classes move the outer factors inside the used directions of the first and the last interface. They join the
first part, whose frames then hold all classes on the outer sides.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.display import brief
from landscape.model.dimensions import equal_classes
from landscape.model.gauge import class_frame, data_tangents, gauge_tangents, interfaces, span
from landscape.model.objective import Objective
from landscape.model.problem import Problem


@dataclass(frozen=True)
class OrbitProjector:
    """The projector at one point; a `landscape.curvature.counting.quotient.Projector`. An application costs O(d^2 r) per column.

    Attributes:
        objective: Objective of the problem, to split flat vectors.
        frames: Orthonormal columns: row space of H_1, used directions at each interface, column space of the last factor moved.
            Where equal classes can be rotated the first starts with their indicator vectors and the last is the identity.
        rows: Orthonormal rows of each interface that the cross part moves along.
        support: Orthonormal basis of the part inside the used directions, in the frames' coordinates.
        rank: Dimension of the orbit; `curvature.projection.require_projector` compares it with the trace.
    """

    objective: Objective
    frames: tuple[Float[Tensor, "_ _"], ...]
    rows: tuple[Float[Tensor, "_ _"], ...]
    support: Float[Tensor, "_ _"]
    rank: int

    __repr__ = brief

    @property
    def trace(self) -> float:
        """The trace, from the sizes of the factors that `apply` multiplies with, which are orthonormal up to rounding.

        A cross part is (I - frame frame') on one side and row' row on the other, so its trace is the product of both.
        """
        width = float(self.objective.shapes[0][0])
        pairs = zip(self.rows, self.frames[1:], strict=False)
        cross = sum((width - float(frame.square().sum())) * float(row.square().sum()) for row, frame in pairs)
        return cross + float(self.support.square().sum())

    def apply(self, block: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
        """Returns the components of the columns along the orbit."""
        changes = self.objective.split(block.mT.contiguous())
        results = [torch.zeros_like(change) for change in changes]
        for index, (row, frame) in enumerate(zip(self.rows, self.frames[1:], strict=False)):
            around = torch.cat([changes[index], changes[index + 1].mT], dim=-1)
            around = around - frame @ (frame.mT @ around)
            moved = (around @ row.mT) @ row
            below, above = moved.split([changes[index].shape[-1], changes[index + 1].shape[-2]], dim=-1)
            results[index] += below
            results[index + 1] += above.mT
        pairs = list(zip(self.frames[1:], self.frames, strict=False))
        inner = [left.mT @ change @ right for (left, right), change in zip(pairs, changes, strict=False)]
        flat = torch.cat([change.flatten(-2) for change in inner], dim=-1)
        flat = (flat @ self.support) @ self.support.mT
        parts = flat.split([change.shape[-1] * change.shape[-2] for change in inner], dim=-1)
        for index, ((left, right), part, change) in enumerate(zip(pairs, parts, inner, strict=True)):
            results[index] += left @ part.unflatten(-1, change.shape[-2:]) @ right.mT
        return torch.cat([result.flatten(-2) for result in results], dim=-1).mT


def orbit_projector(problem: Problem, theta: Float[Tensor, " p"], tolerance: float) -> OrbitProjector:
    """Returns the projector onto the tangent space of the orbit at a point, the data symmetry included.

    One SVD per factor and one of size sum q (q-1)/2, q the used directions: cheap at low rank, as expensive as the generators
    themselves at full rank.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> ls.orbit_projector(problem, ls.place(problem, ls.Collapse()).theta, tolerance=1e-9).rank
        24

    Args:
        problem: The model of the point.
        theta: Parameters of the point.
        tolerance: Singular values of factors and generators up to this count as zero (absolute).
    """
    objective = Objective.of(problem, theta)
    factors = objective.split(theta)[: interfaces(problem) + 1]
    turned = bool(equal_classes(problem))
    frames = [class_frame(problem, factors[0], tolerance) if turned else span(factors[0].mT, tolerance)]
    frames += [span(torch.cat([below, above.mT], dim=1), tolerance) for below, above in pairwise(factors)]
    identity = torch.eye(problem.classes, dtype=theta.dtype, device=theta.device)
    frames.append(identity if turned else span(factors[-1], tolerance))
    # Within the frames on both sides, so that this is a projector to rounding however far the point is from critical.
    kept = [left @ (left.mT @ factor @ right) @ right.mT for left, factor, right in zip(frames[1:], factors, frames, strict=False)]
    rows, cross = [], 0
    for frame, (below, above) in zip(frames[1:], pairwise(kept), strict=False):
        rows.append(span((frame.mT @ torch.cat([below, above.mT], dim=1)).mT, tolerance).mT)
        cross += (problem.width - frame.shape[1]) * rows[-1].shape[0]
    inner = [left.mT @ factor @ right for left, factor, right in zip(frames[1:], factors, frames, strict=False)]
    tangents = gauge_tangents(inner, len(inner) - 1)
    support = span(torch.cat([tangents, data_tangents(problem, inner)], dim=1) if turned else tangents, tolerance)
    return OrbitProjector(objective, tuple(frames), tuple(rows), support, cross + support.shape[1])
