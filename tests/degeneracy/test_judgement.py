"""The judge: what may be stated, what may not and why, and that nothing slips through as NaN."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from landscape.curvature.counting.zeros import Nullity
from landscape.curvature.spectra.spectrum import Spectrum
from landscape.degeneracy.judgement import (
    Doubt,
    Verdict,
    confirmed,
    is_faint,
    judge,
    judge_spectrum,
    known_smallest_positive,
    not_critical,
    weighed,
)
from landscape.model.problem import Problem
from landscape.proof.statement import NoPoint, Proof, Unproved

CLEAR = Nullity(5, 1, 0, 1e-15, 1e-17, 1e-3, rounding=1e-15, norm=1.0, method="dense")
MODEL = Problem.balanced(3, 1, 4, 2, 1e-2)


def proof(nullity: int = 5, index: int = 1, near_zero: int | None = None) -> Proof:
    return Proof("point", MODEL, 2, nullity, index, (0.1, 0.2), 64, distance=1e-15, near_zero=near_zero)


def test_a_clear_count_is_stated() -> None:
    verdict = judge(CLEAR, 5, 5)
    assert (verdict.nullity, verdict.index, verdict.doubt, verdict.reason, verdict.near_zero) == (5, 1, None, "", 0)
    assert verdict.certain
    assert verdict.critical


@pytest.mark.parametrize(
    ("change", "explained", "formula", "doubt"),
    [
        ({}, 4, 4, Doubt.TOO_FAINT),
        ({}, 4, None, Doubt.UNEXPLAINED),
        ({}, 5, 4, Doubt.TOO_FAINT),
        ({"smallest_nonzero": 1e-8}, 5, 5, Doubt.TOO_FAINT),
        ({"smallest_nonzero": math.nan}, 5, 5, Doubt.TOO_FAINT),
        ({"norm": math.nan}, 5, 5, Doubt.TOO_FAINT),
        ({"undecided": 1}, 5, 5, Doubt.TOO_FAINT),
        ({"undecided": 1, "cutoff": 1e-9}, 5, 5, Doubt.NOT_CRITICAL),
        ({"cutoff": 1e-2}, 5, 5, Doubt.NOT_CRITICAL),
        ({"cutoff": math.nan}, 5, 5, Doubt.NOT_CRITICAL),
        ({"certified": False, "reason": "out of steps"}, 5, 5, Doubt.UNCERTIFIED),
        ({"negative": None}, 5, 5, Doubt.UNCERTIFIED),
    ],
)
def test_a_doubtful_count_is_not(change: dict[str, Any], explained: int, formula: int | None, doubt: Doubt) -> None:
    verdict = judge(replace(CLEAR, **change), explained, formula)
    assert (verdict.nullity, verdict.index, verdict.doubt) == (None, None, doubt)
    assert verdict.reason.startswith(doubt.lead)
    assert verdict.reason.endswith(doubt.value)
    assert "\n" not in verdict.reason


def test_every_doubt_has_its_own_remedy() -> None:
    assert len({doubt.value for doubt in Doubt}) == len(Doubt)  # equal values would be one member
    assert "landscape solve --start FILE --out NEW" in not_critical(1e-3, "it is far").reason
    assert not not_critical(1e-3, "it is far").critical


def test_a_bound_from_elsewhere_decides_what_is_faint() -> None:
    assert judge(CLEAR, 5, 5, smallest=1e-9).doubt is Doubt.TOO_FAINT
    assert not is_faint(CLEAR)
    assert is_faint(CLEAR, 1e-9)


def test_without_symmetry_nothing_is_compared() -> None:
    spectrum = Spectrum(torch.tensor([-1.0, 0.0, 2.0], dtype=torch.float64), (1, 3, 2), 1e-15)
    assert (judge_spectrum(spectrum, None).nullity, judge_spectrum(spectrum, None).index) == (3, 1)
    assert judge_spectrum(spectrum, 2).doubt is Doubt.TOO_FAINT


def test_a_proof_settles_a_doubt() -> None:
    doubtful = judge(CLEAR, 4, 4)
    verdict = weighed(doubtful, proof(4, 2, near_zero=1))
    assert (verdict.nullity, verdict.index, verdict.doubt, verdict.near_zero) == (4, 2, None, 1)
    assert weighed(doubtful, NoPoint("no root")).doubt is Doubt.NO_POINT
    assert not weighed(doubtful, NoPoint("no root")).critical
    open_ = weighed(doubtful, Unproved("a sign is open"))
    assert (open_.doubt, open_.nullity) == (Doubt.UNPROVED, None)
    assert "a sign is open" in open_.reason


def test_a_proof_confirms_a_clear_count_or_shows_a_defect() -> None:
    clear = judge(CLEAR, 5, 5)
    assert weighed(clear, proof()).proof is not None
    assert weighed(clear, proof()).near_zero == 0
    wrong = weighed(clear, proof(index=2))
    assert (wrong.doubt, wrong.nullity, wrong.index) == (Doubt.DISAGREEMENT, None, None)
    kept = weighed(clear, Unproved("too large"))
    assert (kept.nullity, kept.index, kept.proof, kept.unproved) == (5, 1, None, "too large")


def test_only_a_resolved_count_contradicts() -> None:
    first = judge(CLEAR, 5, 5)
    wrong: list[dict[str, Any]] = [{"count": 6}, {"negative": 2}]
    for other in wrong:
        verdict = confirmed(first, CLEAR, "reduction", replace(CLEAR, **other))
        assert (verdict.doubt, verdict.nullity) == (Doubt.DISAGREEMENT, None)
        assert "routes disagree" in verdict.reason
    unresolved: list[dict[str, Any]] = [{"negative": None}, {"count": 6, "certified": False}, {"count": 6, "undecided": 1}]
    for other in unresolved:
        assert confirmed(first, CLEAR, "reduction", replace(CLEAR, **other)) is first


def test_the_smallest_positive_eigenvalue_is_known_only_with_its_count() -> None:
    spectrum = Spectrum(torch.tensor([-1e-3, 1e-17, 2e-3], dtype=torch.float64), (1, 5, 2), 1e-15)
    assert known_smallest_positive(Verdict(5, 1), CLEAR, spectrum) == 2e-3
    assert known_smallest_positive(Verdict(4, 1), CLEAR, spectrum) is None
    assert known_smallest_positive(judge(CLEAR, 4, 4), CLEAR, spectrum) is None
