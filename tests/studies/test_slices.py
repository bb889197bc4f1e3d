"""Slices against facts that share no code with them: autograd's dense Hessian, differences of the loss, theory, brute force."""

import math
from dataclasses import replace

import pytest
import torch

from landscape.curvature.counting.zeros import count_zeros
from landscape.curvature.krylov import seeded
from landscape.degeneracy.reduction import reduce
from landscape.errors import InputError
from landscape.model.gauge import generators, rotate
from landscape.model.logit_form import write_parameters
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.solver.methods import GradientDescent, Newton, PseudoTransient
from landscape.solver.run import solve
from landscape.solver.starts import Random, random_start
from landscape.structures.analytic import logit_form
from landscape.structures.dnc import stability_decay
from landscape.structures.kinds import Collapse, Pairs, Partition, Structure
from landscape.structures.scale_equation import simplex_equation
from landscape.studies import slices
from landscape.studies.cuts import Along, Direction, spaced
from landscape.studies.slices import between, directions, line, orbit_curve, plane

SMALL = Problem.balanced(4, 2, 6, 2, 1e-3)
UNEVEN = Problem((3, 3, 1, 1), 5, 3, (1e-3, 2e-3, 1e-3, 3e-3))
SADDLE = Partition((2, 1, 1))
POINTS = [(SMALL, Collapse()), (SMALL, SADDLE), (UNEVEN, Partition((2, 2)))]
THRESHOLD = replace(SMALL, decay=stability_decay(SMALL))


def at(problem: Problem, structure: Structure, gauge: int = 5) -> torch.Tensor:
    return write_parameters(problem, logit_form(problem, structure), gauge)


def hessian(problem: Problem, theta: torch.Tensor) -> torch.Tensor:
    return torch.func.hessian(Objective.of(problem, theta).loss)(theta)


def second_difference(problem: Problem, theta: torch.Tensor, direction: Direction, step: float) -> float:
    """d^2 loss / dt^2 at 0 from the slice alone, with an error of step^4."""
    loss = line(problem, theta, direction, torch.linspace(-2 * step, 2 * step, 5, dtype=theta.dtype)).loss.tolist()
    return (-loss[0] + 16 * loss[1] - 30 * loss[2] + 16 * loss[3] - loss[4]) / (12 * step**2)


@pytest.mark.parametrize(("problem", "structure"), POINTS)
def test_the_slice_bends_by_the_extreme_eigenvalue(problem: Problem, structure: Structure) -> None:
    theta = at(problem, structure)
    values = torch.linalg.eigvalsh(hessian(problem, theta))
    names: list[Along] = ["stiffest", "negative"] if values[0] < -1e-6 else ["stiffest"]
    for found, value in zip(directions(problem, theta, names), (values[-1], values[0]), strict=False):
        assert found.vector.norm() == pytest.approx(1)
        assert found.curvature == pytest.approx(float(value), rel=1e-10)
        assert second_difference(problem, theta, found, 1e-2) == pytest.approx(float(value), rel=1e-5)
        image = hessian(problem, theta) @ found.vector
        torch.testing.assert_close(image, float(value) * found.vector, rtol=0, atol=1e-11)


def test_at_the_size_of_the_paper_the_stiffest_direction_has_the_closed_form() -> None:
    problem = Problem.balanced(10, 5, 70, 2, 2.0**-10)
    (found,) = directions(problem, at(problem, Collapse()), ["stiffest"])
    alpha = simplex_equation(problem, 10, 5).root("large")
    q = math.exp(-alpha) / (1 + 9 * math.exp(-alpha))
    pull = problem.mean_decay * alpha / 10
    top = -problem.mean_decay + 3 * pull * (1 + 9 * (1 - 10 * q))  # (1-L) lambda + (L+1) f_t of `dnc.dnc_spectrum`
    assert found.curvature == pytest.approx(top, rel=1e-12)


@pytest.mark.parametrize(("problem", "structure"), POINTS)
def test_a_gauge_line_is_flat_to_third_order_and_its_orbit_to_all(problem: Problem, structure: Structure) -> None:
    theta = at(problem, structure)
    (found,) = directions(problem, theta, ["gauge"])
    basis = torch.linalg.qr(generators(problem, theta)).Q if problem.width < 6 else generators(problem, theta)
    inside = basis @ torch.linalg.lstsq(basis, found.vector, driver="gelsd").solution
    torch.testing.assert_close(inside, found.vector, rtol=0, atol=1e-9)
    assert abs(found.curvature) < 1e-14
    step = 0.02 * float(theta.norm())
    result = line(problem, theta, found, step * torch.arange(-4, 5, dtype=theta.dtype))
    rise = (result.loss - result.loss[4]).tolist()
    # odd orders vanish at third order, so the rise at 2t is 16 times that at t, up to t^5
    assert (rise[6] + rise[2]) / (rise[5] + rise[3]) == pytest.approx(16, rel=2e-2)
    fourth = (rise[2] - 4 * rise[3] - 4 * rise[5] + rise[6]) / step**4
    assert found.quartic == pytest.approx(fourth / 24, rel=3e-2)
    assert float((result.orbit - result.orbit[4]).abs().max()) < 1e-14
    curve = orbit_curve(problem, theta, found, result.places)
    logits = Objective.of(problem, theta).logits
    torch.testing.assert_close(logits(curve), logits(theta).expand(9, -1, -1))
    tangent = (curve[5] - curve[3]) / (2 * step)
    torch.testing.assert_close(tangent, found.vector, rtol=0, atol=1e-2)


def test_the_quartic_is_the_fourth_derivative_by_autograd() -> None:
    theta = at(SMALL, Collapse())
    (found,) = directions(SMALL, theta, ["gauge"], seed=3)
    loss = Objective.of(SMALL, theta).loss

    def along(t: torch.Tensor) -> torch.Tensor:
        return loss(theta + t * found.vector)

    derivatives = [along]
    for _ in range(4):
        derivatives.append(torch.func.grad(derivatives[-1]))
    zero = torch.zeros((), dtype=theta.dtype)
    _, first, second, third, fourth = (float(derivative(zero)) for derivative in derivatives)
    assert max(abs(first), abs(second), abs(third)) < 1e-14
    assert fourth / 24 == pytest.approx(found.quartic, rel=1e-9)


def test_the_valley_follows_the_shadow_of_the_orbit() -> None:
    theta = at(SMALL, Collapse())
    stiffest, gauge = directions(SMALL, theta, ["stiffest", "gauge"], seed=1)
    places = torch.linspace(-0.4, 0.4, 201, dtype=theta.dtype)
    found = plane(SMALL, theta, (stiffest, gauge), places)
    assert found.shadow is not None
    torch.testing.assert_close(found.shadow[:, 1], places, rtol=0, atol=0.02)
    rows = found.loss[[0, -1]]  # at either end of the gauge axis, where the shadow is furthest from the axis
    offset = found.shadow[[0, -1], 0]
    assert float(offset.abs().min()) > 3 * float(places[1] - places[0])
    torch.testing.assert_close(places[rows.argmin(dim=1)], offset, rtol=0.1, atol=float(places[1] - places[0]))
    assert plane(SMALL, theta, (stiffest, stiffest), places[:3]).shadow is None


def test_far_from_critical_a_gauge_line_is_a_parabola() -> None:
    theta = random_start(SMALL, Random(seed=4))
    (found,) = directions(SMALL, theta, ["gauge"])
    assert found.quartic is None
    assert abs(found.curvature) > 1e-6
    assert second_difference(SMALL, theta, found, 1e-2) == pytest.approx(found.curvature, rel=1e-5)


def test_at_the_stability_threshold_there_is_a_null_direction_outside_the_orbit() -> None:
    theta = at(THRESHOLD, Collapse())
    null, gauge = directions(THRESHOLD, theta, ["null", "gauge"])
    assert abs(null.curvature) < 1e-15
    assert float((hessian(THRESHOLD, theta) @ null.vector).norm()) < 1e-8
    tangents = generators(THRESHOLD, theta)
    assert float((tangents.mT @ null.vector).abs().max()) < 1e-9
    assert abs(float(null.vector @ gauge.vector)) < 1e-10
    assert abs(second_difference(THRESHOLD, theta, null, 1e-2)) < 1e-9


def test_a_saddle_may_have_one_too() -> None:
    """(4,2) of six classes and three layers has index 5 at small and 2 at larger decays; between them three eigenvalues vanish."""

    def index(decay: float) -> int | None:
        problem = Problem.balanced(6, 1, 6, 3, decay)
        core = Core.from_form(problem, logit_form(problem, Partition((4, 2))))
        return count_zeros(reduce(core).spectrum, 0.0).negative

    low, high = 1.7e-3, 2.9e-3
    assert (index(low), index(high)) == (5, 2)
    while high - low > 1e-15 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if index(middle) == 5 else (low, middle)
    problem = Problem.balanced(6, 1, 6, 3, high)
    theta = at(problem, Partition((4, 2)))
    found, lowest = directions(problem, theta, ["null", "negative"])
    assert lowest.curvature < -1e-6
    assert float((hessian(problem, theta) @ found.vector).norm()) < 1e-8
    assert float((generators(problem, theta).mT @ found.vector).abs().max()) < 1e-9


def test_relu_models_turn_at_the_first_interface_alone() -> None:
    problem = Problem.balanced(3, 2, 5, 3, 1e-3, activation="relu")
    theta = random_start(problem, Random(seed=1))
    (found,) = directions(problem, theta, ["gauge"])
    assert len(found.turns) == 1
    result = line(problem, theta, found, spaced(theta, 2.0, 9))
    assert float((result.orbit - result.orbit[4]).abs().max()) < 1e-14 * float(result.orbit[4])


@pytest.mark.slow
def test_a_relu_minimum_has_zeros_that_no_rotation_explains() -> None:
    """42 zeros, 30 of them rotations of the first interface (`test_kinks`): one of the other 12 is found."""
    problem = Problem.balanced(4, 2, 10, 2, 1e-3, activation="relu")
    start = solve(problem, random_start(problem, Random(seed=0)), [GradientDescent(0.5, 15_000, 1e-5)]).theta
    theta = solve(problem, solve(problem, start, [PseudoTransient()]).theta, [Newton()]).theta
    (found,) = directions(problem, theta, ["null"])
    assert float((hessian(problem, theta) @ found.vector).norm()) < 1e-10
    assert float((generators(problem, theta).mT @ found.vector).abs().max()) < 1e-9
    assert abs(second_difference(problem, theta, found, 1e-2)) < 1e-8


def test_batches_say_what_single_points_say(monkeypatch: pytest.MonkeyPatch) -> None:
    theta = at(SMALL, SADDLE)
    first, second = directions(SMALL, theta, ["negative", "stiffest"])
    places = spaced(theta, 1.5, 7)
    whole = plane(SMALL, theta, (first, second), places)
    monkeypatch.setattr(slices, "_NUMBERS", 4 * theta.numel())  # 49 points in batches of 4
    parts = plane(SMALL, theta, (first, second), places)
    loss = Objective.of(SMALL).loss
    single = [[float(loss(theta + x * first.vector + y * second.vector)) for x in places] for y in places]
    torch.testing.assert_close(whole.loss, torch.tensor(single, dtype=torch.float64), rtol=1e-14, atol=0)
    torch.testing.assert_close(parts.loss, whole.loss, rtol=1e-14, atol=0)
    across, up = (line(SMALL, theta, found, places).loss for found in (first, second))
    torch.testing.assert_close(whole.loss[3], across, rtol=1e-14, atol=0)
    torch.testing.assert_close(whole.loss[:, 3], up, rtol=1e-14, atol=0)


def test_the_way_between_two_points_ends_at_them() -> None:
    first, second = at(SMALL, Collapse(), 1), at(SMALL, Pairs(), 2)
    loss = Objective.of(SMALL).loss
    straight, aligned = between(SMALL, first, second, 11)
    for part in (straight, aligned):
        assert [float(part.loss[0]), float(part.loss[-1])] == pytest.approx([float(loss(first)), float(loss(second))], rel=1e-13)
    assert aligned.distance < straight.distance
    assert aligned.barrier < straight.barrier
    turned = rotate(SMALL, first, torch.Generator().manual_seed(9))
    assert between(SMALL, first, turned)[1].barrier < 1e-12


def test_places_are_symmetric_and_in_scale() -> None:
    theta = at(SMALL, Collapse())
    places = spaced(theta)
    assert len(places) == 51
    assert float(places[25]) == pytest.approx(0, abs=1e-15)
    assert float(places[-1]) == pytest.approx(0.25 * float(theta.norm()))
    assert spaced(torch.zeros(3, dtype=torch.float64)).tolist()[-1] == 1.0


@pytest.mark.parametrize(
    ("problem", "structure", "names", "said"),
    [
        (SMALL, Collapse(), ["negative"], "its index is 0"),
        (SMALL, Collapse(), ["null"], "expected a null direction that no symmetry explains, got none"),
        (SMALL, SADDLE, ["null"], "expected a null direction that no symmetry explains, got none"),
        (SMALL, Collapse(), ["gauge", "gauge"], "expected different directions, got gauge,gauge"),
        (SMALL, Collapse(), [], "got none"),
        (SMALL, Partition((1, 1, 1, 1)), ["gauge"], "it has no gauge direction"),
    ],
)
def test_directions_that_a_point_does_not_have(problem: Problem, structure: Structure, names: list[Along], said: str) -> None:
    with pytest.raises(InputError, match=said):
        directions(problem, at(problem, structure), names)


def test_far_from_critical_no_eigenvalue_is_called_negative_by_chance() -> None:
    theta = at(SMALL, SADDLE)
    noise = torch.randn(theta.shape, generator=torch.Generator().manual_seed(0), dtype=theta.dtype)
    for name in ("negative", "null"):
        with pytest.raises(InputError, match=f"expected a critical point for the direction {name}"):
            directions(SMALL, theta + 0.3 * noise, [name])
    (found,) = directions(SMALL, theta + 0.3 * noise, ["stiffest"])
    assert found.curvature == pytest.approx(float(torch.linalg.eigvalsh(hessian(SMALL, theta + 0.3 * noise))[-1]), rel=1e-10)


def test_a_gradient_that_hides_the_orbit_has_no_null_direction() -> None:
    """At a small decay a small gradient says nothing of the singular values; a rotation would pass for a direction outside."""
    problem = Problem.balanced(4, 2, 6, 2, 1e-5, "mse")
    theta = at(problem, Collapse())
    noise = torch.randn(theta.shape, generator=torch.Generator().manual_seed(0), dtype=theta.dtype)
    for size in (1e-5, 1e-4):
        with pytest.raises(InputError, match="solve --start FILE first"):
            directions(problem, theta + size * noise, ["null"])


def test_a_random_relu_point_has_a_stiffest_direction() -> None:
    problem = Problem.balanced(3, 2, 5, 3, 1e-3, activation="relu")
    theta = random_start(problem, Random(seed=1))
    (found,) = directions(problem, theta, ["stiffest"])
    assert found.curvature == pytest.approx(float(torch.linalg.eigvalsh(hessian(problem, theta))[-1]), rel=1e-10)


def test_of_an_eigenspace_the_same_vector_is_taken_whatever_the_rounding() -> None:
    problem = Problem.balanced(5, 1, 6, 2, 1e-3)
    theta = at(problem, Collapse("small"))
    values, vectors = torch.linalg.eigh(hessian(problem, theta))
    space = vectors[:, values - values[0] < 1e-9]
    assert space.shape[1] > 1
    (found,) = directions(problem, theta, ["negative"], seed=2)
    start = torch.randn(theta.numel(), 1, generator=seeded(2, "slices"), dtype=torch.float64)
    expected = (space @ (space.mT @ start))[:, 0]
    assert float(found.vector @ expected / expected.norm()) == pytest.approx(1, abs=1e-13)


def test_kinks_have_no_hessian() -> None:
    problem = Problem.balanced(2, 1, 2, 2, 1e-2, activation="relu")
    theta = torch.zeros(problem.parameters, dtype=torch.float64)
    with pytest.raises(InputError, match="got 4 pre-activations at a ReLU kink"):
        directions(problem, theta, ["stiffest"])


@pytest.mark.parametrize(("span", "steps"), [(0.0, 5), (-1.0, 5), (math.inf, 5), (math.nan, 5), (1.0, 2), (1.0, 502)])
def test_bad_places(span: float, steps: int) -> None:
    with pytest.raises(InputError, match="expected"):
        spaced(torch.ones(3, dtype=torch.float64), span, steps)
