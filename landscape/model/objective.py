"""The loss of a product of factors on ONE flat vector, with its hand-derived gradient and Hessian product.

Every kernel takes any number of leading batch dimensions (one matrix product per factor), follows the device and dtype of
its input and never waits for the device. Linear models with more columns than classes are differentiated by `thin_product`.
`Objective.loss` is plain differentiable torch, so `torch.func` gives independent derivatives of the same function.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.display import brief
from landscape.model.problem import ActivationName, LossName, Problem
from landscape.model.thin_product import ThinProduct


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

    def preactivations(self, theta: Float[Tensor, "*b p"]) -> list[Float[Tensor, "*b _ m"]]:
        """Returns W_1 H_1, W_2 a(W_1 H_1), .., Z, before any activation."""
        signal, *layers = self.split(theta)
        outputs: list[Tensor] = []
        for layer in layers:
            signal = layer @ (self._activate(outputs[-1]) if outputs else signal)
            outputs.append(signal)
        return outputs

    def logits(self, theta: Float[Tensor, "*b p"]) -> Float[Tensor, "*b k m"]:
        """Returns the logits of each column."""
        return self.preactivations(theta)[-1] * self.scales

    def loss(self, theta: Float[Tensor, "*b p"]) -> Float[Tensor, "*b"]:
        """Returns the loss, weight decay included."""
        return self.fit(self.logits(theta)) + self._penalty(theta)

    def fit(self, logits: Float[Tensor, "*b k m"]) -> Float[Tensor, "*b"]:
        """Returns the data part of the loss as a function of the logits."""
        if self.loss_kind == "ce":
            # Relative to the true class and without it, so that nothing cancels where the class is certain, here or in derivatives.
            relative = logits - (logits * self.targets).sum(-2, keepdim=True)
            others = torch.logsumexp(relative.masked_fill(self.targets > 0, -math.inf), dim=-2)
            columns = _softplus(others)
        else:
            columns = (logits - self.targets).square().sum(-2) / 2
        return (columns * self.weights).sum(-1)  # not @, whose order of summation depends on the batch

    def fit_gradient(self, logits: Float[Tensor, "*b k m"]) -> Float[Tensor, "*b k m"]:
        """Returns d fit / d logits; the entry of the true class is summed from the others, so that nothing cancels."""
        if self.loss_kind == "mse":
            return (logits - self.targets) * self.weights
        others = torch.softmax(logits, dim=-2) * (1 - self.targets)
        return (others - self.targets * others.sum(-2, keepdim=True)) * self.weights

    def fit_curvature(self, logits: Float[Tensor, "*b k m"]) -> Callable[[Float[Tensor, "*c k m"]], Float[Tensor, "*c k m"]]:
        """Returns the map of a change of the logits to the change of `fit_gradient`."""
        if self.loss_kind == "mse":
            return lambda change: change * self.weights
        probabilities = torch.softmax(logits, dim=-2)

        def apply(change: Tensor) -> Tensor:
            # Equal changes of all logits do nothing; relative to the true class, a certain one loses no digits.
            relative = change - (change * self.targets).sum(-2, keepdim=True)
            mean = (probabilities * relative).sum(-2, keepdim=True)
            return probabilities * (relative - mean) * self.weights

        return apply

    @property
    def _is_thin(self) -> bool:
        """Whether K rows are less work to pass through the layers than the columns are."""
        return self.activation == "linear" and self.targets.shape[0] < self.targets.shape[1]

    def gradient(self, theta: Float[Tensor, "*b p"]) -> Float[Tensor, "*b p"]:
        """Returns the gradient of `loss`, without the loss."""
        return self._differentiated(theta)[1]

    def value_and_gradient(self, theta: Float[Tensor, "*b p"]) -> tuple[Float[Tensor, "*b"], Float[Tensor, "*b p"]]:
        """Returns the loss and its gradient from one forward pass."""
        logits, gradient = self._differentiated(theta)
        return self.fit(logits) + self._penalty(theta), gradient

    def _differentiated(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the logits and the gradient."""
        if self._is_thin:
            chain = ThinProduct.of(self.split(theta))
            logits = chain.product() * self.scales
            return logits, self._assembled(chain.gradient(self.fit_gradient(logits) * self.scales), theta)
        trace = self._forward(theta)
        logits = trace.outputs[-1] * self.scales
        parts: list[Tensor] = []
        error = self.fit_gradient(logits) * self.scales
        for index in range(len(trace.layers) - 1, -1, -1):
            parts.append(error @ trace.inputs[index].mT)
            error = self._gate(trace.layers[index].mT @ error, trace, index)
        return logits, self._assembled([error, *reversed(parts)], theta)

    def _assembled(self, parts: list[Tensor], direction: Tensor) -> Tensor:
        """Returns the derivatives of the data part as one vector, with what the decays make of the direction."""
        data = torch.cat([part.flatten(-2) for part in parts], dim=-1)
        decay = self._decay_vector(direction)
        return data.add_(direction, alpha=decay) if isinstance(decay, float) else data.add_(decay * direction)

    def linearize(self, theta: Float[Tensor, "*b p"]) -> Callable[[Float[Tensor, "*c p"]], Float[Tensor, "*c p"]]:
        """Returns the map v -> Hessian(theta) v; the forward and backward pass at theta are done once.

        `v` may carry batch dimensions of its own that broadcast against those of `theta`. For ReLU the activation pattern is
        held fixed, which is the Hessian wherever no pre-activation is 0.
        """
        if self._is_thin:
            chain = ThinProduct.of(self.split(theta))
            logits = chain.product() * self.scales
            curve = self.fit_curvature(logits)
            bend = chain.linearize(self.fit_gradient(logits) * self.scales, lambda swing: curve(swing * self.scales) * self.scales)
            return lambda direction: self._assembled(bend(self.split(direction)), direction)
        return self._linearized(self._forward(theta))

    def _linearized(self, trace: "_Trace") -> Callable[[Tensor], Tensor]:
        """Returns the Hessian product by a pass of every column through the layers and back."""
        logits = trace.outputs[-1] * self.scales
        curve = self.fit_curvature(logits)
        errors = [self.fit_gradient(logits) * self.scales]
        bends: list[Tensor | None] = [None]
        for index in range(len(trace.layers) - 1, 0, -1):
            arriving = trace.layers[index].mT @ errors[0]
            errors.insert(0, self._gate(arriving, trace, index))
            bends.insert(1, self._bend(arriving, trace, index))

        def product(direction: Tensor) -> Tensor:
            _, *turns = self.split(direction)
            *tangents, output = self._push(trace, direction)
            swing = curve(output * self.scales) * self.scales
            parts = []
            for index in range(len(turns) - 1, -1, -1):
                # Sums in place: with a block of directions a fresh result costs as much as the product that fills it.
                parts.append((swing @ trace.inputs[index].mT).add_(errors[index] @ tangents[index].mT))
                swing = (trace.layers[index].mT @ swing).add_(turns[index].mT @ errors[index])
                swing = self._gate(swing, trace, index)
                if (bend := bends[index]) is not None:
                    swing = swing + bend * tangents[index]
            return self._assembled([swing, *reversed(parts)], direction)

        return product

    def pushforward(self, theta: Float[Tensor, "*b p"]) -> Callable[[Float[Tensor, "*c p"]], Float[Tensor, "*c k m"]]:
        """Returns the map of a change of the parameters to the first-order change of the logits."""
        trace = self._forward(theta)
        return lambda direction: self._push(trace, direction)[-1] * self.scales

    def _push(self, trace: "_Trace", direction: Tensor) -> list[Tensor]:
        """Returns the change of what enters each layer, and of Z."""
        tangent, *turns = self.split(direction)
        tangents = [tangent]
        for index, (layer, turn) in enumerate(zip(trace.layers, turns, strict=True)):
            change = (turn @ trace.inputs[index]).add_(layer @ tangents[-1])
            tangents.append(self._gate(change, trace, index + 1))
        return tangents

    def _forward(self, theta: Tensor) -> "_Trace":
        features, *layers = self.split(theta)
        outputs = self.preactivations(theta)
        inputs = [features, *(self._activate(output) for output in outputs[:-1])]
        return _Trace(layers, inputs, outputs)

    def _activate(self, signal: Tensor) -> Tensor:
        if self.activation == "linear":
            return signal
        return torch.relu(signal) if math.isinf(self.sharpness) else _softplus(self.sharpness * signal) / self.sharpness

    def _gate(self, signal: Tensor, trace: "_Trace", index: int) -> Tensor:
        """Stops what flows through the activation that feeds layer `index` (0: the features; depth: the logits)."""
        if self.activation == "linear" or index in (0, len(trace.layers)):
            return signal
        output = trace.outputs[index - 1]
        return signal * ((output > 0) if math.isinf(self.sharpness) else torch.sigmoid(self.sharpness * output))

    def _bend(self, signal: Tensor, trace: "_Trace", index: int) -> Tensor | None:
        """Returns what a change of the input of layer `index` adds to a gated signal, per unit: the softplus is curved.

        Its first derivative a' = sigmoid(bx) has the derivative b a' (1 - a'), and a' is in the change of the input already.
        """
        if self.activation == "linear" or math.isinf(self.sharpness):
            return None
        return signal * self.sharpness * torch.sigmoid(-self.sharpness * trace.outputs[index - 1])

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


def _softplus(value: Tensor) -> Tensor:
    """log(1 + e^x) whose derivatives of every order stay accurate and finite; torch's own is linear beyond 20."""
    below = torch.log1p(torch.exp(value.clamp(max=0.0)))
    above = value + torch.log1p(torch.exp(-value.clamp(min=0.0)))
    return torch.where(value > 0, above, below)


@dataclass(frozen=True)
class _Trace:
    """One forward pass: layers W_1..W_L, what enters each, what leaves each before the activation."""

    layers: list[Tensor]
    inputs: list[Tensor]
    outputs: list[Tensor]


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
