"""Finds families of symmetries from gradients at random parameters and inputs.

A vector field X theta leaves the data loss l unchanged if <grad l(theta), X theta> = 0 for all parameters and inputs. For one kind
and size of matrix draw one A; each slot where it may act is one unknown, each probe one equation, and the null space of more
equations than unknowns holds the symmetries. In reduced row echelon form they are families with few members. For fixed factors
the matrices A that are symmetries form a linear space; that a second A, drawn after the factors, is in it says that all are, with
probability one. Both are checked to rounding, on fresh parameters and inputs.

Where the unknowns are many, a probe is asked about several matrices A at once, each of them one equation: a family holds for all.
These equations can depend on each other, so that too few are independent. The null space then holds vectors that are no symmetry,
and one at least of any basis fails on fresh matrices; that search is made again with one matrix and a probe for every unknown.

Weight decay leaves rotations alone, whatever the decay of each tensor: they keep its norm. It breaks all other kinds, which are
looked for among the tensors without decay alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property

import scipy.linalg
import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.krylov import seeded
from landscape.decomposition import singular_vectors
from landscape.display import brief
from landscape.network.families import Member, Slot, SymmetryFamily, SymmetryKind, algebra_dimension, coordinates_of, matrix_of
from landscape.network.probes import Probes, Slope

SPARE = 24  # gradients more than the unknowns ask for: a generic system then has no null vector by chance
_TOGETHER = 8  # matrices that one gradient is asked about at most
NULL = 1e-12  # singular values up to this part of the largest are zero; rounding leaves 1e-15
OTHER = 1e-7  # and from this part on they are not; in between nothing is claimed
SILENT = 1e-13  # of the loudest slot: a slot that moves the loss by less is unused, and no member of anything
VERIFIED = 1e-12  # relative change of the loss by a fresh matrix up to which a family is one
_CHECKS = 6  # fresh matrices, parameters and inputs for every family
_CONTAINED = 1e-8
_SWEEPS = 3
_ORDER: tuple[SymmetryKind, ...] = ("linear map", "rotation", "rotation that keeps the mean", "rescaling", "scaling")


@dataclass(frozen=True)
class SlotGrid:
    """All slots of one size and stride on one axis of a tensor.

    Attributes:
        tensor: Name of the parameter.
        mode: Axis of the tensor.
        length: Length of the axis.
        axes: Number of axes of the tensor.
        size: Number of indices of a slot.
        stride: Distance between the indices.
    """

    tensor: str
    mode: int
    length: int
    axes: int
    size: int
    stride: int

    @property
    def slots(self) -> list[Slot]:
        """The slots in the order of `blocks`."""
        span = self.size * self.stride
        starts = [outer * span + inner for outer in range(self.length // span) for inner in range(self.stride)]
        return [Slot(self.tensor, self.mode, start, self.stride, self.size, self.length, self.axes) for start in starts]

    def blocks(self, moment: Float[Tensor, "m m"]) -> Float[Tensor, "slots b b"]:
        """Returns the diagonal block of a matrix at every slot."""
        outer, b, stride = self.length // (self.size * self.stride), self.size, self.stride
        folded = moment.reshape(outer, b, stride, outer, b, stride)
        return folded.diagonal(0, 0, 3).diagonal(0, 1, 3).permute(2, 3, 0, 1).reshape(outer * stride, b, b)


@dataclass(frozen=True)
class FamilySearch:
    """The unknowns of one kind and size.

    Attributes:
        kind: Algebra of the matrices.
        size: Rows of the matrices; 1 for scaling, whose matrices are numbers that multiply whole tensors.
        grids: Where the matrices may act.
        together: Number of random matrices that every gradient is asked about.
    """

    kind: SymmetryKind
    size: int
    grids: tuple[SlotGrid, ...]
    together: int = 1

    __repr__ = brief

    @property
    def unknowns(self) -> list[tuple[Slot, bool]]:
        """Slots, and whether the transpose acts, in the order of the equations."""
        turns = (False, True) if self.kind == "linear map" else (False,)
        return [(slot, turned) for turned in turns for grid in self.grids for slot in grid.slots]

    @property
    def gradients(self) -> int:
        """Gradients that the search takes."""
        return gradients_for(len(self.unknowns), self.together)

    @cached_property
    def matrices(self) -> Float[Tensor, "k b b"]:
        """The matrices that are tried."""
        generator = seeded(0, f"{self.kind} of {self.size}")
        drawn = torch.randn(self.together, algebra_dimension(self.kind, self.size), generator=generator, dtype=torch.float64)
        return torch.stack([matrix_of(self.kind, self.size, row) for row in drawn])

    def equations(self, moment: Callable[[str, int], Tensor]) -> Float[Tensor, "k u"]:
        """Returns the change of the loss by every unknown, for each of the matrices."""
        turns = (False, True) if self.kind == "linear map" else (False,)
        entries = []
        for turned in turns:
            for grid in self.grids:
                blocks = grid.blocks(moment(grid.tensor, grid.mode))
                acting = self.matrices.to(blocks) if self.size > 1 else self.matrices.to(blocks) * torch.eye(grid.size).to(blocks)
                entries.append((acting.mT if turned else acting).flatten(1) @ blocks.flatten(1).mT)
        return torch.cat(entries, dim=1)


@dataclass(frozen=True)
class Gap:
    """What the singular values of one search say.

    Attributes:
        kind: Algebra of the matrices.
        size: Number of rows of the matrices.
        unknowns: Slots that take part.
        found: Null vectors: families, those inside larger ones included.
        largest_null: Largest singular value among the null ones, relative to the largest of all; 0 if there is none.
        smallest_other: Smallest among the others, relative to the largest of all; infinity if there is none.
        between: Singular values that are neither: a symmetry that is nearly one, or a loss with large rounding errors.
    """

    kind: SymmetryKind
    size: int
    unknowns: int
    found: int
    largest_null: float
    smallest_other: float
    between: int


def planned(shapes: dict[str, torch.Size], free: set[str], limit: int) -> tuple[list[FamilySearch], list[int]]:
    """Returns the searches for parameters of given shapes, largest matrices first, and the sizes that have too many unknowns.

    Args:
        shapes: Shapes of the parameters by name.
        free: Parameters without decay.
        limit: Unknowns of one search at most; one with more keeps contiguous and evenly strided blocks, then none.
    """
    lengths = {length for shape in shapes.values() for length in shape}
    sizes = sorted({b for length in lengths for b in range(2, length + 1) if length % b == 0}, reverse=True)
    searches, skipped = [], []
    for size in sizes:
        for kind in _ORDER[:-1]:
            if kind == "rotation that keeps the mean" and size < 3:
                continue
            own = {name: shape for name, shape in shapes.items() if kind in _ORDER[1:3] or name in free}
            for some in (False, True):
                # diagonal matrices on overlapping pairs of indices depend on each other: a size of no axis has stride 1 alone
                grids = tuple(
                    grid for grid in _grids(own, size, some) if kind != "rescaling" or grid.stride == 1 or size in lengths
                )
                unknowns = sum(grid.length // size for grid in grids) * (2 if kind == "linear map" else 1)
                if unknowns <= limit:
                    break
            else:
                skipped.append(size)
                continue
            if grids:
                searches.append(FamilySearch(kind, size, grids, asked_at_once(unknowns, algebra_dimension(kind, size))))
    whole = tuple(SlotGrid(n, 0, s[0], len(s), s[0], 1) for n, s in shapes.items() if n in free and len(s) > 0)
    return [*searches, *([FamilySearch("scaling", 1, whole)] if whole else [])], sorted(set(skipped))


def _grids(shapes: dict[str, torch.Size], size: int, some: bool) -> Iterator[SlotGrid]:
    for name, shape in shapes.items():
        for mode, length in enumerate(shape):
            blocks = length // size
            if length % size == 0:
                for stride in range(1, blocks + 1):
                    if blocks % stride == 0 and not (some and stride not in (1, blocks)):
                        yield SlotGrid(name, mode, length, len(shape), size, stride)


def asked_at_once(unknowns: int, dimension: int) -> int:
    """Returns how many random elements of a space one gradient is asked about, so that a search takes no fewer than `SPARE`."""
    return max(1, min(_TOGETHER, dimension, unknowns // SPARE))


def gradients_for(unknowns: int, together: int) -> int:
    """Returns the gradients that a search takes if each is asked about so many elements."""
    return -(-unknowns // together) + SPARE


def moments(slope: Slope) -> Callable[[str, int], Float[Tensor, "m m"]]:
    """Returns gradient times parameters transposed, by tensor and axis, as a part of the norm of the whole gradient."""
    scale = slope.norm or 1.0

    @cache
    def moment(name: str, mode: int) -> Tensor:
        value = slope.values[name].movedim(mode, 0)
        value = value.reshape(value.shape[0], -1)
        pulled = slope.gradients[name].movedim(mode, 0).reshape(value.shape)
        return pulled @ value.mT / scale

    return moment


def families(probes: Probes, searches: list[FamilySearch]) -> tuple[list[SymmetryFamily], list[Gap], int]:
    """Returns the families, those inside larger ones left out, the gaps of all searches, and the gradients that were spent."""
    pending = dict(enumerate(searches))
    answers: dict[int, tuple[list[SymmetryFamily], Gap]] = {}
    checks: list[Slope] = []
    spent = 0
    while pending:
        rows, more = probes.equations({place: search.gradients for place, search in pending.items()}, _asking(pending))
        checks = checks or [probes.slope() for _ in range(_CHECKS)]
        spent += more
        for place, search in pending.items():
            members, gap = _solved(search, rows.pop(place))
            answers[place] = _verified(checks, members), gap
        failed = {place: search for place, search in pending.items() if len(answers[place][0]) < answers[place][1].found}
        pending = {place: replace(search, together=1) for place, search in failed.items() if search.together > 1}
    found: list[SymmetryFamily] = []
    for verified, _ in answers.values():
        for family in verified:
            if not _contained(family, found):
                found.append(family)
    return found, [gap for _, gap in answers.values()], spent + len(checks)


def _asking(searches: dict[int, FamilySearch]) -> Callable[[Slope], Callable[[int], Tensor]]:
    def asked(slope: Slope) -> Callable[[int], Tensor]:
        moment = moments(slope)
        return lambda place: searches[place].equations(moment)

    return asked


def _solved(search: FamilySearch, equations: Float[Tensor, "e u"]) -> tuple[list[SymmetryFamily], Gap]:
    """Returns the families in the null space of the equations of a search."""
    unknowns = search.unknowns
    factors, silent, singular, between = null_vectors(equations, SILENT)
    null = len(factors)
    gap = Gap(
        search.kind,
        search.size,
        len(unknowns) - silent,
        null,
        float(singular[len(singular) - null :].max()) if null else 0.0,
        float(singular[: len(singular) - null].min()) if len(singular) > null else float("inf"),
        between,
    )
    result = []
    for row in factors:
        members = tuple(
            Member(slot, _rounded(float(row[place])), turned)
            for place, (slot, turned) in enumerate(unknowns)
            if abs(float(row[place])) > 1e-6
        )
        result.append(SymmetryFamily(search.kind, search.size, members))
    return result, gap


def _rounded(factor: float) -> float:
    """Returns a factor that is an integer up to rounding as that integer; it is verified afterwards."""
    return float(round(factor)) if abs(factor - round(factor)) < 1e-7 else factor


def null_vectors(equations: Float[Tensor, "e u"], silent: float) -> tuple[Float[Tensor, "n u"], int, Float[Tensor, " k"], int]:
    """Returns the null space of equations in reduced row echelon form.

    Columns are scaled to one length first. Those that are silent, up to a part of the longest, are left out.

    Returns:
        The null vectors as rows, how many columns are silent, the singular values of the others relative to the largest, and how
        many of these are neither null nor clearly not.
    """
    lengths = equations.square().mean(0).sqrt()
    heard = (lengths > silent * lengths.max()).nonzero().squeeze(-1)
    if not len(heard):
        return equations.new_zeros(0, equations.shape[1]), equations.shape[1], equations.new_zeros(0), 0
    scaled = equations[:, heard] / lengths[heard]
    _, singular, right = singular_vectors(scaled)
    singular = singular / singular[0]
    null = int((singular <= NULL).sum())
    between = int((singular <= OTHER).sum()) - null
    basis = right[len(singular) - null :] / lengths[heard]
    rows = equations.new_zeros(null, equations.shape[1])
    if null:
        rows[:, heard] = echelon(basis / basis.norm(dim=1, keepdim=True))
    return rows, equations.shape[1] - len(heard), singular, between


def echelon(basis: Float[Tensor, "n u"]) -> Float[Tensor, "n u"]:
    """Returns the reduced row echelon form of independent rows, with the pivots that column pivoting takes, each set to 1."""
    _, _, order = scipy.linalg.qr(basis.cpu().numpy(), mode="economic", pivoting=True)
    pivots = torch.as_tensor(order[: basis.shape[0]].copy()).to(basis.device).sort().values
    return torch.linalg.solve(basis[:, pivots], basis)


def _verified(checks: list[Slope], found: list[SymmetryFamily]) -> list[SymmetryFamily]:
    """Returns the families that fresh matrices leave unchanged too, with the largest relative change."""
    worst = [0.0] * len(found)
    for check, slope in enumerate(checks):
        for place, family in enumerate(found):
            generator = seeded(check, f"fresh {family.kind} of {family.size}")
            drawn = torch.randn(family.dimension, generator=generator, dtype=torch.float64)
            changes = family.moved(slope.values, drawn.to(next(iter(slope.values.values()))))
            parts = [(slope.gradients[name] * change).sum() for name, change in changes.items()]
            sizes = sum(float((slope.gradients[name] * change).norm()) for name, change in changes.items())
            worst[place] = max(worst[place], abs(float(torch.stack(parts).sum())) / (sizes or 1.0))
    return [replace(family, residual=size) for family, size in zip(found, worst, strict=True) if size <= VERIFIED]


def _contained(family: SymmetryFamily, larger: list[SymmetryFamily]) -> bool:
    """Returns whether a matrix of a family is among those of larger ones, as operators on the parameters."""
    if family.kind == "scaling":  # a multiple of the identity is the same on every axis: on one that a larger family moves
        moved = {member.slot.tensor: member.slot for other in larger for member in other.members}
        family = replace(family, members=tuple(_elsewhere(member, moved.get(member.slot.tensor)) for member in family.members))
    rest: dict[tuple[str, int], Tensor] = {}
    _add(rest, family, FamilySearch(family.kind, family.size, ()).matrices[0])
    whole = _square(rest)
    if not whole > _CONTAINED**2 * sum(member.factor**2 for member in family.members):  # it moves nothing
        return True
    near = [other for other in larger if any((member.slot.tensor, member.slot.mode) in rest for member in other.members)]
    for _ in range(_SWEEPS if near else 0):
        for other in near:
            pulled = torch.zeros(other.size, other.size, dtype=torch.float64)
            for member in other.members:
                matrix = rest.get((member.slot.tensor, member.slot.mode))
                if matrix is not None:
                    pulled += member.collected(matrix[member.slot.positions, member.slot.positions], other.size == 1)
            squares = sum(member.factor**2 * (member.slot.size if other.size == 1 else 1) for member in other.members)
            _add(rest, other, -matrix_of(other.kind, other.size, coordinates_of(other.kind, pulled) / squares))
            if _square(rest) <= _CONTAINED**2 * whole:
                return True
    return False


def _elsewhere(member: Member, slot: Slot | None) -> Member:
    """Returns a member that scales a tensor along the axis of another slot."""
    if slot is None:
        return member
    return replace(member, slot=replace(slot, start=0, stride=1, size=slot.length))


def _add(operator: dict[tuple[str, int], Tensor], family: SymmetryFamily, matrix: Float[Tensor, "b b"]) -> None:
    """Adds what a matrix of a family does to matrices by tensor and axis."""
    for member in family.members:
        slot = member.slot
        key = (slot.tensor, slot.mode)
        if key not in operator:
            operator[key] = torch.zeros(slot.length, slot.length, dtype=torch.float64)
        operator[key][slot.positions, slot.positions] += member.acting(matrix)


def _square(operator: dict[tuple[str, int], Tensor]) -> float:
    return sum(float(matrix.square().sum()) for matrix in operator.values())
