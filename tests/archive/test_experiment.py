"""The identity of an experiment: what changes it and what does not. Nothing of it loads torch."""

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from landscape.archive import experiment as module
from landscape.archive.experiment import Altered, Analysis, Experiment, SavedPoint, start_text
from landscape.model.problem import Problem
from landscape.solver.methods import GradientDescent, PseudoTransient, Random
from landscape.structures.kinds import Apex, Collapse, Pairs, Partition
from landscape.structures.notation import parse_structure
from landscape.sweep.grid import parse_grid

MODEL = Problem((2, 2, 2), 5, 2, 1e-3)
JOB = Experiment(MODEL)
CHANGES: dict[str, tuple[Any, ...]] = {
    "problem": (
        *(replace(MODEL, class_sizes=(2, 2, 3)), replace(MODEL, width=6), replace(MODEL, depth=3), replace(MODEL, decay=2e-3)),
        *(replace(MODEL, loss="mse"), replace(MODEL, activation="relu"), replace(MODEL, decay=(1e-3, 1e-3, 2e-3))),
    ),
    "start": (
        *(Altered(Random(), "features:identity"), Altered(Random(), "features:anew"), Altered(Random(), groups=2)),
        *(Altered(Random(), groups=3), Altered(Random(), "features:identity", 2), Altered(Random(0.5), groups=2)),
        *(Altered(Random(), "features:a.npy", content="0" * 64), Altered(Random(), "features:a.npy", content="1" * 64)),
        *(Random(seed=1), Random(0.5), Random(1.0, 0.5), Collapse(), Collapse("small"), Partition((3,)), Pairs(), Apex()),
        *(SavedPoint("0" * 64, "a", "a"), SavedPoint("1" * 64, "a", "a")),
    ),
    "method": (
        *(GradientDescent(), GradientDescent(0.1), PseudoTransient(max_steps=7), PseudoTransient(tolerance=1e-9)),
        *(PseudoTransient(first_step=0.4), PseudoTransient(curvature_tolerance=0.2), PseudoTransient(max_products=7)),
    ),
    "analysis": (Analysis("auto"), Analysis(spectrum=True), Analysis(proof=True)),
}


def test_every_setting_changes_the_identity() -> None:
    assert set(CHANGES) == {field.name for field in fields(Experiment)}
    others = [replace(JOB, **{name: value}) for name, values in CHANGES.items() for value in values]
    assert len({other.digest for other in (JOB, *others)}) == len(others) + 1


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


@pytest.mark.parametrize(
    ("said", "same"),
    [
        (replace(JOB, problem=replace(MODEL, decay=(1e-3, 1e-3, 1e-3))), JOB),
        (Experiment(replace(MODEL, depth=1, activation="relu")), Experiment(replace(MODEL, depth=1))),
        (replace(JOB, method=None), JOB),
        (Experiment(MODEL, Partition((1, 2))), Experiment(MODEL, Partition((2, 1)))),
        (Experiment(MODEL, Collapse(), GradientDescent()), Experiment(MODEL, Collapse())),
        (Experiment(replace(MODEL, activation="relu")), Experiment(replace(MODEL, activation="relu"), analysis=Analysis("auto"))),
        (Experiment(MODEL, Altered(Random(seed=3))), Experiment(MODEL, Random(seed=3))),
        (Experiment(MODEL, SavedPoint("0", "a", "a")), Experiment(MODEL, SavedPoint("0", "b", "c"))),
    ],
)
def test_what_is_said_in_two_ways_is_one_experiment(said: Experiment, same: Experiment) -> None:
    assert said == same
    assert said.digest == same.digest


def test_what_makes_a_difference_stays() -> None:
    unequal = Experiment(replace(MODEL, class_sizes=(1, 2, 2)), Partition((1, 2)))  # classes 2 and 3 are those of one size
    assert unequal.start == Partition((1, 2))
    assert Experiment(MODEL, method=PseudoTransient(max_steps=2_000_000)) != JOB  # the default of the other method


@pytest.mark.parametrize("text", ["dnc", "pairs", "apex", "partition:6,2,2", "blocks:polygon5+3+2", "blocks:T5+H3x2"])
def test_the_text_of_a_structure_reads_back(text: str) -> None:
    assert start_text(parse_structure(text, "large")) == text


def test_only_random_starts_have_seeds() -> None:
    assert JOB.with_seed(3).seed == 3
    assert JOB.with_seed(3).family == JOB
    structure = Experiment(MODEL, Collapse())
    assert (structure.seed, structure.family) == (None, structure)
    with pytest.raises(TypeError, match="expected a random start, got dnc"):
        structure.with_seed(1)


def test_altered_starts_have_seeds_and_say_what_is_altered_without_a_path() -> None:
    here, there = (
        Experiment(MODEL, Altered(Random(0.5), f"features:{path}.npy+block:zero", 2, "0" * 64)).with_seed(3)
        for path in ("a", "/b/c")
    )
    assert (here.seed, here.family.seed, here.method) == (3, 0, PseudoTransient())
    assert here.digest == there.digest
    said = {
        "kind": "random features:file+block:zero groups=2",
        "seed": 3,
        "scales": [0.5, 1.0],
        "swap": "features:file+block:zero",
        "groups": 2,
        "sha256": "0" * 64,
    }
    assert here.identity["start"] == said
    assert "random features:file+block:zero groups=2 seed=3" in str(here)


LIGHT = """
import sys
import landscape.archive.experiment, landscape.archive.records, landscape.model.problem, landscape.solver.methods
import landscape.structures.fit, landscape.structures.kinds, landscape.structures.notation, landscape.sweep.grid
assert not {"torch", "numpy", "scipy", "safetensors"} & set(sys.modules), sorted(sys.modules)
"""


def test_naming_an_experiment_loads_no_torch() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_same_experiment_gives_the_same_result() -> None:
    from landscape.studies.ends import ends_of

    groups = [Experiment(MODEL, Partition(groups)) for groups in ((2, 1), (1, 2))]
    ends = [next(ends_of((job,), "cpu", 1))[1] for job in groups]
    assert ends[0] == ends[1]


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


@pytest.mark.parametrize("swap", ["none", "features:identity+weights:anew"])
def test_digests_of_many_seeds_are_those_of_the_jobs(swap: str) -> None:
    problem = {"classes": 3, "samples": 2, "width": 6, "depth": 2, "decay": 1e-3}
    (job,) = parse_grid({"problem": problem, "start": {"swap": swap, "seed": 7}}).jobs()
    seeds = (0, 7, 10, 2**62)
    assert list(job.digests(seeds)) == [job.with_seed(seed).digest for seed in seeds]


def test_a_structure_has_no_digests_of_seeds() -> None:
    (job,) = parse_grid({"problem": PROBLEM, "start": {"kind": "dnc"}}).jobs()
    with pytest.raises(TypeError, match="random"):
        list(job.digests((0,)))
