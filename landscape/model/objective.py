"""The loss of a product of factors on ONE flat vector, with its hand-derived gradient and Hessian product.

Every kernel takes any number of leading batch dimensions (one matrix product per factor), follows the device and dtype of
its input and never waits for the device. Linear models are differentiated by `thin_product`, others by `column_pass`; both write
into one flat result that holds what the decays make of the direction.
`Objective.loss` is plain differentiable torch, so `torch.func` gives independent derivatives of the same function.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from landscape.display import brief
from landscape.model.column_pass import Activation, ColumnErrors, ColumnPass, softplus
from landscape.model.problem import ActivationName, LossName, Problem
from landscape.model.room import Rooms
from landscape.model.thin_product import AddProducts, ThinErrors, ThinProduct


@dataclass(frozen=True)
class Objective:
    """Sum over columns j of weight_j * fit(scale_j * z_j, target_j), plus half the decays times the squared factors.

    With Z = W_L a(W_{L-1} .. a(W_1 H_1)), a the activation. The full model has one column per sample, weight 1/N and scale 1;
    the core of `reduction` has one column per class, weight n_c/N and scale 1/sqrt(n_c).

    Attributes:
        shapes: Shapes of the factors in the order H_1, W_1, .., W_L, which is also their order in the flat vector (row-major).
        decays: Weight decays in the same order, one per factor.
        targets: One-hot labels of the columns.
        weights: Weights of the columns in the loss.
        scales: Scales of the columns of Z on their way to the logits.
        loss_kind: Name of the loss, "ce" or "mse".
        activation: Name of the activation, "linear" or "relu".
        sharpness: Sharpness b of the softplus log(1 + e^(bx)) / b that stands for the rectifier max(x, 0), which it exceeds by at
            most log(2) / b, at 0; infinite for the rectifier itself.
    """

    shapes: tuple[tuple[int, int], ...]
    decays: tuple[float, ...]
    targets: Float[Tensor, "k m"]
    weights: Float[Tensor, " m"]
    scales: Float[Tensor, " m"]
    loss_kind: LossName
    activation: ActivationName
    sharpness: float = math.inf

    __repr__ = brief

    @classmethod
    def of(cls, problem: Problem, like: Tensor | None = None) -> "Objective":
        """Returns the loss of a problem, with its constants on the device and dtype of `like` (None: float64 on the CPU)."""
        options: dict[str, Any] = {"dtype": torch.float64} if like is None else {"dtype": like.dtype, "device": like.device}
        identity = torch.eye(problem.classes, **options)
        targets = torch.cat([identity.narrow(1, c, 1).expand(-1, n) for c, n in enumerate(problem.class_sizes)], dim=1)
        return cls(
            shapes=problem.shapes,
            decays=problem.decays,
            targets=targets,
            weights=torch.full((problem.total_samples,), 1 / problem.total_samples, **options),
            scales=torch.ones(problem.total_samples, **options),
            loss_kind=problem.loss,
            activation=problem.activation,
        )

    @property
    def size(self) -> int:
        """The number of parameters."""
        return sum(math.prod(shape) for shape in self.shapes)

    def split(self, theta: Float[Tensor, "*b p"]) -> list[Float[Tensor, "*b _ _"]]:
        """Returns the factors H_1, W_1, .., W_L as views of the flat vector."""
        parts = theta.split([math.prod(shape) for shape in self.shapes], dim=-1)
        return [part.unflatten(-1, shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def views(self, flat: Float[Tensor, "*b p"]) -> list[Float[Tensor, "*b _ _"]]:
        """Returns the factors as views of a contiguous vector or of rows of them: `split` in half the time, not differentiable."""
        start = flat.storage_offset()
        if flat.dim() == 1:
            return [flat.as_strided(shape, stride, start + place) for shape, stride, place in self._places]
        batch, row = flat.shape[0], flat.stride(0)
        return [flat.as_strided((batch, *shape), (row, *stride), start + place) for shape, stride, place in self._places]

    @cached_property
    def _places(self) -> list[tuple[tuple[int, int], tuple[int, int], int]]:
        """The shapes and strides of the factors, and where they start in the flat vector."""
        starts = itertools.accumulate(map(math.prod, self.shapes), initial=0)
        return [(shape, (shape[1], 1), start) for shape, start in zip(self.shapes, starts, strict=False)]

    def preactivations(self, theta: Float[Tensor, "*b p"]) -> list[Float[Tensor, "*b _ m"]]:
        """Returns W_1 H_1, W_2 a(W_1 H_1), .., Z, before any activation."""
        signal, *layers = self.split(theta)
        outputs: list[Tensor] = []
        for layer in layers:
            signal = layer @ (self._activation.of(outputs[-1]) if outputs else signal)
            outputs.append(signal)
        return outputs

    def logits(self, theta: Float[Tensor, "*b p"]) -> Float[Tensor, "*b k m"]:
        """Returns the logits of each column."""
        if self.activation != "linear":
            return self.preactivations(theta)[-1] * self.scales
        features, *layers = self.split(theta)
        return reduce(torch.matmul, reversed(layers)) @ features * self.scales  # from the left, where the rows are few

    def loss(self, theta: Float[Tensor, "*b p"]) -> Float[Tensor, "*b"]:
        """Returns the loss, weight decay included."""
        return self.fit(self.logits(theta)) + self._penalty(theta)

    def fit(self, logits: Float[Tensor, "*b k m"]) -> Float[Tensor, "*b"]:
        """Returns the data part of the loss as a function of the logits."""
        if self.loss_kind == "ce":
            # Relative to the true class and without it, so that nothing cancels where the class is certain, here or in derivatives.
            relative = logits - (logits * self.targets).sum(-2, keepdim=True)
            others = torch.logsumexp(relative.masked_fill(self.targets > 0, -math.inf), dim=-2)
            columns = softplus(others)
        else:
            columns = (logits - self.targets).square().sum(-2) / 2
        return (columns * self.weights).sum(-1)  # not @, whose order of summation depends on the batch

    def fit_gradient(self, logits: Float[Tensor, "*b k m"]) -> Float[Tensor, "*b k m"]:
        """Returns d fit / d logits; the entry of the true class is summed from the others, so that nothing cancels."""
        if self.loss_kind == "mse":
            return (logits - self.targets) * self.weights
        others = torch.softmax(logits, dim=-2) * (1 - self.targets)
        return (others - self.targets * others.sum(-2, keepdim=True)) * self.weights

    def fit_curvature(self, logits: Float[Tensor, "*b k m"], scales: Float[Tensor, " m"] | None = None) -> "FitCurvature":
        """Returns the map of a change of the logits to the change of `fit_gradient`; with scales, both are scaled."""
        weights = self.weights if scales is None else self.weights * scales * scales
        if self.loss_kind == "mse":
            return FitCurvature(weights)
        probabilities = torch.softmax(logits, dim=-2)
        return FitCurvature(probabilities * weights, -probabilities, self.targets.argmax(dim=0, keepdim=True))

    @property
    def _activation(self) -> Activation:
        return Activation(self.activation == "relu", self.sharpness)

    def gradient(self, theta: Float[Tensor, "*b p"]) -> Float[Tensor, "*b p"]:
        """Returns the gradient of `loss`, without the loss."""
        return self._differentiated(theta)[1]

    def value_and_gradient(self, theta: Float[Tensor, "*b p"]) -> tuple[Float[Tensor, "*b"], Float[Tensor, "*b p"]]:
        """Returns the loss and its gradient from one forward pass."""
        logits, gradient = self._differentiated(theta)
        return self.fit(logits) + self._penalty(theta), gradient

    def expand(
        self, theta: Float[Tensor, "*b p"]
    ) -> tuple[Float[Tensor, "*b"], Float[Tensor, "*b k m"], Float[Tensor, "*b p"], "HessianProduct"]:
        """Returns the loss, the logits, the gradient and what `linearize` returns, from one pass forward and one back."""
        rows = _rows(theta)
        logits, errors = self._passed(rows)
        seen = logits.reshape(*theta.shape[:-1], *self.targets.shape)
        gradient, product = self._gradient(rows, errors).view(theta.shape), self._product(theta, rows, logits, errors)
        return self.fit(seen) + self._penalty(theta), seen, gradient, product

    def _passed(self, rows: Tensor) -> tuple[Tensor, ThinErrors | ColumnErrors]:
        """Returns the logits of one vector, or of rows, and what the derivative of the loss is on its way back."""
        factors = self.views(rows)
        forward = ThinProduct.of(factors) if self.activation == "linear" else ColumnPass.of(factors, self._activation)
        logits = forward.product() * self.scales
        return logits, forward.back(self.fit_gradient(logits) * self.scales)

    def _differentiated(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the logits and the gradient."""
        rows = _rows(theta)
        logits, errors = self._passed(rows)
        return logits.reshape(*theta.shape[:-1], *self.targets.shape), self._gradient(rows, errors).view(theta.shape)

    def _gradient(self, rows: Tensor, errors: ThinErrors | ColumnErrors) -> Tensor:
        gradient: Tensor = rows * self._decay_vector(rows)
        errors.add_gradient(self.views(gradient))
        return gradient

    def _product(self, theta: Tensor, rows: Tensor, logits: Tensor, errors: ThinErrors | ColumnErrors) -> "HessianProduct":
        curve = self.fit_curvature(logits, self.scales)
        arrays, add_products = (*errors.arrays, *curve.arrays), errors.linearize(curve)
        rooms = Rooms.of(errors, add_products, self.views, rows)
        return HessianProduct(self, theta, self._decay_vector(rows), add_products, arrays, rooms)

    def linearize(self, theta: Float[Tensor, "*b p"]) -> "HessianProduct":
        """Returns the map v -> Hessian(theta) v; the forward and backward pass at theta are done once.

        `v` may carry batch dimensions of its own that broadcast against those of `theta`. For ReLU the activation pattern is
        held fixed, which is the Hessian wherever no pre-activation is 0.
        """
        rows = _rows(theta)
        return self._product(theta, rows, *self._passed(rows))

    def pushforward(self, theta: Float[Tensor, "*b p"]) -> Callable[[Float[Tensor, "*c p"]], Float[Tensor, "*d k m"]]:
        """Returns the map of a change of the parameters to the first-order change of the logits."""
        passed = ColumnPass.of(self.views(_rows(theta)), self._activation)

        def push(direction: Tensor) -> Tensor:
            shape = _common_shape(theta, direction)
            if theta.dim() > 1 and shape != theta.shape:
                return self.pushforward(theta.expand(shape))(direction)
            change = passed.push(self.views(_rows(direction.expand(shape))))[-1] * self.scales
            return change.reshape(*shape[:-1], *self.targets.shape)

        return push

    def _penalty(self, theta: Tensor) -> Tensor:
        return (theta.square() * self._decay_vector(theta)).sum(-1) / 2

    def _decay_vector(self, theta: Tensor) -> Tensor | float:
        if len(set(self.decays)) == 1:
            return self.decays[0]
        return torch.cat(
            [
                torch.full((math.prod(shape),), decay, dtype=theta.dtype, device=theta.device)
                for shape, decay in zip(self.shapes, self.decays, strict=True)
            ]
        )


def _rows(flat: Tensor) -> Tensor:
    """Returns one contiguous vector, or contiguous rows, also one row: alone it is multiplied as among others, to the last bit."""
    return flat.reshape(math.prod(flat.shape[:-1]), flat.shape[-1]).contiguous() if flat.dim() > 1 else flat.contiguous()


def _common_shape(theta: Tensor, direction: Tensor) -> torch.Size:
    if theta.dim() == 1 or theta.shape == direction.shape:  # asked first, since torch takes as long for it as for a product
        return direction.shape
    return torch.broadcast_shapes(theta.shape, direction.shape)


@dataclass(frozen=True)
class FitCurvature:
    """The map of a change of the logits to the change of the derivative of the fit.

    Attributes:
        weighted: Weights of the columns, times the probabilities of the classes for cross-entropy.
        opposite: Probabilities of the classes, negative; None for squared error.
        true: Class of every column; None for squared error.
    """

    weighted: Float[Tensor, "*w m"]
    opposite: Float[Tensor, "*b k m"] | None = None
    true: Int[Tensor, "1 m"] | None = None

    __repr__ = brief

    @property
    def arrays(self) -> list[Tensor]:
        """What depends on the point."""
        return [] if self.opposite is None else [self.weighted, self.opposite]

    def __call__(self, change: Float[Tensor, "*c k m"], out: Tensor | None = None) -> Float[Tensor, "*c k m"]:
        """Returns the change of the derivative, in the memory `out` if it is given."""
        if self.opposite is None or self.true is None:
            return torch.mul(change, self.weighted, out=out)
        # Equal changes of all logits do nothing; relative to the true class, a certain one loses no digits.
        true = self.true if change.dim() == 2 else self.true.expand(*change.shape[:-2], -1, -1)
        parts = torch.sub(change, torch.gather(change, -2, true), out=out).mul_(self.weighted)
        return parts.addcmul_(self.opposite, torch.sum(parts, -2, True))


@dataclass(frozen=True)
class HessianProduct:
    """The map of directions to their products with the Hessian at one point, or at a batch of points.

    Attributes:
        objective: The loss that is differentiated.
        theta: Parameters of the point, or of one point per row.
        decay: Decay of every parameter, or the one of all.
        add_products: Adds the products of the data part to the factors of a result.
        arrays: What `add_products` reads beside the factors themselves, computed at the point or points.
        rooms: Memory for products of one short vector; None where they do without.
    """

    objective: Objective
    theta: Float[Tensor, "*b p"]
    decay: Tensor | float
    add_products: AddProducts
    arrays: tuple[Tensor, ...]
    rooms: Rooms | None = None

    __repr__ = brief

    def __call__(self, direction: Float[Tensor, "*c p"]) -> Float[Tensor, "*d p"]:
        """Returns the products, row by row; the batch dimensions of directions and points are broadcast."""
        if direction.dim() == 1 and self.theta.dim() == 1:
            return self.column(direction)
        shape = _common_shape(self.theta, direction)
        if self.theta.dim() > 1 and shape != self.theta.shape:
            return self.objective.linearize(self.theta.expand(shape))(direction)
        rows = _rows(direction if direction.shape == shape else direction.expand(shape))
        return self.write(rows, torch.empty_like(rows)).view(shape)

    def column(self, vector: Float[Tensor, "*v"]) -> Float[Tensor, "*v"]:
        """Returns the product of one vector, or of one column, where there is one point."""
        rooms = self.rooms
        room = None if rooms is None or not rooms.hold(vector) else rooms.take(self.theta)
        if rooms is None or room is None:
            rows = vector.reshape(-1)
            return self.write(rows, torch.empty_like(rows)).view(vector.shape)
        room.row.copy_(vector if vector.dim() == 1 else vector.mT)
        torch.mul(room.direction, self.decay, out=room.result)
        for step in room.steps:
            step()
        result = (room.result if vector.dim() == 1 else room.column).clone()
        rooms.free.append(room)
        return result

    def shifted(self, shift: Float[Tensor, "*b"]) -> "HessianProduct":
        """Returns the map of directions to their products with Hessian + shift, with a shift for each point."""
        return replace(self, decay=self.decay + (shift.reshape(-1, 1) if self.theta.dim() > 1 else shift))

    def renew(self, rows: Int[Tensor, " r"], moved: "HessianProduct", places: Int[Tensor, " r"] | None = None) -> None:
        """Writes what was computed at these places of other points (None: at all, in order) over these rows, in place.

        `theta` is changed by its owner.
        """
        for array, part in zip(self.arrays, moved.arrays, strict=True):
            array.index_copy_(0, rows, part if places is None else part.index_select(0, places))

    def write(self, rows: Tensor, results: Tensor) -> Tensor:
        """Writes the products of contiguous rows, or of one vector, to contiguous results, and returns them."""
        torch.mul(rows, self.decay, out=results)
        changes = self.objective.views(rows)
        self.add_products(changes, [change.mT for change in changes], self.objective.views(results))
        return results


def objective(problem: Problem, like: Tensor | None = None) -> Objective:
    """Returns the loss of a problem as a function of one flat vector: `loss`, `gradient`, `logits`, `split`.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> loss = ls.objective(problem)
        >>> zero = torch.zeros(problem.parameters, dtype=torch.float64)
        >>> round(float(loss.loss(zero)), 10)  # log 4
        1.3862943611
        >>> [tuple(factor.shape) for factor in loss.split(zero)]
        [(6, 8), (6, 6), (4, 6)]

    Args:
        problem: The model whose loss it is.
        like: A tensor of the device and dtype that the constants should have; None means float64 on the CPU.
    """
    return Objective.of(problem, like)


def class_means(problem: Problem, columns: Float[Tensor, "*b m"]) -> Float[Tensor, "*b k"]:
    """Returns the mean of the sample columns of each class.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=2, samples=2, width=2, depth=1, decay=0.1)
        >>> logits = ls.objective(problem).logits(ls.place(problem, ls.Collapse()).theta)
        >>> tuple(logits.shape), tuple(ls.class_means(problem, logits).shape)
        ((2, 4), (2, 2))
    """
    return torch.stack([part.mean(-1) for part in columns.split(list(problem.class_sizes), dim=-1)], dim=-1)


def class_logits(problem: Problem, theta: Float[Tensor, " p"]) -> Float[Tensor, "k k"]:
    """Returns the class-mean logits at a point, one column per class."""
    return class_means(problem, Objective.of(problem, theta).logits(theta))
