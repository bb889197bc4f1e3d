"""The problem as a value: sizes counted by hand, JSON without loss, every bad field refused in one line."""

import json
import math

import numpy as np
import pytest
import torch

from landscape.errors import InputError
from landscape.model.objective import class_means
from landscape.model.problem import Problem


def test_counts_by_hand():
    problem = Problem((3, 1, 2), width=5, depth=3, decay=0.1)
    assert problem.classes == 3
    assert problem.total_samples == 6
    assert problem.shapes == ((5, 6), (5, 5), (5, 5), (3, 5))
    assert problem.parameters == 30 + 25 + 25 + 15
    assert not problem.is_balanced


def test_counts_of_the_papers_setting():
    assert Problem.balanced(10, 5, 70, 2, 2**-10).parameters == 10 * 70 + 70 * 70 + 70 * 50 == 9100
    assert Problem.balanced(10, 5, 20_000, 6, 1e-3).parameters == 5 * 20_000**2 + 20_000 * 10 + 20_000 * 50


def test_one_layer_has_nothing_to_rectify():
    assert Problem.balanced(3, 1, 3, 1, 0.1, activation="relu").is_linear
    assert not Problem.balanced(3, 1, 3, 2, 0.1, activation="relu").is_linear


def test_mean_decay_is_geometric():
    assert Problem.balanced(3, 1, 3, 2, (1e-3, 8e-3, 1e-3)).mean_decay == pytest.approx(2e-3, rel=1e-14)
    assert Problem.balanced(3, 1, 3, 2, 0.37).mean_decay == 0.37


def test_class_means_against_numpy():
    problem = Problem((3, 1, 2), width=2, depth=1, decay=0.1)
    columns = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = np.stack([columns[..., :3].numpy().mean(-1), columns[..., 3].numpy(), columns[..., 4:].numpy().mean(-1)], -1)
    np.testing.assert_allclose(class_means(problem, columns).numpy(), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    "problem",
    [
        Problem.balanced(10, 5, 70, 2, 2**-10),
        Problem((4, 1, 2), 3, 1, 0.1, "mse", "relu"),
        Problem.balanced(3, 2, 4, 2, (0.1, 1 / 3, 5e-324)),
    ],
    ids=str,
)
def test_json_is_lossless(problem):
    assert Problem.from_dict(json.loads(json.dumps(problem.as_dict()))) == problem


GOOD = {"class_sizes": (2, 2), "width": 3, "depth": 2, "decay": 0.1}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"class_sizes": (2,)}, "classes"),
        ({"class_sizes": ()}, "classes"),
        ({"class_sizes": (2, 0)}, "class sizes"),
        ({"class_sizes": (2, -1)}, "class sizes"),
        ({"width": 0}, "width"),
        ({"depth": 0}, "depth"),
        ({"decay": 0.0}, "decay"),
        ({"decay": -1e-3}, "decay"),
        ({"decay": math.nan}, "decay"),
        ({"decay": math.inf}, "decay"),
        ({"decay": (0.1, 0.1)}, "decay"),
        ({"decay": (0.1, 0.1, -0.1)}, "decay"),
    ],
)
def test_bad_fields_are_refused_in_one_line(change, word):
    with pytest.raises(InputError, match=word) as caught:
        Problem(**{**GOOD, **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("classes", [-1, 0, 1])
def test_balanced_needs_two_classes(classes):
    with pytest.raises(InputError, match=f"at least 2 classes, got {classes}"):
        Problem.balanced(classes, 2, 3, 1, 0.1)


FIELDS = {"class_sizes": [2, 2], "width": 3, "depth": 2, "decay": 0.1, "loss": "ce", "activation": "linear"}


@pytest.mark.parametrize(
    "change",
    [{"class_sizes": 3}, {"class_sizes": None}, {"width": "x"}, {"decay": None}, {"decay": []}, {"loss": "hinge"}, {"loss": 3},
     {"activation": "gelu"}, {"depth": math.inf}, {"width": math.nan}],
    ids=str,
)  # fmt: skip
def test_from_dict_refuses_what_is_no_problem(change):
    with pytest.raises(InputError) as caught:
        Problem.from_dict({**FIELDS, **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("field", FIELDS)
def test_from_dict_misses_fields(field):
    with pytest.raises(InputError):
        Problem.from_dict({name: value for name, value in FIELDS.items() if name != field})


@pytest.mark.parametrize("change", [{"width": 3.9}, {"depth": 1.5}, {"class_sizes": [2.5, 2]}, {"class_sizes": "22"}], ids=str)
def test_from_dict_rounds_nothing_in_silence(change):
    with pytest.raises(InputError):
        Problem.from_dict({**FIELDS, **change})
