"""How many distinct critical points relabelling the classes makes of one."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from landscape.model.problem import Problem
from landscape.structures.blocks import Block, size_of, symmetries_of
from landscape.tolerances import SAME_LOGITS

_MOST_TRIED = 50_000  # classes of a search for an order: two seconds; logits of known structures of 64 classes take hundreds


def copies_of_blocks(blocks: Sequence[tuple[Block, object]], samples: Sequence[int]) -> int:
    """Returns the number of distinct relabellings of a block structure among classes of equal size.

    Args:
        blocks: Each with a mark of what else tells it apart (its root); equal pairs may change places.
        samples: Samples of the classes of each block. Only classes of equal size are relabelled.
    """
    marked = [(block, mark, n) for (block, mark), n in zip(blocks, samples, strict=True)]
    sizes: Counter[int] = Counter()
    for block, _, n in marked:
        sizes[n] += size_of(block)
    group = math.prod(math.factorial(size) for size in sizes.values())
    swaps = math.prod(math.factorial(times) for times in Counter(marked).values())
    return group // (swaps * math.prod(symmetries_of(block) for block, _, _ in marked))


def copies_at(problem: Problem, logits: Float[Tensor, "k k"]) -> int:
    """Returns the number of distinct critical manifolds that relabelling equal classes makes of one.

    Under squared error with linear layers a relabelling is part of the data symmetry, so all copies lie on one manifold. Its
    volume (`free_energy.log_orbit_volume`) covers them. Otherwise distinct logits are distinct manifolds.

    Args:
        problem: The model, which must be linear.
        logits: Class means, one column per class.
    """
    return 1 if problem.loss == "mse" else copies_of_logits(logits, problem.class_sizes)


def copies_of_logits(logits: Float[Tensor, "k k"], class_sizes: Sequence[int]) -> int:
    """Returns the number of distinct relabellings of class-mean logits, by counting the permutations that leave them alone.

    Orbit-stabiliser along a chain of classes: the number of symmetries is the product of how many classes each one can be sent to
    while those before it stay. Exact up to the tolerance at which two entries count as equal; worst-case exponential, instant for
    K <= 20.
    """
    size = len(class_sizes)
    step = SAME_LOGITS * max(float(logits.abs().max()), 1e-300)
    table = torch.round(logits / step / 2).to(torch.int64).tolist()
    rows = [tuple(sorted(zip(table[i], [row[i] for row in table], class_sizes, strict=True))) for i in range(size)]
    colours = [(class_sizes[i], table[i][i], rows[i]) for i in range(size)]

    def extends(image: list[int]) -> bool:
        """Whether classes 0 .. len(image)-1 can be sent to `image` by a symmetry of the whole."""
        place = len(image)
        if place == size:
            return True
        return any(fits(image, target) and extends([*image, target]) for target in range(size) if target not in image)

    def fits(image: list[int], target: int) -> bool:
        place = len(image)
        return colours[place] == colours[target] and all(
            table[place][i] == table[target][image[i]] and table[i][place] == table[image[i]][target] for i in range(place)
        )

    symmetries = 1
    for place in range(size):
        fixed = list(range(place))
        symmetries *= sum(fits(fixed, target) and extends([*fixed, target]) for target in range(place, size))
    group = math.prod(math.factorial(times) for times in Counter(class_sizes).values())
    return group // symmetries


def matching(known: Float[Tensor, "g g"], given: Float[Tensor, "g g"], tolerance: float) -> list[int] | None:
    """Returns an order of the classes in which given logits are the known ones, entry by entry; None if none was found.

    The search goes class by class and gives up after `_MOST_TRIED` of them: matrices that nearly match would take for ever.

    Args:
        known: Logits whose order stays.
        given: Logits that are put in order: class `order[i]` stands for class i of the known ones.
        tolerance: Largest difference of two entries that count as equal.
    """
    one, other = known.cpu().numpy(), given.cpu().numpy()
    order: list[int] = []

    def candidates() -> Iterator[int]:
        place = len(order)
        fits = np.abs(other.diagonal() - one[place, place]) <= tolerance
        fits &= (np.abs(other[order, :] - one[:place, place, None]) <= tolerance).all(0)
        fits &= (np.abs(other[:, order] - one[place, :place]) <= tolerance).all(1)
        fits[order] = False
        return iter(np.flatnonzero(fits).tolist())

    choices, tried = [candidates()], 0
    while choices and tried < _MOST_TRIED:
        tried += 1
        chosen = next(choices[-1], None)
        if chosen is None:
            choices.pop()
            del order[-1:]
            continue
        order.append(chosen)
        if len(order) == len(one):
            return order
        choices.append(candidates())
    return None
