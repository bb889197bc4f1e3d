"""Blocks of classes: simplex, polygon, prisms and codes from association schemes, as values with their names and symmetries.

Source of the schemes: Bannai and Ito, Algebraic Combinatorics I (1984).
"""

import math
import re
from dataclasses import dataclass
from typing import assert_never

from landscape.errors import InputError

_WHOLE = "([0-9]{1,6})"  # more classes than a million fit nowhere, and their powers take for ever
_BLOCK = re.compile(rf"{_WHOLE}|polygon{_WHOLE}|T{_WHOLE}|H([0-9]{{1,2}})x{_WHOLE}|antiprism{_WHOLE}|bipyramid{_WHOLE}")
_ICOSAHEDRON = 12  # corners of the bipyramid that has more symmetries than its kin


@dataclass(frozen=True)
class Simplex:
    """A group of `size` classes at I - 11^T / size; rank size - 1.

    Attributes:
        size: Number of classes in the group.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=8, samples=1, width=10, depth=2, decay=1e-3)
        >>> report = ls.analyse(ls.place_reduced(problem, ls.Blocks((ls.Polygon(5), ls.Simplex(3)))))
        >>> report.structure, report.rank, report.nullity, report.index
        ('blocks:polygon5+3', 4, 60, 2)
    """

    size: int


@dataclass(frozen=True)
class Polygon:
    """`size` >= 5 classes at the corners of a regular polygon; rank 2 (smaller ones are a simplex or pairs).

    Attributes:
        size: Number of classes, at the corners of the polygon.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=5, samples=1, width=6, depth=2, decay=1e-3)
        >>> report = ls.analyse(ls.place_reduced(problem, ls.Blocks((ls.Polygon(5),))))
        >>> report.structure, report.rank, report.nullity, report.index
        ('blocks:polygon5', 2, 18, 0)
    """

    size: int


@dataclass(frozen=True)
class Triangular:
    """The pairs of `points` >= 5 points, by how many they share: T(points); rank points - 1, the first idempotent.

    Attributes:
        points: Number of points whose pairs are the classes.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=10, samples=1, width=12, depth=2, decay=1e-3)
        >>> report = ls.analyse(ls.place_reduced(problem, ls.Blocks((ls.Triangular(5),))))
        >>> report.structure, report.rank, report.nullity, report.index
        ('blocks:T5', 4, 76, 0)
    """

    points: int


@dataclass(frozen=True)
class Hamming:
    """Words of `length` >= 2 letters out of `letters`, by how many places differ; rank length (letters - 1).

    Two letters need length >= 3: the square is two pairs.

    Attributes:
        length: Number of letters in a word.
        letters: Number of letters in the alphabet.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=9, samples=1, width=12, depth=2, decay=1e-3)
        >>> report = ls.analyse(ls.place_reduced(problem, ls.Blocks((ls.Hamming(2, 3),))))
        >>> report.structure, report.rank, report.nullity, report.index
        ('blocks:H2x3', 4, 76, 4)
    """

    length: int
    letters: int


@dataclass(frozen=True)
class Antiprism:
    """`size` >= 8 classes, an even number, at the corners of an antiprism: a polygon, every second corner above its plane; rank 3.

    The polygon and the heights have a scale each (6 corners are three pairs). Found by descent below pairs at three layers.

    Attributes:
        size: Number of classes, at the corners of the two opposite faces.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=8, samples=1, width=8, depth=3, decay=1e-3)
        >>> report = ls.analyse(ls.place_reduced(problem, ls.Blocks((ls.Antiprism(8),))))
        >>> report.structure, report.rank, report.index
        ('blocks:antiprism8', 3, 0)
    """

    size: int


@dataclass(frozen=True)
class Bipyramid:
    """An antiprism with two poles, `size` >= 10 classes in all: a gyroelongated bipyramid, at 12 an icosahedron; rank 3.

    The poles stand last. Logits b * polygon + c u v^T, where u and v are 1 and -1 at the poles and alternate over the corners.

    Attributes:
        size: Number of classes, with the two poles.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=10, samples=1, width=10, depth=3, decay=1e-3)
        >>> report = ls.analyse(ls.place_reduced(problem, ls.Blocks((ls.Bipyramid(10),))))
        >>> report.structure, report.rank, report.index
        ('blocks:bipyramid10', 3, 0)
    """

    size: int


Code = Simplex | Polygon | Triangular | Hamming  # one scale: a multiple of a projector
Block = Code | Antiprism | Bipyramid


def size_of(block: Block) -> int:
    """Returns the number of classes of a block."""
    match block:
        case Simplex(size) | Polygon(size) | Antiprism(size) | Bipyramid(size):
            return size
        case Triangular(points):
            return points * (points - 1) // 2
        case Hamming(length, letters):
            return int(letters**length)
        case _:
            assert_never(block)


def rank_of(block: Block) -> int:
    """Returns the rank of the logits of a block."""
    match block:
        case Simplex(size):
            return size - 1
        case Polygon():
            return 2
        case Antiprism() | Bipyramid():
            return 3
        case Triangular(points):
            return points - 1
        case Hamming(length, letters):
            return length * (letters - 1)
        case _:
            assert_never(block)


def symmetries_of(block: Block) -> int:
    """Returns how many permutations of its classes leave a block as it is."""
    match block:
        case Simplex(size):
            return math.factorial(size)
        case Polygon(size) | Antiprism(size):
            return 2 * size
        case Bipyramid(size):
            return 120 if size == _ICOSAHEDRON else 2 * (size - 2)
        case Triangular(points):
            return math.factorial(points)
        case Hamming(length, letters):
            return math.factorial(letters) ** length * math.factorial(length)
        case _:
            assert_never(block)


def label(block: Block) -> str:
    """Returns the block as users type it."""
    match block:
        case Simplex(size):
            return str(size)
        case Polygon(size):
            return f"polygon{size}"
        case Triangular(points):
            return f"T{points}"
        case Hamming(length, letters):
            return f"H{length}x{letters}"
        case Antiprism(size):
            return f"antiprism{size}"
        case Bipyramid(size):
            return f"bipyramid{size}"
        case _:
            assert_never(block)


def block_in_words(block: Block) -> str:
    """Returns the block as a picture prints it: `group of 3`, `5-gon`, `antiprism of 8`, `triangular code T(5)`."""
    match block:
        case Simplex(size):
            return f"group of {size}"
        case Polygon(size):
            return f"{size}-gon"
        case Triangular(points):
            return f"triangular code T({points})"
        case Hamming(length, letters):
            return f"Hamming code H({length},{letters})"
        case Antiprism(size):
            return f"antiprism of {size}"
        case Bipyramid(size):
            return f"bipyramid of {size}"
        case _:
            assert_never(block)


def parse_block(text: str) -> Block:
    """Reads `3`, `polygon5`, `antiprism8`, `bipyramid10`, `T5` or `H3x2`.

    Raises:
        InputError: If it is none, or too small to be more than a simplex or pairs.
    """
    found = _BLOCK.fullmatch(text.strip())
    if found is None:
        raise InputError(f"expected blocks such as 3, polygon5, antiprism8, T5 or H3x2, got {text!r}")
    size, corners, points, length, letters, prism, poles = (int(part) if part else 0 for part in found.groups())
    if size:
        return Simplex(size)
    if corners >= 5:
        return Polygon(corners)
    if points >= 5:
        return Triangular(points)
    if length >= 2 and letters >= 2 and (letters > 2 or length > 2):
        return Hamming(length, letters)
    if prism >= 8 and prism % 2 == 0:
        return Antiprism(prism)
    if poles >= 10 and poles % 2 == 0:
        return Bipyramid(poles)
    raise InputError(
        "expected polygon5 or larger, antiprism8 or bipyramid10 or a larger even number, T5 or larger, H2x3 or H3x2 or larger, "
        f"got {text!r}"
    )


def codes_of_size(size: int) -> list[Code]:
    """Returns the codes, simplex and polygon apart, with this many classes."""
    found: list[Code] = []
    points = (1 + math.isqrt(1 + 8 * size)) // 2
    if points >= 5 and points * (points - 1) // 2 == size:
        found.append(Triangular(points))
    for length in range(2, size.bit_length()):
        letters = round(size ** (1 / length))
        if letters**length == size and (letters > 2 or (letters == 2 and length > 2)):
            found.append(Hamming(length, letters))
    return found


def prisms_of_size(size: int) -> list[Block]:
    """Returns the antiprism and the bipyramid with this many classes."""
    even = size % 2 == 0
    return [*([Antiprism(size)] if even and size >= 8 else []), *([Bipyramid(size)] if even and size >= 10 else [])]
