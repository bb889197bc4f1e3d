"""Signs in balls against eigenvalues that are known by construction."""

import mpmath as mp
import numpy as np
import pytest
from flint import arb, arb_mat
from hypothesis import given
from hypothesis import strategies as st

from landscape.proof.balls import matrix, precision
from landscape.proof.inertia import enclosed_inertia, rotated_inertia


def turned(values: list[float], seed: int) -> np.ndarray:
    basis = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values), len(values))))[0]
    return (basis * values) @ basis.T


@given(st.lists(st.sampled_from([-3.0, -1.0, -0.25, 0.5, 1.0, 7.0]), min_size=1, max_size=8), st.integers(0, 99))
def test_clear_signs_are_counted(values: list[float], seed: int) -> None:
    negative = sum(value < 0 for value in values)
    dense = turned(values, seed)
    assert rotated_inertia(matrix((dense + dense.T) / 2)) == negative
    assert enclosed_inertia(matrix(np.diag(values))) == negative


@given(st.lists(st.sampled_from([-1.0, -1e-25, 1e-25, 1e-50, 2.0]), min_size=2, max_size=7), st.integers(0, 99))
def test_faint_signs_need_bits(values: list[float], seed: int) -> None:
    """A graded matrix L D L' with L unit lower triangular of exact doubles has the signs of D."""
    size = len(values)
    lower = np.tril(np.random.default_rng(seed).integers(-3, 4, (size, size)), -1) / 4 + np.eye(size)
    with precision(512):
        balls = matrix(lower) * matrix(np.diag(values)) * matrix(lower).transpose()
        assert enclosed_inertia(balls) == sum(value < 0 for value in values)


def test_a_zero_eigenvalue_is_not_decided() -> None:
    one = np.ones((3, 3))
    for bits in (53, 256):
        with precision(bits):
            assert enclosed_inertia(matrix(one)) is None
            assert rotated_inertia(matrix(one)) is None
    assert enclosed_inertia(matrix(np.diag([1.0, 0.0]))) is None


def test_a_ball_that_holds_both_signs_is_not_decided() -> None:
    assert enclosed_inertia(arb_mat([[arb(1), arb(0)], [arb(0), arb(0, 1e-9)]])) is None
    assert enclosed_inertia(arb_mat([[arb(1), arb(0, 2)], [arb(0, 2), arb(1)]])) is None


@pytest.mark.parametrize("bad", [arb("nan"), arb(0, "inf")])
def test_what_is_no_number_is_not_decided(bad: arb) -> None:
    assert enclosed_inertia(arb_mat([[arb(1), arb(0)], [arb(0), bad]])) is None
    assert enclosed_inertia(arb_mat([[bad, arb(0)], [arb(0), arb(1)]])) is None
    assert enclosed_inertia(arb_mat([[arb(1), bad], [bad, arb(1)]])) is None
    assert rotated_inertia(arb_mat([[arb(1), bad], [bad, arb(1)]])) is None


def test_a_weak_block_beside_strong_rows() -> None:
    """The Schur complement of the strong rows has another sign than the weak diagonal."""
    rows = [[4.0, 0.0, 1.0], [0.0, -5.0, 1.0], [1.0, 1.0, 0.04]]
    mp.mp.dps = 30
    expected = sum(value < 0 for value in mp.eigsy(mp.matrix(rows), eigvals_only=True))
    assert enclosed_inertia(matrix(rows)) == expected
