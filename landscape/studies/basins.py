"""Basins of attraction: how a start is aligned, how far an end point may be pushed, and what lies between two of them."""

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.decomposition import singular_vectors
from landscape.degeneracy.analysis import analyse
from landscape.degeneracy.methods import MethodName
from landscape.display import brief
from landscape.errors import InputError
from landscape.model.gauge import interfaces
from landscape.model.objective import Objective, class_logits
from landscape.model.problem import Problem
from landscape.points.point import CriticalPoint, Origin, Outcome
from landscape.solver.methods import BatchMethod, PseudoTransient
from landscape.solver.pool import Start, solve_batch
from landscape.tolerances import SAME_LOGITS

MOST_CLASSES = 16  # of the best pairing: exact search over 2^(K-1) sets of classes


@dataclass(frozen=True)
class Return:
    """End of the descent from a pushed critical point.

    Attributes:
        point: Critical point where the perturbed one went.
        structure: Name of the structure there, or "not converged".
        home: Whether the class-mean logits are those of the unperturbed point, so that only a gauge rotation lies between them.
    """

    point: CriticalPoint
    structure: str
    home: bool


@dataclass(frozen=True)
class Segment:
    """The straight line between two points of one problem.

    Attributes:
        places: Positions on the line, from 0 at the first point to 1 at the second.
        loss: Losses at these positions, with weight decay.
        distance: Euclidean distance between the two ends.
    """

    places: Float[Tensor, " t"]
    loss: Float[Tensor, " t"]
    distance: float

    __repr__ = brief

    @property
    def barrier(self) -> float:
        """How far the loss rises above the straight line between the losses of the ends; 0 if it never does."""
        chord = self.loss[0] + self.places * (self.loss[-1] - self.loss[0])
        return max(0.0, float((self.loss - chord).max()))


@dataclass(frozen=True)
class Alignment:
    """Cosines between the class-mean logits of a start and those of two structures; 1 means parallel.

    Attributes:
        simplex: Cosine with S_K, the logits of DNC.
        pairs: Cosine with the pairs' logits for the pairing of the classes that fits best; None for odd K.
    """

    simplex: float
    pairs: float | None


def perturb(point: CriticalPoint, radius: float, draws: int, seed: int = 0, method: BatchMethod | None = None) -> list[Return]:
    """Returns where descent leads from points at a distance from an end point, in directions drawn uniformly.

    A push along the gauge orbit leads nowhere; at large widths that is a small share of a random push.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-3)
        >>> pairs = ls.place(problem, ls.Pairs())
        >>> [(back.structure, back.home) for back in ls.perturb(pairs, radius=1e-3, draws=2)]
        [('pairs', True), ('pairs', True)]

    Args:
        point: A critical point.
        radius: Euclidean length of a push, in the parameters.
        draws: Number of pushes.
        seed: Seed of the directions.
        method: Method that follows the pushed points; pseudo-transient continuation if not given.

    Returns:
        One end for each push, in the order of the draws.

    Raises:
        InputError: If the radius is negative or there are no draws.
    """
    if not 0 <= radius < float("inf") or draws < 1:
        raise InputError(f"expected a radius >= 0 and at least 1 draw, got {radius:g} and {draws}")
    generator = torch.Generator().manual_seed(seed)
    starts = []
    for draw in range(draws):
        push = torch.randn(point.theta.numel(), dtype=torch.float64, generator=generator).to(point.theta)
        starts.append(Start(point.theta + radius * push / push.norm(), Origin(f"pushed by {radius:g}", seed=draw)))
    arrivals = [arrival.point for arrival in solve_batch(point.problem, starts, method or PseudoTransient())]
    home = class_logits(point.problem, point.theta)
    returns = []
    for end in sorted(arrivals, key=lambda end: end.origin.seed or 0):
        close = (class_logits(point.problem, end.theta) - home).norm() <= SAME_LOGITS * home.norm()
        converged = end.outcome is Outcome.CONVERGED
        method_name: MethodName = "reduction" if end.problem.is_linear else "auto"
        structure = analyse(end, method_name).structure if converged else "not converged"
        returns.append(Return(end, structure, converged and bool(close)))
    return returns


def gauge_aligned(
    problem: Problem, theta: Float[Tensor, " p"], other: Float[Tensor, " p"], sweeps: int = 50
) -> Float[Tensor, " p"]:
    """Returns `other` in the gauge where it is close to `theta`: one orthogonal Procrustes problem per interface, in turn.

    Every sweep lowers the distance, to a minimum over each rotation alone but not surely over all together. Behind a rectifier
    there is no rotation (see `gauge.interfaces`), and permutations of units are not tried.
    """
    objective = Objective.of(problem, theta)
    goal, factors = objective.split(theta), objective.split(other)
    for _ in range(sweeps):
        before = list(factors)
        for index in range(interfaces(problem)):
            overlap = goal[index + 1].mT @ factors[index + 1] + goal[index] @ factors[index].mT
            left, _, right = singular_vectors(overlap, full=True)
            rotation = left @ right
            factors[index] = rotation @ factors[index]
            factors[index + 1] = factors[index + 1] @ rotation.mT
        moved = sum(float((new - old).norm()) for new, old in zip(factors, before, strict=True))
        if moved <= 1e-12 * float(theta.norm()):
            break
    return torch.cat([factor.flatten() for factor in factors])


def segment(problem: Problem, theta: Float[Tensor, " p"], other: Float[Tensor, " p"], places: int = 51) -> Segment:
    """Returns the loss on the straight line between two points; give it `gauge_aligned` ends to take the gauge out."""
    grid = torch.linspace(0, 1, places, dtype=theta.dtype, device=theta.device)
    line = theta + grid[:, None] * (other - theta)
    return Segment(grid, Objective.of(problem, theta).loss(line), float((other - theta).norm()))


def alignment(problem: Problem, theta: Float[Tensor, " p"]) -> Alignment:
    """Returns how parallel the class-mean logits at a point, usually a start, are to the simplex and to pairs.

    Raises:
        InputError: If there are more classes than `MOST_CLASSES`.
    """
    K = problem.classes
    if K > MOST_CLASSES:
        raise InputError(f"expected at most {MOST_CLASSES} classes for the best pairing, got {K}")
    logits = class_logits(problem, theta)
    size = float(logits.norm())
    if not size > 0:
        return Alignment(0.0, 0.0 if K % 2 == 0 else None)
    # <Z, S_K> = tr Z - sum(Z)/K and ||S_K||^2 = K - 1; <Z, pairs> = tr Z - sum over pairs (Z_ij + Z_ji) and ||pairs||^2 = 2 K
    trace = float(logits.trace())
    simplex = (trace - float(logits.sum()) / K) / (size * (K - 1) ** 0.5)
    pairs = None if K % 2 else (trace - _cheapest_pairing((logits + logits.mT).tolist())) / (size * (2 * K) ** 0.5)
    return Alignment(simplex, pairs)


def _cheapest_pairing(cost: list[list[float]]) -> float:
    """Returns the smallest sum of costs over all ways to put the classes in pairs."""

    @cache
    def best(left: frozenset[int]) -> float:
        if not left:
            return 0.0
        one = min(left)
        return min(cost[one][other] + best(left - {one, other}) for other in left if other != one)

    return best(frozenset(range(len(cost))))
