"""What can be said of a spectrum without having all of it: stochastic Lanczos quadrature, and PyHessian's answer beside ours.

Estimates carry error bars and are never counts; `degeneracy` states counts.
"""

import math
import statistics
from dataclasses import asdict, dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from landscape.curvature.pyhessian import PyHessian
from landscape.curvature.spectra.density import Atom, Estimate, NullityEstimate, Quadrature, density
from landscape.curvature.spectra.sampled import SampledSpectrum
from landscape.curvature.spectra.spectrum import Spectrum
from landscape.degeneracy.methods import hessian_at
from landscape.model.objective import Objective
from landscape.model.problem import Problem

TOP = 3  # eigenvalues that PyHessian is asked for, by power iteration


@dataclass(frozen=True)
class SpectrumEstimate:
    """Stochastic Lanczos quadrature of the Hessian at a point.

    Attributes:
        problem: The model of the point.
        sampled: Nodes and weights of the probes, with what they resolve.
        trace: The mean eigenvalue times the number of parameters; exact quadrature, so its error is that of the probes alone.
        products: Number of Hessian products spent.
    """

    problem: Problem
    sampled: SampledSpectrum
    trace: Estimate
    products: int

    @property
    def atoms(self) -> tuple[Atom, ...]:
        """Clusters of Ritz mass narrower than the resolution, ascending, as fractions of all eigenvalues."""
        return self.sampled.atoms

    @property
    def nullity(self) -> NullityEstimate:
        """How many eigenvalues lie within its cutoff of zero, with an error bar."""
        return self.sampled.zeros

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form."""
        return {
            "method": "slq",
            "parameters": self.problem.parameters,
            "atoms": [asdict(atom) for atom in self.atoms],
            "nullity_estimate": asdict(self.nullity),
            "trace": asdict(self.trace),
            "products": self.products,
        }


@dataclass(frozen=True)
class PyHessianComparison:
    """One quantity by PyHessian and by us.

    Attributes:
        name: Name of the quantity that is compared.
        pyhessian: Value by PyHessian, a mean over probes where it is stochastic.
        error: Standard error over PyHessian's probes; None where PyHessian gives no more than a number.
        ours: Value from all eigenvalues; None if the spectrum is not known.
    """

    name: str
    pyhessian: float
    error: float | None
    ours: float | None


def estimate_spectrum(problem: Problem, theta: Float[Tensor, " p"], settings: Quadrature) -> SpectrumEstimate:
    """Returns the quadrature of the Hessian at a point; memory is probes * steps vectors."""
    found = density(hessian_at(problem, theta), settings)
    means = [problem.parameters * float(run.weights @ run.values) for run in found.runs]
    error = statistics.stdev(means) / math.sqrt(len(means))
    trace = Estimate(math.fsum(means) / len(means), error, len(means), found.products)
    return SpectrumEstimate(problem, SampledSpectrum.of_density(found), trace, found.products)


def beside_pyhessian(
    problem: Problem, theta: Float[Tensor, " p"], spectrum: Spectrum | None, settings: Quadrature
) -> tuple[tuple[PyHessianComparison, ...], SampledSpectrum]:
    """Returns what the repaired PyHessian 0.1 says at a point, beside the same from our spectrum, and its density.

    Its power iteration sees the eigenvalues that are largest in size; its density gives a weight near zero, which is the null
    fraction to within a standard error that it does not report (here from its probes).
    """
    peer = PyHessian.of_loss(Objective.of(problem, theta).loss, theta, settings.seed)
    largest = sorted(spectrum.expanded().tolist(), key=abs, reverse=True)[:TOP] if spectrum else [None] * TOP
    rows = [
        PyHessianComparison(f"eigenvalue {place}", theirs, None, ours)
        for place, (theirs, ours) in enumerate(zip(peer.eigenvalues(TOP), largest, strict=True), 1)
    ]
    rows.append(_over_probes("trace", peer.trace(settings.probes), spectrum.trace if spectrum else None))
    nodes, weights = peer.density(settings.steps, settings.probes)
    edge = 1e-6 * max(abs(node) for run in nodes for node in run)
    masses = [
        problem.parameters * math.fsum(w for node, w in zip(run, mass, strict=True) if abs(node) <= edge)
        for run, mass in zip(nodes, weights, strict=True)
    ]
    zeros = None if spectrum is None else float(sum(times for value, times in spectrum.pairs() if abs(value) <= edge))
    sampled = SampledSpectrum.of_nodes("pyhessian", problem.parameters, nodes, weights)
    return (*rows, _over_probes("eigenvalues near 0", masses, zeros)), sampled


def _over_probes(name: str, samples: list[float], ours: float | None) -> PyHessianComparison:
    error = statistics.stdev(samples) / math.sqrt(len(samples)) if len(samples) > 1 else None
    return PyHessianComparison(name, math.fsum(samples) / len(samples), error, ours)
