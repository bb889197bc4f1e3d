"""From a trained network to a critical point to rounding: L-BFGS, then Newton steps in a trust region. The module is left alone."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.operators.product_checks import WrongProducts
from landscape.display import brief
from landscape.errors import InputError
from landscape.network.functional import lifted
from landscape.network.loss import ModuleLoss
from landscape.network.operators import ModuleHessian
from landscape.network.smoothness import kinks
from landscape.network.trust_region import Trial, steihaug

COARSE = 1e-5  # gradient norm where Newton steps take over: later costs more gradients than it saves products
_HISTORY = 50
_ITERATIONS = 20  # of L-BFGS between two looks at the gradient
_NOISE = 1e3  # times eps of the loss: a smaller predicted decrease is rounding, and the gradient decides instead
_LARGE = 100  # root mean square of the parameters: products that fail their checks beyond it say nothing about the module
_SMALLEST = 1e-14  # radius relative to the parameters: no smaller step changes them


class Stop(Enum):
    """Why polishing stopped; the value says what to do."""

    REACHED = "the gradient is below the target"
    BUDGET = "the budget is spent: call polish on the result to go on"
    ROUNDING = "the gradient no longer falls: it is at rounding, or the loss is flat in a direction; a larger target, or more decay"
    KINK = "pre-activations are at a kink, where there is no gradient to reach zero: use a smooth activation"
    DIVERGED = "the loss is no longer finite: start from a point trained further"
    ESCAPED = "the parameters are so large that their Hessian is lost in rounding: give decay to those that grow"


@dataclass(frozen=True)
class PolishStep:
    """One line of the history.

    Attributes:
        method: Name of the method: "L-BFGS" for some iterations of it, "Newton" for one step in the trust region.
        loss: Loss after the step, decay included.
        gradient_norm: Norm of the gradient after the step.
        gradients: Number of evaluations of loss and gradient so far.
        products: Number of Hessian products so far.
        radius: Radius of the trust region after the step; 0 for L-BFGS.
    """

    method: str
    loss: float
    gradient_norm: float
    gradients: int
    products: int
    radius: float = 0.0


@dataclass(frozen=True)
class Polished:
    """The point where polishing stopped.

    Attributes:
        problem: The loss at that point.
        loss: Loss at that point, decay included.
        gradient_norm: Gradient norm at that point.
        history: One entry per look at the gradient, across all calls that were resumed.
        stopped: Why polishing stopped.
        radius: Radius of the trust region at the end, for a call that goes on; 0 if no Newton step was made.
    """

    problem: ModuleLoss
    loss: float
    gradient_norm: float
    history: tuple[PolishStep, ...] = field(repr=False)
    stopped: Stop
    radius: float = 0.0

    __repr__ = brief

    @property
    def converged(self) -> bool:
        """Whether the gradient is below the target."""
        return self.stopped is Stop.REACHED

    @property
    def products(self) -> int:
        """Hessian products with one vector, over the whole history."""
        return self.history[-1].products if self.history else 0

    @property
    def gradients(self) -> int:
        """Evaluations of loss and gradient, over the whole history."""
        return self.history[-1].gradients if self.history else 0

    def write(self) -> None:
        """Writes the point into the module's own parameters, in their own precision."""
        flat = self.problem.flat
        values = flat.split(self.problem.theta)
        with torch.no_grad():
            for name, parameter in flat.module.named_parameters():
                if name in values:
                    parameter.copy_(lifted(values[name], parameter.dtype))


def polish(
    start: ModuleLoss | Polished,
    to: float = 1e-10,
    gradients: int = 2000,
    newton_steps: int = 60,
    products: int = 20_000,
    keep: bool = True,
    progress: Callable[[PolishStep], None] | None = None,
    write: bool = False,
) -> Polished:
    """Descends from the point of a loss to a critical point: full batch, float64.

    L-BFGS (history 50, strong Wolfe conditions) to a gradient norm of 1e-5, then Newton steps by Steihaug's conjugate gradients
    in a trust region. Where the predicted decrease is below rounding, a step is kept if the gradient falls. The end is a minimum,
    or a saddle if the start is that near to it.

    Args:
        start: The loss at the point to start from, or an earlier result to go on from.
        to: Norm of the gradient to reach.
        gradients: Evaluations of the gradient by L-BFGS at most, in this call.
        newton_steps: Steps in the trust region at most, in this call.
        products: Hessian products at most, in this call.
        keep: Whether the Hessian keeps its graphs, as in `ModuleHessian`.
        progress: Called with every line of the history as it is made.
        write: Whether to write the result to the module.

    Raises:
        InputError: If the parameters are not in float64, or the target is no positive number.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> network = torch.nn.Linear(3, 2, bias=False).double()
        >>> batch = (torch.eye(3, dtype=torch.float64), torch.tensor([0, 1, 1]))
        >>> loss = ls.ModuleLoss(network, torch.nn.functional.cross_entropy, [batch], decay=0.1)
        >>> ls.polish(loss).gradient_norm < 1e-10
        True
    """
    before = start if isinstance(start, Polished) else None
    problem = start.problem if isinstance(start, Polished) else start
    if problem.theta.dtype != torch.float64:
        raise InputError(f"expected float64 to polish in, got {problem.theta.dtype}: pass dtype=torch.float64 to ModuleLoss")
    if not 0 < to < float("inf"):
        raise InputError(f"expected a positive gradient norm to reach, got {to}")
    run = _Run(problem, to, before, progress)
    if run.norm > max(COARSE, to):
        run.descend(gradients)
    if run.going:
        run.newton(newton_steps, products, keep)
    result = run.result()
    if write:
        result.write()
    return result


class _Run:
    """One call of `polish` while it works."""

    def __init__(
        self, problem: ModuleLoss, to: float, before: Polished | None, progress: Callable[[PolishStep], None] | None
    ) -> None:
        self.problem, self.to, self.progress = problem, to, progress
        self.history = list(before.history) if before else []
        self.radius = before.radius if before else 0.0
        self.gradients = before.gradients if before else 0
        self.products = before.products if before else 0
        self.theta = problem.theta.clone()
        self.value, self.slope = self.evaluated(self.theta)
        self.stopped: Stop | None = Stop.REACHED if self.norm <= to else None
        self.checked = False

    @property
    def norm(self) -> float:
        return float(self.slope.norm())

    @property
    def going(self) -> bool:
        return self.stopped is None

    def evaluated(self, theta: Float[Tensor, " p"]) -> tuple[float, Float[Tensor, " p"]]:
        self.gradients += 1
        value, slope = self.problem.gradient(theta)
        return float(value), slope

    def note(self, method: str) -> None:
        line = PolishStep(method, self.value, self.norm, self.gradients, self.products, self.radius if method == "Newton" else 0.0)
        self.history.append(line)
        if self.progress is not None:
            self.progress(line)
        if not self.norm < float("inf"):
            self.stopped = Stop.DIVERGED
        elif self.norm <= self.to:
            self.stopped = Stop.REACHED

    def descend(self, most: int) -> None:
        """Runs L-BFGS until the gradient is coarse, the budget is spent or it makes no more progress."""
        point = self.theta.clone().requires_grad_()
        goal = max(COARSE, self.to)
        optimiser = torch.optim.LBFGS(
            [point],
            max_iter=_ITERATIONS,
            history_size=_HISTORY,
            tolerance_grad=goal / point.numel() ** 0.5,
            tolerance_change=0.0,
            line_search_fn="strong_wolfe",
        )

        def closure() -> Tensor:
            value, slope = self.evaluated(point.detach())
            point.grad = slope
            return torch.tensor(value, dtype=slope.dtype)

        first = self.gradients
        while self.going and self.norm > goal and self.gradients - first < most:
            before = self.theta
            with torch.enable_grad():
                optimiser.step(closure)
            value, slope = self.evaluated(point.detach())
            if not value < float("inf"):
                self.stopped = Stop.DIVERGED
                return
            self.theta, self.value, self.slope = point.detach().clone(), value, slope
            self.note("L-BFGS")
            if torch.equal(before, self.theta):
                return

    def newton(self, most: int, products: int, keep: bool) -> None:
        """Takes Newton steps until the target, the budget or rounding is reached."""
        size = float(self.theta.norm()) or 1.0
        self.radius = self.radius or 0.1 * size
        last = self.products + products
        for _ in range(most):
            try:
                hessian = ModuleHessian(self.problem.at(self.theta), keep=keep, check=not self.checked)
            except WrongProducts:
                if not size > _LARGE * self.theta.numel() ** 0.5:
                    raise
                self.stopped = Stop.ESCAPED
                return
            self.checked = True
            while self.going:
                left = last - self.products
                if left <= 0:
                    return
                forcing = min(0.1, self.norm**0.5)
                trial = steihaug(hessian, self.slope, self.radius, forcing, min(left, 20 * self.theta.numel()))
                self.products += trial.products
                if self.accepted(trial):
                    break
                if not self.radius > _SMALLEST * size:
                    self.stopped = Stop.KINK if kinks(self.problem.at(self.theta)).near else Stop.ROUNDING
            if not self.going:
                return
            self.note("Newton")

    def accepted(self, trial: Trial) -> bool:
        """Takes a step if it descends, and changes the radius by how well the quadratic model predicted it."""
        value, slope = self.evaluated(self.theta + trial.step)
        noise = _NOISE * torch.finfo(slope.dtype).eps * max(abs(self.value), 1e-300)
        if trial.decrease > noise:
            quality = (self.value - value) / trial.decrease
        else:
            quality = 1.0 if float(slope.norm()) < self.norm else 0.0
        length = float(trial.step.norm())
        if not quality >= 0.25:
            self.radius = min(self.radius, length) / 4
        elif quality > 0.75 and trial.boundary:
            self.radius = 2 * self.radius
        if not quality > 1e-4:
            return False
        self.theta, self.value, self.slope = self.theta + trial.step, value, slope
        return True

    def result(self) -> Polished:
        found = self.problem.at(self.theta)
        stopped = self.stopped or (Stop.KINK if kinks(found).near else Stop.BUDGET)
        return Polished(found, self.value, self.norm, tuple(self.history), stopped, self.radius)
