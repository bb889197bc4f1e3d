"""Antiprisms and bipyramids against their stationarity in mpmath, the icosahedron, and ends of trained networks."""

import math
from dataclasses import replace

import mpmath
import pytest
import torch

from figures import DATA
from landscape.errors import InputError
from landscape.model.logit_form import LogitForm, write_parameters
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.structures.analytic import logit_form
from landscape.structures.block_bases import basis_of
from landscape.structures.blocks import Antiprism, Bipyramid, Hamming, label, parse_block, symmetries_of
from landscape.structures.kinds import Blocks, Unnamed
from landscape.structures.names import name
from landscape.structures.notation import parse_structure
from landscape.structures.recognition import recognise
from landscape.structures.relabelling import copies_of_logits, matching
from landscape.studies.heads.tables import HeadRow
from landscape.studies.tables import read_table

DEEP = Problem.balanced(10, 2, 12, 3, (5e-3 / 2, 5e-3, 5e-3, 5e-3))


def logits_of(form: LogitForm, samples: int) -> torch.Tensor:
    return (form.left * form.singular) @ form.right.mT / math.sqrt(samples)


def resistance(problem: Problem, singular: mpmath.mpf) -> mpmath.mpf:
    """What decay pulls a singular value with: the slope of its share of the Schatten quasi-norm."""
    return problem.mean_decay * mpmath.mpf(singular) ** (mpmath.mpf(1 - problem.depth) / (1 + problem.depth))


@pytest.mark.parametrize(("classes", "depth", "decay"), [(8, 3, 1e-3), (10, 3, 5e-3), (9, 2, 5e-4)])
def test_both_scales_of_an_antiprism_are_stationary(classes: int, depth: int, decay: float) -> None:
    """The softmax of a circulant column is circulant, so its pull on the polygon and on the heights are two Fourier sums."""
    problem, n = Problem.balanced(classes, 3, 12, depth, decay), 3
    rest = () if classes == 8 else (parse_block(str(classes - 8)),)
    form = logit_form(problem, Blocks((Antiprism(8), *rest)))
    polygon, heights = (mpmath.mpf(float(form.singular[place])) for place in (0, 2))
    turns = [mpmath.cos(mpmath.pi * k / 4) for k in range(8)]
    column = [(2 * polygon * turns[k] + heights * (-1) ** k) / (8 * mpmath.sqrt(n)) for k in range(8)]
    total = mpmath.fsum(map(mpmath.exp, column)) + classes - 8
    shares = [mpmath.exp(entry) / total for entry in column]
    for singular, wave in ((polygon, turns), (heights, [(-1) ** k for k in range(8)])):
        pull = (1 - mpmath.fsum(share * value for share, value in zip(shares, wave, strict=True))) * mpmath.sqrt(n)
        assert float(resistance(problem, singular) * problem.total_samples / pull) == pytest.approx(
            1, abs=1e-11
        )  # the floor of Newton, 1e-15, over a pull of 4e-4


@pytest.mark.parametrize("depth", [2, 3])
def test_the_bipyramid_of_twelve_is_the_icosahedron(depth: int) -> None:
    problem = Problem.balanced(12, 1, 14, depth, 1e-3)
    logits = logits_of(logit_form(problem, Blocks((Bipyramid(12),))), 1)
    near = 1 / mpmath.sqrt(5)
    cosines = [(1, mpmath.mpf(1)), (5, near), (5, -near), (1, mpmath.mpf(-1))]  # from one corner of an icosahedron to all

    def stationary(scale: mpmath.mpf) -> mpmath.mpf:
        weights = [(times, cosine, mpmath.exp(scale * cosine / 4)) for times, cosine in cosines]
        mean = mpmath.fsum(t * c * w for t, c, w in weights) / mpmath.fsum(t * w for t, _, w in weights)
        return resistance(problem, scale) * 12 - (1 - mean)

    scale = float(mpmath.findroot(stationary, float(torch.linalg.svdvals(logits)[0]) * 1.01))
    golden = (1 + math.sqrt(5)) / 2
    quarter = [[0.0, a, b * golden] for a in (1, -1) for b in (1, -1)]
    corners = torch.tensor([corner[turn:] + corner[:turn] for corner in quarter for turn in range(3)], dtype=torch.float64)
    exact = scale / 4 * corners @ corners.mT / corners[0].square().sum()
    assert matching(exact, logits, 1e-10 * scale) is not None
    assert math.factorial(12) // copies_of_logits(logits, (1,) * 12) == symmetries_of(Bipyramid(12)) == 120


@pytest.mark.parametrize("text", ["blocks:antiprism8+2", "blocks:antiprism10", "blocks:bipyramid10"])
def test_they_are_critical_points_of_the_network_itself(text: str) -> None:
    """Plain double backward through the layers and the cross-entropy of torch."""
    theta = write_parameters(DEEP, logit_form(DEEP, parse_structure(text)), gauge=1).requires_grad_()
    features, *layers = theta.split([12 * 20, 144, 144, 120])
    signal = features.reshape(12, 20)
    for layer in layers:
        signal = layer.reshape(-1, 12) @ signal
    loss = torch.nn.functional.cross_entropy(signal.mT, torch.arange(10).repeat_interleave(2))
    loss = loss + sum(decay / 2 * part.square().sum() for decay, part in zip(DEEP.decays, (features, *layers), strict=True))
    (gradient,) = torch.autograd.grad(loss, theta)
    assert float(gradient.norm()) < 1e-13


@pytest.mark.parametrize("text", ["blocks:antiprism8+2", "blocks:antiprism10", "blocks:bipyramid10"])
def test_they_know_their_name_in_any_order_and_lose_it_when_bent(text: str) -> None:
    structure = parse_structure(text)
    assert isinstance(structure, Blocks)
    core = Core.from_form(DEEP, logit_form(DEEP, structure))
    order = torch.randperm(10, generator=torch.Generator().manual_seed(1)).tolist()
    logits = core.class_logits[order][:, order]
    found = recognise(DEEP, logits, core.rank)
    assert name(found.kind) == text
    assert found.distance(logits) < 1e-12
    bent = logits.clone()
    bent[0, 1] += 1e-3
    assert recognise(DEEP, bent, core.rank).kind == Unnamed(core.rank)
    copies = math.factorial(10) // math.prod(symmetries_of(block) for block in structure.blocks)
    assert copies_of_logits(core.class_logits, (1,) * 10) == copies


def test_trained_networks_end_at_them() -> None:
    """The flow of a head of 500 samples has no scalars and no symmetry; its ends have the same loss."""
    problem = Problem.balanced(10, 50, 64, 3, (1e-4, 5e-3, 5e-3, 5e-3))
    ends = [row for row in read_table(DATA / "real-networks.csv", HeadRow) if row.decayed == "features" and row.depth == 3]
    for text in ("blocks:antiprism8+2", "blocks:bipyramid10"):
        loss = Core.from_form(problem, logit_form(problem, parse_structure(text))).loss
        found = [row.end_loss for row in ends if row.end == text]
        assert found
        assert found == pytest.approx([loss] * len(found), rel=1e-12)


@pytest.mark.parametrize("text", ["antiprism6", "antiprism9", "bipyramid8", "bipyramid11"])
def test_what_is_a_smaller_structure_has_no_name_of_its_own(text: str) -> None:
    with pytest.raises(InputError, match="antiprism8 or bipyramid10 or a larger even number"):
        parse_block(text)


@pytest.mark.parametrize(
    ("problem", "text", "message"),
    [
        (DEEP, "blocks:antiprism8-small+2", "expected antiprism8 at its large root"),
        (DEEP, "blocks:antiprism8", "expected blocks for 10 classes, got 8"),
        (Problem.balanced(10, 1, 2, 3, 1e-3), "blocks:bipyramid10", "expected width >= 3"),
    ],
)
def test_refusals(problem: Problem, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        logit_form(problem, parse_structure(text))


@pytest.mark.slow
@pytest.mark.parametrize("text", ["blocks:antiprism8+2", "blocks:bipyramid10"])
def test_above_the_largest_decay_there_is_none(text: str) -> None:
    with pytest.raises(InputError, match="largest decay") as refusal:
        logit_form(Problem.balanced(10, 1, 10, 3, 0.5), parse_structure(text))
    largest = float(str(refusal.value).rsplit(" ", 1)[1])
    below = Problem.balanced(10, 1, 10, 3, largest * 0.999)
    core = Core.from_form(below, logit_form(below, parse_structure(text)))
    assert float(core.objective.gradient(core.theta).norm()) < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "classes", "pairs_end"), [(Antiprism(8), 8, 0.132903), (Bipyramid(10), 10, 0.11554)])
def test_they_outlive_pairs_up_to_a_fold_of_their_own(shape: Antiprism | Bipyramid, classes: int, pairs_end: float) -> None:
    """Along the branch the curvature falls to zero like the root of the distance from the fold: by ten from 1 % to 1e-4."""
    problem = Problem.balanced(classes, 1, classes, 3, 0.5)
    with pytest.raises(InputError, match="largest decay") as refusal:
        logit_form(problem, Blocks((shape,)))
    largest = float(str(refusal.value).rsplit(" ", 1)[1])
    assert largest > 1.03 * pairs_end

    def place(apart: float) -> Core:
        near = replace(problem, decay=largest * (1 - apart))
        core = Core.from_form(near, logit_form(near, Blocks((shape,))))
        assert float(core.objective.gradient(core.theta).norm()) < 1e-12
        assert name(recognise(near, core.class_logits, core.rank).kind) == f"blocks:{label(shape)}"
        return core

    curvatures = []
    for apart in (1e-2, 1e-4):
        here, beside = place(apart), place(1.01 * apart)
        along = (beside.theta - here.theta) / (beside.theta - here.theta).norm()
        hessian = torch.autograd.functional.hessian(here.objective.loss, here.theta)
        curvatures.append(float(along @ hessian @ along))
    assert 5 < curvatures[0] / curvatures[1] < 20


@pytest.mark.parametrize("size", [1, 5, 9])
def test_an_order_is_found_again(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    known = torch.rand(size, size, generator=generator, dtype=torch.float64).round(decimals=0)  # many equal entries
    order = torch.randperm(size, generator=generator)
    found = matching(known, known[order][:, order], 1e-9)
    assert found is not None
    assert torch.equal(known[order][:, order][found][:, found], known)
    other = known.clone()
    other[0, 0] += 0.5
    assert matching(known, other, 1e-9) is None


def test_a_search_for_an_order_that_nearly_exists_gives_up() -> None:
    """Two rows of a cube's logits are exchanged: most of the orders fit half of the classes and no more."""
    basis = basis_of(Hamming(6, 2))
    known = basis @ basis.mT
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    assert matching(known, known[order][:, order], 1e-9) is not None
    spoilt = known.clone()
    spoilt[[5, 40]] = known[[40, 5]]
    assert matching(known, spoilt, 1e-9) is None
