"""The tangent space of the orbit of some symmetries at a point: its dimension, with both sides of the rank gap, and its projector.

Families that share no parameter are orthogonal, so the space is a sum over groups of families. Small groups keep an orthonormal
basis from a singular value decomposition. Large ones keep none: with T the map from the algebra to the parameters and
T'T = U S^2 U', the projector is T U S^-2 U' T', which needs the memory of the algebra squared and of the parameters once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.decomposition import singular_vectors
from landscape.display import brief
from landscape.errors import InputError
from landscape.network.loss import ModuleLoss

_BASIS = 3e7  # numbers of a basis that is kept
_LARGEST = 6_000  # dimensions of the algebra of one group
_FLOOR = 1e-8  # of the largest singular value: rounding of the singular values of a basis is far below
_SQUARED_FLOOR = 1e-6  # the same where they are square roots of eigenvalues of T'T
_FAR = 1e-2  # of the largest singular value: a tolerance beyond says nothing, and the orbit is that of the point as it is
_UNUSED = 10  # a direction of singular value s that decay would have taken to 0 has gradient decay * s


@runtime_checkable
class Moving(Protocol):
    """A family of symmetries: linear in its coordinates."""

    @property
    def dimension(self) -> int:
        """Number of coordinates."""
        ...

    @property
    def tensors(self) -> frozenset[str]:
        """Parameters that are moved."""
        ...

    @property
    def name(self) -> str:
        """What it is, in words."""
        ...

    def moved(self, values: dict[str, Tensor], coordinates: Tensor) -> dict[str, Tensor]:
        """Returns the change of the parameters."""
        ...

    def pulled(self, values: dict[str, Tensor], vector: dict[str, Tensor]) -> Tensor:
        """Returns the transpose of `moved` times a vector."""
        ...


@dataclass(frozen=True)
class SharedFamilies:
    """Families that share parameters, at a point.

    Attributes:
        families: The families, in the order of the coordinates.
        values: Parameters by name, of the whole module.
        places: Range of every moved parameter in the flat vector.
    """

    families: tuple[Moving, ...]
    values: dict[str, Tensor]
    places: dict[str, slice]

    __repr__ = brief

    @property
    def dimension(self) -> int:
        """Coordinates of all families."""
        return sum(family.dimension for family in self.families)

    @property
    def entries(self) -> int:
        """Parameters that are moved."""
        return sum(place.stop - place.start for place in self.places.values())

    def push(self, coordinates: Float[Tensor, "a k"]) -> Float[Tensor, "q k"]:
        """Returns the changes of the moved parameters, T times the columns."""
        return torch.stack([self._pushed(column) for column in coordinates.unbind(1)], dim=1)

    def _pushed(self, column: Float[Tensor, " a"]) -> Float[Tensor, " q"]:
        total = {name: torch.zeros_like(self.values[name]) for name in self.places}
        for family, part in zip(self.families, column.split([family.dimension for family in self.families]), strict=True):
            for name, change in family.moved(self.values, part).items():
                total[name] = total[name] + change
        return torch.cat([change.reshape(-1) for change in total.values()])

    def pull(self, block: Float[Tensor, "q k"]) -> Float[Tensor, "a k"]:
        """Returns T' times columns of changes of the moved parameters."""
        sizes = [place.stop - place.start for place in self.places.values()]
        columns = []
        for column in block.unbind(1):
            parts = zip(self.places, column.split(sizes), strict=True)
            vector = {name: part.view(self.values[name].shape) for name, part in parts}
            columns.append(torch.cat([family.pulled(self.values, vector) for family in self.families]))
        return torch.stack(columns, dim=1)

    def gather(self, block: Float[Tensor, "p k"]) -> Float[Tensor, "q k"]:
        """Returns the rows of the moved parameters."""
        return torch.cat([block[place] for place in self.places.values()])

    def scatter(self, rows: Float[Tensor, "q k"], into: Float[Tensor, "p k"]) -> None:
        """Adds rows of the moved parameters to a block."""
        parts = rows.split([place.stop - place.start for place in self.places.values()])
        for place, part in zip(self.places.values(), parts, strict=True):
            into[place] += part

    @property
    def keeps_basis(self) -> bool:
        """Whether an orthonormal basis is small enough to be kept."""
        return self.entries * self.dimension <= _BASIS

    @cached_property
    def decomposed(self) -> tuple[Float[Tensor, "_ m"], Float[Tensor, " m"]]:
        """Singular vectors and values of T, descending: left vectors where a basis is kept, right ones where not."""
        unit = torch.eye(self.dimension).to(next(iter(self.values.values())))
        if self.keeps_basis:
            left, sizes, _ = singular_vectors(self.push(unit))
            return left, sizes
        gram = torch.cat([self.pull(self.push(part)) for part in unit.split(16, dim=1)], dim=1)
        squares, right = torch.linalg.eigh((gram + gram.mT) / 2)
        return right.flip(1), squares.flip(0).clamp(min=0).sqrt()

    def singular(self, family: int) -> Float[Tensor, " m"]:
        """Returns the singular values of one family alone."""
        return SharedFamilies((self.families[family],), self.values, self.places).decomposed[1]

    @property
    def floor(self) -> float:
        """Singular values up to this part of the largest are rounding."""
        return _FLOOR if self.keeps_basis else _SQUARED_FLOOR


@dataclass(frozen=True)
class NetworkOrbit:
    """The tangent space of an orbit at a point, and the orthogonal projector onto it.

    Attributes:
        groups: Families by what they share.
        tolerance: Singular values up to this (absolute) are zero: the point is that far from exactly critical. It is not used
            where it exceeds a hundredth of the largest, far from critical points.
    """

    groups: tuple[SharedFamilies, ...]
    tolerance: float

    __repr__ = brief

    @classmethod
    def of(cls, problem: ModuleLoss, families: Sequence[Moving], gradient_norm: float) -> "NetworkOrbit":
        """Returns the orbit at the point of a loss.

        Args:
            problem: The loss and the point.
            families: Families of symmetries.
            gradient_norm: At the point; it decides which directions are unused up to what polishing has left.

        Raises:
            InputError: If families that share parameters have more than 6000 dimensions together.
        """
        values = problem.flat.split(problem.theta)
        decays = problem.decays[problem.decays > 0]
        tolerance = _UNUSED * gradient_norm / float(decays.min()) if len(decays) else 0.0
        groups = []
        for members in _shared(families):
            names = sorted(frozenset().union(*(family.tensors for family in members)))
            group = SharedFamilies(tuple(members), values, {name: problem.layers[name] for name in names})
            if group.dimension > _LARGEST:
                raise InputError(
                    f"expected symmetries of at most {_LARGEST} dimensions among {', '.join(names)[:80]}, got {group.dimension}: "
                    "take a narrower layer, or count without them"
                )
            groups.append(group)
        return cls(tuple(groups), tolerance)

    def _kept(self, group: SharedFamilies, sizes: Float[Tensor, " m"]) -> int:
        return int((sizes > self._edge(group, sizes)).sum())

    @cached_property
    def rank(self) -> int:
        """The dimension of the space."""
        return sum(self._kept(group, group.decomposed[1]) for group in self.groups)

    @cached_property
    def smallest_kept(self) -> float:
        """The smallest singular value that counts; infinity if there is none."""
        return min((float(sizes[kept - 1]) for _, sizes, kept in self._gaps if kept), default=float("inf"))

    @cached_property
    def largest_dropped(self) -> float:
        """The largest singular value that does not count; 0 if there is none."""
        return max((float(sizes[kept]) for _, sizes, kept in self._gaps if kept < len(sizes)), default=0.0)

    @property
    def sharp(self) -> bool:
        """Whether no singular value is within a factor of 3 of the tolerance, or of what is rounding."""
        return all(
            (not kept or float(sizes[kept - 1]) > 3 * self._edge(group, sizes))
            and (kept == len(sizes) or float(sizes[kept]) * 3 < self._edge(group, sizes))
            for group, sizes, kept in self._gaps
        )

    def _edge(self, group: SharedFamilies, sizes: Tensor) -> float:
        largest = float(sizes.max()) if len(sizes) else 0.0
        return max(self.tolerance if self.tolerance <= _FAR * largest else 0.0, group.floor * largest)

    @property
    def _gaps(self) -> list[tuple[SharedFamilies, Tensor, int]]:
        return [(group, group.decomposed[1], self._kept(group, group.decomposed[1])) for group in self.groups]

    def dimensions(self) -> dict[str, int]:
        """Returns the dimension of the orbit of every family alone, by its name."""
        result = {}
        for group in self.groups:
            for place, family in enumerate(group.families):
                sizes = group.decomposed[1] if len(group.families) == 1 else group.singular(place)
                result[family.name] = self._kept(group, sizes)
        return result

    @cached_property
    def trace(self) -> float:
        """The trace of the projector, from the factors that `apply` multiplies with."""
        total = 0.0
        for group, _, _ in self._gaps:
            left, right = self._factor(group)
            if group.keeps_basis:
                total += float(left.square().sum())
            else:
                total += sum(float(group.push(part).square().sum()) for part in right.split(16, dim=1))
        return total

    def _factor(self, group: SharedFamilies) -> tuple[Tensor, Tensor]:
        """Returns an orthonormal basis, and U S^-1 where T U S^-1 is one that is not kept."""
        vectors, sizes = group.decomposed
        kept = self._kept(group, sizes)
        return (vectors[:, :kept], vectors[:, :0]) if group.keeps_basis else (vectors[:, :0], vectors[:, :kept] / sizes[:kept])

    def apply(self, block: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
        """Returns the components of the columns along the orbit."""
        result = torch.zeros_like(block)
        for group in self.groups:
            rows = group.gather(block)
            basis, right = self._factor(group)
            if group.keeps_basis:
                group.scatter(basis @ (basis.mT @ rows), result)
                continue
            inside = group.push(right @ (right.mT @ group.pull(rows)))
            inside = inside + group.push(right @ (right.mT @ group.pull(rows - inside)))  # the square of the condition, refined
            group.scatter(inside, result)
        return result


def _shared(families: Sequence[Moving]) -> list[list[Moving]]:
    """Returns the families in groups that share no parameter with each other."""
    groups: list[tuple[frozenset[str], list[Moving]]] = []
    for family in families:
        touching = [group for group in groups if group[0] & family.tensors]
        merged = (family.tensors.union(*(names for names, _ in touching)), [one for _, part in touching for one in part] + [family])
        groups = [*(group for group in groups if not group[0] & family.tensors), merged]
    return [members for _, members in groups]
