"""What makes two end points the same structure when neither has a name: rank, loss and singular values of the logits."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch
from jaxtyping import Float
from torch import Tensor

TOLERANCE = 1e-7  # relative; polished points agree to 1e-13, and no two structures seen so far are closer than 1e-5


@dataclass(frozen=True)
class Fingerprint:
    """Invariants of a critical point under gauge rotation and relabelling of equal classes.

    Attributes:
        rank: Of the class-mean logits.
        loss: With weight decay.
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


def label_unnamed(ends: Sequence[tuple[str, Fingerprint]]) -> list[str]:
    """Returns the names of structures, those without a name with their loss, and a number where its digits do not tell enough.

    Ends of one unnamed structure have one label, which depends on the set of ends and not on their order.
    """
    labels = [name for name, _ in ends]
    unnamed = [place for place, name in enumerate(labels) if name.startswith("unnamed")]
    kinds: dict[Fingerprint, str] = {}
    alike: Counter[str] = Counter()
    for place in sorted(unnamed, key=lambda place: (ends[place][1].loss, ends[place][1].singular)):
        mark = ends[place][1]
        kind = next((known for known in takewhile(mark.is_level_with, reversed(kinds)) if known.matches(mark)), None)
        if kind is None:
            kind, text = mark, f"unnamed {mark}"
            alike[text] += 1
            kinds[kind] = text if alike[text] == 1 else f"{text} ({alike[text]})"
        labels[place] = kinds[kind]
    return labels


def _agree(a: float, b: float) -> bool:
    return abs(a - b) <= TOLERANCE * max(abs(a), abs(b))
