"""What is printed is true: exact decays, a distance rounded up, no name for a found point."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscape.problem import Problem
from landscape.proof.statement import Proof

POINT = Proof("point", Problem.balanced(4, 2, 6, 2, 0.005), 2, 18, 0, (0.25, 0.5), 53, distance=1e-15)


def test_a_found_point_in_two_sentences() -> None:
    assert POINT.theorem == (
        "linear CE model, K=4 n=2 d=6 L=2 decay=0.005 (P=108) (decay 0.005) has exactly one critical point, up to its symmetries, "
        "in the box of this proof; it has rank 2 and lies within 1.01e-15 of the given core. Its Hessian has exactly 18 zero and "
        "0 negative eigenvalues among 108, and its loss is between 0.25 and 0.5."
    )


def test_a_structure_has_its_name_and_the_zero_point_no_box() -> None:
    assert "has the critical point pairs, of rank 2. " in replace(POINT, kind="structure", name="pairs").theorem
    zero = replace(POINT, rank=0, distance=0.0).theorem
    assert "zero point" in zero
    assert "box" not in zero


@given(st.floats(1e-300, 1e300))
def test_the_distance_is_rounded_up(distance: float) -> None:
    shown = replace(POINT, distance=distance).theorem.split("within ")[1].split(" of the given")[0]
    assert Fraction(distance) <= Fraction(shown) <= Fraction(distance) * Fraction(102, 100)


@pytest.mark.parametrize("decay", [0.06443059911283797, (0.1, 0.06443059911283797, 0.3)])
def test_decays_are_exact(decay: float | tuple[float, ...]) -> None:
    assert "0.06443059911283797" in replace(POINT, problem=Problem.balanced(4, 2, 6, 2, decay)).theorem


def test_evidence_is_not_printed() -> None:
    assert "data" not in repr(replace(POINT, data={"centre": [["1", "2"]] * 100}))
