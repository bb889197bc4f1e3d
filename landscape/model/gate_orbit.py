"""The symmetries of a ReLU model near a point without kinks, where every gate stays open or closed as it is.

With fixed gates the loss depends on W_1 H_1 only where a unit is open for a sample. So the samples and the units of the first
hidden layer fall into connected components of open gates, and each component has a rotation in O(d) of its own, (W_1 R^T, R H_1)
on its rows and columns. Behind a hidden layer a rotation must commute with the gates of every sample: one in O(g) for each set of
g units that are open for the same samples, which turns their rows of W_l and their columns of W_{l+1}. The rotations that hold
everywhere are among the first.

At a critical point these rotations are independent. Each of them is balanced there, so one that moves only one of its two factors
moves none.
"""

import math
from collections import defaultdict
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from landscape.model.gauge import Orbit
from landscape.model.objective import Objective
from landscape.model.problem import Problem


def gate_orbit(problem: Problem, theta: Float[Tensor, " p"], tolerance: float) -> Orbit:
    """Returns the dimension of the orbit of a ReLU point under the symmetries that hold near it.

    A rotation of O(m) at vectors of rank q moves q (m - q) + q (q - 1) / 2 dimensions. The sizes of all generators together are
    at least sqrt((1 - cos(pi / (L + 1))) times the smallest over the largest decay) of the smallest one, where they are balanced:
    neighbours in the chain of factors share one of them (the eigenvalues of a path).

    Args:
        problem: A model with rectifiers.
        theta: A point none of whose pre-activations is within the tolerance of zero.
        tolerance: Singular values of the factors up to this count as zero (absolute).
    """
    objective = Objective.of(problem, theta)
    factors = objective.split(theta)
    gates = [(signal > tolerance).cpu().numpy() for signal in objective.preactivations(theta)[:-1]]
    turned = [torch.cat([factors[1][units].mT, factors[0][:, samples]], dim=1) for units, samples in components(gates[0])]
    for pattern, (before, after) in zip(gates, pairwise(factors[1:]), strict=True):
        turned += [torch.cat([before[units], after[:, units].mT], dim=1) for units in alike(pattern)]
    dimension, smallest = 0, math.inf
    for vectors in turned:
        values = torch.linalg.svdvals(vectors)
        used = values[values > tolerance].tolist()
        free, rank = len(vectors) - len(used), len(used)
        dimension += rank * free + rank * (rank - 1) // 2
        if rank and free:
            smallest = min(smallest, used[-1])
        elif rank > 1:
            smallest = min(smallest, math.hypot(used[-1], used[-2]))
    shared = (1 - math.cos(math.pi / (problem.depth + 1))) * min(problem.decays) / max(problem.decays)
    return Orbit(dimension, math.sqrt(shared) * smallest)


def components(gates: Bool[np.ndarray, "d m"]) -> list[tuple[list[int], list[int]]]:
    """Returns the units and the samples of every connected component of open gates."""
    units, samples = gates.shape
    open_units, open_samples = np.nonzero(gates)
    graph = csr_matrix((np.ones(len(open_units)), (open_units, units + open_samples)), shape=(units + samples,) * 2)
    labels = connected_components(graph, directed=False)[1]
    parts: dict[int, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for place, label in enumerate(labels.tolist()):
        if place < units:
            parts[label][0].append(place)
        else:
            parts[label][1].append(place - units)
    return list(parts.values())


def alike(gates: Bool[np.ndarray, "d m"]) -> list[list[int]]:
    """Returns the sets of units that are open for the same samples."""
    sets: dict[bytes, list[int]] = defaultdict(list)
    for unit, row in enumerate(gates):
        sets[row.tobytes()].append(unit)
    return list(sets.values())
