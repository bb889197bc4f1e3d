"""Proved counts of structures against the closed form of DNC, dense core Hessians in mpmath and dense float64 Hessians."""

import math
import time
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp

from landscape.model.logit_form import write_parameters
from landscape.model.objective import Objective
from landscape.model.problem import LossName, Problem
from landscape.proof.scales import Group, GroupRoot
from landscape.proof.statement import NoPoint, Proof, Unproved
from landscape.proof.structures import near_zero_of_structure, prove_structure
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Partition
from tests.proof.enclosures import scale_enclosures
from tests.proof.oracles import core, core_hessian, dnc_counts, dnc_decay, dnc_peak, dnc_scale, loss_slope, negatives


def counts(problem: Problem, groups: Sequence[Group]) -> tuple[int, int]:
    found = prove_structure(problem, groups)
    assert isinstance(found, Proof)
    return found.nullity, found.index


def dense_counts(problem: Problem, groups: Sequence[Group], digits: int) -> tuple[int, int]:
    """Zeros and negatives of the core by LDL' in mpmath, and of what the width adds by the formulas of the architecture page."""
    with mp.workdps(digits):
        bounds = scale_enclosures(problem, groups)
        decays = [mp.mpf(decay) for decay in problem.decays]
        assert not isinstance(bounds, Unproved | NoPoint)
        scales = [polished(problem, group, low, high) for group, (low, high) in zip(groups, bounds, strict=True)]
        shape = [(group.size, group.samples, scale) for group, scale in zip(groups, scales, strict=True)]
        factors = core(shape, decays, problem.loss)
        hessian, gradient = core_hessian(factors, problem.class_sizes, decays, problem.loss)
        assert gradient < mp.mpf(10) ** (10 - digits)
        small = mp.mpf(10) ** (-digits // 2)
        below = negatives(hessian, -small)
        zeros = negatives(hessian, small) - below
    rank = len(factors[0])
    return zeros + problem.depth * rank * (problem.width - rank), below


def polished(problem: Problem, group: Group, low: float, high: float) -> mp.mpf:
    """The scale to the digits that are set: a sign change of the derivative of the loss between the two doubles."""
    if group.root == "off":
        return mp.mpf(0)
    mean = mp.exp(mp.fsum(mp.log(mp.mpf(d)) for d in problem.decays) / (problem.depth + 1))
    share = mp.mpf(group.samples) / problem.total_samples

    def slope(scale: mp.mpf) -> mp.mpf:
        if problem.loss == "mse":
            singular = scale * mp.sqrt(group.samples)
            power = mp.mpf(1 - problem.depth) / (problem.depth + 1)
            return share * (scale - 1) + mean * singular**power * mp.sqrt(group.samples)
        with mp.extradps(2 * mp.dps):  # mp.diff loses half of the digits
            return loss_slope(problem.classes, group.size, share, group.samples, mean, problem.depth, scale)

    inner, outer = mp.mpf(low), mp.mpf(high)
    sign = slope(inner) > 0
    assert sign != (slope(outer) > 0)
    return mp.findroot(slope, (inner, outer), solver="anderson", tol=mp.mpf(10) ** (-3 * mp.dps), verify=False, maxsteps=60)


def test_the_case_that_newton_left_for_another_point() -> None:
    problem = Problem.balanced(5, 3, 6, 4, 0.06443059911283797)
    assert counts(problem, [Group(5, 3, "large")]) == (56, 5)


def test_the_case_between_the_threshold_and_its_rounding() -> None:
    problem = Problem.balanced(6, 2, 8, 3, 0.058060360421295205)
    assert counts(problem, [Group(6, 2, "large")])[1] == 9


@settings(max_examples=25, deadline=None)
@given(
    classes=st.integers(2, 40),
    samples=st.integers(1, 9),
    extra=st.integers(-1, 30),
    depth=st.integers(1, 9),
    exponent=st.floats(0, 9),
    root=st.sampled_from(["large", "small"]),
)
def test_dnc_has_the_counts_of_its_closed_form(
    classes: int, samples: int, extra: int, depth: int, exponent: float, root: GroupRoot
) -> None:
    with mp.workdps(120):
        peak = dnc_peak(classes, depth) if depth > 1 else mp.mpf(0)
        decay = float(dnc_decay(classes, samples, depth, peak)) * 10**-exponent
        scale = dnc_scale(classes, samples, depth, decay, root) if root == "large" or depth > 1 else None
        found = prove_structure(Problem.balanced(classes, samples, classes + extra, depth, decay), [Group(classes, samples, root)])
        if scale is None:
            assert isinstance(found, NoPoint)
        else:
            assert isinstance(found, Proof)
            assert (found.nullity, found.index) == dnc_counts(classes, samples, classes + extra, depth, decay, scale)


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
@pytest.mark.parametrize("classes", [4, 5, 6, 7, 8, 16])
def test_every_double_beside_a_stability_threshold_is_decided(classes: int, depth: int) -> None:
    with mp.workdps(100):
        threshold = mp.mpf(classes * (depth - 1)) / (depth + 1)
        root: GroupRoot = "large" if threshold > dnc_peak(classes, depth) else "small"
        centre = float(dnc_decay(classes, 2, depth, threshold))
        wanted = []
        for offset in (-64, -16, -4, -2, -1, 0, 1, 2, 4, 16, 64):
            decay = centre + offset * math.ulp(centre)
            scale = dnc_scale(classes, 2, depth, decay, root)
            assert scale is not None
            expected = dnc_counts(classes, 2, classes, depth, decay, scale)
            symmetric = classes * (classes - 3) // 2 if scale < threshold else 0
            assert counts(Problem.balanced(classes, 2, classes, depth, decay), [Group(classes, 2, root)]) == expected
            wanted.append(symmetric)
            if root == "large" and classes > 6:  # away from the fold nothing else is negative
                assert expected[1] == symmetric
    assert wanted[0] != wanted[-1]  # the sign does change


@pytest.mark.parametrize("exponent", [3, 5, 6, 7, 8, 10])
def test_small_root_pairs_are_no_more_degenerate_than_their_orbit(exponent: int) -> None:
    problem = Problem.balanced(4, 2, 6, 2, float(f"1e-{exponent}"))
    groups = [Group(2, 2, "small")] * 2
    assert counts(problem, groups) == (18, 3)
    assert dense_counts(problem, groups, 16 * exponent + 20) == (18, 3)


@pytest.mark.parametrize(
    ("problem", "groups", "nullity"),
    [
        (Problem.balanced(4, 1, 4, 3, 1e-8), [Group(2, 1, "small")] * 2, None),
        (Problem.balanced(5, 1, 4, 2, 1e-8), [Group(3, 1, "small"), Group(2, 1, "small")], 12),
        (Problem((2, 2, 1, 1), 5, 2, (1e-4, 3e-4, 2e-4)), [Group(2, 2, "small"), Group(2, 1, "large")], None),
        (Problem((1, 1, 1, 3, 3), 5, 2, 3e-3), [Group(3, 1, "large"), Group(2, 3, "small")], None),
        (
            Problem((2, 1, 1, 3), 4, 3, (1e-2, 2e-2, 1e-2, 5e-3)),
            [Group(1, 2, "off"), Group(2, 1, "large"), Group(1, 3, "off")],
            None,
        ),
    ],
)
def test_uneven_classes_and_decays_against_mpmath(problem: Problem, groups: list[Group], nullity: int | None) -> None:
    found = counts(problem, groups)
    assert found == dense_counts(problem, groups, 160)
    assert nullity is None or found[0] == nullity


SPLITS = [(2,), (3,), (2, 1), (2, 2), (3, 1), (4,), (2, 1, 1)]


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_random_structures_against_mpmath(data: st.DataObject) -> None:
    loss: LossName = data.draw(st.sampled_from(["ce", "ce", "mse"]))
    sizes = data.draw(st.sampled_from(SPLITS))
    roots: list[GroupRoot] = ["large", "small"]
    if loss == "mse":
        sizes, roots = (1,) * sum(sizes[:3]), ["large", "small", "off"]
    depth = data.draw(st.integers(1, 3 if sum(sizes) < 4 else 2))
    groups = []
    for size in sizes:
        root: GroupRoot = data.draw(st.sampled_from(roots)) if size > 1 or loss == "mse" else "off"
        groups.append(Group(size, data.draw(st.integers(1, 3)), "large" if depth == 1 and root == "small" else root))
    class_sizes = tuple(group.samples for group in groups for _ in range(group.size))
    decay = 10 ** -data.draw(st.floats(1.5, 6))
    decays = tuple(decay * data.draw(st.sampled_from([0.5, 1.0, 3.0])) for _ in range(depth + 1))
    problem = Problem(class_sizes, sum(sizes), depth, decays, loss)
    found = prove_structure(problem, groups)
    assert not isinstance(found, Unproved)
    if isinstance(found, NoPoint) or found.rank == 0 or (depth == 1 and found.rank < problem.width):
        return  # for one layer what the width adds has signs of its own: tested below
    assert (found.nullity, found.index) == dense_counts(problem, groups, 120)


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_uneven_groups_at_the_large_root_against_the_dense_hessian(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3).filter(lambda found: 2 <= sum(found) <= 6))
    samples = [data.draw(st.integers(1, 2)) for _ in sizes]
    depth, extra = data.draw(st.integers(1, 3)), data.draw(st.integers(0, 1))
    decay = 10 ** -data.draw(st.floats(1, 3.5))
    decays = tuple(decay * data.draw(st.sampled_from([0.5, 1.0, 2.0])) for _ in range(depth + 1))
    class_sizes = tuple(n for n, size in zip(samples, sizes, strict=True) for _ in range(size))
    problem = Problem(class_sizes, sum(sizes) + extra, depth, decays)
    found = prove_structure(problem, [Group(size, n, "large") for size, n in zip(sizes, samples, strict=True)])
    assert not isinstance(found, Unproved)
    if isinstance(found, NoPoint):
        return
    theta = write_parameters(problem, logit_form(problem, Partition(tuple(sizes))), gauge=3)
    values = torch.linalg.eigvalsh(torch.func.hessian(Objective.of(problem).loss)(theta))
    if not bool(((values.abs() > 1e-13) & (values.abs() < 1e-9)).any()):  # else float64 is no judge
        assert (found.nullity, found.index) == (int((values.abs() <= 1e-13).sum()), int((values < -1e-13).sum()))


@pytest.mark.parametrize(
    ("sizes", "core_index", "copies"),
    [((2, 2), 0, 1), ((3, 1), 2, 1), ((2, 1, 1), 1, 2), ((4,), 0, 0), ((1, 1, 1, 1), 0, 3)],
)
@pytest.mark.parametrize("width", [3, 4, 9])
def test_one_layer_has_negative_directions_outside_the_core(
    sizes: tuple[int, ...], core_index: int, copies: int, width: int
) -> None:
    problem = Problem.balanced(4, 1, width, 1, 0.02)
    groups = [Group(size, 1, "large") for size in sizes]
    rank = 4 - len(sizes)
    nullity = width * rank - rank * (rank + 1) // 2
    assert counts(problem, groups) == (nullity, core_index + copies * (width - rank))


@pytest.mark.parametrize("loss", ["ce", "mse"])
@pytest.mark.parametrize("class_sizes", [(1, 1), (2, 2, 2), (1, 2, 3), (1, 1, 4), (1, 2, 2)])
def test_the_zero_point_of_one_layer(loss: LossName, class_sizes: tuple[int, ...]) -> None:
    total, classes = sum(class_sizes), len(class_sizes)
    scale = torch.tensor(class_sizes, dtype=torch.float64).sqrt()
    pull = torch.diag(scale) - (torch.ones(classes, 1, dtype=torch.float64) * scale / classes if loss == "ce" else 0)
    levels = torch.linalg.svdvals(pull) / total
    for decay in (1e-3, 0.1, 0.2, 0.3, 1.0):
        found = counts(Problem(class_sizes, 2, 1, decay, loss), [Group(1, n, "off") for n in class_sizes])
        assert found == (0, 2 * int((levels > decay).sum()))


def test_the_zero_point_at_an_exact_tie() -> None:
    groups = [Group(1, 1, "off")] * 2
    assert counts(Problem.balanced(2, 1, 3, 1, 0.5), groups) == (3, 0)
    assert counts(Problem.balanced(2, 1, 3, 1, math.nextafter(0.5, 0)), groups) == (0, 3)
    assert counts(Problem.balanced(2, 1, 3, 1, (0.25, 1.0), "mse"), groups) == (6, 0)
    assert counts(Problem.balanced(2, 1, 3, 2, 0.5), groups) == (0, 0)


def partitions(classes: int, largest: int) -> list[tuple[int, ...]]:
    if classes == 0:
        return [()]
    return [(part, *rest) for part in range(min(classes, largest), 0, -1) for rest in partitions(classes - part, part)]


@pytest.mark.parametrize("sizes", partitions(10, 10)[:-1], ids=str)
def test_every_partition_of_ten_classes_in_the_papers_setting(sizes: tuple[int, ...]) -> None:
    groups = [Group(size, 5, "large") for size in sizes]
    nullity, index = counts(Problem.balanced(10, 5, 70, 2, 2**-10), groups)
    rank = 10 - len(sizes)
    assert nullity == 2 * (70 * rank - rank * (rank + 1) // 2)
    # the index is that of the model of width r with one sample a class and the decay that this corresponds to
    narrow = Problem.balanced(10, 1, rank, 2, 2**-10 * 5 ** (1 / 3))
    dense = torch.func.hessian(Objective.of(narrow).loss)(write_parameters(narrow, logit_form(narrow, Partition(sizes))))
    values = torch.linalg.eigvalsh(dense)
    assert int((values.abs() < 1e-13).sum()) == rank * (rank - 1)
    assert index == int((values < -1e-13).sum())


@pytest.mark.parametrize(("decay", "index"), [(1e-5, 498500), (1e-9, 498500)])
def test_a_thousand_classes_take_no_time(decay: float, index: int) -> None:
    problem = Problem.balanced(1000, 100, 5000, 8, decay)
    start = time.process_time()
    assert counts(problem, [Group(1000, 100, "large")]) == (35964000, index)
    assert time.process_time() - start < 1


def test_the_loss_and_the_payload_of_a_proof() -> None:
    problem = Problem.balanced(10, 5, 70, 2, 2**-10)
    proof = prove_structure(problem, [Group(8, 5, "large"), Group(2, 5, "small")])
    assert isinstance(proof, Proof)
    assert (proof.kind, proof.name, proof.rank) == ("structure", "partition:8,2-small", 8)
    groups = proof.data["groups"]
    assert [(g["size"], g["samples"], g["root"]) for g in groups] == [(8, 5, "large"), (2, 5, "small")]
    large = prove_structure(problem, [Group(10, 5, "large")])
    assert isinstance(large, Proof)
    low, high = large.loss
    dnc = write_parameters(problem, logit_form(problem, Partition((10,))))
    assert low <= high <= low + 1e-15
    assert float(Objective.of(problem).loss(dnc)) == pytest.approx(low, abs=1e-15)


@pytest.mark.parametrize(
    ("roots", "name"),
    [
        (("large", "large"), "DNC"),
        (("small", "small"), "DNC-small"),
        (("large", "off"), "modes:1,1-off"),
        (("off", "off"), "zero"),
    ],
)
def test_modes_of_squared_error_have_the_loss_and_the_counts_of_the_dense_hessian(roots: tuple[GroupRoot, ...], name: str) -> None:
    problem = Problem((1, 2), 3, 2, 0.02, "mse")
    groups = [Group(1, n, root) for n, root in zip((1, 2), roots, strict=True)]
    proof = prove_structure(problem, groups)
    bounds = scale_enclosures(problem, groups)
    assert isinstance(proof, Proof)
    assert not isinstance(bounds, Unproved | NoPoint)
    assert proof.name == name
    theta = torch.zeros(problem.parameters, dtype=torch.float64)
    features, first, last = theta[:9].view(3, 3), theta[9:18].view(3, 3), theta[18:].view(2, 3)
    for c, (low, _) in enumerate(bounds):
        s = (low * math.sqrt(groups[c].samples)) ** (1 / 3)
        columns = [0] if c == 0 else [1, 2]
        features[c, columns] = s / math.sqrt(len(columns))
        first[c, c] = last[c, c] = s
    loss = Objective.of(problem).loss
    assert float(torch.func.grad(loss)(theta).norm()) < 1e-15
    assert float(loss(theta)) == pytest.approx(proof.loss[0], abs=1e-15)
    values = torch.linalg.eigvalsh(torch.func.hessian(loss)(theta))
    assert (proof.nullity, proof.index) == (int((values.abs() < 1e-12).sum()), int((values < -1e-12).sum()))


def test_what_the_last_places_of_the_decay_decide_is_counted_apart() -> None:
    with mp.workdps(60):
        threshold = float(dnc_decay(6, 2, 3, mp.mpf(3)))
        fold = float(dnc_decay(5, 1, 2, dnc_peak(5, 2)))
    group = [Group(6, 2, "large")]
    at = near_zero_of_structure(Problem.balanced(6, 2, 8, 3, threshold), group)
    assert not isinstance(at, Unproved)
    assert (at.count, at.below.index, at.above.index) == (9, 0, 9)  # type: ignore[union-attr]
    far = near_zero_of_structure(Problem.balanced(6, 2, 8, 3, threshold * 0.999), group)
    assert not isinstance(far, Unproved)
    assert far.count == 0
    below = math.nextafter(math.nextafter(fold, 0), 0)
    for root in ("large", "small"):
        beside = near_zero_of_structure(Problem.balanced(5, 1, 5, 2, below), [Group(5, 1, root)])
        assert not isinstance(beside, Unproved)
        assert isinstance(beside.above, NoPoint)
        assert beside.count == 1


def test_squared_error_at_an_exact_fold_is_unproved() -> None:
    # L = 2: the fold is where the product of the decays is 27 n^2 / (256 N^3), a double for n = 1, N = 2
    problem = Problem.balanced(2, 1, 2, 2, (27 / 2048, 1.0, 1.0), "mse")
    assert isinstance(prove_structure(problem, [Group(1, 1, "large"), Group(1, 1, "off")]), Unproved)
    above = Problem.balanced(2, 1, 2, 2, (math.nextafter(27 / 2048, 1), 1.0, 1.0), "mse")
    assert isinstance(prove_structure(above, [Group(1, 1, "large"), Group(1, 1, "off")]), NoPoint)


def test_no_torch_is_loaded() -> None:
    import subprocess
    import sys

    code = "import sys, landscape.proof.structures, landscape.proof.eigenvalues; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"
