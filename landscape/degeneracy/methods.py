"""The ways to the Hessian at a point: which methods exist, which one a model of a size gets, and what a second one says.

`choose` is the one choice rule. A second route shares no code with the first beyond the Hessian product: the reduction knows
blocks in closed form, the deflated count projects the orbit out of the full Hessian and certifies by Lanczos that nothing else
is null.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.checks import require_symmetric
from landscape.curvature.counting.deflation import Deflated
from landscape.curvature.counting.dense_and_inertia import Inertia
from landscape.curvature.counting.interface import Counting, nullity
from landscape.curvature.counting.locking import BlockLanczos
from landscape.curvature.counting.lowrank import LowRank
from landscape.curvature.counting.quotient import QuotientCholesky
from landscape.curvature.counting.short_recurrence import ShortRecurrence
from landscape.curvature.counting.zeros import Nullity
from landscape.curvature.operators.counted import Counted
from landscape.curvature.operators.operator import Hessian, Product
from landscape.curvature.spectra.spectrum import Spectrum, eigenvalues
from landscape.errors import InputError
from landscape.memory import allowed_memory
from landscape.model.gauge import Orbit
from landscape.model.gauge_projector import orbit_projector
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.points.point import CriticalPoint

MethodName = Literal["auto", "reduction", "dense", "inertia", "quotient", "deflated", "recurrence", "lowrank", "lanczos"]
Route = Literal["reduction", "dense", "inertia", "quotient", "deflated", "recurrence", "lowrank", "lanczos"]
LARGEST_DENSE = 20_000  # parameters: two matrices of 3.2 GB and hours of eigenvalues; beyond that dense is refused
_DENSE_AT_ONCE = 10_000  # up to here eigenvalues are as fast as the range finder and say more
_LARGEST_SECOND = 100_000  # a second route beyond this takes tens of seconds at saddles
_CPU = torch.device("cpu")
_POWER_STEPS = 30
_SECOND_STEPS = 120  # of Lanczos: the budget of a second route; one that needs more says that it is undecided


@dataclass(frozen=True)
class Plan:
    """Methods that count at a point: one states the counts, another confirms them.

    Attributes:
        first: Method whose counts are stated.
        second: Independent method that must not contradict the first; None where it is not affordable or not wanted.
    """

    first: Route
    second: Route | None = None


@dataclass(frozen=True)
class Measurement:
    """Result of one method: a spectrum, a count, or both.

    Attributes:
        spectrum: Complete spectrum, or None if the method only counts.
        gauss_newton: Frobenius norm and trace of the data part of the Gauss-Newton matrix, with the spectrum.
        zeros: Count of zeros with its evidence; None if it is to be taken from the spectrum.
    """

    spectrum: Spectrum | None
    gauss_newton: tuple[float, float] | None
    zeros: Nullity | None


def choose(problem: Problem, method: MethodName, memory: float | None = None, device: torch.device = _CPU) -> Plan:
    """Returns the methods for a model.

    A named method runs alone. "auto" is

    - linear models: the reduction, whatever the size; the second route is the deflated count up to 100 000 parameters;
    - others up to 10 000 parameters (and 3 P^2 numbers of memory): all eigenvalues of the formed Hessian, then deflated;
    - larger, one decay: the range finder on H - decay I, which needs P R numbers, R the rank; then deflated;
    - larger, several decays: inertia if 3 P^2 numbers fit, else the deflated count alone.

    Args:
        problem: The model of the point.
        method: What was asked for.
        memory: Bytes that may be used; None for half of what the device has.
        device: Where the point is.

    Raises:
        InputError: If the method asked for cannot be used for the model or its size.
    """
    if method == "reduction" and not problem.is_linear:
        raise InputError(f"expected linear layers for the reduction, got {problem.activation}: use --method dense")
    if method == "dense" and problem.parameters > LARGEST_DENSE:
        raise InputError(
            f"expected at most {LARGEST_DENSE} parameters for the dense method, got {problem.parameters} "
            f"({16e-9 * problem.parameters**2:.0f} GB): use --method {'reduction' if problem.is_linear else 'lowrank'}"
        )
    if method == "lowrank" and len(set(problem.decays)) > 1:
        raise InputError("expected one decay for the method lowrank, got several: use --method deflated or inertia")
    if method != "auto":
        return Plan(method)
    bytes_free = half_of_memory(device) if memory is None else memory
    forms = 24.0 * problem.parameters**2 <= bytes_free
    second: Route | None = "deflated" if problem.parameters <= _LARGEST_SECOND else None
    if problem.is_linear:
        return Plan("reduction", second)
    if problem.parameters <= _DENSE_AT_ONCE and forms:
        return Plan("dense", second)
    if len(set(problem.decays)) == 1:
        return Plan("lowrank", second)
    return Plan("inertia", second) if forms else Plan("deflated")


def half_of_memory(device: torch.device) -> float:
    """Returns half of the bytes that are free on a CUDA device, or what `landscape.memory` allows of the machine's."""
    return 0.5 * torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else allowed_memory()


def hessian_at(problem: Problem, theta: Float[Tensor, " p"]) -> Product:
    """Returns the Hessian of the loss at a point by its hand-derived product."""
    return Product(Objective.of(problem, theta).linearize(theta), theta)


def hessian(point: CriticalPoint) -> Product:
    """Returns the Hessian at a point as an operator, for `nullity`, `density`, `extremes`, `trace` and `dense`.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> ls.hessian(ls.place(problem, ls.Collapse())).size
        108
    """
    return hessian_at(point.problem, point.theta)


def gradient_radius(gradient_norm: float, orbital: Orbit) -> float:
    """Returns how far from zero a gauge eigenvalue can be at this gradient norm.

    Where no gauge direction exists, logits of order 1 are the scale on which the gradient norm has to be small.
    """
    return 2 * gradient_norm / min(orbital.smallest_singular, 1.0)


def measure(problem: Problem, theta: Float[Tensor, " p"], route: Route, tolerance: float, radius: float) -> Measurement:
    """Runs a method on the full Hessian at a point.

    Args:
        problem: The model of the point.
        theta: The point; for ReLU one without a kink.
        route: Any but the reduction, which works on a core.
        tolerance: Singular values of the factors up to this count as zero (absolute).
        radius: How far from zero a null eigenvalue may lie because the point is not exactly critical.

    Raises:
        InputError: If memory is too small for the method.
    """
    if route == "dense":  # by torch.func, so that the hand-derived product is not in it
        spectrum = eigenvalues(Hessian(Objective.of(problem, theta).loss, theta))
        return Measurement(spectrum, gauss_newton_norms(problem, theta), None)
    operator = hessian_at(problem, theta)
    if route == "lowrank":
        method = LowRank(problem.mean_decay, memory=half_of_memory(theta.device))
        counted = Counted.of(operator)
        require_symmetric(counted)
        zeros = method.zeros(whole := method.spectrum(counted), operator, radius)
        return Measurement(whole.spectrum, gauss_newton_norms(problem, theta), replace(zeros, products=counted.products))
    return Measurement(None, None, nullity(operator, _counting(problem, theta, route, tolerance), radius))


def second_method(problem: Problem, theta: Float[Tensor, " p"], route: Route, tolerance: float, orbital: Orbit) -> Nullity:
    """Returns what a second route counts at a point, within a budget of time."""
    objective = Objective.of(problem, theta)
    radius = gradient_radius(float(objective.gradient(theta).norm()), orbital)
    if route == "deflated":
        projector, memory = orbit_projector(problem, theta, tolerance), half_of_memory(theta.device)
        method = Deflated(projector, probes=4, steps=_SECOND_STEPS, memory=memory)
        return nullity(hessian_at(problem, theta), method, radius)
    counted = measure(problem, theta, route, tolerance, radius).zeros
    assert counted is not None
    return counted


def certificate(method: str, zeros: Nullity | None, gradient_norm: float, second: Nullity | None) -> dict[str, Any]:
    """Returns the JSON form of the evidence for a count; what is not known is None."""
    return {
        "method": method,
        "cutoff": zeros and zeros.cutoff,
        "largest_zero": zeros and zeros.largest_zero,
        "smallest_nonzero": _finite(zeros.smallest_nonzero) if zeros else None,
        "gradient_norm": gradient_norm,
        "below_cutoff": zeros and zeros.count,
        "rounding": zeros and zeros.rounding,
        "gradient": zeros and zeros.gradient,
        "delta": zeros and zeros.delta,
        "products": zeros and zeros.products,
        "seed": zeros and zeros.seed,
        "second": second
        and {
            "method": second.method,
            "nullity": second.count if second.resolved else None,
            "index": second.negative if second.resolved else None,
            "resolved": second.resolved,
            "reason": second.reason,
            "cutoff": second.cutoff,
            "delta": second.delta,
            "products": second.products,
            "seed": second.seed,
        },
    }


def hessian_change(problem: Problem, theta: Float[Tensor, " p"], other: Float[Tensor, " p"]) -> float:
    """Returns the spectral norm of the difference of two Hessians, by power iteration (from below, to a few per cent).

    By Weyl's inequality no eigenvalue differs by more between the two points.
    """
    objective = Objective.of(problem, theta)
    here, there = objective.linearize(theta), objective.linearize(other)
    vector = torch.randn(theta.numel(), dtype=theta.dtype, generator=torch.Generator().manual_seed(0)).to(theta.device)
    for _ in range(_POWER_STEPS):
        vector = vector / vector.norm().clamp(min=torch.finfo(theta.dtype).tiny)
        vector = here(vector) - there(vector)
    return float(vector.norm())


def gauss_newton_norms(problem: Problem, theta: Float[Tensor, " p"]) -> tuple[float, float]:
    """Returns Frobenius norm and trace of J^T (d^2 g/dZ^2) J, from the matrix of the size of the logits."""
    objective = Objective.of(problem, theta)
    jacobian = torch.func.jacrev(objective.logits)(theta)
    bent = objective.fit_curvature(objective.logits(theta))(jacobian.movedim(-1, 0))
    product = bent.flatten(1).mT @ jacobian.flatten(0, 1).mT
    return float((product * product.mT).sum().sqrt()), float(product.trace())


def _counting(problem: Problem, theta: Tensor, route: Route, tolerance: float) -> Counting:
    memory = half_of_memory(theta.device)
    match route:
        case "inertia":
            return Inertia(memory)
        case "quotient":
            return QuotientCholesky(orbit_projector(problem, theta, tolerance), memory)
        case "deflated":
            return Deflated(orbit_projector(problem, theta, tolerance), memory=memory)
        case "recurrence":
            return ShortRecurrence(orbit_projector(problem, theta, tolerance))
        case "lanczos":
            return BlockLanczos(block=32 if problem.parameters < 2_000 else 256, memory=memory)
        case "reduction" | "dense" | "lowrank":
            raise InputError(f"expected a method that only counts, got {route}")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
