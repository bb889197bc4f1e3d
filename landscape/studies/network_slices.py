"""Slices of a network's loss: along random directions of normalised filters, Hessian eigenvectors, or to other weights.

Random directions of two networks, or of two layers, compare only after each filter has the norm of the weights that it moves, since
rescaled layers give the same function (Li, Xu, Taylor, Studer and Goldstein, NeurIPS 2018, section 4). Biases and other
parameters of one axis stay where they are, as there.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.krylov import seeded
from landscape.curvature.spectra.extremes import BothEnds, Extremes, extremes
from landscape.errors import InputError
from landscape.network.loss import ModuleLoss
from landscape.network.operators import ModuleHessian
from landscape.studies.basins import Segment
from landscape.studies.cuts import Direction, Line, NetworkAlong, Plane, spaced

_CONVERGED = 1e-6  # residual of an eigenvector, of the norm, up to which it is one for a picture
_PARALLEL = 1e-6  # what is left of a unit vector orthogonal to the other, below which the two are one


def filter_normalised(problem: ModuleLoss, seed: int = 0) -> Float[Tensor, " p"]:
    """Returns a random direction in which every filter has the norm of that filter of the weights.

    A filter is a slice of a parameter along its first axis: what makes one output channel, neuron or embedding.

    Raises:
        InputError: If no parameter with two axes or more has a filter that is not zero.
    """
    generator = seeded(seed, "filter-normalised direction")
    parts = []
    for value in problem.flat.split(problem.theta).values():
        drawn = torch.randn(value.shape, generator=generator, dtype=torch.float64).to(value)
        if value.ndim < 2:
            parts.append(torch.zeros_like(value).reshape(-1))
            continue
        rows, lengths = drawn.flatten(1), value.flatten(1).norm(dim=1, keepdim=True)
        parts.append((rows / rows.norm(dim=1, keepdim=True) * lengths).reshape(-1))
    direction = torch.cat(parts)
    if not float(direction.norm()) > 0:
        raise InputError("expected weights with two axes for a random direction, got none but zeros: use stiffest or lowest")
    return direction


def network_directions(problem: ModuleLoss, along: Sequence[NetworkAlong | Tensor], seed: int = 0) -> list[Direction]:
    """Returns orthogonal unit vectors at the point of a network.

    Args:
        problem: The loss at the point.
        along: "random" for normalised filters, then scaled to length 1; "stiffest", "second" and "lowest" for the eigenvectors of
            the largest, second largest and smallest eigenvalue; a vector for its own direction. A later one is made orthogonal to
            those before it.
        seed: Seed of the random directions and of the search for eigenvectors.

    Raises:
        InputError: If an eigenvector is not found, or two directions are parallel.
    """
    hessian = ModuleHessian(problem)
    named = [name for name in along if isinstance(name, str)]
    eigen = {"stiffest", "second", "lowest"} & set(named)
    ends = extremes(hessian, Extremes(count=2 if "second" in eigen else 1, seed=seed, tolerance=_CONVERGED)) if eigen else None
    found: list[Direction] = []
    for place, each in enumerate(along):
        vector = _vector(problem, each, seed + place, ends)
        vector = vector / vector.norm()
        for before in found:
            vector = vector - (before.vector @ vector) * before.vector
        left = float(vector.norm())
        if not left > _PARALLEL:
            raise InputError("expected directions of different vectors, got two that are parallel: choose another one")
        vector = vector / left
        curvature = float(vector @ (hessian @ vector[:, None])[:, 0])
        found.append(Direction(each if isinstance(each, str) else "given", vector, curvature))
    return found


def _vector(problem: ModuleLoss, along: NetworkAlong | Tensor, seed: int, ends: BothEnds | None) -> Tensor:
    if isinstance(along, Tensor):
        if along.shape != problem.theta.shape or not 0 < float(along.norm()) < float("inf"):
            raise InputError(f"expected a finite direction of {problem.theta.numel()} numbers, not all 0, got {tuple(along.shape)}")
        return along.detach().to(problem.theta)
    if along == "random":
        return filter_normalised(problem, seed)
    if ends is None or along not in ("stiffest", "second", "lowest"):
        raise InputError(f"expected random, stiffest, second, lowest or a vector for the slice of a network, got {along}")
    pairs, place = (ends.bottom, 0) if along == "lowest" else (ends.top, int(along == "second"))
    norm = max(abs(float(ends.top.values[0])), abs(float(ends.bottom.values[0])))
    if not float(pairs.residuals[place]) <= 10 * _CONVERGED * norm:
        raise InputError(f"the {along} eigenvector is known to {float(pairs.residuals[place]):.1e} only: use another direction")
    vector = pairs.vectors[:, place]
    return vector * (torch.sign(vector[vector.abs().argmax()]))  # the sign of an eigenvector means nothing


def network_line(
    problem: ModuleLoss, along: NetworkAlong | Tensor = "random", span: float | None = None, steps: int = 51, seed: int = 0
) -> Line:
    """Returns the loss of a network on a line through its point.

    Raises:
        InputError: If the direction is not found, or span or steps are out of range.
    """
    places = spaced(problem.theta, span, steps)
    (direction,) = network_directions(problem, [along], seed)
    return Line(direction, places, _losses(problem, places[:, None], direction.vector[None]), None)


def network_plane(
    problem: ModuleLoss,
    along: tuple[NetworkAlong | Tensor, NetworkAlong | Tensor] = ("random", "random"),
    span: float | None = None,
    steps: int = 51,
    seed: int = 0,
) -> Plane:
    """Returns the loss of a network on a plane through its point.

    Raises:
        InputError: If a direction is not found, or span or steps are out of range.
    """
    places = spaced(problem.theta, span, steps)
    first, second = network_directions(problem, along, seed)
    vertical, horizontal = torch.meshgrid(places, places, indexing="ij")
    weights = torch.stack([horizontal.flatten(), vertical.flatten()], dim=1)
    loss = _losses(problem, weights, torch.stack([first.vector, second.vector]))
    return Plane(first, second, places, loss.unflatten(0, (steps, steps)))


def network_between(problem: ModuleLoss, other: ModuleLoss, steps: int = 51) -> Segment:
    """Returns the loss of the first network on the straight way from its point to that of another of the same shape.

    Raises:
        InputError: If the two have other parameters, or the steps are out of range.
    """
    if problem.flat.shapes != other.flat.shapes:
        raise InputError("expected two points of one network, got parameters of other names or shapes")
    spaced(problem.theta, None, steps)
    way = other.theta.to(problem.theta) - problem.theta
    places = torch.linspace(0, 1, steps, dtype=problem.theta.dtype, device=problem.theta.device)
    return Segment(places, _losses(problem, places[:, None], way[None]), float(way.norm()))


def _losses(problem: ModuleLoss, weights: Float[Tensor, "t k"], vectors: Float[Tensor, "k p"]) -> Float[Tensor, " t"]:
    """Returns the losses at theta + weights @ vectors, one after the other."""
    with torch.no_grad():
        return torch.stack([problem(problem.theta + row @ vectors) for row in weights])
