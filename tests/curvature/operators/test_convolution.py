"""Convolutions and their derivatives against torch's own, and against finite differences."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, hessian, jvp, vmap
from torch.overrides import TorchFunctionMode

from landscape.curvature.operators.convolution import convolved
from landscape.curvature.operators.reverse import right_operations

CASES = [
    (torch.conv1d, (2, 4, 7), (6, 2, 3), {"stride": 2, "padding": 1, "groups": 2}),
    (torch.conv2d, (2, 2, 5, 4), (3, 2, 3, 2), {"padding": (1, 0), "dilation": (1, 2)}),
    (torch.conv2d, (1, 3, 4, 4), (3, 1, 3, 3), {"groups": 3, "stride": [2]}),
    (torch.conv2d, (2, 3, 3, 3), (2, 3, 1, 1), {}),
    (torch.conv3d, (1, 2, 3, 4, 3), (2, 2, 2, 2, 2), {"stride": (1, 2, 1), "padding": 1}),
]


def drawn(*shapes):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, dtype=torch.float64, generator=generator, requires_grad=True) for shape in shapes]


@pytest.mark.parametrize(("function", "input", "weight", "options"), CASES)
def test_derivatives_against_finite_differences(function, input, weight, options):
    arguments = drawn(input, weight, weight[:1])

    def ours(x, w, b):
        return convolved(function, (x, w, b), options)

    torch.testing.assert_close(ours(*arguments), function(*arguments, **options), rtol=1e-13, atol=1e-13)
    assert gradcheck(ours, arguments)
    assert gradgradcheck(ours, arguments)


@pytest.mark.parametrize(("function", "input", "weight", "options"), CASES)
@pytest.mark.parametrize("still", [None, 0, 1])
def test_products_in_blocks_against_torch(function, input, weight, options, still):
    """The block goes through vmap; the input or the weight may be a constant, as in a first layer."""
    arguments = drawn(input, weight)
    moving = [tensor for place, tensor in enumerate(arguments) if place != still]
    if still is not None:
        arguments[still].requires_grad_(False)

    def products(apply):
        first = torch.autograd.grad(apply(*arguments).sin().sum(), moving, create_graph=True)
        flat = torch.cat([part.reshape(-1) for part in first])
        block = torch.randn(3, len(flat), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        rows = torch.autograd.grad(flat, moving, block, is_grads_batched=True, retain_graph=True)
        found = [torch.cat([part.reshape(3, -1) for part in rows], dim=1)]
        for row in block:
            parts = torch.autograd.grad(flat, moving, row, retain_graph=True)
            found.append(torch.cat([part.reshape(-1) for part in parts]))
        return found

    expected = products(lambda x, w: function(x, w, **options))
    for result, other in zip(products(lambda x, w: convolved(function, (x, w), options)), expected, strict=True):
        torch.testing.assert_close(result, other, rtol=1e-12, atol=1e-12)


def test_third_derivatives_against_torch():
    x, w = drawn((1, 2, 4), (2, 2, 3))

    def third(apply):
        value = apply(x, w).sin().sum()
        for power in (3, 2):
            gradients = torch.autograd.grad(value, (x, w), create_graph=True)
            value = sum((part**power).sum() for part in gradients)
        return torch.autograd.grad(value, (x, w))

    for result, other in zip(third(lambda a, b: convolved(torch.conv1d, (a, b), {})), third(torch.conv1d), strict=True):
        torch.testing.assert_close(result, other, rtol=1e-12, atol=1e-12)


def test_transforms_that_a_module_may_use_inside():
    """Forward over forward is what torch cannot give through a function of one's own: the second tangent would be lost."""
    x, w, a, b = (tensor.detach() for tensor in drawn((2, 2, 5), (3, 2, 3), (2, 2, 5), (3, 2, 3)))

    def plain(left, right):
        return torch.conv1d(left, right, padding=1)

    def value(at):
        return plain(x, at).sin().sum()

    def along(at):
        return jvp(lambda left: plain(left, at).sin(), (x,), (a,))[1]

    def results():
        yield from jvp(plain, (x, w), (a, b))
        yield hessian(value)(w)
        yield jvp(grad(value), (w,), (b,))[1]
        yield jvp(along, (w,), (b,))[1]
        yield jvp(lambda left: jvp(lambda inner: plain(inner, w).sin(), (left,), (a,))[1], (x,), (a,))[1]
        yield vmap(lambda at: plain(at, w))(torch.stack([x, a]))

    expected = list(results())
    with right_operations():
        ours = list(results())
    for result, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(result, other, rtol=1e-12, atol=1e-12)


class Masked(torch.Tensor):
    """A tensor whose convolutions see its first channel alone."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func is torch.conv1d:
            plain = args[0].as_subclass(torch.Tensor).clone()
            plain[:, 1:] = 0
            return func(plain, *args[1:], **(kwargs or {}))
        return super().__torch_function__(func, types, args, kwargs or {})


class Doubled(TorchFunctionMode):
    """A mode under which a convolution counts twice."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        return 2 * result if func is torch.conv1d else result


def test_what_others_mean_by_a_convolution_is_asked():
    x, w = (tensor.detach() for tensor in drawn((2, 2, 5), (3, 2, 3)))
    mine = x.as_subclass(Masked)
    with Doubled():
        expected = torch.conv1d(x, w)
    with Doubled(), right_operations():
        torch.testing.assert_close(torch.conv1d(x, w), expected)
    with right_operations():
        torch.testing.assert_close(torch.conv1d(mine, w), torch.conv1d(x[:, :1].contiguous(), w[:, :1].contiguous()))


@pytest.mark.parametrize(
    ("function", "input", "weight", "options"),
    [
        (torch.conv2d, torch.zeros(1, 1, 3, 3), torch.zeros(1, 1, 2, 2), {}),
        (torch.conv2d, torch.zeros(1, 3, 3, dtype=torch.float64), torch.zeros(1, 1, 2, 2, dtype=torch.float64), {}),
        (torch.conv1d, torch.zeros(1, 1, 3, dtype=torch.float64), torch.zeros(1, 1, 2, dtype=torch.float64), {"padding": "same"}),
        (torch.conv2d, torch.zeros(1, 1, 3, 3, dtype=torch.float64, device="meta"), torch.zeros(1, 1, 2, 2, device="meta"), {}),
        (
            torch.conv1d,
            torch.zeros(1, 1, 3, dtype=torch.float64),
            torch.zeros(1, 1, 2, dtype=torch.float64),
            {"stride": np.int64(1)},
        ),
        (torch.mul, torch.zeros(1), torch.zeros(1), {}),
    ],
)
def test_what_is_left_to_torch(function, input, weight, options):
    assert convolved(function, (input, weight), options) is None


def test_a_wrong_call_has_torch_s_own_message():
    x, w = drawn((1, 2, 3, 3), (1, 3, 2, 2))
    with right_operations(), pytest.raises(RuntimeError, match=r"Given groups=1, weight of size \[1, 3, 2, 2\]"):
        torch.conv2d(x, w)
    x, w, bias = drawn((1, 2, 3, 3), (3, 2, 2, 2), (1,))
    with right_operations(), pytest.raises(RuntimeError, match="bias"):
        torch.conv2d(x, w, bias)
