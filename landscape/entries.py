"""One row of the atlas: a critical point with everything that is known of it, from its symmetry or from its core."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import Tensor

from landscape.codes import Block, size_of
from landscape.copies import copies_at, copies_of_blocks
from landscape.curvature.nullity import Nullity
from landscape.curvature.spectrum import Spectrum
from landscape.degeneracy import analyse
from landscape.enumeration import Marked
from landscape.errors import InputError
from landscape.fingerprint import Fingerprint
from landscape.free_energy import free_energy, log_orbit_volume, log_pseudo_determinant
from landscape.judgement import Verdict, counted, known_smallest_positive
from landscape.naming import partition_name
from landscape.partitions import Group, group_loss, partition_reduction
from landscape.problem import Problem
from landscape.proved import Effort, Wanted, judge_partition, partition_group, proof_as_dict
from landscape.reduction import Core
from landscape.structures import factor_values, scale_equation
from landscape.theory import Root, orbit_dimension_at, paper_dimension_at

_MEASURED = (
    "smallest_positive", "most_negative", "spectral", "frobenius", "trace", "gauss_newton_frobenius", "gauss_newton_trace",
    "copies", "log_volume", "log_pdet",
)  # fmt: skip
_LARGEST_COPIES = 20  # classes up to which the relabellings of a point without a name are counted


@dataclass(frozen=True)
class Entry:
    """One kind of critical point.

    Attributes:
        structure: Its name.
        rank: Of the logits.
        loss: With weight decay.
        verdict: Index and nullity, or the doubt that forbids them, with the proof if there is one.
        orbit_dimension: Zeros that symmetry explains, as `theory.orbit_dimension_at` has them.
        paper_dimension: What Theorem 5 of the paper counts; None below width K.
        smallest_positive: Eigenvalue; None where double precision does not see it apart from the zeros.
        most_negative: Eigenvalue; None at index 0, and as for the smallest positive.
        spectral: Largest eigenvalue in size.
        frobenius: Norm of the Hessian.
        trace: Of the Hessian.
        gauss_newton_frobenius: Norm of the data part of the Gauss-Newton matrix.
        gauss_newton_trace: Of the same.
        copies: Distinct relabellings; None where they were not counted.
        log_volume: Log volume of one copy, the whole orbit of its symmetries.
        log_pdet: Log of the product of the sizes of the non-zero eigenvalues.
        parameters: Number of parameters of the model.
        free_energy: At the temperature asked for; None without one, at saddles, and where the excess is not 0.
        found: How many starts of the search ended here; None without a search.
        fingerprint: What tells it from the others.
    """

    structure: str
    rank: int
    loss: float
    verdict: Verdict
    orbit_dimension: int
    paper_dimension: int | None
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
    parameters: int
    free_energy: float | None
    found: int | None
    fingerprint: Fingerprint

    @property
    def index(self) -> int | None:
        """Negative eigenvalues; None where that is not certain."""
        return self.verdict.index

    @property
    def nullity(self) -> int | None:
        """Zero eigenvalues; None where that is not certain."""
        return self.verdict.nullity

    @property
    def excess(self) -> int | None:
        """Nullity minus orbit dimension."""
        return None if self.nullity is None else self.nullity - self.orbit_dimension

    @property
    def learning_coefficient(self) -> float | None:
        """(P - nullity) / 2; None at saddles and where zeros are unexplained."""
        minimum = self.index == 0 and self.excess == 0
        return (self.parameters - self.nullity) / 2 if minimum and self.nullity is not None else None

    @property
    def reason(self) -> str:
        """Why the counts are undecided; empty where they are not."""
        return self.verdict.reason

    def as_dict(self) -> dict[str, Any]:
        """Returns the row of a table."""
        return {
            "structure": self.structure,
            "rank": self.rank,
            "loss": self.loss,
            "index": self.index,
            "nullity": self.nullity,
            "orbit_dimension": self.orbit_dimension,
            "paper_dimension": self.paper_dimension,
            "excess": self.excess,
            **{name: getattr(self, name) for name in _MEASURED},
            "learning_coefficient": self.learning_coefficient,
            "free_energy": self.free_energy,
            "found": self.found,
            "reason": self.reason,
            **proof_as_dict(self.verdict, "run landscape prove"),
        }


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


def partition_entry(problem: Problem, blocks: Sequence[Marked], scales: Scales | None = None, effort: Effort = "doubtful") -> Entry:
    """Returns the row of a partition point, from its symmetry blocks; doubtful counts are proved.

    Args:
        problem: Linear, cross-entropy.
        blocks: Simplex blocks; all have a scale.
        scales: Those that are known already.
        effort: Which counts are to be proved.
    """
    scales = scales or Scales(problem)
    groups = scales.groups(blocks)
    reduction = partition_reduction(problem, groups)
    ordered = _in_class_order(problem, blocks)
    singular = [g.scale * math.sqrt(g.samples) for g in scales.groups(ordered) for _ in range(g.size - 1)]
    spectrum = reduction.spectrum
    newton = Spectrum.merge(((b.values, b.multiplicity) for b in reduction.gauss_newton), reduction.error)
    verdict = judge_partition(problem, [partition_group(size_of(block), n, root) for block, n, root in ordered], spectrum, effort)
    loss = math.fsum(group_loss(problem, group) for group in groups)
    measured = _Measured(spectrum, (newton.frobenius, newton.trace), counted(spectrum), verdict)
    entry = _entry(problem, _partition_name(problem, blocks), loss, torch.tensor(singular, dtype=torch.float64), measured)
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


def relabellings(blocks: Sequence[Marked]) -> int:
    """Returns the number of distinct copies of a block structure."""
    return copies_of_blocks([(block, root) for block, _, root in blocks], [n for _, n, _ in blocks])


def core_entry(core: Core, copies: int | None = None, found: int | None = None, effort: Effort = "doubtful") -> Entry:
    """Returns the row of a point given by its core; copies are counted from the logits where they are not given."""
    report, problem = analyse(core, "reduction", Wanted(effort)), core.problem
    if copies is None and problem.classes <= _LARGEST_COPIES:
        copies = copies_at(problem, core.class_logits)
    if report.spectrum is None or report.flatness is None or report.zeros is None:
        raise InputError(f"expected a critical core for a row of the atlas, got one that is {report.reason}")
    flat = report.flatness
    values = torch.linalg.svdvals(core.class_logits * core.theta.new_tensor(problem.class_sizes).sqrt())[: core.rank]
    newton = (flat.gauss_newton_frobenius, flat.gauss_newton_trace)
    measured = _Measured(report.spectrum, newton, report.zeros, report.verdict)
    return replace(_entry(problem, report.structure, report.loss, values, measured), copies=copies, found=found)


@dataclass(frozen=True)
class _Measured:
    """The spectrum of a point with the norms of its Gauss-Newton part, the count in it, and the verdict on that count."""

    spectrum: Spectrum
    gauss_newton: tuple[float, float]
    zeros: Nullity
    verdict: Verdict


def _entry(problem: Problem, name: str, loss: float, singular: Tensor, measured: _Measured) -> Entry:
    spectrum, cutoff, verdict = measured.spectrum, measured.zeros.cutoff, measured.verdict
    smallest = known_smallest_positive(verdict, measured.zeros, spectrum)
    rank, values = singular.numel(), spectrum.values.tolist()
    ordered = singular.sort(descending=True).values
    factors = [part.tolist() for part in factor_values(problem, ordered)]
    return Entry(
        structure=name,
        rank=rank,
        loss=loss,
        verdict=verdict,
        orbit_dimension=orbit_dimension_at(problem, ordered.tolist()),
        paper_dimension=paper_dimension_at(problem, ordered.tolist()),
        smallest_positive=smallest,
        most_negative=None if smallest is None else min((value for value in values if value < -cutoff), default=None),
        spectral=spectrum.norm,
        frobenius=spectrum.frobenius,
        trace=spectrum.trace,
        gauss_newton_frobenius=measured.gauss_newton[0],
        gauss_newton_trace=measured.gauss_newton[1],
        copies=None,
        log_volume=log_orbit_volume(problem, factors),
        log_pdet=None if smallest is None else log_pseudo_determinant(spectrum, cutoff),
        parameters=problem.parameters,
        free_energy=None,
        found=None,
        fingerprint=Fingerprint(rank, loss, tuple(ordered.tolist())),
    )


def at_temperature(problem: Problem, entry: Entry, temperature: float) -> Entry:
    """Returns the entry with its Laplace free energy, where it is a minimum without excess."""
    if entry.index != 0 or entry.excess != 0 or entry.log_pdet is None or entry.copies is None or entry.nullity is None:
        return entry
    transverse = problem.parameters - entry.nullity
    value = free_energy(entry.loss, temperature, transverse, math.log(entry.copies), entry.log_volume, entry.log_pdet)
    return replace(entry, free_energy=value)
