"""Convolutions in float64 whose derivatives of every order are convolutions with kernels of the layer's own size.

torch's second derivative makes the gradient of the weight by a convolution whose kernel is as large as the output, and CPUs have
no fast routine for that in float64: it takes up to half of a Hessian product of a residual network. A convolution C(x, w) is linear
in each argument. With the adjoints I(g, w) to the input and W(g, x) to the weight, <g, C(x, w)> = <I(g, w), x> = <W(g, x), w>. The
derivative of C along (a, b) is C(a, w) + C(x, b), and that of the pair (I, W) needs nothing but C, I and W again.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.forward_ad import unpack_dual
from torch.nn import Parameter

Pair = tuple[Tensor | None, Tensor | None]
_AXES = {torch.conv1d: 1, torch.conv2d: 2, torch.conv3d: 3}


@dataclass(frozen=True)
class Geometry:
    """What `aten::convolution` is told beside the tensors; no tuple, whose entries torch would take for arguments of their own.

    Attributes:
        stride: Steps of the kernel along each axis.
        padding: Zeros before and after each axis.
        dilation: Distance of the kernel's entries along each axis.
        groups: Number of groups of channels that do not mix.
    """

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The arguments in torch's order: not transposed, and no output padding."""
        return self.stride, self.padding, self.dilation, False, (0,) * len(self.stride), self.groups


def convolved(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """Returns what `torch.conv1d`, `conv2d` or `conv3d` returns, or None where torch's own should be called.

    That is so for tensors of classes of their own, under other modes, which may mean something else by the call, and inside
    transforms of `torch.func` and forward differentiation, which know torch's convolution better.
    """
    axes = _AXES.get(function)
    return None if axes is None or torch._C._len_torch_function_stack() else _convolved(axes, *args, **kwargs)


def _plain(tensor: Any, axes: int) -> bool:
    """Whether it is a tensor with so many axes in float64 on a CPU, in memory of its own, and nothing else."""
    if type(tensor) not in (Tensor, Parameter) or tensor.dim() != axes:
        return False
    if tensor.dtype != torch.float64 or tensor.device.type != "cpu" or unpack_dual(tensor).tangent is not None:
        return False
    try:
        tensor.untyped_storage().data_ptr()  # a tensor that a transform follows has none
    except (NotImplementedError, RuntimeError):
        return False
    return True


def _convolved(
    axes: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor | None:
    if not (_plain(input, axes + 2) and _plain(weight, axes + 2)):
        return None
    if bias is not None and not (_plain(bias, 1) and len(bias) == len(weight)):
        return None
    if not all(isinstance(value, int | tuple | list) for value in (stride, padding, dilation)):
        return None
    result = _convolve(input, weight, Geometry(_each(stride, axes), _each(padding, axes), _each(dilation, axes), groups))
    return result if bias is None else result + bias.view(-1, *[1] * axes)


def _each(value: Any, axes: int) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * axes if len(values) == 1 else values


def _convolve(x: Tensor, w: Tensor, geometry: Geometry) -> Tensor:
    """Returns C(x, w)."""
    if torch.is_grad_enabled():
        return _Convolution.apply(x, w, geometry)  # type: ignore[no-untyped-call]
    return torch.ops.aten.convolution(x, w, None, *geometry.arguments)


def _pull(g: Tensor, x: Tensor, w: Tensor, geometry: Geometry, wanted: tuple[bool, bool]) -> Pair:
    """Returns I(g, w) and W(g, x), each where it is wanted."""
    if not any(wanted):
        return None, None
    if torch.is_grad_enabled():
        pair = _Adjoints.apply(g, x, w, geometry)  # type: ignore[no-untyped-call]
    else:
        pair = torch.ops.aten.convolution_backward(g, x, w, None, *geometry.arguments, (*wanted, False))
    return pair[0] if wanted[0] else None, pair[1] if wanted[1] else None


class _Convolution(Function):
    """C(x, w)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, w: Tensor, geometry: Geometry) -> Tensor:
        return torch.ops.aten.convolution(x, w, None, *geometry.arguments)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Geometry], output: Tensor) -> None:
        x, w, ctx.geometry = inputs
        ctx.save_for_backward(x, w)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, w = ctx.saved_tensors
        return *_pull(g, x, w, ctx.geometry, ctx.needs_input_grad[:2]), None


class _Adjoints(Function):
    """I(g, w) and W(g, x)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(g: Tensor, x: Tensor, w: Tensor, geometry: Geometry) -> tuple[Tensor, Tensor]:
        found = torch.ops.aten.convolution_backward(g, x, w, None, *geometry.arguments, (True, True, False))
        return found[0], found[1]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, Geometry], output: tuple[Tensor, Tensor]) -> None:
        *tensors, ctx.geometry = inputs
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, a: Tensor | None, b: Tensor | None) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        (g, x, w), needs = ctx.saved_tensors, ctx.needs_input_grad
        to_g = None
        for left, right in ((a, w), (x, b)):
            if needs[0] and left is not None and right is not None:
                part = _convolve(left, right, ctx.geometry)
                to_g = part if to_g is None else to_g + part
        wanted = needs[1] and b is not None, needs[2] and a is not None
        return to_g, *_pull(g, x if a is None else a, w if b is None else b, ctx.geometry, wanted), None
