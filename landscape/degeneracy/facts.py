"""The facts on one critical point that every table states: one record, held by reports, rows of the atlas and cells of phases."""

from dataclasses import dataclass

from landscape.degeneracy.judgement import Doubt, StatesCounts, Verdict
from landscape.display import brief
from landscape.model.problem import Problem
from landscape.structures.kinds import Kind
from landscape.structures.names import name


@dataclass(frozen=True)
class Flatness:
    """Norms of the Hessian, and of the data part of its Gauss-Newton matrix, which weight decay does not swamp.

    Attributes:
        spectral: Spectral norm, the largest eigenvalue in size.
        frobenius: Frobenius norm, the square root of the sum of squared eigenvalues.
        trace: Trace, the sum of the eigenvalues.
        gauss_newton_frobenius: Frobenius norm of the data part J^T (d^2 g/dZ^2) J.
        gauss_newton_trace: Trace of the data part J^T (d^2 g/dZ^2) J.
    """

    spectral: float
    frobenius: float
    trace: float
    gauss_newton_frobenius: float
    gauss_newton_trace: float


@dataclass(frozen=True)
class Facts(StatesCounts):
    """What is known of one critical point. What is not certain is None, with the doubt as a value.

    Attributes:
        problem: Model whose critical point it is.
        kind: Kind of the structure, in its normal form; None where the point is not critical.
        rank: Rank of every factor; None without a core, as for ReLU models.
        loss: Loss at the point, with weight decay.
        verdict: Nullity and index, or the doubt that forbids them, with the proof if there is one.
        orbit_dimension: Zeros that symmetry explains; None where no symmetry was measured.
        paper_dimension: Dimension that Theorem 5 of the paper counts; None below width K and without a core.
        smallest_positive: Smallest positive eigenvalue; None where double precision does not see it apart from the zeros.
        flatness: Norms of the Hessian; None without a complete spectrum.
    """

    problem: Problem
    kind: Kind | None
    rank: int | None
    loss: float
    verdict: Verdict
    orbit_dimension: int | None = None
    paper_dimension: int | None = None
    smallest_positive: float | None = None
    flatness: Flatness | None = None

    __repr__ = brief

    @property
    def structure(self) -> str:
        """The name of the structure."""
        return name(self.kind)

    @property
    def doubt(self) -> Doubt | None:
        """Why the counts are not stated; None where they are."""
        return self.verdict.doubt

    @property
    def reason(self) -> str:
        """The doubt as one line for people; empty where there is none."""
        return self.verdict.reason

    @property
    def excess(self) -> int | None:
        """Zeros that the orbit does not explain: nullity minus orbit dimension."""
        return None if self.nullity is None or self.orbit_dimension is None else self.nullity - self.orbit_dimension

    @property
    def learning_coefficient(self) -> float | None:
        """(P - nullity) / 2, the real log canonical threshold of a Morse-Bott minimum; None for saddles and unexplained zeros."""
        if self.nullity is None or self.index != 0 or self.excess != 0:
            return None
        return (self.problem.parameters - self.nullity) / 2


class StatesFacts(StatesCounts):
    """What holds the facts of a critical point states them as its own."""

    facts: Facts

    @property
    def problem(self) -> Problem:
        """Model whose critical point it is."""
        return self.facts.problem

    @property
    def kind(self) -> Kind | None:
        """Kind of the structure, in its normal form; None where the point is not critical."""
        return self.facts.kind

    @property
    def structure(self) -> str:
        """Name of the structure."""
        return self.facts.structure

    @property
    def rank(self) -> int | None:
        """Rank of every factor; None without a core, as away from critical points and for ReLU models."""
        return self.facts.rank

    @property
    def loss(self) -> float:
        """Loss at the point, with weight decay."""
        return self.facts.loss

    @property
    def verdict(self) -> Verdict:
        """Nullity and index, or the doubt that forbids them, with the proof if there is one."""
        return self.facts.verdict

    @property
    def reason(self) -> str:
        """Why the counts are not stated and what to run; empty where they are stated."""
        return self.facts.reason

    @property
    def orbit_dimension(self) -> int | None:
        """Number of zeros that symmetry explains: the rank of the generators of the gauge group and of the data symmetry."""
        return self.facts.orbit_dimension

    @property
    def paper_dimension(self) -> int | None:
        """Dimension that Theorem 5 of the paper counts; linear models with width >= classes."""
        return self.facts.paper_dimension

    @property
    def excess(self) -> int | None:
        """Number of zeros that the orbit does not explain: nullity minus orbit dimension."""
        return self.facts.excess

    @property
    def smallest_positive(self) -> float | None:
        """Smallest positive eigenvalue; None where double precision does not see it apart from the zeros."""
        return self.facts.smallest_positive

    @property
    def flatness(self) -> Flatness | None:
        """Norms of the Hessian; None without a complete spectrum."""
        return self.facts.flatness

    @property
    def learning_coefficient(self) -> float | None:
        """(P - nullity) / 2; None at saddles and where zeros are unexplained, as in `Facts`."""
        return self.facts.learning_coefficient
