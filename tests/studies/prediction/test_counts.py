"""Counting on reduced starts: agreement with full starts, the undecided rule, folders that can be continued."""

from pathlib import Path

import pytest

from landscape.archive.experiment import Experiment
from landscape.archive.records import Archive
from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.solver.methods import Random
from landscape.studies.ends import followed_problem, start_of
from landscape.studies.prediction.counts import Agreement, predict, predict_by_law, swaps
from landscape.studies.prediction.tables import swap_rows
from landscape.studies.prevalence import measure_prevalence
from landscape.studies.starts.swap import altered

WIDE = Experiment(Problem.balanced(6, 1, 25, 2, 2.0**-7))


@pytest.mark.slow
def test_the_law_counts_what_full_starts_count() -> None:
    law, full = predict_by_law(WIDE, 60), measure_prevalence(WIDE, 60)
    assert not law.undecided
    assert law.groups == 2
    (low, high), (other_low, other_high) = law.result.interval("DNC"), full.interval("DNC")
    assert max(low, other_low) < min(high, other_high)
    assert 0.2 < full.counts["DNC"] / 60 < 0.98  # else the agreement would say little
    nullities = {end.structure: end.nullity for end in full.ends}
    assert all(end.nullity == nullities[end.structure] for end in law.result.ends if end.structure in nullities)


@pytest.mark.slow
def test_the_same_change_makes_reduced_and_full_starts_collapse() -> None:
    swapped = Experiment(WIDE.problem, altered(Random(), "features:identity"))
    assert measure_prevalence(swapped, 12).counts == {"DNC": 12}
    assert predict_by_law(swapped, 12).result.counts == {"DNC": 12}


@pytest.mark.slow
def test_three_layers_are_projected_and_say_so() -> None:
    deep = Experiment(Problem.balanced(3, 1, 12, 3, 2.0**-6))
    law = predict_by_law(deep, 5)
    assert followed_problem(law.result.experiment).width == 6  # K + N
    assert "projected from the start of width 12" in start_of(law.result.experiment).origin.start


def test_narrow_widths_are_full_starts() -> None:
    law = predict_by_law(Experiment(Problem.balanced(3, 2, 8, 2, 1e-2)), 3)
    assert (law.groups, law.agreement) == (None, None)
    assert law.as_dict()["follows"] == "full starts"
    assert not law.undecided


@pytest.mark.slow
def test_a_folder_goes_on(tmp_path: Path) -> None:
    first = predict_by_law(WIDE, 4, tmp_path)
    names = set(Archive.existing(tmp_path).names())
    assert len(names) == 8  # four seeds with two groups and with three
    path = Archive.existing(tmp_path).path(first.result.experiment.with_seed(1).digest)
    stamp = path.stat().st_mtime_ns
    assert predict_by_law(WIDE, 6, tmp_path).result.ends[:4] == first.result.ends
    assert path.stat().st_mtime_ns == stamp
    assert names < set(Archive.existing(tmp_path).names())


@pytest.mark.parametrize(("same", "sufficient"), [(100, True), (94, True), (93, False)])
def test_too_little_agreement_is_undecided(same: int, sufficient: bool) -> None:
    assert Agreement(same, 100).sufficient is sufficient  # the interval of 94 ends at 0.972, that of 93 at 0.966


def test_rows_say_what_was_swapped() -> None:
    rows = swap_rows(measure_prevalence(Experiment(WIDE.problem, altered(Random(), "features:identity")), 2))
    assert [(row.swap, row.groups, row.structure, row.count) for row in rows] == [
        ("features:identity", 0, "DNC", 2),
        ("features:identity", 0, "not converged", 0),
    ]


@pytest.mark.slow
def test_a_million_wide_costs_at_most_four_times_as_much_as_150() -> None:
    """The narrow problems are of one size, so that gradients and products are the cost, on every machine."""
    settings = [Experiment(Problem.balanced(10, 5, width, 2, 2.0**-10), altered(Random(), None, 2)) for width in (150, 10**6)]
    assert len({followed_problem(setting).width for setting in settings}) == 1
    narrow, wide = (sum(end.products for end in measure_prevalence(setting, 6).ends) for setting in settings)
    assert wide <= 4 * narrow


@pytest.mark.slow
def test_the_public_names_count_the_same() -> None:
    problem = WIDE.problem
    assert predict(problem, 3, swap="features:identity").result.counts == {"DNC": 3}
    found = swaps(problem, "features:identity+weights:isometric", 3)
    assert list(found) == ["none", "features:identity+weights:isometric", "features:anew+weights:anew"]
    assert found["none"].ends == measure_prevalence(WIDE, 3).ends
    with pytest.raises(InputError, match="expected features:, weights: or block:"):
        swaps(problem, "colour:red", 3)


def test_no_starts_are_refused() -> None:
    with pytest.raises(InputError, match="at least 1 start"):
        predict_by_law(WIDE, 0)
