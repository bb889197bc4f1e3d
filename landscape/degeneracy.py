"""The seam: what is measured at a point beside what must be true there, in one report."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from landscape.arbiter import CLUSTER, Arbitration, arbitrate, is_arbitrable
from landscape.collapse import CollapseMetrics, collapse_metrics
from landscape.curvature.nullity import UNDECIDED_FACTOR, Nullity, count_zeros
from landscape.curvature.spectrum import Spectrum
from landscape.degeneracy_report import DegeneracyReport, Flatness
from landscape.errors import InputError
from landscape.kinks import kinks
from landscape.naming import structure_name
from landscape.objective import Objective, class_means
from landscape.point import CriticalPoint
from landscape.problem import Problem
from landscape.reduction import Core, Reduction, compress, reduce
from landscape.routes import (
    Choice,
    Measurement,
    MethodName,
    choose,
    disagreement,
    gradient_radius,
    hessian_change,
    measure,
    second_opinion,
    unproved,
)
from landscape.solver.methods import Newton
from landscape.solver.newton import polish_core, rank_tolerance
from landscape.symmetry import Orbit, orbit
from landscape.theory import orbit_dimension_at, paper_dimension_at

_NEGLIGIBLE = 1e-6  # of the largest singular value of the logits: what is smaller adds no rank to a point without a core
_WEYL = 10  # the smallest non-zero eigenvalue must exceed the change of the Hessian on the way there this many times
_UNDECIDED = "undecided"  # by rounding alone, so that more digits can help
_SETTLED, _NEAR = 1e-12, 1e-6  # gradient norm and relative distance of the arbiter's point: a fold is known to half the digits
_NOT_CRITICAL = "not critical"
_FAR = 0.1  # of the norm of the parameters: a rank tolerance above it says that the point is nowhere near critical
_STRAY = 10  # the polished point may be this many times (gradient norm / smallest eigenvalue) away: Newton's own estimate is 1


def analyse(source: CriticalPoint | Core, method: MethodName = "auto") -> DegeneracyReport:
    """Returns the degeneracy of a saved point, or of a core that was never written out as parameters.

    The methods and the rule by which "auto" takes one or two of them are those of `routes.choose`. Two routes that disagree make
    the count undecided. A saved point is never moved: the reduction polishes a copy of its core, and the answer holds for the
    point only if that copy is as close as the gradient norm says it must be; the second route works at that copy too.

    Raises:
        InputError: If the method cannot be used for the model or its size.
    """
    if isinstance(source, Core) and method not in ("auto", "reduction"):
        raise InputError(f"expected a saved point for the method {method}, got one without parameters: write it with solve --out")
    problem, choice = source.problem, choose(source.problem, method, device=source.theta.device)
    if isinstance(source, Core):
        return _analyse_core(source, choice)
    theta, norm = source.theta, source.gradient_norm
    tolerance = rank_tolerance(problem, theta, norm)
    core, nearest = _polished(problem, theta, tolerance)
    reason, orbital, measured, bent = "", None, None, None
    if problem.is_linear and core is None:
        reason = _not_critical(norm, "the factors have different ranks")
    elif not problem.is_linear and tolerance > _FAR * float(theta.norm()):
        reason = _not_critical(norm, f"features below {tolerance:.1e} cannot be told from zero")
    elif not problem.is_linear and (bent := kinks(problem, theta, tolerance)).count:
        reason = f"{bent.count} pre-activations lie within {tolerance:.1e} of a ReLU kink, where there is no Hessian"
    else:
        orbital = orbit(problem, Objective.of(problem, theta).split(theta), tolerance)
        measured = _measured(problem, theta, core, orbital, choice, norm, tolerance)
    report = _report(problem, source.loss, norm, core, orbital, measured, choice.first, reason)
    if report.zeros is not None and core is not None and not report.reason and (far := _too_far(report, theta, nearest)):
        report = replace(report, reason=_not_critical(norm, far), index=None, nullity=None)
    report = _confirmed(report, nearest, choice, tolerance, orbital)
    name = _NOT_CRITICAL if report.reason.startswith(_NOT_CRITICAL) else _name(source, core)
    return replace(report, collapse=collapse_metrics(problem, theta), structure=name, kinks=bent)


def _confirmed(
    report: DegeneracyReport, theta: Tensor, choice: Choice, tolerance: float, orbital: Orbit | None
) -> DegeneracyReport:
    """Returns the report with what the second route says of a count that the first one states."""
    if choice.second is None or not report.resolved or report.zeros is None or orbital is None or report.arbitration:
        return report  # double precision cannot confirm or contradict the arbiter
    second = second_opinion(report.problem, theta, choice.second, tolerance, orbital)
    if contradiction := disagreement(report.zeros, report.method, second):
        return replace(report, reason=contradiction, index=None, nullity=None, second=second)
    return replace(report, second=second)


def _analyse_core(core: Core, choice: Choice) -> DegeneracyReport:
    loss, gradient = core.objective.value_and_gradient(core.theta)
    norm = float(gradient.norm())
    factors = core.objective.split(core.theta)
    tolerance = rank_tolerance(core.problem, core.theta, norm)
    orbital = orbit(core.problem, factors, tolerance)
    report = _report(core.problem, float(loss), norm, core, orbital, _reduced(core), choice.first, "")
    if choice.second is not None:
        wide = [torch.eye(core.problem.width, core.rank, dtype=core.theta.dtype, device=core.theta.device)] * core.problem.depth
        report = _confirmed(report, core.embed(wide), choice, tolerance, orbital)
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
    measured: Measurement | None,
    method: str,
    reason: str,
) -> DegeneracyReport:
    """Puts the measured beside the predicted and decides whether the counts may be stated."""
    rank = core.rank if core else None
    formula = orbit_dimension_at(problem, _singular(core)) if core else None
    zeros = flatness = arbitration = None
    if measured and orbital:
        spectrum = measured.spectrum
        zeros = measured.zeros or (count_zeros(spectrum, gradient_radius(norm, orbital)) if spectrum else None)
        if spectrum and measured.gauss_newton:
            flatness = Flatness(spectrum.norm, spectrum.frobenius, spectrum.trace, *measured.gauss_newton)
        if zeros and not reason:
            proved = not (reason := unproved(zeros))
            reason = reason or _doubt(zeros, orbital, formula, norm, _smallest(zeros, core))
            doubtful = proved and reason.startswith(_UNDECIDED) and orbital.dimension == formula
            if doubtful and core is not None and is_arbitrable(core):
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
        paper_dimension=paper_dimension_at(problem, _singular(core)) if core else None,
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
    rest = _outside(core, reduce(core))
    if rest is None:
        return zeros, None, reason
    verdict = arbitrate(core)
    if verdict.gradient_norm > _SETTLED or verdict.distance > _NEAR * float(core.theta.norm()):
        return zeros, verdict, f"{reason}; at {verdict.digits} digits no critical point was found next to it"
    cutoff = max(verdict.largest_zero, 10.0**-verdict.digits)
    judged = replace(
        zeros,
        count=rest.count + verdict.count,
        negative=rest.negative + verdict.negative,
        undecided=0,
        cutoff=cutoff,
        rounding=cutoff,
        gradient=0.0,
        largest_zero=verdict.largest_zero,
        smallest_nonzero=min(rest.smallest_nonzero, verdict.smallest_nonzero),
        sharp=True,
        certified=True,
        reason="",
    )
    return judged, verdict, ""


@dataclass(frozen=True)
class _Outside:
    """The eigenvalues outside the core."""

    count: int
    negative: int
    smallest_nonzero: float


def _outside(core: Core, reduction: Reduction) -> _Outside | None:
    """Returns what is outside the core, or None where rounding hides a sign.

    Rotations are null by theorem; partners, decays and moves within a class (decay plus a curvature >= 0) are positive. Only the
    complement of a single layer has eigenvalues of either sign; they stand where eight digits leave no doubt.
    """
    count = negative = 0
    sizes = [math.inf]
    for block in reduction.blocks:
        if block.name == "core" or not block.multiplicity or not block.values.numel():
            continue
        if block.name == "gauge rotations":
            count += block.multiplicity
            continue
        smallest = float(block.values.abs().min())
        if block.name == "complement":
            if smallest <= CLUSTER * float(block.values.abs().max()):
                return None
            negative += block.multiplicity * int((block.values < 0).sum())
        sizes.append(max(smallest, core.problem.decays[0]) if block.name == "within class" else smallest)
    return _Outside(count, negative, min(sizes))


def _doubt(zeros: Nullity, orbital: Orbit, formula: int | None, norm: float, smallest: float) -> str:
    """Returns why the counts are not certain, or nothing."""
    swamped = UNDECIDED_FACTOR * zeros.cutoff > zeros.norm
    if (zeros.undecided or swamped) and zeros.cutoff > 2 * zeros.rounding:
        if swamped:
            return _not_critical(norm, f"the zero radius {zeros.cutoff:.1e} that it implies swamps the spectrum")
        return _not_critical(norm, f"{zeros.undecided} eigenvalues are too close to the zero radius {zeros.cutoff:.1e}")
    if zeros.undecided:
        doubt = f"{zeros.undecided} eigenvalues are too close to the rounding error {zeros.cutoff:.1e}"
    elif formula is not None and orbital.dimension != formula:
        doubt = f"the generators have rank {orbital.dimension}, but a critical point of this rank has {formula}"
    elif zeros.count != orbital.dimension:
        doubt = f"{zeros.count} eigenvalues are below {zeros.cutoff:.1e} but symmetry explains {orbital.dimension}"
    elif smallest <= CLUSTER * zeros.norm:
        doubt = f"an eigenvalue of size {smallest:.1e} may be zero at the decay that this one rounds"
    else:
        return ""
    return f"{_UNDECIDED}: {doubt}; double precision cannot tell"


def _smallest(zeros: Nullity, core: Core | None) -> float:
    """Returns the smallest size among the non-zero eigenvalues where it is known, from the reduction if the method gave a bound."""
    if zeros.sharp:
        return zeros.smallest_nonzero
    return count_zeros(reduce(core).spectrum, zeros.gradient).smallest_nonzero if core is not None else math.inf


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
    change = hessian_change(report.problem, theta, nearest)
    if _WEYL * change > gap:
        return f"the Hessian changes by {change:.1e} on the way to the nearest critical point of its rank"
    return ""


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


def _name(point: CriticalPoint, core: Core | None) -> str:
    if core is not None:
        return structure_name(point.problem, core.class_logits, core.rank)
    logits = class_means(point.problem, Objective.of(point.problem, point.theta).logits(point.theta))
    values = torch.linalg.svdvals(logits)
    return structure_name(point.problem, logits, int((values > _NEGLIGIBLE * values.max()).sum()))


def _singular(core: Core) -> list[float]:
    """Returns the non-zero singular values of the class-mean logits times sqrt(class size)."""
    features, *layers = core.objective.split(core.theta)
    product = features
    for layer in layers:
        product = layer @ product
    values: list[float] = torch.linalg.svdvals(product)[: core.rank].tolist()
    return values


def _measured(
    problem: Problem, theta: Tensor, core: Core | None, orbital: Orbit, choice: Choice, norm: float, tolerance: float
) -> Measurement:
    if choice.first == "reduction" and core is not None:
        return _reduced(core)
    return measure(problem, theta, choice.first, tolerance, gradient_radius(norm, orbital))


def _reduced(core: Core) -> Measurement:
    reduction = reduce(core)
    newton = Spectrum.merge(((block.values, block.multiplicity) for block in reduction.gauss_newton), reduction.error)
    return Measurement(reduction.spectrum, (newton.frobenius, newton.trace), None)
