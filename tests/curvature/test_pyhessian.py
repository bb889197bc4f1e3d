"""The repaired PyHessian against dense eigenvalues, and that the repairs are gone after the call."""

import importlib

import pytest
import torch

from landscape.curvature.pyhessian import PyHessian

LIBRARY = importlib.import_module("pyhessian.hessian")  # `import pyhessian.hessian` finds the class of the same name
VALUES = torch.tensor([3.0, -2.0, 1.5, 1.0, 0.5, 0.25, 0.0, 0.0], dtype=torch.float64)


@pytest.fixture
def quartic():
    """A function whose Hessian at the origin was planted, and is not constant."""
    generator = torch.Generator().manual_seed(3)
    rotation = torch.linalg.qr(torch.randn(8, 8, generator=generator, dtype=torch.float64))[0]
    matrix = (rotation * VALUES) @ rotation.T
    return lambda x: x @ matrix @ x / 2 + (x**4).sum(), matrix


def test_products_eigenvalues_and_trace_against_dense(quartic):
    function, matrix = quartic
    backend = PyHessian.of_loss(function, torch.zeros(8, dtype=torch.float64))
    torch.testing.assert_close(backend.products(torch.eye(8, dtype=torch.float64)), matrix, rtol=0, atol=1e-12)
    assert backend.eigenvalues(3, tolerance=1e-15) == pytest.approx([3.0, -2.0, 1.5], abs=1e-9)
    samples = backend.trace(400)
    assert sum(samples) / len(samples) == pytest.approx(4.25, abs=1.0)


def test_density_nodes_are_eigenvalues(quartic):
    backend = PyHessian.of_loss(quartic[0], torch.zeros(8, dtype=torch.float64))
    nodes, weights = backend.density(steps=7, probes=3)
    for run, mass in zip(nodes, weights, strict=True):
        assert sorted(run) == pytest.approx(sorted(VALUES.unique().tolist()), abs=1e-9)
        assert sum(mass) == pytest.approx(1.0, abs=1e-12)


def test_nothing_outlives_the_call(quartic):
    before = {name: getattr(LIBRARY, name) for name in ("torch", "normalization", "orthnormal")}
    backend = PyHessian.of_loss(quartic[0], torch.zeros(8, dtype=torch.float64))
    backend.module.theta.grad = torch.ones(8, dtype=torch.float64)  # as a training step leaves it
    state = torch.random.get_rng_state()
    first = backend.eigenvalues(1)
    assert first == pytest.approx([3.0], abs=1e-6)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not hasattr(torch, "eig") or "removed" in (torch.eig.__doc__ or "removed")
    with pytest.raises(ZeroDivisionError):
        PyHessian.of_loss(lambda x: x.sum() * (1 / 0), torch.zeros(2, dtype=torch.float64)).eigenvalues(1)
    assert all(getattr(LIBRARY, name) is value for name, value in before.items())
