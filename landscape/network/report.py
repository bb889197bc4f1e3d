"""What is known of a trained network's critical point: counts with their evidence, beside what symmetry and data explain."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from landscape.curvature.counting.zeros import Nullity
from landscape.curvature.spectra.density import Density
from landscape.curvature.spectra.spectrum import Spectrum
from landscape.degeneracy.judgement import Doubt, StatesCounts, Verdict
from landscape.degeneracy.methods import certificate
from landscape.display import aligned, table
from landscape.errors import InputError
from landscape.network.explanation import Explanation
from landscape.network.loss import ModuleLoss
from landscape.network.smoothness import Kinks
from landscape.network.symmetries import Symmetries

_REMEDIES = {
    Doubt.NOT_CRITICAL: "polish the point with ls.polish",
    Doubt.KINK: "there is no Hessian at a kink: use a smooth activation",
    Doubt.TOO_FAINT: "polish further, or take a larger decay; double precision cannot tell",
    Doubt.UNEXPLAINED: "double precision cannot tell whether such an eigenvalue is exactly zero",
    Doubt.UNCERTIFIED: 'count with method="dense" or "inertia"',
}


@dataclass(frozen=True)
class Multiplicity:
    """How many eigenvectors of the Hessian have a weight decay itself as their eigenvalue.

    Attributes:
        decay: The weight decay.
        named: Directions that the data loss does not see, by dead inputs, softmax shifts and the like; None if not measured.
        counted: Eigenvalues equal to it up to rounding; None without a complete spectrum, or where others are too close.
    """

    decay: float
    named: int | None
    counted: int | None


@dataclass(frozen=True)
class NetworkReport(StatesCounts):
    """How degenerate a critical point of a module's loss is, measured and explained.

    Nullity and index are exact up to the certificate, or None; `reason` then says why and what to do. An estimate is never shown
    in their place.

    Attributes:
        problem: The loss and the point.
        loss: Value at the point, decay included.
        gradient_norm: Norm of the gradient at the point.
        verdict: Nullity and index, or the doubt that forbids them.
        method: What counted: dense, inertia, quotient or recurrence.
        kinks: How near the module is to where it is not smooth.
        symmetries: What leaves the loss unchanged; None where nothing could be counted.
        zeros: The count in double precision with its evidence; None where nothing was counted.
        explanation: Zeros of the count by their cause; None where nothing was counted.
        multiplicities: How often every positive weight decay is an eigenvalue.
        spectrum: All eigenvalues; None where the method only counts.
        density: Estimated spectral density; None where the spectrum is complete or nothing was counted.
    """

    problem: ModuleLoss = field(repr=False)
    loss: float
    gradient_norm: float
    verdict: Verdict
    method: str
    kinks: Kinks
    symmetries: Symmetries | None = None
    zeros: Nullity | None = None
    explanation: Explanation | None = None
    multiplicities: tuple[Multiplicity, ...] = ()
    spectrum: Spectrum | None = field(default=None, repr=False)
    density: Density | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        counts = f"nullity {self.nullity}, index {self.index}" if self.resolved else self.reason
        return f"NetworkReport({self.parameters} parameters, loss {self.loss:.6g}, {counts})"

    def __str__(self) -> str:
        return aligned([*self.rows(), *([("not stated", self.reason)] if self.reason else [])])

    def _repr_html_(self) -> str:
        """What a notebook shows: the rows of the report."""
        return table(repr(self), self.rows())

    @property
    def parameters(self) -> int:
        """The number of trained parameters, P."""
        return self.problem.theta.numel()

    @property
    def reason(self) -> str:
        """The doubt as one line: what is wrong, the evidence, and the remedy; empty where nothing is."""
        doubt = self.verdict.doubt
        return "" if doubt is None else f"{doubt.lead}: {self.verdict.detail}; {_REMEDIES.get(doubt, doubt.value)}"

    @property
    def predicted(self) -> int | None:
        """Zeros that named symmetries explain, the dimension of their orbit; None where nothing was counted."""
        return None if self.explanation is None else self.explanation.symmetry

    @property
    def learning_coefficient(self) -> float | None:
        """(P - zeros) / 2 at a minimum, see `exact_learning_coefficient`; None at a saddle and without a count."""
        if self.zeros is None or self.zeros.negative != 0 or self.verdict.doubt not in (None, Doubt.UNEXPLAINED):
            return None
        return (self.parameters - self.zeros.count) / 2

    @property
    def exact_learning_coefficient(self) -> bool:
        """Whether (P - nullity) / 2 is the learning coefficient: named symmetries explain all zeros. Else it is a lower bound."""
        parts = self.explanation
        return self.resolved and parts is not None and parts.symmetry + parts.data == self.nullity

    def sgld(self, n_beta: float, gamma: float = 0.0, step: float = 0.0) -> float:
        """Returns the learning coefficient that stochastic gradient Langevin dynamics will estimate at this minimum.

        With e the eigenvalues and k = n_beta e + gamma the stiffness of the sampled density, the stationary mean of
        n_beta (L(w) - L(w*)) for noise of variance `step` a step is the sum of n_beta e / (2 k (1 - step k / 4)) (the quadratic
        approximation; Lau, Furman, Wang, Murfet and Wei 2023 define the estimator). Directions with e below gamma / n_beta are
        hidden from it.

        Args:
            n_beta: Samples times inverse temperature.
            gamma: Strength of the localising term.
            step: Step size epsilon of w <- w - epsilon/2 (gradient) + N(0, epsilon); 0 for the continuous limit.

        Raises:
            InputError: If there is no complete spectrum of a minimum, a setting is out of range, or the step diverges.
        """
        if self.spectrum is None or self.learning_coefficient is None or self.zeros is None:
            raise InputError("expected a minimum with a complete spectrum, got none: analyse it with method='dense'")
        if not (0 < n_beta < math.inf and 0 <= gamma < math.inf and 0 <= step < math.inf):
            raise InputError(f"expected n_beta > 0, gamma >= 0 and step >= 0, got {n_beta}, {gamma} and {step}")
        total = 0.0
        for value, times in self.spectrum.pairs():
            stiffness = n_beta * value + gamma
            if not step * stiffness < 4:
                raise InputError(f"expected a step below {4 / stiffness:.3g}, got {step:g}: the largest eigenvalue diverges")
            if value > self.zeros.cutoff:
                total += times * n_beta * value / (2 * stiffness * (1 - step * stiffness / 4))
        return total

    def rows(self) -> list[tuple[str, str]]:
        """Returns the report as name and value, in the order of a reader's questions."""
        return [*self._counts(), *self._causes(), *self._evidence()]

    def _counts(self) -> list[tuple[str, str]]:
        rows = [
            ("parameters", f"{self.parameters}"),
            ("loss", f"{self.loss:.10f}"),
            ("gradient norm", f"{self.gradient_norm:.1e}"),
            ("index", _or_unknown(self.index)),
            ("nullity", _or_unknown(self.nullity)),
        ]
        if self.learning_coefficient is not None:
            kind = "" if self.exact_learning_coefficient else "at least "
            rows.append(("learning coefficient", f"{kind}{self.learning_coefficient:g}"))
            samples = self.problem.samples
            if self.spectrum is not None and samples > 1:
                n_beta = samples / math.log(samples)
                rows.append(("SGLD will say", f"{self.sgld(n_beta, gamma=1.0):.2f} at n beta {n_beta:.3g}, gamma 1, small steps"))
        return rows

    def _causes(self) -> list[tuple[str, str]]:
        parts, found = self.explanation, self.symmetries
        if parts is None or found is None:
            return []
        rows = [("explained by symmetry", f"{parts.symmetry}")]
        rows += [(f"  {name}", f"{size}") for name, size in found.orbit.dimensions().items()]
        more = {
            "explained by the data": parts.data + parts.unnamed_data,
            "symmetry without a name": parts.unnamed_symmetry,
            "moduli, unexplained": parts.moduli,
            "not classified": parts.unclassified,
        }
        rows += [(name, f"{size}") for name, size in more.items() if size]
        for each in self.multiplicities:
            counted = "" if each.counted is None else f"{each.counted} counted, "
            rows.append((f"eigenvalue {each.decay:g} (decay)", f"{counted}{_or_unknown(each.named)} named"))
        rows += [(f"  {each.reason}: {each.where}", f"{each.dimension}") for each in found.inert]
        return rows

    def _evidence(self) -> list[tuple[str, str]]:
        zeros, rows = self.zeros, []
        if zeros is not None:
            rows += [
                ("below the zero radius", f"{zeros.count}, up to {zeros.largest_zero:.1e}, radius {zeros.cutoff:.1e}"),
                ("smallest non-zero", f"{'' if zeros.sharp else 'at least '}{zeros.smallest_nonzero:.3e}"),
                ("method", f"{self.method}, {zeros.products} products, chance of error {zeros.delta:.0e}"),
            ]
        if self.spectrum is not None:
            values = self.spectrum.values
            rows.append(("eigenvalues", f"{float(values[0]):.6e} .. {float(values[-1]):.6e}"))
        if self.symmetries is not None:
            rows.append(("symmetries found with", f"{self.symmetries.gradients} gradients"))
            if self.symmetries.unsearched:
                rows.append(("not searched", ", ".join(self.symmetries.unsearched)))
        if self.kinks.watched:
            rows.append(("kinks", f"{self.kinks.near} of {self.kinks.watched} pre-activations, nearest {self.kinks.smallest:.1e}"))
        return rows

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form; what is not known is None."""
        ends = (float(self.spectrum.values[0]), float(self.spectrum.values[-1])) if self.spectrum else (None, None)
        return {
            "parameters": self.parameters,
            "loss": self.loss,
            "gradient_norm": self.gradient_norm,
            "critical": self.verdict.critical,
            "index": self.index,
            "nullity": self.nullity,
            "resolved": self.resolved,
            "reason": self.reason,
            "predicted": self.predicted,
            "explanation": self.explanation and {**asdict(self.explanation), "unexplained": self.explanation.unexplained},
            "symmetries": self.symmetries and self.symmetries.as_dict(),
            "multiplicities": [asdict(each) for each in self.multiplicities],
            "learning_coefficient": self.learning_coefficient,
            "exact_learning_coefficient": self.exact_learning_coefficient,
            "min_eigenvalue": ends[0],
            "max_eigenvalue": ends[1],
            "certificate": certificate(self.method, self.zeros, self.gradient_norm, None),
            "kinks": {
                "near": self.kinks.near,
                "watched": self.kinks.watched,
                "smallest": self.kinks.smallest if math.isfinite(self.kinks.smallest) else None,
            },
            "spectrum": self.spectrum and [list(atom) for atom in self.spectrum.atoms()],
        }


def _or_unknown(value: int | None) -> str:
    return "undecided" if value is None else f"{value}"
