"""What probes have seen, against the planted spectrum; atoms survive copies of eigenvalues that rounding has begun."""

import numpy as np
import torch

from landscape.curvature.operators.operator import Matrix
from landscape.curvature.spectra.density import Quadrature, density
from landscape.curvature.spectra.sampled import SampledSpectrum


def planted(values: list[float]) -> Matrix:
    rotation, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(len(values), len(values))))
    matrix = torch.from_numpy(rotation * np.array(values) @ rotation.T)
    return Matrix((matrix + matrix.mT) / 2)


def test_the_mass_is_split_into_zeros_atoms_and_the_bulk() -> None:
    bulk = np.random.default_rng(0).uniform(0.2, 0.8, 200).tolist()
    seen = SampledSpectrum.of_density(density(planted([0.0] * 60 + [2.0] * 40 + bulk), Quadrature(probes=40, steps=30)))
    _, counts = seen.bulk()
    inside = np.mean([sum(run) for run in counts])
    atoms = sum(seen.size * atom.fraction for atom in seen.atoms if abs(atom.location) > seen.zeros.cutoff)
    assert abs(seen.zeros.mean + atoms + inside - seen.size) < 1e-6 * seen.size
    assert abs(seen.zeros.mean - 60) < 3 * seen.zeros.error
    assert abs(atoms - 40) < 12


def test_a_copy_that_rounding_has_begun_hides_no_eigenvalue() -> None:
    # Few distinct eigenvalues and many steps: Lanczos goes on past the end of its space, and makes copies of weight 1e-30.
    # Of these values some run without the floor lost the 700 eigenvalues at 1 to a node of that weight beside it.
    values = [0.0] * 100 + [1.0] * 700 + [1.1] * 30 + [1.7] * 20 + [2.0] * 150
    for seed in range(3):
        found = density(planted(values), Quadrature(probes=4, steps=80, seed=seed)).atoms()
        masses = {round(atom.location, 6) + 0.0: len(values) * atom.fraction for atom in found if atom.fraction > 1e-6}
        assert set(masses) == {0.0, 1.0, 1.1, 1.7, 2.0}
        assert abs(masses[1.0] - 700) < 60


def test_nodes_without_residuals_have_a_mass_near_zero() -> None:
    seen = SampledSpectrum.of_nodes("peer", 10, [[0.0, 1.0], [1e-9, 1.0], [0.0, 1.0]], [[0.2, 0.8], [0.4, 0.6], [0.3, 0.7]])
    assert np.isclose(seen.zeros.mean, 3.0)
    assert seen.zeros.error > 0
    nodes, counts = seen.bulk()
    assert nodes == [[1.0], [1.0], [1.0]]
    assert np.allclose(counts, [[8.0], [6.0], [7.0]])
