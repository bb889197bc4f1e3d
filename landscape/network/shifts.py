"""Shifts that the data loss does not see: directions u with loss(theta + t u) = loss(theta) for all theta and t.

A family of shifts adds one free array v, times fixed factors, to slices of parameter tensors: v to one column whose input is
always zero, v to a column and -v to that of an identical input, v to all rows before a softmax. The factors are the null space of
gradients on the data at random parameters, in reduced row echelon form; they are verified with a fresh v. As with families, a
gradient may be asked about several v, and a search with a null vector that fails is made again with one. Whether random inputs
keep a shift invisible tells a property of the network from one of the data. All slices of a family have one decay lambda, so that
a shift is an eigenvector of the Hessian with eigenvalue lambda, at every point.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.krylov import seeded
from landscape.curvature.operators.reverse import plain_autograd
from landscape.display import brief
from landscape.network.families import axis_name, numbers_in_words
from landscape.network.family_search import SILENT, VERIFIED, asked_at_once, gradients_for, null_vectors
from landscape.network.loss import ModuleLoss
from landscape.network.probes import Probes, Slope
from landscape.network.trees import flattened

_CHECKS = 4
_SAME_OUTPUTS = 1e-9

_Key = tuple[tuple[int, ...], float]  # the shape of a slice, and its decay

Reason = Literal[
    "unused parameters",
    "dead inputs",
    "softmax shift",
    "shift before a normalisation",
    "identical inputs",
    "entries that the network adds",
    "linear dependence of inputs",
    "linear dependence in the network",
]


@dataclass(frozen=True)
class TensorSlice:
    """A slice of a parameter tensor, at one index of an axis; the whole tensor where the axis is None.

    Attributes:
        tensor: Name of the parameter.
        mode: Axis of the tensor; None for the whole tensor.
        index: Index on that axis.
        length: Length of that axis.
        axes: Number of axes of the tensor.
    """

    tensor: str
    mode: int | None
    index: int
    length: int
    axes: int

    def of(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, "*rest"]:
        """Returns the slice of the tensor, as a view."""
        return value if self.mode is None else value.select(self.mode, self.index)


@dataclass(frozen=True)
class Shift:
    """A family of shifts: one free array is added, times the factors, to slices of equal shape.

    Attributes:
        slices: Slices with their factors.
        rest: Shape of the free array.
        decay: Weight decay of all slices: the eigenvalue of these directions.
        everywhere: Whether random inputs keep it invisible, so that it belongs to the network and not to the data.
        reason: Why the data loss does not see it.
    """

    slices: tuple[tuple[TensorSlice, float], ...]
    rest: tuple[int, ...]
    decay: float
    everywhere: bool = False
    reason: Reason = "linear dependence of inputs"

    __repr__ = brief

    @property
    def dimension(self) -> int:
        """Entries of the free array."""
        return torch.Size(self.rest).numel()

    @property
    def tensors(self) -> frozenset[str]:
        """The parameters that are moved."""
        return frozenset(place.tensor for place, _ in self.slices)

    @property
    def name(self) -> str:
        """The reason and the slices."""
        return f"{self.reason}: {self.where}"

    @property
    def where(self) -> str:
        """The slices by parameter name."""
        parts = []
        for (tensor, mode), group in groupby(self.slices, key=lambda pair: (pair[0].tensor, pair[0].mode)):
            some = list(group)
            place = some[0][0]
            at = "" if mode is None else f"{axis_name(mode, place.axes) if place.axes > 1 else ' entries'}"
            if mode is not None and len(some) < place.length:
                at += f" {numbers_in_words([each.index for each, _ in some])}"
            parts.append(tensor + at)
        return ", ".join(parts)

    def moved(self, values: dict[str, Tensor], coordinates: Float[Tensor, " a"]) -> dict[str, Tensor]:
        """Returns the change of the parameters by one free array, scaled so that an orthonormal one gives an orthonormal change."""
        changes: dict[str, Tensor] = {}
        for place, factor in self.slices:
            change = changes.setdefault(place.tensor, torch.zeros_like(values[place.tensor]))
            place.of(change).add_(coordinates.view(self.rest), alpha=factor / self._length)
        return changes

    def pulled(self, values: dict[str, Tensor], vector: dict[str, Tensor]) -> Float[Tensor, " a"]:
        """Returns the inner products of a vector with the changes by unit arrays: the transpose of `moved`."""
        parts = [factor / self._length * place.of(vector[place.tensor]).reshape(-1) for place, factor in self.slices]
        return torch.stack(parts).sum(0)

    @property
    def _length(self) -> float:
        return sum(factor * factor for _, factor in self.slices) ** 0.5


def shifts(problem: ModuleLoss, on_data: Probes, anywhere: Probes, limit: int) -> tuple[list[Shift], int, list[str], int]:
    """Returns the families of shifts that the loss on the data does not see.

    Args:
        problem: Loss whose shifts are sought.
        on_data: Gradients on the data.
        anywhere: Gradients on random inputs.
        limit: Slices of one shape and decay at most; where there are more, none of them is looked at.

    Returns:
        The families; the gradients spent; the parameters some of whose slices were not looked at; and how many singular values
        were neither zero nor clearly not.
    """
    groups, skipped = _groups(problem, limit)
    checks = [on_data.slope() for _ in range(_CHECKS)]
    others = [anywhere.slope() for _ in range(_CHECKS)]
    found: list[Shift] = []
    unused = [name for name in problem.flat.shapes if all(_silent(slope, name) for slope in checks)]
    for name in unused:
        shape = problem.flat.shapes[name]
        whole = TensorSlice(name, None, 0, 1, len(shape))
        found.append(Shift(((whole, 1.0),), tuple(shape), _decay(problem, name)))
    found = [shift for shift in found if _unseen(shift, checks)]
    used = {key: [place for place in slices if place.tensor not in unused] for key, slices in groups.items()}
    more, spent, between = _dependent({key: slices for key, slices in used.items() if slices}, on_data, checks)
    return [_explained(shift, problem, others) for shift in [*found, *more]], spent + 2 * _CHECKS, skipped, between


def _dependent(used: dict[_Key, list[TensorSlice]], on_data: Probes, checks: list[Slope]) -> tuple[list[Shift], int, int]:
    """Returns the shifts of slices of equal shape and decay, the gradients spent, and singular values that are neither."""
    found: list[Shift] = []
    spent = between = 0
    together = {key: asked_at_once(len(slices), torch.Size(key[0]).numel()) for key, slices in used.items()}
    while together:
        drawn = {key: _drawn(key[0], many) for key, many in together.items()}
        needed = {key: gradients_for(len(used[key]), many) for key, many in together.items()}
        rows, more = on_data.equations(needed, _asking(used, drawn))
        spent += more
        again = {}
        for key, equations in rows.items():
            vectors, near = _null(equations)
            unseen = [shift for shift in (_shift(vector, used[key], *key) for vector in vectors) if _unseen(shift, checks)]
            if together[key] > 1 and len(unseen) < len(vectors):
                again[key] = 1
                continue
            found += unseen
            between += near
        together = again
    return found, spent, between


def _groups(problem: ModuleLoss, limit: int) -> tuple[dict[_Key, list[TensorSlice]], list[str]]:
    groups: dict[_Key, list[TensorSlice]] = {}
    for name, shape in problem.flat.shapes.items():
        decay = _decay(problem, name)
        for mode, length in enumerate(shape):
            rest = (*shape[:mode], *shape[mode + 1 :])
            groups.setdefault((rest, decay), []).extend(TensorSlice(name, mode, i, length, len(shape)) for i in range(length))
    for name, shape in problem.flat.shapes.items():
        key = (tuple(shape), _decay(problem, name))
        if key in groups or not shape:
            groups.setdefault(key, []).append(TensorSlice(name, None, 0, 1, len(shape)))
    skipped = sorted({place.tensor for slices in groups.values() if len(slices) > limit for place in slices})
    return {key: slices for key, slices in groups.items() if len(slices) <= limit}, skipped


def _decay(problem: ModuleLoss, name: str) -> float:
    return float(problem.decays[problem.layers[name].start])


def _silent(slope: Slope, name: str) -> bool:
    return float(slope.gradients[name].norm()) <= SILENT * slope.norm


def _asking(used: dict[_Key, list[TensorSlice]], drawn: dict[_Key, Tensor]) -> Callable[[Slope], Callable[[_Key], Tensor]]:
    return lambda slope: lambda key: _equations(slope, used[key], drawn[key])


def _drawn(rest: tuple[int, ...], many: int) -> Float[Tensor, "k r"]:
    return torch.randn(many, torch.Size(rest).numel(), generator=seeded(0, f"shift of {rest}"), dtype=torch.float64)


def _equations(slope: Slope, slices: list[TensorSlice], drawn: Float[Tensor, "k r"]) -> Float[Tensor, "k u"]:
    parts = []
    for (tensor, mode), group in groupby(slices, key=lambda place: (place.tensor, place.mode)):
        gradient = slope.gradients[tensor]
        own = gradient[None] if mode is None else gradient.movedim(mode, 0)
        chosen = own[[place.index for place in group]]
        parts.append(drawn.to(chosen) @ chosen.reshape(chosen.shape[0], -1).mT)
    return torch.cat(parts, dim=1) / (slope.norm or 1.0)


def _null(equations: Float[Tensor, "e u"]) -> tuple[list[Tensor], int]:
    """Returns the null vectors of equations: those of single slices that are silent, and the others."""
    lengths = equations.square().mean(0).sqrt()
    silent = lengths <= SILENT
    near = int(((lengths > SILENT) & (lengths <= 100 * SILENT)).sum())
    units = [row for row, quiet in zip(torch.eye(len(lengths)).to(equations), silent, strict=True) if quiet]
    heard = (~silent).nonzero().squeeze(-1)
    rows = equations.new_zeros(0, len(lengths))
    between = 0
    if len(heard):
        vectors, _, _, between = null_vectors(equations[:, heard], 0.0)
        rows = equations.new_zeros(len(vectors), len(lengths))
        rows[:, heard] = vectors
    return [*units, *rows], near + between


def _shift(vector: Float[Tensor, " u"], slices: list[TensorSlice], rest: tuple[int, ...], decay: float) -> Shift:
    top = float(vector.abs().max())
    factors = [(place, float(value) / top) for place, value in zip(slices, vector, strict=True)]
    kept = tuple((place, _rounded(value)) for place, value in factors if abs(value) > 1e-7)
    return Shift(kept, rest, decay)


def _rounded(factor: float) -> float:
    return float(round(factor)) if abs(factor - round(factor)) < 1e-9 else factor


def _unseen(shift: Shift, slopes: list[Slope]) -> bool:
    """Returns whether fresh shifts of a family change none of some losses, relative to their gradients."""
    for check, slope in enumerate(slopes):
        drawn = torch.randn(shift.dimension, generator=seeded(check, f"fresh shift of {shift.rest}"), dtype=torch.float64)
        changes = shift.moved(slope.values, drawn.to(next(iter(slope.values.values()))))
        parts = torch.stack([(slope.gradients[name] * change).sum() for name, change in changes.items()])
        size = sum(float(change.norm()) for change in changes.values()) * slope.norm
        if not abs(float(parts.sum())) <= VERIFIED * size:
            return False
    return True


def _explained(shift: Shift, problem: ModuleLoss, others: list[Slope]) -> Shift:
    """Returns a family with whether it is one of the network, and with its reason."""
    everywhere = _unseen(shift, others)
    factors = [factor for _, factor in shift.slices]
    single, (first, _) = len(factors) == 1, shift.slices[0]
    whole = len({(place.tensor, place.mode) for place, _ in shift.slices}) == 1 and len(factors) == first.length > 1
    opposite = len(factors) == 2 and abs(sum(factors)) < 1e-7
    reason: Reason
    if single:
        reason = "unused parameters" if everywhere else "dead inputs"
    elif everywhere and whole and max(factors) - min(factors) < 1e-7:
        reason = "softmax shift" if _changes_outputs(shift, problem, others[0]) else "shift before a normalisation"
    elif opposite:
        reason = "entries that the network adds" if everywhere else "identical inputs"
    else:
        reason = "linear dependence in the network" if everywhere else "linear dependence of inputs"
    return replace(shift, everywhere=everywhere, reason=reason)


def _changes_outputs(shift: Shift, problem: ModuleLoss, slope: Slope) -> bool:
    """Returns whether the outputs of the module change where its loss does not."""
    batch = next(problem.batches())
    drawn = torch.randn(shift.dimension, generator=seeded(0, "outputs"), dtype=torch.float64).to(problem.theta)
    changes = shift.moved(slope.values, drawn)
    both = []
    with plain_autograd(problem.theta.device):
        for moved in (False, True):
            values = [value + changes[name] if moved and name in changes else value for name, value in slope.values.items()]
            both.append(flattened(problem.outputs(torch.cat([value.reshape(-1) for value in values]), batch.inputs)).detach())
    return float((both[1] - both[0]).norm()) > _SAME_OUTPUTS * float(both[0].norm())
