"""Counterfactual starts: one part of a random start is replaced, everything else stays bit for bit.

H_1 = Q R and W_2 = L P' (QR with positive diagonals). The parts are R, so the Gram matrix H_1' H_1; L, so W_2 W_2'; and the K x N
block P' W_1 Q of W_1. What follows from a swap changes too: H_1, W_2 or W_1 as a matrix, the first logits, the first loss.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from landscape.errors import InputError
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.studies.starts.law import Ends, bartlett, gaussian, generator_of

StartPart = Literal["features", "weights", "block"]
SYMMETRIC: dict[StartPart, str] = {"features": "identity", "weights": "isometric", "block": "zero"}  # the limits of infinite width
_ANEW = "anew"
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

    def factor(self, problem: Problem, scales: tuple[float, float], seed: int, like: Tensor) -> Tensor:
        """Returns what replaces the part in the bases of `law.Ends`, from the seed's own stream for this part."""
        width = problem.width if self.anew else self.width
        weight_scale, feature_scale = scales
        generator = generator_of(seed, self.part)
        match self.part:
            case "features":
                scale = feature_scale * math.sqrt(problem.width)
                if self.gram is not None:
                    return scale * _root(self.gram)
                return scale * _triangle(generator, width, like.shape[1])
            case "weights":
                return weight_scale * _triangle(generator, width, like.shape[0]).mT
            case "block":
                if width is None:
                    return torch.zeros_like(like)
                return weight_scale / math.sqrt(width) * gaussian(generator, *like.shape)

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
        needed = max(problem.classes, problem.total_samples)
        if problem.width < needed:
            raise InputError(f"expected width >= {needed} (classes and samples) for a swap, got {problem.width}")
        for change in self.changes:
            if change.gram is not None and len(change.gram) != problem.total_samples:
                size, N = len(change.gram), problem.total_samples
                raise InputError(f"expected features of {N} samples for the swap {change.text}, got {size}")

    def ends(self, problem: Problem, scales: tuple[float, float], seed: int, ends: Ends) -> Ends:
        """Returns the ends of a start with the changes made."""
        parts = {"features": ends.features, "weights": ends.weights, "block": ends.block}
        for change in self.changes:
            parts[change.part] = change.factor(problem, scales, seed, parts[change.part])
        return Ends(**parts)

    def start(self, problem: Problem, scales: tuple[float, float], seed: int, theta: Float[Tensor, " p"]) -> Float[Tensor, " p"]:
        """Returns a full start with the changes made; factors that no change names are the same bit for bit.

        Args:
            problem: A linear model; deeper ones have the features' and the last layer's parts.
            scales: c_W and c_H of the start.
            seed: Seed of the start.
            theta: Parameters of the start.

        Raises:
            InputError: If the problem has no such parts.
        """
        self.check(problem)
        factors = Objective.of(problem, theta).split(theta)
        inside, features = _signed_qr(factors[0])
        outside, weights = _signed_qr(factors[-1].mT)
        block = (
            outside.mT @ factors[1] @ inside if problem.depth == 2 else factors[0].new_zeros(weights.shape[0], features.shape[0])
        )
        old = Ends(features, weights.mT.contiguous(), block)
        new = self.ends(problem, scales, seed, old)
        named = {change.part for change in self.changes}
        if "features" in named:
            factors[0] = inside @ new.features
        if "weights" in named:
            factors[-1] = new.weights @ outside.mT
        if "block" in named:
            factors[1] = factors[1] + outside @ (new.block - old.block) @ inside.mT
        return torch.cat([factor.flatten() for factor in factors])


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
    if part == "features" and Path(what).suffix in (".npy", ".csv"):
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
    try:
        matrix = np.load(path, allow_pickle=False) if path.suffix == ".npy" else np.loadtxt(path, delimiter=",", ndmin=2)
    except (OSError, ValueError) as error:
        raise InputError(f"expected a matrix of numbers in {path}, got {' '.join(str(error).split())}") from error
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


def _root(gram: Sequence[Sequence[float]]) -> Tensor:
    """Returns the symmetric square root of a Gram matrix."""
    values, vectors = torch.linalg.eigh(torch.tensor(gram, dtype=torch.float64))
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.mT


def _triangle(generator: np.random.Generator, width: int | None, size: int) -> Tensor:
    """Returns R with R'R ~ Wishart(width) / width, or the identity, its limit; rows of zeros where the width is smaller."""
    if width is None:
        return torch.eye(size, dtype=torch.float64)
    factor = bartlett(generator, width, size) / math.sqrt(width)
    return torch.nn.functional.pad(factor, (0, 0, 0, size - factor.shape[0]))


def _signed_qr(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the QR factorisation with a non-negative diagonal, which makes it unique."""
    basis, triangle = torch.linalg.qr(matrix)
    signs = torch.where(triangle.diagonal() < 0, -1.0, 1.0).to(matrix)
    return basis * signs, triangle * signs[:, None]
