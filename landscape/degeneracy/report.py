"""What is known of how degenerate a critical point is: counts with their evidence, and what theory says beside them."""

from dataclasses import asdict, dataclass
from typing import Any

from landscape.curvature.counting.zeros import Nullity
from landscape.curvature.spectra.spectrum import Spectrum
from landscape.degeneracy.facts import Facts, StatesFacts
from landscape.degeneracy.methods import certificate
from landscape.degeneracy.proved import near_zero_in_words, proof_as_dict, proved_in_words
from landscape.degeneracy.reduction import EigenvalueFamily
from landscape.degeneracy.relu_kinks import ReluKinks
from landscape.display import aligned, table
from landscape.points.collapse_metrics import CollapseMetrics
from landscape.structures.recognition import Recognised


@dataclass(frozen=True)
class DegeneracyReport(StatesFacts):
    """How degenerate a critical point is, measured and predicted.

    Every count is exact (`resolved`) or None; `reason` then says why and what to run.

    Attributes:
        facts: Facts of the point, as every table states them; the loss is that of the given point.
        gradient_norm: Gradient norm of the given point.
        found: Structure that the logits were recognised as; None where the point is not critical.
        collapse: Neural-collapse metrics NC1 to NC3 and the balancedness of the given point.
        method: Name of the method that computed the spectrum or the count.
        orbit_formula: Dimension L (d r - r (r+1)/2) that the orbit must have for linear models.
        spectrum: All eigenvalues at the critical point; where the point is not critical enough, those of the Hessian at the point
            itself; None where they are too many or the method only counts.
        zeros: The count in double precision with its evidence; None where nothing was counted.
        second: Count of an independent route; None if there was none.
        kinks: What is not smooth at a ReLU point; None for linear models.
        stray: Distance between the given point and the critical one at which the counts were made.
        distance: Relative distance of the given point's class logits from the structure that was found; None without blocks.
        families: All eigenvalues at the critical point by their origin, from the exact reduction; empty for other methods.
    """

    facts: Facts
    gradient_norm: float
    found: Recognised | None
    collapse: CollapseMetrics
    method: str
    orbit_formula: int | None = None
    spectrum: Spectrum | None = None
    zeros: Nullity | None = None
    second: Nullity | None = None
    kinks: ReluKinks | None = None
    stray: float = 0.0
    distance: float | None = None
    families: tuple[EigenvalueFamily, ...] = ()

    def __repr__(self) -> str:
        counts = f"nullity {self.nullity}, index {self.index}" if self.resolved else self.reason
        return f"DegeneracyReport({self.structure}, {counts}; {self.problem})"

    def __str__(self) -> str:
        return aligned([*self.rows(), *([("not stated", self.reason)] if self.reason else [])])

    def _repr_html_(self) -> str:
        """What a notebook shows: the rows of `landscape degeneracy`."""
        return table(repr(self), self.rows())

    @property
    def critical(self) -> bool:
        """Whether the point is close enough to a critical one for its spectrum to be that of the critical one."""
        return self.verdict.critical

    @property
    def proved(self) -> str:
        """One sentence on the proof of the counts, or on how to get one."""
        return proved_in_words(self.verdict, self._command, self._apart)

    @property
    def _command(self) -> str:
        if not self.critical:
            return "the point is not critical enough"
        return "run landscape prove" if self.problem.is_linear else "nothing is proved for ReLU models"

    @property
    def _apart(self) -> float | None:
        """How far the point is from what was proved: relative for the logits of a structure, absolute for a critical point."""
        proof = self.verdict.proof
        if proof is None:
            return None
        return self.distance if proof.kind == "structure" else self.stray + (proof.distance or 0.0)

    def rows(self) -> list[tuple[str, str]]:
        """Returns the report as name and value, in the order of a reader's questions."""
        return [*self._counts(), *self._sizes(), *self._evidence()]

    def _counts(self) -> list[tuple[str, str]]:
        return [
            ("structure", self.structure),
            ("parameters", str(self.problem.parameters)),
            ("rank", _or_unknown(self.rank)),
            ("loss", f"{self.loss:.10f}"),
            ("gradient norm", f"{self.gradient_norm:.1e}"),
            ("nullity", _or_unknown(self.nullity)),
            ("index", _or_unknown(self.index)),
            ("orbit dimension", f"{_or_unknown(self.orbit_dimension)} (formula {_or_unknown(self.orbit_formula)})"),
            ("paper dimension", f"{_or_unknown(self.paper_dimension)} (Theorem 5)"),
            ("excess", _or_unknown(self.excess)),
        ]

    def _sizes(self) -> list[tuple[str, str]]:
        rows, flat, metrics = [], self.flatness, self.collapse
        if self.spectrum is not None and self.spectrum.multiplicities:
            ends = f"{float(self.spectrum.values[0]):.6e} .. {float(self.spectrum.values[-1]):.6e}"
            if not self.critical:
                rows.append(("eigenvalues", f"{ends} of the Hessian at this point, which is not a critical point"))
            else:
                smallest = "undecided" if self.smallest_positive is None else f"{self.smallest_positive:.6e}"
                rows += [("eigenvalues", ends), ("smallest positive", smallest)]
        if flat is not None:
            rows += [
                ("spectral norm", f"{flat.spectral:.6g}"),
                ("Frobenius norm", f"{flat.frobenius:.6g} (Gauss-Newton {flat.gauss_newton_frobenius:.6g})"),
                ("trace", f"{flat.trace:.6g} (Gauss-Newton {flat.gauss_newton_trace:.6g})"),
            ]
        rows.append(("learning coefficient", _or_unknown(self.learning_coefficient)))
        for metric, values in (("NC1", metrics.nc1), ("NC2", metrics.nc2), ("NC3", metrics.nc3)):
            rows.append((f"{metric} by layer", "  ".join("-" if value is None else f"{value:.1e}" for value in values)))
        rows.append(("balancedness", f"{metrics.balancedness:.1e}"))
        return rows

    def _evidence(self) -> list[tuple[str, str]]:
        zeros, bent, second = self.zeros, self.kinks, self.second
        rows = [("proved", self.proved)]
        if self.resolved:
            rows.append(("near zero", near_zero_in_words(self.verdict)))
        if zeros is not None:
            rows += [
                ("largest zero", f"{zeros.largest_zero:.1e}, cutoff {zeros.cutoff:.1e}"),
                ("smallest non-zero", f"{'' if zeros.sharp else 'at least '}{zeros.smallest_nonzero:.1e}, by {self.method}"),
            ]
        if bent is not None:
            slope = "-" if bent.smallest_slope is None else f"{bent.smallest_slope:.1e}"
            rows.append(("kinks", f"{bent.count}, smallest pre-activation {bent.smallest:.1e}"))
            rows.append(("generalised gradient", f"{bent.residual:.1e}, smallest slope across a kink {slope}"))
            if bent.manifold is not None and bent.manifold.certain:
                rows.append(("along the kinks", f"nullity {bent.manifold.nullity}, index {bent.manifold.index}"))
        if second is not None:
            counts = f"nullity {second.count}, index {_or_unknown(second.negative)}" if second.resolved else "undecided"
            rows.append(("second route", f"{second.method}: {counts} (delta {second.delta:.1e}, {second.products} products)"))
        return rows

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form; what is not known is None."""
        extremes = (float(self.spectrum.values[0]), float(self.spectrum.values[-1])) if self.spectrum else (None, None)
        flat = self.flatness
        return {
            "parameters": self.problem.parameters,
            "rank": self.rank,
            "loss": self.loss,
            "gradient_norm": self.gradient_norm,
            "critical": self.critical,
            "index": self.index,
            "nullity": self.nullity,
            **proof_as_dict(self.verdict, self._command, self._apart),
            "orbit_dimension": self.orbit_dimension,
            "paper_dimension": self.paper_dimension,
            "excess": self.excess,
            "resolved": self.resolved,
            "structure": self.structure,
            "min_eigenvalue": extremes[0],
            "max_eigenvalue": extremes[1],
            "smallest_positive": self.smallest_positive,
            "flatness": flat
            and {
                "spectral": flat.spectral,
                "frobenius": flat.frobenius,
                "trace": flat.trace,
                "gauss_newton": {"frobenius": flat.gauss_newton_frobenius, "trace": flat.gauss_newton_trace},
            },
            "learning_coefficient": self.learning_coefficient,
            "collapse": asdict(self.collapse),
            "certificate": {
                **certificate(self.method, self.zeros, self.gradient_norm, self.second),
                "kinks": self.kinks and self.kinks.as_dict(),
            },
            "spectrum": self.spectrum and [list(atom) for atom in self.spectrum.atoms()],
        }


def _or_unknown(value: int | float | None) -> str:
    return "undecided" if value is None else f"{value}"
