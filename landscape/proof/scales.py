"""The scale of one group of a structure, enclosed and proved to be the root it is called, or proved not to exist.

A group of g >= 2 classes with n samples each and logits a * S_g (cross-entropy), or one class with its own logit a under squared
error (g = 1), is stationary along its scale exactly where

    psi(x) = log q(a) + k x - T = 0,    a = e^x,   k = (L-1)/(L+1),
    T = (sum_l log decay_l + (L+1) log N - L log n) / (L+1),
    q = (g e + (K-g) f) / B,   B = 1 + (g-1) e + (K-g) f,   e = exp(-a),   f = exp(-a (1-1/g))      (cross-entropy)
    q = 1 - a                                                                                       (squared error)

because the singular value s = a sqrt(n) of the core logits obeys lambda s^(2/(L+1)) = a n q / N, lambda the geometric mean of the
decays. Write b = 1 - 1/g, M = K - g.

Lemma 1 (psi is strictly concave). psi'(x) = k - E(a) with E = -a q'/q, and E increases strictly from E(0) = 0. Squared error: E =
a / (1 - a). Cross-entropy: E = a (b + w/g - b q) with w = g e / (g e + M f). For M = 0, w = 1 and E = a / (1 + (K-1) e), which
increases. For M >= 1 put t = a/g and let V >= 0 be the variance of the exponents (0 once, 1 for g-1 terms, b for M terms) under
the terms of B, so that (b q)' = -V and w' = -w (1-w) / g. Then

    g E' = (g-1)(1-q) + w - t w (1-w) + g a V.

For t <= 1 the middle is at least w^2 > 0. For t > 1 it is enough that (g-1)(1-q) >= (t-1) w, that is, multiplied by B and by (g e
+ M f) / e:  (g-1)(1-e)(g + M e^t) >= (t-1) g (1 + (g-1) e + M e^(-(g-1)t)). Here e = exp(-g t) < 1/7 and (g-1)/g >= 1/2. The
coefficient of M on the left is at least 0.4 g e^t > g, that on the right below 0.14 g, so M = 1 is the worst case. There the
difference, divided by g, is at least 0.8 (g-1) + 0.8 (1-1/g) e^t - 1.2 (t-1) - 0.14, which is positive for all g >= 2, t >= 1 (at
g = 2 its least value is 1.7, at e^t = 3). So E increases strictly.

Consequences. For L >= 2 there is one peak of psi, where E = k. A root with psi' < 0 is the larger one, a root with psi' > 0 the
smaller one, and each is unique; psi(peak) < 0 proves that there is none. For L = 1, k = 0 and psi falls from -T at a = 0: the one
root (called large) exists exactly if T < 0, that is decay_0 decay_1 N^2 < n, which is decided in rationals.

Lemma 2 (enclosure). On a ball X around m with 0 outside psi'(X), a zero lies in X if m - psi(m)/psi'(X) lies inside X (interval
Newton); the sign of psi'(X) says which root it is. The peak p lies between two points where psi' has signs + and -; by concavity
psi(p) exceeds psi(m), m between them, by at most the distance times the larger slope.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from flint import arb, ctx

from landscape.display import brief
from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.proof.balls import exact
from landscape.proof.statement import NoPoint, Unproved
from landscape.structures.blocks import Simplex
from landscape.structures.kinds import Collapse, Modes, Structure, Zero, kind_of
from landscape.structures.names import name

GroupRoot = Literal["large", "small", "off"]

BITS = (64, 128, 256, 512, 1024, 2048, 4096)  # working precisions, in the order in which they are tried
_STEPS = 400  # Newton steps; beside a fold each only halves the distance, and 1e-16 from it that is 30 steps
_SMALLEST = 1e-300  # the least scale that is stated; doubles end at 1e-308


@dataclass(frozen=True)
class Group:
    """Consecutive classes that share one scale.

    Attributes:
        size: Number g of classes; always 1 under squared error.
        samples: Number n of samples of each class.
        root: Root of the scale equation that is taken; "off" where the scale is zero.
    """

    size: int
    samples: int
    root: GroupRoot


@dataclass(frozen=True)
class EnclosedGroup:
    """A group with its scale and its probabilities enclosed, at the working precision that was set when it was made.

    Attributes:
        group: The group that these values belong to.
        scale: Scale a of the logits; the exact zero where it is off.
        near: Weight of curvature within the group: the probability of another of its classes; 1 under squared error.
        far: Probability of a class outside the group; 1 under squared error.
        pull: Pull q of the data on the scale.
        ratio: Ratio t = a / q, which is s^(2L/(L+1)) / (N lambda).
        stiffness: Curvature E(a) along the scale itself, times t.
        log_sum: Logarithm log B of the partition sum under cross-entropy; zero under squared error.
    """

    group: Group
    scale: arb
    near: arb
    far: arb
    pull: arb
    ratio: arb
    stiffness: arb
    log_sum: arb

    __repr__ = brief

    @classmethod
    def at(cls, problem: Problem, group: Group, scale: arb) -> "EnclosedGroup":
        """Evaluates the group at a scale, or at a ball of scales."""
        one = arb(1)
        if problem.loss == "mse":
            pull = 1 - scale
            return cls(group, scale, one, one, pull, scale / pull, scale / pull, arb(0))
        g, others = group.size, problem.classes - group.size
        slope = arb(g - 1) / g
        near, far = (-scale).exp(), (-scale * slope).exp()
        total = 1 + (g - 1) * near + others * far
        weight = g * near + others * far
        pull = weight / total
        stiffness = scale * ((g * near + slope * others * far) / weight - slope * pull)
        return cls(group, scale, near / total, far / total, pull, scale / pull, stiffness, total.log())


def normalised(problem: Problem, groups: Sequence[Group]) -> tuple[Group, ...]:
    """Returns the groups with the root of single classes under cross-entropy, whose logits are zero, set to "off".

    Raises:
        InputError: If the model has rectified layers or is too narrow, or the groups do not fit its classes in their order.
    """
    if not problem.is_linear:
        raise InputError(f"expected linear layers for a proof of a structure, got {problem.activation}: no proof is known")
    single = problem.loss == "ce"
    made = tuple(Group(1, group.samples, "off") if single and group.size == 1 else group for group in groups)
    sizes = tuple(group.samples for group in made if group.size >= 1 for _ in range(group.size))
    if any(group.size < 1 for group in made) or sizes != problem.class_sizes:
        raise InputError("expected groups that are consecutive classes with their samples, got others: order the classes by group")
    if problem.loss == "mse" and any(group.size > 1 for group in made):
        raise InputError(f"expected groups of one class under squared error, got {max(group.size for group in made)} classes")
    if any(group.size > 1 and group.root == "off" for group in made):
        raise InputError('expected the root "large" or "small" for a group of several classes, got "off": use groups of one')
    rank = sum(rank_of_group(problem, group) for group in made)
    if rank > problem.width:
        raise InputError(f"expected width >= {rank}, the rank of {name(kind_of_groups(problem, made))}, got {problem.width}")
    return made


def rank_of_group(problem: Problem, group: Group) -> int:
    """Returns what the group adds to the rank: g - 1 under cross-entropy, one for a mode that is on."""
    return 0 if group.root == "off" else group.size - (problem.loss == "ce")


def kind_of_groups(problem: Problem, groups: Sequence[Group]) -> Structure | Modes:
    """Returns the kind of a structure in its normal form, under squared error with the number of modes at each root."""
    if problem.loss != "mse":
        return kind_of([(Simplex(one.size), one.samples, "large" if one.root == "off" else one.root) for one in groups])
    large, small, off = (sum(one.root == root for one in groups) for root in ("large", "small", "off"))
    if not large and not small:
        return Zero()
    if off or (large and small):
        return Modes(large, small, off)
    return Collapse("large" if large else "small")


def undecided() -> Unproved:
    """Returns the answer where the last precision left a scale open."""
    return Unproved(f"a scale is not decided at {BITS[-1]} bits: the decay is the fold itself, or the scale below {_SMALLEST:g}")


def enclose_all(problem: Problem, groups: Sequence[Group]) -> list[EnclosedGroup] | NoPoint | None:
    """Returns the distinct groups, in order of appearance, enclosed at the working precision; None where it does not decide."""
    kinds: list[EnclosedGroup] = []
    doubtful = False
    for group in dict.fromkeys(groups):
        scale = arb(0) if group.root == "off" else enclose_scale(problem, group)
        if isinstance(scale, NoPoint):
            return scale  # one group without a root is enough, whatever is open about the others
        if scale is None:
            doubtful = True
        elif not doubtful:
            kinds.append(EnclosedGroup.at(problem, group, scale))
    return None if doubtful else kinds


def enclose_scale(problem: Problem, group: Group) -> arb | NoPoint | None:
    """Returns a ball around exactly one root of the group's equation, the one it names, at the working precision."""
    equation = _Equation.of(problem, group)
    if problem.depth == 1:
        if group.root == "small" or not equation.exists_at_depth_one():
            return _absent(problem, group)
        top = arb(1) / 2 if problem.loss == "mse" else arb(1)
    else:
        peak = equation.peak()
        if peak is None:
            return None
        top, height = peak
        if height < 0:
            return _absent(problem, group)
        if not height > 0:
            return None
    start = equation.left_of_small(top.log()) if group.root == "small" else equation.right_of_large(top)
    found = equation.enclose(equation.newton(start))
    if found is None or not found.exp() > _SMALLEST:
        return None
    slope = equation.slope(found.exp())
    return found.exp() if (slope > 0 if group.root == "small" else slope < 0) else None


def _absent(problem: Problem, group: Group) -> NoPoint:
    classes = "class" if group.size == 1 else f"group of {group.size} classes"
    decays = ", ".join(map(repr, dict.fromkeys(problem.decays)))
    if problem.depth == 1 and group.root == "small":
        return NoPoint(f"with one layer the scale of a {classes} has no small root")
    return NoPoint(f"the scale equation of a {classes} with n={group.samples} has no root at decay {decays}: it is above the fold")


@dataclass(frozen=True)
class _Equation:
    """psi of one group at the working precision.

    Attributes:
        problem: The model.
        group: The group.
        power: k.
        level: T.
    """

    problem: Problem
    group: Group
    power: arb
    level: arb

    @classmethod
    def of(cls, problem: Problem, group: Group) -> "_Equation":
        layers = problem.depth
        logs = sum((exact(decay).log() for decay in problem.decays), arb(0))
        level = (logs + (layers + 1) * arb(problem.total_samples).log() - layers * arb(group.samples).log()) / (layers + 1)
        return cls(problem, group, arb(layers - 1) / (layers + 1), level)

    def exists_at_depth_one(self) -> bool:
        """T < 0, decided exactly."""
        first, last = map(Fraction, self.problem.decays)
        return first * last * self.problem.total_samples**2 < self.group.samples

    def value(self, log_scale: arb) -> arb:
        return EnclosedGroup.at(self.problem, self.group, log_scale.exp()).pull.log() + self.power * log_scale - self.level

    def slope(self, scale: arb) -> arb:
        return self.power - EnclosedGroup.at(self.problem, self.group, scale).stiffness

    def peak(self) -> tuple[arb, arb] | None:
        """Returns a point beside the peak, and a ball that contains psi at the peak; None where the precision does not do."""
        if self.problem.loss == "mse":
            top = self.power / (1 + self.power)  # E = a / (1 - a)
            return top, self.value(top.log())
        low, high = self.power, 2 * self.power  # E <= a, so the peak is not below k
        while not self.slope(high) < 0:
            low, high = high, 2 * high
            if not high < 2**40:
                return None
        for _ in range(12):
            middle = ((low + high) / 2).mid()
            low, high = (middle, high) if self.slope(middle) > 0 else (low, middle)
        nudge = arb(2) ** -(ctx.prec // 2)
        centre = ((low + high) / 2).mid().log().mid()
        for _ in range(ctx.prec.bit_length() + 4):  # secant steps across a short distance
            here, there = self.slope(centre.exp()).mid(), self.slope((centre + nudge).exp()).mid()
            centre = (centre - here * nudge / (there - here)).mid()
        left, right = self.slope((centre - nudge).exp()), self.slope((centre + nudge).exp())
        if not (left > 0 and right < 0):
            return None
        rise = nudge * left.max(-right).upper()
        return centre.exp().mid(), self.value(centre).union(self.value(centre) + rise)

    def left_of_small(self, peak: arb) -> arb:
        """Returns log of a scale that is smaller than the small root: there psi < 0, since q < 1."""
        return (self.level / self.power).min(peak - 1).mid()

    def right_of_large(self, peak: arb) -> arb:
        """Returns log of a scale that is larger than the large root."""
        if self.problem.loss == "mse":
            gap = 1 - peak
            while not self.value((1 - gap).log()) < 0 and gap > arb(2) ** -ctx.prec:
                gap = gap / 2
            return (1 - gap).log().mid()
        scale = 2 * peak
        while not self.value(scale.log()) < 0 and scale < 2**40:
            scale = 2 * scale
        return scale.log().mid()

    def newton(self, start: arb) -> arb:
        """From outside both roots Newton's method moves inwards only, psi being concave; it ends where a step may be zero."""
        here, least = start, arb(2) ** (4 - ctx.prec) * (1 + abs(start))
        for _ in range(_STEPS):
            step = self.value(here) / self.slope(here.exp())
            if not step.is_finite() or step.contains(0) or abs(step) < least:
                break
            here = (here - step).mid()
        return here

    def enclose(self, centre: arb) -> arb | None:
        """Returns the interval Newton image of a small ball around the centre, if it lies inside that ball."""
        if not centre.is_finite():
            return None
        trial = centre + arb(0, arb(2) ** -(3 * ctx.prec // 4))
        image = centre - self.value(centre) / self.slope(trial.exp())
        return image if image.is_finite() and trial.contains_interior(image) else None


def shifted(decay: float, places: int) -> float:
    """Returns the double this many places above (or, negative, below) a decay, never below the smallest double."""
    towards = math.inf if places > 0 else 0.0
    value = decay
    for _ in range(abs(places)):
        value = math.nextafter(value, towards)
    return max(value, math.ulp(0.0))
