"""Families of symmetries: a Lie algebra of small matrices that acts on modes of several parameter tensors at once.

A slot is a place where a matrix of size b acts: a mode (axis) of a tensor whose m indices are read as (i, k, j) with
m = outer * b * stride, i < outer, j < stride. It acts on k at one (i, j). Contiguous blocks have stride 1, blocks with outer 1
are strided, and blocks inside blocks are both. So attention heads are covered in either layout, channels that are flattened
with their pixels, and the planes of rotary embeddings.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.display import brief

SymmetryKind = Literal["rotation", "rotation that keeps the mean", "linear map", "rescaling", "scaling"]
_SHOWN = 4  # positions that a name lists


@dataclass(frozen=True)
class Slot:
    """A place where a matrix of size b acts on a parameter tensor.

    Attributes:
        tensor: Name of the parameter.
        mode: Axis of the tensor.
        start: Smallest index that is acted on.
        stride: Distance between the indices.
        size: Number of indices, b.
        length: Length of the axis.
        axes: Number of axes of the tensor.
    """

    tensor: str
    mode: int
    start: int
    stride: int
    size: int
    length: int
    axes: int

    @property
    def positions(self) -> slice:
        """The indices that are acted on."""
        return slice(self.start, self.start + self.stride * (self.size - 1) + 1, self.stride)

    def rows(self, tensor: Float[Tensor, "*shape"]) -> Float[Tensor, "b rest"]:
        """Returns the entries that are acted on, the rest of the axes flattened."""
        return tensor.movedim(self.mode, 0)[self.positions].reshape(self.size, -1)


@dataclass(frozen=True)
class Member:
    """One slot of a family, with how its matrices act there.

    Attributes:
        slot: Place where the matrices act.
        factor: Number that multiplies the matrix there.
        transposed: Whether the transpose acts, as on the other side of a product.
    """

    slot: Slot
    factor: float
    transposed: bool = False

    def acting(self, matrix: Float[Tensor, "a a"]) -> Float[Tensor, "b b"]:
        """Returns what acts at the slot; a number (a matrix of one row, as of scaling) acts as a multiple of the identity."""
        if matrix.shape[0] == 1:
            return self.factor * matrix * torch.eye(self.slot.size).to(matrix)
        return self.factor * (matrix.mT if self.transposed else matrix)

    def collected(self, block: Float[Tensor, "b b"], one: bool = False) -> Float[Tensor, "a a"]:
        """Returns what a matrix at the slot gives for that of the family: the transpose of `acting`.

        Args:
            block: At the slot.
            one: Whether the family's matrix is a number.
        """
        if one:
            return self.factor * block.trace().reshape(1, 1)
        return self.factor * (block.mT if self.transposed else block)


@dataclass(frozen=True)
class SymmetryFamily:
    """A family of symmetries: one matrix A of an algebra acts on all members at once, and the loss of all data is unchanged.

    Attributes:
        kind: Algebra of the matrices: antisymmetric ones (rotation), those that also map (1, .., 1) to 0, all (linear map),
            diagonal ones (rescaling), or multiples of the identity (scaling).
        size: Rows of the matrices; 1 for scaling, whose matrices are numbers.
        members: Places where the matrices act, with their factors.
        residual: Largest relative change that fresh matrices, parameters and inputs showed.
    """

    kind: SymmetryKind
    size: int
    members: tuple[Member, ...]
    residual: float = 0.0

    __repr__ = brief

    @property
    def dimension(self) -> int:
        """The dimension of the algebra; that of the orbit through a point is at most this."""
        return algebra_dimension(self.kind, self.size)

    @property
    def tensors(self) -> frozenset[str]:
        """The parameters that are moved."""
        return frozenset(member.slot.tensor for member in self.members)

    @property
    def name(self) -> str:
        """SymmetryKind, size and members, by parameter name."""
        places: dict[tuple[str, int, float, bool], list[Slot]] = {}
        for member in self.members:
            key = (member.slot.tensor, member.slot.mode, member.factor, member.transposed)
            places.setdefault(key, []).append(member.slot)
        signed = len({(factor, turned) for _, _, factor, turned in places}) > 1
        parts = [
            _place(slots, self.size == 1) + (f" ({factor:+.3g}{', transposed' if turned else ''})" if signed else "")
            for (_, _, factor, turned), slots in places.items()
        ]
        return f"{self.kind}{f' of {self.size}' if self.size > 1 else ''}: {', '.join(parts)}"

    def moved(self, values: dict[str, Tensor], coordinates: Float[Tensor, " a"]) -> dict[str, Tensor]:
        """Returns the change of the parameters by one matrix of the algebra, by its coordinates in an orthonormal basis."""
        matrix = matrix_of(self.kind, self.size, coordinates)
        changes: dict[str, Tensor] = {}
        for member in self.members:
            slot, value = member.slot, values[member.slot.tensor]
            change = changes.setdefault(slot.tensor, torch.zeros_like(value))
            inner = value.movedim(slot.mode, 0)[slot.positions]
            change.movedim(slot.mode, 0)[slot.positions] += (member.acting(matrix) @ slot.rows(value)).view(inner.shape)
        return changes

    def pulled(self, values: dict[str, Tensor], vector: dict[str, Tensor]) -> Float[Tensor, " a"]:
        """Returns the inner products of a vector with the changes by the basis matrices: the transpose of `moved`."""
        total = next(iter(values.values())).new_zeros(self.size, self.size)
        for member in self.members:
            slot = member.slot
            moment = slot.rows(vector[slot.tensor]) @ slot.rows(values[slot.tensor]).mT
            total += member.collected(moment, self.size == 1)
        return coordinates_of(self.kind, total)


def algebra_dimension(kind: SymmetryKind, size: int) -> int:
    """Returns the dimension of an algebra of matrices."""
    match kind:
        case "rotation":
            return size * (size - 1) // 2
        case "rotation that keeps the mean":
            return (size - 1) * (size - 2) // 2
        case "linear map":
            return size * size
        case "rescaling":
            return size
        case "scaling":
            return 1


def matrix_of(kind: SymmetryKind, size: int, coordinates: Float[Tensor, " a"]) -> Float[Tensor, "b b"]:
    """Returns a matrix of an algebra by its coordinates in an orthonormal basis."""
    match kind:
        case "rotation":
            matrix = coordinates.new_zeros(size, size)
            above = torch.triu_indices(size, size, 1)
            matrix[above[0], above[1]] = coordinates / 2**0.5
            return matrix - matrix.mT
        case "rotation that keeps the mean":
            frame = _without_mean(size, coordinates)
            return frame @ matrix_of("rotation", size - 1, coordinates) @ frame.mT
        case "linear map":
            return coordinates.view(size, size)
        case "rescaling":
            return coordinates.diag()
        case "scaling":
            return coordinates.reshape(1, 1)


def coordinates_of(kind: SymmetryKind, matrix: Float[Tensor, "b b"]) -> Float[Tensor, " a"]:
    """Returns the inner products of a matrix with an orthonormal basis of an algebra: the transpose of `matrix_of`."""
    size = matrix.shape[0]
    match kind:
        case "rotation":
            above = torch.triu_indices(size, size, 1)
            return (matrix - matrix.mT)[above[0], above[1]] / 2**0.5
        case "rotation that keeps the mean":
            frame = _without_mean(size, matrix)
            return coordinates_of("rotation", frame.mT @ matrix @ frame)
        case "linear map":
            return matrix.reshape(-1)
        case "rescaling":
            return matrix.diagonal().clone()
        case "scaling":
            return matrix.reshape(1)


def _without_mean(size: int, like: Tensor) -> Float[Tensor, "b c"]:
    """Returns an orthonormal basis of the vectors of mean 0 (that of Helmert)."""
    frame = torch.zeros(size, size - 1, dtype=torch.float64)
    for column in range(size - 1):
        frame[: column + 1, column] = 1 / ((column + 1) * (column + 2)) ** 0.5
        frame[column + 1, column] = -(((column + 1) / (column + 2)) ** 0.5)
    return frame.to(like)


def axis_name(mode: int, axes: int) -> str:
    """Returns the words for an axis of a tensor after its name: rows, columns, a number, or nothing where there is one alone."""
    if axes == 1:
        return ""
    return (" rows", " columns")[mode] if mode < 2 else f" axis {mode}"


def _place(slots: list[Slot], whole: bool) -> str:
    first = slots[0]
    if whole:
        return first.tensor
    where = first.tensor + axis_name(first.mode, first.axes)
    covered = sum(slot.size for slot in slots)
    if covered == first.length:
        return where if len(slots) == 1 else f"{where} ({len(slots)} blocks of stride {first.stride})"
    if len(slots) > 1:
        return f"{where} ({len(slots)} blocks of stride {first.stride}, from {numbers_in_words([slot.start for slot in slots])})"
    last = first.start + first.stride * (first.size - 1)
    if first.stride == 1:
        return f"{where} {first.start}-{last}"
    return f"{where} {numbers_in_words(list(range(first.start, last + 1, first.stride)))}"


def numbers_in_words(numbers: list[int]) -> str:
    """Returns some numbers as text, the first few of many and how many they are."""
    if len(numbers) <= _SHOWN:
        return ", ".join(map(str, numbers))
    return f"{', '.join(map(str, numbers[: _SHOWN - 1]))}, .. ({len(numbers)})"
