"""Gradients of a module's data loss at random parameters, which say what leaves it unchanged: on any inputs, or on the data alone.

Weight decay is no part of these losses. Inputs are drawn in the shape of the data: real numbers with the mean and spread of their
tensor, integers between the smallest and the largest that the data hold. Truth values, and integers that are 0 or 1 or negative
somewhere, are masks or labels and stay as they are, and so do the targets.
"""

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.krylov import seeded
from landscape.curvature.operators.reverse import gradient, plain_autograd
from landscape.display import brief
from landscape.errors import InputError
from landscape.network.data import Batch, part
from landscape.network.loss import ModuleLoss
from landscape.network.shards import of_first, summed
from landscape.network.trees import mapped

_FEW = 8  # samples of a probe on random inputs: a symmetry holds for each of them, so few are enough
_LEAST = 0.1  # of a usual initialisation
_TRIES = 3  # wider moves of the parameters may leave the domain of a loss; then a narrower one is tried

Key = TypeVar("Key", bound=Hashable)
Draw = Callable[[Batch, torch.Generator], Batch]


@dataclass(frozen=True)
class Slope:
    """The gradient of a data loss at random parameters.

    Attributes:
        values: The parameters by name.
        gradients: The gradient by parameter name.
        norm: Norm of the whole gradient.
    """

    values: dict[str, Tensor]
    gradients: dict[str, Tensor]
    norm: float

    __repr__ = brief


@dataclass(frozen=True)
class Probes:
    """Draws gradients of a module's data loss.

    Attributes:
        problem: The loss; its point gives the sizes of the random parameters.
        on_data: Whether the inputs are the data, all of them, or random.
        draw: Replaces a batch's inputs by random ones; see the module for the default.
        seed: Seed of parameters and inputs.
    """

    problem: ModuleLoss
    on_data: bool
    draw: Draw | None = None
    seed: int = 0

    __repr__ = brief

    @cached_property
    def generator(self) -> torch.Generator:
        """The stream of all draws."""
        return seeded(self.seed, "probes on data" if self.on_data else "probes")

    @cached_property
    def spreads(self) -> Float[Tensor, " p"]:
        """The root mean square of every parameter's tensor, and at least a part of that of a usual initialisation.

        Decay takes whole tensors to 1e-30: so near to zero the loss sees nothing of them, and they would pass for unused.
        """
        values = self.problem.flat.split(self.problem.theta)
        sizes = [
            torch.full(
                (value.numel(),), max(float(value.square().mean().sqrt()), _LEAST / math.sqrt(max(value.shape[-1:], default=1)))
            )
            for value in values.values()
        ]
        return torch.cat(sizes).to(self.problem.theta)

    @cached_property
    def _few(self) -> Batch:
        batch = next(self.problem.batches())
        if batch.units <= _FEW:
            return batch
        fewer = part(batch, 0, _FEW, self.problem.axis)
        try:
            with plain_autograd(self.problem.theta.device):
                value = self.problem.batch_loss(self.problem.theta, fewer)
        except InputError:  # a loss that needs its whole batch
            return batch
        return fewer if bool(torch.isfinite(value)) else batch

    def inputs(self) -> Batch:
        """Returns a batch with the inputs of the data drawn anew."""
        return (self.draw or random_inputs)(self._few, self.generator)

    def slope(self) -> Slope:
        """Returns a gradient at fresh parameters, and on fresh inputs unless on the data.

        Raises:
            InputError: If no finite gradient is found.
        """
        problem = self.problem
        for halved in range(_TRIES):
            theta = problem.theta
            drawn = torch.randn(theta.numel(), generator=self.generator, dtype=torch.float64).to(theta)
            theta = theta + self.spreads * drawn * 2.0**-halved
            with plain_autograd(theta.device):
                # draws on a shard take more or fewer numbers from the stream than those on another
                theta = of_first(problem.group, theta.clone, theta)
                work = self._of_data if self.on_data else self._of_draw
                result = (summed if self.on_data else of_first)(problem.group, partial(work, theta), theta)
            if bool(torch.isfinite(result).all()):
                split = problem.flat.split
                return Slope(split(theta), split(result), float(result.norm()))
        raise InputError(
            "expected a finite loss at random parameters and inputs, got NaN or infinity: pass draw=, a function of batch and "
            "generator that returns a batch with inputs that the module accepts"
        )

    def equations(
        self, needed: dict[Key, int], asked: Callable[[Slope], Callable[[Key], Float[Tensor, "k u"]]]
    ) -> tuple[dict[Key, Float[Tensor, "e u"]], int]:
        """Returns the equations of as many gradients as every group of unknowns needs, and how many; one exists at a time.

        Args:
            needed: Gradients by group.
            asked: Maps a gradient to the function that gives its equations for a group.
        """
        rows: dict[Key, Tensor] = {}
        most = max(needed.values(), default=0)
        for count in range(most):
            equation = asked(self.slope())
            for key, enough in needed.items():
                if count < enough:
                    row = equation(key)
                    if key not in rows:  # small tensors that stay among large ones that go would leave holes in the memory
                        rows[key] = row.new_empty(enough, *row.shape)
                    rows[key][count] = row
        return {key: each.flatten(0, 1) for key, each in rows.items()}, most

    def _of_data(self, theta: Tensor) -> Tensor:
        result = torch.zeros_like(theta)
        for batch in self.problem.batches():
            result += self.problem.share(batch) * gradient(partial(self.problem.batch_loss, batch=batch), theta)[1]
        return result

    def _of_draw(self, theta: Tensor) -> Tensor:
        return gradient(partial(self.problem.batch_loss, batch=self.inputs()), theta)[1]


def random_inputs(batch: Batch, generator: torch.Generator) -> Batch:
    """Returns a batch with its inputs drawn anew, as the module says."""
    return replace(batch, inputs=mapped(batch.inputs, lambda leaf: _redrawn(leaf, generator)))


def _redrawn(leaf: Tensor, generator: torch.Generator) -> Tensor:
    if not leaf.numel() or leaf.dtype == torch.bool or leaf.is_complex():
        return leaf
    if leaf.is_floating_point():
        if not bool(torch.isfinite(leaf).all()):
            return leaf  # a mask that is added
        drawn = torch.randn(leaf.shape, generator=generator, dtype=torch.float64).to(leaf)
        spread = float(leaf.double().std(correction=0)) or 1.0
        return leaf.double().mean().to(leaf) + spread * drawn
    low, high = int(leaf.min()), int(leaf.max())
    if low < 0 or high <= 1:
        return leaf
    return torch.randint(low, high + 1, leaf.shape, generator=generator).to(leaf)
