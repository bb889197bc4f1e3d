"""The script for ResNet-20 on a GPU: two tiny passes on the CPU, stopped and continued, and what it refuses."""

import json
import sys

import numpy as np
import pytest
import torch

from landscape.model.objective import Objective
from landscape.points.foreign_weights import WeightsLayout, import_weights
from landscape.studies.heads.capture import head_point
from landscape.studies.heads.images import Images


@pytest.fixture(scope="module")
def script(load_script):
    return load_script("real_resnet")


@pytest.fixture
def images():
    pixels = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return Images(pixels, torch.arange(10).repeat(2))


def run(script, monkeypatch, images, folder, *more):
    monkeypatch.setattr(script, "READERS", {"fashion": lambda _: images})
    size = ["--width", "12", "--per-class", "2", "--epochs", "2", "--batch", "10"]
    monkeypatch.setattr(sys, "argv", ["real_resnet.py", str(folder), "--device", "cpu", *size, *more])
    return script.main()


def test_stopped_and_continued_it_ends_where_an_undisturbed_run_does(script, images, tmp_path, monkeypatch, capsys):
    one, two = tmp_path / "one", tmp_path / "two"
    assert run(script, monkeypatch, images, one, "--only", "0") == 0
    assert run(script, monkeypatch, images, two, "--only", "0", "--seconds", "0") == 1
    assert "stopped in time" in capsys.readouterr().out
    assert not list(two.glob("*.json"))
    assert run(script, monkeypatch, images, two, "--only", "0") == 0
    first, second = (json.loads(next(folder.glob("*.json")).read_text()) for folder in (one, two))
    assert first == second
    assert [row["epoch"] for row in first["curve"]] == [1, 2]
    arrays = [np.load(next(folder.glob("*.npz"))) for folder in (one, two)]
    assert all(np.array_equal(arrays[0][name], arrays[1][name]) for name in ("H_1", "W_1", "W_2", "W_3"))
    assert arrays[0]["H_1"].shape == (20, 12)


def test_what_it_saves_is_the_head_that_the_command_reads(script, images, tmp_path, monkeypatch):
    assert run(script, monkeypatch, images, tmp_path, "--only", "0") == 0
    record = json.loads(next(tmp_path.glob("*.json")).read_text())
    layout = WeightsLayout(labels=str(next(tmp_path.glob("*-labels.npy"))), transpose=True)
    point = import_weights(next(tmp_path.glob("*.npz")), (5e-3 / 2, 5e-3, 5e-3, 5e-3), "ce", layout=layout)
    assert point.loss == pytest.approx(record["curve"][-1]["loss"], rel=1e-12)
    assert torch.allclose(point.class_logits, torch.tensor(record["logits"], dtype=torch.float64))


def test_the_loss_of_a_step_is_that_of_the_model(script, images):
    """Over one batch of all images, in evaluation mode, where batch normalisation does not couple the images."""
    training = script.Training(per_class=2, width=12, epochs=1, batch=20)
    net, head = script.network(training, 1)
    point = head_point(net, head, images.pixels, images.labels, (5e-3 / 2, 5e-3, 5e-3, 5e-3))
    seen = []
    net.eval().train = lambda mode=True: net
    optimizer = script.optimizer_of(training, net)
    optimizer.step = lambda: seen.extend(net[1].weight.grad.double() + 5e-3 * net[1].weight.detach().double())
    script.epoch_of(training, net, optimizer, images, 0)
    gradient = Objective.of(point.problem, point.theta).gradient(point.theta)
    expected = gradient[12 * 20 : 12 * 20 + 144].reshape(12, 12)
    assert torch.allclose(torch.stack(seen), expected, rtol=1e-4, atol=1e-7)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.0, 5e-3, 5e-3, 5e-3]


def test_the_standard_decay_is_on_everything(script):
    training = script.Training(decayed="network", decay=5e-4)
    net, _ = script.network(training, 1)
    groups = script.optimizer_of(training, net).param_groups
    assert {group["weight_decay"] for group in groups} == {5e-4}
    assert sum(len(group["params"]) for group in groups) == len(list(net.parameters()))


def test_the_grid_holds_the_heads_of_the_paper(script):
    grid = list(script.trainings(script.Training()))
    assert len({training.name for training in grid}) == len(grid) == 20
    assert {(row.activation, row.depth, row.decay) for row in grid if row.decayed == "features"} == {
        ("linear", 3, 5e-3),
        ("relu", 4, 5e-3),
        ("linear", 2, 1e-3),
    }
    assert script.feature_decay(grid[0]) == pytest.approx(1e-6)


def test_the_rate_rises_and_falls(script):
    rates = [script.rate(step, 100) for step in range(100)]
    assert rates[0] == 0
    assert max(rates) == rates[10] == script.RATE
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < script.RATE / 1000


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--only", "20"), "expected --only between 0 and 19, got 20"),
        (("--per-class", "3"), "expected 3 images of every class, got 2 of class 0"),
        (("--device", "nowhere"), "nowhere"),
    ],
)
def test_what_is_wrong_is_one_line(script, images, tmp_path, monkeypatch, capsys, more, words):
    assert run(script, monkeypatch, images, tmp_path, *more) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
