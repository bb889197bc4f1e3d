"""One row of the atlas: a critical point with everything that is known of it, from its symmetry or from its core."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

import torch
from torch import Tensor

from landscape.catalogue.free_energy import free_energy, log_orbit_volume, log_pseudo_determinant
from landscape.curvature.counting.zeros import Nullity
from landscape.curvature.spectra.spectrum import Spectrum
from landscape.degeneracy.analysis import analyse
from landscape.degeneracy.facts import Facts, Flatness, StatesFacts
from landscape.degeneracy.judgement import Verdict, counted, known_smallest_positive
from landscape.degeneracy.partition_spectrum import ScaledGroup, group_loss, partition_reduction
from landscape.degeneracy.proved import Effort, Wanted, judge_partition, partition_group, proof_as_dict
from landscape.errors import InputError
from landscape.model.dimensions import paper_dimension_at
from landscape.model.logit_form import factor_singular_values
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.structures.blocks import size_of
from landscape.structures.fingerprint import Fingerprint
from landscape.structures.kinds import Kind, Marked, Root, kind_of
from landscape.structures.modes import orbit_dimension_at
from landscape.structures.relabelling import copies_at, copies_of_blocks
from landscape.structures.scale_equation import simplex_equation

_LARGEST_COPIES = 20  # classes up to which the relabellings of a point without a name are counted


@dataclass(frozen=True)
class AtlasRow(StatesFacts):
    """One kind of critical point.

    Attributes:
        facts: Facts of the point, as every table states them.
        most_negative: Most negative Hessian eigenvalue; None at index 0, and where double precision does not see it.
        copies: Distinct relabellings; None where they were not counted.
        log_volume: Log volume of one copy, the whole orbit of its symmetries.
        log_pdet: Log of the product of the sizes of the non-zero eigenvalues.
        free_energy: Free energy at the temperature asked for; None without one, at saddles, and where the excess is not 0.
        found: How many starts of the search ended here; None without a search.
        fingerprint: Invariants that tell this point from the others.
    """

    facts: Facts
    most_negative: float | None
    copies: int | None
    log_volume: float
    log_pdet: float | None
    free_energy: float | None
    found: int | None
    fingerprint: Fingerprint

    @property
    def kind(self) -> Kind:
        """Kind of the structure, in its normal form."""
        assert self.facts.kind is not None
        return self.facts.kind

    @property
    def rank(self) -> int:
        """Rank of the logits."""
        return self.fingerprint.rank

    @property
    def orbit_dimension(self) -> int:
        """Zeros that symmetry explains, as `modes.orbit_dimension_at` has them."""
        assert self.facts.orbit_dimension is not None
        return self.facts.orbit_dimension

    @property
    def flatness(self) -> Flatness:
        """Norms of the Hessian."""
        assert self.facts.flatness is not None
        return self.facts.flatness

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
            "smallest_positive": self.smallest_positive,
            "most_negative": self.most_negative,
            **asdict(self.flatness),
            "copies": self.copies,
            "log_volume": self.log_volume,
            "log_pdet": self.log_pdet,
            "learning_coefficient": self.learning_coefficient,
            "free_energy": self.free_energy,
            "found": self.found,
            "reason": self.reason,
            **proof_as_dict(self.verdict, "run landscape prove"),
        }


@dataclass(frozen=True)
class Scales:
    """The scales of groups of one problem, each solved once.

    Attributes:
        problem: The model whose scale equations are solved.
        known: Scales already solved, by classes of the group, class size and root; None where no scale exists.
    """

    problem: Problem
    known: dict[tuple[int, int, Root], float | None] = field(default_factory=dict)

    def of(self, size: int, samples: int, root: Root) -> float | None:
        """Returns the scale, 0 for a group of one class, None if there is none."""
        key = (size, samples, root)
        if key not in self.known:
            self.known[key] = 0.0 if size == 1 else simplex_equation(self.problem, size, samples).root(root)
        return self.known[key]

    def all_exist(self, blocks: Sequence[Marked]) -> bool:
        """Whether every simplex block has a critical scale."""
        return all(self.of(size_of(block), n, root) is not None for block, n, root in blocks)

    def groups(self, blocks: Sequence[Marked]) -> list[ScaledGroup]:
        """Returns simplex blocks with their scales."""
        return [ScaledGroup(size_of(block), n, cast(float, self.of(size_of(block), n, root))) for block, n, root in blocks]


def partition_row(
    problem: Problem, blocks: Sequence[Marked], scales: Scales | None = None, effort: Effort = "doubtful"
) -> AtlasRow:
    """Returns the row of a partition point, from its symmetry blocks; doubtful counts are proved.

    Args:
        problem: The model, linear and under cross-entropy.
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
    verdict = judge_partition(problem, [partition_group(size_of(block), n, root) for block, n, root in ordered], spectrum, effort)
    loss = math.fsum(group_loss(problem, group) for group in groups)
    measured = _Measured(spectrum, reduction.gauss_newton_norms, counted(spectrum), verdict)
    entry = _entry(problem, kind_of(ordered), loss, torch.tensor(singular, dtype=torch.float64), measured)
    return replace(entry, copies=relabellings(blocks))


def _in_class_order(problem: Problem, blocks: Sequence[Marked]) -> list[Marked]:
    order = {n: place for place, n in enumerate(dict.fromkeys(problem.class_sizes))}
    return sorted(blocks, key=lambda marked: order[marked[1]])


def relabellings(blocks: Sequence[Marked]) -> int:
    """Returns the number of distinct copies of a block structure."""
    return copies_of_blocks([(block, root) for block, _, root in blocks], [n for _, n, _ in blocks])


def core_row(core: Core, copies: int | None = None, found: int | None = None, effort: Effort = "doubtful") -> AtlasRow:
    """Returns the row of a point given by its core; copies are counted from the logits where they are not given."""
    report, problem = analyse(core, "reduction", Wanted(effort)), core.problem
    if copies is None and problem.classes <= _LARGEST_COPIES:
        copies = copies_at(problem, core.class_logits)
    if report.kind is None or report.spectrum is None or report.flatness is None or report.zeros is None:
        raise InputError(f"expected a critical core for a row of the atlas, got one that is {report.reason}")
    flat = report.flatness
    values = torch.linalg.svdvals(core.class_logits * core.theta.new_tensor(problem.class_sizes).sqrt())[: core.rank]
    newton = (flat.gauss_newton_frobenius, flat.gauss_newton_trace)
    measured = _Measured(report.spectrum, newton, report.zeros, report.verdict)
    return replace(_entry(problem, report.kind, report.loss, values, measured), copies=copies, found=found)


@dataclass(frozen=True)
class _Measured:
    """The spectrum of a point with the norms of its Gauss-Newton part, the count in it, and the verdict on that count."""

    spectrum: Spectrum
    gauss_newton: tuple[float, float]
    zeros: Nullity
    verdict: Verdict


def _entry(problem: Problem, kind: Kind, loss: float, singular: Tensor, measured: _Measured) -> AtlasRow:
    spectrum, cutoff, verdict = measured.spectrum, measured.zeros.cutoff, measured.verdict
    smallest = known_smallest_positive(verdict, measured.zeros, spectrum)
    rank, values = singular.numel(), spectrum.values.tolist()
    ordered = singular.sort(descending=True).values
    factors = [part.tolist() for part in factor_singular_values(problem, ordered)]
    flatness = Flatness(spectrum.norm, spectrum.frobenius, spectrum.trace, *measured.gauss_newton)
    orbits, paper = orbit_dimension_at(problem, ordered.tolist()), paper_dimension_at(problem, ordered.tolist())
    return AtlasRow(
        facts=Facts(problem, kind, rank, loss, verdict, orbits, paper, smallest, flatness),
        most_negative=None if smallest is None else min((value for value in values if value < -cutoff), default=None),
        copies=None,
        log_volume=log_orbit_volume(problem, factors),
        log_pdet=None if smallest is None else log_pseudo_determinant(spectrum, cutoff),
        free_energy=None,
        found=None,
        fingerprint=Fingerprint(rank, loss, tuple(ordered.tolist())),
    )


def at_temperature(problem: Problem, entry: AtlasRow, temperature: float) -> AtlasRow:
    """Returns the entry with its Laplace free energy, where it is a minimum without excess.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> (collapse,) = ls.atlas(problem, ls.AtlasOptions(groups=((4,),))).entries
        >>> f"{ls.at_temperature(problem, collapse, 1e-5).free_energy:.6f}"
        '0.187605'
    """
    if entry.index != 0 or entry.excess != 0 or entry.log_pdet is None or entry.copies is None or entry.nullity is None:
        return entry
    transverse = problem.parameters - entry.nullity
    value = free_energy(entry.loss, temperature, transverse, math.log(entry.copies), entry.log_volume, entry.log_pdet)
    return replace(entry, free_energy=value)
