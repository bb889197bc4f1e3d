"""The hand-derived kernels against torch's own loss functions, autograd, finite differences and exact arithmetic."""

from dataclasses import replace
from functools import partial
from itertools import product

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from landscape.curvature.operators import operator
from landscape.model import room, thin_matmul
from landscape.model.objective import Objective, class_means
from landscape.model.problem import Problem

SMOOTH_SEED = 11  # of a point with no pre-activation near a kink
KINDS = list(product(["ce", "mse"], ["linear", "relu"]))


def naive_loss(problem: Problem, theta: torch.Tensor) -> torch.Tensor:
    """The paper's loss, sample by sample, with torch's own cross-entropy."""
    width, labels = problem.width, [c for c, n in enumerate(problem.class_sizes) for _ in range(n)]
    sizes = [width * len(labels), *[width * width] * (problem.depth - 1), problem.classes * width]
    parts = torch.split(theta, sizes)
    signal = parts[0].reshape(width, len(labels))
    for part in parts[1:-1]:
        signal = part.reshape(width, width) @ signal
        signal = signal.relu() if problem.activation == "relu" else signal
    logits = parts[-1].reshape(problem.classes, width) @ signal
    target = torch.tensor(labels)
    if problem.loss == "ce":
        fit = torch.nn.functional.cross_entropy(logits.T, target)
    else:
        one_hot = torch.nn.functional.one_hot(target, problem.classes).to(theta.dtype)
        fit = (logits.T - one_hot).pow(2).sum() / (2 * len(labels))
    decays = problem.decay if isinstance(problem.decay, tuple) else [problem.decay] * len(parts)
    return fit + sum(decay / 2 * (part**2).sum() for decay, part in zip(decays, parts, strict=True))


def draw(size: tuple[int, ...], seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@st.composite
def settings(draw_):
    """The fields, not the problem: beartype draws random numbers, which hypothesis forbids inside strategies."""
    classes, depth = draw_(st.integers(2, 4)), draw_(st.integers(1, 4))
    decay = st.floats(1e-4, 0.5)
    return {
        "class_sizes": tuple(draw_(st.lists(st.integers(1, 3), min_size=classes, max_size=classes))),
        "width": draw_(st.integers(1, classes + 2)),
        "depth": depth,
        "decay": draw_(st.one_of(decay, st.tuples(*[decay] * (depth + 1)))),
        "loss": draw_(st.sampled_from(["ce", "mse"])),
        "activation": draw_(st.sampled_from(["linear", "relu"])),
    }


@given(settings(), st.integers(0, 2**30))
def test_loss_gradient_and_product_against_autograd(fields, seed):
    problem = Problem(**fields)
    objective = Objective.of(problem)
    theta, direction = draw((problem.parameters,), seed), draw((problem.parameters,), seed + 1)

    def reference(x):
        return naive_loss(problem, x)

    torch.testing.assert_close(objective.loss(theta), reference(theta), rtol=1e-13, atol=1e-14)
    loss, gradient = objective.value_and_gradient(theta)
    assert objective.size == problem.parameters
    torch.testing.assert_close(loss, reference(theta), rtol=1e-13, atol=1e-14)
    scale = float(gradient.abs().max())
    torch.testing.assert_close(gradient, torch.func.grad(reference)(theta), rtol=1e-11, atol=1e-13 * scale)
    torch.testing.assert_close(objective.gradient(theta), gradient, rtol=0, atol=0)
    expected = torch.func.jvp(torch.func.grad(reference), (theta,), (direction,))[1]
    atol = 1e-12 * float(expected.abs().max())
    torch.testing.assert_close(objective.linearize(theta)(direction), expected, rtol=1e-11, atol=atol)


@pytest.mark.parametrize(("loss", "activation"), KINDS)
def test_gradient_and_product_against_finite_differences(loss, activation):
    problem = Problem((2, 1, 3), 4, 3, (0.01, 0.02, 0.03, 0.04), loss, activation)
    objective, theta = Objective.of(problem), draw((problem.parameters,), SMOOTH_SEED)
    step, units = 1e-5, torch.eye(problem.parameters, dtype=torch.float64)
    hidden = torch.cat([z.flatten() for z in objective.preactivations(theta)[:-1]])
    assert float(hidden.abs().min()) > 1e-3, "a kink within the step would break the differences"
    ahead, behind = objective.loss(theta + step * units), objective.loss(theta - step * units)
    np.testing.assert_allclose(objective.gradient(theta), (ahead - behind) / (2 * step), rtol=0, atol=2e-9)
    ahead, behind = objective.gradient(theta + step * units), objective.gradient(theta - step * units)
    np.testing.assert_allclose(objective.linearize(theta)(units), (ahead - behind) / (2 * step), rtol=0, atol=2e-8)


@pytest.mark.parametrize(("loss", "activation"), KINDS)
def test_batch_dimensions_are_independent_points(loss, activation):
    problem = Problem((2, 1), 3, 3, 0.1, loss, activation)
    objective = Objective.of(problem)
    theta, directions = draw((2, 3, problem.parameters), 1), draw((2, 3, problem.parameters), 2)
    losses, gradients = objective.value_and_gradient(theta)
    products = objective.linearize(theta)(directions)
    assert losses.shape == (2, 3)
    for i, j in product(range(2), range(3)):
        one = theta[i, j]
        torch.testing.assert_close(losses[i, j], objective.loss(one), rtol=1e-14, atol=0)
        torch.testing.assert_close(gradients[i, j], objective.gradient(one), rtol=1e-13, atol=1e-15)
        torch.testing.assert_close(products[i, j], objective.linearize(one)(directions[i, j]), rtol=1e-12, atol=1e-14)


def test_many_directions_at_one_point():
    problem = Problem((2, 1), 3, 2, 0.1)
    objective, theta, block = Objective.of(problem), draw((problem.parameters,)), draw((4, 5, problem.parameters), 3)
    apply = objective.linearize(theta)
    together = apply(block)
    for i, j in product(range(4), range(5)):
        torch.testing.assert_close(together[i, j], apply(block[i, j]), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("loss", "activation"), KINDS)
@pytest.mark.parametrize(("points", "directions"), [((2, 3), (3,)), ((2, 3), ()), ((3,), (4, 2, 3)), ((1,), (5,)), ((), (1,))])
def test_batches_of_points_and_of_directions_are_broadcast(loss, activation, points, directions):
    problem = Problem((2, 1), 3, 3, (0.1, 0.2, 0.3, 0.4), loss, activation)
    objective = Objective.of(problem)
    theta, direction = draw((*points, problem.parameters), 1), draw((*directions, problem.parameters), 2)
    products, changes = objective.linearize(theta)(direction), objective.pushforward(theta)(direction)
    shape = torch.broadcast_shapes(theta.shape, direction.shape)
    assert products.shape == shape
    assert changes.shape == (*shape[:-1], 2, 3)
    for place in product(*map(range, shape[:-1])):
        at, along = theta.expand(shape)[place], direction.expand(shape)[place]
        turned = torch.func.jvp(torch.func.grad(partial(naive_loss, problem)), (at,), (along,))[1]
        torch.testing.assert_close(products[place], turned, rtol=1e-12, atol=1e-13)
        moved = torch.func.jvp(objective.logits, (at,), (along,))[1]
        torch.testing.assert_close(changes[place], moved, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("loss", "activation"), KINDS)
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("columns", [1, 2, 5])
@pytest.mark.parametrize("large", [False, True])
def test_blocks_of_the_operator_are_double_backward(loss, activation, depth, columns, large, monkeypatch):
    """Parts of two columns and one, written to memory of torch or of numpy, from either layout of the block.

    Large takes the ways of wide models too: signals as rows, no memory that is used again.
    """
    monkeypatch.setattr(operator, "_CACHED", 2)
    monkeypatch.setattr(operator, "_FEWEST", 2)
    if large:
        for module, name in ((operator, "_LARGE"), (room, "_LARGEST"), (thin_matmul, "_SHORT")):
            monkeypatch.setattr(module, name, 0)
    problem = Problem((2, 1, 3), 4, depth, 0.02, loss, activation)
    theta, rows = draw((problem.parameters,), SMOOTH_SEED), draw((columns, problem.parameters), 3)
    product_with = operator.Product(Objective.of(problem).linearize(theta), theta)
    hessian = torch.func.jacfwd(torch.func.grad(partial(naive_loss, problem)))(theta)
    for block in (rows.mT, rows.mT.contiguous(), draw((columns, 2, problem.parameters), 4)[:, 1].mT):
        image = product_with @ block
        torch.testing.assert_close(image, hessian @ block, rtol=1e-12, atol=1e-12 * float(hessian.abs().max()))
        torch.testing.assert_close(product_with @ block, image, rtol=0, atol=0)


def exact_softmax(logits: list[int]) -> list[mpmath.mpf]:
    with mpmath.workdps(60):
        weights = [mpmath.exp(z) for z in logits]
        return [w / sum(weights) for w in weights]


def test_gradient_of_a_confident_point_keeps_its_relative_accuracy():
    problem = Problem.balanced(3, 1, 2, 1, 0.1)
    logits = torch.tensor([[30.0, 0, -5], [0, 35, 1], [-4, 2, 40]], dtype=torch.float64)
    with mpmath.workdps(60):
        for column in range(3):
            p = exact_softmax([int(z) for z in logits[:, column]])
            expected = [float((p[i] - (i == column)) / 3) for i in range(3)]
            np.testing.assert_allclose(Objective.of(problem).fit_gradient(logits)[:, column], expected, rtol=1e-13, atol=0)


def test_curvature_of_a_confident_point_keeps_its_relative_accuracy():
    """(diag p - p p') v with p within 1e-15 of a unit vector: every entry is small and none may be lost."""
    problem = Problem.balanced(3, 1, 2, 1, 0.1)
    logits = torch.tensor([[30.0, 0, -5], [0, 35, 1], [-4, 2, 40]], dtype=torch.float64)
    change = torch.tensor([[1.0, -2, 3], [2, 1, -1], [-3, 5, 2]], dtype=torch.float64)
    image = Objective.of(problem).fit_curvature(logits)(change)
    with mpmath.workdps(60):
        for column in range(3):
            p = exact_softmax([int(z) for z in logits[:, column]])
            v = [int(x) for x in change[:, column]]
            mean = sum(p[i] * v[i] for i in range(3))
            expected = [float(p[i] * (v[i] - mean) / 3) for i in range(3)]
            np.testing.assert_allclose(image[:, column], expected, rtol=1e-12, atol=0)


def test_autograd_at_a_confident_point_keeps_the_scale_of_the_curvature():
    """The generic Hessian route differentiates `fit`; its rounding must be small against the curvature, not against 1."""
    problem = Problem.balanced(3, 1, 2, 1, 0.1)
    logits = 34 * torch.eye(3, dtype=torch.float64)
    hessian = torch.func.hessian(lambda z: Objective.of(problem).fit(z.reshape(3, 3)))(logits.flatten()).reshape(3, 3, 3, 3)
    p = exact_softmax([34, 0, 0])
    with mpmath.workdps(60):
        expected = [[float((p[i] * (i == j) - p[i] * p[j]) / 3) for j in range(3)] for i in range(3)]
    np.testing.assert_allclose(hessian[:, 0, :, 0], expected, rtol=0, atol=1e-10 * expected[0][0])


def test_a_rectifier_at_exactly_zero_passes_nothing_as_in_torch():
    problem = Problem.balanced(2, 1, 2, 2, 0.1, activation="relu")
    theta = draw((problem.parameters,), 4)
    theta[4:8] = 0.0  # W_1 = 0: all pre-activations are 0
    torch.testing.assert_close(
        Objective.of(problem).gradient(theta), torch.func.grad(lambda x: naive_loss(problem, x))(theta), rtol=1e-13, atol=1e-15
    )


def test_dtype_and_device_follow_the_input():
    problem = Problem.balanced(3, 2, 4, 2, 0.1)
    theta = draw((problem.parameters,)).float()
    loss, gradient = Objective.of(problem, theta).value_and_gradient(theta)
    assert loss.dtype == gradient.dtype == Objective.of(problem, theta).linearize(theta)(theta).dtype == torch.float32


@pytest.mark.parametrize("scale", [1e-150, 1e-8, 30.0])
def test_extreme_scales_stay_finite(scale):
    problem = Problem.balanced(3, 2, 4, 3, 0.1)
    theta = draw((problem.parameters,), 0, scale)
    loss, gradient = Objective.of(problem).value_and_gradient(theta)
    assert bool(torch.isfinite(loss))
    assert bool(torch.isfinite(gradient).all())
    assert bool(torch.isfinite(Objective.of(problem).linearize(theta)(theta)).all())
    np.testing.assert_allclose(float(loss), float(naive_loss(problem, theta)), rtol=1e-13)


@pytest.mark.parametrize("depth", [2, 3])
def test_softplus_against_double_backward(depth: int) -> None:
    """The bend of every hidden layer is that of its own pre-activation."""
    problem = Problem((2, 1, 3), 4, depth, 1e-2, "ce", "relu")
    smooth = replace(Objective.of(problem), sharpness=3.0)
    theta, direction = torch.randn(2, problem.parameters, dtype=torch.float64, generator=torch.Generator().manual_seed(depth))
    gradient = torch.func.grad(smooth.loss)
    turned = torch.func.jvp(gradient, (theta,), (direction,))[1]
    torch.testing.assert_close(smooth.gradient(theta), gradient(theta), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(smooth.linearize(theta)(direction), turned, rtol=1e-12, atol=1e-14)
    both = smooth.linearize(torch.stack([theta, direction]))(torch.stack([direction, theta]))
    torch.testing.assert_close(both[0], turned, rtol=1e-12, atol=1e-14)


def test_class_means_against_a_loop() -> None:
    problem = Problem((2, 1, 3), 4, 1, 1e-2)
    columns = torch.randn(5, 3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    means = class_means(problem, columns)
    for c, members in enumerate(([0, 1], [2], [3, 4, 5])):
        torch.testing.assert_close(means[..., c], sum(columns[..., j] for j in members) / len(members))
