"""The seam: what is measured at a point beside what must be true there, in one report."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from landscape.arbiter import CLUSTER, LARGEST_CORE, Arbitration, arbitrate
from landscape.collapse import CollapseMetrics, collapse_metrics
from landscape.curvature.nullity import UNDECIDED_FACTOR, Nullity, count_zeros
from landscape.curvature.operator import Hessian
from landscape.curvature.spectrum import Spectrum, eigenvalues
from landscape.degeneracy_report import DegeneracyReport, Flatness
from landscape.errors import InputError
from landscape.naming import structure_name
from landscape.point import CriticalPoint
from landscape.problem import Problem
from landscape.reduction import Core, compress, reduce
from landscape.solver.methods import Newton
from landscape.solver.newton import polish_core, rank_tolerance
from landscape.symmetry import Orbit, orbit
from landscape.theory import orbit_dimension, paper_dimension

MethodName = Literal["auto", "reduction", "dense"]
LARGEST_DENSE = 20_000  # parameters: two matrices of 3.2 GB and hours of eigenvalues; beyond that dense is refused
_EQUAL = 1e-6  # relative difference up to which two singular values count as one in the paper's dimension
_WEYL = 10  # the smallest non-zero eigenvalue must exceed the change of the Hessian on the way there this many times
_POWER_STEPS = 30
_UNDECIDED = "undecided"  # by rounding alone, so that more digits can help
_SETTLED, _NEAR = 1e-12, 1e-6  # gradient norm and relative distance of the arbiter's point: a fold is known to half the digits
_NOT_CRITICAL = "not critical"
_FAR = 0.1  # of the norm of the parameters: a rank tolerance above it says that the point is nowhere near critical
_STRAY = 10  # the polished point may be this many times (gradient norm / smallest eigenvalue) away: Newton's own estimate is 1


@dataclass(frozen=True)
class _Measured:
    """What a method brings home.

    Attributes:
        spectrum: Complete.
        gauss_newton: Frobenius norm and trace of the data part.
    """

    spectrum: Spectrum
    gauss_newton: tuple[float, float]


def analyse(source: CriticalPoint | Core, method: MethodName = "auto") -> DegeneracyReport:
    """Returns the degeneracy of a saved point, or of a core that was never written out as parameters.

    "reduction" is exact and independent of width and samples, for linear models; "dense" forms the Hessian by torch.func and
    takes its eigenvalues, for anything with up to `LARGEST_DENSE` parameters; "auto" is reduction where the model is linear.
    A saved point is never moved: the reduction polishes a copy of its core, and the answer holds for the point only if that
    copy is as close as the gradient norm says it must be.

    Raises:
        InputError: If the method cannot be used for the model or its size.
    """
    problem = source.problem
    if method == "auto":
        method = "reduction" if problem.is_linear else "dense"
    if method == "reduction" and not problem.is_linear:
        raise InputError(f"expected linear layers for the reduction, got {problem.activation}: use --method dense")
    if isinstance(source, Core):
        return _analyse_core(source, method)
    theta, norm = source.theta, source.gradient_norm
    tolerance = rank_tolerance(problem, theta, norm)
    core, nearest = _polished(problem, theta, tolerance)
    reason, orbital, measured = "", None, None
    if problem.is_linear and core is None:
        reason = _not_critical(norm, "the factors have different ranks")
    elif not problem.is_linear and tolerance > _FAR * float(theta.norm()):
        reason = _not_critical(norm, f"features below {tolerance:.1e} cannot be told from zero")
    elif not problem.is_linear and (kinks := _kinks(problem, theta, tolerance)):
        reason = f"{kinks} pre-activations lie within {tolerance:.1e} of a ReLU kink, where there is no Hessian"
    else:
        orbital = orbit(problem, problem.objective(theta).split(theta), tolerance)
        measured = _reduced(core) if method == "reduction" and core is not None else _dense(problem, theta)
    report = _report(problem, source.loss, norm, core, orbital, measured, method, reason)
    if core is not None and not report.reason and (far := _too_far(report, theta, nearest)):
        report = replace(report, reason=_not_critical(norm, far), index=None, nullity=None)
    name = _NOT_CRITICAL if report.reason.startswith(_NOT_CRITICAL) else _name(source, core)
    return replace(report, collapse=collapse_metrics(problem, theta), structure=name)


def _analyse_core(core: Core, method: MethodName) -> DegeneracyReport:
    if method != "reduction":
        raise InputError(f"expected a saved point for the method {method}, got one without parameters: write it with solve --out")
    loss, gradient = core.objective.value_and_gradient(core.theta)
    norm = float(gradient.norm())
    factors = core.objective.split(core.theta)
    orbital = orbit(core.problem, factors, rank_tolerance(core.problem, core.theta, norm))
    report = _report(core.problem, float(loss), norm, core, orbital, _reduced(core), method, "")
    thin = replace(core.problem, width=max(core.rank, 1))
    frames = [torch.eye(thin.width, core.rank, dtype=core.theta.dtype, device=core.theta.device)] * core.problem.depth
    metrics = collapse_metrics(thin, core.embed(frames))
    return replace(report, collapse=metrics, structure=structure_name(core.problem, core.class_logits, core.rank))


def _report(
    problem: Problem,
    loss: float,
    norm: float,
    core: Core | None,
    orbital: Orbit | None,
    measured: _Measured | None,
    method: str,
    reason: str,
) -> DegeneracyReport:
    """Puts the measured beside the predicted and decides whether the counts may be stated."""
    rank = core.rank if core else None
    formula = orbit_dimension(rank, problem.width, problem.depth) if rank is not None else None
    zeros = flatness = arbitration = None
    if measured and orbital:
        spectrum = measured.spectrum
        # Where no gauge direction exists, logits of order 1 are the scale on which the gradient norm has to be small.
        zeros = count_zeros(spectrum, 2 * norm / min(orbital.smallest_singular, 1.0))
        flatness = Flatness(spectrum.norm, spectrum.frobenius, spectrum.trace, *measured.gauss_newton)
        reason = reason or _doubt(zeros, spectrum, orbital, formula, norm)
        if reason.startswith(_UNDECIDED) and core is not None and core.objective.size <= LARGEST_CORE:
            zeros, arbitration, reason = _appeal(core, zeros, reason)
    certain = zeros is not None and not reason
    return DegeneracyReport(
        problem=problem,
        loss=loss,
        gradient_norm=norm,
        rank=rank,
        structure="",
        index=zeros.negative if zeros and certain else None,
        nullity=zeros.count if zeros and certain else None,
        orbit_dimension=orbital.dimension if orbital else None,
        orbit_formula=formula,
        paper_dimension=_paper_dimension(problem, core),
        spectrum=measured.spectrum if measured else None,
        flatness=flatness,
        collapse=CollapseMetrics((), (), (), math.nan),
        method=method,
        zeros=zeros,
        reason=reason,
        arbitration=arbitration,
    )


def _appeal(core: Core, zeros: Nullity, reason: str) -> tuple[Nullity, Arbitration | None, str]:
    """Puts what rounding left open before the arbiter; returns the counts, the verdict, and why it stays open if it does."""
    reduction = reduce(core)
    outside = Spectrum.merge(((b.values, b.multiplicity) for b in reduction.blocks if b.name != "core"), reduction.error)
    rest = count_zeros(outside, 0.0)
    if not rest.resolved:
        return zeros, None, reason
    verdict = arbitrate(core)
    if verdict.gradient_norm > _SETTLED or verdict.distance > _NEAR * float(core.theta.norm()):
        return zeros, verdict, f"{reason}; at {verdict.digits} digits no critical point was found next to it"
    judged = Nullity(
        count=rest.count + verdict.count,
        negative=rest.negative + verdict.negative,
        undecided=0,
        cutoff=max(verdict.largest_zero, 10.0**-verdict.digits),
        largest_zero=verdict.largest_zero,
        smallest_nonzero=min(rest.smallest_nonzero, verdict.smallest_nonzero),
    )
    return judged, verdict, ""


def _doubt(zeros: Nullity, spectrum: Spectrum, orbital: Orbit, formula: int | None, norm: float) -> str:
    """Returns why the counts are not certain, or nothing."""
    swamped = UNDECIDED_FACTOR * zeros.cutoff > spectrum.norm
    if (zeros.undecided or swamped) and zeros.cutoff > 2 * spectrum.error:
        if swamped:
            return _not_critical(norm, f"the zero radius {zeros.cutoff:.1e} that it implies swamps the spectrum")
        return _not_critical(norm, f"{zeros.undecided} eigenvalues are too close to the zero radius {zeros.cutoff:.1e}")
    if zeros.undecided:
        doubt = f"{zeros.undecided} eigenvalues are too close to the rounding error {zeros.cutoff:.1e}"
    elif formula is not None and orbital.dimension != formula:
        doubt = f"the generators have rank {orbital.dimension}, but a critical point of this rank has {formula}"
    elif zeros.count != orbital.dimension:
        doubt = f"{zeros.count} eigenvalues are below {zeros.cutoff:.1e} but symmetry explains {orbital.dimension}"
    elif zeros.smallest_nonzero <= CLUSTER * spectrum.norm:
        doubt = f"an eigenvalue of size {zeros.smallest_nonzero:.1e} may be zero at the decay that this one rounds"
    else:
        return ""
    return f"{_UNDECIDED}: {doubt}; double precision cannot tell"


def _not_critical(norm: float, evidence: str) -> str:
    return (
        f"{_NOT_CRITICAL} enough: at gradient norm {norm:.1e} {evidence}; "
        "run landscape solve --start FILE --out NEW, or landscape import with --polish"
    )


def _too_far(report: DegeneracyReport, theta: Tensor, nearest: Tensor) -> str:
    """Returns why the counts at the nearest critical point do not hold for a point, or nothing."""
    assert report.zeros is not None
    stray, gap = float((nearest - theta).norm()), report.zeros.smallest_nonzero
    rounding = 1e3 * torch.finfo(theta.dtype).eps * float(theta.norm())
    if stray > rounding + _STRAY * report.gradient_norm / gap:
        return f"the nearest critical point of its rank is {stray:.1e} away"
    if report.arbitration is not None and stray <= rounding:
        return ""  # the point is that critical point, rounded: what the arbiter has seen below rounding is not to be seen here
    change = _hessian_change(report.problem, theta, nearest)
    if _WEYL * change > gap:
        return f"the Hessian changes by {change:.1e} on the way to the nearest critical point of its rank"
    return ""


def _hessian_change(problem: Problem, theta: Tensor, other: Tensor) -> float:
    """Returns the spectral norm of the difference of two Hessians, by power iteration (from below, to a few per cent).

    By Weyl's inequality no eigenvalue differs by more between the two points.
    """
    objective = problem.objective(theta)
    here, there = objective.linearize(theta), objective.linearize(other)
    vector = torch.randn(theta.numel(), dtype=theta.dtype, generator=torch.Generator().manual_seed(0)).to(theta.device)
    for _ in range(_POWER_STEPS):
        vector = vector / vector.norm().clamp(min=torch.finfo(theta.dtype).tiny)
        vector = here(vector) - there(vector)
    return float(vector.norm())


def _polished(problem: Problem, theta: Tensor, tolerance: float) -> tuple[Core | None, Tensor]:
    """Returns the core of the critical point next to a point, and that critical point; (None, theta) if the point has no core."""
    if not problem.is_linear:
        return None, theta
    try:
        core, frames = compress(problem, theta, tolerance)
    except InputError:
        return None, theta
    core = polish_core(core, Newton())
    return core, core.embed(frames)


def _kinks(problem: Problem, theta: Tensor, tolerance: float) -> int:
    """Counts hidden pre-activations that are zero to the tolerance."""
    hidden = problem.objective(theta).preactivations(theta)[:-1]
    return sum(int((signal.abs() <= tolerance).sum()) for signal in hidden)


def _name(point: CriticalPoint, core: Core | None) -> str:
    if core is not None:
        return structure_name(point.problem, core.class_logits, core.rank)
    logits = point.problem.class_means(point.problem.objective(point.theta).logits(point.theta))
    values = torch.linalg.svdvals(logits)
    return structure_name(point.problem, logits, int((values > _EQUAL * values.max()).sum()))


def _paper_dimension(problem: Problem, core: Core | None) -> int | None:
    """Groups the logits' singular values into equal ones; None where Theorem 5 does not apply."""
    if core is None or problem.width < problem.classes:
        return None
    features, *layers = core.objective.split(core.theta)
    product = features
    for layer in layers:
        product = layer @ product
    values = torch.linalg.svdvals(product)[: core.rank].tolist()
    multiplicities: list[int] = []
    last = math.inf
    for value in values:
        if last - value <= _EQUAL * last and multiplicities:
            multiplicities[-1] += 1
        else:
            multiplicities.append(1)
        last = value
    return paper_dimension(multiplicities, problem.width, problem.depth)


def _reduced(core: Core) -> _Measured:
    reduction = reduce(core)
    newton = Spectrum.merge(((block.values, block.multiplicity) for block in reduction.gauss_newton), reduction.error)
    return _Measured(reduction.spectrum, (newton.frobenius, newton.trace))


def _dense(problem: Problem, theta: Tensor) -> _Measured:
    if problem.parameters > LARGEST_DENSE:
        gigabytes = 16e-9 * problem.parameters**2
        raise InputError(
            f"expected at most {LARGEST_DENSE} parameters for the dense method, got {problem.parameters} "
            f"({gigabytes:.0f} GB): use --method reduction"
        )
    objective = problem.objective(theta)
    spectrum = eigenvalues(Hessian(objective.loss, theta))
    jacobian = torch.func.jacrev(objective.logits)(theta)
    bent = objective.fit_curvature(objective.logits(theta))(jacobian.movedim(-1, 0))
    product = bent.flatten(1).mT @ jacobian.flatten(0, 1).mT
    return _Measured(spectrum, (float((product * product.mT).sum().sqrt()), float(product.trace())))
