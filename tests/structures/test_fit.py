"""Structures that do not fit their problem are refused by counting, and those that fit have the rank that was counted."""

from dataclasses import replace
from typing import Any

import pytest

from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.structures.analytic import logit_form
from landscape.structures.block_bases import basis_of
from landscape.structures.blocks import Antiprism, Bipyramid, parse_block, rank_of, size_of
from landscape.structures.fit import require_fit
from landscape.structures.notation import parse_structure

BALANCED = Problem((2,) * 4, 9, 2, 1e-5)


def sized(*sizes: int, **other: Any) -> Problem:
    return replace(BALANCED, class_sizes=sizes, **other)


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("dnc", BALANCED),
        ("dnc", replace(BALANCED, loss="mse")),
        ("pairs", BALANCED),
        ("pairs", sized(2, 2, 1, 1)),
        ("apex", sized(2, 2, 2, 2, 2)),
        ("partition:3,1", sized(2, 2, 2, 1)),
        ("partition:2,2", sized(2, 2, 1, 1)),
        ("partition:1,1,1,1", BALANCED),
        ("blocks:polygon5+3", sized(*[2] * 8)),
        ("blocks:T5", sized(*[2] * 10)),
        ("blocks:H2x3", sized(*[2] * 9)),
        ("blocks:H3x2", sized(*[2] * 8)),
        ("dnc", replace(BALANCED, activation="relu", depth=1)),
    ],
)
def test_the_smallest_width_is_the_rank_of_the_logits(kind: str, problem: Problem) -> None:
    structure = parse_structure(kind, "large")
    rank = logit_form(problem, structure).rank
    require_fit(replace(problem, width=max(rank, 1)), structure)
    if rank:
        with pytest.raises(InputError, match=f"expected width >= {rank}, the rank"):
            require_fit(replace(problem, width=rank - 1 or 1) if rank > 1 else replace(problem, width=0), structure)


@pytest.mark.parametrize(
    ("kind", "root", "problem", "words"),
    [
        ("dnc", "large", replace(BALANCED, activation="relu"), "expected linear layers"),
        ("pairs", "large", replace(BALANCED, loss="mse"), "expected loss ce"),
        ("pairs", "large", sized(2, 2, 2), "expected an even number"),
        ("apex", "large", BALANCED, "expected an odd number of equal classes"),
        ("apex", "large", sized(2, 2, 1), "expected an odd number of equal classes"),
        ("partition:3,2", "large", BALANCED, "that sum to 4 classes, got 3,2"),
        ("partition:4,0", "large", BALANCED, "groups of at least 1"),
        ("partition:2,2", "large", sized(2, 1, 1, 1), "expected equal class sizes within each group"),
        ("blocks:polygon5", "large", BALANCED, "expected blocks for 4 classes, got 5"),
        ("dnc", "large", sized(2, 2, 1), "expected equal class sizes"),
        ("dnc", "small", replace(BALANCED, depth=1), "expected depth >= 2"),
    ],
)
def test_misfits(kind: str, root: Any, problem: Problem, words: str) -> None:
    structure = parse_structure(kind, root)
    for refuse in (require_fit, logit_form):
        with pytest.raises(InputError, match=words):
            refuse(problem, structure)


@pytest.mark.parametrize("text", ["1", "7", "polygon5", "polygon12", "T5", "T7", "H2x3", "H3x2", "H3x3"])
def test_blocks_have_the_classes_and_the_rank_of_their_codes(text: str) -> None:
    block = parse_block(text)
    assert not isinstance(block, Antiprism | Bipyramid)
    assert (size_of(block), rank_of(block)) == tuple(basis_of(block).shape)


@pytest.mark.parametrize("text", ["0", "polygon4", "T4", "H2x2", "H1x3", "H3x1", "x", "", "H1000x2", "٣", "1" * 7])
def test_what_is_no_block(text: str) -> None:
    with pytest.raises(InputError, match="expected"):
        parse_block(text)
