"""What is replaced in a random start, as a value: read from text, described, refused where it does not fit. Imports no torch.

`swapped.py` makes the replacement. Given features are read once in a process and known by their digest, so that a file that
changes under a run is refused and one that moves is the same experiment.
"""

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, cast, get_args

from landscape.archive.experiment import Altered
from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.plain_file import Missing, read_ordinary
from landscape.solver.methods import Random

StartPart = Literal["features", "weights", "block"]
SYMMETRIC: dict[StartPart, str] = {"features": "identity", "weights": "isometric", "block": "zero"}  # the limits of infinite width
_ANEW = "anew"
_LARGEST_FILE = 1_000_000_000  # bytes of a file of features
EXPECTED = "features:, weights: or block: with identity, isometric, zero, anew or width=150 (features: also a file), joined by +"


@dataclass(frozen=True)
class Change:
    """One part of the start, and what replaces it.

    Attributes:
        part: Which part of the start is replaced.
        text: The change as it was typed.
        width: Width whose law the part is drawn from, at the scale of the problem's own; None for the limit of infinite width.
        anew: Whether the part is drawn anew at the problem's own width, the placebo.
        gram: Given Gram matrix of the features, for `features` alone; scaled to the mean squared norm of the problem's own law.
    """

    part: StartPart
    text: str
    width: int | None = None
    anew: bool = False
    gram: tuple[tuple[float, ...], ...] | None = None

    def describe(self) -> str:
        """Returns the change in words."""
        name = {"features": "H_1' H_1", "weights": "W_2 W_2'", "block": "the K x N block of W_1"}[self.part]
        if self.gram is not None:
            return f"{name} set to a given Gram matrix, at the scale of the problem"
        if self.anew:
            return f"{name} drawn anew at the same width"
        if self.width is None:
            return f"{name} set to {'zero' if self.part == 'block' else 'a multiple of the identity'}"
        return f"{name} drawn as at width {self.width}"


@dataclass(frozen=True)
class Swap:
    """Changes of different parts, made together.

    Attributes:
        changes: Changes of different parts of the start.
    """

    changes: tuple[Change, ...]

    def __str__(self) -> str:
        return "+".join(change.text for change in self.changes)

    def describe(self) -> str:
        """Returns the changes in words."""
        return "; ".join(change.describe() for change in self.changes)

    @property
    def placebo(self) -> str:
        """The swap that draws the same parts anew at the problem's own width: it must leave every share as it is."""
        return "+".join(f"{change.part}:{_ANEW}" for change in self.changes)

    @property
    def content(self) -> str:
        """The sha256 of a given Gram matrix, by its numbers; empty if none is given."""
        grams = [change.gram for change in self.changes if change.gram is not None]
        return hashlib.sha256(repr(grams).encode()).hexdigest() if grams else ""

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form: what was typed, what it means, and the digest of a given Gram matrix."""
        return {"text": str(self), "change": self.describe(), **({"sha256": self.content} if self.content else {})}

    def check(self, problem: Problem) -> None:
        """Refuses a problem that has no such parts.

        Raises:
            InputError: If it is not linear, has one layer, is narrower than K or N, or the Gram matrix has another size.
        """
        if not problem.is_linear or problem.depth < 2:
            raise InputError(f"expected a linear model of depth >= 2 for a swap, got {problem.activation} of depth {problem.depth}")
        if problem.depth > 2 and any(change.part == "block" for change in self.changes):
            raise InputError(f"expected depth 2 to swap the block of W_1, got {problem.depth}")
        for change in self.changes:
            if change.gram is not None and len(change.gram) != problem.total_samples:
                size, N = len(change.gram), problem.total_samples
                raise InputError(f"expected features of {N} samples for the swap {change.text}, got {size}")
        needed = max(problem.classes, problem.total_samples)
        if problem.width < needed:
            raise InputError(f"expected width >= {needed} (classes and samples) for a swap, got {problem.width}")


def class_mean_problem(problem: Problem, swap: Swap | None) -> Problem:
    """Returns the problem that given features are about: with one feature per class and n > 1 samples, that of the class means.

    Its critical points are those of n samples at the decay lambda n^(1/(L+1)); its starts have no differences within a class.

    Args:
        problem: The model that was asked about.
        swap: The change, whose Gram matrix may be K x K.
    """
    grams = [len(change.gram) for change in (swap.changes if swap else ()) if change.gram is not None]
    n = problem.class_sizes[0]
    if grams != [problem.classes] or n == 1 or not problem.is_balanced or isinstance(problem.decay, tuple):
        return problem
    return replace(problem, class_sizes=(1,) * problem.classes, decay=problem.decay * n ** (1 / (problem.depth + 1)))


def parse_swap(text: str) -> Swap:
    """Reads `features:identity`, `weights:width=150`, `block:anew`, `features:gram.npy`, or several joined by `+`.

    A file holds the N x N Gram matrix of the samples' features, or the features with one column per sample (.npy or .csv); only its
    shape counts, since it is scaled to the mean squared norm of the problem's features.

    Raises:
        InputError: If it is no swap, or the file is not such a matrix.
    """
    changes = tuple(_change(item) for item in text.split("+"))
    if len({change.part for change in changes}) < len(changes):
        raise InputError(f"expected every part at most once in a swap, got {text!r}")
    return Swap(changes)


def located(text: str, folder: Path) -> str:
    """Returns a swap as it was typed, with the file that it names found from a folder."""
    found = []
    for item in text.split("+"):
        part, _, what = item.partition(":")
        found.append(f"{part}:{folder.absolute() / what}" if _is_file(part, what) else item)
    return "+".join(found)


def _is_file(part: str, what: str) -> bool:
    return part == "features" and Path(what).suffix in (".npy", ".csv")


def _change(text: str) -> Change:
    part, separator, what = text.partition(":")
    if part not in get_args(StartPart) or not separator or not what:
        raise InputError(f"expected {EXPECTED}, got {text!r}")
    part = cast(StartPart, part)
    if what == SYMMETRIC[part]:
        return Change(part, text)
    if what == _ANEW:
        return Change(part, text, anew=True)
    if what.startswith("width="):
        return Change(part, text, _width(what.removeprefix("width="), text))
    if _is_file(part, what):
        return Change(part, text, gram=read_gram(Path(what)))
    raise InputError(f"expected {EXPECTED}, got {text!r}")


def _width(number: str, text: str) -> int:
    if not (number.isascii() and number.isdigit() and int(number) >= 1):
        raise InputError(f"expected a width such as width=150 in a swap, got {text!r}")
    return int(number)


def read_gram(path: Path) -> tuple[tuple[float, ...], ...]:
    """Reads the Gram matrix of features, or features with a column per sample, and returns it with mean diagonal 1.

    Raises:
        InputError: If the file is missing, no matrix, not finite, zero, or a symmetric matrix that is not positive semidefinite.
    """
    import numpy as np  # only where features are given: a grid is read without it

    try:
        data = BytesIO(read_ordinary(path, _LARGEST_FILE))
        matrix = np.load(data, allow_pickle=False) if path.suffix == ".npy" else np.loadtxt(data, delimiter=",", ndmin=2)
    except Missing as error:
        raise InputError(f"expected a matrix of numbers in {path}, got no such file") from error
    except Exception as error:  # on damaged headers numpy fails with nearly every kind: tokenize.TokenError, SyntaxError, ..
        raise InputError(f"expected a matrix of numbers in {path}, got {' '.join(str(error).split())[:120]}") from error
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiu" or matrix.size == 0 or not np.isfinite(matrix).all():
        raise InputError(f"expected a matrix of finite numbers in {path}, got shape {matrix.shape} and type {matrix.dtype}")
    matrix = matrix.astype(float)
    if matrix.shape[0] == matrix.shape[1] and np.array_equal(matrix, matrix.T):
        gram = matrix
        values = np.linalg.eigvalsh(gram)
        if not values[0] >= -1e-9 * abs(values).max():
            raise InputError(f"expected a positive semidefinite Gram matrix in {path}, got smallest eigenvalue {values[0]:.3g}")
    else:
        gram = matrix.T @ matrix
    scale = float(gram.trace()) / len(gram)
    if not scale > 0:
        raise InputError(f"expected features that are not zero in {path}, got a Gram matrix of trace {scale * len(gram):g}")
    return tuple(map(tuple, (gram / scale).tolist()))


def altered(random: Random, swap: str | None, groups: int | None = None) -> Altered:
    """Returns a start as an experiment has it, with the digest of given features.

    Raises:
        InputError: If it is no swap, or its file is no such matrix.
    """
    return Altered(random, swap or "", groups, parse_swap(swap).content if swap else "")


@lru_cache(maxsize=64)
def _swap(text: str, content: str) -> Swap:
    """Returns the swap of a start; its file is read once in a process."""
    swap = parse_swap(text)
    if swap.content != content:
        raise InputError(f"expected the features of {text} as they were at first, got others: run the command again")
    return swap


def swap_of(start: Altered) -> Swap | None:
    """Returns what is replaced in a start; None for nothing.

    Raises:
        InputError: If its file cannot be read, or has changed.
    """
    return _swap(start.swap, start.content) if start.swap else None
