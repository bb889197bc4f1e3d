"""The seal of a saved point, the agreement of its evidence with its parameters, and files that are none."""

import json
import os
import random
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from landscape.cli import run
from landscape.errors import InputError
from landscape.model.logit_form import write_parameters
from landscape.model.problem import Problem
from landscape.points import point_file
from landscape.points.point import CriticalPoint, Origin
from landscape.points.point_file import PointFile
from landscape.seal import sealed
from landscape.solver.starts import Random, random_start
from landscape.structures.analytic import logit_form
from landscape.structures.kinds import Pairs

ROOT = Path(__file__).resolve().parents[2]
PROBLEM = Problem((2, 1), 2, 1, (1e-2, 3e-2))
OLD = sorted((ROOT / "figures" / "data").glob("*.safetensors"))


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    monkeypatch.setattr(point_file, "_said", set())


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "p.safetensors"
    theta = random_start(PROBLEM, Random(seed=1))
    trace = torch.tensor([[0.0, 1.5, 0.25], [3.0, 1.0, 0.125]], dtype=torch.float64)
    CriticalPoint.at(PROBLEM, theta, Origin("random é", ("by hand",), seed=1), trace=trace, steps=3).save(path)
    return path


def header_of(path: Path) -> dict[str, Any]:
    with safe_open(path, "pt") as handle:
        return json.loads(handle.metadata()["landscape"])


def rewritten(path: Path, text: str) -> Path:
    save_file(load_file(path), path, metadata={"landscape": text})
    return path


def as_format_1(path: Path, **changes: object) -> Path:
    header = {key: value for key, value in header_of(path).items() if key != "seal"} | {"format": 1}
    return rewritten(path, json.dumps(header | changes, sort_keys=True, separators=(",", ":")))


def refused(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        CriticalPoint.load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_every_bit_of_the_header_is_sealed(path, every):
    """One bit of every byte, or all of them."""
    data, draw = path.read_bytes(), random.Random(2)
    end = 8 + struct.unpack("<Q", data[:8])[0]
    for place in range(end):
        for bit in range(8) if every else [draw.randrange(8)]:
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            refused(path, bytes(changed))


def test_another_byte_in_the_header_changes_nothing_in_silence(path):
    """A space behind the header may become another space of JSON; then the same is read."""
    data, point = path.read_bytes(), CriticalPoint.load(path)
    end, draw = 8 + struct.unpack("<Q", data[:8])[0], random.Random(3)
    for place in range(end):
        changed = bytearray(data)
        changed[place] = draw.choice([byte for byte in range(256) if byte != data[place]])
        path.write_bytes(bytes(changed))
        try:
            loaded = CriticalPoint.load(path)
        except InputError:
            continue
        assert torch.equal(loaded.theta, point.theta)
        assert (loaded.problem, loaded.origin, loaded.steps) == (point.problem, point.origin, point.steps)


def test_every_byte_of_the_arrays_is_under_the_checksum(path):
    data, draw = path.read_bytes(), random.Random(4)
    end = 8 + struct.unpack("<Q", data[:8])[0]
    for _ in range(200):
        changed = bytearray(data)
        place = draw.randrange(end, len(data))
        changed[place] = draw.choice([byte for byte in range(256) if byte != data[place]])
        assert "checksum" in refused(path, bytes(changed))


def test_cuts_insertions_and_swaps_are_refused(path):
    data, draw = path.read_bytes(), random.Random(5)
    for _ in range(200):
        first, second = sorted(draw.sample(range(len(data)), 2))
        for changed in (data[:first], data[:first] + data[second:], data[:second] + b"\0" + data[second:], data + data[first:]):
            refused(path, changed)


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header | {"seal": "0" * 64},
        lambda header: header | {"seal": None},
        lambda header: header | {"seal": header["seal"].upper()},
        lambda header: {key: value for key, value in header.items() if key != "seal"},
        lambda header: {"zeal" if key == "seal" else key: value for key, value in header.items()} | {"format": 1},
        lambda header: header | {"format": 1},
        lambda header: header | {"format": True},
        lambda header: header | {"problem": header["problem"] | {"decay": [1e-2, 3.1e-2]}},
    ],
)
def test_a_seal_that_is_wrong_or_gone_is_refused(path, change):
    rewritten(path, json.dumps(change(header_of(path)), sort_keys=True, separators=(",", ":")))
    with pytest.raises(InputError, match=r"seal|format"):
        CriticalPoint.load(path)


def test_the_text_of_the_header_is_the_canonical_one(path):
    """Spaces, order and the case of digits are sealed too: 1E-2 is the number 1e-2, and a flipped bit."""
    text = sealed(header_of(path))
    for other in (text + " ", text.replace(",", ", ", 1), text.replace("\\u00e9", "\\u00E9"), text.replace("0.01", "1E-2")):
        assert other != text
        with pytest.raises(InputError, match="seal"):
            CriticalPoint.load(rewritten(path, other))


def test_files_of_format_1_are_read_and_that_is_said_once(path, caplog, capsys, tmp_path):
    before = CriticalPoint.load(path)
    loaded = CriticalPoint.load(as_format_1(path))
    assert torch.equal(loaded.theta, before.theta)
    assert loaded.origin == before.origin
    assert PointFile.read(path).seal is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "format 1" in caplog.text
    assert run(["show", str(path)]) == 0
    assert "none: format 1" in capsys.readouterr().out
    loaded.save(tmp_path / "again.safetensors")
    assert len(PointFile.read(tmp_path / "again.safetensors").seal) == 64


@pytest.mark.parametrize("old", OLD, ids=lambda path: path.name)
def test_points_that_an_earlier_version_saved_agree_with_their_evidence(old):
    assert PointFile.read(old).seal is None
    assert CriticalPoint.load(old).gradient_norm < 1e-12


def test_there_are_points_of_an_earlier_version():
    assert len(OLD) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"problem": PROBLEM.as_dict() | {"decay": [1e-2, 3.1e-2]}}, "loss"),
        ({"problem": PROBLEM.as_dict() | {"decay": [1e-2 * (1 + 2**-20), 3e-2]}}, "loss"),
        ({"problem": PROBLEM.as_dict() | {"loss": "mse"}}, "loss"),
        ({"problem": PROBLEM.as_dict() | {"class_sizes": [1, 2]}}, "loss"),
    ],
)
def test_the_evidence_must_be_that_of_the_parameters(path, changes, words, capsys):
    """In an old file nothing else protects the header."""
    with pytest.raises(InputError, match=f"expected the {words} of the parameters"):
        CriticalPoint.load(as_format_1(path, **changes))
    assert run(["show", str(path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "factor"), [("loss", 1 + 1e-9), ("loss", 700.0), ("gradient_norm", 1 + 1e-9), ("gradient_norm", 0.0)]
)
def test_a_sealed_header_that_lies_about_its_evidence_is_refused(path, name, factor):
    header = header_of(path)
    header["evidence"][name] *= factor
    with pytest.raises(InputError, match=f"expected the {name.replace('_', ' ')} of the parameters"):
        CriticalPoint.load(rewritten(path, sealed(header)))


def test_what_is_shown_names_the_seal(path, capsys):
    assert run(["show", str(path)]) == 0
    seal = header_of(path)["seal"]
    assert f"seal           {seal}" in capsys.readouterr().out
    assert run(["show", str(path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["seal"], shown["format"]) == (seal, 2)


def header_alone(path: Path, text: bytes, rest: bytes = b"") -> None:
    path.write_bytes(struct.pack("<Q", len(text)) + text + rest)


HEADERS = {
    "no object": b"[1]",
    "not text": b'{"a\xff":1}',
    "a key twice": b'{"x":{"dtype":"F64","shape":[0],"data_offsets":[0,0]},"x":{"dtype":"F64","shape":[0],"data_offsets":[0,0]}}',
    "nested": b"[" * 100_000,
    "metadata": b'{"__metadata__":{"landscape":3}}',
    "a gap": b'{"x":{"dtype":"F64","shape":[1],"data_offsets":[8,16]}}',
    "a huge shape": b'{"x":{"dtype":"F64","shape":[4611686018427387904,4],"data_offsets":[0,8]}}',
    "a negative shape": b'{"x":{"dtype":"F64","shape":[-1,-1],"data_offsets":[0,8]}}',
    "a number as text": b'{"x":{"dtype":"F64","shape":["1"],"data_offsets":[0,8]}}',
    "an unknown type": b'{"x":{"dtype":"F8","shape":[1],"data_offsets":[0,8]}}',
    "infinity": b'{"x":{"dtype":"F64","shape":[1],"data_offsets":[0,Infinity]}}',
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_describe_no_file_are_one_line(path, name):
    header_alone(path, HEADERS[name], bytes(16))
    assert str(path) in refused(path, path.read_bytes())


def test_a_header_may_not_be_longer_than_its_limit(path):
    with path.open("wb") as handle:
        handle.write(struct.pack("<Q", 1 << 33))
        handle.truncate(1 << 34)  # of holes: nothing is on the disk
    with pytest.raises(InputError, match="no safetensors file"):
        CriticalPoint.load(path)


def test_arrays_that_the_problem_does_not_have_are_not_read(path):
    """A hole of a terabyte behind an honest header."""
    text, size = sealed(header_of(path)), 1 << 40
    layout = {"H_1": {"dtype": "F64", "shape": [2, size // 16], "data_offsets": [0, size]}}
    layout |= {"W_1": {"dtype": "F64", "shape": [2, 2], "data_offsets": [size, size + 32]}}
    layout |= {"trace": {"dtype": "F64", "shape": [0, 3], "data_offsets": [size + 32, size + 32]}}
    outer = json.dumps({"__metadata__": {"landscape": text}, **layout}).encode()
    header_alone(path, outer)
    os.truncate(path, 8 + len(outer) + size + 32)
    with pytest.raises(InputError, match="expected factors of shapes"):
        CriticalPoint.load(path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pipe", "folder", "zero", "missing", "dangling"])
def test_what_is_no_file_is_not_waited_for(tmp_path, kind):
    path = {"zero": Path("/dev/zero")}.get(kind, tmp_path / "p.safetensors")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "dangling":
        path.symlink_to(tmp_path / "nowhere")
    done = subprocess.run(
        [sys.executable, "-c", "from landscape.cli import main; main()", "show", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert ("no such file" if kind in ("missing", "dangling") else "no ordinary file") in done.stderr


def test_a_link_to_a_point_is_followed(path, tmp_path):
    (tmp_path / "link.safetensors").symlink_to(path)
    assert CriticalPoint.load(tmp_path / "link.safetensors").steps == 3


def test_a_point_at_a_structure_is_loaded_as_it_was(tmp_path):
    problem = Problem.balanced(4, 2, 6, 2, 1e-3)
    point = CriticalPoint.at(problem, write_parameters(problem, logit_form(problem, Pairs()), gauge=1), Origin("pairs"))
    point.save(tmp_path / "p.safetensors")
    loaded = CriticalPoint.load(tmp_path / "p.safetensors")
    assert torch.equal(loaded.theta, point.theta)
    assert loaded.trace.shape == (0, 3)
