"""A certificate of absence that keeps no basis: Lanczos with three vectors, for minima whose null space is known.

The bound. Let B be the operator on the quotient by the known space, of dimension n, and B Q = Q T + beta_k q_{k+1} e_k' + F what k
steps of the three-term recurrence have computed: T tridiagonal with the computed alpha and beta, the columns of Q of length one
but not orthogonal, F the rounding errors of each step. For a unit eigenvector u with eigenvalue mu, multiply by u' from the left:

    s'(T - mu) = -beta_k (u'q_{k+1}) e_k' - u'F,    s = Q'u.

If mu is below all eigenvalues of T, T - mu is positive definite, and the first entry of s is

    |u'q_1| <= beta_k |(T - mu)^-1|_{k1} + f ||(T - mu)^-1 e_1||_1,    f >= every column of F.

T - mu has negative off-diagonal entries after a change of signs, so the entries of its inverse are positive in size and grow with
mu: the right-hand side at h bounds every eigenvalue mu <= h, negative ones too. Neither orthogonality nor convergence is used; Ritz
values that repeat do no harm. For q_1 uniform on the sphere of the quotient P(|u'q_1| <= x) <= sqrt(2n/pi) x, so an eigenvalue at
or below h was missed with probability at most sqrt(2n/pi) times the right-hand side. Independent starts multiply their chances.

The size of f. The step after the product (two subtractions, one division) rounds each entry six times: at most 6 eps |B| in norm.
What the product computes is, for stored activations, a fixed matrix, up to errors that depend on the vector. Its symmetric part is
the operator whose zeros are counted, to the rounding radius. The rest of it is measured on random vectors and multiplied by
`_MARGIN`: how far the product of rotated vectors is from the rotated products, what the two sides of u'Bv = v'Bu differ by (by
sqrt(n) more, as u and v see one of n directions each), and what the projector misses P^2 = P by. `benchmarks/rounding.py` compares
f with the true errors, in extended precision.
"""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from scipy.linalg import eigvalsh_tridiagonal, solveh_banded
from torch import Tensor

from landscape.curvature.checks import require_positive
from landscape.curvature.counting.deflation import counted_with_products, unsettled
from landscape.curvature.counting.quotient import Quotient, null_evidence
from landscape.curvature.counting.zeros import UNDECIDED_FACTOR, Nullity
from landscape.curvature.krylov import random_block, seeded
from landscape.curvature.operators.counted import Counted
from landscape.curvature.operators.operator import SymmetricOperator, require_finite
from landscape.curvature.projection import Projector
from landscape.display import brief
from landscape.tolerances import MISSED

_ROUNDINGS = 6  # of an entry in a step after its product, each of at most eps |B|
_MARGIN = 4  # times the measured error of a product: it is measured on random vectors, not on those of the recurrence
_PROBES = 4
_LOOK = 25  # steps between two evaluations of the bound, or a tenth of those made
_BELOW = 0.5  # of the smallest Ritz value: eigenvalues up to here are excluded


@dataclass(frozen=True)
class ShortRecurrence:
    """Certifies at a minimum that nothing is zero beyond a known null space, in the memory of a few vectors.

    Rank P is the count, and the index is 0, if no other eigenvalue is at or below half of the smallest Ritz value, up to `delta`.
    Steps grow with the square root of the condition number on the quotient: 500 at 2e4, 1200 at 1e5. A saddle, a zero that the
    projector does not know, or a budget that ends leaves the count undecided.

    Attributes:
        projector: Onto the known null space; that it is null is checked with 32 products. None if nothing is null.
        probes: Number of independent starts.
        steps: Most products of one start.
        delta: The chance of a miss below which the absence counts as certified.
        seed: Seed of the starts.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> matrix = ls.Matrix(torch.tensor([0.0, 0.0, 1.0, 2.0, 3.0], dtype=torch.float64).diag())
        >>> known = ls.BasisProjector(torch.eye(5, 2, dtype=torch.float64))
        >>> count = ls.nullity(matrix, ls.ShortRecurrence(known))
        >>> count.count, count.negative, count.resolved, count.delta <= 1e-9
        (2, 0, True, True)
    """

    projector: Projector | None = None
    probes: int = 3
    steps: int = 20_000
    delta: float = MISSED
    seed: int = 0

    def count(self, operator: SymmetricOperator, gradient_radius: float) -> Nullity:
        """Counts by the certificate.

        Raises:
            InputError: If a setting is too small, a product is not finite, or the projector is none or of another rank.
        """
        require_positive(probes=self.probes, steps=self.steps)
        return counted_with_products(operator, lambda counted: self._count(counted, gradient_radius))

    def _count(self, operator: Counted, gradient_radius: float) -> Nullity:
        start = unsettled(operator, gradient_radius, self.seed, "recurrence")
        start = replace(start, count=self.projector.rank if self.projector else 0, sharp=False)
        if start.norm == 0:
            return replace(start, count=operator.size, negative=0)
        if not start.checked(operator.size).certified:
            return start
        if self.projector is not None:
            evidence = null_evidence(operator, self.projector, self.seed)
            start = replace(start, largest_zero=evidence.radius, delta=evidence.delta)
            if not evidence.radius <= start.cutoff:
                reason = f"the given space is null only to {evidence.radius:.1e}, the zero radius is {start.cutoff:.1e}"
                return replace(start, certified=False, reason=reason)
        if start.count == operator.size:
            return replace(start, negative=0)
        return self._certified(operator, start)

    def _certified(self, operator: SymmetricOperator, start: Nullity) -> Nullity:
        """Runs all starts side by side until their bounds together are below delta."""
        nothing = operator.like.new_zeros(operator.size, 0)
        quotient = Quotient(operator, self.projector, nothing, start.norm / 2)
        zone = UNDECIDED_FACTOR * start.cutoff
        generator = seeded(self.seed, "short recurrence")
        runs = Recurrence.begin(quotient, min(self.probes, quotient.dimension), generator)
        rounding = rounding_of_step(quotient, start.norm, generator)
        while True:
            runs = runs.continued(quotient, min(max(_LOOK, runs.steps // 10), self.steps - runs.steps), generator)
            smallest = runs.smallest
            if not smallest > 2 * zone:
                return replace(start, certified=False, reason=_why(smallest, zone))
            half = _BELOW * smallest
            chance = runs.missed(half, quotient.dimension, rounding)
            if chance <= self.delta:
                return replace(start, negative=0, smallest_nonzero=half, delta=start.delta + chance)
            if runs.steps >= self.steps:
                reason = f"no certificate within {self.steps} steps of {self.probes} starts: the chance of a miss is {chance:.1e}"
                return replace(start, certified=False, reason=reason)


def _why(smallest: float, zone: float) -> str:
    """Returns what a Ritz value too small for a certificate says of the point."""
    if smallest < -zone:
        return f"a Ritz value of {smallest:.1e}: a saddle"
    return (
        f"a Ritz value of {smallest:.1e}, not above {2 * zone:.1e}: more zeros than the given space has, or a point that is not "
        "critical enough to tell"
    )


@dataclass(frozen=True)
class Recurrence:
    """Independent three-term recurrences side by side.

    Attributes:
        alpha: Diagonals of the tridiagonal matrices, one list per step.
        beta: Norms of the remainders.
        before: The vectors before the current ones.
        current: The current vectors, of length one.
    """

    alpha: tuple[Float[Tensor, " b"], ...]
    beta: tuple[Float[Tensor, " b"], ...]
    before: Float[Tensor, "p b"]
    current: Float[Tensor, "p b"]

    __repr__ = brief

    @classmethod
    def begin(cls, quotient: Quotient, probes: int, generator: torch.Generator) -> "Recurrence":
        """Returns recurrences of no steps from uniform starts on the sphere of the quotient."""
        start = quotient.clean(random_block(quotient, probes, generator))
        return cls((), (), torch.zeros_like(start), start / start.norm(dim=0))

    @property
    def steps(self) -> int:
        """How many steps were made."""
        return len(self.alpha)

    def continued(self, quotient: Quotient, steps: int, generator: torch.Generator) -> "Recurrence":
        """Returns the recurrences after further steps; where nothing is left of a vector, one goes on from a fresh one."""
        alphas, betas = list(self.alpha), list(self.beta)
        before, current = self.before, self.current
        for _ in range(steps):
            rest = quotient @ current
            if betas:
                rest -= before * betas[-1]
            alpha = (current * rest).sum(0)
            rest -= current * alpha
            beta = rest.norm(dim=0)
            require_finite(beta)
            alphas.append(alpha)
            betas.append(beta)
            if not bool((beta > 0).all()):  # an exact end: with beta = 0 any next vector satisfies the recurrence
                rest = torch.where(beta > 0, rest, quotient.clean(random_block(quotient, len(beta), generator)))
            before, current = current, rest / rest.norm(dim=0)
        return Recurrence(tuple(alphas), tuple(betas), before, current)

    @property
    def smallest(self) -> float:
        """The smallest Ritz value of all recurrences."""
        pairs = zip(*self._numbers(), strict=True)
        first = (eigvalsh_tridiagonal(a.numpy(), b[:-1].numpy(), select="i", select_range=(0, 0)) for a, b in pairs)
        return min(float(values[0]) for values in first)

    def missed(self, half: float, dimension: int, rounding: float) -> float:
        """Returns the chance that an eigenvalue at or below `half` was missed by all starts.

        Args:
            half: Below all Ritz values.
            dimension: Dimension of the quotient.
            rounding: Bound on the error of one step, f.
        """
        total = 0.0
        for alpha, beta in zip(*self._numbers(), strict=True):
            first = _first_column(alpha, beta[:-1], half)
            overlap = float(beta[-1] * first[-1].abs() + rounding * first.abs().sum())
            total += min(0.0, math.log(max(overlap, 1e-300)) + 0.5 * math.log(2 * dimension / math.pi))
        return math.exp(max(total, -700.0))

    def _numbers(self) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b k"]]:
        return torch.stack(self.alpha, 1).to("cpu", torch.float64), torch.stack(self.beta, 1).to("cpu", torch.float64)


def _first_column(alpha: Float[Tensor, " k"], beta: Float[Tensor, " j"], shift: float) -> Float[Tensor, " k"]:
    """Returns (T - shift)^-1 e_1 for a tridiagonal T, by a banded Cholesky factorisation; it exists below all eigenvalues."""
    bands = torch.zeros(2, len(alpha), dtype=torch.float64)
    bands[0, 1:] = beta
    bands[1] = alpha - shift
    unit = torch.zeros(len(alpha), dtype=torch.float64)
    unit[0] = 1.0
    return torch.from_numpy(solveh_banded(bands.numpy(), unit.numpy()))


def rounding_of_step(quotient: Quotient, norm: float, generator: torch.Generator) -> float:
    """Returns a bound on the rounding error of a step of the recurrence, the f of the module's docstring.

    Args:
        quotient: Operator that is multiplied with.
        norm: Spectral norm of the operator.
        generator: Draws the vectors on which the errors of products are measured.
    """
    probe = quotient.clean(random_block(quotient, _PROBES, generator))
    probe = probe / probe.norm(dim=0)
    image = quotient @ probe
    rotation = torch.linalg.qr(torch.randn(_PROBES, _PROBES, generator=generator, dtype=torch.float64)).Q.to(probe)
    form = probe.mT @ image
    parts = (
        (quotient @ (probe @ rotation) - image @ rotation).norm(dim=0).max(),
        (form - form.mT).abs().max() * math.sqrt(quotient.size),
        (quotient.clean(probe, passes=1) - probe).norm(dim=0).max() * norm,
    )
    return _ROUNDINGS * torch.finfo(probe.dtype).eps * norm + _MARGIN * sum(float(part) for part in parts)
