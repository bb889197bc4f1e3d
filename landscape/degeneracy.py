"""The seam: what is measured at a point beside what must be true there, in one report."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from landscape.collapse import CollapseMetrics, collapse_metrics
from landscape.curvature.nullity import UNDECIDED_FACTOR, Nullity, count_zeros
from landscape.curvature.operator import Hessian
from landscape.curvature.spectrum import Spectrum, eigenvalues
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
_NOT_CRITICAL = "not critical"
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
            "certificate": {
                "method": self.method,
                "cutoff": self.zeros and self.zeros.cutoff,
                "largest_zero": self.zeros and self.zeros.largest_zero,
                "smallest_nonzero": _finite(self.zeros.smallest_nonzero) if self.zeros else None,
                "gradient_norm": self.gradient_norm,
            },
            "spectrum": self.spectrum and [list(atom) for atom in self.spectrum.atoms()],
        }


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
    core, stray = _polished(problem, theta, tolerance)
    reason, orbital, measured = "", None, None
    if problem.is_linear and core is None:
        reason = _not_critical(norm, "the factors have different ranks")
    elif not problem.is_linear and (kinks := _kinks(problem, theta, tolerance)):
        reason = f"{kinks} pre-activations lie within {tolerance:.1e} of a ReLU kink, where there is no Hessian"
    else:
        orbital = orbit(problem, problem.objective(theta).split(theta), tolerance)
        measured = _reduced(core) if method == "reduction" and core is not None else _dense(problem, theta)
    report = _report(problem, source.loss, norm, core, orbital, measured, method, reason)
    if report.zeros is not None and core is not None and not report.reason:
        allowed = tolerance + _STRAY * norm / report.zeros.smallest_nonzero
        if stray > allowed:
            far = f"the nearest critical point of its rank is {stray:.1e} away, more than {allowed:.1e}"
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
    zeros = flatness = None
    if measured and orbital:
        spectrum = measured.spectrum
        # Where no gauge direction exists, logits of order 1 are the scale on which the gradient norm has to be small.
        zeros = count_zeros(spectrum, 2 * norm / min(orbital.smallest_singular, 1.0))
        flatness = Flatness(spectrum.norm, spectrum.frobenius, spectrum.trace, *measured.gauss_newton)
        reason = reason or _doubt(zeros, spectrum, orbital, formula, norm)
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


def _doubt(zeros: Nullity, spectrum: Spectrum, orbital: Orbit, formula: int | None, norm: float) -> str:
    """Returns why the counts are not certain, or nothing."""
    swamped = UNDECIDED_FACTOR * zeros.cutoff > spectrum.norm
    if (zeros.undecided or swamped) and zeros.cutoff > 2 * spectrum.error:
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


def _polished(problem: Problem, theta: Tensor, tolerance: float) -> tuple[Core | None, float]:
    """Returns the critical point of the core next to a point and how far away it is, or None if the point has no core."""
    if not problem.is_linear:
        return None, math.inf
    try:
        core, frames = compress(problem, theta, tolerance)
    except InputError:
        return None, math.inf
    core = polish_core(core, Newton())
    return core, float((core.embed(frames) - theta).norm())


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


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
