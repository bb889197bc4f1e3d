"""Every kernel traced with fake CUDA tensors: nothing lands on the CPU and nothing waits for the device.

Fake tensors carry shapes, dtypes and devices but no numbers, so reading a number on the host raises: that is the check. What
decides on the host (ranks, convergence) is outside these kernels by design.
"""

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from landscape.curvature.counting.quotient import Quotient
from landscape.curvature.krylov import LanczosRuns, continue_runs, extend, without
from landscape.curvature.operators.algebra import Affine, Compression, DiagonalBlock, Sum
from landscape.curvature.operators.counted import Counted
from landscape.curvature.operators.operator import Hessian, Matrix, Product, SymmetricOperator
from landscape.curvature.projection import BasisProjector
from landscape.model.gauge_projector import OrbitProjector
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.network.loss import ModuleLoss
from landscape.network.operators import ModuleGaussNewton, ModuleHessian

SIZE = 12


class WithoutGuard(TorchFunctionMode):
    """Calls the operators behind two Python bindings that ask for a CUDA device guard, which a CPU build of torch lacks."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is torch.Tensor.contiguous:
            return torch.ops.aten.clone(args[0], memory_format=torch.contiguous_format)
        if function is torch.Tensor.copy_:
            return torch.ops.aten.copy_(*args)
        return function(*args, **(kwargs or {}))


@pytest.fixture
def fake():
    with FakeTensorMode() as mode, WithoutGuard(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield mode


def on_device(*size: int) -> torch.Tensor:
    return torch.empty(*size, dtype=torch.float64, device="cuda")


def assert_on_device(*tensors: torch.Tensor) -> None:
    for tensor in tensors:
        assert (tensor.device.type, tensor.dtype) in {("cuda", torch.float64), ("cuda", torch.bool)}


def test_reading_a_number_would_be_seen(fake):
    with pytest.raises((DataDependentOutputException, RuntimeError)):
        float(on_device(1))


MODELS = ["thin", "square", "squared error", "relu", "softplus"]


@pytest.mark.parametrize("kind", ["matrix", "counted", "sum", "quotient", "compression", "block", *MODELS])
def test_products_and_krylov_kernels(fake, kind):
    matrix = Matrix(on_device(SIZE, SIZE))
    made: dict[str, Callable[[], SymmetricOperator]] = {
        "matrix": lambda: matrix,
        "counted": lambda: Counted(matrix),
        "sum": lambda: Sum((matrix, Affine(matrix, 2.0, 0.1))),
        "quotient": lambda: Quotient(matrix, BasisProjector(on_device(SIZE, 3)), on_device(SIZE, 2), 0.5),
        "compression": lambda: Compression(matrix, on_device(SIZE, 5)),
        "block": lambda: DiagonalBlock(matrix, slice(2, 8)),
        **{name: partial(model, name) for name in MODELS},
    }
    operator = made[kind]()
    block = on_device(operator.size, 3)
    assert_on_device(operator @ block, without(block, on_device(operator.size, 2)))
    runs = continue_runs(operator, continue_runs(operator, LanczosRuns.begin(block), 3), 2)
    assert_on_device(runs.alpha, runs.beta, runs.alive, runs.basis, runs.following, runs.scale)
    assert runs.basis.shape == (3, 5, operator.size)
    assert_on_device(*extend(operator, on_device(operator.size, 2), on_device(2, 2), block))


def objective(kind: str = "thin") -> Objective:
    """The model, its constants fake; square brackets on CUDA tensors need a CUDA build, so nothing here indexes.

    Thin is what has more columns than classes, square the core of it.
    """
    columns = 3 if kind == "square" else 6
    problem = Problem.balanced(3, columns // 3, 4, 2, 1e-3)
    return Objective(
        shapes=problem.shapes,
        decays=problem.decays,
        targets=on_device(3, columns),
        weights=on_device(columns),
        scales=on_device(columns),
        loss_kind="mse" if kind == "squared error" else "ce",
        activation="relu" if kind in ("relu", "softplus") else "linear",
        sharpness=10.0 if kind == "softplus" else math.inf,
    )


def model(kind: str) -> Product:
    theta = on_device(objective(kind).size)
    return Product(objective(kind).linearize(theta), theta)


@pytest.mark.parametrize("kind", MODELS)
def test_loss_and_gradient_of_a_batch(fake, kind):
    theta = on_device(5, objective(kind).size)
    loss, gradient = objective(kind).value_and_gradient(theta)
    assert_on_device(loss, gradient, objective(kind).gradient(theta), objective(kind).pushforward(theta)(theta))
    assert (loss.shape, gradient.shape) == ((5,), theta.shape)


def test_the_orbit_projector(fake):
    frames = (on_device(6, 2), on_device(4, 2), on_device(4, 2), on_device(3, 2))
    rows = (on_device(2, 6 + 4), on_device(2, 4 + 3))
    projector = OrbitProjector(objective(), frames, rows, on_device(12, 2), 10)
    assert_on_device(projector.apply(on_device(objective().size, 3)))


# A CPU build of torch aborts at autograd on fake CUDA tensors. The device "meta" has no numbers either and its autograd works, so
# what torch.func differentiates is traced there.
META: dict[str, Any] = {"dtype": torch.float64, "device": "meta"}


class OnlyMeta(TorchDispatchMode):
    """Refuses operations on tensors of another device, which torch itself lets mix with meta tensors; numbers may be anywhere."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for value in tree_leaves((args, kwargs, result)):
            if isinstance(value, torch.Tensor) and value.ndim and value.device.type != "meta":
                raise AssertionError(f"{function} on {value.device}")
        return result


def test_mixing_devices_would_be_seen():
    elsewhere = torch.ones(3, 3, dtype=torch.float64)
    with pytest.raises(AssertionError, match=r"aten.mm.* on cpu"), OnlyMeta():
        torch.empty(3, 3, **META) @ elsewhere
    with pytest.raises((NotImplementedError, RuntimeError)):
        torch.empty(1, **META).item()


@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_the_hessian_of_torch_func(activation):
    problem = Problem.balanced(3, 2, 4, 2, 1e-3, activation=activation)
    theta = torch.empty(problem.parameters, **META)
    objective, block = Objective.of(problem, theta), torch.empty(problem.parameters, 3, **META)
    with OnlyMeta():
        image = Hessian(objective.loss, theta) @ block
    assert (image.device.type, image.dtype) == ("meta", torch.float64)


@pytest.mark.parametrize("kind", [ModuleHessian, ModuleGaussNewton])
def test_operators_of_modules(kind, monkeypatch):
    monkeypatch.setattr(ModuleLoss, "__post_init__", lambda self: None)  # which reads two losses on the host to see dropout
    network = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Softplus(), nn.Linear(5, 3)).to(**META).eval()
    batches = [(torch.empty(count, 4, **META), torch.empty(count, dtype=torch.long, device="meta")) for count in (7, 2)]
    operator = kind(ModuleLoss(network, nn.CrossEntropyLoss(), batches, decay=0.1))
    block = torch.empty(operator.size, 3, **META)
    with OnlyMeta():
        image = operator @ block
    assert (image.device.type, image.dtype) == ("meta", torch.float64)
