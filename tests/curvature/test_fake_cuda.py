"""Every kernel traced with fake CUDA tensors: nothing lands on the CPU and nothing waits for the device.

Fake tensors carry shapes, dtypes and devices but no numbers, so reading a number on the host raises: that is the check. What
decides on the host (ranks, convergence) is outside these kernels by design.
"""

import warnings

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.overrides import TorchFunctionMode

from landscape.curvature.algebra import Affine, Compression, DiagonalBlock, Sum
from landscape.curvature.krylov import Sweep, extend, sweep, without
from landscape.curvature.operator import Matrix, Product
from landscape.curvature.quotient import BasisProjector, Quotient
from landscape.objective import Objective
from landscape.problem import Problem
from landscape.symmetry_projector import OrbitProjector

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


@pytest.mark.parametrize("kind", ["matrix", "sum", "quotient", "compression", "block", "model"])
def test_products_and_krylov_kernels(fake, kind):
    matrix = Matrix(on_device(SIZE, SIZE))
    operator = {
        "matrix": lambda: matrix,
        "sum": lambda: Sum((matrix, Affine(matrix, 2.0, 0.1))),
        "quotient": lambda: Quotient(matrix, BasisProjector(on_device(SIZE, 3)), on_device(SIZE, 2), 0.5),
        "compression": lambda: Compression(matrix, on_device(SIZE, 5)),
        "block": lambda: DiagonalBlock(matrix, slice(2, 8)),
        "model": model,
    }[kind]()
    block = on_device(operator.size, 3)
    assert_on_device(operator @ block, without(block, on_device(operator.size, 2)))
    runs = sweep(operator, sweep(operator, Sweep.begin(block), 3), 2)
    assert_on_device(runs.alpha, runs.beta, runs.alive, runs.basis, runs.following, runs.scale)
    assert runs.basis.shape == (3, 5, operator.size)
    assert_on_device(*extend(operator, on_device(operator.size, 2), on_device(2, 2), block))


def objective() -> Objective:
    """The model, its constants fake; square brackets on CUDA tensors need a CUDA build, so nothing here indexes."""
    problem = Problem.balanced(3, 2, 4, 2, 1e-3)
    return Objective(
        shapes=problem.shapes,
        decays=problem.decays,
        targets=on_device(3, 6),
        weights=on_device(6),
        scales=on_device(6),
        loss_kind="ce",
        activation="linear",
    )


def model() -> Product:
    theta = on_device(objective().size)
    return Product(objective().linearize(theta), theta)


def test_the_orbit_projector(fake):
    frames = (on_device(6, 2), on_device(4, 2), on_device(4, 2), on_device(3, 2))
    rows = (on_device(2, 6 + 4), on_device(2, 4 + 3))
    projector = OrbitProjector(objective(), frames, rows, on_device(12, 2), 10)
    assert_on_device(projector.apply(on_device(objective().size, 3)))
