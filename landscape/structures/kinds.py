"""The known structures as values: which classes stand together, and at which root of the scale equation."""

from dataclasses import dataclass
from typing import Literal

from landscape.structures.blocks import Block

Root = Literal["large", "small"]


@dataclass(frozen=True)
class Partition:
    """Classes split in their order into groups, logits blockdiag(a_g S_g): (K) is DNC, (2, .., 2) are pairs.

    Cross-entropy only. Every group's scale solves its own equation; classes of one group must have equal sizes. A group of one
    class has zero logits.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=10, samples=5, width=70, depth=2, decay=2**-10)
        >>> report = ls.analyse(ls.place_reduced(problem, ls.Partition((6, 2, 2))))
        >>> report.structure, report.nullity, report.index
        ('partition (6,2,2)', 924, 0)
    """

    groups: tuple[int, ...]
    root: Root = "large"


@dataclass(frozen=True)
class Collapse:
    """Deep neural collapse: the simplex alpha S_K under cross-entropy, one orthogonal mode per class under squared error.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=10, samples=5, width=70, depth=2, decay=2**-10)
        >>> report = ls.analyse(ls.place_reduced(problem, ls.Collapse(root="small")))
        >>> report.structure, report.nullity, report.index
        ('DNC at the small root', 1170, 45)
    """

    root: Root = "large"


@dataclass(frozen=True)
class Pairs:
    """The low-rank structure of the paper for even K: (2, .., 2), rank K/2.

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
    """Classes split in their order into blocks that may be polygons or codes too, each at its own scale; cross-entropy only."""

    blocks: tuple[Block, ...]
    root: Root = "large"


Structure = Partition | Collapse | Pairs | Apex | Blocks
