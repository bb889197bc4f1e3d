"""Saved points: lossless, readable without the package, refused when damaged."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_torch

from landscape.errors import InputError
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.points.point import CriticalPoint, Origin, Outcome
from landscape.points.point_file import tensors_digest
from landscape.seal import sealed
from landscape.solver.run import solve
from landscape.solver.starts import Random, random_start

PROBLEM = Problem((3, 1, 2), 4, 2, (1e-3, 2e-3, 5e-4), "mse")


@pytest.fixture(scope="module")
def point():
    return solve(PROBLEM, random_start(PROBLEM, Random(seed=4)), origin=Origin("random", seed=4))


def test_save_and_load_lose_nothing(point, tmp_path):
    point.save(tmp_path / "p.safetensors")
    loaded = CriticalPoint.load(tmp_path / "p.safetensors")
    for field in dataclasses.fields(CriticalPoint):
        before, after = getattr(point, field.name), getattr(loaded, field.name)
        assert torch.equal(before, after) if isinstance(before, torch.Tensor) else before == after, field.name


def test_the_same_point_gives_the_same_bytes(point, tmp_path):
    point.save(tmp_path / "a.safetensors")
    CriticalPoint.load(tmp_path / "a.safetensors").save(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_readable_without_this_package(point, tmp_path):
    path = tmp_path / "p.safetensors"
    point.save(path)
    arrays = load_file(path)
    with safe_open(path, "np") as handle:
        header = json.loads(handle.metadata()["landscape"])
    logits = arrays["W_2"] @ arrays["W_1"] @ arrays["H_1"]
    targets = np.repeat(np.eye(3), header["problem"]["class_sizes"], axis=1)
    penalty = sum(d / 2 * (arrays[n] ** 2).sum() for d, n in zip(header["problem"]["decay"], ("H_1", "W_1", "W_2"), strict=True))
    assert ((logits - targets) ** 2).sum() / 12 + penalty == pytest.approx(header["evidence"]["loss"], rel=1e-14)
    assert header["evidence"]["outcome"] == "CONVERGED"
    assert header["origin"]["seed"] == 4


def test_the_evidence_is_that_of_the_parameters(point):
    objective = Objective.of(PROBLEM)
    assert point.loss == pytest.approx(float(objective.loss(point.theta)), rel=1e-14)
    assert point.gradient_norm == pytest.approx(float(torch.func.grad(objective.loss)(point.theta).norm()), abs=1e-15)


def test_wrong_sizes_and_nan_are_refused(point):
    with pytest.raises(InputError, match="parameters"):
        CriticalPoint.at(PROBLEM, point.theta[:-1], Origin("x"))
    spoiled = point.theta.clone()
    spoiled[3] = float("nan")
    with pytest.raises(InputError, match="1 that are NaN"):
        CriticalPoint.at(PROBLEM, spoiled, Origin("x"))


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_truncated_files_are_refused(point, tmp_path, keep):
    path = tmp_path / "p.safetensors"
    point.save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"p\.safetensors"):
        CriticalPoint.load(path)


def test_one_changed_bit_is_noticed(point, tmp_path):
    path = tmp_path / "p.safetensors"
    point.save(path)
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match="checksum"):
        CriticalPoint.load(path)


def test_foreign_and_newer_files_are_refused(point, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        CriticalPoint.load(tmp_path / "missing.safetensors")
    save_file({"x": np.zeros(3)}, tmp_path / "foreign.safetensors")
    with pytest.raises(InputError, match="landscape import"):
        CriticalPoint.load(tmp_path / "foreign.safetensors")
    (tmp_path / "pickle.safetensors").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(InputError, match="foreign"):
        CriticalPoint.load(tmp_path / "pickle.safetensors")
    point.save(tmp_path / "p.safetensors")
    with safe_open(tmp_path / "p.safetensors", "np") as handle:
        header = json.loads(handle.metadata()["landscape"])
    newer = {"landscape": sealed({**header, "format": 3})}
    save_file(load_file(tmp_path / "p.safetensors"), tmp_path / "newer.safetensors", metadata=newer)
    with pytest.raises(InputError, match="format 2"):
        CriticalPoint.load(tmp_path / "newer.safetensors")


BAD_NUMBERS: list[object] = ["0", None, [], True, 2.0]
EVIDENCE: dict[str, object] = {"outcome": "CONVERGED", "steps": 3, "loss": 0.1, "gradient_norm": 1e-14}
DAMAGED = [
    ("evidence", 3),
    ("evidence", {"outcome": [], "steps": 1}),
    ("evidence", {"outcome": "CONVERGED", "steps": 3}),
    *[("evidence", EVIDENCE | {"steps": steps}) for steps in ("many", -1, True, 2.5)],
    *[("evidence", EVIDENCE | {name: value}) for name in ("loss", "gradient_norm") for value in BAD_NUMBERS],
    ("evidence", EVIDENCE | {"gradient_norm": -1e-16}),
    ("evidence", EVIDENCE | {"outcome": "WON"}),
    ("origin", None),
    ("origin", {"start": 3, "methods": [], "seed": None, "versions": {}}),
    ("origin", {"start": "x", "methods": 3, "seed": None, "versions": {}}),
    ("origin", {"start": "x", "methods": [], "seed": "x", "versions": {}}),
    ("origin", {"start": "x", "methods": [], "versions": {}}),
    ("origin", {"start": "x", "methods": [], "seed": None, "versions": [1]}),
    ("problem", []),
    ("problem", {"width": 3}),
    ("format", [1]),
    ("sha256", None),
]


def header_of(path):
    with safe_open(path, "np") as handle:
        return json.loads(handle.metadata()["landscape"])


@pytest.mark.parametrize(("section", "value"), DAMAGED)
def test_damaged_headers_are_refused(point, tmp_path, section, value):
    path = tmp_path / "p.safetensors"
    point.save(path)
    save_file(load_file(path), path, metadata={"landscape": sealed({**header_of(path), section: value})})
    with pytest.raises(InputError, match=r"^(?!.*match its seal)"):
        CriticalPoint.load(path)


@pytest.mark.parametrize("header", ["[]", "3", "{", "[" * 100_000, "null"])
def test_headers_that_are_no_object_are_refused(point, tmp_path, header):
    path = tmp_path / "p.safetensors"
    point.save(path)
    save_file(load_file(path), path, metadata={"landscape": header})
    with pytest.raises(InputError, match=r"p\.safetensors"):
        CriticalPoint.load(path)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("W_1", torch.ones(4, 4, dtype=torch.int64)),
        ("H_1", torch.ones(4, 6, dtype=torch.bfloat16)),
        ("trace", torch.ones(3, 2, dtype=torch.float64)),
        ("trace", torch.ones(3, dtype=torch.float64)),
    ],
)
def test_arrays_of_another_kind_are_refused(point, tmp_path, name, array):
    path = tmp_path / "p.safetensors"
    point.save(path)
    header = header_of(path)
    arrays = {key: torch.from_numpy(value) for key, value in load_file(path).items()} | {name: array}
    if array.dtype != torch.bfloat16:
        header["sha256"] = tensors_digest(arrays)
    save_torch(arrays, path, metadata={"landscape": sealed(header)})
    with pytest.raises(InputError, match=r"^(?!.*match its seal).*p\.safetensors"):
        CriticalPoint.load(path)


def test_outcomes_say_what_to_do():
    assert all(len(outcome.value) > 20 for outcome in Outcome)


@pytest.mark.parametrize("scale", [1e80, 1e200])
def test_parameters_whose_loss_overflows_are_refused(scale: float) -> None:
    """They are finite, but no number of the file would be."""
    problem = Problem.balanced(classes=3, samples=1, width=4, depth=2, decay=1e-2, loss="mse")
    with pytest.raises(InputError, match="finite loss"):
        CriticalPoint.at(problem, torch.full((problem.parameters,), scale, dtype=torch.float64), Origin("test"))
