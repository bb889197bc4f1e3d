"""Compiled products: the same matrix as before, or a refusal."""

import json
import shutil
import subprocess
import sys

import pytest
import torch

from landscape.curvature.compiled import compiled
from landscape.curvature.operators.operator import Matrix
from landscape.errors import InputError


def honest(function, dynamic):
    """Stands for torch.compile where only the checks are the subject."""
    assert not dynamic
    return function


def wrong(function, dynamic):
    return lambda block: function(block) / 40


def broken(function, dynamic):
    def program(block):
        raise RuntimeError("InvalidCxxCompiler: no C++ compiler\nand more")

    return program


# In a process of its own: the shape checks of this test run are what torch.compile cannot trace.
PROGRAM = """
import json, torch
from landscape.curvature.compiled import compiled
from landscape.curvature.counting.interface import nullity
from landscape.curvature.counting.deflation import Deflated
from landscape.curvature.operators.operator import Hessian, Product, dense
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.structures.kinds import Collapse
from landscape.structures.analytic import logit_form
from landscape.model.logit_form import write_parameters
from landscape.model.gauge_projector import orbit_projector

problem = Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
theta = write_parameters(problem, logit_form(problem, Collapse()), gauge=1)
objective = Objective.of(problem, theta)
twin = torch.func.hessian(objective.loss)(theta)
for operator in Product(objective.linearize(theta), theta), Hessian(objective.loss, theta):
    program = compiled(operator, columns=4)
    counted = nullity(program, Deflated(orbit_projector(problem, theta, 1e-9), probes=4), 1e-14)
    error = float((dense(program) - twin).abs().max())
    print(json.dumps([program.seconds, error, counted.resolved, counted.count]))
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on CPUs")
def test_the_program_of_torch_is_the_same_matrix_and_counts_the_same():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 2
    for seconds, error, resolved, count in rows:
        assert seconds > 0
        assert error < 1e-14
        assert resolved
        assert count == 2 * (6 * 3 - 6)


@pytest.mark.parametrize("width", [1, 3, 4, 7])
def test_every_width_is_multiplied(width):
    entries = torch.randn(9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    operator = compiled(Matrix(entries + entries.mT), columns=3, compiler=honest)
    block = torch.randn(9, width, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(operator @ block, (entries + entries.mT) @ block)
    assert operator.size == 9
    assert operator.like.dtype == torch.float64


def test_a_program_that_multiplies_by_another_matrix_is_refused():
    with pytest.raises(InputError, match=r"relative difference of 9.8e-01: go on without compiling"):
        compiled(Matrix(torch.eye(5, dtype=torch.float64)), compiler=wrong)


def test_a_compiler_that_fails_is_one_line():
    with pytest.raises(InputError, match=r"got InvalidCxxCompiler: no C\+\+ compiler: go on without compiling$"):
        compiled(Matrix(torch.eye(5, dtype=torch.float64)), compiler=broken)


def test_no_columns_are_refused():
    with pytest.raises(InputError, match="at least one column, got 0"):
        compiled(Matrix(torch.eye(5, dtype=torch.float64)), columns=0)
