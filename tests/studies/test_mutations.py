"""The first tenth of the mutated folders, beside the table of all 400 that `mutations` as a module has written."""

from collections import Counter

import pytest

from tests.studies.mutations import MANY, MUTATIONS, TABLE, outcomes

NAMES = {change.__name__ for change in MUTATIONS}


def test_all_were_noticed_or_computed_again() -> None:
    rows = [tuple(line.split("\t")) for line in TABLE.read_text().splitlines()]
    endings = Counter(ending for _, ending in rows)
    assert len(rows) == MANY
    assert {name for name, _ in rows} == NAMES
    assert endings["computed again"] >= MANY / 2
    assert set(endings) <= {"computed again", "no harm", "refused"}


@pytest.mark.slow
def test_a_tenth_of_them_again() -> None:
    found = list(outcomes(MANY // 10))
    assert [each for each in found if each.fault] == []
    assert {each.name for each in found} == NAMES
    table = TABLE.read_text().splitlines()[: MANY // 10]
    assert [f"{each.name}\t{each.ending}" for each in found] == table
