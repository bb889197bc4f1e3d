"""What a picture of a spectrum is made of: stems with their origins, and the bulk that probes have seen."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from landscape.curvature.spectra.density import Density
from landscape.curvature.spectra.sampled import SampledSpectrum
from landscape.curvature.spectra.spectrum import Spectrum
from landscape.degeneracy.reduction import EigenvalueKind
from landscape.degeneracy.report import DegeneracyReport
from landscape.display import brief
from landscape.errors import InputError

Drawable: TypeAlias = Spectrum | DegeneracyReport | Density | SampledSpectrum
_EQUAL = 1e-6  # relative difference that no print can show


@dataclass(frozen=True)
class Stem:
    """Eigenvalues that stand at one place of the picture.

    Attributes:
        value: The eigenvalue, exactly 0 for zeros.
        height: How many eigenvalues there are, an estimate where there is an error.
        error: Standard error of an estimated height, 0 for a count.
        origin: Where these eigenvalues come from; None where the method does not know.
    """

    value: float
    height: int | float
    error: float = 0.0
    origin: EigenvalueKind | None = None


@dataclass(frozen=True)
class SpectrumParts:
    """A spectrum, ready to be drawn.

    Attributes:
        name: Title of its panel, or its name in the legend of an overlaid picture.
        stems: Zeros first, then the others in ascending order of each origin.
        nodes: Nodes of each probe that belong to no stem.
        counts: How many eigenvalues each of these nodes stands for.
        decay: Weight decay that is marked; None where there is no single one.
    """

    name: str
    stems: tuple[Stem, ...]
    nodes: tuple[tuple[float, ...], ...] = ()
    counts: tuple[tuple[float, ...], ...] = ()
    decay: float | None = None

    __repr__ = brief

    @property
    def zeros(self) -> list[Stem]:
        """The stems at zero, one for each origin."""
        return [stem for stem in self.stems if not stem.value]

    @property
    def values(self) -> list[float]:
        """All places other than zero where something is drawn."""
        return [stem.value for stem in self.stems if stem.value] + [node for run in self.nodes for node in run]

    @property
    def negative(self) -> float:
        """How many eigenvalues are negative."""
        bulk = sum(c for run, mass in zip(self.nodes, self.counts, strict=True) for n, c in zip(run, mass, strict=True) if n < 0)
        return sum(stem.height for stem in self.stems if stem.value < 0) + bulk / max(len(self.nodes), 1)

    @property
    def by_origin(self) -> bool:
        """Whether any origin is known."""
        return any(stem.origin is not None for stem in self.stems)

    @property
    def estimated(self) -> bool:
        """Whether the heights are estimates."""
        return bool(self.nodes) or any(stem.error for stem in self.stems)


def parts_of(
    source: Drawable, name: str | None = None, zero_radius: float | None = None, decay: float | None = None, origins: bool = True
) -> SpectrumParts:
    """Returns what is drawn of a spectrum, a report or an estimate.

    Args:
        source: The eigenvalues, or what probes have seen of them.
        name: Name of the panel; None takes the structure of a report.
        zero_radius: Eigenvalues of at most this size are zeros; None takes that of the report, or the error of the spectrum.
        decay: Marks lambda and 2 lambda; None takes that of the report, if all factors share it.
        origins: Whether eigenvalues of different origins stand apart.

    Raises:
        InputError: If a report has no spectrum.
    """
    match source:
        case Spectrum():
            radius = source.error if zero_radius is None else zero_radius
            stems = merge_stems([(value, times, None) for value, times in source.pairs()], radius, source.error)
            return SpectrumParts(name or "", stems, decay=decay)
        case DegeneracyReport():
            return _of_report(source, name, zero_radius, decay, origins)
        case Density():
            return parts_of(SampledSpectrum.of_density(source), name, zero_radius, decay)
        case SampledSpectrum():
            return _of_probes(source, name or "", decay)


def _of_report(
    report: DegeneracyReport, name: str | None, radius: float | None, decay: float | None, origins: bool
) -> SpectrumParts:
    if report.spectrum is None:
        raise InputError(
            f"expected a report with a spectrum, got one by {report.method}: {report.reason or 'use reduction or dense'}"
        )
    if radius is None:
        radius = report.spectrum.error if report.zeros is None else report.zeros.cutoff
    shared = set(report.problem.decays)
    decay = (shared.pop() if len(shared) == 1 else None) if decay is None else decay
    title = report.structure if name is None else name
    if not (origins and report.families):
        return replace(parts_of(report.spectrum, title, radius), decay=decay)
    listed = [(value, family.multiplicity, family.kind) for family in report.families for value in family.values.tolist()]
    return SpectrumParts(title, merge_stems(listed, radius, report.spectrum.error), decay=decay)


def _of_probes(source: SampledSpectrum, name: str, decay: float | None) -> SpectrumParts:
    zeros, cutoff = source.zeros, source.zeros.cutoff
    stems = [Stem(0.0, zeros.mean, zeros.error)] if zeros.mean > 0 else []
    for atom in source.atoms:
        if abs(atom.location) > cutoff:
            stems.append(Stem(atom.location, source.size * atom.fraction, source.size * atom.error))
    nodes, counts = source.bulk()
    return SpectrumParts(name, tuple(stems), tuple(map(tuple, nodes)), tuple(map(tuple, counts)), decay)


def merge_stems(listed: Sequence[tuple[float, int, EigenvalueKind | None]], radius: float, error: float) -> tuple[Stem, ...]:
    """Returns one stem for all zeros of an origin, and one for other eigenvalues of an origin that paper cannot tell apart."""
    zeros: dict[EigenvalueKind | None, int] = {}
    others: dict[EigenvalueKind | None, list[Stem]] = {}
    for value, times, origin in sorted(listed, key=lambda entry: entry[0]):
        if abs(value) <= radius:
            zeros[origin] = zeros.get(origin, 0) + times
            continue
        stems = others.setdefault(origin, [])
        last = stems[-1] if stems else Stem(0.0, 0)
        if value * last.value > 0 and value - last.value <= max(_EQUAL * abs(value), 2 * error):
            stems[-1] = replace(last, height=last.height + times)
        else:
            stems.append(Stem(value, times, 0.0, origin))
    return (*(Stem(0.0, times, 0.0, origin) for origin, times in zeros.items()), *(s for stems in others.values() for s in stems))
