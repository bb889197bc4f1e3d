"""The kinds of critical points as values: which classes stand together, and at which root of the scale equation.

A kind stays a value until it is printed; `landscape.structures.names` writes it and reads it back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from landscape.errors import InputError
from landscape.structures.blocks import Block, Simplex, label, size_of

Root = Literal["large", "small"]
Roots = Root | tuple[Root, ...]
Marked = tuple[Block, int, Root]  # a block, the samples of its classes, and the root of its scale


@dataclass(frozen=True)
class Partition:
    """Classes split in their order into groups, logits blockdiag(a_g S_g): (K) is DNC, (2, .., 2) are pairs.

    Cross-entropy only. Every group's scale solves its own equation; classes of one group must have equal sizes. A group of one
    class has zero logits. `root` is one for all groups, or one for each; where all agree it is kept as one.

    Attributes:
        groups: Sizes of the groups, in class order; they sum to K.
        root: Root of the scale equation, "large" or "small": one for all groups, or one for each.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=10, samples=5, width=70, depth=2, decay=2**-10)
        >>> report = ls.analyse(ls.place_reduced(problem, ls.Partition((6, 2, 2))))
        >>> report.structure, report.nullity, report.index
        ('partition:6,2,2', 924, 0)
    """

    groups: tuple[int, ...]
    root: Roots = "large"

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", _agreed(self.groups, self.root))

    @property
    def roots(self) -> tuple[Root, ...]:
        """The root of each group."""
        return _each(self.groups, self.root)


@dataclass(frozen=True)
class Collapse:
    """Deep neural collapse: the simplex alpha S_K under cross-entropy, one orthogonal mode per class under squared error.

    Attributes:
        root: Root of the scale equation, "large" or "small"; the small one is a saddle.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=10, samples=5, width=70, depth=2, decay=2**-10)
        >>> report = ls.analyse(ls.place_reduced(problem, ls.Collapse(root="small")))
        >>> report.structure, report.nullity, report.index
        ('DNC-small', 1170, 45)
    """

    root: Root = "large"


@dataclass(frozen=True)
class Pairs:
    """The low-rank structure of the paper for even K: (2, .., 2), rank K/2.

    Attributes:
        root: Root of the scale equation, "large" or "small"; the small one is a saddle.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=10, samples=5, width=70, depth=2, decay=2**-10)
        >>> report = ls.analyse(ls.place_reduced(problem, ls.Pairs()))
        >>> report.rank, report.nullity, report.index
        (5, 670, 0)
    """

    root: Root = "large"


@dataclass(frozen=True)
class Apex:
    """The pairs' companion for odd K: K-1 classes in pairs and one apart, logits b * pairs + c u v^T, rank (K+1)/2.

    u = (-1/(K-1), .., -1/(K-1), 1), v = (-t, .., -t, 1); b, c and t minimise the reduced loss.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=5, samples=2, width=8, depth=2, decay=2e-3)
        >>> report = ls.analyse(ls.place_reduced(problem, ls.Apex()))
        >>> report.rank, report.nullity
        (3, 36)
    """


@dataclass(frozen=True)
class Blocks:
    """Classes split in their order into blocks that may be polygons or codes too, each at its own scale; cross-entropy only.

    Attributes:
        blocks: Blocks in class order; their numbers of classes sum to K.
        root: Root of the scale equation, "large" or "small": one for all blocks, or one for each.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=8, samples=1, width=10, depth=2, decay=1e-3)
        >>> report = ls.analyse(ls.place_reduced(problem, ls.Blocks((ls.Polygon(5), ls.Simplex(3)))))
        >>> report.structure, report.rank, report.nullity, report.index
        ('blocks:polygon5+3', 4, 60, 2)
    """

    blocks: tuple[Block, ...]
    root: Roots = "large"

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", _agreed([size_of(block) for block in self.blocks], self.root))

    @property
    def roots(self) -> tuple[Root, ...]:
        """The root of each block."""
        return _each([size_of(block) for block in self.blocks], self.root)


@dataclass(frozen=True)
class Zero:
    """All parameters zero, rank 0: a critical point of every linear model.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=1, width=6, depth=2, decay=1e-3)
        >>> report = ls.analyse(ls.place_reduced(problem, ls.Zero()))
        >>> report.structure, report.rank, report.nullity, report.index
        ('zero', 0, 0, 0)
    """


@dataclass(frozen=True)
class Modes:
    """Critical points under squared error by their number of modes at each root; which classes they belong to is not said.

    Attributes:
        large: Number of modes at the large root.
        small: Number of modes at the small root.
        off: Number of modes whose singular value is zero.
    """

    large: int
    small: int
    off: int


@dataclass(frozen=True)
class Unnamed:
    """A critical point whose class-mean logits match no known structure.

    Attributes:
        rank: Rank of the class-mean logits.
    """

    rank: int


Structure = Partition | Collapse | Pairs | Apex | Blocks | Zero
Kind = Structure | Modes | Unnamed


def kind_of(blocks: Sequence[Marked]) -> Structure:
    """Returns the one normal form of a block structure, so that equal structures are equal values.

    Single classes alone are `Zero`, one group is `Collapse`, groups of two at one root are `Pairs`, other groups a `Partition`;
    with a polygon or a code they are `Blocks`. Blocks of classes with equally many samples stand polygons and codes first, then
    by size, the largest first, then the large root before the small one.

    Args:
        blocks: Blocks in the order of their classes, as far as classes have different numbers of samples.
    """
    order = {samples: place for place, samples in enumerate(dict.fromkeys(samples for _, samples, _ in blocks))}
    chosen = sorted(blocks, key=lambda one: (order[one[1]], isinstance(one[0], Simplex), -size_of(one[0]), label(one[0]), one[2]))
    sizes, roots = tuple(size_of(block) for block, _, _ in chosen), tuple(root for _, _, root in chosen)
    if all(size == 1 for size in sizes):
        return Zero()
    if not all(isinstance(block, Simplex) for block, _, _ in chosen):
        return Blocks(tuple(block for block, _, _ in chosen), roots)
    partition = Partition(sizes, roots)
    if isinstance(partition.root, str) and len(sizes) == 1:
        return Collapse(partition.root)
    return Pairs(partition.root) if isinstance(partition.root, str) and set(sizes) == {2} else partition


def _each(sizes: Sequence[int], root: Roots) -> tuple[Root, ...]:
    """Returns the root of each group; a single class has none, which is written as large."""
    each = root if isinstance(root, tuple) else (root,) * len(sizes)
    if len(each) != len(sizes):
        raise InputError(f"expected one root for each of {len(sizes)} groups, got {len(each)}")
    return tuple("large" if size == 1 else one for size, one in zip(sizes, each, strict=True))


def _agreed(sizes: Sequence[int], root: Roots) -> Roots:
    """Returns one root where all groups of several classes agree, else the root of each group."""
    told = _each(sizes, root)
    found = {one for size, one in zip(sizes, told, strict=True) if size != 1}
    return told if len(found) > 1 else next(iter(found), "large")
