"""The file of a network's point: what is written is read again, and damage is one line."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from landscape.errors import InputError
from landscape.network.point_file import load_network_point, save_network_point
from tests.network.symmetric_modules import TwoMaps, loss_of, normal


def test_a_point_is_read_as_it_was_written(tmp_path):
    problem = loss_of(TwoMaps, normal(12, 6))
    path = tmp_path / "point.safetensors"
    save_network_point(path, problem, {"module": "my_model.py:build", "data": "my_model.py:data"})
    point = load_network_point(path)
    assert point.sources["module"] == "my_model.py:build"
    assert list(point.parameters) == list(problem.flat.shapes)
    again = point.of(loss_of(TwoMaps, normal(12, 6)).at(torch.ones_like(problem.theta)))
    assert torch.equal(again.theta, problem.theta)
    with pytest.raises(InputError, match="saved decay"):
        point.of(loss_of(TwoMaps, normal(12, 6), decay=0.5))
    with pytest.raises(InputError, match="saved loss"):
        point.of(loss_of(TwoMaps, normal(12, 6, seed=8)))
    with pytest.raises(InputError, match="saved parameters"):
        point.of(_other())


def _other():
    class Other(torch.nn.Sequential):
        def __init__(self):
            super().__init__(torch.nn.Linear(6, 3))

    return loss_of(Other, normal(12, 6))


def test_damage_is_one_line(tmp_path):
    path = tmp_path / "point.safetensors"
    save_network_point(path, loss_of(TwoMaps, normal(12, 6)))
    whole = path.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 40)):
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(bytes(changed))
        with pytest.raises(InputError):
            load_network_point(path)
    path.write_bytes(whole)
    save_file(load_file(path), path)
    with pytest.raises(InputError, match="other tensors"):
        load_network_point(path)
    with pytest.raises(InputError, match="no such file"):
        load_network_point(tmp_path / "absent")
