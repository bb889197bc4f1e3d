"""One row of the atlas: a critical point with everything that is known of it, from its symmetry or from its core."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, cast

import torch
from torch import Tensor

from landscape.arbiter import CLUSTER, LARGEST_CORE
from landscape.codes import Block, size_of
from landscape.copies import copies_at, copies_of_blocks
from landscape.curvature.nullity import count_zeros
from landscape.curvature.spectrum import Spectrum
from landscape.degeneracy import analyse
from landscape.enumeration import Marked
from landscape.fingerprint import Fingerprint
from landscape.free_energy import free_energy, log_orbit_volume, log_pseudo_determinant
from landscape.naming import partition_name
from landscape.partitions import Group, group_loss, partition_reduction
from landscape.problem import Problem
from landscape.reduction import Core
from landscape.structures import block_form, factor_values, scale_equation
from landscape.theory import Root, orbit_dimension_at, paper_dimension_at

_LARGEST_COPIES = 20  # classes up to which the relabellings of a point without a name are counted


@dataclass(frozen=True)
class Entry:
    """One kind of critical point.

    Attributes:
        structure: Its name.
        rank: Of the logits.
        loss: With weight decay.
        index: Negative eigenvalues; None is undecided, as for all counts.
        nullity: Zero eigenvalues.
        orbit_dimension: Zeros that symmetry explains, as `theory.orbit_dimension_at` has them.
        paper_dimension: What Theorem 5 of the paper counts; None below width K.
        excess: Nullity minus orbit dimension.
        smallest_positive: Eigenvalue.
        most_negative: Eigenvalue, None at index 0.
        spectral: Largest eigenvalue in size.
        frobenius: Norm of the Hessian.
        trace: Of the Hessian.
        gauss_newton_frobenius: Norm of the data part of the Gauss-Newton matrix.
        gauss_newton_trace: Of the same.
        copies: Distinct relabellings; None where they were not counted.
        log_volume: Log volume of one copy, the whole orbit of its symmetries.
        log_pdet: Log of the product of the sizes of the non-zero eigenvalues.
        learning_coefficient: (P - nullity) / 2; None at saddles.
        free_energy: At the temperature asked for; None without one, at saddles, and where the excess is not 0.
        found: How many starts of the search ended here; None without a search.
        reason: Why a count is undecided.
        fingerprint: What tells it from the others.
    """

    structure: str
    rank: int
    loss: float
    index: int | None
    nullity: int | None
    orbit_dimension: int
    paper_dimension: int | None
    excess: int | None
    smallest_positive: float | None
    most_negative: float | None
    spectral: float
    frobenius: float
    trace: float
    gauss_newton_frobenius: float
    gauss_newton_trace: float
    copies: int | None
    log_volume: float
    log_pdet: float | None
    learning_coefficient: float | None
    free_energy: float | None
    found: int | None
    reason: str
    fingerprint: Fingerprint

    def as_dict(self) -> dict[str, Any]:
        """Returns the row of a table; the fingerprint stays out."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "fingerprint"}


@dataclass(frozen=True)
class Scales:
    """The scales of blocks of one problem, each solved once."""

    problem: Problem
    known: dict[tuple[Block, int, Root], float | None] = field(default_factory=dict)

    def of(self, block: Block, samples: int, root: Root) -> float | None:
        """Returns the scale, 0 for a block of one class, None if there is none."""
        key = (block, samples, root)
        if key not in self.known:
            self.known[key] = 0.0 if size_of(block) == 1 else scale_equation(self.problem, block, samples).root(root)
        return self.known[key]

    def all_exist(self, blocks: Sequence[Marked]) -> bool:
        """Whether every block has a critical scale."""
        return all(self.of(*marked) is not None for marked in blocks)

    def groups(self, blocks: Sequence[Marked]) -> list[Group]:
        """Returns simplex blocks with their scales."""
        return [Group(size_of(block), n, cast(float, self.of(block, n, root))) for block, n, root in blocks]


def partition_entry(problem: Problem, blocks: Sequence[Marked], scales: Scales | None = None) -> Entry:
    """Returns the row of a partition point, from its symmetry blocks; doubtful counts go to the numerical core and its arbiter."""
    scales = scales or Scales(problem)
    groups = scales.groups(blocks)
    reduction = partition_reduction(problem, groups)
    ordered = _in_class_order(problem, blocks)
    singular = [g.scale * math.sqrt(g.samples) for g in scales.groups(ordered) for _ in range(g.size - 1)]
    rank, spectrum = len(singular), reduction.spectrum
    newton = Spectrum.merge(((b.values, b.multiplicity) for b in reduction.gauss_newton), reduction.error)
    zeros, orbit = count_zeros(spectrum, 0.0), orbit_dimension_at(problem, singular)
    faint = zeros.smallest_nonzero <= CLUSTER * spectrum.norm
    form_blocks = [block for block, _, _ in ordered]
    core_size = (problem.depth - 1) * rank**2 + 2 * problem.classes * rank
    if (zeros.count != orbit or not zeros.resolved or faint) and core_size <= LARGEST_CORE:
        moved = _reordered(problem, ordered)
        form = block_form(moved, form_blocks, [g.scale for g in scales.groups(ordered)])
        return core_entry(Core.from_form(moved, form), relabellings(blocks))
    decided = zeros.resolved and zeros.count == orbit and not faint
    reason = "" if decided else f"undecided: {zeros.count} eigenvalues vanish to {zeros.cutoff:.1e}, symmetry explains {orbit}"
    if faint and zeros.count == orbit:
        reason = f"undecided: an eigenvalue of size {zeros.smallest_nonzero:.1e} may be zero at the decay that this one rounds"
    loss = math.fsum(group_loss(problem, group) for group in groups)
    name = _partition_name(problem, blocks)
    counts = (zeros.negative, zeros.count) if decided and zeros.negative is not None else None
    measured = _Measured(spectrum, (newton.frobenius, newton.trace), counts, zeros.cutoff, reason)
    entry = _entry(problem, name, loss, torch.tensor(singular, dtype=torch.float64), measured)
    return replace(entry, copies=relabellings(blocks))


def _partition_name(problem: Problem, blocks: Sequence[Marked]) -> str:
    sizes = sorted((size_of(block) for block, _, _ in blocks), reverse=True)
    roots = {root for block, _, root in blocks if size_of(block) > 1}
    if not roots:
        return "zero"
    name = partition_name(sizes)
    if roots == {"large"}:
        return name
    if roots == {"small"}:
        return f"{name} at the small root"
    small = sorted((size_of(block) for block, _, root in blocks if root == "small"), reverse=True)
    return f"{name} with ({','.join(map(str, small))}) at the small root"


def _in_class_order(problem: Problem, blocks: Sequence[Marked]) -> list[Marked]:
    order = {n: place for place, n in enumerate(dict.fromkeys(problem.class_sizes))}
    return sorted(blocks, key=lambda marked: order[marked[1]])


def _reordered(problem: Problem, blocks: Sequence[Marked]) -> Problem:
    """Returns the problem with its classes in the order of the blocks; only imbalanced problems change."""
    return replace(problem, class_sizes=tuple(n for block, n, _ in blocks for _ in range(size_of(block))))


def relabellings(blocks: Sequence[Marked]) -> int:
    """Returns the number of distinct copies of a block structure."""
    return copies_of_blocks([(block, root) for block, _, root in blocks], [n for _, n, _ in blocks])


def core_entry(core: Core, copies: int | None = None, found: int | None = None) -> Entry:
    """Returns the row of a point given by its core; copies are counted from the logits where they are not given."""
    report, problem = analyse(core, "reduction"), core.problem
    if copies is None and problem.classes <= _LARGEST_COPIES:
        copies = copies_at(problem, core.class_logits)
    assert report.spectrum is not None
    assert report.flatness is not None
    assert report.zeros is not None
    counts = (report.index, report.nullity) if report.index is not None and report.nullity is not None else None
    cutoff = max(report.zeros.cutoff, report.spectrum.error) if report.arbitration else report.zeros.cutoff
    values = torch.linalg.svdvals(core.class_logits * core.theta.new_tensor(problem.class_sizes).sqrt())[: core.rank]
    flat = report.flatness
    newton = (flat.gauss_newton_frobenius, flat.gauss_newton_trace)
    measured = _Measured(report.spectrum, newton, counts, cutoff, report.reason)
    entry = _entry(problem, report.structure, report.loss, values, measured)
    if report.arbitration:  # what double precision cannot judge enters no determinant
        entry = replace(entry, smallest_positive=report.smallest_positive, log_pdet=None)
    return replace(entry, copies=copies, found=found)


@dataclass(frozen=True)
class _Measured:
    """The spectrum of a point, what was counted in it (index and nullity, or None), and up to what size a value is a zero."""

    spectrum: Spectrum
    gauss_newton: tuple[float, float]
    counts: tuple[int, int] | None
    cutoff: float
    reason: str


def _entry(problem: Problem, name: str, loss: float, singular: Tensor, measured: _Measured) -> Entry:
    spectrum, cutoff = measured.spectrum, measured.cutoff
    index, nullity = measured.counts or (None, None)
    rank, values = singular.numel(), spectrum.values.tolist()
    ordered = singular.sort(descending=True).values
    orbit = orbit_dimension_at(problem, ordered.tolist())
    factors = [part.tolist() for part in factor_values(problem, ordered)]
    return Entry(
        structure=name,
        rank=rank,
        loss=loss,
        index=index,
        nullity=nullity,
        orbit_dimension=orbit,
        paper_dimension=paper_dimension_at(problem, ordered.tolist()),
        excess=None if nullity is None else nullity - orbit,
        smallest_positive=min((value for value in values if value > cutoff), default=None),
        most_negative=min((value for value in values if value < -cutoff), default=None),
        spectral=spectrum.norm,
        frobenius=spectrum.frobenius,
        trace=spectrum.trace,
        gauss_newton_frobenius=measured.gauss_newton[0],
        gauss_newton_trace=measured.gauss_newton[1],
        copies=None,
        log_volume=log_orbit_volume(problem, factors),
        log_pdet=None if nullity is None else log_pseudo_determinant(spectrum, cutoff),
        learning_coefficient=(problem.parameters - nullity) / 2 if index == 0 and nullity is not None else None,
        free_energy=None,
        found=None,
        reason=measured.reason,
        fingerprint=Fingerprint(rank, loss, tuple(ordered.tolist())),
    )


def at_temperature(problem: Problem, entry: Entry, temperature: float) -> Entry:
    """Returns the entry with its Laplace free energy, where it is a minimum without excess."""
    if entry.index != 0 or entry.excess != 0 or entry.log_pdet is None or entry.copies is None or entry.nullity is None:
        return entry
    transverse = problem.parameters - entry.nullity
    value = free_energy(entry.loss, temperature, transverse, math.log(entry.copies), entry.log_volume, entry.log_pdet)
    return replace(entry, free_energy=value)
