"""Quadrature and PyHessian at a point of the model, against numpy's eigenvalues of the dense Hessian."""

import numpy as np
import pytest
import torch

from landscape.curvature.spectra.density import Quadrature
from landscape.curvature.spectra.spectrum import Spectrum
from landscape.degeneracy.estimates import beside_pyhessian, estimate_spectrum
from landscape.model.logit_form import write_parameters
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Collapse

PROBLEM = Problem.balanced(4, 2, 6, 2, 1e-3)


@pytest.fixture(scope="module")
def point() -> tuple[torch.Tensor, np.ndarray]:
    theta = write_parameters(PROBLEM, logit_form(PROBLEM, Collapse()), gauge=1)
    return theta, np.linalg.eigvalsh(torch.func.hessian(Objective.of(PROBLEM, theta).loss)(theta).numpy())


def test_quadrature_has_the_atoms_and_the_mean_within_its_errors(point):
    theta, values = point
    found = estimate_spectrum(PROBLEM, theta, Quadrature(probes=20, steps=60, seed=1))
    for atom in found.atoms:
        assert np.abs(values - atom.location).min() < 1e-9
    assert abs(found.nullity.mean - 24) < 3 * found.nullity.error
    assert 0 < found.nullity.error < 6
    assert abs(found.trace.mean - values.sum()) < 3 * found.trace.error
    assert found.as_dict()["nullity_estimate"]["mean"] == found.nullity.mean


def test_pyhessian_stands_beside_all_eigenvalues(point):
    theta, values = point
    spectrum = Spectrum(torch.from_numpy(values), (1,) * len(values), 1e-16)
    compared, sampled = beside_pyhessian(PROBLEM, theta, spectrum, Quadrature(probes=20, steps=12, seed=2))
    rows = {row.name: row for row in compared}
    for place, value in enumerate(sorted(values, key=abs, reverse=True)[:3], 1):
        assert rows[f"eigenvalue {place}"].pyhessian == pytest.approx(value, rel=1e-6)
        assert rows[f"eigenvalue {place}"].ours == pytest.approx(value, rel=1e-12)
    for name, truth in (("trace", values.sum()), ("eigenvalues near 0", 24)):
        assert rows[name].ours == pytest.approx(truth)
        assert abs(rows[name].pyhessian - truth) < 3.5 * rows[name].error
    assert sampled.zeros.mean == rows["eigenvalues near 0"].pyhessian
    assert all(row.ours is None for row in beside_pyhessian(PROBLEM, theta, None, Quadrature(probes=3, steps=5))[0])
