"""What is known of how degenerate a critical point is: counts with their evidence, and what theory says beside them."""

from dataclasses import asdict, dataclass
from typing import Any

from landscape.arbiter import Arbitration
from landscape.collapse import CollapseMetrics
from landscape.curvature.nullity import Nullity
from landscape.curvature.spectrum import Spectrum
from landscape.kinks import Kinks
from landscape.problem import Problem
from landscape.routes import certificate


@dataclass(frozen=True)
class Flatness:
    """Norms of the Hessian, and of the data part of its Gauss-Newton matrix, which weight decay does not swamp.

    Attributes:
        spectral: Largest eigenvalue in size.
        frobenius: Square root of the sum of squares.
        trace: Sum of the eigenvalues.
        gauss_newton_frobenius: The same of J^T (d^2 g/dZ^2) J.
        gauss_newton_trace: The same.
    """

    spectral: float
    frobenius: float
    trace: float
    gauss_newton_frobenius: float
    gauss_newton_trace: float


@dataclass(frozen=True)
class DegeneracyReport:
    """How degenerate a critical point is, measured and predicted.

    Every count is exact (`resolved`) or None; `reason` then says why and what to run.

    Attributes:
        point: Problem, loss and gradient norm of what was analysed.
        rank: Of every factor; None if they differ, as they may away from critical points.
        structure: Name of the matching structure.
        index: Negative eigenvalues.
        nullity: Zero eigenvalues.
        orbit_dimension: Rank of the generators of the gauge group at the point.
        orbit_formula: L (d r - r (r+1)/2), what that rank must be for linear models.
        paper_dimension: What Theorem 5 of the paper counts; linear models with width >= classes.
        spectrum: All eigenvalues, or None if the point is too far from critical for the method.
        flatness: Norms, with the spectrum.
        collapse: Neural-collapse metrics.
        method: What computed the spectrum.
        zeros: The count with its evidence, or None without a spectrum.
        reason: Empty if resolved.
        arbitration: What 60 digits said, where double precision could not decide.
        second: What an independent route counted; None if there was none.
        kinks: What is not smooth there; None for linear models.
    """

    problem: Problem
    loss: float
    gradient_norm: float
    rank: int | None
    structure: str
    index: int | None
    nullity: int | None
    orbit_dimension: int | None
    orbit_formula: int | None
    paper_dimension: int | None
    spectrum: Spectrum | None
    flatness: Flatness | None
    collapse: CollapseMetrics
    method: str
    zeros: Nullity | None
    reason: str
    arbitration: Arbitration | None = None
    second: Nullity | None = None
    kinks: Kinks | None = None

    @property
    def resolved(self) -> bool:
        """Whether nullity and index are exact."""
        return not self.reason

    @property
    def excess(self) -> int | None:
        """Zeros that the gauge orbit does not explain."""
        if self.nullity is None or self.orbit_dimension is None:
            return None
        return self.nullity - self.orbit_dimension

    @property
    def learning_coefficient(self) -> float | None:
        """(P - nullity) / 2, the real log canonical threshold of a Morse-Bott minimum; None at saddles."""
        return (self.problem.parameters - self.nullity) / 2 if self.nullity is not None and self.index == 0 else None

    @property
    def smallest_positive(self) -> float | None:
        """The smallest eigenvalue above the zero radius."""
        if self.spectrum is None or self.zeros is None:
            return None
        if self.arbitration is None:
            return min((value for value, _ in self.spectrum.pairs() if value > self.zeros.cutoff), default=None)
        judged = [d.value for d in self.arbitration.cluster if not d.is_zero and d.value > 0]
        settled = (value for value, _ in self.spectrum.pairs() if value > self.arbitration.cutoff)
        return min([*judged, *settled], default=None)

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form; what is not known is None."""
        extremes = (float(self.spectrum.values[0]), float(self.spectrum.values[-1])) if self.spectrum else (None, None)
        flat = self.flatness
        return {
            "parameters": self.problem.parameters,
            "rank": self.rank,
            "loss": self.loss,
            "gradient_norm": self.gradient_norm,
            "index": self.index,
            "nullity": self.nullity,
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
                **({"arbitration": self.arbitration.as_dict()} if self.arbitration else {}),
            },
            "spectrum": self.spectrum and [list(atom) for atom in self.spectrum.atoms()],
        }
