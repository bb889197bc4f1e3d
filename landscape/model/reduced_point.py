"""The reduced point: a critical point of the linear model without its width and samples.

At every critical point of the linear DUFM all samples of a class share one feature vector and every factor has the same
rank r, so the point lives in a model of width r with one column per class (docs/architecture.md, "The reduction").
"""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.decomposition import singular_vectors
from landscape.display import brief
from landscape.errors import InputError
from landscape.model.logit_form import LogitForm, factor_singular_values
from landscape.model.objective import Objective, class_means
from landscape.model.problem import Problem
from landscape.model.wide_factor import shortened

_GAP = 3.0  # no singular value is within this factor of the tolerance, which is itself ten times what the gradient allows


_SMALL = 0.1  # of the largest singular value of each factor: a larger tolerance could hide a direction that the point uses


_LINEAR = 0.1  # of the smallest curvature at zero: change of the Hessian up to which zero is the only critical point near


@dataclass(frozen=True)
class Core:
    """A critical point of the linear model in its smallest form.

    Attributes:
        problem: The full model, of any width.
        rank: Common rank r of all factors.
        theta: Factors K x r, (L-1) of r x r, r x K in the order of the objective (features first), flattened.
    """

    problem: Problem
    rank: int
    theta: Float[Tensor, " q"]

    __repr__ = brief

    @classmethod
    def from_form(cls, problem: Problem, form: LogitForm) -> "Core":
        """Returns the core of an analytic point; nothing of the size of the width is made."""
        first, *middle = factor_singular_values(problem, form.singular)
        factors = [first[:, None] * form.right.mT, *(values.diag() for values in middle[:-1]), form.left * middle[-1]]
        return cls(problem, form.rank, torch.cat([factor.flatten() for factor in factors]))

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Shapes of the factors in the order of the objective."""
        r, K = self.rank, self.problem.classes
        return ((r, K), *((r, r),) * (self.problem.depth - 1), (K, r))

    @property
    def objective(self) -> Objective:
        """The width-r, one-column-per-class problem whose critical point this is."""
        problem, sizes = self.problem, _class_sizes(self.problem, self.theta)
        return Objective(
            shapes=self.shapes,
            decays=problem.decays,
            targets=torch.eye(problem.classes, dtype=self.theta.dtype, device=self.theta.device),
            weights=sizes / problem.total_samples,
            scales=sizes.rsqrt(),
            loss_kind=problem.loss,
            activation=problem.activation,
        )

    @property
    def loss(self) -> float:
        """Of the full model at this point."""
        return float(self.objective.loss(self.theta))

    @property
    def class_logits(self) -> Float[Tensor, "k k"]:
        """The logits of each class, one column per class."""
        return self.objective.logits(self.theta)

    def written_out(self, width: int) -> Float[Tensor, " p"]:
        """Returns full parameters of a model of this width at this point, in the frames of the first coordinates."""
        frame = torch.eye(width, self.rank, dtype=self.theta.dtype, device=self.theta.device)
        return replace(self, problem=replace(self.problem, width=width)).embed([frame] * self.problem.depth)

    def embed(self, frames: list[Float[Tensor, "d r"]]) -> Float[Tensor, " p"]:
        """Returns the full parameters with these orthonormal frames at the interfaces."""
        parts = self.theta.split([rows * columns for rows, columns in self.shapes])
        factors = [part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)]
        sizes = torch.tensor(self.problem.class_sizes, device=self.theta.device)
        factors[0] = (factors[0] / sizes.to(self.theta.dtype).sqrt()).repeat_interleave(sizes, dim=1)
        parts = [frames[0] @ factors[0]]
        parts += [frames[i] @ factors[i] @ frames[i - 1].mT for i in range(1, self.problem.depth)]
        parts.append(factors[-1] @ frames[-1].mT)
        return torch.cat([part.flatten() for part in parts])


def _class_sizes(problem: Problem, like: Tensor) -> Tensor:
    return torch.tensor(problem.class_sizes, dtype=like.dtype, device=like.device)


def accepted_rank(objective: Objective, theta: Float[Tensor, " p"], tolerance: float) -> int:
    """Returns the rank of every factor at the critical point next to a nearly critical point of a linear model.

    By balance the factors of a critical point share one rank. A direction that it does not use has gradient decay * s at a
    singular value s, as long as the data pull on it less than decay does: their pull has the order s^L. The rank is accepted
    only if three conditions hold, so that neither side of the tolerance is a guess:

    1. The factors have equally many singular values above the tolerance.
    2. None is within a factor `_GAP` of it: those below are zeros of the critical point, those above are not.
    3. The tolerance is at most `_SMALL` of the largest singular value of each factor. Rank 0, which has none to compare with,
       is accepted where the Hessian is that at the zero point but for `_LINEAR` of its smallest curvature: no other critical
       point is then as near to zero as the factors are large.

    Only ratios count, so small-root points, whose singular values are small as a whole, are judged alike.

    Args:
        objective: Objective of a linear model or of a core.
        theta: Parameters of the point.
        tolerance: Singular values of a factor up to this are zero (absolute).

    Raises:
        InputError: If a condition fails, which says that the point is not close enough to a critical one.
    """
    return _common_rank(objective, theta, tolerance, [torch.linalg.svdvals(shortened(factor)) for factor in objective.split(theta)])


def _common_rank(objective: Objective, theta: Tensor, tolerance: float, values: list[Tensor]) -> int:
    """Returns the rank by the singular values of the factors, or says by `InputError` which condition fails."""
    tolerance = max(tolerance, torch.finfo(theta.dtype).tiny ** 0.5)  # smaller numbers have squares, and so norms, of zero
    ranks = [int((part > tolerance).sum()) for part in values]
    solve_first = "run landscape solve --start FILE first"
    if len(set(ranks)) > 1:
        raise InputError(f"expected one rank in all factors, as at a critical point, got {ranks}: {solve_first}")
    close = [float(s) for part in values for s in part if not (s * _GAP <= tolerance or s >= _GAP * tolerance)]
    if close:
        raise InputError(
            f"expected a gap in the singular values around the tolerance {tolerance:.1e}, got {close[0]:.1e}: {solve_first}"
        )
    largest = [float(part[0]) for part in values]
    if ranks[0] and not all(tolerance <= _SMALL * size for size in largest):
        raise InputError(
            f"expected a tolerance of at most {_SMALL:g} of every factor, got {tolerance:.1e} and {min(largest):.1e}: {solve_first}"
        )
    if not ranks[0] and not _next_to_zero(objective, theta, largest):
        raise InputError(f"expected singular values above the tolerance, got none above {tolerance:.1e}: {solve_first}")
    return ranks[0]


def _next_to_zero(objective: Objective, theta: Tensor, sizes: list[float]) -> bool:
    """Whether no critical point but zero exists for factors of at most these spectral norms, by a bound on the Hessian's change.

    The fit's curvature is at most kappa per unit of the logits: weight / 2 (cross-entropy) or weight (squared error). So the
    Gauss-Newton part is at most kappa sum_l prod_{k != l} size_k^2. The rest is a product with G = dg/dZ, of norm at most
    |G(0)| + kappa |Z|, for each two factors (|Z| in Frobenius' norm); with one layer G(0) itself is part of the Hessian at zero.
    """
    pulls = torch.linalg.svdvals(objective.fit_gradient(objective.logits(torch.zeros_like(theta))) * objective.scales)
    kappa = float((objective.weights * objective.scales.square()).max()) * (0.5 if objective.loss_kind == "ce" else 1.0)
    growth = kappa * math.prod(sizes) * objective.shapes[-1][0] ** 0.5
    without_one, without_two, whole = [0.0] * len(sizes), 0.0, 1.0  # sums of products, each of which leaves out one size or two
    after = [1.0]
    for size in reversed(sizes):
        after.append(size * after[-1])
    left_out = 0.0
    for place, size in enumerate(sizes):
        without_one[place] = whole * after[len(sizes) - place - 1]
        whole, left_out, without_two = whole * size, left_out * size + whole, without_two * size + left_out
    smallest = min(objective.decays)
    if len(sizes) == 2:  # eigenvalues of [[decay_1, G], [G', decay_0]]
        one, other = objective.decays
        apart = torch.hypot(torch.full_like(pulls, (one - other) / 2), pulls)
        smallest, pull = min(smallest, float(((one + other) / 2 - apart).abs().min())), 0.0
    else:
        pull = float(pulls[0])
    change = kappa * sum(other * other for other in without_one) + 2 * (pull + growth) * without_two
    return change <= _LINEAR * smallest


def compress(problem: Problem, theta: Float[Tensor, " p"], tolerance: float) -> tuple[Core, list[Float[Tensor, "d r"]]]:
    """Returns the core of a (nearly) critical point and the frames that `Core.embed` needs to write it back.

    The distance between `theta` and what comes back is what the point has outside the core; at a critical point it is 0.

    Args:
        problem: A linear model.
        theta: Parameters of the point.
        tolerance: Singular values of a factor up to this are zero (absolute).

    Raises:
        InputError: If the model is not linear or no rank can be accepted (`accepted_rank`).
    """
    if not problem.is_linear:
        raise InputError(f"expected linear layers for the reduction, got {problem.activation}: use the dense method")
    objective = Objective.of(problem, theta)
    factors = objective.split(theta)
    vectors, values = zip(*(singular_vectors(shortened(factor))[:2] for factor in factors[:-1]), strict=True)
    rank = _common_rank(objective, theta, tolerance, [*values, torch.linalg.svdvals(shortened(factors[-1]))])
    frames = [left[:, :rank] for left in vectors]
    small = [frames[0].mT @ class_means(problem, factors[0]) * _class_sizes(problem, theta).sqrt()]
    small += [frames[i].mT @ factors[i] @ frames[i - 1] for i in range(1, problem.depth)]
    small.append(factors[-1] @ frames[-1])
    return Core(problem, rank, torch.cat([factor.flatten() for factor in small])), frames
