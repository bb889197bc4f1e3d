"""Starts that do not fit their problem: seen by counting, exactly where the structure itself refuses the problem."""

from dataclasses import replace

import pytest

from landscape.archive.job import Job
from landscape.errors import InputError
from landscape.structures.analytic import logit_form
from landscape.structures.block_bases import basis_of
from landscape.structures.blocks import parse_block, size_of
from landscape.structures.notation import parse_structure
from landscape.sweep.starts import _block, checked_start, misfit
from landscape.sweep.worker import problem_of

KINDS = (
    *("dnc", "pairs", "apex", "partition:2,2", "partition:3,1", "partition:1,1,1,1", "partition:3,2", "partition:4"),
    *("blocks:3+2", "blocks:polygon5", "blocks:polygon5+3", "blocks:T5", "blocks:H2x3", "blocks:H3x2"),
)
SIZES = ((2,) * 3, (2,) * 4, (2,) * 5, (2,) * 8, (2,) * 9, (2,) * 10, (2, 2, 2, 1), (2, 2, 1, 1), (2, 2, 2, 1, 1))
OTHERS: tuple[dict[str, object], ...] = (
    *({}, {"width": 2}, {"width": 3}, {"loss": "mse"}, {"loss": "mse", "width": 4}, {"depth": 1}, {"root": "small"}),
    *({"depth": 1, "root": "small"}, {"activation": "relu"}, {"activation": "relu", "depth": 1}),
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_misfit_is_what_the_structure_refuses(kind: str) -> None:
    assert checked_start(kind) == kind
    fitting = 0
    for sizes in SIZES:
        for other in OTHERS:
            job = replace(Job(sizes, 9, 2, 1e-5, start=kind, root="large"), **other).canonical
            try:
                logit_form(problem_of(job), parse_structure(kind, job.root or "large"))
                fits = True
            except InputError:
                fits = False
            assert (misfit(job) is None) is fits, str(job)
            fitting += fits
    assert fitting > 1


@pytest.mark.parametrize("text", ["1", "7", "polygon5", "polygon12", "T5", "T7", "H2x3", "H3x2", "H3x3"])
def test_blocks_have_the_classes_and_the_rank_of_their_codes(text: str) -> None:
    block = parse_block(text)
    assert _block(text) == (size_of(block), basis_of(block).shape[1])


@pytest.mark.parametrize("text", ["0", "polygon4", "T4", "H2x2", "H1x3", "H3x1", "x", "", "H1000x2", "٣"])
def test_what_is_no_block(text: str) -> None:
    assert _block(text) is None
    with pytest.raises(ValueError, match="expected random, DNC"):
        checked_start(f"blocks:3+{text}")


@pytest.mark.parametrize(("width", "fits"), [(20_000, True), (10**9, False)])
def test_a_random_start_is_bounded_by_its_parameters_and_a_structure_is_not(width: int, fits: bool) -> None:
    job = Job((1,) * 4, width, 2, 1e-3)
    assert (misfit(job) is None) is fits
    assert misfit(replace(job, start="dnc").canonical) is None
    assert misfit(replace(job, start="dnc", class_sizes=(10**7,) * 40).canonical) == (
        ("problem",),
        "expected at most 10000000000 logits, got 16000000000",
    )
