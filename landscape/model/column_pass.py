"""Derivatives of a loss of Z = W_L a(W_{L-1} .. a(W_1 H)) by passing every column through the layers, and back.

Short signals are multiplied as they are, others and those of a batch as rows (`thin_matmul`).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.display import brief
from landscape.model.thin_matmul import ColumnKernels, RowKernels, Stack, add_times, stored_as_rows
from landscape.model.thin_product import AddProducts, Map


@dataclass(frozen=True)
class Activation:
    """The function between two layers: the identity, the rectifier, or the softplus that stands for it.

    Attributes:
        rectified: Whether it is the rectifier or its softplus; else the identity.
        sharpness: Sharpness b of the softplus log(1 + e^(bx)) / b; infinite for the rectifier itself.
    """

    rectified: bool
    sharpness: float = math.inf

    def of(self, signal: Tensor) -> Tensor:
        """Returns the activated signal."""
        if not self.rectified:
            return signal
        return torch.relu(signal) if math.isinf(self.sharpness) else softplus(self.sharpness * signal) / self.sharpness

    def slope(self, signal: Tensor) -> Tensor | None:
        """Returns the first derivative, 0 at the kink of the rectifier; None for the identity."""
        if not self.rectified:
            return None
        return (signal > 0).to(signal) if math.isinf(self.sharpness) else torch.sigmoid(self.sharpness * signal)

    def bend(self, signal: Tensor) -> Tensor | None:
        """Returns the second derivative over the first, b (1 - a') for the softplus; None where it is 0."""
        if not self.rectified or math.isinf(self.sharpness):
            return None
        return self.sharpness * torch.sigmoid(-self.sharpness * signal)


def softplus(value: Tensor) -> Tensor:
    """log(1 + e^x) whose derivatives of every order stay accurate and finite; torch's own is linear beyond 20."""
    below = torch.log1p(torch.exp(value.clamp(max=0.0)))
    above = value + torch.log1p(torch.exp(-value.clamp(min=0.0)))
    return torch.where(value > 0, above, below)


@dataclass(frozen=True)
class ColumnPass:
    """One forward pass; everything may carry one batch dimension.

    Attributes:
        layers: The weight matrices W_1, .., W_L.
        inputs: What enters each layer.
        slopes: Derivatives of the activation after each layer; None where there is none.
        bends: Second derivatives over the first, likewise.
        outputs: The logits Z.
    """

    layers: list[Tensor]
    inputs: list[Tensor]
    slopes: list[Tensor | None]
    bends: list[Tensor | None]
    outputs: Float[Tensor, "*b k m"]

    __repr__ = brief

    @classmethod
    def of(cls, factors: list[Tensor], activation: Activation) -> "ColumnPass":
        """Passes the columns of H through W_1, .., W_L."""
        features, *layers = factors
        kernels = ColumnKernels.of(features)
        inputs, slopes, bends = [stored_as_rows(features)], [], []
        for layer in layers[:-1]:
            output = kernels.times(layer, inputs[-1])
            inputs.append(stored_as_rows(activation.of(output)))
            slopes.append(activation.slope(output))
            bends.append(activation.bend(output))
        return cls(layers, inputs, [*slopes, None], [*bends, None], kernels.times(layers[-1], inputs[-1]))

    def product(self) -> Float[Tensor, "*b k m"]:
        """Returns Z."""
        return self.outputs

    def push(self, changes: list[Tensor]) -> list[Tensor]:
        """Returns the first-order changes of what enters each layer and of the outputs, for changes of the factors."""
        tangent, *turns = changes
        times, add_times, stored = ColumnKernels.of(tangent)
        tangents = [stored(tangent)]
        for layer, turn, at, slope in zip(self.layers, turns, self.inputs, self.slopes, strict=True):
            change = times(layer, tangents[-1])
            add_times(change, turn, at)
            tangents.append(_gated(change, slope))
        return tangents

    def back(self, error: Float[Tensor, "*b k m"]) -> "ColumnErrors":
        """Passes the derivative with respect to Z back through the layers."""
        times = ColumnKernels.of(self.inputs[0]).times
        errors, bends = [error], []
        for index, layer, slope in self.backwards():
            arriving = times(layer.mT, errors[-1])
            bend = self.bends[index - 1] if index else None
            bends.append(None if bend is None else bend * arriving)
            errors.append(_gated(arriving, slope))
        return ColumnErrors(self, errors, bends)

    def backwards(self) -> list[tuple[int, Tensor, Tensor | None]]:
        """Returns the layers from the last to the first: index, weights, and the slope in front of them."""
        before = [None, *self.slopes[:-1]]
        return list(zip(range(len(self.layers)), self.layers, before, strict=True))[::-1]


@dataclass(frozen=True)
class ColumnErrors:
    """What the derivative of the loss with respect to Z is on its way back.

    Attributes:
        forward: The pass that Z came from.
        errors: Derivatives with respect to Z and to what enters each layer, the last layer first.
        bends: Derivatives of the slopes times what arrives there, the last layer first; None where they are 0.
    """

    forward: ColumnPass
    errors: list[Tensor]
    bends: list[Tensor | None]

    __repr__ = brief

    @property
    def arrays(self) -> list[Tensor]:
        """Everything that was computed from the factors and that Hessian products read."""
        read = [*self.forward.inputs, *self.forward.slopes, *self.errors[:-1], *self.bends]
        return [array for array in read if array is not None]

    def add_gradient(self, results: list[Tensor]) -> None:
        """Adds the derivatives with respect to H, W_1, .., W_L to `results` in place."""
        for (index, _, _), error in zip(self.forward.backwards(), self.errors, strict=False):
            add_times(results[index + 1], error, self.forward.inputs[index].mT)
        results[0].add_(self.errors[-1])

    def linearize(self, curve: Map) -> AddProducts:
        """Returns the map that adds the change of the gradient, for a change of the factors, to results in place.

        Args:
            curve: The map of a change of Z to the change of the derivative with respect to Z.
        """
        read = [part.mT for part in self.forward.inputs]
        steps = list(zip(self.forward.backwards(), self.errors, self.bends, strict=False))

        def add_products(changes: list[Tensor], turned: list[Tensor], results: list[Tensor], *_: list[Stack]) -> None:
            kernels, add_outer = ColumnKernels.of(results[0]), RowKernels.of(results[0]).add_times
            tangents = self.forward.push(changes)
            swing = curve(tangents.pop())
            for (index, layer, slope), arriving, bend in steps:
                tangent = tangents.pop()
                add_outer(results[index + 1], swing, read[index])
                add_outer(results[index + 1], arriving, tangent.mT)
                swing = kernels.times(layer.mT, swing)
                kernels.add_times(swing, turned[index + 1], arriving)
                swing = _gated(swing, slope)
                if bend is not None:
                    swing = swing.addcmul_(bend, tangent)
            results[0].add_(swing)

        return add_products


def _gated(signal: Tensor, slope: Tensor | None) -> Tensor:
    """Multiplies in place by the slope of the activation."""
    return signal if slope is None else signal.mul_(slope)
