"""Counting zeros without forming the matrix: a known null space is projected out, and Lanczos certifies that nothing is left.

The certificate. After k Lanczos steps from a unit vector q, an eigenvector u with eigenvalue mu satisfies
u'q_{k+1} = u'q prod(mu - theta_j) / prod(beta_j), and |u'q_{k+1}| <= 1, so

    |u'q| <= prod(beta_j) / prod|mu - theta_j|.

For q uniform on the sphere of the quotient, of dimension n, P(|u'q| <= x) <= sqrt(2n/pi) x. Hence, if the right-hand side is
at most x for every |mu| <= h, an eigenvalue in (-h, h) was missed with probability at most sqrt(2n/pi) x. On an interval free
of Ritz values the right-hand side is log-convex, so its maximum is at an end. Independent starts multiply their chances.

This is exact-arithmetic theory plus a floor for rounding, sqrt(2n/pi) 16 eps ||H|| / gap per start; it is not interval
arithmetic. It holds at saddles. Power test in tests/curvature/test_deflation.py: with a null vector left out, no certificate.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.checks import require_bound, require_positive
from landscape.curvature.counting.quotient import Quotient, null_evidence
from landscape.curvature.counting.zeros import UNDECIDED_FACTOR, Nullity
from landscape.curvature.krylov import (
    LanczosRuns,
    RitzRun,
    continue_runs,
    eigenpairs,
    estimate_norm,
    orthonormal,
    random_block,
    seeded,
    solve_runs,
)
from landscape.curvature.operators.counted import Counted
from landscape.curvature.operators.operator import SymmetricOperator
from landscape.curvature.projection import Projector
from landscape.curvature.spectra.spectrum import rounding_radius
from landscape.tolerances import MISSED

INDEPENDENT = 1e-5  # singular value of unit Ritz vectors above which they count as independent; noise is far below
POLISH = 12  # steps that may follow a certificate so that the smallest non-zero eigenvalue is known and not just bounded


@dataclass(frozen=True)
class Absence:
    """What Lanczos says about the eigenvalues of an operator near zero and below.

    Attributes:
        half_width: Half width h of the interval (-h, h) that holds no eigenvalue, up to the chance `delta`.
        delta: Chance that an eigenvalue in the interval was missed.
        above: Whether all Ritz values exceed half_width; then none lies below it either, by the same chance.
        nearest: The Ritz value closest to zero.
        nearest_error: Residual norm of the Ritz value closest to zero.
    """

    half_width: float
    delta: float
    above: bool
    nearest: float
    nearest_error: float

    @property
    def sharp(self) -> bool:
        """Whether the nearest Ritz value is an eigenvalue to three digits."""
        return self.nearest_error <= 1e-3 * abs(self.nearest)


def absence(runs: list[RitzRun], dimension: int, norm: float, eps: float) -> Absence:
    """Evaluates the certificate on finished runs from independent uniform starts in a space of `dimension`."""
    if dimension == 0 or not runs:
        return Absence(float("inf"), 0.0, True, float("inf"), 0.0)
    closest = [(float(run.values.abs().min()), run) for run in runs]
    gap, run = min(closest, key=lambda pair: pair[0])
    half = gap / 2
    if half == 0:
        return Absence(0.0, 1.0, False, 0.0, 0.0)
    prior = 0.5 * math.log(2 * dimension / math.pi)
    floor = prior + math.log(16 * eps * norm / gap)
    total = 0.0
    for each in runs:
        sizes = each.betas.clamp_min(torch.finfo(torch.float64).tiny).log().sum()
        ends = torch.tensor([-half, half], dtype=torch.float64)
        quotient = float((sizes - (ends[:, None] - each.values[None, :]).abs().log().sum(1)).max())
        total += min(max(prior + quotient, floor), 0.0)
    position = int(run.values.abs().argmin())
    return Absence(
        half_width=half,
        delta=math.exp(max(total, -700.0)),
        above=all(float(each.values.min()) > half for each in runs),
        nearest=float(run.values[position]),
        nearest_error=float(run.residuals[position]),
    )


def unsettled(operator: SymmetricOperator, gradient_radius: float, seed: int, method: str) -> Nullity:
    """Returns a count at its start: the zero radius from the estimated norm, and nothing found."""
    norm = estimate_norm(operator, seed)
    rounding = rounding_radius(operator.size, norm, operator.like.dtype)
    return Nullity(
        count=0,
        negative=None,
        undecided=0,
        cutoff=rounding + gradient_radius,
        largest_zero=0.0,
        smallest_nonzero=float("inf"),
        rounding=rounding,
        gradient=gradient_radius,
        norm=norm,
        seed=seed,
        method=method,
    )


def counted_with_products(operator: SymmetricOperator, count: Callable[[Counted], Nullity]) -> Nullity:
    """Returns what a method counts, with the products that it took.

    Raises:
        InputError: If a product is not finite.
    """
    counted = Counted.of(operator)
    before = counted.products
    result = count(counted)
    counted.require_finite()
    return replace(result, products=counted.products - before).checked(operator.size)


@dataclass(frozen=True)
class Deflated:
    """Counts zeros as rank P plus those that probes find in the complement, until Lanczos certifies that none is left.

    b random probes see b independent null directions at most; when all are used, b doubles. Needs no assumption on the sign of
    the spectrum. Without a projector it finds the whole null space by probes, which is expensive when the nullity is large: the
    basis of everything found is kept. Memory: probes * steps vectors plus what was found.

    Attributes:
        projector: Projector onto a space known to be null, which is checked with 32 products; None if nothing is known.
        probes: Number of independent random start vectors.
        steps: Most Lanczos steps in one round.
        delta: The chance of a miss below which the absence counts as certified.
        index: Whether to count negative eigenvalues as well; at a minimum that is free, at a saddle it costs rounds.
        rounds: Most rounds of finding null vectors and locking them.
        memory: Bytes that the Krylov bases may use.
        seed: Seed of the random start vectors.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> matrix = ls.Matrix(torch.tensor([0.0, 0.0, 1.0, 2.0], dtype=torch.float64).diag())
        >>> known = ls.BasisProjector(torch.eye(4, 1, dtype=torch.float64))
        >>> count = ls.nullity(matrix, ls.Deflated(known))  # finds the second zero by itself
        >>> count.count, count.resolved, count.delta <= 1e-9
        (2, True, True)
    """

    projector: Projector | None = None
    probes: int = 8
    steps: int = 400
    delta: float = MISSED
    index: bool = True
    rounds: int = 40
    memory: float = 4e9
    seed: int = 0

    def count(self, operator: SymmetricOperator, gradient_radius: float) -> Nullity:
        """Counts by deflation and certificate.

        Raises:
            InputError: If a setting is too small, a product is not finite, or the projector is none or of another rank.
        """
        require_positive(probes=self.probes, steps=self.steps, rounds=self.rounds)
        return counted_with_products(operator, lambda counted: self._count(counted, gradient_radius))

    def _count(self, operator: Counted, gradient_radius: float) -> Nullity:
        start = unsettled(operator, gradient_radius, self.seed, "deflated")
        start = replace(start, count=self.projector.rank if self.projector else 0, sharp=self.projector is None)
        if start.norm == 0:
            return replace(start, count=operator.size, negative=0)
        if not start.checked(operator.size).certified:  # a radius near the norm: everything would be found, and locked
            return start
        if self.projector is not None:
            evidence = null_evidence(operator, self.projector, self.seed)
            start = replace(start, largest_zero=evidence.radius, delta=evidence.delta)
            if not evidence.radius <= start.cutoff:
                reason = f"the given space is null only to {evidence.radius:.1e}, the zero radius is {start.cutoff:.1e}"
                return replace(start, certified=False, reason=reason)
        return self.certify(operator, start, operator.like.new_zeros(operator.size, 0))

    def certify(self, operator: SymmetricOperator, so_far: Nullity, locked: Float[Tensor, "p m"]) -> Nullity:
        """Continues from null vectors that are already known: finds what else is null and certifies that this was all.

        Args:
            operator: The operator whose zeros are counted.
            so_far: What is known: the rank of the projector and the locked vectors are counted in it.
            locked: Orthonormal, in the complement of the projector.

        Returns:
            The count with what was found. Its `products` are those of `so_far`: whoever wraps the operator in `Counted` adds up.
        """
        return _ExcessSearch(self, operator, so_far.norm, seeded(self.seed, "absence")).zeros(so_far, locked)


@dataclass(frozen=True)
class _Round:
    """One round of probes: either a certificate, or vectors found, or neither (the budget ended)."""

    absence: Absence
    certified: bool
    found: Float[Tensor, "p m"]
    exhausted: bool  # every probe gave an independent direction: there may be more


@dataclass(frozen=True)
class _ExcessSearch:
    """The rounds of one count."""

    settings: Deflated
    operator: SymmetricOperator
    norm: float
    generator: torch.Generator

    def zeros(self, so_far: Nullity, locked: Float[Tensor, "p m"]) -> Nullity:
        """Finds and locks null vectors until a certificate says that none is left."""
        zone = UNDECIDED_FACTOR * so_far.cutoff
        probes = self.settings.probes
        for _ in range(self.settings.rounds):
            quotient = Quotient(self.operator, self.settings.projector, locked, self.norm / 2)
            outcome = self._round(quotient, probes, zone, negative=False)
            if outcome.certified:
                return self._finish(so_far, outcome.absence, locked)
            if outcome.found.shape[1] == 0:
                break
            kept, values = self._rayleigh(outcome.found, zone)
            doubtful = len(values) - int((values.abs() <= so_far.cutoff).sum())
            if doubtful or kept.shape[1] == 0:
                reason = f"{doubtful} eigenvalues within {UNDECIDED_FACTOR:g} times the zero radius; at least so many"
                return replace(so_far, undecided=max(doubtful, 1), reason=reason)
            locked = torch.cat([locked, kept], dim=1)
            so_far = replace(so_far, count=so_far.count + kept.shape[1])
            probes = min(2 * probes, quotient.dimension) if outcome.exhausted else probes
        reason = f"no certificate within {self.settings.steps} steps and {self.settings.rounds} rounds"
        return replace(so_far, certified=False, reason=reason)

    def _finish(self, so_far: Nullity, last: Absence, locked: Float[Tensor, "p m"]) -> Nullity:
        """Adds what the certificate says of the rest of the spectrum, and the index."""
        result = replace(
            so_far,
            smallest_nonzero=abs(last.nearest) if last.sharp else last.half_width,
            sharp=so_far.sharp and last.sharp,
            delta=so_far.delta + last.delta,
        )
        if locked.shape[1]:
            values, coupling = self._coupling(locked)
            largest = float(values.abs().max()) + coupling**2 / last.half_width
            result = replace(result, largest_zero=max(result.largest_zero, largest))
            if not (largest <= result.cutoff and coupling <= last.half_width / 2):
                return replace(result, undecided=1, reason=f"a zero found by probes is null only to {largest:.1e}")
        if last.above:
            return replace(result, negative=0)
        return self._index(result, locked) if self.settings.index else result

    def _index(self, result: Nullity, locked: Float[Tensor, "p m"]) -> Nullity:
        """Finds and locks negative eigenvectors until a certificate says that none is left; None if that fails.

        The count is the inertia of H on the locked space, which that of H follows as long as the coupling to the rest is
        below the gap.
        """
        zeros, probes = locked.shape[1], self.settings.probes
        for _ in range(self.settings.rounds):
            quotient = Quotient(self.operator, self.settings.projector, locked, self.norm / 2)
            outcome = self._round(quotient, probes, UNDECIDED_FACTOR * result.cutoff, negative=True)
            if outcome.certified:
                negative = locked[:, zeros:]
                values, coupling = self._coupling(negative)
                highest = float(values.max())
                sound = highest < -result.cutoff and coupling < min(-highest, outcome.absence.half_width) / 2
                index = negative.shape[1] if sound else None
                return replace(result, negative=index, delta=result.delta + outcome.absence.delta)
            if outcome.found.shape[1] == 0:
                return result
            locked = torch.cat([locked, outcome.found], dim=1)
            probes = min(2 * probes, quotient.dimension) if outcome.exhausted else probes
        return result

    def _round(self, quotient: Quotient, probes: int, zone: float, negative: bool) -> _Round:
        """Runs probes until they certify absence, or each has converged to what is wanted, or the budget ends.

        Wanted are Ritz values within the zone or, if `negative`, below zero.
        """
        probes = min(probes, quotient.dimension)
        most = min(self.settings.steps, quotient.dimension)
        eps = torch.finfo(quotient.like.dtype).eps
        runs = LanczosRuns.begin(quotient.clean(random_block(quotient, probes, self.generator)))
        nothing = quotient.like.new_zeros(quotient.size, 0)
        if quotient.dimension == 0:
            return _Round(absence([], 0, self.norm, eps), True, nothing, False)
        enough = most
        while True:
            steps = min(max(4, runs.steps // 4), most - runs.steps)
            require_bound(
                probes * (runs.steps + steps) * quotient.size * float(quotient.like.element_size()),
                self.settings.memory,
                "fewer probes or steps, or LowRank",
            )
            runs = continue_runs(quotient, runs, steps)
            solved = solve_runs(runs)
            verdict = absence(solved, quotient.dimension, self.norm, eps)
            clear = verdict.half_width >= zone and (verdict.above or not negative)
            over = runs.steps >= most or all(run.ended for run in solved)
            if clear and verdict.delta <= self.settings.delta:
                enough = min(enough, runs.steps + POLISH)
                if verdict.sharp or over or runs.steps >= enough:
                    return _Round(verdict, True, nothing, False)
                continue
            wanted = [_converged(run, zone, negative, self.norm, eps) for run in solved]
            if all(len(each) for each in wanted) or (over and any(len(each) for each in wanted)):
                vectors = [
                    runs.basis[i, : run.coordinates.shape[0]].mT @ run.coordinates[:, each].to(quotient.like)
                    for i, (run, each) in enumerate(zip(solved, wanted, strict=True))
                ]
                block = torch.cat(vectors, dim=1)
                found = orthonormal(quotient.clean(block / block.norm(dim=0)), INDEPENDENT)
                return _Round(verdict, False, found, found.shape[1] >= probes)
            if over:
                return _Round(verdict, False, nothing, False)

    def _rayleigh(self, found: Float[Tensor, "p m"], zone: float) -> tuple[Float[Tensor, "p k"], Float[Tensor, " k"]]:
        """Returns the Ritz vectors of a found space that are null to within the zone, and their values."""
        image = self.operator @ found
        form = found.mT @ image
        values, rotation = eigenpairs(form)
        residuals = (image @ rotation - found @ (rotation * values)).norm(dim=0)
        inside = (values.abs() <= zone) & (residuals <= zone)
        return (found @ rotation)[:, inside], values[inside]

    def _coupling(self, vectors: Float[Tensor, "p m"]) -> tuple[Float[Tensor, " m"], float]:
        """Returns the eigenvalues of H on a space, and the Frobenius norm of what couples the space to its complement.

        With a coupling r and the rest of the spectrum at least h away, the eigenvalues of H are within r^2 / h of these.
        """
        image = self.operator @ vectors
        form = vectors.mT @ image
        return eigenpairs(form)[0], float((image - vectors @ form).norm())


def _converged(run: RitzRun, zone: float, negative: bool, norm: float, eps: float) -> Tensor:
    """Returns the positions of the wanted Ritz values that have converged; empty if one of them has not."""
    wanted = run.values < -zone if negative else run.values.abs() <= zone
    tolerance = (
        1e-6 * run.values.abs() if negative else torch.full_like(run.values, max(zone / UNDECIDED_FACTOR / 4, 8 * eps * norm))
    )
    ready = wanted & ((run.residuals <= tolerance) | torch.tensor(run.ended))
    positions = ready.nonzero().squeeze(-1)
    return positions if negative or bool((ready == wanted).all()) else positions[:0]
