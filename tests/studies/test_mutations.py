"""A tenth of the mutated folders; all 400 by `python -m tests.studies.mutations 400`."""

from collections import Counter

from tests.studies.mutations import MUTATIONS, outcomes


def test_mutated_folders_are_noticed_or_computed_again() -> None:
    found = list(outcomes(40))
    assert [each for each in found if each.fault] == []
    assert {each.name for each in found} == {change.__name__ for change in MUTATIONS}
    endings = Counter(each.ending for each in found)
    assert endings["computed again"] >= 20
    assert set(endings) <= {"computed again", "no harm", "refused"}
