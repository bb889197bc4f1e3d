"""What makes two end points the same structure when neither has a name: rank, loss and singular values of the logits."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.structures.kinds import Kind, Unnamed
from landscape.structures.names import name

TOLERANCE = 1e-7  # relative; polished points agree to 1e-13, and no two structures seen so far are closer than 1e-5


@dataclass(frozen=True)
class Fingerprint:
    """Invariants of a critical point under gauge rotation and relabelling of equal classes.

    Attributes:
        rank: Rank of the class-mean logits.
        loss: Loss with weight decay.
        singular: Singular values of the class-mean logits times sqrt(class size), descending, `rank` of them.
    """

    rank: int
    loss: float
    singular: tuple[float, ...]

    @classmethod
    def of(cls, loss: float, logits: Float[Tensor, "k k"], class_sizes: tuple[int, ...], rank: int) -> "Fingerprint":
        """Returns the fingerprint of a point with these class-mean logits (one column per class)."""
        scaled = logits * logits.new_tensor(class_sizes).sqrt()
        return cls(rank, loss, tuple(torch.linalg.svdvals(scaled)[:rank].tolist()))

    def matches(self, other: "Fingerprint") -> bool:
        """Whether the two are one structure, to `TOLERANCE`."""
        pairs = zip(self.singular, other.singular, strict=False)
        return self.rank == other.rank and self.is_level_with(other) and all(_agree(a, b) for a, b in pairs)

    def is_level_with(self, other: "Fingerprint") -> bool:
        """Whether the two have one loss, to `TOLERANCE`."""
        return _agree(self.loss, other.loss)

    def __str__(self) -> str:
        return f"rank {self.rank}, loss {self.loss:.8f}"


def label_unnamed(ends: Sequence[tuple[Kind | None, str, Fingerprint]]) -> list[str]:
    """Returns one label per end point: its text, or for an unnamed structure its rank and loss.

    If two different unnamed structures print the same loss, a counter is added: `unnamed rank 4, loss 0.08120000 (2)`. Ends of
    one unnamed structure have one label, which depends on the set of ends and not on their order.

    Args:
        ends: Kind of each end point (None where it is not critical), the text that a named one keeps, and its fingerprint.
    """
    labels = [text for _, text, _ in ends]
    marks = [mark for _, _, mark in ends]
    unnamed = [place for place, (kind, _, _) in enumerate(ends) if isinstance(kind, Unnamed)]
    told: dict[Fingerprint, str] = {}
    alike: Counter[str] = Counter()
    for place in sorted(unnamed, key=lambda place: (marks[place].loss, marks[place].singular)):
        mark = marks[place]
        same = next((known for known in takewhile(mark.is_level_with, reversed(told)) if known.matches(mark)), None)
        if same is None:
            same, text = mark, f"{name(Unnamed(mark.rank))}, loss {mark.loss:.8f}"
            alike[text] += 1
            told[same] = text if alike[text] == 1 else f"{text} ({alike[text]})"
        labels[place] = told[same]
    return labels


def _agree(a: float, b: float) -> bool:
    return abs(a - b) <= TOLERANCE * max(abs(a), abs(b))
