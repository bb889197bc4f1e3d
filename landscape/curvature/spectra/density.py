"""The spectral density by stochastic Lanczos quadrature, with error bars that cover what quadrature has not resolved.

Each probe q has a spectral measure, whose mean over uniform q is the density of the spectrum (Ubaru, Chen and Saad, SIAM J.
Matrix Anal. Appl. 38, 2017). Lanczos writes q = sum_j sqrt(w_j) y_j in Ritz vectors. The measure of a Ritz vector has mean
theta_j and variance r_j^2, r_j its residual; so (Chebyshev) the part of y_j across an edge at distance d_j is at most r_j / d_j
long, and the mass of q in a set S, with W the weight of its nodes, obeys

    (sqrt(W) - e)^2 <= mass <= (sqrt(W) + e)^2,    e = sum_j sqrt(w_j) min(1, r_j / d_j).

That is rigorous in exact arithmetic. It is wide where Lanczos has not converged: at a saddle with unresolved zeros the estimate
says 0 with an error bar that reaches the truth, instead of 0.0 +- 0.0.
"""

import math
import statistics
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from scipy.special import stdtrit
from torch import Tensor

from landscape.curvature.checks import require_positive, require_symmetric
from landscape.curvature.krylov import LanczosRuns, RitzRun, continue_runs, random_block, seeded, solve_runs
from landscape.curvature.operators.counted import Counted
from landscape.curvature.operators.operator import SymmetricOperator
from landscape.errors import InputError

SAME = 1e-10  # of the norm: nodes closer than this are one eigenvalue
RESOLVED = 1e-3  # an atom's nodes have residuals below this part of the distance to their neighbours
GHOST = 1e-12  # of the mass: a node below it is a copy that rounding has begun, and would hide the eigenvalue beside it
FEWEST = 3  # probes below which a sample standard deviation says nothing


@dataclass(frozen=True)
class Quadrature:
    """Settings of stochastic Lanczos quadrature, which estimates the density of a spectrum.

    Attributes:
        probes: Independent random vectors; the statistical error falls like one over their square root.
        steps: Lanczos steps of each probe; the quadrature error falls with them.
        seed: Seed of the random probes.
        together: Probes run side by side; memory is `together * steps` vectors.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> matrix = ls.Matrix(torch.tensor([0.0, 0.0, 1.0, 2.0], dtype=torch.float64).diag())
        >>> seen = ls.density(matrix, ls.Quadrature(probes=20, steps=4, seed=1))
        >>> len(seen.runs), len(seen.atoms())
        (20, 3)
    """

    probes: int = 10
    steps: int = 80
    seed: int = 0
    together: int = 10


_DEFAULT = Quadrature()


@dataclass(frozen=True)
class Estimate:
    """A stochastic estimate; never a count.

    Attributes:
        mean: Mean of the estimate over the probes.
        error: Half of a 95 % interval's half-width over the probes (Student's t: their standard error where they are many, more
            where they are few), plus the bound on the quadrature error where there is one.
        probes: Number of independent random probes.
        products: Products of the operator with one vector.
    """

    mean: float
    error: float
    probes: int
    products: int


@dataclass(frozen=True)
class NullityEstimate:
    """A stochastic estimate of how many eigenvalues lie within a cutoff of zero. It is no count, and no report shows it as one.

    Attributes:
        mean: Estimated number of eigenvalues; not an integer.
        error: Error of the mean as in `Estimate`, the quadrature bound included.
        quadrature: Part of the error that comes from the quadrature.
        cutoff: Size up to which an eigenvalue is meant by the number.
    """

    mean: float
    error: float
    quadrature: float
    cutoff: float


@dataclass(frozen=True)
class Atom:
    """A cluster of Ritz mass narrower than the resolution: an eigenvalue, or several that this many steps cannot part.

    Attributes:
        location: Eigenvalue, as the weighted mean of the nodes.
        fraction: Estimated share of all eigenvalues.
        error: Standard error of the fraction over the probes.
        width: Largest residual of the nodes: how well the eigenvalue is located.
    """

    location: float
    fraction: float
    error: float
    width: float


@dataclass(frozen=True)
class Density:
    """Density of a spectrum as the probes saw it: one Gauss quadrature per probe.

    Attributes:
        runs: One solved Lanczos run per probe.
        size: Number of eigenvalues of the operator.
        products: Products of the operator with one vector.
    """

    runs: tuple[RitzRun, ...]
    size: int
    products: int

    @property
    def norm(self) -> float:
        """The largest |Ritz value|."""
        return max(float(run.values.abs().max()) for run in self.runs)

    def fraction(self, low: float, high: float) -> Estimate:
        """Estimates the fraction of eigenvalues in [low, high], the quadrature bound included in the error."""
        masses, bounds = zip(*(_mass(run, low, high) for run in self.runs), strict=True)
        mean = math.fsum(masses) / len(masses)
        quadrature = math.fsum(bounds) / len(bounds)
        return Estimate(mean, self._standard_error(list(masses), mean) + quadrature, len(self.runs), self.products)

    def nullity(self, cutoff: float | None = None) -> NullityEstimate:
        """Estimates how many eigenvalues lie within `cutoff` of zero.

        Args:
            cutoff: Absolute; by default the value between 1e-12 and 1e-3 times the norm at which the quadrature bound is
                smallest, which is the widest gap around zero that the nodes show.

        Raises:
            InputError: If the cutoff is negative or not finite.
        """
        if cutoff is not None and not 0 <= cutoff < math.inf:
            raise InputError(f"expected a finite cutoff >= 0, got {cutoff}")
        if cutoff is None:
            grid = [self.norm * 10 ** (-12 + 0.25 * i) for i in range(37)]
            cutoff = min(grid, key=lambda edge: sum(_mass(run, -edge, edge)[1] for run in self.runs))
        estimate = self.fraction(-cutoff, cutoff)
        bounds = [_mass(run, -cutoff, cutoff)[1] for run in self.runs]
        quadrature = self.size * math.fsum(bounds) / len(bounds)
        return NullityEstimate(self.size * estimate.mean, self.size * estimate.error, quadrature, cutoff)

    def atoms(self) -> list[Atom]:
        """Returns the converged clusters in ascending order; a plot draws them as stems and never smears them."""
        resolution = SAME * self.norm
        nodes = []
        for index, run in enumerate(self.runs):
            kept = run.weights > GHOST
            values, weights, residuals = run.values[kept], run.weights[kept], run.residuals[kept]
            for group, gap in _groups(values, resolution):
                weight, residual = float(weights[group].sum()), float(residuals[group].max())
                if residual <= RESOLVED * gap:
                    nodes.append((float(values[group].mean()), weight, max(residual, resolution), index))
        nodes.sort()
        clusters: list[list[tuple[float, float, float, int]]] = []
        for node in nodes:
            if clusters and node[0] - clusters[-1][-1][0] <= node[2] + clusters[-1][-1][2]:
                clusters[-1].append(node)
            else:
                clusters.append([node])
        return [self._atom(cluster) for cluster in clusters]

    def curve(
        self, grid: Float[Tensor, " g"], width: float, atoms: bool = False
    ) -> tuple[Float[Tensor, " g"], Float[Tensor, " g"]]:
        """Returns the density smoothed with a Gaussian, and its standard error over the probes, at each grid point.

        Args:
            grid: Places where the density is evaluated.
            width: Standard deviation of the Gaussian.
            atoms: Whether to smear the atoms too; by default they are left out, to be drawn as stems.
        """
        places = [] if atoms else [(atom.location, 2 * atom.width) for atom in self.atoms()]
        curves = []
        for run in self.runs:
            kept = torch.ones_like(run.values, dtype=torch.bool)
            for location, radius in places:
                kept &= (run.values - location).abs() > radius
            bumps = torch.exp(-((grid[:, None] - run.values[kept]) ** 2) / (2 * width**2)) / (width * math.sqrt(2 * math.pi))
            curves.append(bumps @ run.weights[kept])
        stacked = torch.stack(curves)
        error = stacked.std(0) / math.sqrt(len(curves)) if len(curves) > 1 else torch.full_like(stacked[0], float("nan"))
        return stacked.mean(0), error

    def log_pdet(self, cutoff: float) -> Estimate:
        """Estimates the sum of log |eigenvalue| over the eigenvalues of size above `cutoff`.

        The error adds to the standard error what changes when the last quarter of the Lanczos steps is left out, and the
        mass that quadrature may have put on the wrong side of the cutoff.

        Raises:
            InputError: If the cutoff is not positive and finite.
        """
        if not 0 < cutoff < math.inf:
            raise InputError(f"expected a positive finite cutoff, got {cutoff}")
        values, changes = [], []
        for run in self.runs:
            shorter = _shortened(run, max(1, 3 * len(run.values) // 4))
            whole, part = _log_sum(run, cutoff), _log_sum(shorter, cutoff)
            leak = _mass(run, -cutoff, cutoff)[1] * abs(math.log(cutoff))
            values.append(self.size * whole)
            changes.append(self.size * (abs(whole - part) + leak))
        mean = math.fsum(values) / len(values)
        spread = standard_error(values)
        return Estimate(mean, spread + math.fsum(changes) / len(changes), len(values), self.products)

    def _standard_error(self, masses: list[float], mean: float) -> float:
        """Returns the larger of the sample's error and that of the Beta law of a uniform vector's component."""
        fraction = min(max(mean, 1 / self.size), 1.0)
        theory = math.sqrt(2 * fraction * (1 - fraction) / (self.size + 2))
        return max(standard_error(masses), theory / math.sqrt(len(masses)))

    def _atom(self, cluster: list[tuple[float, float, float, int]]) -> Atom:
        total = math.fsum(weight for _, weight, _, _ in cluster)
        masses = [0.0] * len(self.runs)
        for _, weight, _, index in cluster:
            masses[index] += weight
        mean = total / len(self.runs)
        location = math.fsum(value * weight for value, weight, _, _ in cluster) / total if total else cluster[0][0]
        return Atom(location, mean, self._standard_error(masses, mean), max(residual for _, _, residual, _ in cluster))


def density(operator: SymmetricOperator, settings: Quadrature = _DEFAULT) -> Density:
    """Runs stochastic Lanczos quadrature: shares of the spectrum with error bars, never a count.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> share = ls.density(ls.hessian(ls.place(problem, ls.Collapse()))).fraction(-1e-8, 1e-8)
        >>> abs(share.mean - 24 / problem.parameters) < 3 * share.error
        True

    Raises:
        InputError: If there are too few probes for an error bar, a setting is below 1, or the operator is not symmetric or not
            finite.
    """
    require_positive(steps=settings.steps, together=settings.together)
    counted = Counted.of(operator)
    before = counted.products
    require_symmetric(counted, settings.seed)
    if not settings.probes >= FEWEST:
        raise InputError(f"expected at least {FEWEST} probes, without which there is no error bar, got {settings.probes}")
    generator = seeded(settings.seed, "density")
    steps = min(settings.steps, operator.size)
    runs: list[RitzRun] = []
    while len(runs) < settings.probes:
        count = min(settings.together, settings.probes - len(runs))
        runs += solve_runs(continue_runs(counted, LanczosRuns.begin(random_block(operator, count, generator)), steps))
    return Density(tuple(runs), operator.size, counted.products - before)


def _mass(run: RitzRun, low: float, high: float) -> tuple[float, float]:
    """Returns the weight of the nodes in an interval, and how far the mass of the probe in it can be from that."""
    inside = (run.values >= low) & (run.values <= high)
    distance = torch.minimum((run.values - low).abs(), (run.values - high).abs())
    stray = torch.where(distance > 0, run.residuals / distance, torch.ones_like(distance)).clamp(max=1.0)
    weights = run.weights
    mass = min(float(weights[inside].sum()), 1.0)
    error = float((weights.sqrt() * stray).sum())
    upper = min((math.sqrt(mass) + error) ** 2, 1.0)
    lower = max(math.sqrt(mass) - error, 0.0) ** 2
    return mass, max(upper - mass, mass - lower)


def _groups(values: Float[Tensor, " j"], resolution: float) -> list[tuple[slice, float]]:
    """Returns runs of ascending values closer than the resolution, each with its distance to the nearest other run.

    Lanczos repeats a multiple eigenvalue once rounding has seeded it: copies are one eigenvalue.
    """
    starts = [0, *((values.diff() > resolution).nonzero().squeeze(-1) + 1).tolist(), len(values)]
    slices = [slice(first, last) for first, last in pairwise(starts)]
    gaps = [math.inf, *(float(values[b.start] - values[a.stop - 1]) for a, b in pairwise(slices)), math.inf]
    return [(group, min(before, after)) for group, (before, after) in zip(slices, pairwise(gaps), strict=True)]


def _shortened(run: RitzRun, steps: int) -> RitzRun:
    """Returns the same run after fewer steps."""
    tridiagonal = run.coordinates @ run.values.diag() @ run.coordinates.mT
    values, coordinates = torch.linalg.eigh(tridiagonal[:steps, :steps])
    residuals = run.betas[steps - 1] * coordinates[-1].abs()
    return RitzRun(values, coordinates[0].square(), residuals, coordinates, run.betas[:steps], False)


def _log_sum(run: RitzRun, cutoff: float) -> float:
    kept = run.values.abs() > cutoff
    return float((run.weights[kept] * run.values[kept].abs().log()).sum())


def standard_error(samples: list[float]) -> float:
    """Returns half of the 95 % interval's half-width of a mean: the standard error, widened by Student's t for few samples."""
    freedom = len(samples) - 1
    return statistics.stdev(samples) / math.sqrt(len(samples)) * float(stdtrit(freedom, 0.975)) / 2
