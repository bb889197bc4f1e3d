"""The seam: what is measured at a point beside what must be true there, in one report.

A straight way: locate the critical point next to what is given, count there, judge or prove, confirm by a second route.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from landscape.collapse import CollapseMetrics, collapse_metrics
from landscape.curvature.nullity import Nullity
from landscape.curvature.spectrum import Spectrum, eigenvalues
from landscape.degeneracy_report import DegeneracyReport, Flatness
from landscape.errors import InputError
from landscape.judgement import Doubt, Verdict, confirmed, counted, is_faint, judge, not_critical
from landscape.kinks import Kinks, kinks
from landscape.naming import Recognised, rank_of_logits, recognise
from landscape.objective import Objective, class_means
from landscape.point import CriticalPoint
from landscape.problem import Problem
from landscape.proved import Wanted, recognised_groups, with_proof
from landscape.reduction import Core, reduce
from landscape.routes import (
    LARGEST_DENSE,
    Choice,
    Measurement,
    MethodName,
    choose,
    gradient_radius,
    hessian_at,
    hessian_change,
    measure,
    second_opinion,
)
from landscape.solver.newton import critical_core, rank_tolerance
from landscape.symmetry import Orbit, orbit
from landscape.theory import orbit_dimension_at, paper_dimension_at
from landscape.tolerances import CRITICAL

_WEYL = 10  # the smallest non-zero eigenvalue must exceed the change of the Hessian on the way there this many times
_FAR = 0.1  # of the norm of the parameters: a rank tolerance above it says that the point is nowhere near critical
_STRAY = 10  # the polished point may be this many times (gradient norm / smallest eigenvalue) away: Newton's own estimate is 1
_LARGEST_HERE = 2_500  # parameters up to which the Hessian at a point that is not critical is shown unasked, in about a second


@dataclass(frozen=True)
class _Located:
    """A point, and the critical point next to it, where counts are made.

    Attributes:
        problem: The model.
        loss: Of the given point.
        gradient_norm: Of the given point.
        theta: The given point; None for a core that was never written out.
        core: Of the critical point; None where there is none.
        nearest: The critical point; None for a core that was never written out.
        tolerance: Singular values of the factors up to this count as zero (absolute).
        orbital: The symmetry orbit; None where the point is not critical.
        bent: What is not smooth at a ReLU point.
        doubt: Why nothing can be counted; None where a count can be tried.
    """

    problem: Problem
    loss: float
    gradient_norm: float
    theta: Tensor | None
    core: Core | None
    nearest: Tensor | None
    tolerance: float
    orbital: Orbit | None = None
    bent: Kinks | None = None
    doubt: Verdict | None = None

    @property
    def formula(self) -> int | None:
        """The dimension that the orbit must have; None for ReLU models."""
        return None if self.core is None else orbit_dimension_at(self.problem, _singular(self.core))

    @property
    def stray(self) -> float:
        """The distance between the given point and the critical one."""
        return 0.0 if self.theta is None or self.nearest is None else float((self.nearest - self.theta).norm())

    @property
    def rounding(self) -> float:
        """The distance up to which the two are one point, rounded."""
        return 0.0 if self.theta is None else 1e3 * torch.finfo(self.theta.dtype).eps * float(self.theta.norm())

    @property
    def logits(self) -> Tensor:
        """The class-mean logits of the given point."""
        if self.theta is not None:
            return class_means(self.problem, Objective.of(self.problem, self.theta).logits(self.theta))
        assert self.core is not None
        return self.core.class_logits

    def written_out(self) -> Tensor:
        """Returns the critical point as parameters, of the size of the model."""
        if self.nearest is not None:
            return self.nearest
        assert self.core is not None
        return _embedded(self.core, self.problem.width)


def analyse(source: CriticalPoint | Core, method: MethodName = "auto", wanted: Wanted | None = None) -> DegeneracyReport:
    """Returns the degeneracy of a saved point, or of a core that was never written out as parameters.

    The methods and the rule by which "auto" takes one or two of them are those of `routes.choose`. Two routes that disagree make
    the count undecided. A saved point is never moved: the reduction polishes a copy of its core, and the answer holds for the
    point only if that copy is as close as the gradient norm says it must be; the second route works at that copy too. Where the
    point is not critical enough, the spectrum is that of the Hessian at the point itself, or None.

    Args:
        source: The point.
        method: Of the count.
        wanted: Which counts are proved, and what the point was written from; by default doubtful counts alone.

    Raises:
        InputError: If the method cannot be used for the model or its size.
    """
    if isinstance(source, Core) and method not in ("auto", "reduction"):
        raise InputError(f"expected a saved point for the method {method}, got one without parameters: write it with solve --out")
    wanted = wanted or Wanted()
    choice = choose(source.problem, method, device=source.theta.device)
    place = _located_core(source) if isinstance(source, Core) else _located(source)
    measured = _measured(place, choice)
    zeros = _zeros(place, measured)
    found = _recognised(place)
    verdict = place.doubt or _judged(place, zeros, found, wanted)
    verdict, second = _confirmed(place, zeros, verdict, choice)
    return _report(place, measured, zeros, verdict, found, second, choice.first, asked=method != "auto")


# ------------------------------------------------------------------------------------------------------------------ locate


def _located(source: CriticalPoint) -> _Located:
    """Finds the critical point next to a saved one, in its core."""
    problem, theta, norm = source.problem, source.theta, source.gradient_norm
    tolerance = rank_tolerance(problem, theta, norm)
    place = _Located(problem, source.loss, norm, theta, None, theta, tolerance)
    if problem.is_linear:
        found = critical_core(problem, theta, CRITICAL)
        if found is None:
            return replace(place, doubt=not_critical(norm, "no rank of the factors is certain"))
        place = replace(place, core=found[0], nearest=found[1])
    elif not tolerance <= _FAR * float(theta.norm()):
        return replace(place, doubt=not_critical(norm, f"features below {tolerance:.1e} cannot be told from zero"))
    else:
        bent = kinks(problem, theta, tolerance)
        place = replace(place, bent=bent)
        if bent.count:
            words = f"{bent.count} pre-activations lie within {tolerance:.1e} of a ReLU kink, where there is no Hessian"
            return replace(place, doubt=Verdict.doubtful(Doubt.KINK, words))
    return replace(place, orbital=orbit(problem, Objective.of(problem, theta).split(theta), tolerance))


def _located_core(core: Core) -> _Located:
    """Takes a core as it is: it was written from an exact point, or polished already."""
    loss, gradient = core.objective.value_and_gradient(core.theta)
    norm = float(gradient.norm())
    tolerance = rank_tolerance(core.problem, core.theta, norm)
    orbital = orbit(core.problem, core.objective.split(core.theta), tolerance)
    return _Located(core.problem, float(loss), norm, None, core, None, tolerance, orbital)


def _embedded(core: Core, width: int) -> Tensor:
    frame = torch.eye(width, core.rank, dtype=core.theta.dtype, device=core.theta.device)
    return replace(core, problem=replace(core.problem, width=width)).embed([frame] * core.problem.depth)


# ------------------------------------------------------------------------------------------------------------------- count


def _measured(place: _Located, choice: Choice) -> Measurement | None:
    """Runs the first method at the critical point; None where nothing can be counted."""
    if place.orbital is None:
        return None
    if choice.first == "reduction" and place.core is not None:
        reduction = reduce(place.core)
        newton = Spectrum.merge(((block.values, block.multiplicity) for block in reduction.gauss_newton), reduction.error)
        return Measurement(reduction.spectrum, (newton.frobenius, newton.trace), None)
    radius = gradient_radius(place.gradient_norm, place.orbital)
    return measure(place.problem, place.written_out(), choice.first, place.tolerance, radius)


def _zeros(place: _Located, measured: Measurement | None) -> Nullity | None:
    if measured is None or place.orbital is None:
        return None
    if measured.zeros is not None or measured.spectrum is None:
        return measured.zeros
    return counted(measured.spectrum, gradient_radius(place.gradient_norm, place.orbital))


# ------------------------------------------------------------------------------------------------------------- judge, prove


def _judged(place: _Located, zeros: Nullity | None, found: Recognised, wanted: Wanted) -> Verdict:
    """Judges the count, refuses a point that is too far from where it was made, and proves what is wanted."""
    assert zeros is not None
    assert place.orbital is not None
    smallest = None
    if not zeros.sharp and place.core is not None:  # the method has only a bound
        smallest = counted(reduce(place.core).spectrum, zeros.gradient).smallest_nonzero
    first = judge(zeros, place.orbital.dimension, place.formula, place.gradient_norm, smallest)
    if place.core is None:
        return first
    if first.certain and (far := _too_far(place, zeros)):
        return not_critical(place.gradient_norm, far)
    if first.doubt is Doubt.TOO_FAINT and not place.stray <= place.rounding and wanted.effort != "any":
        return first  # what lies below rounding at the critical point need not hold here
    groups = wanted.groups or recognised_groups(place.problem, found, place.core.class_logits)
    if groups is None and not first.certain and place.theta is not None:  # at a fold the polished copy may have moved away
        groups = recognised_groups(place.problem, recognise(place.problem, place.logits, place.core.rank), place.logits)
    return with_proof(first, place.core, groups, wanted.effort)


def _too_far(place: _Located, zeros: Nullity) -> str:
    """Returns why the counts at the nearest critical point do not hold for a point, or nothing."""
    if place.theta is None or place.nearest is None:
        return ""
    gap = zeros.smallest_nonzero
    if not place.stray <= place.rounding + _STRAY * place.gradient_norm / gap:
        return f"the nearest critical point of its rank is {place.stray:.1e} away"
    change = hessian_change(place.problem, place.theta, place.nearest)
    if not _WEYL * change <= gap:
        return f"the Hessian changes by {change:.1e} on the way to the nearest critical point of its rank"
    return ""


def _confirmed(place: _Located, zeros: Nullity | None, verdict: Verdict, choice: Choice) -> tuple[Verdict, Nullity | None]:
    """Returns the verdict after a second route, which can say nothing where double precision had to be helped by a proof."""
    if choice.second is None or not verdict.certain or zeros is None or place.orbital is None:
        return verdict, None
    if is_faint(zeros) or (zeros.count, zeros.negative) != (verdict.nullity, verdict.index):
        return verdict, None
    second = second_opinion(place.problem, place.written_out(), choice.second, place.tolerance, place.orbital)
    return confirmed(verdict, zeros, choice.first, second), second


# ------------------------------------------------------------------------------------------------------------------ report


def _report(
    place: _Located,
    measured: Measurement | None,
    zeros: Nullity | None,
    verdict: Verdict,
    found: Recognised,
    second: Nullity | None,
    method: str,
    asked: bool,
) -> DegeneracyReport:
    """Puts the measured beside the predicted; of a point that is not critical only what is true at the point itself."""
    core = place.core
    common: dict[str, Any] = {"problem": place.problem, "loss": place.loss, "gradient_norm": place.gradient_norm}
    common |= {"verdict": verdict, "collapse": _collapse(place), "method": method, "kinks": place.bent, "second": second}
    if not verdict.critical:
        return DegeneracyReport(**common, found=Recognised("not critical"), spectrum=_spectrum_here(place, method, asked))
    flatness = None
    if measured and measured.spectrum and measured.gauss_newton:
        spectrum = measured.spectrum
        flatness = Flatness(spectrum.norm, spectrum.frobenius, spectrum.trace, *measured.gauss_newton)
    return DegeneracyReport(
        **common,
        found=found,
        rank=core.rank if core else None,
        orbit_dimension=place.orbital.dimension if place.orbital else None,
        orbit_formula=place.formula,
        paper_dimension=paper_dimension_at(place.problem, _singular(core)) if core else None,
        spectrum=measured.spectrum if measured else None,
        flatness=flatness,
        zeros=zeros,
        stray=place.stray,
        distance=found.distance(place.logits) if found.parts else None,
    )


def _spectrum_here(place: _Located, method: str, asked: bool) -> Spectrum | None:
    """Returns all eigenvalues of the Hessian at a point that is not critical, if the model is small or the method was asked for."""
    largest = LARGEST_DENSE if asked and method == "dense" else _LARGEST_HERE
    if place.problem.parameters > largest:
        return None
    theta = place.theta if place.theta is not None else place.written_out()
    return eigenvalues(hessian_at(place.problem, theta))


def _recognised(place: _Located) -> Recognised:
    """Returns the known structure of the critical point, or of the logits of a point without a core."""
    if place.core is not None:
        return recognise(place.problem, place.core.class_logits, place.core.rank)
    return recognise(place.problem, place.logits, rank_of_logits(place.logits))


def _collapse(place: _Located) -> CollapseMetrics:
    """Returns the collapse metrics of the given point; those of a core do not depend on the width."""
    if place.theta is not None:
        return collapse_metrics(place.problem, place.theta)
    assert place.core is not None
    thin = replace(place.problem, width=max(place.core.rank, 1))
    return collapse_metrics(thin, _embedded(place.core, thin.width))


def _singular(core: Core) -> list[float]:
    """Returns the non-zero singular values of the class-mean logits times sqrt(class size)."""
    features, *layers = core.objective.split(core.theta)
    product = features
    for layer in layers:
        product = layer @ product
    values: list[float] = torch.linalg.svdvals(product)[: core.rank].tolist()
    return values
