"""What must be true: scales of analytic critical points, orbit dimensions, the closed-form spectrum and stability of DNC.

Everything here is arithmetic on a `Problem`; nothing looks at a point. Source of the model and of the theorems: Garrod and
Keating, arXiv:2410.23169. Where the measured truth differs from the paper, both are given under their own names.
"""

import math
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from scipy.optimize import brentq, minimize_scalar
from torch import Tensor

from landscape.display import brief
from landscape.errors import InputError
from landscape.problem import Problem

Root = Literal["large", "small"]

_EQUAL = 1e-6  # relative difference up to which two singular values count as one in the paper's dimension
_FOLD_ROUNDING = 8 * sys.float_info.epsilon  # relative error of the logarithm of the scale equation's right side at its peak
_LOG_SCALE_LIMITS = (-300.0, 7.0)  # logits from 1e-130 to 1097: beyond both, the scale equation over- or underflows


@dataclass(frozen=True)
class ScaleEquation:
    """The stationarity of one block of logits along its own scale a: decay * n^(1/(L+1)) = h(a) * a^((L-1)/(L+1)).

    h is what the data pull with, the left side what decay resists with; h falls with a, so for L >= 2 there are two positive
    roots, one (the fold) or none, and for L = 1 one or none.

    Attributes:
        log_pull: log h as a function of the scale, -infinity where h vanishes.
        samples: n, samples of each class of the block.
        depth: L.
        decay: The geometric mean of the factors' decays.
        upper: The largest scale that can be a root.
    """

    log_pull: Callable[[float], float]
    samples: int
    depth: int
    decay: float
    upper: float = math.exp(_LOG_SCALE_LIMITS[1])

    __repr__ = brief

    def _log_right(self, log_scale: float) -> float:
        power = (self.depth - 1) / (self.depth + 1)
        return self.log_pull(math.exp(log_scale)) + power * log_scale

    def _peak(self) -> float:
        low, high = _LOG_SCALE_LIMITS[0], math.log(self.upper)
        if self.depth == 1:
            return low
        start = max(low, -50.0)  # the peak sits at a scale of order 1; the bounded search wants a short bracket
        found = minimize_scalar(
            lambda x: -self._log_right(x), bounds=(start, high - 1e-12), method="bounded", options={"xatol": 1e-12}
        )
        return float(found.x)

    @property
    def largest_decay(self) -> float:
        """The decay at the fold, above which the block has no non-zero critical scale."""
        return math.exp(self._log_right(self._peak()) - math.log(self.samples) / (self.depth + 1))

    def root(self, which: Root) -> float | None:
        """Returns the larger or the smaller scale that solves the equation, or None above the fold (or L = 1, "small").

        Within rounding of the fold double precision cannot tell whether a root exists: there it is the scale at the fold.
        """
        target = math.log(self.decay) + math.log(self.samples) / (self.depth + 1)
        peak = self._peak()
        below = self._log_right(peak) - target
        rounding = _FOLD_ROUNDING * max(1.0, abs(target))
        if below < -rounding or (which == "small" and self.depth == 1):
            return None
        if below <= rounding and self.depth > 1:
            return math.exp(peak)
        other = math.log(self.upper) if which == "large" else _LOG_SCALE_LIMITS[0]
        if self._log_right(other) > target:
            raise InputError(f"expected a larger decay for the {which} root, got {self.decay:g}: its logits are below 1e-130")
        return math.exp(brentq(lambda x: max(self._log_right(x), -1e9) - target, peak, other, xtol=1e-15, rtol=1e-15))


def simplex_equation(problem: Problem, group: int, samples: int) -> ScaleEquation:
    """Returns the scale equation of a group of classes whose logits are a * S_g, under cross-entropy.

    Args:
        problem: The model; only classes, samples, depth and decay matter.
        group: g >= 2 classes in the group, all with the same number of samples.
        samples: That number.
    """
    classes, share = problem.classes, samples / problem.total_samples

    def log_pull(scale: float) -> float:
        near, far = math.exp(-scale), (classes - group) * math.exp(-scale * (1 - 1 / group))
        pull = group * near + far
        return math.log(share * pull / (1 + (group - 1) * near + far)) if pull > 0 else -math.inf

    return ScaleEquation(log_pull, samples, problem.depth, problem.mean_decay)


def mode_equation(problem: Problem, samples: int) -> ScaleEquation:
    """Returns the scale equation of one class's logit z under squared error, whose pull is (1 - z) n_c / N."""
    share = samples / problem.total_samples

    def log_pull(scale: float) -> float:
        return math.log(share * (1 - scale)) if scale < 1 else -math.inf

    return ScaleEquation(log_pull, samples, problem.depth, problem.mean_decay, upper=1.0)


def orbit_dimension(rank: int, width: int, depth: int) -> int:
    """Returns L (d r - r (r+1)/2), the dimension of the gauge orbit: L copies of the Stiefel manifold of r-frames in R^d.

    The gauge group O(d)^L acts on a linear critical point of rank r with this orbit dimension whatever the multiplicities of
    its singular values, because the logits fix the frame at both ends. The data symmetry of squared error adds to it: see
    `orbit_dimension_at`.
    """
    return depth * (width * rank - rank * (rank + 1) // 2)


def orbit_dimension_at(problem: Problem, singular: Sequence[float]) -> int:
    """Returns the dimension of the orbit of a linear critical point under the gauge group and the data symmetry together.

    The critical points with given logits are one gauge orbit, so the whole orbit is a bundle of gauge orbits over the orbit of
    the logits: the dimensions add (docs/mathematics.md, "The symmetry of the data").

    Args:
        problem: Linear.
        singular: The non-zero singular values of the class-mean logits times sqrt(class size), as `paper_dimension_at` takes them.
            Values that belong to no critical point are read as the nearest modes: compare with the rank of the generators.
    """
    gauge = orbit_dimension(len(singular), problem.width, problem.depth)
    return gauge + sum(count.turns for count in mode_counts(problem, singular))


def equal_classes(problem: Problem) -> tuple[tuple[int, ...], ...]:
    """Returns the sets of two or more equal classes whose outputs can be rotated without changing the data part of the loss.

    Squared error with linear layers has them: Z -> U Z U', U orthogonal on classes of one size. Cross-entropy and rectified
    hidden layers allow permutations of the classes only, so they have none.
    """
    if problem.loss != "mse" or not problem.is_linear:
        return ()
    sizes = problem.class_sizes
    members = [tuple(c for c, size in enumerate(sizes) if size == n) for n in dict.fromkeys(sizes)]
    return tuple(group for group in members if len(group) > 1)


@dataclass(frozen=True)
class ModeCount:
    """How many modes of the classes of one size are on at a critical point under squared error.

    Attributes:
        samples: The common size n of the classes.
        classes: How many classes have that size; each brings one mode.
        large: Modes at the large root of `mode_equation`.
        small: Modes at the small root.
    """

    samples: int
    classes: int
    large: int
    small: int

    @property
    def off(self) -> int:
        """The number of modes whose singular value is 0."""
        return self.classes - self.large - self.small

    @property
    def turns(self) -> int:
        """The pairs of modes of different kind, m(m-1)/2 - sum mu(mu-1)/2: the rotations of the classes that move the logits."""
        return self.large * self.small + self.large * self.off + self.small * self.off


def mode_of(problem: Problem, singular: float) -> tuple[int, Root]:
    """Returns the class size and the root of a mode, from its singular value at a critical point under squared error.

    The scaled logits share eigenvectors with diag(sqrt n) at every critical point, and s + N decay s^((1-L)/(L+1)) = sqrt n
    (proof: docs/mathematics.md). So s alone tells the class size, and s above or below (L-1)/(2L) sqrt n the root. The decay
    is the geometric mean of the factors' decays.

    Args:
        problem: Linear, with squared error.
        singular: Non-zero, of the class-mean logits times sqrt(class size). Where no mode has it, the nearest one is returned.
    """
    power, peak = (1 - problem.depth) / (1 + problem.depth), (problem.depth - 1) / (2 * problem.depth)
    drive = singular + problem.total_samples * problem.mean_decay * singular**power
    samples = min(problem.class_sizes, key=lambda n: abs(drive - math.sqrt(n)))
    return samples, "small" if singular < peak * math.sqrt(samples) else "large"


def mode_counts(problem: Problem, singular: Sequence[float]) -> tuple[ModeCount, ...]:
    """Returns the modes that are on at a critical point with these singular values, for every set in `equal_classes`.

    Args:
        problem: The model; one without `equal_classes` has no counts.
        singular: As for `mode_of`.
    """
    sets = equal_classes(problem)
    found = Counter(mode_of(problem, value) for value in singular) if sets else Counter()
    sizes = [(problem.class_sizes[members[0]], len(members)) for members in sets]
    return tuple(ModeCount(n, times, found[n, "large"], found[n, "small"]) for n, times in sizes)


def paper_dimension(multiplicities: Sequence[int], width: int, depth: int) -> int:
    """Returns the dimension that Theorem 5 of the paper counts: L flag manifolds, which for r equal singular values is L r (d-r).

    Smaller than `orbit_dimension` as soon as a singular value repeats; the measured nullity agrees with `orbit_dimension`.

    Args:
        multiplicities: Of the distinct non-zero singular values of the logits; their sum is the rank.
        width: d.
        depth: L.
    """
    rank = sum(multiplicities)
    return orbit_dimension(rank, width, depth) - depth * sum(m * (m - 1) // 2 for m in multiplicities)


def paper_dimension_at(problem: Problem, singular: Sequence[float]) -> int | None:
    """Returns `paper_dimension` for the logits' non-zero singular values, descending; None below width K (Theorem 5 is silent)."""
    if problem.width < problem.classes:
        return None
    multiplicities: list[int] = []
    last = math.inf
    for value in singular:
        if multiplicities and last - value <= _EQUAL * last:
            multiplicities[-1] += 1
        else:
            multiplicities.append(1)
        last = value
    return paper_dimension(multiplicities, problem.width, problem.depth)


def stability_threshold(classes: int, depth: int) -> float:
    """Returns K (L-1)/(L+1): for K >= 4 the DNC point is a local minimum exactly when its scale alpha is at least this.

    Below it DNC is a saddle of index K (K-3)/2. Sharpens Theorem 4 of the paper, which asks for lambda small enough.
    """
    return classes * (depth - 1) / (depth + 1)


def dnc_decay(classes: int, samples: int, depth: int, alpha: float) -> float:
    """Returns the decay at which alpha solves the scale equation of DNC, at whichever of its roots."""
    pull = math.exp(-alpha) / (1 + (classes - 1) * math.exp(-alpha))
    return float(pull * alpha ** ((depth - 1) / (depth + 1)) * samples ** (-1 / (depth + 1)))


def dnc_spectrum(problem: Problem, alpha: float) -> list[tuple[Tensor, int]]:
    """Returns the Hessian spectrum of the DNC point with logits alpha * S_K in closed form, as (values, multiplicity) pairs.

    Balanced classes, cross-entropy, linear layers, one decay. Valid at either root, stable or not.

    Raises:
        InputError: If the problem is of another kind, or its width is below K - 1.
    """
    K, L, n, d = problem.classes, problem.depth, problem.class_sizes[0], problem.width
    if not (problem.is_balanced and problem.loss == "ce" and problem.is_linear and len(set(problem.decays)) == 1):
        raise InputError("expected balanced classes, cross-entropy, linear layers and one decay for the closed form of DNC")
    if d < K - 1:
        raise InputError(f"expected width >= {K - 1} for a DNC point of {K} classes, got {d}")
    decay, r, c, N = problem.mean_decay, K - 1, d - K + 1, problem.total_samples
    q = math.exp(-alpha) / (1 + (K - 1) * math.exp(-alpha))
    w, b = 1 - K * q, decay * alpha / K
    f_s, f_t = b * (1 + (K - 2) * w), b * (1 + (K - 1) * w)
    if K == 2:
        mixed = [decay + b * (2 - K * q)]
    else:
        coupling = math.sqrt(L + 1) * b * w * math.sqrt(K - 2)
        first, second = 2 * decay + (L + 1) * (f_s - decay), decay + b * (2 - K * q)
        mean, radius = (first + second) / 2, math.hypot((first - second) / 2, coupling)
        mixed = [mean - radius, mean + radius]
    bulk = (L - 1) * c * c + c * (K - r) + c * (N - r)
    table: list[tuple[list[float], int]] = [
        ([0.0], L * r * c + L * r * (r - 1) // 2),
        ([2 * decay], L * r * c + L * (K * (K - 3) // 2 if K > 3 else 0) + L + (L * (K - 1) if K > 2 else 0)),
        ([(L + 1) * (decay + b)], r * (r - 1) // 2),
        ([(1 - L) * decay + (L + 1) * b], K * (K - 3) // 2 if K > 3 else 0),
        ([(1 - L) * decay + (L + 1) * f_t], 1),
        (mixed, K - 1),
        ([decay], bulk + r),
        ([decay + b], K * (n - 1) * (r - 1)),
        ([decay + f_t], K * (n - 1)),
    ]
    return [(torch.tensor(values, dtype=torch.float64), times) for values, times in table]
