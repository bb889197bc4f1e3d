"""The exact reduction: the whole Hessian spectrum of a linear model from its reduced point.

The Hessian of the reduced point, r x r and K x K blocks known in closed form, and exact multiplicities make up the spectrum of
the full Hessian. Valid at every critical point: minimum or saddle, balanced or not, one decay or one per factor (derivation:
docs/architecture.md, "The reduction").
"""

from dataclasses import dataclass
from enum import Enum

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.operators.operator import Product, dense
from landscape.curvature.spectra.spectrum import Spectrum, rounding_radius
from landscape.decomposition import singular_vectors
from landscape.display import brief
from landscape.memory import require_memory
from landscape.model.reduced_point import Core


class EigenvalueKind(Enum):
    """The origin of eigenvalues; the value of each member is what tables and pictures print."""

    GAUGE = "gauge rotations"
    PARTNER = "gauge partners"
    DECAY = "weight decay"
    COMPLEMENT = "complement"
    CORE = "core"
    WITHIN_CLASS = "within class"


@dataclass(frozen=True)
class EigenvalueFamily:
    """A family of eigenvalues with a common origin.

    Attributes:
        kind: Common origin of these directions.
        values: The distinct (or at least listed) eigenvalues.
        multiplicity: How often each of the eigenvalues occurs.
        sector: Representation of the symmetry that they belong to; empty where the core is not split by symmetry.
    """

    kind: EigenvalueKind
    values: Float[Tensor, " _"]
    multiplicity: int
    sector: str = ""

    __repr__ = brief


@dataclass(frozen=True)
class Reduction:
    """The spectrum of the full Hessian in named blocks, and of the data part of its Gauss-Newton matrix.

    Attributes:
        blocks: Together they hold all P eigenvalues of the Hessian.
        gauss_newton: Non-zero eigenvalues of J^T (d^2 g/dZ^2) J, with multiplicities.
        error: Rounding error of each eigenvalue (absolute).
    """

    blocks: tuple[EigenvalueFamily, ...]
    gauss_newton: tuple[EigenvalueFamily, ...]
    error: float

    @property
    def spectrum(self) -> Spectrum:
        """The eigenvalues of all blocks."""
        return Spectrum.merge(((block.values, block.multiplicity) for block in self.blocks), self.error)

    @property
    def gauss_newton_norms(self) -> tuple[float, float]:
        """Frobenius norm and trace of the data part of the Gauss-Newton matrix."""
        spectrum = Spectrum.merge(((block.values, block.multiplicity) for block in self.gauss_newton), self.error)
        return spectrum.frobenius, spectrum.trace


def require_reduction_memory(core: Core) -> None:
    """Refuses a core whose reduction would take more main memory than is allowed, before anything of it is computed.

    Raises:
        InputError: If it would; the message has the number.
    """
    size, logits = core.theta.numel(), core.problem.classes**2
    needed, core_words = 8.0 * (3 * size**2 + 2 * size * logits), f"the reduction of a core of {size} numbers"
    require_memory(needed, core_words, "lower --classes or --depth, or count by landscape prove")


def reduce(core: Core) -> Reduction:
    """Returns the exact spectrum of the full Hessian at the point whose core this is.

    Exact at a critical point only: polish first (`landscape.solver.newton`). Cost: one dense eigenproblem of size
    (L-1) r^2 + 2 K r and one of size r per class, whatever the width and the number of samples.
    """
    problem, objective, theta, r = core.problem, core.objective, core.theta, core.rank
    K, N, c, decays = problem.classes, problem.total_samples, problem.width - core.rank, problem.decays
    hessian = dense(Product(objective.linearize(theta), theta))
    middle = torch.linalg.eigvalsh(hessian)
    gaps = [decays[i] + decays[i + 1] for i in range(problem.depth)]
    one = theta.new_tensor
    blocks = [
        EigenvalueFamily(EigenvalueKind.GAUGE, one([0.0]), problem.depth * r * c),
        *(EigenvalueFamily(EigenvalueKind.PARTNER, one([gap]), r * c) for gap in gaps),
        EigenvalueFamily(EigenvalueKind.DECAY, one([decays[0]]), c * (N - (r if problem.depth > 1 else K))),
        *_complement(core, c),
        EigenvalueFamily(EigenvalueKind.CORE, middle, 1),
    ]
    inner = _within_class(core)
    blocks += [EigenvalueFamily(EigenvalueKind.WITHIN_CLASS, values + decays[0], times) for values, times in inner]
    newton = [EigenvalueFamily(EigenvalueKind.CORE, torch.linalg.eigvalsh(_gauss_newton(core)), 1)]
    newton += [EigenvalueFamily(EigenvalueKind.WITHIN_CLASS, values, times) for values, times in inner]
    norm = max(float(block.values.abs().max()) for block in blocks if block.values.numel() and block.multiplicity)
    return Reduction(tuple(blocks), tuple(newton), rounding_radius(hessian.shape[0], norm))


def _complement(core: Core, c: int) -> list[EigenvalueFamily]:
    """The directions between the unused parts of neighbouring spaces: decay alone, except with one layer."""
    problem, r = core.problem, core.rank
    K, decays = problem.classes, problem.decays
    one = core.theta.new_tensor
    if problem.depth > 1:
        blocks = [EigenvalueFamily(EigenvalueKind.DECAY, one([decay]), c * c) for decay in decays[1:-1]]
        return [*blocks, EigenvalueFamily(EigenvalueKind.DECAY, one([decays[-1]]), c * (K - r))]
    # With one layer a change of W_1 and one of H_1 meet in the same unused direction, through what the data still pull.
    objective = core.objective
    features, layer = objective.split(core.theta)
    pull = objective.fit_gradient(objective.logits(core.theta)) * objective.scales
    left = singular_vectors(layer, full=True)[0][:, r:]
    right = singular_vectors(features.mT, full=True)[0][:, r:]
    pull = left.mT @ pull @ right
    eye = torch.eye(K - r, dtype=pull.dtype, device=pull.device)
    coupled = torch.cat([torch.cat([decays[1] * eye, pull], 1), torch.cat([pull.mT, decays[0] * eye], 1)])
    return [EigenvalueFamily(EigenvalueKind.COMPLEMENT, torch.linalg.eigvalsh(coupled), c)]


def _within_class(core: Core) -> list[tuple[Tensor, int]]:
    """Data curvature of moving samples of one class against each other, with n_c - 1 such moves per class."""
    objective = core.objective
    _, *layers = objective.split(core.theta)
    total = layers[0]
    for layer in layers[1:]:
        total = layer @ total
    curve = objective.fit_curvature(objective.logits(core.theta))
    groups = []
    for label, size in enumerate(core.problem.class_sizes):
        if size > 1:
            spread = torch.zeros(core.rank, core.problem.classes, core.problem.classes, dtype=total.dtype, device=total.device)
            spread[:, :, label] = total.mT
            bent = curve(spread)[:, :, label].mT / (objective.weights[label] * core.problem.total_samples)
            groups.append((torch.linalg.eigvalsh(total.mT @ bent), size - 1))
    return groups


def _gauss_newton(core: Core) -> Float[Tensor, "q q"]:
    """J^T (d^2 g/dZ^2) J of the core."""
    objective, theta = core.objective, core.theta
    units = torch.eye(theta.numel(), dtype=theta.dtype, device=theta.device)
    jacobian = objective.pushforward(theta)(units)
    bent = objective.fit_curvature(objective.logits(theta))(jacobian)
    return jacobian.flatten(1) @ bent.flatten(1).mT
