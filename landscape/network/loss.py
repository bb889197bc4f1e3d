"""The loss of a torch module over a data set, as a function of one flat vector of parameters."""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from landscape.curvature.operators.reverse import gradient, one_line, plain_autograd, right_operations, scalar
from landscape.display import brief
from landscape.errors import InputError
from landscape.network.checks import require_sound_loss
from landscape.network.data import Adapter, Batch, batch_of, pair, require_again
from landscape.network.functional import FlatModule, placed
from landscape.network.shards import require_one_point, summed, together
from landscape.network.trees import tensors

LossReduction = Literal["mean", "sum"]
Loss = Callable[[Any, Any], Tensor]
Decay = float | Mapping[str, float] | Callable[[str, Tensor], float]


def own_loss(outputs: Any, targets: Any) -> Tensor:
    """Returns the loss that a model computed itself: the entry or attribute `loss` of its outputs. Targets are not used.

    Raises:
        InputError: If the outputs have none.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> float(ls.own_loss({"loss": torch.tensor(0.5), "logits": torch.zeros(2)}, None))
        0.5
    """
    value = outputs.get("loss") if isinstance(outputs, Mapping) else getattr(outputs, "loss", None)
    if value is None:
        raise InputError(f"expected outputs with a loss, got {_described(outputs)}: are the labels among the model's arguments?")
    return value


def on(name: str, loss: Loss) -> Loss:
    """Returns a loss that is given one entry or attribute of the outputs, such as `on("logits", cross_entropy)`."""

    def applied(outputs: Any, targets: Any) -> Tensor:
        found = outputs.get(name) if isinstance(outputs, Mapping) else getattr(outputs, name, None)
        if found is None:
            raise InputError(f"expected outputs with {name!r}, got {_described(outputs)}: name another entry")
        return loss(found, targets)

    return applied


def _described(outputs: Any) -> str:
    if isinstance(outputs, Mapping):
        return f"a {type(outputs).__name__} with {sorted(map(str, outputs))[:6]}"
    return f"a {type(outputs).__name__}"


@dataclass(frozen=True)
class ModuleLoss:
    """loss(module(inputs), targets) over all batches, plus decay / 2 times the squared norms of the trained parameters.

    The parameters, buffers and modes are copied when the loss is made: what is done to the module later does not move the point,
    and nothing is written to the module. What is checked then, on the first batches: that module and loss can be called, twice
    with one result; that the loss of a batch is the weighted sum of the losses of two unequal parts, and that of two batches the
    weighted sum of theirs; that the gradient is the module's own; that no tensor outside the parameters is trained; that
    the data are the same at every reading.

    Attributes:
        module: Module in the mode it is to be analysed in; batch normalisation must be in evaluation mode and dropout off. Wrappers
            of torch.compile, data parallelism and Fabric are taken off.
        loss: Maps outputs and targets to a scalar; `own_loss` takes the loss that the model returns, `on` one of its outputs.
        data: Batches of (inputs, targets), iterable again and again with the same result. Inputs that are a mapping are named
            arguments of the module, a tuple or list positional ones. Batches of another kind need an `adapter`.
        decay: lambda of the weight decay that is part of the loss: one number, numbers by parameter name (others have none), or a
            function of name and tensor.
        reduction: "mean" if `loss` averages over the samples of a batch (batches then count by their size), "sum" if it adds.
        weight: Weight of a batch in the mean, for a loss that averages over something else than samples, such as tokens that are
            not padding: a function of the batch as the data give it. The total is the weighted mean over batches.
        adapter: Maps a batch of the data to (inputs, targets); `keywords()` serves dictionaries of named arguments.
        axis: The axis of inputs and targets that counts the samples: 0, or 1 where time comes first.
        dtype: Type that floating-point parameters, buffers and data are converted to; None for no conversion. A count needs
            float64.
        point: The parameters to analyse; None for those of the module. See `at`.
        check: Whether the checks that call the module are made; they cost about ten gradients of one batch.
        group: Ranks over which the data are spread: `data` is then this rank's shard, everything else is the same on all, and
            every rank makes the same calls. None if all data are here.

    Raises:
        InputError: If a check fails, there is nothing to train, the data are empty or an iterator, a module is in training mode
            whose training mode is random or couples samples, the parameters differ in dtype or device or have fewer digits than
            float32, or a decay is negative.

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
    loss: Loss
    data: Iterable[Any]
    decay: Decay = 0.0
    reduction: LossReduction = "mean"
    weight: Callable[[Any], float | Tensor] | None = None
    adapter: Adapter = pair
    axis: int = 0
    dtype: torch.dtype | None = None
    point: Float[Tensor, " p"] | None = None
    check: bool = True
    group: ProcessGroup | None = None

    __repr__ = brief

    def __post_init__(self) -> None:
        if self.reduction not in ("mean", "sum"):
            raise InputError(f'expected reduction "mean" or "sum", got {self.reduction!r}')
        if self.axis not in (0, 1):
            raise InputError(f"expected the samples on axis 0 or 1, got {self.axis}: transpose the data")
        require_again(self.data)
        with torch.inference_mode(False):
            theta = self.theta
        if not theta.is_meta and not bool(torch.isfinite(theta).all()):
            raise InputError("expected finite parameters, got NaN or infinity: has training diverged?")
        require_one_point(self.group, theta, self.decays)
        with plain_autograd(theta.device):
            together(self.group, partial(require_sound_loss, self), theta)
            _ = self._counted

    @cached_property
    def _made(self) -> tuple[FlatModule, Tensor]:
        return FlatModule.of(self.module, self.dtype)

    @property
    def flat(self) -> FlatModule:
        """The module as a function of the flat vector."""
        return self._made[0]

    @cached_property
    def theta(self) -> Float[Tensor, " p"]:
        """The trained parameters as one flat vector, in the module's order; a copy."""
        own = self._made[1]
        if self.point is None:
            return own
        if self.point.shape != own.shape:
            raise InputError(f"expected a point of {own.numel()} parameters, got shape {tuple(self.point.shape)}")
        return self.point.detach().to(own).clone()

    @cached_property
    def decays(self) -> Float[Tensor, " p"]:
        """The weight decay of every parameter."""
        return _decays(self.decay, self.flat.split(self.theta))

    @cached_property
    def layers(self) -> dict[str, slice]:
        """The range of each parameter tensor in the flat vector."""
        ranges, start = {}, 0
        for name, shape in self.flat.shapes.items():
            ranges[name] = slice(start, start + shape.numel())
            start += shape.numel()
        return ranges

    def at(self, theta: Float[Tensor, " p"]) -> "ModuleLoss":
        """Returns the same loss at another point; data and module are not checked again.

        Raises:
            InputError: If the point has another length or an entry that is not finite.
        """
        if theta.shape != self.theta.shape:
            raise InputError(f"expected a point of {self.theta.numel()} parameters, got shape {tuple(theta.shape)}")
        with torch.inference_mode(False):
            point = theta.detach().to(self.theta).clone()
        if not bool(torch.isfinite(point).all()):
            raise InputError("expected finite parameters, got NaN or infinity")
        moved = copy.copy(self)
        vars(moved).update(point=point, theta=point)
        return moved

    def batches(self) -> Iterator[Batch]:
        """Yields the batches with their inputs, targets and number of samples, on the device of the parameters."""
        for raw in self.data:
            with one_line("batches that the adapter can take", "pass an adapter that returns (inputs, targets)"):
                inputs, targets = self.adapter(raw)
            inputs, targets = (placed(tree, self.dtype, self.theta.device) for tree in (inputs, targets))
            yield batch_of(raw, inputs, targets, self.axis)

    @property
    def samples(self) -> int:
        """Samples in all batches, of all ranks."""
        return self._counted[0]

    @cached_property
    def own_samples(self) -> int:
        """Samples in the batches of this rank."""
        return sum(batch.samples for batch in self.batches())

    @cached_property
    def _counted(self) -> tuple[int, float]:
        """The samples of all batches, and what all batches count together in the mean, over all ranks."""

        def count() -> tuple[int, float]:
            measures = [(batch.samples, self.measure(batch)) for batch in self.batches()]
            return sum(samples for samples, _ in measures), math.fsum(measure for _, measure in measures)

        if self.group is None:
            samples, total = count()
        else:
            like = self.theta.new_zeros(2, dtype=torch.float64)
            totals = summed(self.group, lambda: like.new_tensor(count()), like)
            samples, total = int(totals[0]), float(totals[1])
        if not total > 0:
            raise InputError("expected batches that count something in the mean, got a total weight of 0: are all targets ignored?")
        return samples, total

    def measure(self, batch: Batch) -> float:
        """Returns what a batch counts in the mean before division by the sum over all: its samples, unless told otherwise.

        Raises:
            InputError: If `weight` gives no finite number >= 0.
        """
        if self.weight is not None:
            with one_line("a weight of every batch", "weight is called with the batch as the data give it"):
                value = float(self.weight(batch.raw))
            if not 0 <= value < float("inf"):
                raise InputError(f"expected a finite weight >= 0 of a batch, got {value}")
            return value
        return _criterion_measure(self.loss, batch)

    def share(self, batch: Batch) -> float:
        """Returns the factor of a batch's loss in the total."""
        return self.measure(batch) / self._counted[1] if self.reduction == "mean" or self.weight is not None else 1.0

    def outputs(self, theta: Float[Tensor, " p"], inputs: Any) -> Any:
        """Returns the module's outputs as a function of the flat vector."""
        return self.flat(theta, inputs)

    def batch_loss(self, theta: Float[Tensor, " p"], batch: Batch) -> Float[Tensor, ""]:
        """Returns the loss of one batch, neither weighted nor with decay.

        Raises:
            InputError: If the loss cannot be called with the outputs and targets, or returns no scalar.
        """
        with right_operations():
            return self.criterion(self.outputs(theta, batch.inputs), batch)

    def criterion(self, outputs: Any, batch: Batch) -> Float[Tensor, ""]:
        """Returns the loss of outputs against a batch's targets, without axes."""
        kinds = ", ".join(sorted({str(leaf.dtype).removeprefix("torch.") for leaf in tensors((outputs, batch.targets))}))
        remedy = (
            f"outputs are {_described(outputs)}, types {kinds}; pass loss= a function of outputs and targets, or dtype= to convert"
        )
        with one_line("a loss that can be called with outputs and targets", remedy):
            value = scalar(self.loss(outputs, batch.targets))
        if value.dtype != self.theta.dtype:
            raise InputError(
                f"expected a loss in the precision of the parameters, {self.theta.dtype}, got {value.dtype}: pass dtype=, or "
                "a loss that does not convert"
            )
        return value

    def __call__(self, theta: Float[Tensor, " p"]) -> Float[Tensor, ""]:
        """Returns the loss over all batches, weight decay included.

        Raises:
            InputError: If the data are spread over ranks and a gradient would flow: only `gradient` and the operators have one.
        """
        if self.group is not None and theta.requires_grad and torch.is_grad_enabled():
            raise InputError("expected a point without gradient where ranks share the data: use gradient() or ModuleHessian")

        def data() -> Tensor:
            total = theta.new_zeros(())
            for batch in self.batches():
                total = total + self.share(batch) * self.batch_loss(theta, batch)
            return total

        return (self.decays * theta.square()).sum() / 2 + summed(self.group, data, theta.new_zeros(()))

    def gradient(self, theta: Float[Tensor, " p"] | None = None) -> tuple[Float[Tensor, ""], Float[Tensor, " p"]]:
        """Returns the loss and its gradient at a point (None: at `theta`); one batch's activations exist at a time."""
        with plain_autograd(self.theta.device):
            at = (self.theta if theta is None else theta).detach().to(self.theta)

            def data() -> Tensor:
                total = at.new_zeros(len(at) + 1)
                for batch in self.batches():
                    value, slope = gradient(partial(self.batch_loss, batch=batch), at)
                    total = total + self.share(batch) * torch.cat([value[None], slope])
                return total

            total, decay = summed(self.group, data, at.new_zeros(len(at) + 1)), self.decays * at
            return total[0] + (decay * at).sum() / 2, total[1:] + decay


def _decays(decay: Decay, tensors_by_name: dict[str, Tensor]) -> Float[Tensor, " p"]:
    """Returns the decay of every parameter.

    Raises:
        InputError: If a decay is negative or not finite, or a name is no trained parameter.
    """
    if isinstance(decay, Mapping):
        unknown = sorted(set(decay) - set(tensors_by_name))
        if unknown:
            raise InputError(f"expected decays of trained parameters {list(tensors_by_name)[:6]}, got {unknown[0]!r}")
    parts = []
    for name, value in tensors_by_name.items():
        if callable(decay):
            each = float(decay(name, value.detach()))
        else:
            each = float(decay.get(name, 0.0) if isinstance(decay, Mapping) else decay)
        if not 0 <= each < float("inf"):
            raise InputError(f"expected a finite decay >= 0, got {each:g} for {name}")
        parts.append(torch.full((value.numel(),), each, dtype=value.dtype, device=value.device))
    return torch.cat(parts)


def _criterion_measure(loss: Loss, batch: Batch) -> float:
    """Returns the samples of a batch, or what torch's cross-entropy divides by where it has class weights or an ignored index."""
    targets = batch.targets
    if not isinstance(loss, nn.CrossEntropyLoss | nn.NLLLoss) or loss.reduction != "mean":
        return float(batch.samples)
    if not isinstance(targets, Tensor) or targets.is_floating_point() or targets.is_meta:
        return float(batch.samples)
    kept = targets[targets != loss.ignore_index]
    return float(len(kept) if loss.weight is None else loss.weight.to(kept.device).double()[kept].sum())
