"""Slices of a network against the loss written out at the moved weights, and against dense eigenvectors."""

import pytest
import torch
from torch import nn

import landscape as ls
from landscape.studies.network_slices import filter_normalised, network_directions

CE = nn.functional.cross_entropy
X = torch.randn(9, 2, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
Y = torch.randint(3, (9,), generator=torch.Generator().manual_seed(1))
DECAY = 0.02


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(27, 3)).double()


def loss(seed: int = 0, cut: int = 4) -> ls.ModuleLoss:
    return ls.ModuleLoss(network(seed), CE, [(X[:cut], Y[:cut]), (X[cut:], Y[cut:])], decay=DECAY)


def written_out(theta: torch.Tensor) -> float:
    net = network()
    nn.utils.vector_to_parameters(theta, net.parameters())
    with torch.no_grad():
        return float(CE(net(X), Y) + DECAY / 2 * sum(p.square().sum() for p in net.parameters()))


def test_every_filter_of_a_random_direction_has_the_norm_of_its_weights():
    problem = loss()
    direction = problem.flat.split(filter_normalised(problem))
    for name, value in network().named_parameters():
        drawn, parameter = direction[name], value.detach()
        if parameter.ndim < 2:
            assert float(drawn.norm()) == 0
            continue
        for one, other in zip(drawn, parameter, strict=True):
            assert float(one.norm()) == pytest.approx(float(other.norm()), rel=1e-14)
    again, other = filter_normalised(problem), filter_normalised(problem, seed=1)
    assert torch.equal(again, filter_normalised(problem))
    assert float(again @ other) < 0.5 * float(again.norm() * other.norm())


def test_a_rescaled_network_has_the_same_filter_normalised_slice():
    """ReLU layers multiplied by c and 1/c compute the same, so a normalised slice must be the same; a plain one is not."""

    def made(factor: float) -> ls.ModuleLoss:
        torch.manual_seed(3)
        net = nn.Sequential(nn.Flatten(), nn.Linear(50, 4, bias=False), nn.ReLU(), nn.Linear(4, 3, bias=False)).double()
        with torch.no_grad():
            for place, scale in ((1, factor), (3, 1 / factor)):
                net.get_parameter(f"{place}.weight").mul_(scale)
        return ls.ModuleLoss(net, CE, [(X, Y)])

    values = []
    for factor in (1.0, 5.0):
        problem = made(factor)
        step = filter_normalised(problem)
        values.append([float(problem(problem.theta + t * step)) for t in (-0.5, 0.5, 1.0)])
    assert values[0] == pytest.approx(values[1], rel=1e-12)


@pytest.mark.parametrize("along", ["random", "stiffest", "second", "lowest", "vector"])
def test_lines_have_the_losses_of_the_moved_weights(along):
    problem = loss()
    given = torch.linspace(-1, 1, problem.theta.numel(), dtype=torch.float64) if along == "vector" else along
    cut = ls.slice_line(problem, given, span=2.0, steps=5, seed=4)
    direction = cut.direction
    assert float(direction.vector.norm()) == pytest.approx(1, rel=1e-13)
    for place, value in zip(cut.places, cut.loss, strict=True):
        assert float(value) == pytest.approx(written_out(problem.theta + place * direction.vector), rel=1e-13)
    assert float(cut.loss[2]) == pytest.approx(written_out(problem.theta), rel=1e-13)
    matrix = ls.dense(ls.ModuleHessian(problem))
    assert direction.curvature == pytest.approx(float(direction.vector @ matrix @ direction.vector), rel=1e-10)
    values = torch.linalg.eigvalsh(matrix)
    expected = {"stiffest": values[-1], "second": values[-2], "lowest": values[0]}
    if along in expected:
        assert direction.curvature == pytest.approx(float(expected[along]), abs=1e-9)


def test_planes_have_the_losses_of_the_moved_weights():
    problem = loss()
    cut = ls.slice_plane(problem, ("random", "lowest"), span=1.0, steps=3)
    first, second = cut.horizontal.vector, cut.vertical.vector
    assert abs(float(first @ second)) < 1e-14
    for row in range(3):
        for column in range(3):
            theta = problem.theta + cut.places[column] * first + cut.places[row] * second
            assert float(cut.loss[row, column]) == pytest.approx(written_out(theta), rel=1e-13)
    assert ls.slice_plane(problem, span=1.0, steps=3).vertical.name == "random"


def test_the_way_between_two_checkpoints():
    one, other = loss(0), loss(1)
    way = ls.slice_between(one, other, steps=5)["as given"]
    for place, value in zip(way.places, way.loss, strict=True):
        assert float(value) == pytest.approx(written_out(one.theta + place * (other.theta - one.theta)), rel=1e-13)
    assert way.distance == pytest.approx(float((other.theta - one.theta).norm()), rel=1e-14)


def test_what_a_network_does_not_have_is_refused_in_one_line():
    problem = loss()
    point = ls.place(ls.Problem.balanced(classes=3, samples=1, width=3, depth=2, decay=1e-2), ls.Collapse())
    for words, make in {
        "for a network, got gauge": lambda: ls.slice_line(problem, "gauge"),
        "got random": lambda: ls.slice_line(point, "random"),
        "got a vector": lambda: ls.slice_line(point, problem.theta),
        "two that are parallel": lambda: network_directions(problem, ["stiffest", "stiffest"]),
        "a finite direction of": lambda: ls.slice_line(problem, torch.ones(3)),
        "3 to 501 steps": lambda: ls.slice_line(problem, steps=2),
        "two points of one kind": lambda: ls.slice_between(problem, point),
        "other names or shapes": lambda: ls.slice_between(problem, ls.ModuleLoss(nn.Linear(5, 3).double(), CE, [(X[:, 0, 0], Y)])),
    }.items():
        with pytest.raises(ls.InputError, match=words):
            make()
    with pytest.raises(ls.InputError, match="weights with two axes"):
        filter_normalised(ls.ModuleLoss(nn.LayerNorm(5).double(), CE, [(X[:, 0, 0], Y)]))
