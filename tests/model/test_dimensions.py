"""Orbit dimensions against the rank of the generators, and against the paper's own count."""

import numpy as np

from landscape.model.dimensions import orbit_dimension, paper_dimension


def test_orbit_dimensions_against_the_generators_rank():
    generator = np.random.default_rng(0)
    for d, r in [(6, 3), (4, 4), (5, 1), (7, 4)]:
        frame = np.linalg.qr(generator.normal(size=(d, r)))[0]
        moves = []
        for j in range(d):
            for k in range(j):
                skew = np.zeros((d, d))
                skew[j, k], skew[k, j] = 1, -1
                moves.append((skew @ frame).ravel())
        assert orbit_dimension(r, d, 3) == 3 * np.linalg.matrix_rank(np.array(moves))


def test_the_two_counts_of_the_papers_setting():
    assert orbit_dimension(9, 70, 2) == 1170
    assert paper_dimension((9,), 70, 2) == 2 * 9 * 61 == 1098
    assert paper_dimension((5,), 70, 2) == 2 * 5 * 65
    assert paper_dimension((1,) * 9, 70, 2) == 1170, "distinct singular values: both counts agree"
    assert paper_dimension((2, 3), 8, 1) == (2 * 6 + 3 * 5) - 2 * 3, "a flag manifold: dim O(8) - O(2) - O(3) - O(3)"
    for K, d, full, paper in [(4, 6, 24, 18), (5, 7, 36, 24), (6, 8, 50, 30)]:
        assert (orbit_dimension(K - 1, d, 2), paper_dimension((K - 1,), d, 2)) == (full, paper)
