"""The eigenvalues of a symmetric operator, with multiplicities and the error that they carry."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.operators.operator import SymmetricOperator, dense
from landscape.display import aligned, table

_MOST_ROWS = 60  # distinct eigenvalues that are shown; `atoms` has all


@dataclass(frozen=True)
class Spectrum:
    """A complete set of eigenvalues.

    Attributes:
        values: Eigenvalues, ascending. Equal ones may stand as one entry with a multiplicity or as several entries.
        multiplicities: Multiplicity of each value; exact integers, which may exceed what memory could list one by one.
        error: Bound on the rounding error of each value (absolute).
    """

    values: Float[Tensor, " k"]
    multiplicities: tuple[int, ...]
    error: float

    @classmethod
    def merge(cls, parts: Iterable[tuple[Float[Tensor, " _"], int]], error: float) -> "Spectrum":
        """Returns the spectrum of eigenvalue lists, each list with the multiplicity of all its entries."""
        pairs = sorted((value, times) for values, times in parts if times > 0 for value in values.tolist())
        values = torch.tensor([value for value, _ in pairs], dtype=torch.float64)
        return cls(values, tuple(times for _, times in pairs), error)

    def __repr__(self) -> str:
        ends = f", {float(self.values[0]):.3e} .. {float(self.values[-1]):.3e}" if len(self.values) else ""
        return f"Spectrum({self.size} eigenvalues, {len(self.values)} stored{ends}, error {self.error:.1e})"

    def __str__(self) -> str:
        return aligned([("eigenvalue", "multiplicity"), *self._shown()])

    def _repr_html_(self) -> str:
        """What a notebook shows: the distinct eigenvalues."""
        return table(repr(self), self._shown(), ("eigenvalue", "multiplicity"))

    def _shown(self) -> list[tuple[str, str]]:
        rows = [(f"{value:.9e}", f"{times}") for value, times in self.atoms()]
        hidden = len(rows) - _MOST_ROWS
        return rows if hidden <= 0 else [*rows[: _MOST_ROWS // 2], ("..", f"{hidden} more rows"), *rows[-_MOST_ROWS // 2 :]]

    @property
    def size(self) -> int:
        """The sum of the multiplicities: the size of the operator."""
        return sum(self.multiplicities)

    @property
    def norm(self) -> float:
        """The spectral norm."""
        return float(self.values.abs().max()) if len(self.multiplicities) else 0.0

    @property
    def trace(self) -> float:
        """The sum of the eigenvalues."""
        return math.fsum(m * v for v, m in self.pairs())

    @property
    def frobenius(self) -> float:
        """The Frobenius norm."""
        return math.sqrt(math.fsum(m * v * v for v, m in self.pairs()))

    def pairs(self) -> list[tuple[float, int]]:
        """Returns (eigenvalue, multiplicity) as stored."""
        return list(zip(self.values.tolist(), self.multiplicities, strict=True))

    def atoms(self) -> list[tuple[float, int]]:
        """Returns (eigenvalue, multiplicity) with values closer than the error merged into their weighted mean.

        Values whose successive gaps are below twice the error are one atom. It is a display of what the error cannot tell
        apart, not a proof that they are equal.
        """
        atoms: list[tuple[float, int]] = []
        last = -float("inf")
        for value, times in self.pairs():
            if value - last <= 2 * self.error:
                mean, count = atoms[-1]
                atoms[-1] = ((mean * count + value * times) / (count + times), count + times)
            else:
                atoms.append((value, times))
            last = value
        return atoms

    def expanded(self) -> Float[Tensor, " p"]:
        """Returns every eigenvalue as often as it counts; only for sizes that fit in memory."""
        return self.values.repeat_interleave(torch.tensor(self.multiplicities, dtype=torch.int64))


def rounding_radius(size: int, norm: float, dtype: torch.dtype = torch.float64) -> float:
    """Returns the bound 8 sqrt(N) eps ||H|| on the rounding error of computed eigenvalues.

    A norm-wise backward error of the symmetric eigensolvers, an order above what is seen; not interval arithmetic.
    """
    return 8 * max(size, 1) ** 0.5 * torch.finfo(dtype).eps * norm


def eigenvalues(operator: SymmetricOperator) -> Spectrum:
    """Returns the complete spectrum by forming the matrix; O(N^3) time and three N^2 arrays.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> matrix = ls.Matrix(torch.tensor([0.0, 0.0, 1.0, 2.0], dtype=torch.float64).diag())
        >>> [(round(value, 10), times) for value, times in ls.eigenvalues(matrix).atoms()]
        [(0.0, 2), (1.0, 1), (2.0, 1)]
    """
    values = torch.linalg.eigvalsh(dense(operator))
    norm = float(values.abs().amax()) if operator.size else 0.0
    radius = rounding_radius(operator.size, norm, operator.like.dtype)
    return Spectrum(values.to("cpu", torch.float64), (1,) * operator.size, radius)
