"""Pair scores: standard normal over random starts, the same under relabelling, large where the pair was made antipodal."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu

from landscape.archive.experiment import Altered, Experiment
from landscape.errors import InputError
from landscape.model.objective import Objective
from landscape.model.problem import Problem
from landscape.solver.starts import Random, random_start
from landscape.studies.prediction.formula import design
from landscape.studies.prediction.invariant import InvariantModel
from landscape.studies.prediction.scores import pair_scores, scored, separation
from landscape.studies.prevalence import measure_prevalence

MODEL = Problem.balanced(5, 2, 60, 2, 2.0**-6)
SCALES = (0.9, 1.2)


def start(seed: int) -> torch.Tensor:
    return random_start(MODEL, Random(*SCALES, seed))


@pytest.mark.slow
def test_scores_of_random_starts_are_standard_normal() -> None:
    values = np.array([pair_scores(MODEL, SCALES, start(seed)).values for seed in range(300)])
    assert values.shape == (300, 10)
    assert abs(values.mean()) < 0.25  # the mean of second order falls like 1 / sqrt(width)
    assert values.std() == pytest.approx(1, abs=0.1)


@pytest.mark.slow
def test_relabelling_the_classes_relabels_the_scores() -> None:
    theta, order = start(1), torch.tensor([3, 0, 4, 1, 2])
    features, middle, last = Objective.of(MODEL, theta).split(theta)
    moved = [features.unflatten(1, (5, 2))[:, order].flatten(1), middle, last[order]]
    old, new = (pair_scores(MODEL, SCALES, t) for t in (theta, torch.cat([part.flatten() for part in moved])))
    known = dict(zip(old.pairs, old.values, strict=True))
    for (i, j), value in zip(new.pairs, new.values, strict=True):
        first, second = sorted((int(order[i]), int(order[j])))
        assert value == pytest.approx(known[first, second], abs=1e-9)


def test_antipodal_features_raise_the_score_of_their_pair() -> None:
    theta = start(2)
    before = pair_scores(MODEL, SCALES, theta)
    features, middle, last = Objective.of(MODEL, theta).split(theta)
    means = features.unflatten(1, (5, 2))
    common = (means[:, 1] + means[:, 3]) / 2
    moved = means.clone()
    moved[:, 1], moved[:, 3] = means[:, 1] - 0.8 * common, means[:, 3] - 0.8 * common
    after = pair_scores(MODEL, SCALES, torch.cat([part.flatten() for part in (moved.flatten(1), middle, last)]))
    assert after.worst == (1, 3)
    assert after.largest > dict(zip(before.pairs, before.values, strict=True))[1, 3] + 1


def test_the_normal_is_a_unit_vector_along_the_cheapest_start() -> None:
    found, model = design(InvariantModel(MODEL, *SCALES)), InvariantModel(MODEL, *SCALES)
    assert np.linalg.norm(found.normal) == pytest.approx(1)
    copies = np.array([entry.copies for entry in model.entries])
    along = np.sqrt(copies * (1 + model.mean)) * (found.point - model.mean)
    assert found.normal @ along / np.linalg.norm(along) > 0.98  # parallel where the cost is quadratic


def test_the_area_is_that_of_the_rank_test_and_its_interval_that_of_hanley_and_mcneil() -> None:
    values, missed = [0.1, 0.4, 0.35, 0.8, 0.7, 0.2], [False, False, True, True, True, False]
    found = separation(values, missed)
    assert found is not None
    expected = mannwhitneyu([0.35, 0.8, 0.7], [0.1, 0.4, 0.2]).statistic / 9
    assert found.area == pytest.approx(expected) == pytest.approx(8 / 9)
    a = 8 / 9
    variance = (a * (1 - a) + 2 * (a / (2 - a) - a * a) + 2 * (2 * a * a / (1 + a) - a * a)) / 9
    assert found.low == pytest.approx(a - 1.959963984540054 * math.sqrt(variance))
    assert separation([1.0, 2.0], [True, True]) is None


@pytest.mark.slow
def test_scores_tell_which_starts_miss_collapse() -> None:
    answer = scored(measure_prevalence(Experiment(Problem.balanced(8, 1, 40, 2, 2.0**-7)), 60))
    assert [row["seed"] for row in answer["per_seed"]] == list(range(60))
    assert answer["auc"] > 0.75
    assert answer["auc_interval"][0] < answer["auc"] < answer["auc_interval"][1]
    assert 1.5 < answer["boundary"] < 2.5


def test_what_has_no_scores_is_refused() -> None:
    for problem, match in [
        (Problem.balanced(5, 2, 9, 2, 1e-2), "width >= 10"),
        (Problem.balanced(3, 2, 30, 2, 1e-2), "at least 4 classes"),
        (Problem.balanced(5, 2, 30, 3, 1e-2), "depth 2"),
    ]:
        with pytest.raises(InputError, match=match):
            pair_scores(problem, SCALES, torch.zeros(problem.parameters, dtype=torch.float64))
    with pytest.raises(InputError, match="expected full starts"):
        scored(measure_prevalence(Experiment(MODEL, Altered(Random(), groups=2)), 1))
