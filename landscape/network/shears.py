"""Shears: a vector added to one bias, and taken back by the map that reads it from the bias behind it.

W (h + b) + c does not change under b -> b + v, c -> c - W v, with one free vector v. Weight decay on either bias breaks it, so it
is looked for among biases without decay alone: there it is the most common flat direction of networks whose biases are exempt.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.krylov import seeded
from landscape.display import brief
from landscape.network.family_search import SILENT, VERIFIED, gradients_for, null_vectors
from landscape.network.probes import Probes, Slope

_CHECKS = 4


@dataclass(frozen=True)
class Read:
    """How a vector reaches a bias: by itself, or through a tensor.

    Attributes:
        target: The bias that changes.
        start: First of its entries that change; blocks are those of the size of the change.
        through: The tensor that maps the vector; None where the vector itself is added.
        axis: Axis of that tensor that the vector is contracted with.
        kept: Axis of that tensor that becomes the change; all others are summed over.
    """

    target: str
    start: int = 0
    through: str | None = None
    axis: int = 0
    kept: int = 0

    @property
    def tensors(self) -> frozenset[str]:
        """The parameters that take part."""
        return frozenset({self.target} | ({self.through} if self.through else set()))

    def part(self, value: Float[Tensor, " m"], size: int) -> Float[Tensor, " k"]:
        """Returns the entries of the target that change, as a view."""
        return value[self.start : self.start + size]

    def matrix(self, values: dict[str, Tensor]) -> Float[Tensor, "m n"] | None:
        """Returns what the vector is multiplied with; None for the identity."""
        if self.through is None:
            return None
        value = values[self.through].movedim((self.kept, self.axis), (0, 1))
        return value.reshape(*value.shape[:2], -1).sum(-1)


@dataclass(frozen=True)
class Shear:
    """A family of shears with one free vector.

    Attributes:
        size: Entries of the vector.
        reads: How it reaches biases, with factors.
        residual: Largest relative change of the loss that fresh vectors, parameters and inputs showed.
    """

    size: int
    reads: tuple[tuple[Read, float], ...]
    residual: float = 0.0

    __repr__ = brief

    @property
    def dimension(self) -> int:
        """Entries of the free vector."""
        return self.size

    @property
    def tensors(self) -> frozenset[str]:
        """The parameters that are moved."""
        return frozenset(read.target for read, _ in self.reads)

    @property
    def name(self) -> str:
        """The biases and the maps between them."""
        parts = [
            read.target + (f" from {read.start}" if read.start else "") + (f" through {read.through}" if read.through else "")
            for read, _ in self.reads
        ]
        return f"shear of {self.size}: {', '.join(parts)}"

    def moved(self, values: dict[str, Tensor], coordinates: Float[Tensor, " a"]) -> dict[str, Tensor]:
        """Returns the change of the parameters by one vector."""
        changes: dict[str, Tensor] = {}
        for read, factor in self.reads:
            matrix = read.matrix(values)
            change = coordinates if matrix is None else matrix @ coordinates
            total = changes.setdefault(read.target, torch.zeros_like(values[read.target]))
            read.part(total, len(change)).add_(change, alpha=factor)
        return changes

    def pulled(self, values: dict[str, Tensor], vector: dict[str, Tensor]) -> Float[Tensor, " a"]:
        """Returns the inner products of a vector with the changes by unit vectors: the transpose of `moved`."""
        total = next(iter(values.values())).new_zeros(self.size)
        for read, factor in self.reads:
            matrix = read.matrix(values)
            pulled = read.part(vector[read.target], self.size if matrix is None else matrix.shape[0])
            total = total + factor * (pulled if matrix is None else matrix.mT @ pulled)
        return total


def shears(probes: Probes, free: set[str], limit: int) -> tuple[list[Shear], int]:
    """Returns the shears among parameters without decay, and the gradients that were spent.

    Args:
        probes: Gradients on random inputs.
        free: Parameters without decay.
        limit: Unknowns of one size at most.
    """
    shapes = probes.problem.flat.shapes
    biases = {name: shapes[name][0] for name in sorted(free) if len(shapes[name]) == 1}
    sizes = {length for shape in shapes.values() for length in shape if any(total % length == 0 for total in biases.values())}
    groups = {size: _reads(size, biases, shapes) for size in sorted(sizes)}
    groups = {size: reads for size, reads in groups.items() if 1 < len(reads) <= limit}
    if not groups:
        return [], 0
    draws = {size: torch.randn(size, generator=seeded(0, f"shear of {size}"), dtype=torch.float64) for size in groups}
    needed = {size: gradients_for(len(reads), 1) for size, reads in groups.items()}
    rows, spent = probes.equations(needed, lambda slope: lambda size: _equation(slope, groups[size], draws[size]))
    checks = [probes.slope() for _ in range(_CHECKS)]
    found = []
    for size, reads in groups.items():
        for vector in null_vectors(rows[size], SILENT)[0]:
            kept = tuple((read, float(value)) for read, value in zip(reads, vector, strict=True) if abs(float(value)) > 1e-7)
            shear = Shear(size, kept)
            worst = _change(shear, checks)
            if worst <= VERIFIED and any(read.through for read, _ in kept):
                found.append(replace(shear, residual=worst))
    return found, spent + _CHECKS


def _reads(size: int, biases: dict[str, int], shapes: dict[str, torch.Size]) -> list[Read]:
    direct = [Read(name, start) for name, length in biases.items() if length % size == 0 for start in range(0, length, size)]
    mapped = [
        Read(target, start, through, axis, kept)
        for through, shape in shapes.items()
        for axis, length in enumerate(shape)
        for kept, other in enumerate(shape)
        for target, entries in biases.items()
        if length == size and kept != axis and entries % other == 0
        for start in range(0, entries, other)
    ]
    return [*direct, *mapped]


def _equation(slope: Slope, reads: list[Read], drawn: Float[Tensor, " n"]) -> Float[Tensor, "1 u"]:
    entries = []
    for read in reads:
        pulled, matrix = slope.gradients[read.target], read.matrix(slope.values)
        vector = drawn.to(pulled) if matrix is None else matrix @ drawn.to(pulled)
        entries.append((read.part(pulled, len(vector)) * vector).sum())
    return torch.stack(entries)[None] / (slope.norm or 1.0)


def _change(shear: Shear, slopes: list[Slope]) -> float:
    worst = 0.0
    for check, slope in enumerate(slopes):
        drawn = torch.randn(shear.size, generator=seeded(check, f"fresh shear of {shear.size}"), dtype=torch.float64)
        changes = shear.moved(slope.values, drawn.to(next(iter(slope.values.values()))))
        parts = [(slope.gradients[name] * change).sum() for name, change in changes.items()]
        sizes = sum(float((slope.gradients[name] * change).norm()) for name, change in changes.items())
        worst = max(worst, abs(float(torch.stack(parts).sum())) / (sizes or 1.0))
    return worst
