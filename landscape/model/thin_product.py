"""Derivatives of a loss of Z = W_L .. W_1 H through the thin side of the product: K rows instead of one column per sample.

With B_i = W_L .. W_{i+1} (K rows) and E the derivative of the loss with respect to Z, the gradient is B_0' E for H and B_i' C_{i-1}
for W_i, where C_i = E H' W_1' .. W_i' has K rows as well. Where a class has n samples this takes an n-th of the work that passing
the columns of H through every layer takes, for the gradient and for the Hessian product alike.
"""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from landscape.display import brief

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class ThinProduct:
    """The factors of a product without activations; all of them may carry batch dimensions.

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
            suffixes.insert(0, suffixes[0] @ layer)
        return cls(features, layers, suffixes)

    def product(self) -> Float[Tensor, "*b k m"]:
        """Returns Z."""
        return self.suffixes[0] @ self.features

    def pulled(self, error: Float[Tensor, "*b k m"]) -> list[Tensor]:
        """Returns C_0, .., C_{L-1}."""
        results = [error @ self.features.mT]
        for layer in self.layers[:-1]:
            results.append(results[-1] @ layer.mT)
        return results

    def gradient(self, error: Float[Tensor, "*b k m"]) -> list[Tensor]:
        """Returns the derivatives with respect to H, W_1, .., W_L, given that with respect to Z."""
        *inner, last = self.pulled(error)
        hidden = [suffix.mT @ part for suffix, part in zip(self.suffixes[1:], inner, strict=True)]
        return [self.suffixes[0].mT @ error, *hidden, last]

    def linearize(self, error: Float[Tensor, "*b k m"], curve: Map) -> Callable[[list[Tensor]], list[Tensor]]:
        """Returns the map of a change of the factors to the change of `gradient`.

        Args:
            error: The derivative with respect to Z.
            curve: The map of a change of Z to the change of `error`.
        """
        pulled = self.pulled(error)
        hidden = range(len(self.layers) - 1)

        def product(turns: list[Tensor]) -> list[Tensor]:
            # Sums in place: with a block of directions a fresh result costs as much as the product that fills it.
            tangent, *swings = turns
            bent = [swings[-1]]  # the changes of the suffixes
            for i in reversed(hidden):
                bent.insert(0, (bent[0] @ self.layers[i]).add_(self.suffixes[i + 1] @ swings[i]))
            change = curve((bent[0] @ self.features).add_(self.suffixes[0] @ tangent))
            parts = [(bent[0].mT @ error).add_(self.suffixes[0].mT @ change)]
            moved = (change @ self.features.mT).add_(error @ tangent.mT)  # the change of `pulled`
            for i in hidden:
                parts.append((bent[i + 1].mT @ pulled[i]).add_(self.suffixes[i + 1].mT @ moved))
                moved = (moved @ self.layers[i].mT).add_(pulled[i] @ swings[i].mT)
            return [*parts, moved]

        return product
