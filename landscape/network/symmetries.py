"""The continuous symmetries of a module's loss, found from its gradients and named by its parameters."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import Any

import torch

from landscape.display import aligned, table
from landscape.errors import InputError
from landscape.network.families import SymmetryFamily
from landscape.network.family_search import Gap, families, planned
from landscape.network.loss import ModuleLoss
from landscape.network.orbit import NetworkOrbit
from landscape.network.probes import Draw, Probes
from landscape.network.shears import Shear, shears
from landscape.network.shifts import Shift, shifts

LIMIT = 1_500  # unknowns of one search


@dataclass(frozen=True)
class Inert:
    """Directions that the data loss does not see, so that weight decay alone acts on them.

    Attributes:
        reason: Why the data loss does not see them.
        where: Slices of parameters, by name.
        decay: Weight decay of these directions, which is their eigenvalue.
        dimension: Number of these directions.
        everywhere: Whether that holds for any inputs, so that it belongs to the network and not to the data.
    """

    reason: str
    where: str
    decay: float
    dimension: int
    everywhere: bool


@dataclass(frozen=True)
class Symmetries:
    """What leaves a module's loss unchanged, up to rounding and with probability one.

    Families act on the parameters and are zeros of the Hessian at every critical point. Shifts are translations that the data loss
    does not see: zeros where they have no weight decay, eigenvectors with eigenvalue lambda where it is lambda.

    Attributes:
        problem: The loss and the point.
        families: Rotations, and without weight decay also linear maps, rescalings, scalings and shears.
        shifts: Families of translations that the data loss does not see.
        gaps: Both sides of the gap in the singular values of every search for families.
        gradients: Gradients that were spent, those on the data included.
        unsearched: Sizes of matrices and names of parameters that were left out because they have too many slots.
        near: Singular values that are neither null nor clearly not: symmetries that are nearly broken, or nearly hold.
        gradient_norm: Gradient norm of the loss at the point.
    """

    problem: ModuleLoss = field(repr=False)
    families: tuple[SymmetryFamily | Shear, ...]
    shifts: tuple[Shift, ...]
    gaps: tuple[Gap, ...] = field(repr=False)
    gradients: int
    unsearched: tuple[str, ...]
    near: int
    gradient_norm: float

    def __repr__(self) -> str:
        return f"Symmetries({len(self.families)} families, dimension {self.dimension} at the point, {self.gradients} gradients)"

    def __str__(self) -> str:
        return aligned(self.rows())

    def _repr_html_(self) -> str:
        """What a notebook shows: the families and the inert directions."""
        return table(repr(self), self.rows())

    @cached_property
    def orbit(self) -> NetworkOrbit:
        """The tangent space at the point of what holds for any inputs; a projector for `QuotientCholesky` and `Deflated`."""
        flat = [shift for shift in self.shifts if shift.everywhere and not shift.decay]
        return NetworkOrbit.of(self.problem, [*self.families, *flat], self.gradient_norm)

    @cached_property
    def known(self) -> NetworkOrbit:
        """The tangent space of all that is known to be flat: the orbit, and shifts without decay that only the data do not see."""
        flat = [shift for shift in self.shifts if not shift.decay]
        if all(shift.everywhere for shift in flat):
            return self.orbit
        return NetworkOrbit.of(self.problem, [*self.families, *flat], self.gradient_norm)

    @property
    def dimension(self) -> int:
        """The dimension of the orbit through the point: zeros of the Hessian that symmetry explains at a critical point."""
        return self.orbit.rank

    @property
    def inert(self) -> tuple[Inert, ...]:
        """Directions with decay that the data loss does not see, merged by reason and place."""
        result = []
        kept = [shift for shift in self.shifts if shift.decay]
        order = sorted(kept, key=_group)
        for (reason, decay, everywhere, *_), group in groupby(order, key=_group):
            some = list(group)
            result.append(Inert(reason, _where(some), decay, sum(shift.dimension for shift in some), everywhere))
        return tuple(result)

    def rows(self) -> list[tuple[str, str]]:
        """Returns the symmetries as name and value."""
        own = self.orbit.dimensions()
        rows = [(name, f"{size} at this point") for name, size in own.items()] or [("families", "none found")]
        rows.append(("orbit", f"{self.dimension} dimensions, {self._sides}"))
        rows += [(f"{each.reason}: {each.where}", f"{each.dimension} with eigenvalue {each.decay:g}") for each in self.inert]
        rows.append(("gap", f"null {self.largest_null:.0e}, others from {self.smallest_other:.0e}, {self.near} in between"))
        rows.append(("gradients", f"{self.gradients}"))
        if self.unsearched:
            rows.append(("not searched", ", ".join(self.unsearched)))
        return rows

    @property
    def _sides(self) -> str:
        low, high = self.orbit.largest_dropped, self.orbit.smallest_kept
        return f"singular values from {high:.1e}, others up to {low:.1e}" if self.orbit.groups else "no symmetry"

    @property
    def largest_null(self) -> float:
        """Largest singular value of a search that counts as null."""
        return max((gap.largest_null for gap in self.gaps), default=0.0)

    @property
    def smallest_other(self) -> float:
        """Smallest singular value of a search that does not count as null."""
        return min((gap.smallest_other for gap in self.gaps), default=float("inf"))

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form."""
        own = self.orbit.dimensions()
        return {
            "families": [{"name": family.name, "algebra": family.dimension, "orbit": own[family.name]} for family in self.families],
            "orbit_dimension": self.dimension,
            "orbit_gap": [self.orbit.largest_dropped, _finite(self.orbit.smallest_kept)],
            "flat_shifts": [
                {"name": shift.name, "dimension": shift.dimension, "everywhere": shift.everywhere}
                for shift in self.shifts
                if not shift.decay
            ],
            "inert": [vars(each) for each in self.inert],
            "singular_gap": [self.largest_null, _finite(self.smallest_other)],
            "near": self.near,
            "gradients": self.gradients,
            "unsearched": list(self.unsearched),
        }


def symmetries(
    problem: ModuleLoss, limit: int = LIMIT, draw: Draw | None = None, seed: int = 0, progress: Callable[[str], None] | None = None
) -> Symmetries:
    """Finds the continuous symmetries of a module's loss and says what they move.

    Looked for are matrices that act alike on axes of several parameter tensors, on whole axes and on blocks of them (contiguous,
    strided, or strided within contiguous ones, as heads of attention and flattened channels have them): rotations, rotations that
    keep the mean (before layer normalisation), and, among parameters without weight decay, linear maps, rescalings and shears. A
    rotation keeps the norm of every tensor, so unequal decays of tensors do not break it. Further shifts that the loss on the data
    does not see: dead and identical inputs, softmax and normalisation shifts, unused parameters.

    Not found are symmetries of another form: rotations of a subspace that is not spanned by entries, those of several algebras at
    once, and discrete ones. What is found holds on random parameters and inputs to 1e-12: a symmetry
    that is broken by less is taken for one.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> layers = torch.nn.Linear(3, 4, bias=False), torch.nn.Linear(4, 2, bias=False)
        >>> data = [(torch.randn(9, 3, dtype=torch.float64), torch.arange(9) % 2)]
        >>> loss = ls.ModuleLoss(torch.nn.Sequential(*layers).double(), torch.nn.functional.cross_entropy, data, decay=0.01)
        >>> found = ls.symmetries(loss)
        >>> [family.name for family in found.families], found.dimension
        (['rotation of 4: 0.weight rows, 1.weight columns'], 6)

    Args:
        problem: The loss. Its point gives the sizes of random parameters, and the orbit's dimension is that at the point.
        limit: Unknowns of one search at most. A search takes 24 gradients on 8 samples, on all data if it is for shifts, and one
            more for each unknown, or for several where they tell these apart.
        draw: Replaces the inputs of a batch by random ones, for modules that take no standard normal numbers or tokens in range.
        seed: Seed of all draws.
        progress: Called with a line when a part of the search begins.

    Raises:
        InputError: If the parameters are not in float64, or no finite loss is found at random parameters.
    """
    if problem.theta.dtype != torch.float64:
        raise InputError(f"expected float64 to find symmetries, got {problem.theta.dtype}: pass dtype=torch.float64 to ModuleLoss")
    if not limit >= 1:
        raise InputError(f"expected a limit >= 1, got {limit}")
    say = progress or (lambda line: None)
    anywhere, on_data = Probes(problem, False, draw, seed), Probes(problem, True, None, seed)
    free = {name for name, place in problem.layers.items() if not bool((problem.decays[place] > 0).any())}
    say("shifts that the data do not see")
    moved, spent, names, near = shifts(problem, on_data, anywhere, limit)
    unused = {name for shift in moved for name in shift.tensors if shift.dimension == problem.theta[problem.layers[name]].numel()}
    shapes = {name: shape for name, shape in problem.flat.shapes.items() if name not in unused}
    searches, sizes = planned(shapes, free, limit)
    say(f"families of matrices, {len(searches)} sizes and kinds")
    found, gaps, more = families(anywhere, searches)
    sheared, most = shears(anywhere, free - unused, limit)
    return Symmetries(
        problem=problem,
        families=(*found, *sheared),
        shifts=tuple(moved),
        gaps=tuple(gaps),
        gradients=spent + more + most,
        unsearched=(*(f"matrices of size {size}" for size in sizes), *(f"shifts of {name}" for name in names)),
        near=near + sum(gap.between for gap in gaps),
        gradient_norm=float(problem.gradient()[1].norm()),
    )


def _group(shift: Shift) -> tuple[str, float, bool, str]:
    """Returns what directions have in common that are shown as one: reason, decay, and the axes or, of a few slices, the places."""
    axes = sorted({(place.tensor, str(place.mode)) for place, _ in shift.slices})
    alike = len(shift.slices) == 1 or shift.reason == "linear dependence of inputs"
    return shift.reason, shift.decay, shift.everywhere, str(axes) if alike else shift.where


def _where(some: list[Shift]) -> str:
    """Returns the places of shifts of one group as text, each place once."""
    places = {place for shift in some for place, _ in shift.slices}
    order = sorted(places, key=lambda place: (place.tensor, str(place.mode), place.index))
    return Shift(tuple((place, 1.0) for place in order), some[0].rest, some[0].decay).where


def _finite(value: float) -> float | None:
    return value if value < float("inf") else None
