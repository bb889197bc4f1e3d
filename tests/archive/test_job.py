"""The identity of a job: what changes it and what does not."""

from dataclasses import fields, replace

import pytest

from landscape.archive import job as module
from landscape.archive.job import METHOD_DEFAULTS, Job
from landscape.solver.methods import GradientDescent, PseudoTransient
from landscape.sweep.grid import parse_grid

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
    for method, name in ((PseudoTransient(), "ptc"), (GradientDescent(), "gd")):
        settings = {{"handover": "tolerance"}.get(name, name): value for name, value in METHOD_DEFAULTS[name].items()}
        assert replace(method, **settings) == method


def test_what_does_not_matter_is_left_out() -> None:
    dnc = replace(JOB, start="dnc", root="large")
    assert replace(dnc, seed=7, method="gd", scales=(2.0, 2.0)).canonical == replace(dnc, root=None).canonical == dnc.canonical
    assert replace(dnc, root="small").canonical != dnc.canonical
    assert replace(JOB, root="small").canonical == JOB
    assert replace(JOB, learning_rate=0.1).canonical == JOB
    assert replace(JOB, method="gd", learning_rate=0.1).canonical.learning_rate == 0.1
    assert replace(JOB, activation="relu").canonical.analysis == "auto"


@pytest.mark.parametrize(
    ("same", "canonical"),
    [
        ({"decay": (1e-3, 1e-3, 1e-3)}, {}),
        ({"depth": 1, "activation": "relu"}, {"depth": 1}),
        ({"max_steps": 5_000, "handover": 1e-10}, {}),
        ({"method": "gd", "learning_rate": 0.5, "max_steps": 2_000_000, "handover": 1e-10}, {"method": "gd"}),
        ({"start": "partition:1,2"}, {"start": "partition:2,1"}),
        ({"start": "partition:2,10,9"}, {"start": "partition:10,9,2"}),
    ],
)
def test_what_is_said_in_two_ways_is_one_job(same: dict[str, object], canonical: dict[str, object]) -> None:
    assert replace(JOB, **same).canonical.digest == replace(JOB, **canonical).canonical.digest


@pytest.mark.parametrize(
    "other",
    [
        {"decay": (1e-3, 1e-3, 2e-3)},
        {"decay": (1e-3, 1e-3)},  # not one per factor: refused when it is done, never taken for another
        {"activation": "relu", "analysis": "auto"},
        {"max_steps": 2_000_000},  # the default of the other method
        {"class_sizes": (1, 2, 2), "start": "partition:1,2", "root": "large"},  # classes 2 and 3 are those of one size
    ],
)
def test_what_makes_a_difference_stays(other: dict[str, object]) -> None:
    job = replace(JOB, **other)
    assert all(getattr(job.canonical, name) == value for name, value in other.items())


def test_the_same_job_gives_the_same_result() -> None:
    from landscape.sweep.worker import compute

    flat = replace(JOB, depth=1, decay=1e-2)
    ends = [next(compute((job,), "cpu", 1))[1] for job in (flat, replace(flat, activation="relu"))]
    assert ends[0] == ends[1]
    groups = [replace(JOB, start=start, seed=None, scales=None, method=None) for start in ("partition:2,1", "partition:1,2")]
    ends = [next(compute((job,), "cpu", 1))[1] for job in groups]
    assert replace(ends[0], gradient_norm=0.0) == replace(ends[1], gradient_norm=0.0)


PROBLEM = {"classes": 3, "samples": 2, "width": 5, "depth": 2, "decay": 1e-3}


@pytest.mark.parametrize(
    ("fields", "digest"),
    [
        ({"problem": PROBLEM}, "4847332434e8113ac3b6439d2a3163ba5daa401b79673b4e48a8f4fabba6bd8d"),
        (
            {"problem": {**PROBLEM, "decay": "1e-3,2e-3,2e-3"}},
            "3f4152d7e1ce617fe1e83e212de9e42301e2f37a3af521878f04ffb6a8bec07e",
        ),
        ({"problem": {**PROBLEM, "activation": "relu"}}, "76a82459cd443fb5d132c267e2f3f6ea676a9746b2e3f9787155cbbb04e907f9"),
        (
            {"problem": PROBLEM, "method": {"name": "gd", "learning_rate": 0.1, "max_steps": 1000, "handover": 1e-9}},
            "9bb07e4f928e535804ce981368f6b1f6dca55d15e66284f8ed701145dee0380c",
        ),
        (
            {"problem": {**PROBLEM, "classes": 5}, "start": {"kind": "partition:2,2,1"}},
            "f8689a40d6c1ed1f4411328e88c56a87f264fccfb5ef38b5515993896a3ffdfa",
        ),
        (
            {"problem": PROBLEM, "start": {"kind": "dnc"}, "analysis": {"method": "auto"}},
            "5cecf9414b0d9a0fe548d0d594c8fe11b539014ecc15e47dbc05f11c4df50993",
        ),
    ],
)
def test_ordinary_jobs_keep_their_identity(fields: dict[str, object], digest: str) -> None:
    """Folders of users hold records under these names."""
    assert [job.digest for job in parse_grid(fields).jobs()] == [digest]


def test_parameters() -> None:
    from landscape.sweep.worker import problem_of

    assert JOB.parameters == problem_of(JOB).parameters
