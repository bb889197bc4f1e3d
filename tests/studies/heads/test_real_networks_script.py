"""What scripts/real_networks.py minimises, where its runs start, and what it counts at a rectified head."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from landscape.model.problem import Problem
from landscape.points.point import CriticalPoint, Origin
from landscape.studies.heads.images import Images

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "real-networks.md").read_text()


@pytest.fixture(scope="module")
def script(load_script):
    return load_script("real_networks")


@pytest.fixture(scope="module")
def images():
    pixels = torch.randn(500, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    return Images(pixels, torch.arange(10).repeat_interleave(50))


def test_every_run_has_a_name_of_its_own(script):
    names = [run.name for run in script.runs()]
    assert len(set(names)) == len(names)
    assert "fashion-mlp-linear-2-0.001-64-1.0-0" in names
    assert "fashion-mlp-linear-3-0.005-64-1.0-2-network" in names
    assert "mnist-mlp-linear-2-0.001-200-1.0-1-0.1-6.0" in names


def test_the_loss_is_that_of_the_head_or_has_the_decay_of_all_parameters(script, images):
    run = script.Run(depth=2, width=12)
    net, head = script.network(run, 6)
    loss = float(script.loss_of(run, net, head, images).detach())
    assert loss == pytest.approx(script.at(run, net, head, images).loss, rel=1e-5)
    plain = float(torch.nn.functional.cross_entropy(net(images.pixels), images.labels).detach())
    squares = sum(float(part.detach().square().sum()) for part in net.parameters())
    whole = float(script.loss_of(replace(run, decayed="network"), net, head, images).detach())
    assert whole == pytest.approx(plain + run.decay / 2 * squares, rel=1e-5)


def test_the_head_of_a_network_whose_features_do_not_decay_is_balanced(script, images):
    run = script.Run(depth=2, width=12, decayed="network")
    net, head = script.network(run, 6)
    point = script.at(run, net, head, images)
    features, first, _ = point.factors().values()
    decays = point.problem.decays
    assert decays[0] * features.square().sum() == pytest.approx(decays[1] * float(first.square().sum()), rel=1e-6)
    assert decays[1:] == (run.decay, run.decay)


def test_a_start_is_scaled_at_the_features_and_at_the_head_alone(script, images):
    run = script.Run(depth=2, width=12)
    plain, head = script.network(run, 6)
    changed, _ = script.network(replace(run, feature_init=0.1, head_init=6.0), 6)
    first = int(head[0])
    assert torch.allclose(changed[:first](images.pixels), plain[:first](images.pixels) / 10, atol=1e-6)
    assert all(torch.equal(changed.get_parameter(f"{each}.weight"), 6 * plain.get_parameter(f"{each}.weight")) for each in head)
    assert torch.equal(changed[1].weight, plain[1].weight)


def test_kinks_are_counted_where_a_hidden_unit_is_at_zero(script):
    problem = Problem.balanced(2, 3, 4, 2, 1e-2, activation="relu")
    theta = torch.ones(problem.parameters, dtype=torch.float64)
    point = CriticalPoint.at(problem, theta, Origin("a test"))
    assert (script.kinks(point), script.dead(point)) == (0, 0)
    theta[:2] = torch.tensor([-3.0, 1.0])  # of the first feature; the first sample has a sum of 0 over its four
    assert script.kinks(CriticalPoint.at(problem, theta, Origin("a test"))) == 4
    theta[24:28] = -1.0  # the weights of the first hidden unit
    assert script.dead(CriticalPoint.at(problem, theta, Origin("a test"))) == 1
    assert script.kinks(CriticalPoint.at(Problem.balanced(2, 3, 4, 2, 1e-2), theta, Origin("a test"))) is None


def called(script, monkeypatch, *given):
    monkeypatch.setattr(sys, "argv", ["real_networks.py", *map(str, given)])
    return script.main()


def test_a_task_of_an_array_is_one_run_and_all_of_them_are_the_grid(script, monkeypatch, tmp_path):
    trained, written = [], []

    def followed(run, images, saved):
        trained.append(run.name)
        return {"row": {"loss": 0.5, "end": run.name, "moved": 0.0}}

    monkeypatch.setattr(script, "followed", followed)
    monkeypatch.setattr(script, "images_of", lambda *_: None)
    monkeypatch.setattr(script, "tables", lambda records, folder: written.append([record["row"]["end"] for record in records]))
    names = [run.name for run in script.runs()]
    for index in reversed(range(len(names))):
        assert called(script, monkeypatch, tmp_path, "--only", index) == 0
        assert trained[-1] == names[index]
    assert {path.stem for path in tmp_path.iterdir()} == set(names)
    assert f"--array=0-{len(names) - 1} " in PAGE
    assert written == []
    assert called(script, monkeypatch, tmp_path) == 0
    assert written == [names]
    assert len(trained) == len(names)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--only", 69), "expected --only between 0 and 68, got 69"),
        (("--only", -1), "expected --only between 0 and 68, got -1"),
        (("--images", "nowhere"), "dataset-fashion-mnist"),
    ],
)
def test_what_is_wrong_is_one_line(script, monkeypatch, tmp_path, capsys, more, words):
    assert called(script, monkeypatch, tmp_path, *more) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())
