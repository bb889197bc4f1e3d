"""What a solve did to a given point: loss, gradient and structure before and after, and how far apart the two are."""

import math
from dataclasses import dataclass
from typing import Any

from landscape.points.point import CriticalPoint
from landscape.solver.newton import critical_core
from landscape.solver.run import CRITICAL
from landscape.structures.kinds import Kind
from landscape.structures.names import name
from landscape.structures.recognition import rank_of_logits, recognise

_NEAR = 1e-2  # of the norm of the parameters: how far from a critical point of known structure a point may be called by its name
NO_RANK = "no accepted rank"  # the same at a small gradient whose decay is smaller still


@dataclass(frozen=True)
class PointFacts:
    """Loss, gradient and structure of a point, by which two points are compared.

    Attributes:
        loss: Loss with weight decay; None where it is not finite.
        gradient_norm: Euclidean norm of the gradient; None where it is not finite.
        kind: Kind of the critical point that trusted Newton steps lead to; None if none is near.
        ranked: Whether a rank of the factors is certain; where it is not, there is no kind although the gradient is small.
    """

    loss: float | None
    gradient_norm: float | None
    kind: Kind | None
    ranked: bool = True

    @property
    def structure(self) -> str:
        """The name of the kind, or why there is none."""
        return name(self.kind) if self.ranked else NO_RANK

    @classmethod
    def of(cls, point: CriticalPoint) -> "PointFacts":
        """Returns the place of a point, which is not moved."""
        if not (math.isfinite(point.loss) and math.isfinite(point.gradient_norm)):
            return cls(None, None, None)
        return cls(point.loss, point.gradient_norm, *_kind(point))

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form."""
        return {"loss": self.loss, "gradient_norm": self.gradient_norm, "structure": self.structure}

    def __str__(self) -> str:
        if self.loss is None or self.gradient_norm is None:
            return f"loss not finite, {self.structure}"
        return f"loss {self.loss:.10g}, gradient norm {self.gradient_norm:.1e}, {self.structure}"


@dataclass(frozen=True)
class Move:
    """The way from a given point to where a solve ended.

    Attributes:
        before: Facts of the given point.
        after: Facts of the point where the solve ended.
        distance: Euclidean distance in the parameters; None if the end is not finite.
        length: Norm of the given parameters, with which the distance compares.
    """

    before: PointFacts
    after: PointFacts
    distance: float | None
    length: float

    @classmethod
    def of(cls, before: CriticalPoint, after: CriticalPoint) -> "Move":
        """Returns the move between two points of one problem."""
        places = PointFacts.of(before), PointFacts.of(after)
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
        return {"before": self.before.as_dict(), "after": self.after.as_dict(), "moved": self.distance}


def _kind(point: CriticalPoint) -> tuple[Kind | None, bool]:
    """Returns the kind of the critical point next to a point, and whether a rank of the factors is certain."""
    problem, small = point.problem, point.gradient_norm <= CRITICAL
    if problem.is_linear:
        found = critical_core(problem, point.theta, CRITICAL)
        if found is None:
            return None, not small
        core, nearest = found
        near = small or float((nearest - point.theta).norm()) <= _NEAR * float(point.theta.norm())
        return recognise(problem, core.class_logits, core.rank).kind if near else None, True
    if not small:
        return None, True
    logits = point.class_logits
    return recognise(problem, logits, rank_of_logits(logits)).kind, True
