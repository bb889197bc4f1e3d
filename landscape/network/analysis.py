"""The analysis of a trained network: its symmetries, the count of its zeros, their causes, and the judge's verdict."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, overload

import torch
from jaxtyping import Float
from scipy.sparse.linalg import minres
from torch import Tensor

from landscape.curvature.counting.dense_and_inertia import Inertia
from landscape.curvature.counting.interface import nullity
from landscape.curvature.counting.quotient import QuotientCholesky
from landscape.curvature.counting.short_recurrence import ShortRecurrence
from landscape.curvature.counting.zeros import UNDECIDED_FACTOR, Nullity
from landscape.curvature.krylov import estimate_norm, seeded
from landscape.curvature.memory import default_bound
from landscape.curvature.operators.algebra import to_scipy
from landscape.curvature.operators.counted import Counted
from landscape.curvature.operators.operator import Matrix, SymmetricOperator, dense
from landscape.curvature.projection import Projector
from landscape.curvature.spectra.density import Density, Quadrature, density
from landscape.curvature.spectra.spectrum import Spectrum, eigenvalues
from landscape.degeneracy.analysis import analyse as analyse_point
from landscape.degeneracy.judgement import FAINT, Doubt, Verdict, counted, judge, not_critical
from landscape.degeneracy.methods import MethodName
from landscape.degeneracy.proved import Wanted
from landscape.degeneracy.report import DegeneracyReport
from landscape.errors import InputError
from landscape.model.reduced_point import Core
from landscape.network.explanation import Explanation, explanation
from landscape.network.loss import ModuleLoss
from landscape.network.operators import ModuleHessian
from landscape.network.orbit import NetworkOrbit
from landscape.network.polishing import Polished
from landscape.network.probes import Draw
from landscape.network.report import Multiplicity, NetworkReport
from landscape.network.smoothness import kinks
from landscape.network.symmetries import Symmetries, symmetries
from landscape.points.point import CriticalPoint

NetworkMethod = Literal["auto", "dense", "inertia", "quotient", "recurrence"]
METHODS: tuple[NetworkMethod, ...] = ("auto", "dense", "inertia", "quotient", "recurrence")
LARGEST_DENSE = 10_000  # parameters up to which all eigenvalues are computed unasked
_NAMED = 3e7  # numbers of a basis of inert directions, beyond which their union is not measured
_DENSITY = 4e7  # numbers of the Krylov basis of a density
_PROBES, _FEWEST_STEPS, _MOST_STEPS = 4, 20, 60
_WEYL = 10  # the smallest non-zero eigenvalue must exceed the change of the Hessian by one Newton step this many times
_POWER_STEPS = 8
_NEWTON_STEPS = 300  # products of MINRES for one Newton step


@overload
def analyse(source: CriticalPoint | Core, method: MethodName = "auto", wanted: Wanted | None = None) -> DegeneracyReport: ...


@overload
def analyse(source: ModuleLoss | Polished, method: NetworkMethod = "auto") -> NetworkReport: ...


def analyse(
    source: CriticalPoint | Core | ModuleLoss | Polished,
    method: MethodName | NetworkMethod = "auto",
    wanted: Wanted | None = None,
) -> DegeneracyReport | NetworkReport:
    """Returns the degeneracy of a critical point: of the model, saved or reduced, or of any torch module.

    A point of the model is analysed as `landscape.degeneracy.analysis.analyse` says, a module as
    `landscape.network.analysis.analyse_network` does. A point is never moved.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> report = ls.analyse(ls.solve(problem, ls.Random(seed=0)))
        >>> report.structure, report.nullity, report.index, report.excess
        ('pairs', 18, 0, 0)
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> layers = torch.nn.Linear(3, 4, bias=False), torch.nn.Linear(4, 3, bias=False)
        >>> data = [(torch.randn(9, 3, dtype=torch.float64), torch.arange(9) % 3)]
        >>> loss = ls.ModuleLoss(torch.nn.Sequential(*layers).double(), torch.nn.functional.cross_entropy, data, decay=0.01)
        >>> report = ls.analyse(ls.polish(loss))
        >>> report.nullity, report.predicted, report.index
        (5, 5, 0)

    Args:
        source: The point to analyse.
        method: How to count: one of `MethodName` for the model, of `NetworkMethod` for a module.
        wanted: For points of the model, which counts are proved.

    Raises:
        InputError: If the method cannot be used for the source or its size.
    """
    if isinstance(source, ModuleLoss | Polished):
        if wanted is not None:
            raise InputError("expected a point of the model to prove, got a module, whose counts have no proof: leave wanted out")
        if method not in METHODS:
            raise InputError(f"expected a method among {', '.join(METHODS)}, got {method!r}")
        return analyse_network(source, method)
    return analyse_point(source, method, wanted)


@dataclass(frozen=True)
class _Measured:
    """What a method brings home."""

    zeros: Nullity
    method: str
    spectrum: Spectrum | None = None
    entries: Float[Tensor, "p p"] | None = None


def analyse_network(
    source: ModuleLoss | Polished,
    method: NetworkMethod = "auto",
    found: Symmetries | None = None,
    draw: Draw | None = None,
    memory: float | None = None,
    progress: Callable[[str], None] | None = None,
) -> NetworkReport:
    """Returns what is known of a module's critical point: counts, their evidence and their causes.

    "auto" takes all eigenvalues up to 10 000 parameters. Beyond, while three matrices fit the memory, a Cholesky factorisation on
    the quotient by the known symmetries, and where that fails (a saddle, or more zeros) the inertia; beyond that the certificate
    that keeps no basis. A count is stated only if the point is critical enough, the spectrum has a gap around zero, and named
    symmetries or shifts explain every zero; else it is None with the reason.

    Args:
        source: The loss at the point, or what `polish` returned.
        method: One of `METHODS`.
        found: Symmetries at this point that are known already; None to look for them.
        draw: Replaces the inputs of a batch by random ones, as in `symmetries`.
        memory: Bytes that matrices may use; None for half of the memory.
        progress: Called with a line when a part begins.

    Raises:
        InputError: If the parameters are not in float64, the method is unknown, or the memory is too small for it.
    """
    problem = source.problem if isinstance(source, Polished) else source
    if problem.theta.dtype != torch.float64:
        raise InputError(f"expected float64 for a count, got {problem.theta.dtype}: pass dtype=torch.float64 to ModuleLoss")
    if found is not None and not torch.equal(found.problem.theta, problem.theta):
        raise InputError("expected symmetries at the same point, got those of another: call symmetries on this loss")
    say = progress or (lambda line: None)
    value, slope = problem.gradient()
    norm = float(slope.norm())
    bends = kinks(problem)
    if bends.near:
        near = f"{bends.near} pre-activations of {bends.watched} are within {bends.tolerance:g} of a kink ({bends.operation})"
        return NetworkReport(problem, float(value), norm, Verdict.doubtful(Doubt.KINK, near), method, bends)
    found = found or symmetries(problem, draw=draw, progress=progress)
    hessian = Counted.of(ModuleHessian(problem))
    radius = 2 * norm / min(found.known.smallest_kept, 1.0)
    say("the count of zeros")
    measured = _measured(hessian, method, found.known, radius, default_bound(problem.theta.device) if memory is None else memory)
    say("the causes of zeros")
    null = _null_vectors(measured) if measured.zeros.count > found.known.rank and measured.zeros.resolved else None
    causes = explanation(found, measured.zeros.count, null, draw)
    verdict = _verdict(problem, measured, causes, found.known, slope)
    return NetworkReport(
        problem=problem,
        loss=float(value),
        gradient_norm=norm,
        verdict=verdict,
        method=measured.method,
        kinks=bends,
        symmetries=found,
        zeros=replace(measured.zeros, products=hessian.products),
        explanation=causes,
        multiplicities=_multiplicities(problem, found, measured.spectrum),
        spectrum=measured.spectrum,
        density=None if measured.spectrum is not None else _density(hessian),
    )


def _measured(hessian: Counted, method: NetworkMethod, known: Projector, radius: float, memory: float) -> _Measured:
    size = hessian.size
    fits = 3.0 * size**2 * hessian.like.element_size() <= memory
    if method == "auto":
        method = "dense" if size <= LARGEST_DENSE and fits else "quotient" if fits else "recurrence"
        if method == "quotient":
            first = nullity(hessian, QuotientCholesky(known, memory), radius)
            return _Measured(first, "quotient") if first.resolved else _measured(hessian, "inertia", known, radius, memory)
    match method:
        case "quotient":
            return _Measured(nullity(hessian, QuotientCholesky(known, memory), radius), method)
        case "inertia":
            # its evidence are shifts: the outer one stands where the judge trusts an eigenvalue to be none
            wide = 1.01 * FAINT / UNDECIDED_FACTOR * estimate_norm(hessian)
            return _Measured(nullity(hessian, Inertia(memory), max(radius, wide)), method)
        case "recurrence":
            return _Measured(nullity(hessian, ShortRecurrence(known), radius), method)
        case _:
            if not fits:
                raise InputError(
                    f"expected {24e-9 * size**2:.3g} GB for all eigenvalues of {size} parameters, got {memory / 1e9:.3g} GB"
                )
            entries = dense(hessian)
            spectrum = eigenvalues(Matrix(entries))
            return _Measured(replace(counted(spectrum, radius), method="dense"), "dense", spectrum, entries)


def _null_vectors(measured: _Measured) -> Float[Tensor, "p m"] | None:
    """Returns the eigenvectors of the zeros, where the matrix was formed."""
    if measured.entries is None:
        return None
    values, vectors = torch.linalg.eigh(measured.entries)
    return vectors[:, values.abs() <= measured.zeros.cutoff]


def _verdict(problem: ModuleLoss, measured: _Measured, causes: Explanation, known: NetworkOrbit, slope: Tensor) -> Verdict:
    """Returns what the judge says, and what a Newton step would change."""
    norm, zeros = float(slope.norm()), measured.zeros
    if not UNDECIDED_FACTOR * zeros.gradient <= zeros.norm:
        return not_critical(norm, f"the zero radius {zeros.cutoff:.1e} is not below a thousandth of the norm {zeros.norm:.1e}")
    first = judge(measured.zeros, causes.explained, gradient_norm=norm)
    if not first.certain:
        return first
    if not known.sharp:
        return not_critical(norm, f"a tangent of a symmetry has a length within a factor of 3 of {known.tolerance:.1e}")
    operator: SymmetricOperator = ModuleHessian(problem, check=False) if measured.entries is None else Matrix(measured.entries)
    change = _change_by_newton_step(problem, operator, slope)
    if not _WEYL * change <= measured.zeros.smallest_nonzero:
        told = (
            f"one Newton step changes the Hessian by {change:.1e}, the smallest eigenvalue is {measured.zeros.smallest_nonzero:.1e}"
        )
        return not_critical(norm, told)
    return first


def _change_by_newton_step(problem: ModuleLoss, operator: SymmetricOperator, slope: Float[Tensor, " p"]) -> float:
    """Returns the spectral norm of the change of the Hessian by one Newton step, by power iteration (from below)."""
    if not float(slope.norm()) > 0:
        return 0.0
    scaled = (slope / slope.norm()).cpu().numpy()
    step, _ = minres(to_scipy(operator), -scaled, rtol=1e-2, maxiter=_NEWTON_STEPS)
    moved = problem.theta + torch.from_numpy(step).to(problem.theta) * slope.norm()
    if not bool(torch.isfinite(moved).all()):
        return float("inf")
    there = ModuleHessian(problem.at(moved), check=False)
    drawn = torch.randn(problem.theta.numel(), generator=seeded(0, "change"), dtype=torch.float64)
    vector = drawn.to(problem.theta)[:, None]
    for _ in range(_POWER_STEPS):
        vector = vector / vector.norm().clamp(min=torch.finfo(vector.dtype).tiny)
        vector = there @ vector - operator @ vector
    return float(vector.norm())


def _multiplicities(problem: ModuleLoss, found: Symmetries, spectrum: Spectrum | None) -> tuple[Multiplicity, ...]:
    result = []
    for decay in problem.decays[problem.decays > 0].unique().tolist():
        named = [shift for shift in found.shifts if shift.decay == decay]
        total = sum(shift.dimension for shift in named)
        union = NetworkOrbit.of(problem, named, 0.0).rank if total * problem.theta.numel() <= _NAMED else None
        equal = None
        if spectrum is not None:
            around = counted(Spectrum(spectrum.values - decay, spectrum.multiplicities, spectrum.error))
            equal = None if around.undecided else around.count
        result.append(Multiplicity(decay, union, equal))
    return tuple(result)


def _density(hessian: Counted) -> Density:
    steps = int(min(_MOST_STEPS, max(_FEWEST_STEPS, _DENSITY / hessian.size), hessian.size))
    return density(hessian, Quadrature(probes=_PROBES, steps=steps, together=1))
