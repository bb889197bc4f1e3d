"""A spectrum as probes have seen it: nodes with weights, whoever computed them, in one form for pictures and tables."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from landscape.curvature.spectra.density import GHOST, Atom, Density, NullityEstimate, standard_error
from landscape.display import brief

_NEAR = 1e-6  # of the largest node: what counts as near zero where nothing better is known


@dataclass(frozen=True)
class SampledSpectrum:
    """Nodes and weights of stochastic quadrature, one list per probe. It is an estimate, never a count.

    Attributes:
        method: What computed the nodes, as printed.
        size: Number of eigenvalues of the operator.
        nodes: Ritz values of each probe, ascending.
        weights: Quadrature weights of each probe, which sum to 1.
        zeros: Estimated number of eigenvalues near zero, with its error and cutoff.
        atoms: Clusters that the quadrature has resolved, as fractions; empty where the method gives no residuals.
    """

    method: str
    size: int
    nodes: tuple[tuple[float, ...], ...]
    weights: tuple[tuple[float, ...], ...]
    zeros: NullityEstimate
    atoms: tuple[Atom, ...] = ()

    __repr__ = brief

    @classmethod
    def of_density(cls, found: Density) -> "SampledSpectrum":
        """Returns what stochastic Lanczos quadrature saw.

        Example:
            >>> import landscape as ls
            >>> import torch
            >>> matrix = ls.Matrix(torch.tensor([0.0, 0.0, 1.0, 2.0], dtype=torch.float64).diag())
            >>> seen = SampledSpectrum.of_density(ls.density(matrix, ls.Quadrature(probes=20, steps=4, seed=1)))
            >>> seen.size, len(seen.nodes), len(seen.atoms)
            (4, 20, 3)
        """
        nodes = tuple(tuple(run.values.tolist()) for run in found.runs)
        weights = tuple(tuple(run.weights.tolist()) for run in found.runs)
        return cls("slq", found.size, nodes, weights, found.nullity(), tuple(found.atoms()))

    @classmethod
    def of_nodes(
        cls, method: str, size: int, nodes: Sequence[Sequence[float]], weights: Sequence[Sequence[float]]
    ) -> "SampledSpectrum":
        """Returns nodes without residuals, as PyHessian gives them; zeros are those within 1e-6 of the largest node."""
        cutoff = _NEAR * max(abs(node) for run in nodes for node in run)
        masses = [
            size * math.fsum(w for node, w in zip(run, mass, strict=True) if abs(node) <= cutoff)
            for run, mass in zip(nodes, weights, strict=True)
        ]
        zeros = NullityEstimate(math.fsum(masses) / len(masses), standard_error(masses), 0.0, cutoff)
        return cls(method, size, tuple(map(tuple, nodes)), tuple(map(tuple, weights)), zeros)

    def bulk(self) -> tuple[list[list[float]], list[list[float]]]:
        """Returns the nodes that are neither near zero nor part of an atom, and how many eigenvalues each stands for."""
        nodes: list[list[float]] = []
        counts: list[list[float]] = []
        for run, mass in zip(self.nodes, self.weights, strict=True):
            kept = [(node, self.size * w) for node, w in zip(run, mass, strict=True) if w > GHOST and self._free(node)]
            nodes.append([node for node, _ in kept])
            counts.append([count for _, count in kept])
        return nodes, counts

    def _free(self, node: float) -> bool:
        return abs(node) > self.zeros.cutoff and all(abs(node - atom.location) > 2 * atom.width for atom in self.atoms)
