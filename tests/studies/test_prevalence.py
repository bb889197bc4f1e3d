"""Counts against the closed-form losses, and archives that lose nothing."""

import contextlib
import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from landscape.archive.experiment import Experiment
from landscape.archive.records import Archive
from landscape.cli import run
from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.points.point import CriticalPoint
from landscape.solver.methods import GradientDescent, PseudoTransient, Random
from landscape.structures.kinds import Collapse
from landscape.studies.ends import EndPoint, packed
from landscape.studies.intervals import share_interval
from landscape.studies.prevalence import Prevalence, measure_prevalence
from landscape.studies.tables import MethodComparison, PrevalenceRow, compare_methods, read_table, rows, survey, write_table
from landscape.sweep.grid import parse_grid
from landscape.sweep.run import run_sweep
from landscape.sweep.settings import EngineSettings

SMALL = Experiment(Problem.balanced(4, 2, 6, 2, 1e-3))
TINY = Experiment(Problem.balanced(4, 1, 4, 2, 1e-2))


def end(seed: int, structure: str, outcome: str = "CONVERGED", loss: float = 1.0, rank: int = 3) -> EndPoint:
    return EndPoint(seed, structure, rank, loss, 0.0, outcome, 1, 10 * (seed + 1), 0, 1, 1, (loss,) * rank, ())


def test_those_that_did_not_converge_widen_the_interval_and_are_shown() -> None:
    ends = [end(0, "DNC"), end(1, "pairs"), end(2, "not converged, rank 3", "MAX_STEPS"), end(3, "DNC")]
    result = Prevalence.of(SMALL, ends)
    assert result.counts == {"DNC": 2, "pairs": 1}
    assert result.non_converged == 1
    assert result.interval("DNC") == share_interval(2, 4, 1)
    shown = result.as_dict()
    assert shown["seeds"] == 4
    assert shown["non_converged"] == 1
    assert shown["outcomes"] == {"converged": 3, "max_steps": 1}
    lost = [row for row in rows(result) if row.structure == "not converged, rank 3"]
    assert [(row.count, row.low, row.high) for row in lost] == [(1, *share_interval(1, 4))]


def test_one_unnamed_structure_has_one_label() -> None:
    ends = [end(0, "unnamed rank 3", loss=0.1), end(1, "unnamed rank 3", loss=0.1 + 1e-12), end(2, "unnamed rank 3", loss=0.2)]
    assert Prevalence.of(SMALL, ends).counts == {"unnamed rank 3, loss 0.10000000": 2, "unnamed rank 3, loss 0.20000000": 1}


def test_counts_have_the_losses_and_degeneracies_of_the_closed_form() -> None:
    result = measure_prevalence(SMALL, 8)
    assert result.non_converged == 0
    assert set(result.counts) == {"DNC", "pairs"}
    # losses by mpmath from the scale equation of shared/theory.md section 2; nullity L (d r - r (r+1)/2)
    expected = {"DNC": (0.0233587031702, 3, 24), "pairs": (0.0237588108517, 2, 18)}
    for label, point in zip(result.labels, result.ends, strict=True):
        loss, rank, nullity = expected[label]
        assert point.loss == pytest.approx(loss, abs=1e-12)
        assert (point.rank, point.nullity, point.orbit_dimension, point.index) == (rank, nullity, nullity, 0)


@pytest.mark.slow
def test_a_folder_goes_on_and_does_not_compute_again(tmp_path: Path) -> None:
    folder = tmp_path / "study"

    class Interrupted(KeyboardInterrupt):
        pass

    def interrupt(so_far: Prevalence) -> None:
        if len(so_far.ends) == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        measure_prevalence(SMALL, 6, folder, size=2, watch=interrupt)
    archive = Archive.existing(folder)
    kept = {digest: archive.path(digest).stat().st_mtime_ns for digest in archive.names()}
    assert len(kept) == 3
    seen: list[int] = []
    result = measure_prevalence(SMALL, 6, folder, watch=lambda so_far: seen.append(len(so_far.ends)))
    assert seen == list(range(3, 7))
    assert {digest: archive.path(digest).stat().st_mtime_ns for digest in kept} == kept
    assert result.counts == measure_prevalence(SMALL, 6).counts
    assert measure_prevalence(SMALL, 4, folder).ends == result.ends[:4]
    point = CriticalPoint.load(archive.path(SMALL.with_seed(5).digest))
    assert point.gradient_norm <= 1e-12
    assert point.loss == pytest.approx(result.ends[5].loss, rel=1e-13)
    assert point.origin.seed == 5


@pytest.mark.slow
def test_a_sequential_run_stops_at_the_same_seed_whatever_the_pool() -> None:
    width = 0.5
    results = [measure_prevalence(TINY, 100, narrower_than=width, size=size) for size in (4, 12)]
    assert results[0].labels == results[1].labels
    stopped = len(results[0].ends)
    assert 10 < stopped < 100
    low, high = results[0].interval("DNC")
    assert high - low <= width
    before = Prevalence.of(TINY, results[0].ends[:-1]).interval("DNC")
    assert before[1] - before[0] > width


@pytest.mark.slow
def test_a_sweep_and_a_prevalence_share_records(tmp_path: Path) -> None:
    problem = {"classes": 4, "samples": 1, "width": 4, "depth": 2, "decay": 1e-2}
    grid = parse_grid({"problem": problem, "start": {"seed": [0, 1, 2]}})
    tally = run_sweep(grid, tmp_path, EngineSettings(workers=0))
    assert (tally.found, tally.done) == (0, 3)
    seen: list[int] = []
    result = measure_prevalence(TINY, 3, tmp_path, watch=lambda so_far: seen.append(len(so_far.ends)))
    assert seen == [3]
    assert result.ends == measure_prevalence(TINY, 3).ends
    measure_prevalence(TINY, 4, tmp_path)
    more = parse_grid({"problem": problem, "start": {"seed": [0, 1, 2, 3]}})
    assert run_sweep(more, tmp_path, EngineSettings(workers=0)).found == 4


def test_settings_that_only_python_has_are_other_experiments(tmp_path: Path) -> None:
    other = replace(TINY, method=PseudoTransient(curvature_tolerance=0.2))
    for experiment in (TINY, other):
        measure_prevalence(experiment, 1, tmp_path)
    assert set(Archive.existing(tmp_path).names()) == {TINY.with_seed(0).digest, other.with_seed(0).digest}


def test_only_random_starts_are_sampled() -> None:
    with pytest.raises(InputError, match="expected a random start to sample"):
        measure_prevalence(replace(TINY, start=Collapse()), 3)


@pytest.mark.slow
def test_a_sealed_record_of_other_types_is_computed_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = measure_prevalence(TINY, 2, tmp_path)
    archive, job = Archive.existing(tmp_path), TINY.with_seed(1)
    header, arrays = packed(whole.ends[1], None, 1.0, "cpu")
    for fault in ({"nullity": "many"}, {"rank": True}, {"singular": [float("1e400")]}, {"singular": None}, {"loss": [1]}):
        with contextlib.suppress(ValueError):  # a number that is not finite cannot even be sealed
            archive.write(job, {**header, "result": {**header["result"], **fault}}, arrays)
        assert measure_prevalence(TINY, 2, tmp_path).ends == whole.ends
    archive.write(job, {**header, "result": {"structure": "DNC"}}, arrays)
    assert measure_prevalence(TINY, 2, tmp_path).ends == whole.ends
    assert "the record of seed 1" in caplog.text
    assert "its nullity is 'many'" in caplog.text


@pytest.mark.parametrize(("seeds", "width"), [(0, None), (-1, None), (5, 0.0), (5, 1.0)])
def test_bad_numbers(seeds: int, width: float | None) -> None:
    with pytest.raises(InputError, match="expected"):
        measure_prevalence(SMALL, seeds, narrower_than=width)


@contextmanager
def small_files(most: int) -> Iterator[None]:
    """A limit on the size of files stands for the full disk: the write fails in the same place."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.slow
def test_a_full_disk_is_one_error_and_nothing_is_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["prevalence", "--classes", "4", "--samples", "1", "--width", "40", "--depth", "2", "--decay", "1e-2"]
    command += ["--batch", "1", "--json", "--out", str(tmp_path)]
    assert run([*command, "--seeds", "1"]) == 0
    capsys.readouterr()
    archive = Archive.existing(tmp_path)
    (first,) = archive.names()
    with small_files(archive.path(first).stat().st_size // 2):
        assert run([*command, "--seeds", "3"]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith(f"landscape: cannot write {tmp_path}/records/")
    assert (shown.err.count("\n"), shown.out) == (1, "")
    assert not list(tmp_path.rglob("*partial*"))
    assert list(archive.names()) == [first]
    assert run([*command, "--seeds", "3"]) == 0
    assert sum(json.loads(capsys.readouterr().out)["counts"].values()) == 3


def test_imbalanced_classes_and_squared_error() -> None:
    step = measure_prevalence(Experiment(Problem((8, 8, 2, 2), 6, 2, 1e-3)), 3)
    assert step.non_converged == 0
    assert sum(step.counts.values()) == 3
    assert measure_prevalence(Experiment(Problem.balanced(3, 2, 5, 2, 1e-2, loss="mse")), 3).counts == {"DNC": 3}


@pytest.mark.slow
def test_a_survey_is_a_table_that_comes_back(tmp_path: Path) -> None:
    studies = [TINY, replace(TINY, start=Random(feature_scale=0.1))]
    table = survey(studies, 2, tmp_path)
    assert sum(row.count for row in table) == 4
    assert sorted({row.feature_scale for row in table}) == [0.1, 1.0]
    assert [row.count for row in table if row.structure == "DNC" and row.feature_scale == 1.0] == [
        measure_prevalence(TINY, 2).counts.get("DNC", 0)
    ]
    write_table(table, tmp_path / "table.csv")
    assert read_table(tmp_path / "table.csv", PrevalenceRow) == table
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="expected a table"):
        read_table(tmp_path / "table.csv", PrevalenceRow)


def test_two_methods_from_the_same_starts(tmp_path: Path) -> None:
    study = Experiment(Problem.balanced(4, 1, 4, 2, 5e-2))
    plain, few = GradientDescent(1.0, tolerance=1e-6), GradientDescent(1.0, max_steps=200)
    table = compare_methods(study, plain, 3, tmp_path)
    assert [row.seed for row in table] == [0, 1, 2]
    assert all(row.same and row.distance < 1e-10 and row.other_products % 200 == 0 for row in table)
    assert [row.structure for row in table] == list(measure_prevalence(study, 3).labels)
    cut = compare_methods(study, few, 3, tmp_path)
    assert not any(row.same for row in cut)
    assert all(row.distance > 1e-10 for row in cut)
    write_table(table, tmp_path / "table.csv")
    assert read_table(tmp_path / "table.csv", MethodComparison) == table


@pytest.mark.slow
def test_the_papers_setting() -> None:
    """Issue 4: all converged, DNC within [0.10, 0.28], every end named, none at small widths, most at large."""
    paper = Problem.balanced(10, 5, 70, 2, 2**-10)
    result = measure_prevalence(Experiment(paper), 100)
    assert result.non_converged == 0
    assert all(point.gradient_norm <= 1e-12 for point in result.ends)
    assert 10 <= result.counts["DNC"] <= 28
    assert set(result.counts) == {"DNC", "pairs", "partition:8,2", "partition:6,2,2"}
    assert (
        measure_prevalence(Experiment(paper), 20, size=7).labels
        == measure_prevalence(Experiment(paper), 20, size=1).labels
        == result.labels[:20]
    )
    for width in (10, 20):
        assert "DNC" not in measure_prevalence(Experiment(replace(paper, width=width)), 20).counts
    assert measure_prevalence(Experiment(replace(paper, width=150)), 20).counts["DNC"] > 16
