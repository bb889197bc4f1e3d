"""Modules times losses of torch.nn: a seeded tenth of the table, and the committed table itself."""

import csv
import random

import pytest
import torch
from torch import nn

from benchmarks.criteria import CRITERIA
from benchmarks.supported import TABLE, differences, row, truth
from benchmarks.zoo import MODULES

PAIRS = sorted((module, criterion) for module in MODULES for criterion in CRITERIA)
TENTH = random.Random(20).sample(PAIRS, len(PAIRS) // 10)
HAND = [("weight_norm", "MSELoss"), ("tiny GPT, tied embedding", "CrossEntropyLoss"), ("GroupNorm", "MSELoss")]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")  # the old weight_norm is deprecated
@pytest.mark.parametrize(("module", "criterion"), TENTH)
def test_a_seeded_tenth_is_right_or_refused(module, criterion):
    _, _, _, verdict, error, message = row(module, criterion)
    assert verdict in ("right", "refused"), (verdict, error, message)
    assert "\n" not in message


@pytest.mark.parametrize(("module", "criterion"), HAND)
def test_a_few_by_hand(module, criterion):
    assert row(module, criterion)[3] == "right"


def test_the_table_holds_every_pair_and_nothing_wrong():
    with TABLE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted((each["module"], each["loss"]) for each in rows) == PAIRS
    assert len(MODULES) >= 40
    assert {each["verdict"] for each in rows} == {"right", "refused"}
    assert sum(each["verdict"] == "right" for each in rows) > 0.8 * len(rows)
    assert all(float(each["error"]) <= 1e-9 for each in rows if each["verdict"] == "right")


def test_the_truths_of_the_table_agree_with_each_other():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1)).double()
    x = torch.randn(4, 3, dtype=torch.float64)
    parameters: list[torch.Tensor] = list(net.parameters())
    by_rows, by_columns = (each(parameters, lambda: net(x).square().mean()) for each in (truth, differences))
    torch.testing.assert_close(by_rows, by_columns, rtol=0, atol=1e-9)
