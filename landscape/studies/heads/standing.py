"""Where a head stands among the critical points of its model: how far above each one in loss, and how like it in its logits."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.catalogue.search import search
from landscape.catalogue.table import atlas
from landscape.display import aligned, brief
from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.points.collapse_metrics import CollapseMetrics, collapse_metrics
from landscape.points.point import CriticalPoint
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Apex, Blocks, Collapse, Kind, Pairs, Partition
from landscape.structures.names import name
from landscape.structures.recognition import recognise
from landscape.studies.heads.similarity import similarity

_SEEN = 1e-2  # of the largest singular value: what is smaller is not counted in the rank of half-trained logits


@dataclass(frozen=True)
class Reference:
    """One critical point of the model, as a horizontal line below or above a loss curve.

    Attributes:
        kind: Kind of the critical point, in its normal form.
        loss: Loss with weight decay, of the critical point.
        cosine: Largest cosine between the centred class-mean logits and those of any relabelling of the critical point, as
            `similarity` has it; None where classes differ in size.
        above: Loss of the head minus loss of the critical point.
    """

    kind: Kind
    loss: float
    cosine: float | None
    above: float

    @property
    def structure(self) -> str:
        """The name of the structure."""
        return name(self.kind)


@dataclass(frozen=True)
class Standing:
    """Where a head stands.

    Attributes:
        problem: Model of the head, with its decays.
        loss: Loss with weight decay, of the head.
        rank: Singular values of the class-mean logits above 1 % of the largest.
        lines: Known critical points from the lowest loss to the highest; empty for ReLU heads, which have no catalogue.
        singular: Singular values of the class-mean logits, then of each layer from H_1 to W_L, each descending.
        metrics: Neural-collapse metrics of every layer.
    """

    problem: Problem
    loss: float
    rank: int
    lines: tuple[Reference, ...]
    singular: tuple[tuple[float, ...], ...]
    metrics: CollapseMetrics

    @property
    def nearest(self) -> Reference | None:
        """The critical point whose logits are most like the head's; None where no cosine is known."""
        known = [line for line in self.lines if line.cosine is not None]
        return max(known, key=lambda line: line.cosine or 0.0, default=None)

    @property
    def best(self) -> Reference | None:
        """The known critical point of the lowest loss. That no other lies below it is not proved."""
        return self.lines[0] if self.lines else None

    def rows(self) -> list[tuple[str, str]]:
        """Returns the lines that a command prints, as name and value."""
        rows = [("problem", str(self.problem)), ("loss", f"{self.loss:.7f}"), ("rank", str(self.rank))]
        if self.best is not None:
            best = f"{self.best.structure}, loss {self.best.loss:.7f}; the head lies {abs(self.best.above):.7f} "
            lower = "below: a lower critical point exists, which --search 100 or --flow may find"
            rows.append(("best known", best + ("above" if self.best.above >= 0 else lower)))
        if self.nearest is not None:
            near = self.nearest
            rows.append(("nearest", f"{near.structure}, cosine {near.cosine:.4f}, loss {near.loss:.7f}, {near.above:+.7f} above"))
        for label, values in zip(("NC1", "NC2", "NC3"), (self.metrics.nc1, self.metrics.nc2, self.metrics.nc3), strict=True):
            rows.append((label, ", ".join("-" if value is None else f"{value:.3g}" for value in values)))
        return rows

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form."""
        lines = [
            {"structure": line.structure, "loss": line.loss, "cosine": line.cosine, "above": line.above} for line in self.lines
        ]
        return {
            "problem": self.problem.as_dict(),
            "loss": self.loss,
            "rank": self.rank,
            "best_known": self.best.structure if self.best else None,
            "nearest": self.nearest.structure if self.nearest else None,
            "lines": lines,
            "singular_values": self.singular,
            **asdict(self.metrics),
        }

    def __str__(self) -> str:
        return aligned(self.rows())


@dataclass(frozen=True)
class Known:
    """A critical point that heads are compared with.

    Attributes:
        kind: Kind of the critical point, in its normal form.
        loss: Loss with weight decay.
        logits: Class-mean logits of one relabelling, one column per class; None where classes differ in size.
    """

    kind: Kind
    loss: float
    logits: Float[Tensor, "k k"] | None

    __repr__ = brief


@dataclass(frozen=True)
class Lines:
    """The known critical points of one model, computed once for all heads that it has.

    Attributes:
        problem: Model whose critical points they are.
        known: All but the zero point, from the lowest loss.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> [round(point.loss, 6) for point in ls.Lines.of(problem).known][:2]
        [0.185514, 0.185653]
    """

    problem: Problem
    known: tuple[Known, ...]

    @classmethod
    def of(cls, problem: Problem, starts: int = 0, seed: int = 0) -> "Lines":
        """Returns the lines of a model; none for ReLU heads.

        Args:
            problem: The model of a head.
            starts: Random starts of the search for critical points without a closed form.
            seed: Seed of the first start.

        Raises:
            InputError: If no known critical point but zero exists at this decay.
        """
        if not problem.is_linear:
            return cls(problem, ())
        rows = [row for row in atlas(problem).entries if row.rank > 0]
        known = [Known(row.kind, row.loss, _logits(problem, row.kind)) for row in rows]
        for item in search(problem, starts, seed).found if starts else ():
            mark = item.fingerprint
            if mark.rank > 0 and not any(row.fingerprint.matches(mark) for row in rows):
                logits = item.core.class_logits if problem.is_balanced else None
                known.append(Known(recognise(problem, item.core.class_logits, mark.rank).kind, mark.loss, logits))
        return cls(problem, tuple(sorted(known, key=lambda point: point.loss)))


def _line(known: Known, point: CriticalPoint, logits: Tensor) -> Reference:
    cosine = None if known.logits is None else similarity(known.kind, known.logits, logits)
    return Reference(known.kind, known.loss, cosine, point.loss - known.loss)


def _logits(problem: Problem, kind: Kind) -> Tensor | None:
    if not problem.is_balanced or not isinstance(kind, Collapse | Pairs | Partition | Blocks | Apex):
        return None
    form = logit_form(problem, kind)
    return (form.left * form.singular) @ form.right.mT


def standing(point: CriticalPoint, lines: Lines | None = None) -> Standing:
    """Returns where a head stands among the known critical points of its model.

    Linear heads: every network with this head has at least the loss of the model's global minimum. The lowest line is the
    best known critical point, and is not proved to be that minimum.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> found = ls.standing(ls.place(problem, ls.Collapse()))
        >>> found.nearest.structure, round(found.nearest.cosine, 12), found.best.structure
        ('DNC', 1.0, 'pairs')

    Args:
        point: The head, as `head_point` or `import_weights` gives it. It need not be critical.
        lines: Lines of the model, where they are known already; None computes them.

    Raises:
        InputError: If the lines are of another model.
    """
    problem = point.problem
    lines = lines or Lines.of(problem)
    if lines.problem != problem:
        raise InputError(f"expected lines of the {problem}, got those of the {lines.problem}")
    logits = point.class_logits
    values = torch.linalg.svdvals(logits)
    singular = [values, *(torch.linalg.svdvals(factor) for factor in point.factors().values())]
    return Standing(
        problem=problem,
        loss=point.loss,
        rank=int((values > _SEEN * values.max()).sum()),
        lines=tuple(_line(known, point, logits) for known in lines.known),
        singular=tuple(tuple(part.tolist()) for part in singular),
        metrics=collapse_metrics(problem, point.theta),
    )
