"""The Hessian and the Gauss-Newton matrix of a torch module's loss over a data set.

The module is called through `torch.func.functional_call`, so nothing is written to it: no `.grad`, no mode, no buffer. Frozen
parameters (`requires_grad=False`) and buffers are constants. All of them are copied when the loss is made: what is done to the
module later does not move the point.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from landscape.curvature.operators.operator import CHUNK, linearized
from landscape.display import brief
from landscape.errors import InputError

LossReduction = Literal["mean", "sum"]
BatchLoss = Callable[[Tensor, Tensor], Tensor]
Tangent = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class ModuleLoss:
    """loss(module(inputs), targets) over all batches, plus decay / 2 times the squared norm of the trained parameters.

    Attributes:
        module: In the mode it is to be analysed in; batch normalisation must be in evaluation mode and dropout off.
        loss: Maps outputs and targets to a scalar.
        data: Batches of (inputs, targets), iterable again and again: a list or a loader without shuffling by an unseeded sampler.
        decay: lambda of the weight decay that is part of the loss.
        reduction: "mean" if `loss` averages over the samples of a batch (batches then count by their size), "sum" if it adds.

    Raises:
        InputError: If there is nothing to train, the data are empty or an iterator, batch normalisation is in training mode, the
            parameters differ in dtype or device, the decay is negative, or two evaluations of the same batch differ (dropout on).

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> network = torch.nn.Linear(3, 2, bias=False).double()
        >>> batch = (torch.eye(3, dtype=torch.float64), torch.tensor([0, 1, 1]))
        >>> loss = ls.ModuleLoss(network, torch.nn.functional.cross_entropy, [batch], decay=0.1)
        >>> loss.theta.numel(), bool(loss(loss.theta) > 0)
        (6, True)
    """

    module: nn.Module
    loss: BatchLoss
    data: Iterable[tuple[Tensor, Tensor]]
    decay: float = 0.0
    reduction: LossReduction = "mean"

    __repr__ = brief

    def __post_init__(self) -> None:
        if not self._trained:
            raise InputError("expected a module with trainable parameters, got none: is everything frozen?")
        if len({(p.dtype, p.device) for p in self._trained.values()}) > 1:
            raise InputError("expected parameters of one dtype and device, got several: call module.to(dtype, device)")
        if not 0 <= self.decay < float("inf"):
            raise InputError(f"expected a finite decay >= 0, got {self.decay}")
        if isinstance(self.data, Iterator):
            raise InputError("expected data that can be iterated again, got an iterator: pass a list or a DataLoader")
        normalising = [name for name, part in self.module.named_modules() if _is_normalising(part)]
        if normalising:
            raise InputError(f"expected batch normalisation in evaluation mode, got {normalising[0]} training: call module.eval()")
        if self.samples == 0:
            raise InputError("expected at least one sample, got empty data")
        inputs, targets = next(iter(self.data))
        with torch.no_grad():
            first, again = (self.loss(self.outputs(self.theta, inputs), targets) for _ in range(2))
        if first.numel() != 1:
            raise InputError(f"expected a scalar loss, got shape {tuple(first.shape)}: use a loss that reduces")
        if not torch.equal(first, again) and bool(torch.isfinite(first).all()):
            raise InputError("expected a deterministic module, got two losses for one batch: is dropout on? call module.eval()")

    @property
    def _trained(self) -> dict[str, nn.Parameter]:
        return {name: parameter for name, parameter in self.module.named_parameters() if parameter.requires_grad}

    @cached_property
    def samples(self) -> int:
        """Samples in all batches."""
        return sum(len(targets) for _, targets in self.data)

    @cached_property
    def theta(self) -> Float[Tensor, " p"]:
        """The trained parameters as one flat vector, in the module's order; a copy."""
        return torch.cat([parameter.detach().flatten() for parameter in self._trained.values()])

    @cached_property
    def layers(self) -> dict[str, slice]:
        """The range of each parameter tensor in the flat vector."""
        ranges, start = {}, 0
        for name, parameter in self._trained.items():
            ranges[name] = slice(start, start + parameter.numel())
            start += parameter.numel()
        return ranges

    @cached_property
    def _constants(self) -> dict[str, Tensor]:
        """Copies of what is not trained, by place."""
        frozen = {name: p.detach().clone() for name, p in _places(self.module, "named_parameters") if not p.requires_grad}
        return frozen | {name: buffer.detach().clone() for name, buffer in _places(self.module, "named_buffers")}

    @cached_property
    def _homes(self) -> dict[str, str]:
        """The name in `layers` of what stands at every place of a trained parameter; a tied one has several places."""
        names = {id(parameter): name for name, parameter in self._trained.items()}
        return {place: names[id(p)] for place, p in _places(self.module, "named_parameters") if p.requires_grad}

    @cached_property
    def _shapes(self) -> dict[str, torch.Size]:
        return {name: parameter.shape for name, parameter in self._trained.items()}

    def outputs(self, theta: Float[Tensor, " p"], inputs: Tensor) -> Tensor:
        """Returns the module's outputs as a function of the flat vector."""
        parts = theta.split([shape.numel() for shape in self._shapes.values()])
        shaped = {name: part.view(shape) for (name, shape), part in zip(self._shapes.items(), parts, strict=True)}
        placed = {place: shaped[name] for place, name in self._homes.items()}
        # Places are named here, not tied by torch: with a shared submodule its own restoring leaves the module broken.
        result: Tensor = torch.func.functional_call(self.module, placed | self._constants, (inputs,), tie_weights=False)
        return result

    def weight(self, targets: Tensor) -> float:
        """Returns what a batch's loss counts in the total."""
        return len(targets) / self.samples if self.reduction == "mean" else 1.0

    def __call__(self, theta: Float[Tensor, " p"]) -> Float[Tensor, ""]:
        """Returns the loss over all batches, weight decay included."""
        total = self.decay / 2 * theta.square().sum()
        for inputs, targets in self.data:
            total = total + self.weight(targets) * self.loss(self.outputs(theta, inputs), targets)
        return total


@dataclass(frozen=True)
class ModuleHessian:
    """The Hessian of a module's loss.

    Every batch is linearised once, at the first product, and the linear maps are kept: products cost no forward pass, and the
    activations of all batches stay in memory. With `keep=False` each block of products linearises anew and only one batch's
    activations exist at a time. Where the module has a kink (ReLU at 0) there is no Hessian, and this class cannot see it.

    Attributes:
        problem: The loss.
        keep: Whether to keep the linear maps.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> network = torch.nn.Linear(3, 2, bias=False).double()
        >>> batch = (torch.eye(3, dtype=torch.float64), torch.tensor([0, 1, 1]))
        >>> loss = ls.ModuleLoss(network, torch.nn.functional.cross_entropy, [batch], decay=0.1)
        >>> count = ls.nullity(ls.ModuleHessian(loss), ls.Dense())  # weight decay leaves nothing flat
        >>> count.count, count.negative
        (0, 0)
    """

    problem: ModuleLoss
    keep: bool = True

    @property
    def size(self) -> int:
        """The number of trained parameters."""
        return self.problem.theta.numel()

    @property
    def like(self) -> Tensor:
        """The parameters."""
        return self.problem.theta

    @property
    def layers(self) -> dict[str, slice]:
        """The range of each parameter tensor, for `DiagonalBlock` and `OffDiagonalBlock`."""
        return self.problem.layers

    def _tangents(self) -> Iterator[tuple[float, Tangent]]:
        for inputs, targets in self.problem.data:

            def batch_loss(theta: Tensor, inputs: Tensor = inputs, targets: Tensor = targets) -> Tensor:
                return self.problem.loss(self.problem.outputs(theta, inputs), targets)

            _, tangent = linearized(torch.func.grad(batch_loss), self.problem.theta)
            yield self.problem.weight(targets), torch.vmap(tangent, in_dims=1, out_dims=1)

    @cached_property
    def _kept(self) -> list[tuple[float, Tangent]]:
        return list(self._tangents())

    def __matmul__(self, block: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
        return _accumulate(self._kept if self.keep else self._tangents(), self.problem.decay, block)


@dataclass(frozen=True)
class ModuleGaussNewton:
    """The generalised Gauss-Newton matrix J' (d^2 loss / d outputs^2) J of a module's loss, plus the decay.

    Positive semi-definite for a convex loss; it equals the Hessian where the outputs are linear in the parameters.

    Attributes:
        problem: The loss.
        keep: As in `ModuleHessian`.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> network = torch.nn.Linear(3, 2, bias=False).double()
        >>> batch = (torch.eye(3, dtype=torch.float64), torch.tensor([0, 1, 1]))
        >>> loss = ls.ModuleLoss(network, torch.nn.functional.cross_entropy, [batch], decay=0.1)
        >>> newton, hessian = ls.ModuleGaussNewton(loss), ls.ModuleHessian(loss)
        >>> torch.allclose(ls.dense(newton), ls.dense(hessian))  # the outputs are linear in the parameters
        True
    """

    problem: ModuleLoss
    keep: bool = True

    @property
    def size(self) -> int:
        """The number of trained parameters."""
        return self.problem.theta.numel()

    @property
    def like(self) -> Tensor:
        """The parameters."""
        return self.problem.theta

    @property
    def layers(self) -> dict[str, slice]:
        """The range of each parameter tensor, for `DiagonalBlock` and `OffDiagonalBlock`."""
        return self.problem.layers

    def _tangents(self) -> Iterator[tuple[float, Tangent]]:
        for inputs, targets in self.problem.data:

            def outputs(theta: Tensor, inputs: Tensor = inputs) -> Tensor:
                return self.problem.outputs(theta, inputs)

            def loss(values: Tensor, targets: Tensor = targets) -> Tensor:
                return self.problem.loss(values, targets)

            product = gauss_newton_product(outputs, loss, self.problem.theta)
            yield self.problem.weight(targets), product

    @cached_property
    def _kept(self) -> list[tuple[float, Tangent]]:
        return list(self._tangents())

    def __matmul__(self, block: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
        return _accumulate(self._kept if self.keep else self._tangents(), self.problem.decay, block)


@dataclass(frozen=True)
class GaussNewton:
    """The Gauss-Newton matrix of loss(outputs(theta)), for a loss on one flat vector.

    Attributes:
        outputs: Maps the flat vector to outputs.
        loss: Maps outputs to a scalar.
        at: The point.
        decay: Added on the diagonal.
    """

    outputs: Callable[[Tensor], Tensor]
    loss: Callable[[Tensor], Tensor]
    at: Float[Tensor, " p"]
    decay: float = 0.0

    __repr__ = brief

    @property
    def size(self) -> int:
        """The number of parameters."""
        return self.at.numel()

    @property
    def like(self) -> Tensor:
        """The point."""
        return self.at

    @cached_property
    def _product(self) -> Tangent:
        return gauss_newton_product(self.outputs, self.loss, self.at)

    def __matmul__(self, block: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
        return _accumulate([(1.0, self._product)], self.decay, block)


def gauss_newton_product(outputs: Callable[[Tensor], Tensor], loss: Callable[[Tensor], Tensor], at: Tensor) -> Tangent:
    """Returns the map of a block of columns to its Gauss-Newton products; outputs and loss are linearised once."""
    value, push = linearized(outputs, at)
    _, bend = linearized(torch.func.grad(loss), value.detach())
    pull = torch.func.vjp(outputs, at)[1]

    def product(direction: Tensor) -> Tensor:
        result: Tensor = pull(bend(push(direction)))[0]
        return result

    return torch.vmap(product, in_dims=1, out_dims=1)


def _accumulate(tangents: Iterable[tuple[float, Tangent]], decay: float, block: Tensor) -> Tensor:
    """Returns decay * block plus the weighted products of every batch, CHUNK columns at a time."""
    parts = block.split(CHUNK, dim=1)
    totals = [decay * part for part in parts]
    for weight, tangent in tangents:
        totals = [total + weight * tangent(part) for total, part in zip(totals, parts, strict=True)]
    return torch.cat(totals, dim=1).detach()


def _places(module: nn.Module, kind: Literal["named_parameters", "named_buffers"]) -> Iterator[tuple[str, Tensor]]:
    """Returns every place of a parameter or buffer: each attribute of each submodule once, under one name of that submodule."""
    for prefix, part in module.named_modules():
        yield from getattr(part, kind)(prefix, recurse=False, remove_duplicate=False)


def _is_normalising(part: nn.Module) -> bool:
    return isinstance(part, nn.modules.batchnorm._BatchNorm) and part.training
