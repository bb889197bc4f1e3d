"""The identity of a job: what changes it and what does not."""

from dataclasses import fields, replace

import pytest

from landscape.solver.methods import GradientDescent, PseudoTransient
from landscape.sweep import job as module
from landscape.sweep.job import Job

JOB = Job((2, 2, 2), 5, 2, 1e-3)

CHANGES = {
    "class_sizes": (2, 2, 3),
    "width": 6,
    "depth": 3,
    "decay": 2e-3,
    "loss": "mse",
    "activation": "relu",
    "start": "dnc",
    "seed": 1,
    "scales": (1.0, 0.5),
    "root": "small",
    "method": "gd",
    "learning_rate": 0.1,
    "max_steps": 7,
    "handover": 1e-9,
    "analysis": "auto",
}


def test_every_setting_changes_the_identity() -> None:
    assert set(CHANGES) == {field.name for field in fields(Job)}
    digests = {replace(JOB, **{name: value}).digest for name, value in CHANGES.items()}
    assert len(digests | {JOB.digest}) == len(CHANGES) + 1


def test_so_does_the_version_of_the_numerics(monkeypatch: pytest.MonkeyPatch) -> None:
    before = replace(JOB).digest
    monkeypatch.setattr(module, "NUMERICS", module.NUMERICS + 1)
    assert replace(JOB).digest != before


def test_the_identity_is_the_same_in_every_process() -> None:
    assert JOB.digest == "4847332434e8113ac3b6439d2a3163ba5daa401b79673b4e48a8f4fabba6bd8d"


def test_the_defaults_of_the_methods_are_those_of_this_version_of_the_numerics() -> None:
    """A record does not name defaults: whoever changes one raises NUMERICS and this."""
    assert module.NUMERICS == 1
    assert PseudoTransient() == PseudoTransient(0.5, 0.1, 5_000, 500, 1e-10)
    assert GradientDescent() == GradientDescent(0.5, 2_000_000, 1e-10)


def test_what_does_not_matter_is_left_out() -> None:
    dnc = replace(JOB, start="dnc", root="large")
    assert replace(dnc, seed=7, method="gd", scales=(2.0, 2.0)).canonical == replace(dnc, root=None).canonical == dnc.canonical
    assert replace(dnc, root="small").canonical != dnc.canonical
    assert replace(JOB, root="small").canonical == JOB
    assert replace(JOB, learning_rate=0.1).canonical == JOB
    assert replace(JOB, method="gd", learning_rate=0.1).canonical.learning_rate == 0.1
    assert replace(JOB, activation="relu").canonical.analysis == "auto"


def test_parameters() -> None:
    from landscape.sweep.work import problem_of

    assert JOB.parameters == problem_of(JOB).parameters
