"""Locking: restarts, resumption, and what a checkpoint refuses."""

import os
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from landscape.curvature.counting import nullity
from landscape.curvature.locking import BlockLanczos
from landscape.errors import InputError

VALUES = [0.0] * 25 + [1e-3 * (1 + i / 40) for i in range(60)] + [-1e-3 * (1 + i / 9) for i in range(7)] + [0.1, 0.4]


@pytest.mark.parametrize(("block", "basis"), [(3, 24), (8, 30), (32, None)])
def test_thick_restarts_find_every_null_vector(plant, block, basis):
    result = nullity(plant(VALUES, 2), BlockLanczos(block, basis))
    assert (result.count, result.negative, result.resolved) == (25, 7, True)


@pytest.mark.slow
def test_an_interrupted_run_resumes_where_it_was(plant, tmp_path):
    matrix, path = plant(VALUES, 2), tmp_path / "state.safetensors"
    whole = BlockLanczos(block=4, basis=24, seed=3)
    uninterrupted = nullity(matrix, whole)
    nullity(matrix, replace(whole, restarts=3, checkpoint=path))
    size = path.stat().st_size
    resumed = nullity(matrix, replace(whole, checkpoint=path))
    assert path.stat().st_size != size
    assert (resumed.count, resumed.negative, resumed.resolved) == (25, 7, True)
    assert resumed.products == uninterrupted.products + 1  # which tells whose checkpoint it is
    again = nullity(matrix, replace(whole, checkpoint=path))  # finished: only the certificate is run again
    assert again.count == 25
    assert not list(tmp_path.glob("*.partial"))


def test_a_checkpoint_of_something_else_is_refused(plant, tmp_path):
    path = tmp_path / "state.safetensors"
    settings = BlockLanczos(block=4, checkpoint=path)
    nullity(plant(VALUES, 2), settings)
    with pytest.raises(InputError, match="one of"):
        nullity(plant(VALUES, 5), settings)
    with pytest.raises(InputError, match="one of"):
        nullity(plant(VALUES, 2), replace(settings, seed=1))
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match="expected a checkpoint"):
        nullity(plant(VALUES, 2), settings)


@pytest.mark.parametrize("kind", ["foreign tensors", "no object", "pipe"])
def test_what_is_no_checkpoint_is_one_line(plant, tmp_path, kind):
    path = tmp_path / "state.safetensors"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        save_file({"x": torch.ones(3)}, path, metadata={"state": "{}" if kind == "foreign tensors" else "[]"})
    with pytest.raises(InputError, match="expected a checkpoint"):
        nullity(plant(VALUES, 2), BlockLanczos(block=4, checkpoint=path))


def test_a_checkpoint_is_not_written_where_there_is_no_folder(plant, tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        nullity(plant(VALUES, 2), BlockLanczos(block=4, checkpoint=tmp_path / "nowhere" / "state.safetensors"))
