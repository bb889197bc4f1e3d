"""Lists of block structures: how the classes can be split, and how many ways there are before any is listed."""

from collections.abc import Iterator
from itertools import combinations_with_replacement, product
from typing import Literal, cast

from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.structures.blocks import Block, Polygon, Simplex, prisms_of_size
from landscape.structures.kinds import Marked, Root

MOST = 50_000  # partitions: all of K = 50 are 30 701; beyond that the table takes minutes and nobody reads it


def partitions(problem: Problem, roots: Literal["large", "both"] = "large") -> Iterator[list[Marked]]:
    """Yields every split of the classes into groups of at least 2, with every choice of roots if asked.

    Classes of different size are never in one group; a class whose size no other has stays alone, with zero logits.

    Raises:
        InputError: If there are more than `MOST`, with their number.
    """
    times = {n: problem.class_sizes.count(n) for n in dict.fromkeys(problem.class_sizes)}
    colours = 2 if roots == "both" and problem.depth > 1 else 1
    total = 1
    for count in times.values():
        total *= count_partitions(count, colours) if count > 1 else 1
    if total > MOST:
        raise InputError(
            f"expected at most {MOST} partitions, but {problem.classes} classes have {total}: name the ones you want with --groups"
        )
    choices = [list(_marked(count, n, colours)) for n, count in times.items()]
    for parts in product(*choices):
        yield [marked for part in parts for marked in part]


def count_partitions(size: int, colours: int = 1) -> int:
    """Returns the number of partitions of `size` into parts of at least 2, each part in one of `colours` colours."""
    ways = [1] + [0] * size
    for part in range(2, size + 1):
        for _ in range(colours):
            for total in range(part, size + 1):
                ways[total] += ways[total - part]
    return ways[size]


def _marked(size: int, samples: int, colours: int) -> Iterator[list[Marked]]:
    if size == 1:
        yield [(Simplex(1), samples, "large")]
        return
    for parts in splits(size, size):
        if colours == 1:
            yield [(Simplex(part), samples, "large") for part in parts]
            continue
        kinds = [(part, parts.count(part)) for part in dict.fromkeys(parts)]
        choices = [combinations_with_replacement(("large", "small"), times) for _, times in kinds]
        for roots in product(*choices):
            yield [
                (Simplex(part), samples, cast(Root, root))
                for (part, _), chosen in zip(kinds, roots, strict=True)
                for root in chosen
            ]


def splits(size: int, largest: int) -> Iterator[list[int]]:
    """Yields the partitions of `size` into parts from 2 to `largest`, largest part first."""
    if size == 0:
        yield []
    for part in range(min(size, largest), 1, -1):
        for rest in splits(size - part, part):
            yield [part, *rest]


def block_lists(classes: int, samples: int, most: int, omitted: list[str]) -> list[list[Marked]]:
    """Returns the splits in which at least one group is a polygon, all at the large root.

    If there are more than `most`, none is returned and `omitted` says so.
    """
    found: list[list[Marked]] = []
    for parts in _capped(classes):
        kinds = [(part, parts.count(part)) for part in dict.fromkeys(parts)]
        choices = [range(times + 1) if part > 4 else range(1) for part, times in kinds]
        for polygons in product(*choices):
            if sum(polygons):
                blocks: list[Block] = []
                for (part, times), corners in zip(kinds, polygons, strict=True):
                    blocks += [Polygon(part)] * corners + [Simplex(part)] * (times - corners)
                found.append([(block, samples, "large") for block in blocks])
        if len(found) > most:
            omitted.append(f"polygons (more than {most} structures)")
            return []
    return found


def prism_lists(classes: int, samples: int, most: int, omitted: list[str]) -> list[list[Marked]]:
    """Returns an antiprism or a bipyramid with every split of the other classes into groups, all at the large root.

    If there are more than `most`, none is returned and `omitted` says so.
    """
    found: list[list[Marked]] = []
    for size in range(8, classes + 1, 2):
        for prism, rest in product(prisms_of_size(size), splits(classes - size, classes - size)):
            found.append([(prism, samples, "large"), *((Simplex(part), samples, "large") for part in rest)])
            if len(found) > most:
                omitted.append(f"antiprisms and bipyramids (more than {most} structures)")
                return []
    return found


def _capped(classes: int) -> Iterator[list[int]]:
    return splits(classes, classes) if classes >= 5 else iter(())
