"""From dimension to probability: the volume of a critical manifold and its Laplace free energy.

At temperature T (density exp(-loss / T)) the neighbourhood of a Morse-Bott minimum manifold of dimension D holds the mass
exp(-F / T) with

    F = loss - T [ log copies + log volume + (P - D)/2 log(2 pi T) - (1/2) log pdet ]

up to relative corrections of order T. pdet is constant along the manifold, because the symmetry group moves it onto itself by
isometries. Derivation and its limits: docs/mathematics.md.
"""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy.special import gammaln

from landscape.curvature.spectra.spectrum import Spectrum
from landscape.errors import InputError
from landscape.model.dimensions import equal_classes
from landscape.model.problem import Problem
from landscape.structures.modes import mode_of

_EQUAL = 1e-9  # relative difference up to which singular values share one entry in the table of pairs


def log_stiefel_volume(rank: int, width: int) -> float:
    """Returns the log of the volume of the r-frames in R^d, the product of the spheres S^(d-1), .., S^(d-r).

    Coordinates: the entries a_jk of the rotation generators, each E_jk - E_kj a unit vector. St(1, d) is the sphere, St(d, d) all
    of O(d), both components.
    """
    dimensions = width - np.arange(rank)
    return float(np.sum(math.log(2) + dimensions / 2 * math.log(math.pi) - gammaln(dimensions / 2)))


def log_orbit_volume(problem: Problem, factors: Sequence[Sequence[float]]) -> float:
    """Returns the log of the volume of the orbit of a critical point in the Euclidean metric of the parameters.

    The gauge orbit is a copy of St(r, d)^L whose metric is the same everywhere, so its volume is that of the frames times the
    square root of the Gram determinant of the generators at one point, which falls apart into one number per pair (singular value,
    unused direction) and one L x L tridiagonal determinant per pair of singular values. The data symmetry, where there is one,
    makes the orbit a bundle of gauge orbits over the orbit of the logits: the volumes multiply (`_log_logit_volume`).

    Args:
        problem: Linear; its width counts.
        factors: The singular values of H_1, W_1, .., W_L, in the same order of directions, without zeros.
    """
    values = np.asarray(factors, dtype=float)
    depth, rank = values.shape[0] - 1, values.shape[1]
    if rank == 0:
        return 0.0
    squares = values**2
    ends = np.log(squares[:-1] + squares[1:]).sum() * (problem.width - rank) / 2
    kinds, times = _distinct(values)
    pairs = 0.0
    for j in range(kinds.shape[1]):
        for k in range(j, kinds.shape[1]):
            number = times[j] * times[k] if j != k else times[j] * (times[j] - 1) // 2
            if number:
                pairs += number * _log_pair(kinds[:, j], kinds[:, k]) / 2
    frames = depth * log_stiefel_volume(rank, problem.width)
    return frames + float(ends) + pairs + _log_logit_volume(problem, values)


def _log_logit_volume(problem: Problem, values: np.ndarray) -> float:
    """Returns the log volume of the orbit of the logits under the data symmetry, measured across the gauge orbits.

    For each set of m equal classes that orbit is the flag manifold O(m) / (O(mu_1) x ..), mu the multiplicities of the modes
    (large, small, off). All its points look alike, and its metric at one point is diagonal in the rotations of one mode into
    another: so the volume is that of the flags, with every such rotation a unit vector, times the lengths of the rotations.
    """
    total = 0.0
    modes = [mode_of(problem, float(value)) for value in values.prod(axis=0)] if equal_classes(problem) else []
    for members in equal_classes(problem):
        samples = problem.class_sizes[members[0]]
        on = [[place for place, mode in enumerate(modes) if mode == (samples, root)] for root in ("large", "small")]
        kinds = [(values[:, places].mean(axis=1), len(places)) for places in on if places]
        kinds.append((np.zeros(len(values)), len(members) - sum(times for _, times in kinds)))
        total += log_stiefel_volume(len(members), len(members)) - sum(log_stiefel_volume(times, times) for _, times in kinds)
        for (one, times), (other, others) in combinations(kinds, 2):
            if others:
                total += times * others * math.log(_turn_length(one, other))
    return total


def _turn_length(one: np.ndarray, other: np.ndarray) -> float:
    """Returns the length, across the gauge orbit, of the rotation of two classes' modes with these values in every factor.

    The rotation moves both outer factors; rotations a_0, .., a_{L-1} of the hidden spaces follow it so that the move is shortest.
    With a_{-1} = a_L = 1, factor l moves by (s_l a_l - t_l a_{l-1}, t_l a_l - s_l a_{l-1}): a least-squares problem.
    """
    depth = len(one) - 1
    rows = np.zeros((2 * (depth + 1), depth + 1))  # the last column is the rotation of the classes
    for place, (s, t) in enumerate(zip(one, other, strict=True)):
        rows[2 * place : 2 * place + 2, place] += (s, t)
        rows[2 * place : 2 * place + 2, (place - 1) % (depth + 1)] -= (t, s)
    return abs(float(np.linalg.qr(rows).R[-1, -1]))


def _distinct(values: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Groups equal columns (ascending in the first row)."""
    order = np.argsort(values[0], kind="stable")
    columns, times = [values[:, order[0]]], [1]
    for place in order[1:]:
        if np.all(np.abs(values[:, place] - columns[-1]) <= _EQUAL * columns[-1]):
            times[-1] += 1
        else:
            columns.append(values[:, place])
            times.append(1)
    return np.stack(columns, axis=1), times


def _log_pair(one: np.ndarray, other: np.ndarray) -> float:
    """The determinant of the Gram matrix of the L generators that turn two directions into each other, by its recurrence."""
    norms, coupling = one**2 + other**2, 2 * one * other
    total, pivot = 0.0, math.inf
    for interface in range(len(one) - 1):
        diagonal = norms[interface] + norms[interface + 1]
        pivot = diagonal - (coupling[interface] ** 2 / pivot if interface else 0.0)
        total += math.log(pivot)
    return total


def log_pseudo_determinant(spectrum: Spectrum, cutoff: float) -> float:
    """Returns the sum of the logs of the sizes of all eigenvalues above `cutoff` in size."""
    return math.fsum(times * math.log(abs(value)) for value, times in spectrum.pairs() if not abs(value) <= cutoff)


def free_energy(loss: float, temperature: float, transverse: int, log_copies: float, log_volume: float, log_pdet: float) -> float:
    """Returns the Laplace free energy of a minimum manifold and its copies.

    Args:
        loss: On the manifold.
        temperature: Temperature T of the Boltzmann distribution.
        transverse: P - D, the directions in which the loss rises.
        log_copies: Logarithm of the number of relabelled copies.
        log_volume: Logarithm of the volume of one copy.
        log_pdet: Logarithm of the product of the non-zero Hessian eigenvalues.

    Raises:
        InputError: If the temperature is not positive.
    """
    if not (temperature > 0 and math.isfinite(temperature)):
        raise InputError(f"expected a temperature > 0, got {temperature:g}")
    gaussian = transverse / 2 * math.log(2 * math.pi * temperature) - log_pdet / 2
    return loss - temperature * (log_copies + log_volume + gaussian)
