"""The scale equation: at which scale a block of logits is critical, where its two roots meet, and beyond which none exists.

Everything here is arithmetic on a `Problem`. Source: Garrod and Keating, arXiv:2410.23169.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

from scipy.optimize import brentq, minimize_scalar

from landscape.display import brief
from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.structures.block_bases import basis_of
from landscape.structures.blocks import Code, Simplex
from landscape.structures.kinds import Root

_FOLD_ROUNDING = 8 * sys.float_info.epsilon  # relative error of the logarithm of the scale equation's right side at its peak


_LOG_SCALE_LIMITS = (-300.0, 7.0)  # logits from 1e-130 to 1097: beyond both, the scale equation over- or underflows


@dataclass(frozen=True)
class ScaleEquation:
    """The stationarity of one block of logits along its own scale a: decay * n^(1/(L+1)) = h(a) * a^((L-1)/(L+1)).

    h is what the data pull with, the left side what decay resists with; h falls with a, so for L >= 2 there are two positive
    roots, one (the fold) or none, and for L = 1 one or none.

    Attributes:
        log_pull: Logarithm of the pull h as a function of the scale, -infinity where h vanishes.
        samples: Number n of samples of each class of the block.
        depth: Number L of weight matrices.
        decay: Geometric mean of the factors' decays.
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
        samples: Number of samples of each of these classes.
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


def block_equation(problem: Problem, block: Code, samples: int) -> ScaleEquation:
    """Returns the scale equation of a block under cross-entropy: its pull is share (1 - sum_r p_r E_rc / E_cc).

    Args:
        problem: The model of the structure.
        block: Code whose classes have `samples` samples each; all other logits of their columns are 0.
        samples: Number of samples of each class.
    """
    basis = basis_of(block)
    column = (basis @ basis[0]).tolist()  # every column is a permutation of the first
    size, share = len(column), samples / problem.total_samples
    steps = [column[0] - entry for entry in column[1:]]

    def log_pull(scale: float) -> float:
        near = [math.exp(-scale * step) for step in steps]
        far = (problem.classes - size) * math.exp(-scale * column[0])
        pulled = math.fsum(step * weight for step, weight in zip(steps, near, strict=True)) + column[0] * far
        pull = share * pulled / (column[0] * (1 + math.fsum(near) + far))
        return math.log(pull) if pull > 0 else -math.inf

    return ScaleEquation(log_pull, samples, problem.depth, problem.mean_decay)


def scale_equation(problem: Problem, block: Code, samples: int) -> ScaleEquation:
    """Returns the equation of a block's scale; the simplex has one in closed form."""
    return simplex_equation(problem, block.size, samples) if isinstance(block, Simplex) else block_equation(problem, block, samples)
