"""A tenth of the mutated folders in the fast tests, all 400 in the slow ones; as a module, `mutations` prints how each ended."""

from collections import Counter

import pytest

from tests.studies.mutations import MUTATIONS, outcomes


@pytest.mark.slow
@pytest.mark.parametrize("number", [40, pytest.param(400, marks=pytest.mark.slow)])
def test_mutated_folders_are_noticed_or_computed_again(number: int) -> None:
    found = list(outcomes(number))
    assert len(found) == number
    assert [each for each in found if each.fault] == []
    assert {each.name for each in found} == {change.__name__ for change in MUTATIONS}
    endings = Counter(each.ending for each in found)
    assert endings["computed again"] >= number / 2
    assert set(endings) <= {"computed again", "no harm", "refused"}
