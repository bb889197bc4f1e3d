"""Derivatives of a loss of Z = W_L .. W_1 H through the thin side of the product: K rows instead of one column per sample.

With B_i = W_L .. W_{i+1} (K rows) and E the derivative of the loss with respect to Z, the gradient is B_0' E for H and B_i' C_{i-1}
for W_i, where C_i = E H' W_1' .. W_i' has K rows as well. Where a class has n samples this takes an n-th of the work that passing
the columns of H through every layer takes, for the gradient and for the Hessian product alike.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.display import brief
from landscape.model.thin_matmul import add_times, times

Map = Callable[[Tensor], Tensor]
AddProducts = Callable[[list[Tensor], list[Tensor]], None]  # adds the products of changes of the factors to results, in place


@dataclass(frozen=True)
class ThinProduct:
    """The factors of a product without activations; all of them may carry one batch dimension.

    Attributes:
        features: The feature matrix H, first factor of the product.
        layers: The weight matrices W_1, .., W_L.
        suffixes: The products B_0, .., B_{L-1} of the later layers.
    """

    features: Float[Tensor, "*b d m"]
    layers: list[Tensor]
    suffixes: list[Tensor]

    __repr__ = brief

    @classmethod
    def of(cls, factors: list[Tensor]) -> "ThinProduct":
        """Returns the chain of H, W_1, .., W_L."""
        features, *layers = factors
        suffixes = [layers[-1]]
        for layer in reversed(layers[:-1]):
            suffixes.insert(0, times(suffixes[0], layer))
        return cls(features, layers, suffixes)

    def product(self) -> Float[Tensor, "*b k m"]:
        """Returns Z."""
        return times(self.suffixes[0], self.features)

    def back(self, error: Float[Tensor, "*b k m"]) -> "ThinErrors":
        """Passes the derivative with respect to Z back through the layers."""
        pulled = [times(error, self.features.mT)]
        for layer in self.layers[:-1]:
            pulled.append(times(pulled[-1], layer.mT))
        return ThinErrors(self, error, pulled)


@dataclass(frozen=True)
class ThinErrors:
    """What the derivative of the loss with respect to Z is on its way back.

    Attributes:
        forward: The pass that Z came from.
        error: The derivative E with respect to Z.
        pulled: The products C_0, .., C_{L-1} of E with the earlier factors.
    """

    forward: ThinProduct
    error: Float[Tensor, "*b k m"]
    pulled: list[Tensor]

    __repr__ = brief

    @property
    def arrays(self) -> list[Tensor]:
        """Everything that was computed from the factors and that Hessian products read."""
        return [*self.forward.suffixes[:-1], self.error, *self.pulled]

    def add_gradient(self, results: list[Tensor]) -> None:
        """Adds the derivatives with respect to H, W_1, .., W_L to `results` in place."""
        *inner, last = self.pulled
        for result, suffix, part in zip(results, self.forward.suffixes, [self.error, *inner], strict=False):
            add_times(result, suffix.mT, part)
        results[-1].add_(last)

    def linearize(self, curve: Map) -> AddProducts:
        """Returns the map that adds the change of the gradient, for a change of the factors, to results in place.

        Args:
            curve: The map of a change of Z to the change of E.
        """
        layers, suffixes, pulled, error = self.forward.layers, self.forward.suffixes, self.pulled, self.error
        features, flipped, widest = self.forward.features, self.forward.features.mT, suffixes[0].mT
        upwards, hidden = [layer.mT for layer in layers], range(len(layers) - 1)

        def add_products(changes: list[Tensor], results: list[Tensor]) -> None:
            tangent, *turns = changes
            bent = [turns[-1]]  # the changes of the suffixes, the last first
            for i in reversed(hidden):
                bent.append(times(bent[-1], layers[i]))
                add_times(bent[-1], suffixes[i + 1], turns[i])
            change = times(bent[-1], features)
            add_times(change, suffixes[0], tangent)
            change = curve(change)
            add_times(results[0], bent.pop().mT, error)
            add_times(results[0], widest, change)
            moved = times(change, flipped)  # the change of `pulled`
            add_times(moved, error, tangent.mT)
            for i in hidden:
                # One product of both, since the result is wide and each pass over it costs as much as a product.
                add_times(results[i + 1], _stacked(bent.pop(), suffixes[i + 1]).mT, _stacked(moved, pulled[i], first=False))
                moved = times(moved, upwards[i])
                add_times(moved, pulled[i], turns[i].mT)
            results[-1].add_(moved)

        return add_products


def _stacked(change: Tensor, at: Tensor, first: bool = True) -> Tensor:
    """Returns the rows of both, those of `change` first or last."""
    rows = at.expand_as(change)
    return torch.cat([change, rows] if first else [rows, change], dim=-2)
