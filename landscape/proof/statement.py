"""What a proof says: one critical point, its rank, and the exact integers of its full Hessian. Or why nothing is proved."""

from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Context
from typing import Any, Literal

from landscape.display import brief
from landscape.model.problem import Problem

ProofKind = Literal["point", "structure"]


@dataclass(frozen=True)
class Proof:
    """A theorem about one critical point, with what another program needs to check it.

    Attributes:
        kind: Whether the proof starts from a found "point" or from the name of a "structure".
        problem: The full model; its decays are the exact doubles given.
        rank: Rank of every factor, proved.
        nullity: Zero eigenvalues of the full Hessian, proved.
        index: Negative eigenvalues of the full Hessian, proved.
        loss: Lower and upper bound of the loss at the critical point, rounded outward.
        bits: Working precision at which every sign was decided.
        name: Name of the structure; None for a found point, which never carries one.
        distance: Upper bound of the Euclidean distance from the given core to the critical point; None for a structure.
        data: Evidence for the checker, in JSON types alone.
        near_zero: Eigenvalues that some decay within a few last places would make zero; None where nobody asked.
    """

    kind: ProofKind
    problem: Problem
    rank: int
    nullity: int
    index: int
    loss: tuple[float, float]
    bits: int
    name: str | None = None
    distance: float | None = None
    data: dict[str, Any] = field(default_factory=dict, repr=False)
    near_zero: int | None = None

    __repr__ = brief

    @property
    def theorem(self) -> str:
        """The statement in two sentences."""
        decays = self.problem.decays
        decay = f"decay {decays[0]!r}" if len(set(decays)) == 1 else f"decays {', '.join(map(repr, decays))}"
        if self.kind == "structure":
            what = f"{self.problem} ({decay}) has the critical point {self.name}, of rank {self.rank}"
        elif self.rank == 0:
            what = f"{self.problem} ({decay}) has the zero point as a critical point, of rank 0"
        else:
            what = (
                f"{self.problem} ({decay}) has exactly one critical point, up to its symmetries, in the box of this proof; "
                f"it has rank {self.rank} and lies within {_at_most(self.distance)} of the given core"
            )
        lower, upper = self.loss
        return (
            f"{what}. Its Hessian has exactly {self.nullity} zero and {self.index} negative eigenvalues among "
            f"{self.problem.parameters}, and its loss is between {lower!r} and {upper!r}."
        )


@dataclass(frozen=True)
class Unproved:
    """Nothing is proved, neither for nor against.

    Attributes:
        reason: One line that says which step failed.
    """

    reason: str


@dataclass(frozen=True)
class NoPoint:
    """It is proved that the structure does not exist at these decays.

    Attributes:
        reason: One line that says which equation has no root.
    """

    reason: str


def _at_most(distance: float | None) -> str:
    """Returns three digits that are not below the number."""
    return "an unknown distance" if distance is None else f"{Context(prec=3, rounding=ROUND_CEILING).create_decimal(distance):e}"
