"""The seam: what is measured at a point beside what must be true there, in one report.

A straight way, each step in a file of its own: `locate` the critical point next to what is given, `count` there, `decide` whether
the count may be stated, by judgement or proof, and `confirm` it by a second method.
"""

from dataclasses import replace

from landscape.curvature.counting.zeros import Nullity
from landscape.curvature.operators.operator import SymmetricOperator
from landscape.curvature.spectra.spectrum import Spectrum, eigenvalues
from landscape.degeneracy.confirm import confirm
from landscape.degeneracy.count import Count, count
from landscape.degeneracy.decide import Decision, decide
from landscape.degeneracy.facts import Facts, Flatness
from landscape.degeneracy.judgement import Verdict, known_smallest_positive
from landscape.degeneracy.locate import Located, locate
from landscape.degeneracy.methods import LARGEST_DENSE, MethodName, choose, hessian_at
from landscape.degeneracy.origins import by_origin
from landscape.degeneracy.proved import Wanted
from landscape.degeneracy.reduction import EigenvalueFamily, require_reduction_memory
from landscape.degeneracy.report import DegeneracyReport
from landscape.errors import InputError
from landscape.model.reduced_point import Core
from landscape.points.collapse_metrics import CollapseMetrics, collapse_metrics
from landscape.points.point import CriticalPoint

_LARGEST_HERE = 2_500  # parameters up to which the Hessian at a point that is not critical is shown unasked, in about a second


def analyse(source: CriticalPoint | Core, method: MethodName = "auto", wanted: Wanted | None = None) -> DegeneracyReport:
    """Returns the degeneracy of a saved point, or of a core that was never written out as parameters.

    The methods and the rule by which "auto" takes one or two of them are those of `methods.choose`. Two methods that disagree make
    the count undecided. A saved point is never moved: the reduction polishes a copy of its core, and the answer holds for the
    point only if that copy is as close as the gradient norm says it must be; the second method works at that copy too. Where the
    point is not critical enough, the spectrum is that of the Hessian at the point itself, or None.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> report = ls.analyse(ls.solve(problem, ls.Random(seed=0)))
        >>> report.structure, report.nullity, report.index, report.excess
        ('pairs', 18, 0, 0)

    Args:
        source: A saved point, or a core that was never written out.
        method: Name of the method that counts; "auto" takes one or two that fit the point.
        wanted: Which counts are proved, and what the point was written from; by default doubtful counts alone.

    Raises:
        InputError: If the method cannot be used for the model or its size.
    """
    if isinstance(source, Core) and method not in ("auto", "reduction"):
        raise InputError(f"expected a saved point for the method {method}, got one without parameters: write it with solve --out")
    if isinstance(source, Core):
        require_reduction_memory(source)
    plan = choose(source.problem, method, device=source.theta.device)
    place = locate(source)
    found = count(place, plan)
    decided = decide(place, found, wanted or Wanted())
    verdict, second = confirm(place, found, decided.verdict, plan)
    if verdict.critical:
        return _report(place, found, replace(decided, verdict=verdict), second, plan.first)
    return _not_critical(place, verdict, second, plan.first, asked=method != "auto")


def spectrum(source: CriticalPoint | Core | SymmetricOperator, method: MethodName | None = None) -> Spectrum:
    """Returns all eigenvalues with multiplicities: of a point of a model, or of any operator.

    Points of linear models go through the exact reduction, whatever their size. Everything else is formed as a matrix.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> found = ls.spectrum(ls.place(problem, ls.Collapse()))
        >>> sum(times for value, times in found.atoms() if abs(value) < 1e-12), found.size
        (24, 108)

    Args:
        source: A saved or reduced point, or an operator.
        method: Method for a point: `reduction`, `dense` or `lowrank`; None takes the one that fits the model.

    Raises:
        InputError: If the point is not critical enough, the method only counts, or it cannot be used for the model or its size.
    """
    if not isinstance(source, CriticalPoint | Core):
        return eigenvalues(source)
    report = analyse(source, method or choose(source.problem, "auto", device=source.theta.device).first)
    if report.spectrum is None:
        raise InputError(
            f"expected a point and a method with a spectrum, got none by {report.method}: {report.reason or 'use dense'}"
        )
    return report.spectrum


def _report(place: Located, found: Count | None, decided: Decision, second: Nullity | None, method: str) -> DegeneracyReport:
    """Puts the measured beside the predicted."""
    core, verdict, flatness, smallest = place.core, decided.verdict, None, None
    if found and found.spectrum:
        spectrum = found.spectrum
        smallest = known_smallest_positive(verdict, found.zeros, spectrum)
        if found.gauss_newton:
            flatness = Flatness(spectrum.norm, spectrum.frobenius, spectrum.trace, *found.gauss_newton)
    kind, rank = place.found.kind if place.found else None, core.rank if core else None
    orbits, families = place.orbital.dimension if place.orbital else None, tuple[EigenvalueFamily, ...]()
    if found and found.reduction and method == "reduction":
        families = by_origin(found.reduction, found.zeros.cutoff, orbits or 0)
    return DegeneracyReport(
        facts=Facts(place.problem, kind, rank, place.loss, verdict, orbits, place.paper_dimension, smallest, flatness),
        gradient_norm=place.gradient_norm,
        found=place.found,
        collapse=_collapse(place),
        method=method,
        orbit_formula=place.formula,
        spectrum=found.spectrum if found else None,
        zeros=found.zeros if found else None,
        second=second,
        kinks=place.bent,
        stray=place.stray,
        distance=decided.distance,
        families=families,
    )


def _not_critical(place: Located, verdict: Verdict, second: Nullity | None, method: str, asked: bool) -> DegeneracyReport:
    """Says only what is true at the point itself."""
    return DegeneracyReport(
        facts=Facts(place.problem, None, None, place.loss, verdict),
        gradient_norm=place.gradient_norm,
        found=None,
        collapse=_collapse(place),
        method=method,
        spectrum=_spectrum_here(place, method, asked),
        second=second,
        kinks=place.bent,
    )


def _spectrum_here(place: Located, method: str, asked: bool) -> Spectrum | None:
    """Returns all eigenvalues of the Hessian at a point that is not critical, if the model is small or the method was asked for."""
    largest = LARGEST_DENSE if asked and method == "dense" else _LARGEST_HERE
    if place.problem.parameters > largest:
        return None
    theta = place.theta
    if theta is None:
        assert place.core is not None
        theta = place.core.written_out(place.problem.width)
    return eigenvalues(hessian_at(place.problem, theta))


def _collapse(place: Located) -> CollapseMetrics:
    """Returns the collapse metrics of the given point; those of a core do not depend on the width."""
    if place.theta is not None:
        return collapse_metrics(place.problem, place.theta)
    assert place.core is not None
    thin = replace(place.problem, width=max(place.core.rank, 1))
    return collapse_metrics(thin, place.core.written_out(thin.width))
