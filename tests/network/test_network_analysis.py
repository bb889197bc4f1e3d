"""The analysis of networks, against eigenvalues of Hessians by plain double backward and closed forms."""

import json
import math

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.supported import truth
from landscape.degeneracy.judgement import Doubt
from landscape.errors import InputError
from landscape.network.analysis import analyse, analyse_network
from landscape.network.loss import ModuleLoss
from landscape.network.polishing import polish
from landscape.network.symmetries import symmetries
from tests.network.symmetric_modules import CE, Attention, NormBlock, StridedHeads, TwoMaps, loss_of, no_bias, normal


def exact(problem: ModuleLoss) -> torch.Tensor:
    """Returns the eigenvalues of the Hessian at the point of a loss, by plain double backward through the module itself."""
    before = problem.theta
    parameters: list[torch.Tensor] = [p for p in problem.flat.module.parameters() if p.requires_grad]
    kept = [p.detach().clone() for p in parameters]
    torch.nn.utils.vector_to_parameters(before, parameters)
    x, y = next(iter(problem.data))
    decays = [float(problem.decays[place.start]) for place in problem.layers.values()]

    def total() -> torch.Tensor:
        penalties = [d / 2 * p.square().sum() for d, p in zip(decays, parameters, strict=True)]
        return problem.loss(problem.flat.module(x), y) + sum(penalties)

    with sdpa_kernel(SDPBackend.MATH):
        value = torch.linalg.eigvalsh(truth(parameters, total))
    with torch.no_grad():
        for parameter, old in zip(parameters, kept, strict=True):
            parameter.copy_(old)
    return value


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "shape"), [(TwoMaps, (6,)), pytest.param(NormBlock, (3,), marks=pytest.mark.slow), (Attention, (5, 4))]
)
def test_predicted_is_measured_and_equals_plain_double_backward(module, shape):
    trained = polish(loss_of(module, normal(12, *shape), decay=3e-3))
    report = analyse(trained)
    values = exact(trained.problem)
    assert report.resolved
    assert report.nullity == report.predicted == int((values.abs() < 1e-9).sum())
    assert report.index == int((values < -1e-9).sum())
    assert float((report.spectrum.expanded() - values).abs().max()) < 1e-12
    assert report.explanation.unexplained == 0
    if report.index == 0:
        assert report.exact_learning_coefficient
        assert report.learning_coefficient == (len(values) - report.nullity) / 2


@pytest.mark.slow
def test_methods_agree():
    trained = polish(loss_of(TwoMaps, normal(12, 6), decay=3e-3))
    found = symmetries(trained.problem)
    reports = [analyse_network(trained, method, found) for method in ("dense", "inertia", "quotient", "recurrence")]
    assert {(r.nullity, r.index, r.resolved) for r in reports} == {(reports[0].nullity, 0, True)}
    assert reports[0].nullity > 0
    assert [r.spectrum is None for r in reports] == [False, True, True, True]
    assert all(r.density is not None for r in reports[1:])


def test_planted_degeneracies_are_found_counted_and_named():
    class Planted(nn.Module):
        """A dead unit behind a mask, and two outputs that count as one class."""

        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 5), nn.Linear(5, 4)
            self.mask: torch.Tensor
            self.register_buffer("mask", torch.tensor([1.0, 1.0, 0.0, 1.0, 1.0]))

        def forward(self, x):
            out = self.b(torch.tanh(self.a(x)) * self.mask)
            return torch.stack([out[:, 0], out[:, 1], out[:, 2] + out[:, 3]], 1)

    x = normal(12, 4)
    x[:, 3] = x[:, 0]  # two identical inputs
    decay = 1e-2
    trained = polish(loss_of(Planted, x, decay=decay))
    report = analyse(trained)
    values = exact(trained.problem)
    assert report.nullity == int((values.abs() < 1e-9).sum()) == report.predicted
    # the dead unit: 5 entries into it and 4 out of it; identical inputs: 4 live units (the dead one is in the first number);
    # the doubled class: 4 live units and the bias, twice with the softmax shift (2 in place of 1 row combination each)
    named = {(each.reason, each.where): each.dimension for each in report.symmetries.inert}
    assert named["unused parameters", "a.weight rows 2"] == 4
    assert named["unused parameters", "a.bias entries 2"] == 1
    assert named["unused parameters", "b.weight columns 2"] == 4
    assert named["identical inputs", "a.weight columns 0, 3"] == 5
    assert named["entries that the network adds", "b.weight rows 2, 3"] == 5
    (multiplicity,) = report.multiplicities
    assert multiplicity.counted == int(((values - decay).abs() < 1e-9).sum()) == multiplicity.named == 9 + 4 + 2 * 5


def test_without_decay_what_only_the_data_do_not_see_is_explained_by_the_data():
    x = normal(40, 4)
    x[:, 2] = 0.0

    class Plain(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Linear(4, 3))

    targets = torch.randint(0, 3, (40,), generator=torch.Generator().manual_seed(1))
    trained = polish(loss_of(Plain, x, decay={"0.bias": 1e-2}, targets=targets))
    report = analyse(trained)
    values = exact(trained.problem)
    assert report.resolved, report.reason
    # all rows together (softmax, 4) and the dead column (3), which share one direction
    assert report.nullity == int((values.abs() < 1e-9).sum()) == 4 + 3 - 1
    assert (report.explanation.symmetry, report.explanation.data) == (4, 2)
    assert report.exact_learning_coefficient


def test_flat_directions_without_a_cause_are_moduli_and_nothing_is_stated():
    class Quartic(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(3))

        def forward(self, x):
            return (x @ self.w)[:, None]

    problem = ModuleLoss(Quartic().double(), lambda out, y: (out - y).pow(4).mean(), [(normal(9, 3), torch.zeros(9, 1).double())])
    report = analyse(problem)
    assert not report.resolved  # the zero matrix at a quartic minimum: nothing has a scale
    inside = ModuleLoss(
        Quartic().double(),
        lambda out, y: (out - y).pow(4).mean() + (out[:4] - y[:4]).square().mean() * 0.0 + (out[:1] - y[:1]).square().sum(),
        [(normal(9, 3), torch.zeros(9, 1).double())],
    )
    report = analyse(inside)
    assert report.nullity is None
    assert report.verdict.doubt is Doubt.UNEXPLAINED
    assert report.zeros.count == 2
    assert report.explanation.moduli + report.explanation.unnamed_data == report.explanation.unexplained == 2
    assert not report.exact_learning_coefficient


@pytest.mark.slow
@pytest.mark.parametrize("broken", [1e-2, 1e-6, pytest.param(1e-3, marks=pytest.mark.slow), 1e-9])
def test_a_nearly_symmetric_network_never_gets_a_wrong_count(broken):
    class Bent(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = no_bias(4, 3), no_bias(3, 3), no_bias(3, 3)

        def forward(self, x):
            hidden = self.b(torch.tanh(self.a(x)))
            return self.c(hidden + broken * hidden**3)

    report = analyse(polish(loss_of(Bent, normal(12, 4), decay=3e-3), to=1e-12))
    assert not report.resolved or (report.nullity == 0 and report.predicted == 0 and broken >= 1e-6)


@pytest.mark.slow
def test_points_that_are_not_critical_get_no_count():
    start = loss_of(TwoMaps, normal(12, 6), decay=3e-3)
    assert analyse(start).verdict.doubt is Doubt.NOT_CRITICAL
    trained = polish(start)
    for size in (1e-2, 1e-4, 1e-6):
        report = analyse(start.at(trained.problem.theta + size * normal(trained.problem.theta.numel(), seed=5)))
        assert not report.resolved or report.nullity == report.predicted == analyse(trained).nullity
        assert "ls.polish" in report.reason or report.resolved
    assert analyse(start.at(trained.problem.theta + 1e-2)).nullity is None


def test_kinks_have_no_count():
    class Kinked(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.tensor([0.0, 1.0]))

        def forward(self, x):
            return torch.relu(self.w[0] + 0 * x) + self.w[1] * x

    x = normal(6, 1)
    report = analyse(ModuleLoss(Kinked().double(), nn.functional.mse_loss, [(x, x)], decay=1e-2))
    assert report.verdict.doubt is Doubt.KINK
    assert report.nullity is None
    assert "smooth activation" in report.reason
    json.dumps(report.as_dict(), allow_nan=False)


def test_what_sgld_will_say():
    report = analyse(polish(loss_of(TwoMaps, normal(12, 6), decay=3e-3)))
    full = report.learning_coefficient
    assert report.sgld(1e9) == pytest.approx(full, rel=1e-6)
    values = [v for v in report.spectrum.expanded().tolist() if v > 1e-9]
    assert report.sgld(50.0, 2.0, 1e-3) == pytest.approx(
        sum(50 * e / (2 * (50 * e + 2)) / (1 - 1e-3 * (50 * e + 2) / 4) for e in values), rel=1e-9
    )
    with pytest.raises(InputError, match="diverges"):
        report.sgld(1e9, step=1.0)
    with pytest.raises(InputError, match="n_beta > 0"):
        report.sgld(math.nan)


@pytest.mark.slow
def test_the_report_shows_itself_and_bad_input_is_one_line():
    trained = polish(loss_of(StridedHeads, normal(12, 4, 3), decay=3e-3))
    report = analyse(trained)
    assert "rotation of 3: q.weight rows 0, 2, 4, k.weight rows 0, 2, 4" in str(report)
    assert "<table>" in report._repr_html_()
    assert json.loads(json.dumps(report.as_dict(), allow_nan=False))["nullity"] == report.nullity
    with pytest.raises(InputError, match="a method among"):
        analyse(trained, "lowrank")  # type: ignore[call-overload]
    single = ModuleLoss(nn.Linear(3, 2), CE, [(torch.randn(4, 3), torch.zeros(4, dtype=torch.int64))])
    with pytest.raises(InputError, match="float64"):
        analyse(single)
    with pytest.raises(InputError, match="same point"):
        analyse_network(trained, found=symmetries(loss_of(StridedHeads, normal(12, 4, 3))))
    with pytest.raises(InputError, match="GB"):
        analyse_network(trained, "dense", memory=1e3)
