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
from landscape.model.thin_matmul import RowKernels, Stack, add_times, times

Map = Callable[..., Tensor]  # of a tensor, with the memory of the result if it is given
AddProducts = Callable[..., None]  # given changes of the factors, also transposed, adds their products to results, in place


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
        forward, hidden, bare = self.forward, range(len(self.forward.layers) - 1), [Stack()] * len(self.forward.layers)
        layers, suffixes, features = forward.layers, forward.suffixes, forward.features
        backwards = list(zip(suffixes, [self.error, *self.pulled], [features.mT, *(layer.mT for layer in layers)], strict=False))

        def add_products(changes: list[Tensor], turned: list[Tensor], results: list[Tensor], stacks: list[Stack] = bare) -> None:
            times, add_times, add_outer, add_last = RowKernels.of(results[0])
            bent = changes[-1:]  # the changes of the suffixes, the last first
            for i in reversed(hidden):
                bent.append(times(bent[-1], layers[i], out=stacks[i].first))
                add_times(bent[-1], suffixes[i + 1], changes[i + 1])
            moved = times(bent[-1], features)
            add_times(moved, suffixes[0], changes[0])
            moved = curve(moved, stacks[0].second)  # the change of E, then those of `pulled`
            for i, (suffix, at, wide) in enumerate(backwards):
                add_outer(results[i], bent.pop(), at, suffix, moved, stacks[i])
                if not bent:  # behind the last layer comes no other
                    add_last(results[-1], moved, wide, at, turned[i])
                    break
                moved = times(moved, wide, out=stacks[i + 1].second)
                add_times(moved, at, turned[i])

        return add_products

    def stacks(self, direction: Float[Tensor, " p"], behind: Float[Tensor, " q"]) -> list[Stack]:
        """Returns memory for what is added to each factor but the last, for one vector.

        Args:
            direction: The vector that will be multiplied.
            behind: The memory after it, as large as W_L, which is written there: below its own change.
        """
        suffixes, rows, stacks = self.forward.suffixes, len(self.error), []
        behind.copy_(suffixes[-1].flatten())
        for suffix, at in zip(suffixes, [self.error, *self.pulled], strict=False):
            wide = at.new_empty(2 * rows, at.shape[1])
            wide[:rows].copy_(at)
            if suffix is suffixes[-1]:
                thin = direction.as_strided((2 * rows, suffix.shape[1]), (suffix.shape[1], 1), direction.numel() - suffix.numel())
            else:
                thin = suffix.new_empty(2 * rows, suffix.shape[1])
                thin[rows:].copy_(suffix)
            stacks.append(Stack(thin.mT, wide, thin[:rows], wide[rows:]))
        return stacks
