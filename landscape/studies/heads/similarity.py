"""How alike two class-mean logits are, whichever class of one stands for which of the other."""

from functools import cache
from itertools import combinations

import numpy as np
from jaxtyping import Float
from scipy.optimize import quadratic_assignment
from torch import Tensor

from landscape.structures.kinds import Collapse, Kind, Pairs, Partition

_TRIES = 48  # relabellings that a search starts from; the hardest pattern seen at 10 classes is found by one start in 16
_EXACT = 12  # classes up to which the best way to form groups is found by dynamic programming


def similarity(kind: Kind, known: Float[Tensor, "k k"], logits: Float[Tensor, "k k"]) -> float | None:
    """Returns the largest cosine between class-mean logits and those of a structure, over relabellings of the classes.

    Both are centred: their mean over the rows, which cross-entropy does not see, is taken away. For DNC, pairs and
    partitions of at most 12 classes the maximum is exact, by dynamic programming over sets of classes. Otherwise it is the best of
    48 seeded searches (Vogelstein and others, 2015, then exchanges of two classes, both of scipy), a lower bound.

    Args:
        kind: Kind of the structure.
        known: Logits of the structure for the classes in its own order, one column per class.
        logits: Logits that are compared with them.

    Returns:
        The cosine; None if one of the two is zero.
    """
    one, other = ((matrix - matrix.mean(0, keepdim=True)).cpu().numpy() for matrix in (known.to(logits), logits))
    length = float(np.linalg.norm(one) * np.linalg.norm(other))
    if not length > 0:
        return None
    groups = _groups(kind, len(one))
    if groups == (len(one),):
        return float((one * other).sum()) / length
    if groups is not None and len(one) <= _EXACT:
        return _grouped(one, other, groups) / length
    return max(_searched(one, other, seed) for seed in range(_TRIES)) / length


def _groups(kind: Kind, classes: int) -> tuple[int, ...] | None:
    """Returns the sizes of a structure's groups in its own order; None if it does not consist of simplices."""
    match kind:
        case Collapse():
            return (classes,)
        case Pairs():
            return (2,) * (classes // 2)
        case Partition(groups):
            return groups
        case _:
            return None


def _grouped(known: Float[np.ndarray, "k k"], given: Float[np.ndarray, "k k"], groups: tuple[int, ...]) -> float:
    """Returns the largest inner product of logits of blocks a_g (I - 11'/g) with any relabelling of the given ones."""
    starts = np.cumsum((0, *groups))
    scaled = [(g, round(float(known[s, s]) * g / max(g - 1, 1), 12)) for g, s in zip(groups, starts, strict=False)]
    diagonal = given.diagonal()

    def gain(members: tuple[int, ...]) -> float:
        chosen = list(members)
        return float(diagonal[chosen].sum() - given[np.ix_(chosen, chosen)].sum() / len(chosen))

    gain = cache(gain)

    @cache
    def best(left: tuple[int, ...], groups: tuple[tuple[int, float], ...]) -> float:
        """The best that the classes left make of the groups left; the first of them belongs to some group."""
        if not left:
            return 0.0
        first, rest = left[0], left[1:]
        values = []
        for size, scale in set(groups):
            place = groups.index((size, scale))
            others = groups[:place] + groups[place + 1 :]
            for partners in combinations(rest, size - 1):
                staying = tuple(label for label in rest if label not in partners)
                values.append(scale * gain((first, *partners)) + best(staying, others))
        return max(values)

    return best(tuple(range(len(given))), tuple(sorted(scaled)))


def _searched(known: Float[np.ndarray, "k k"], given: Float[np.ndarray, "k k"], seed: int) -> float:
    """Returns the largest inner product of two matrices that one search over relabellings of the second finds."""
    options = {"maximize": True, "rng": np.random.default_rng(seed)}
    first = quadratic_assignment(known, given, method="faq", options=options | {"P0": "randomized" if seed else "barycenter"})
    start = np.stack([np.arange(len(known)), first.col_ind], axis=1)
    return float(quadratic_assignment(known, given, method="2opt", options=options | {"partial_guess": start}).fun)
