"""First step of `analyse`: the critical point next to what is given, its symmetries, and the structure that it is."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.degeneracy.judgement import Doubt, Verdict, not_critical
from landscape.degeneracy.relu_kinks import ReluKinks, kinks_of
from landscape.display import brief
from landscape.model.dimensions import paper_dimension_at
from landscape.model.gate_orbit import gate_orbit
from landscape.model.gauge import Orbit, orbit
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.points.point import CriticalPoint
from landscape.solver.newton import critical_core, rank_tolerance
from landscape.structures.modes import orbit_dimension_at
from landscape.structures.recognition import Recognised, rank_of_logits, recognise
from landscape.tolerances import CRITICAL

_FAR = 0.1  # of the norm of the parameters: a rank tolerance above it says that the point is nowhere near critical


@dataclass(frozen=True)
class Located:
    """A point, and the critical point next to it, where counts are made. Plain values: the later steps only read them.

    Attributes:
        problem: The model of the point.
        loss: Loss of the given point, with weight decay.
        gradient_norm: Gradient norm of the given point.
        theta: Parameters of the given point; None for a core that was never written out.
        logits: Class-mean logits of the given point.
        tolerance: Singular values of the factors up to this count as zero (absolute).
        found: Structure that the critical point was recognised as; None where the point is not critical.
        core: Core of the critical point; None where there is none, as for ReLU models.
        nearest: Parameters of the critical point; None for a core that was never written out.
        orbital: Symmetry orbit of the critical point; None where nothing can be counted.
        formula: Dimension that the orbit must have by theory; None for ReLU models.
        paper_dimension: Dimension that Theorem 5 of the paper counts; None without a core and below width K.
        bent: What is not smooth at a ReLU point; None for linear models.
        stray: Distance between the given point and the critical one.
        rounding: Distance up to which the two are one point, rounded.
        doubt: Why nothing can be counted; None where a count can be tried.
    """

    problem: Problem
    loss: float
    gradient_norm: float
    theta: Float[Tensor, " p"] | None
    logits: Float[Tensor, "k k"]
    tolerance: float
    found: Recognised | None = None
    core: Core | None = None
    nearest: Float[Tensor, " p"] | None = None
    orbital: Orbit | None = None
    formula: int | None = None
    paper_dimension: int | None = None
    bent: ReluKinks | None = None
    stray: float = 0.0
    rounding: float = 0.0
    doubt: Verdict | None = None

    __repr__ = brief


def locate(source: CriticalPoint | Core) -> Located:
    """Returns the critical point next to a saved point, or a core as it is; a saved point is never moved."""
    if isinstance(source, Core):
        return _core(source)
    return _linear(source) if source.problem.is_linear else _rectified(source)


def _core(core: Core) -> Located:
    """Takes a core as it is: it was written from an exact point, or polished already."""
    problem = core.problem
    loss, gradient = core.objective.value_and_gradient(core.theta)
    norm = float(gradient.norm())
    tolerance = rank_tolerance(problem, core.theta, norm)
    singular = _singular(core)
    return Located(
        problem,
        float(loss),
        norm,
        None,
        core.class_logits,
        tolerance,
        found=recognise(problem, core.class_logits, core.rank),
        core=core,
        orbital=orbit(problem, core.objective.split(core.theta), tolerance),
        formula=orbit_dimension_at(problem, singular),
        paper_dimension=paper_dimension_at(problem, singular),
    )


def _linear(source: CriticalPoint) -> Located:
    """Finds the critical point next to a saved one, in its core."""
    problem, theta, norm = source.problem, source.theta, source.gradient_norm
    tolerance = rank_tolerance(problem, theta, norm)
    found = critical_core(problem, theta, CRITICAL)
    if found is None:
        doubt = not_critical(norm, "no rank of the factors is certain")
        return Located(problem, source.loss, norm, theta, source.class_logits, tolerance, nearest=theta, doubt=doubt)
    core, nearest = found
    singular = _singular(core)
    return Located(
        problem,
        source.loss,
        norm,
        theta,
        source.class_logits,
        tolerance,
        found=recognise(problem, core.class_logits, core.rank),
        core=core,
        nearest=nearest,
        orbital=orbit(problem, Objective.of(problem, theta).split(theta), tolerance),
        formula=orbit_dimension_at(problem, singular),
        paper_dimension=paper_dimension_at(problem, singular),
        stray=float((nearest - theta).norm()),
        rounding=1e3 * torch.finfo(theta.dtype).eps * float(theta.norm()),
    )


def _rectified(source: CriticalPoint) -> Located:
    """Takes a saved point of a ReLU model as it is, and says what is not smooth there."""
    problem, theta, norm = source.problem, source.theta, source.gradient_norm
    tolerance, logits = rank_tolerance(problem, theta, norm), source.class_logits
    if not tolerance <= _FAR * float(theta.norm()):
        doubt = not_critical(norm, f"features below {tolerance:.1e} cannot be told from zero")
        return Located(problem, source.loss, norm, theta, logits, tolerance, nearest=theta, doubt=doubt)
    bent, found = kinks_of(problem, theta, tolerance), recognise(problem, logits, rank_of_logits(logits))
    words = f"{bent.count} pre-activations lie within {tolerance:.1e} of a ReLU kink, where there is no Hessian"
    smooth = not bent.count
    return Located(
        problem,
        source.loss,
        norm,
        theta,
        logits,
        tolerance,
        found=found,
        nearest=theta,
        orbital=gate_orbit(problem, theta, tolerance) if smooth else None,
        bent=bent,
        doubt=None if smooth else Verdict.doubtful(Doubt.KINK, words),
    )


def _singular(core: Core) -> list[float]:
    """Returns the non-zero singular values of the class-mean logits times sqrt(class size)."""
    features, *layers = core.objective.split(core.theta)
    product = features
    for layer in layers:
        product = layer @ product
    values: list[float] = torch.linalg.svdvals(product)[: core.rank].tolist()
    return values
