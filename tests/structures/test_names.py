"""A printed name is the value: it reads back as what it was, and can be pasted into --start."""

import json
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.structures.analytic import logit_form
from landscape.structures.blocks import Antiprism, Bipyramid, Hamming, Polygon, Simplex, Triangular, size_of
from landscape.structures.kinds import Apex, Blocks, Collapse, Kind, Modes, Pairs, Partition, Unnamed, Zero, kind_of
from landscape.structures.names import NOT_CRITICAL, in_words, known_name, name, parse
from landscape.structures.notation import parse_structure
from landscape.structures.old_names import current_name
from landscape.structures.recognition import recognise

ROOTS = st.sampled_from(["large", "small"])
BLOCK = st.one_of(
    st.builds(Simplex, st.integers(1, 12)),
    st.builds(Polygon, st.integers(5, 12)),
    st.builds(Triangular, st.integers(5, 9)),
    st.builds(Hamming, st.integers(3, 4), st.integers(2, 3)),
    st.builds(Antiprism, st.integers(4, 8).map(lambda half: 2 * half)),
    st.builds(Bipyramid, st.integers(5, 8).map(lambda half: 2 * half)),
)


def rooted(parts):
    """Draws blocks with one root for all, or one for each."""
    return parts.flatmap(lambda blocks: st.tuples(st.just(tuple(blocks)), ROOTS | st.tuples(*[ROOTS] * len(blocks))))


WRITTEN = st.one_of(  # what makes a kind, and from what: beartype draws samples of its own where a kind is made
    st.tuples(st.just(Partition), rooted(st.lists(st.integers(1, 12), min_size=1, max_size=8))),
    st.tuples(st.just(Blocks), rooted(st.lists(BLOCK, min_size=1, max_size=6))),
    st.tuples(st.sampled_from([Collapse, Pairs]), st.tuples(ROOTS)),
    st.tuples(st.sampled_from([Apex, Zero]), st.just(())),
    st.tuples(st.just(Modes), st.tuples(*[st.integers(0, 9)] * 3).filter(any)),
    st.tuples(st.just(Unnamed), st.tuples(st.integers(0, 10**9))),
)
MARKED = st.lists(st.tuples(BLOCK, st.integers(1, 3), ROOTS), min_size=1, max_size=8)


@given(WRITTEN)
def test_a_name_reads_back_as_its_kind(written) -> None:
    make, parts = written
    kind: Kind = make(*parts)
    assert parse(name(kind)) == kind == known_name(name(kind))
    assert name(kind).isprintable()


@given(MARKED, st.randoms(use_true_random=False))
def test_equal_structures_have_one_normal_form_in_any_order(blocks, random) -> None:
    alike = [(block, 1, root) for block, _, root in blocks]
    mixed = random.sample(alike, len(alike))
    assert kind_of(alike) == kind_of(mixed)
    assert parse(name(kind_of(alike))) == kind_of(alike)


@given(MARKED)
def test_the_normal_form_keeps_classes_of_equal_samples_together(blocks) -> None:
    blocks = sorted(blocks, key=lambda one: one[1])
    kind = kind_of(blocks)
    if isinstance(kind, Partition):
        sizes = iter(kind.groups)
        for samples in sorted({one[1] for one in blocks}):
            own = sorted((size_of(block) for block, n, _ in blocks if n == samples), reverse=True)
            assert [next(sizes) for _ in own] == own


@pytest.mark.parametrize(
    ("blocks", "text"),
    [
        ([(6, "large"), (2, "large"), (2, "large")], "partition:6,2,2"),
        ([(2, "small"), (6, "large"), (2, "large")], "partition:6,2,2-small"),
        ([(3, "small"), (2, "small"), (1, "large")], "partition:3-small,2-small,1"),
        ([(2, "large")] * 3, "pairs"),
        ([(2, "small")] * 3, "pairs-small"),
        ([(2, "large"), (2, "small")], "partition:2,2-small"),
        ([(7, "large")], "DNC"),
        ([(2, "small")], "DNC-small"),
        ([(1, "large")] * 4, "zero"),
    ],
)
def test_names_of_groups(blocks, text: str) -> None:
    assert name(kind_of([(Simplex(size), 5, root) for size, root in blocks])) == text


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem.balanced(10, 5, 20, 2, 1e-3), "partition:6,2,2"),
        (Problem.balanced(10, 5, 20, 2, 1e-3), "partition:6,2-small,2-small"),
        (Problem.balanced(10, 5, 20, 2, 1e-3), "partition:8-small,2"),
        (Problem.balanced(10, 5, 20, 2, 1e-3), "blocks:polygon5+3-small+2"),
        (Problem.balanced(10, 5, 20, 2, 1e-3), "blocks:T5-small"),
        (Problem.balanced(10, 5, 20, 2, 1e-3), "blocks:antiprism8+2-small"),
        (Problem.balanced(10, 5, 20, 3, 1e-3), "blocks:bipyramid10"),
        (Problem.balanced(10, 5, 20, 2, 1e-3), "pairs-small"),
        (Problem.balanced(10, 5, 20, 2, 1e-3), "DNC-small"),
        (Problem.balanced(7, 1, 7, 2, 1e-3), "apex"),
        (Problem.balanced(4, 1, 4, 2, 1e-3), "zero"),
        (Problem((3, 3, 2, 2, 2), 6, 2, 1e-3), "partition:2,3-small"),
        (Problem((3, 1, 2), 4, 2, 1e-3, "mse"), "zero"),
    ],
)
def test_what_is_printed_can_be_pasted_and_is_printed_again(problem: Problem, text: str) -> None:
    core = Core.from_form(problem, logit_form(problem, parse_structure(text)))
    assert float(core.objective.gradient(core.theta).norm()) < 1e-12
    found = recognise(problem, core.class_logits, core.rank)
    assert name(found.kind) == text
    turned = torch.arange(problem.classes).flip(0) if problem.is_balanced else torch.arange(problem.classes)
    assert recognise(problem, core.class_logits[turned][:, turned], core.rank).kind == found.kind


@pytest.mark.parametrize("text", ["unnamed rank 4", "modes:2,1-small"])
def test_what_has_no_closed_form_is_no_start(text: str) -> None:
    with pytest.raises(InputError, match="expected a structure with a closed form"):
        parse_structure(text)


@pytest.mark.parametrize(
    "text", ["", NOT_CRITICAL, "not converged, rank 3", "unnamed rank x", "modes:2,2", "modes:0", "modes:2-big"]
)
def test_what_is_no_name_is_none(text: str) -> None:
    assert known_name(text) is None
    assert name(None) == NOT_CRITICAL


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("DNC", "DNC"),
        ("DNC at the small root", "DNC-small"),
        ("pairs at the small root", "pairs-small"),
        ("pairs+apex", "apex"),
        ("partition (6,2,2)", "partition:6,2,2"),
        ("partition (3,1) at the small root", "partition:3-small,1"),
        ("partition (6,2,2) with (2) at the small root", "partition:6,2,2-small"),
        ("pairs with (2) at the small root", "pairs with (2) at the small root"),
        ("blocks polygon5+3+2", "blocks:polygon5+3+2"),
        ("partition (6,2,2) at mixed roots", "partition (6,2,2) at mixed roots"),
        ("unnamed rank 4", "unnamed rank 4"),
        ("not converged, rank 3", "not converged, rank 3"),
    ],
)
def test_old_names_are_read_as_those_of_today(old: str, new: str) -> None:
    assert current_name(old) == new
    assert current_name(new) == new


def test_tables_in_the_repository_have_the_names_of_today() -> None:
    tables = sorted(Path("figures/data").glob("*.csv"))
    assert tables
    for path in tables:
        text = path.read_text()
        assert not re.search(r"partition \(|pairs\+apex|at the small root", text), path


def test_a_name_is_safe_in_json() -> None:
    kind = Partition((6, 2, 2), ("large", "small", "large"))
    assert parse(json.loads(json.dumps({"structure": name(kind)}))["structure"]) == kind


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("DNC", "DNC"),
        ("apex", "pairs and an apex"),
        ("partition:6,2-small,2", "groups 6, 2-small, 2"),
        ("blocks:polygon5+3", "5-gon + group of 3"),
        ("blocks:T5", "triangular code T(5)"),
        ("blocks:H3x2", "Hamming code H(3,2)"),
        ("blocks:antiprism8+2", "antiprism of 8 + group of 2"),
        ("blocks:bipyramid10", "bipyramid of 10"),
    ],
)
def test_names_in_words(typed: str, words: str) -> None:
    assert in_words(parse(typed)) == words
