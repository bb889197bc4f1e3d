"""The Hessian and the Gauss-Newton matrix of a module's loss, batch by batch, by reverse over reverse."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.curvature.memory import default_bound, require_room
from landscape.curvature.operators.gauss_newton import GaussNewtonGraph
from landscape.curvature.operators.operator import CHUNK
from landscape.curvature.operators.product_checks import (
    WrongProducts,
    difference_quotient_error,
    probes_like,
    require_linear_and_symmetric,
)
from landscape.curvature.operators.reverse import GradientGraph, gradient, plain_autograd
from landscape.display import brief
from landscape.errors import InputError
from landscape.network.data import Batch
from landscape.network.loss import ModuleLoss
from landscape.network.shards import summed, together
from landscape.network.smoothness import kinks, kinks_here
from landscape.network.trees import flattened, refilled, tensors

_CACHED = 16e6  # bytes of the activations of all columns, beyond which a CPU takes longer per column; the best was 8 to 80 MB
_STEP = 1e-3  # relative: a difference quotient with a kink nearer than this proves nothing


@runtime_checkable
class _Graph(Protocol):
    """The kept graph of one batch."""

    def products(self, block: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class _ModuleOperator(ABC):
    """What both operators share: kept graphs, chunks of columns, the memory that they need.

    Attributes:
        problem: The loss and the point.
        keep: Whether to keep the graphs of all batches.
        check: Whether the first batch's products are checked when the operator is made.
        memory: Bytes that the kept graphs and a block of products may use; None for half of the device's memory.
    """

    problem: ModuleLoss
    keep: bool = True
    check: bool = True
    memory: float | None = None

    __repr__ = brief

    def __post_init__(self) -> None:
        if not self.problem.theta.is_meta:
            together(self.problem.group, self._require_sound, self.problem.theta)

    def _require_sound(self) -> None:
        """Asks whether the graphs of this rank fit the memory, and checks the products of its first batch."""
        with plain_autograd(self.problem.theta.device):
            batch = next(self.problem.batches())
            if self.keep:
                # the bytes of one batch tell those of all, before the second is built
                taken, samples = self._measured
                whole = taken * self.problem.own_samples / max(samples, 1)
                require_room(whole, self.problem.theta.device, "pass keep=False, or smaller batches", self.memory)
            else:
                require_room(self._measured[0], self.problem.theta.device, "pass smaller batches", self.memory)
            if self.check:
                graph = self._graph(batch)
                self._check(batch, graph)
                if self.keep:
                    vars(self)["_first"] = graph

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

    @cached_property
    def _measured(self) -> tuple[float, int]:
        """Bytes that the graph of the largest batch keeps, and its samples."""
        sizes: dict[int, int] = {}

        def note(kept: Tensor) -> Tensor:
            sizes[kept.untyped_storage().data_ptr()] = kept.untyped_storage().nbytes()
            return kept

        with torch.autograd.graph.saved_tensors_hooks(note, lambda kept: kept):
            largest = max(self.problem.batches(), key=lambda batch: batch.samples)
            self._graph(largest)
        return float(sum(sizes.values())), largest.samples

    @cached_property
    def _columns(self) -> int:
        """Columns that are differentiated in one batch: each has activations of its own."""
        device = self.problem.theta.device
        if device.type == "meta":
            return CHUNK
        bound, taken = default_bound(device) if self.memory is None else self.memory, max(self._measured[0], 1)
        most = bound / 4 // taken
        if device.type == "cpu":
            most = min(most, _CACHED // taken)
        return int(min(CHUNK, max(1, most)))

    @abstractmethod
    def _graph(self, batch: Batch) -> _Graph:
        """Returns the kept graph of a batch."""

    @abstractmethod
    def _check(self, batch: Batch, graph: _Graph) -> None:
        """Refuses products of a batch that are wrong."""

    def _graphs(self) -> Iterator[tuple[float, _Graph]]:
        first = vars(self).pop("_first", None)  # the graph that was checked, if it was kept
        for batch in self.problem.batches():
            yield self.problem.share(batch), first or self._graph(batch)
            first = None

    @cached_property
    def _kept(self) -> list[tuple[float, _Graph]]:
        return list(self._graphs())

    def __matmul__(self, block: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
        with plain_autograd(self.problem.theta.device):
            block = block.detach()

            def data() -> Tensor:
                total = torch.zeros_like(block)
                parts = list(zip(total.split(self._columns, dim=1), block.split(self._columns, dim=1), strict=True))
                graphs: Iterable[tuple[float, _Graph]] = self._kept if self.keep else self._graphs()
                for share, graph in graphs:
                    for into, part in parts:
                        into.add_(graph.products(part), alpha=share)
                return total

            return summed(self.problem.group, data, block).addcmul_(self.problem.decays[:, None], block)


@dataclass(frozen=True)
class ModuleHessian(_ModuleOperator):
    """The Hessian of a module's loss.

    The graph of every batch's gradient is built once, at the first product, and kept: products cost no forward pass, and the
    activations of all batches stay in memory. With `keep=False` each block of products builds them anew and only one batch's
    activations exist at a time. Blocks are differentiated in batches where torch can, else column by column.

    When it is made, the products of the first batch are checked: the same twice, linear, symmetric, and equal to a difference
    quotient of gradients. Where the module has a kink near the point (ReLU at 0) the quotient says nothing and is not asked.

    Attributes:
        problem: The loss, at the point where the Hessian is taken.
        keep: Whether to keep the graphs of all batches.
        check: Whether the products of the first batch are checked, which costs about fifteen gradients of it.
        memory: Bytes that the kept graphs may use; None for half of the memory of the device.

    Raises:
        InputError: If a check fails, torch cannot differentiate the loss twice, or the graphs do not fit the memory.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> network = torch.nn.Linear(3, 2, bias=False).double()
        >>> batch = (torch.eye(3, dtype=torch.float64), torch.tensor([0, 1, 1]))
        >>> loss = ls.ModuleLoss(network, torch.nn.functional.cross_entropy, [batch], decay=0.1)
        >>> count = ls.nullity(ls.ModuleHessian(ls.polish(loss).problem), ls.Dense())  # weight decay leaves nothing flat
        >>> count.count, count.negative, count.resolved
        (0, 0, True)
    """

    def measured_radius(self) -> float:
        """Returns the norm of the loss's gradient at the point, which `nullity` takes as its gradient radius.

        A flat direction of a symmetry has an eigenvalue of at most about this size where the point is not exactly critical.

        Raises:
            InputError: If the point is near a kink, or the parameters are in float32: neither allows a count.
        """
        if self.problem.theta.dtype != torch.float64:
            raise InputError("expected float64 for a count, got float32: pass dtype=torch.float64 to ModuleLoss")
        found = kinks(self.problem)
        if found.near:
            raise InputError(
                f"expected a smooth loss for a count, got {found.near} pre-activations of {found.watched} within "
                f"{found.tolerance:g} of a kink ({found.operation}): there is no Hessian; use a smooth activation"
            )
        return float(self.problem.gradient()[1].norm())

    def _graph(self, batch: Batch) -> GradientGraph:
        return GradientGraph.of(lambda theta: self.problem.batch_loss(theta, batch), self.problem.theta)

    def _check(self, batch: Batch, graph: _Graph) -> None:
        problem = self.problem
        probes = probes_like(problem.theta)
        images = require_linear_and_symmetric(graph.products, probes)

        def slope(theta: Tensor) -> Tensor:
            return gradient(lambda at: problem.batch_loss(at, batch), theta)[1]

        direction, image = probes[:, 0], images[:, 0]
        if held := problem.flat.held:  # a padding row is a constant to gradients, so it may not move in the quotient
            direction = direction.clone()
            for name, row in held.items():
                problem.flat.split(direction)[name][row] = 0
            image = graph.products(direction[:, None])[:, 0]
        error = difference_quotient_error(slope, problem.theta, direction, image)
        if not error <= 1 and not kinks_here(problem, _STEP).near:
            raise WrongProducts(
                f"expected products equal to differences of gradients, got {error:.1e} times the allowed difference: a backward "
                "pass is wrong, activation checkpointing is on, or the point is at a kink; pass check=False to go on without"
            )


@dataclass(frozen=True)
class ModuleGaussNewton(_ModuleOperator):
    """The generalised Gauss-Newton matrix J' (d^2 loss / d outputs^2) J of a module's loss, plus the decay.

    Positive semi-definite for a convex loss; it equals the Hessian where the outputs are linear in the parameters. Only reverse
    passes are used: J v is the derivative of J'w along v. Outputs may be any container of tensors.

    Attributes:
        problem: The loss, at the point where the matrix is taken.
        keep: Whether to keep the graphs of all batches, as in `ModuleHessian`.
        check: Whether the products of the first batch are checked: the same twice, linear, symmetric.
        memory: Bytes that the kept graphs may use; None for half of the memory of the device.

    Raises:
        InputError: If a check fails, torch cannot differentiate outputs or loss twice, or the model computes the loss itself.

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

    def on(self, block: Float[Tensor, "p k"], batch: Batch) -> Float[Tensor, "p k"]:
        """Returns the products of the data part of one batch, unweighted and without decay; any batch will do."""
        with plain_autograd(self.problem.theta.device):
            return self._graph(batch).products(block)

    def _graph(self, batch: Batch) -> GaussNewtonGraph:
        problem, shown = self.problem, []

        def outputs(theta: Tensor) -> Tensor:
            tree = problem.outputs(theta, batch.inputs)
            shown.append(tree)
            return flattened(tree)

        def loss(flat: Tensor) -> Tensor:
            tree: Any = refilled(shown[0], flat)
            return problem.criterion(tree, batch)

        return GaussNewtonGraph.of(outputs, loss, problem.theta)

    def _check(self, batch: Batch, graph: _Graph) -> None:
        assert isinstance(graph, GaussNewtonGraph)
        scalars = [leaf for leaf in tensors(self.problem.outputs(self.problem.theta, batch.inputs)) if leaf.ndim == 0]
        if scalars and not graph.bend.output.requires_grad:
            raise InputError(
                "expected a loss of the outputs, got one that the model computes itself, whose Gauss-Newton matrix is zero: pass "
                'loss=on("logits", ..) instead of own_loss'
            )
        require_linear_and_symmetric(graph.products, probes_like(self.problem.theta))
