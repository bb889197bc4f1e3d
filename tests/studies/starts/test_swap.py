"""Counterfactual starts: what a swap changes, and that nothing else moves."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from landscape.archive.experiment import Altered, Experiment
from landscape.errors import InputError
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.solver.starts import Random, random_start
from landscape.studies.starts.seeds import altered_start, seeded_start
from landscape.studies.starts.swap import altered, located, parse_swap, read_gram
from landscape.studies.starts.swapped import swapped_start

MODEL = Problem.balanced(4, 2, 20, 2, 1e-3)
SCALES = (0.7, 1.4)


def factors(swap: str | None, seed: int = 0, problem: Problem = MODEL) -> list[torch.Tensor]:
    _, theta = seeded_start(problem, SCALES, seed, parse_swap(swap) if swap else None)
    return Objective.of(problem, theta).split(theta)


@pytest.mark.parametrize(
    ("swap", "moved"),
    [
        ("features:identity", 0),
        ("features:width=50", 0),
        ("features:anew", 0),
        ("block:zero", 1),
        ("block:width=50", 1),
        ("weights:isometric", 2),
        ("weights:anew", 2),
    ],
)
def test_only_the_named_factor_changes(swap: str, moved: int) -> None:
    same = [torch.equal(old, new) for old, new in zip(factors(None), factors(swap), strict=True)]
    assert same == [index != moved for index in range(3)]


def test_the_identity_is_the_mean_of_the_gram_matrices() -> None:
    features = factors("features:identity")[0]
    torch.testing.assert_close(features.mT @ features, SCALES[1] ** 2 * MODEL.width * torch.eye(8, dtype=torch.float64))
    last = factors("weights:isometric")[2]
    torch.testing.assert_close(last @ last.mT, SCALES[0] ** 2 * torch.eye(4, dtype=torch.float64))


def test_the_features_keep_their_span_and_their_frame() -> None:
    old, new = factors(None)[0], factors("features:identity")[0]
    frame, triangle = np.linalg.qr(old.numpy())
    signs = np.sign(np.diag(triangle))
    np.testing.assert_allclose(new.numpy(), frame * signs * SCALES[1] * np.sqrt(MODEL.width), atol=1e-12)


def test_the_block_is_the_only_part_of_the_middle_that_changes() -> None:
    (features, old, last), new = factors(None), factors("block:zero")[1]
    assert float((last @ new @ features).abs().max()) < 1e-12
    outside, inside = torch.linalg.qr(last.mT)[0], torch.linalg.qr(features)[0]
    change = new - old
    torch.testing.assert_close(outside @ (outside.mT @ change @ inside) @ inside.mT, change, atol=1e-12, rtol=0)


@pytest.mark.parametrize(("swap", "place", "expected"), [("features:width=60", 0, 1.4**2 * 20), ("weights:width=60", 2, 0.49)])
def test_a_gram_matrix_of_another_width_keeps_its_mean_and_has_its_spread(swap: str, place: int, expected: float) -> None:
    grams = []
    for seed in range(400):
        factor = factors(swap, seed)[place]
        grams.append(factor.mT @ factor if place == 0 else factor @ factor.mT)
    stack = torch.stack(grams)
    mean = stack.mean(0)
    assert float((mean.diagonal() / expected - 1).abs().max()) < 5 * np.sqrt(2 / 60 / 400)
    relative = stack[:, 0, 1] / expected  # variance 1 / width
    assert float(relative.var()) * 60 == pytest.approx(1, abs=5 * np.sqrt(2 / 400))


def test_the_seed_of_a_swap_is_that_of_the_start() -> None:
    assert torch.equal(factors("features:anew", 3)[0], factors("features:anew", 3)[0])
    assert not torch.equal(factors("features:anew", 3)[0], factors("features:anew", 4)[0])


def test_reduced_starts_are_swapped_too() -> None:
    swapped, plain = (seeded_start(MODEL, SCALES, 0, swap, 2) for swap in (parse_swap("features:identity"), None))
    pair = [Objective.of(problem, theta).split(theta) for problem, theta in (swapped, plain)]
    assert [torch.equal(old, new) for old, new in zip(*pair, strict=True)] == [False, True, True]
    features = pair[0][0]
    torch.testing.assert_close(features.mT @ features, SCALES[1] ** 2 * 20 * torch.eye(8, dtype=torch.float64))


def test_deeper_models_have_the_outer_parts() -> None:
    deep = Problem.balanced(3, 1, 10, 3, 1e-2)
    theta = random_start(deep, Random(*SCALES, 0))
    changed = swapped_start(parse_swap("features:identity"), deep, SCALES, 0, theta)
    old, new = (Objective.of(deep, t).split(t) for t in (theta, changed))
    assert [torch.equal(a, b) for a, b in zip(old, new, strict=True)] == [False, True, True, True]
    with pytest.raises(InputError, match="expected depth 2 to swap the block"):
        swapped_start(parse_swap("block:zero"), deep, SCALES, 0, theta)


def test_given_features_decide_the_shape_and_the_problem_the_scale(tmp_path: Path) -> None:
    rows = np.random.default_rng(1).standard_normal((5, 8))
    np.save(tmp_path / "features.npy", rows)
    np.savetxt(tmp_path / "gram.csv", 3 * rows.T @ rows, delimiter=",")
    expected = rows.T @ rows * 8 / np.trace(rows.T @ rows)
    np.testing.assert_allclose(read_gram(tmp_path / "features.npy"), expected, atol=1e-12)
    features = factors(f"features:{tmp_path / 'features.npy'}")[0]
    np.testing.assert_allclose((features.mT @ features).numpy(), expected * SCALES[1] ** 2 * 20, atol=1e-9)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("features", "expected features:, weights: or block:"),
        ("features:isometric", "expected features:, weights: or block:"),
        ("features:width=0", "expected a width such as"),
        ("features:width=-3", "expected a width such as"),
        ("weights:missing.npy", "expected features:, weights: or block:"),
        ("features:missing.npy", "expected a matrix of numbers"),
        ("features:identity+features:anew", "every part at most once"),
        ("colour:red", "expected features:, weights: or block:"),
    ],
)
def test_bad_swaps_are_refused(text: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        parse_swap(text)


@pytest.mark.parametrize(
    ("matrix", "match"),
    [
        (np.zeros((3, 8)), "not zero"),
        (np.full((2, 8), np.nan), "finite numbers"),
        (np.diag([1.0, -1.0]), "positive semidefinite"),
        (np.zeros(3), "finite numbers"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, matrix: np.ndarray, match: str) -> None:
    np.save(tmp_path / "bad.npy", matrix)
    with pytest.raises(InputError, match=match):
        read_gram(tmp_path / "bad.npy")


def test_what_is_no_file_of_numbers_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "whole.npy", np.eye(3))
    damaged = (tmp_path / "whole.npy").read_bytes()
    (tmp_path / "header.npy").write_bytes(damaged.replace(b"'fortran_order'", b"'fortran_order\\"))
    os.mkfifo(tmp_path / "pipe.npy")
    for name in ("header.npy", "pipe.npy", "absent.npy", "."):
        with pytest.raises(InputError):
            read_gram(tmp_path / name)


def test_swaps_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "seven.npy", np.eye(7))
    for swap, problem, match in [
        (f"features:{tmp_path / 'seven.npy'}", MODEL, "expected features of 8 samples"),
        ("features:identity", Problem.balanced(4, 2, 7, 2, 1e-3), "expected width >= 8"),
        ("features:identity", Problem.balanced(4, 2, 20, 2, 1e-3, activation="relu"), "expected a linear model"),
        ("weights:isometric", Problem.balanced(4, 2, 20, 1, 1e-3), "expected a linear model of depth >= 2"),
    ]:
        with pytest.raises(InputError, match=match):
            seeded_start(problem, SCALES, 0, parse_swap(swap))


def test_a_file_that_changed_since_is_refused_and_a_moved_one_is_not_another_experiment(tmp_path: Path) -> None:
    here, there = tmp_path / "here.npy", tmp_path / "there.npy"
    np.save(here, np.eye(8))
    np.save(there, 3 * np.eye(8))  # only the shape counts
    start, moved = (Experiment(MODEL, altered(Random(*SCALES), f"features:{path}")) for path in (here, there))
    assert start.digest == moved.digest
    np.save(here, np.diag([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]))
    assert isinstance(start.start, Altered)
    with pytest.raises(InputError, match="as they were at first"):
        altered_start(MODEL, start.start)


def test_files_are_found_from_a_folder_and_other_swaps_stay() -> None:
    assert located("features:a.npy+weights:isometric", Path("/runs")) == "features:/runs/a.npy+weights:isometric"
    assert located("features:/b/a.csv", Path("/runs")) == "features:/b/a.csv"
    assert located("features:width=150+block:anew", Path("/runs")) == "features:width=150+block:anew"
