"""Second derivatives by reverse over reverse: the graph of the gradient is built once and differentiated for every block.

`torch.func.linearize` is not used on functions that others wrote: it folds constants while it traces, operations in place then
change them, and every product after the first is wrong in silence. A kept graph of `torch.autograd` repeats its products to the
last digit. Attention runs under the MATH kernel, the only one with a second derivative.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from landscape.curvature.operators.convolution import convolved
from landscape.display import brief
from landscape.errors import InputError

AGREEMENT = 1e3  # times eps: how far a block of products may differ from single ones, which add in another order


class _Plain(TorchFunctionMode):
    """Replaces what is wrong or loses digits in second derivatives.

    `torch._weight_norm`, whose second derivative is off by 0.2 in torch 2.13, becomes a plain formula. Conversions of float64 to
    fewer digits, as language models make inside normalisations and losses, are left out.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch._weight_norm:
            return _weight_norm(*args, **kwargs)
        if (result := convolved(func, args, kwargs)) is not None:
            return result
        if args and isinstance(args[0], Tensor) and args[0].dtype == torch.float64:
            if func in _SHORTENING:
                return args[0]
            if func in _CONVERTING:
                args = (args[0], *(torch.float64 if each in _FEWER else each for each in args[1:]))
            if kwargs.get("dtype") in _FEWER:
                kwargs = {**kwargs, "dtype": torch.float64}
        return func(*args, **kwargs)


_FEWER = (torch.float32, torch.float16, torch.bfloat16)
_SHORTENING = (Tensor.float, Tensor.half, Tensor.bfloat16)
_CONVERTING = (Tensor.to, Tensor.type)


def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    """Returns g v / |v|, with one norm for each index of an axis, or one in all where the axis is -1."""
    axes = [axis for axis in range(v.ndim) if axis != dim] if dim != -1 else list(range(v.ndim))
    norm = v.square().sum(axes, keepdim=dim != -1).sqrt() if axes else v.abs()
    return v * (g / norm)


@contextmanager
def right_operations() -> Iterator[None]:
    """Runs operations that have a right second derivative: attention by the MATH kernel, and no conversion to fewer digits."""
    with sdpa_kernel(SDPBackend.MATH), _Plain():
        yield


@contextmanager
def plain_autograd(device: torch.device) -> Iterator[None]:
    """Sets the modes of torch for second derivatives, and restores them.

    Gradients are on, inference mode and autocast off, attention takes the MATH kernel, and the global random generators are
    restored.
    """
    devices = [device] if device.type == "cuda" else []
    with (
        torch.random.fork_rng(devices=devices),
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(device.type if device.type != "meta" else "cpu", enabled=False),
        sdpa_kernel(SDPBackend.MATH),
        warnings.catch_warnings(),
    ):
        # vmap warns where it falls back to a loop of its own; the products are compared with single ones, so it may.
        warnings.filterwarnings("ignore", message="There is a performance drop", category=UserWarning)
        yield


@contextmanager
def one_line(expected: str, remedy: str) -> Iterator[None]:
    """Turns any exception of torch or of the user's code into one line.

    Raises:
        InputError: With the first line of what was raised; one that was raised inside passes as it is.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as failure:  # whatever torch and code that is not ours raise
        text = " ".join(str(failure).split())
        kind = type(failure).__name__
        got = f"{kind}: {text[:200]}{'..' if len(text) > 200 else ''}" if text else kind
        raise InputError(f"expected {expected}, got {got}: {remedy}") from failure


TWICE = "a loss that torch can differentiate twice"
TWICE_REMEDY = (
    "replace the operation that it names (fused or compiled kernels and activation checkpoints have no second derivative: use the "
    "plain operation)"
)


def scalar(value: object) -> Float[Tensor, ""]:
    """Returns a loss as a tensor without axes.

    Raises:
        InputError: If it is no real tensor of one entry.
    """
    if not isinstance(value, Tensor):
        raise InputError(f"expected a loss that is a tensor, got {type(value).__name__}: return the loss itself")
    if value.numel() != 1:
        raise InputError(f"expected a scalar loss, got shape {tuple(value.shape)}: use a loss that reduces")
    if not value.is_floating_point():
        raise InputError(f"expected a real floating-point loss, got {value.dtype}: take its real part or convert it")
    return value.reshape(())


@dataclass
class Transpose:
    """The map of cotangents of an output to the gradient with respect to a leaf, on a graph that is kept.

    A block is differentiated in one batch where torch can do so. The first batch is compared with single columns; if they differ
    or torch raises, all later blocks go column by column.

    Attributes:
        output: A tensor that is a function of the leaf.
        leaf: A flat vector that requires a gradient.
        batched: Whether blocks are differentiated in one batch; None until the first block has been compared.
    """

    output: Tensor
    leaf: Float[Tensor, " p"]
    batched: bool | None = None

    __repr__ = brief

    def __matmul__(self, block: Tensor) -> Float[Tensor, "p k"]:
        """Returns J' block for the Jacobian J of the output; the last axis of the block counts the columns."""
        columns = block.shape[-1]
        if not self.output.requires_grad or columns == 0:
            return self.leaf.new_zeros(self.leaf.numel(), columns)
        if columns == 1 or self.batched is False:
            return self._columns(block)
        if self.batched is None:
            return self._first(block)
        return self._batch(block)

    def _columns(self, block: Tensor) -> Tensor:
        rows = [
            torch.autograd.grad(self.output, self.leaf, column.contiguous(), retain_graph=True, materialize_grads=True)[0]
            for column in block.unbind(-1)
        ]
        return rows[0][:, None] if len(rows) == 1 else torch.stack(rows, dim=1)

    def _batch(self, block: Tensor) -> Tensor:
        rows = block.movedim(-1, 0).contiguous()
        result: Tensor | None = torch.autograd.grad(
            self.output, self.leaf, rows, retain_graph=True, is_grads_batched=True, allow_unused=True
        )[0]
        return self.leaf.new_zeros(self.leaf.numel(), len(rows)) if result is None else result.mT

    def _first(self, block: Tensor) -> Tensor:
        """Returns the first products of a block, and decides how later ones are made."""
        try:
            result = self._batch(block)
        except Exception:
            self.batched = False
            return self._columns(block)
        if self.leaf.is_meta:  # no numbers to compare
            self.batched = True
            return result
        few = torch.cat([block[..., :1], block[..., -1:]], dim=-1)
        single = self._columns(few)
        apart = (result[:, [0, -1]] - single).norm()
        self.batched = bool(apart <= AGREEMENT * torch.finfo(single.dtype).eps * single.norm())
        return result if self.batched else self._columns(block)


@dataclass(frozen=True)
class GradientGraph:
    """The value and the gradient of a scalar function at a point, with the graph of the gradient.

    Attributes:
        value: Value of the function at the point.
        gradient: Gradient of the function, attached to the graph.
        leaf: The point, as the leaf of the graph.
        hessian: The map from a vector to its product with the Hessian.
    """

    value: Float[Tensor, ""]
    gradient: Float[Tensor, " p"]
    leaf: Float[Tensor, " p"]
    hessian: Transpose = field(repr=False)

    __repr__ = brief

    @classmethod
    def of(cls, function: Callable[[Tensor], Tensor], at: Float[Tensor, " p"]) -> "GradientGraph":
        """Builds the graph; call it and use the products inside `plain_autograd`.

        Raises:
            InputError: If torch cannot differentiate the function, its value is no scalar, it does not depend on the point, or it
                writes to the point.
        """
        leaf = at.detach().clone().requires_grad_()
        with one_line(TWICE, TWICE_REMEDY), right_operations():
            value = scalar(function(leaf))
            require_dependence(value)
            (gradient,) = torch.autograd.grad(value, leaf, create_graph=True, materialize_grads=True)
        if not at.is_meta and not torch.equal(leaf.detach(), at.detach()) and bool(torch.isfinite(at).all()):
            raise InputError(
                "expected a function that leaves its argument alone, got parameters changed by a forward pass: copy them"
            )
        return cls(value.detach(), gradient, leaf, Transpose(gradient, leaf))

    def products(self, block: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
        """Returns Hessian products of a block, without a graph of their own.

        Raises:
            InputError: If torch has no second derivative of an operation.
        """
        with one_line(TWICE, TWICE_REMEDY):
            return (self.hessian @ block.detach()).detach()


def require_dependence(value: Tensor) -> None:
    """Refuses a value that no parameter takes part in.

    Raises:
        InputError: If no gradient can flow from it.
    """
    if not value.requires_grad:
        raise InputError("expected a loss that depends on the parameters, got a constant: is it detached, or under no_grad?")


def gradient(function: Callable[[Tensor], Tensor], at: Float[Tensor, " p"]) -> tuple[Float[Tensor, ""], Float[Tensor, " p"]]:
    """Returns the value and the gradient of a scalar function, without a graph; call it inside `plain_autograd`.

    Raises:
        InputError: If torch cannot differentiate the function or its value is no scalar.
    """
    leaf = at.detach().clone().requires_grad_()
    with one_line("a loss that torch can differentiate", "see the exception that it names"), right_operations():
        value = scalar(function(leaf))
        require_dependence(value)
        (result,) = torch.autograd.grad(value, leaf, materialize_grads=True)
    return value.detach(), result
