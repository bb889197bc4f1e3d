"""Reverse over reverse: every product against closed forms, and functions that must be refused."""

import pytest
import torch
from torch.nn import functional

from landscape.curvature.counting.dense_and_inertia import Dense, Inertia
from landscape.curvature.counting.interface import nullity
from landscape.curvature.memory import default_bound, require_room
from landscape.curvature.operators.gauss_newton import GaussNewton
from landscape.curvature.operators.operator import Hessian, Product, dense
from landscape.curvature.operators.reverse import GradientGraph, Transpose, plain_autograd
from landscape.errors import InputError

AT = torch.tensor([0.3, -0.7, 1.1, 0.2], dtype=torch.float64)


def in_place(x):
    y = x * 1
    y += x**2
    y[0] = 2 * x[1]
    return (y.mul_(3).tanh() * x).sum()


def written_out(x):
    y = torch.stack([2 * x[1], *(x[1:] + x[1:] ** 2)])
    return ((3 * y).tanh() * x).sum()


def test_every_product_of_a_function_with_operations_in_place():
    expected = torch.autograd.functional.hessian(written_out, AT)
    operator = Hessian(in_place, AT)
    block = torch.randn(4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for _ in range(3):
        torch.testing.assert_close(operator @ block, expected @ block, rtol=0, atol=1e-13)
        torch.testing.assert_close(operator @ block[:, :1], expected @ block[:, :1], rtol=0, atol=1e-13)


def test_linear_functions_have_no_curvature():
    assert torch.equal(dense(Hessian(lambda x: (2 * x).sum(), AT)), torch.zeros(4, 4, dtype=torch.float64))


def test_blocks_go_column_by_column_where_torch_cannot_batch():
    leaf = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).flatten().requires_grad_()
    with plain_autograd(leaf.device):
        value = functional.group_norm(leaf.view(2, 4, 3), 2).pow(3).sum()
        (slope,) = torch.autograd.grad(value, leaf, create_graph=True)
        transpose = Transpose(slope, leaf)
        found = transpose @ torch.eye(24, dtype=torch.float64)
        rows = [torch.autograd.grad(each, leaf, retain_graph=True)[0] for each in slope]
    torch.testing.assert_close(found, torch.stack(rows), rtol=0, atol=1e-12)
    assert transpose.batched is not None


@pytest.mark.parametrize("wrong", [lambda self, block: 3 * block, lambda self, block: block.view(3, 3)])
def test_batches_that_are_wrong_or_raise_are_replaced_by_columns(wrong, monkeypatch):
    monkeypatch.setattr(Transpose, "_batch", wrong)
    leaf, identity = AT.clone().requires_grad_(), torch.eye(4, dtype=torch.float64)
    transpose = Transpose(2 * leaf, leaf)
    for _ in range(2):
        torch.testing.assert_close(transpose @ identity, 2 * identity)
    assert transpose.batched is False


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (lambda x: x.detach().sum(), "constant"),
        (lambda x: x, "scalar loss"),
        (lambda x: 1.0, "a tensor, got float"),
        (lambda x: x.sum().long(), "floating-point"),
        (lambda x: (x**2).sum() * torch.rand(()), "equal to differences|equal products"),
        (lambda x: torch.empty(3) @ x, "differentiate twice"),
        (lambda x: (x - AT).abs().sum() + (x**2).sum(), "kink"),
    ],
)
def test_one_line_each(function, match):
    with pytest.raises(InputError, match=match) as caught:
        Hessian(function, AT) @ torch.ones(4, 2, dtype=torch.float64)
    assert "\n" not in str(caught.value)


def test_what_has_no_second_derivative_is_one_line():
    logits = torch.randn(5, 1, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def ctc(x):
        z = (logits * x[:3]).log_softmax(2)
        return functional.ctc_loss(z, torch.tensor([[1, 2]]), torch.tensor([5]), torch.tensor([2]))

    with pytest.raises(InputError, match=r"differentiate twice.*ctc"):
        Hessian(ctc, AT) @ torch.ones(4, 1, dtype=torch.float64)


def test_modes_are_restored():
    state = torch.random.get_rng_state()
    with torch.no_grad(), plain_autograd(torch.device("cpu")):
        assert torch.is_grad_enabled()
        torch.rand(3)
    assert torch.equal(torch.random.get_rng_state(), state)
    with torch.inference_mode():
        Hessian(written_out, AT) @ torch.ones(4, 1, dtype=torch.float64)
        assert torch.is_inference_mode_enabled()


def test_the_graph_knows_value_and_gradient():
    with plain_autograd(AT.device):
        graph = GradientGraph.of(written_out, AT)
    torch.testing.assert_close(graph.value, written_out(AT))
    torch.testing.assert_close(graph.gradient.detach(), torch.autograd.functional.jacobian(written_out, AT))


def test_gauss_newton_of_attention_by_jacobians():
    generator = torch.Generator().manual_seed(0)
    at, x = (
        torch.randn(12, generator=generator, dtype=torch.float64),
        torch.randn(2, 3, 2, generator=generator, dtype=torch.float64),
    )
    target = torch.randn(2, 3, 2, generator=generator, dtype=torch.float64)

    def outputs(theta):
        q, k, v = (x @ part for part in theta.view(3, 2, 2))
        return (q @ k.mT / 2**0.5).softmax(-1) @ v

    def kernel(theta):
        q, k, v = (x @ part for part in theta.view(3, 2, 2))
        return functional.scaled_dot_product_attention(q, k, v)

    jacobian = torch.autograd.functional.jacobian(outputs, at).reshape(12, 12)
    expected = 2 * jacobian.mT @ jacobian / target.numel() + 0.1 * torch.eye(12, dtype=torch.float64)
    operator = GaussNewton(kernel, lambda z: functional.mse_loss(z, target), at, 0.1)
    torch.testing.assert_close(dense(operator), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("method", [Dense(), Inertia()])
def test_a_matrix_that_cannot_fit_is_refused_before_it_is_allocated(method):
    operator = Product(lambda rows: rows, torch.zeros(3_000_000, dtype=torch.float64))
    with pytest.raises(InputError, match=r"got 2.16e\+05 GB: use a method that forms no matrix"):
        nullity(operator, method)


def test_memory_is_half_of_the_machine_unless_told():
    cpu = torch.device("cpu")
    require_room(default_bound(cpu), cpu, "no remedy")
    for needed in (1.01 * default_bound(cpu), float("nan")):
        with pytest.raises(InputError, match="no remedy"):
            require_room(needed, cpu, "no remedy")
    with pytest.raises(InputError, match="at most 1e-09 GB"):
        require_room(2.0, cpu, "no remedy", 1.0)


def test_a_block_without_columns_has_a_product_without_columns():
    hessian = Hessian(lambda theta: theta.square().square().sum(), torch.ones(3, dtype=torch.float64))
    assert (hessian @ torch.zeros(3, 0, dtype=torch.float64)).shape == (3, 0)
