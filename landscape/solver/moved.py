"""What a solve did to a given point: loss, gradient and structure before and after, and how far apart the two are."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from landscape.naming import rank_of_logits, structure_name
from landscape.objective import Objective, class_means
from landscape.point import CriticalPoint
from landscape.solver.newton import critical_core
from landscape.solver.run import CRITICAL

NOT_CRITICAL = "not critical"  # stands where a structure would, since only critical points have one
_NEAR = 1e-2  # of the norm of the parameters: how far from a critical point of known structure a point may be called by its name
NO_RANK = "no accepted rank"  # the same at a small gradient whose decay is smaller still


@dataclass(frozen=True)
class Place:
    """A point as it is told apart from another.

    Attributes:
        loss: With weight decay; None where it is not finite.
        gradient_norm: Euclidean; None where it is not finite.
        structure: The name of the critical point that trusted Newton steps lead to, if it is near; `NOT_CRITICAL` otherwise.
    """

    loss: float | None
    gradient_norm: float | None
    structure: str

    @classmethod
    def of(cls, point: CriticalPoint) -> "Place":
        """Returns the place of a point, which is not moved."""
        if not (math.isfinite(point.loss) and math.isfinite(point.gradient_norm)):
            return cls(None, None, NOT_CRITICAL)
        return cls(point.loss, point.gradient_norm, _structure(point))

    def __str__(self) -> str:
        if self.loss is None or self.gradient_norm is None:
            return f"loss not finite, {self.structure}"
        return f"loss {self.loss:.10g}, gradient norm {self.gradient_norm:.1e}, {self.structure}"


@dataclass(frozen=True)
class Move:
    """The way from a given point to where a solve ended.

    Attributes:
        before: The given point.
        after: The end of the solve.
        distance: Euclidean, in the parameters; None if the end is not finite.
        length: Norm of the given parameters, with which the distance compares.
    """

    before: Place
    after: Place
    distance: float | None
    length: float

    @classmethod
    def of(cls, before: CriticalPoint, after: CriticalPoint) -> "Move":
        """Returns the move between two points of one problem."""
        places = Place.of(before), Place.of(after)
        distance = None if places[1].loss is None else float((after.theta - before.theta).norm())
        return cls(*places, distance, float(before.theta.norm()))

    def rows(self) -> list[tuple[str, str]]:
        """Returns the lines that a command prints, as name and value."""
        far = (
            "nowhere: the end is not finite"
            if self.distance is None
            else f"{self.distance:.2e} in parameters of norm {self.length:.2e}"
        )
        return [("before", str(self.before)), ("after", str(self.after)), ("moved", far)]

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form, to be put beside other keys."""
        return {"before": asdict(self.before), "after": asdict(self.after), "moved": self.distance}


def _structure(point: CriticalPoint) -> str:
    problem, small = point.problem, point.gradient_norm <= CRITICAL
    if problem.is_linear:
        found = critical_core(problem, point.theta, CRITICAL)
        if found is None:
            return NO_RANK if small else NOT_CRITICAL
        core, nearest = found
        near = small or float((nearest - point.theta).norm()) <= _NEAR * float(point.theta.norm())
        return structure_name(problem, core.class_logits, core.rank) if near else NOT_CRITICAL
    if not small:
        return NOT_CRITICAL
    logits = class_means(problem, Objective.of(problem, point.theta).logits(point.theta))
    return structure_name(problem, logits, rank_of_logits(logits))
