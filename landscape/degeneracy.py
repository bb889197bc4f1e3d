"""The seam: what is measured at a point beside what must be true there, in one report."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from landscape.collapse import CollapseMetrics, collapse_metrics
from landscape.curvature.nullity import UNDECIDED_FACTOR, Nullity, count_zeros
from landscape.curvature.spectrum import Spectrum
from landscape.errors import InputError
from landscape.kinks import Kinks, kinks
from landscape.naming import structure_name
from landscape.point import CriticalPoint
from landscape.problem import Problem
from landscape.reduction import Core, compress, reduce
from landscape.routes import (
    Choice,
    MethodName,
    certificate,
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
from landscape.theory import orbit_dimension, paper_dimension

_EQUAL = 1e-6  # relative difference up to which two singular values count as one in the paper's dimension
_WEYL = 10  # the smallest non-zero eigenvalue must exceed the change of the Hessian on the way there this many times
_NOT_CRITICAL = "not critical"
_FAR = 0.1  # of the norm of the parameters: a rank tolerance above it says that the point is nowhere near critical
_STRAY = 10  # the polished point may be this many times (gradient norm / smallest eigenvalue) away: Newton's own estimate is 1


@dataclass(frozen=True)
class Flatness:
    """Norms of the Hessian, and of the data part of its Gauss-Newton matrix, which weight decay does not swamp.

    Attributes:
        spectral: Largest eigenvalue in size.
        frobenius: Square root of the sum of squares.
        trace: Sum of the eigenvalues.
        gauss_newton_frobenius: The same of J^T (d^2 g/dZ^2) J.
        gauss_newton_trace: The same.
    """

    spectral: float
    frobenius: float
    trace: float
    gauss_newton_frobenius: float
    gauss_newton_trace: float


@dataclass(frozen=True)
class DegeneracyReport:
    """How degenerate a critical point is, measured and predicted.

    Every count is exact (`resolved`) or None; `reason` then says why and what to run.

    Attributes:
        point: Problem, loss and gradient norm of what was analysed.
        rank: Of every factor; None if they differ, as they may away from critical points.
        structure: Name of the matching structure.
        index: Negative eigenvalues.
        nullity: Zero eigenvalues.
        orbit_dimension: Rank of the generators of the gauge group at the point.
        orbit_formula: L (d r - r (r+1)/2), what that rank must be for linear models.
        paper_dimension: What Theorem 5 of the paper counts; linear models with width >= classes.
        spectrum: All eigenvalues, or None if the point is too far from critical for the method.
        flatness: Norms, with the spectrum.
        collapse: Neural-collapse metrics.
        method: What computed the spectrum.
        zeros: The count with its evidence, or None without a spectrum.
        reason: Empty if resolved.
        second: What an independent route counted; None if there was none.
        kinks: What is not smooth there; None for linear models.
    """

    problem: Problem
    loss: float
    gradient_norm: float
    rank: int | None
    structure: str
    index: int | None
    nullity: int | None
    orbit_dimension: int | None
    orbit_formula: int | None
    paper_dimension: int | None
    spectrum: Spectrum | None
    flatness: Flatness | None
    collapse: CollapseMetrics
    method: str
    zeros: Nullity | None
    reason: str
    second: Nullity | None = None
    kinks: Kinks | None = None

    @property
    def resolved(self) -> bool:
        """Whether nullity and index are exact."""
        return not self.reason

    @property
    def excess(self) -> int | None:
        """Zeros that the gauge orbit does not explain."""
        if self.nullity is None or self.orbit_dimension is None:
            return None
        return self.nullity - self.orbit_dimension

    @property
    def learning_coefficient(self) -> float | None:
        """(P - nullity) / 2, the real log canonical threshold of a Morse-Bott minimum; None at saddles."""
        return (self.problem.parameters - self.nullity) / 2 if self.nullity is not None and self.index == 0 else None

    @property
    def smallest_positive(self) -> float | None:
        """The smallest eigenvalue above the zero radius."""
        if self.spectrum is None or self.zeros is None:
            return None
        return min((value for value, _ in self.spectrum.pairs() if value > self.zeros.cutoff), default=None)

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form; what is not known is None."""
        extremes = (float(self.spectrum.values[0]), float(self.spectrum.values[-1])) if self.spectrum else (None, None)
        flat = self.flatness
        return {
            "parameters": self.problem.parameters,
            "rank": self.rank,
            "loss": self.loss,
            "gradient_norm": self.gradient_norm,
            "index": self.index,
            "nullity": self.nullity,
            "orbit_dimension": self.orbit_dimension,
            "paper_dimension": self.paper_dimension,
            "excess": self.excess,
            "resolved": self.resolved,
            "structure": self.structure,
            "min_eigenvalue": extremes[0],
            "max_eigenvalue": extremes[1],
            "smallest_positive": self.smallest_positive,
            "flatness": flat
            and {
                "spectral": flat.spectral,
                "frobenius": flat.frobenius,
                "trace": flat.trace,
                "gauss_newton": {"frobenius": flat.gauss_newton_frobenius, "trace": flat.gauss_newton_trace},
            },
            "learning_coefficient": self.learning_coefficient,
            "collapse": asdict(self.collapse),
            "certificate": certificate(self.method, self.zeros, self.gradient_norm, self.second)
            | {"kinks": self.kinks and self.kinks.as_dict()},
            "spectrum": self.spectrum and [list(atom) for atom in self.spectrum.atoms()],
        }


@dataclass(frozen=True)
class _Measured:
    """What a method brings home.

    Attributes:
        spectrum: Complete, or None if the method only counts.
        gauss_newton: Frobenius norm and trace of the data part, with the spectrum.
        zeros: The count; None if it is to be taken from the spectrum.
    """

    spectrum: Spectrum | None
    gauss_newton: tuple[float, float] | None
    zeros: Nullity | None = None


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
    problem, choice = source.problem, choose(source.problem, method)
    if isinstance(source, Core):
        return _analyse_core(source, choice)
    theta, norm = source.theta, source.gradient_norm
    tolerance = rank_tolerance(problem, theta, norm)
    core, nearest = _polished(problem, theta, tolerance)
    stray = float((nearest - theta).norm())
    reason, orbital, measured, bent = "", None, None, None
    if problem.is_linear and core is None:
        reason = _not_critical(norm, "the factors have different ranks")
    elif not problem.is_linear and tolerance > _FAR * float(theta.norm()):
        reason = _not_critical(norm, f"features below {tolerance:.1e} cannot be told from zero")
    elif not problem.is_linear and (bent := kinks(problem, theta, tolerance)).count:
        reason = f"{bent.count} pre-activations lie within {tolerance:.1e} of a ReLU kink, where there is no Hessian"
    else:
        orbital = orbit(problem, problem.objective(theta).split(theta), tolerance)
        measured = _measured(problem, theta, core, orbital, choice, norm, tolerance)
    report = _report(problem, source.loss, norm, core, orbital, measured, choice.first, reason)
    if report.zeros is not None and core is not None and not report.reason:
        gap = report.zeros.smallest_nonzero
        allowed = 1e3 * torch.finfo(theta.dtype).eps * float(theta.norm()) + _STRAY * norm / gap
        change = hessian_change(problem, theta, nearest)
        far = ""
        if stray > allowed:
            far = f"the nearest critical point of its rank is {stray:.1e} away, more than {allowed:.1e}"
        elif _WEYL * change > gap:
            far = f"the Hessian changes by {change:.1e} on the way to the nearest critical point of its rank"
        if far:
            report = replace(report, reason=_not_critical(norm, far), index=None, nullity=None)
    report = _confirmed(report, nearest, choice, tolerance, orbital)
    name = _NOT_CRITICAL if report.reason.startswith(_NOT_CRITICAL) else _name(source, core)
    return replace(report, collapse=collapse_metrics(problem, theta), structure=name, kinks=bent)


def _confirmed(
    report: DegeneracyReport, theta: Tensor, choice: Choice, tolerance: float, orbital: Orbit | None
) -> DegeneracyReport:
    """Returns the report with what the second route says of a count that the first one states."""
    if choice.second is None or not report.resolved or report.zeros is None or orbital is None:
        return report
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
    measured: _Measured | None,
    method: str,
    reason: str,
) -> DegeneracyReport:
    """Puts the measured beside the predicted and decides whether the counts may be stated."""
    rank = core.rank if core else None
    formula = orbit_dimension(rank, problem.width, problem.depth) if rank is not None else None
    zeros = flatness = None
    if measured and orbital:
        spectrum = measured.spectrum
        zeros = measured.zeros or (count_zeros(spectrum, gradient_radius(norm, orbital)) if spectrum else None)
        if spectrum and measured.gauss_newton:
            flatness = Flatness(spectrum.norm, spectrum.frobenius, spectrum.trace, *measured.gauss_newton)
        reason = reason or (unproved(zeros) or _doubt(zeros, orbital, formula, norm) if zeros else "")
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
    )


def _doubt(zeros: Nullity, orbital: Orbit, formula: int | None, norm: float) -> str:
    """Returns why the counts are not certain, or nothing."""
    swamped = UNDECIDED_FACTOR * zeros.cutoff > zeros.norm
    if (zeros.undecided or swamped) and zeros.cutoff > 2 * zeros.rounding:
        if swamped:
            return _not_critical(norm, f"the zero radius {zeros.cutoff:.1e} that it implies swamps the spectrum")
        return _not_critical(norm, f"{zeros.undecided} eigenvalues are too close to the zero radius {zeros.cutoff:.1e}")
    if zeros.undecided:
        return f"undecided: {zeros.undecided} eigenvalues are too close to the rounding error {zeros.cutoff:.1e}"
    if formula is not None and orbital.dimension != formula:
        return f"undecided: the generators have rank {orbital.dimension}, but a critical point of this rank has {formula}"
    if zeros.count != orbital.dimension:
        return (
            f"undecided: {zeros.count} eigenvalues are below {zeros.cutoff:.1e} but symmetry explains {orbital.dimension}; "
            "double precision cannot tell the others from small ones"
        )
    return ""


def _not_critical(norm: float, evidence: str) -> str:
    return (
        f"{_NOT_CRITICAL} enough: at gradient norm {norm:.1e} {evidence}; "
        "run landscape solve --start FILE --out NEW, or landscape import with --polish"
    )


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


def _measured(
    problem: Problem, theta: Tensor, core: Core | None, orbital: Orbit, choice: Choice, norm: float, tolerance: float
) -> _Measured:
    if choice.first == "reduction" and core is not None:
        return _reduced(core)
    found = measure(problem, theta, choice.first, tolerance, gradient_radius(norm, orbital))
    return _Measured(found.spectrum, found.gauss_newton, found.zeros)


def _reduced(core: Core) -> _Measured:
    reduction = reduce(core)
    newton = Spectrum.merge(((block.values, block.multiplicity) for block in reduction.gauss_newton), reduction.error)
    return _Measured(reduction.spectrum, (newton.frobenius, newton.trace))
