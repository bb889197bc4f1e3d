"""Counts against the closed-form losses, intervals against scipy, and folders that lose nothing."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from landscape.cli import run
from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.points.point import CriticalPoint
from landscape.solver.methods import GradientDescent, PseudoTransient
from landscape.studies.prevalence import EndPoint, Prevalence, Study, measure_prevalence, point_path, wilson
from landscape.studies.tables import MethodComparison, PrevalenceRow, compare_methods, read_table, rows, survey, write_table

SMALL = Study(Problem.balanced(4, 2, 6, 2, 1e-3))
TINY = Study(Problem.balanced(4, 1, 4, 2, 1e-2))


@given(st.integers(1, 500).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_wilson_is_scipys(case: tuple[int, int]) -> None:
    theirs = scipy.stats.binomtest(*case).proportion_ci(0.95, method="wilson")
    assert wilson(*case) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize("case", [(-1, 3), (4, 3), (0, 0)])
def test_wilson_refuses(case: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="expected 0 <= count <= total"):
        wilson(*case)


def end(seed: int, structure: str, outcome: str = "CONVERGED", loss: float = 1.0, rank: int = 3) -> EndPoint:
    return EndPoint(seed, structure, rank, loss, 0.0, outcome, 1, 10 * (seed + 1), 0, 1, 1, (loss,) * rank, ())


def test_those_that_did_not_converge_widen_the_interval_and_are_shown() -> None:
    ends = [end(0, "DNC"), end(1, "pairs"), end(2, "not converged, rank 3", "MAX_STEPS"), end(3, "DNC")]
    result = Prevalence.of(SMALL, ends)
    assert result.counts == {"DNC": 2, "pairs": 1}
    assert result.non_converged == 1
    assert result.interval("DNC") == (wilson(2, 4)[0], wilson(3, 4)[1])
    shown = result.as_dict()
    assert shown["seeds"] == 4
    assert shown["non_converged"] == 1
    assert shown["outcomes"] == {"converged": 3, "max_steps": 1}
    lost = [row for row in rows(result) if row.structure == "not converged, rank 3"]
    assert [(row.count, row.low, row.high) for row in lost] == [(1, *wilson(1, 4))]


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


def test_a_folder_goes_on_and_does_not_compute_again(tmp_path: Path) -> None:
    folder = tmp_path / "study"

    class Interrupted(KeyboardInterrupt):
        pass

    def interrupt(so_far: Prevalence) -> None:
        if len(so_far.ends) == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        measure_prevalence(SMALL, 6, folder, size=2, watch=interrupt)
    kept = {path.name: path.stat().st_mtime_ns for path in (folder / "seeds").iterdir()}
    assert len(kept) == 3
    seen: list[int] = []
    result = measure_prevalence(SMALL, 6, folder, watch=lambda so_far: seen.append(len(so_far.ends)))
    assert seen == list(range(3, 7))
    assert {name: (folder / "seeds" / name).stat().st_mtime_ns for name in kept} == kept
    assert result.counts == measure_prevalence(SMALL, 6).counts
    assert measure_prevalence(SMALL, 4, folder).ends == result.ends[:4]
    point = CriticalPoint.load(point_path(folder, 5))
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


@pytest.mark.parametrize(
    "other",
    [
        replace(SMALL, problem=replace(SMALL.problem, width=7)),
        replace(SMALL, feature_scale=0.1),
        replace(SMALL, method=PseudoTransient(curvature_tolerance=0.2)),
    ],
)
def test_the_folder_of_another_study_is_refused(tmp_path: Path, other: Study) -> None:
    measure_prevalence(SMALL, 1, tmp_path / "study")
    with pytest.raises(InputError, match="holds another study"):
        measure_prevalence(other, 1, tmp_path / "study")


def test_the_folder_of_another_version_is_refused(tmp_path: Path) -> None:
    measure_prevalence(SMALL, 1, tmp_path)
    header = json.loads((tmp_path / "study.json").read_text())
    header["versions"]["landscape"] = "0.0.1"
    (tmp_path / "study.json").write_text(json.dumps(header))
    with pytest.raises(InputError, match=r"written by version 0\.0\.1"):
        measure_prevalence(SMALL, 2, tmp_path)
    assert len(list((tmp_path / "seeds").iterdir())) == 1


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    measure_prevalence(TINY, 1, tmp_path)
    for text in ("", "{", "[]", "{}", '{"seed": 0}'):
        (tmp_path / "seeds" / "seed-00000.json").write_text(text)
        with pytest.raises(InputError, match=r"damaged record .*seed-00000\.json"):
            measure_prevalence(TINY, 1, tmp_path)


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


@pytest.mark.parametrize("first", ["point", "record"])
def test_a_full_disk_is_one_error_and_nothing_is_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """Whichever file no longer fits, the one line names it, and the seeds before it count."""
    command = ["prevalence", "--classes", "4", "--samples", "1", "--width", "40", "--depth", "2", "--decay", "1e-2"]
    command += ["--batch", "1", "--json"]
    assert run([*command, "--seeds", "1", "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    point, record = (next((tmp_path / name).iterdir()).stat().st_size for name in ("points", "seeds"))
    assert point > 2 * record
    if first == "record":
        monkeypatch.setattr(CriticalPoint, "save", lambda self, path: None)
    with small_files(2 * record if first == "point" else record // 2):
        assert run([*command, "--seeds", "3", "--out", str(tmp_path)]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("landscape: cannot write")
    assert f"seed-00001.{'safetensors' if first == 'point' else 'json'}" in shown.err
    assert shown.err.count("\n") == 1
    assert not shown.out
    assert not list(tmp_path.rglob("*partial*"))
    assert [path.name for path in (tmp_path / "seeds").iterdir()] == ["seed-00000.json"]
    assert run([*command, "--seeds", "3", "--out", str(tmp_path)]) == 0
    assert sum(json.loads(capsys.readouterr().out)["counts"].values()) == 3


def test_imbalanced_classes_and_squared_error() -> None:
    step = measure_prevalence(Study(Problem((8, 8, 2, 2), 6, 2, 1e-3)), 3)
    assert step.non_converged == 0
    assert sum(step.counts.values()) == 3
    assert measure_prevalence(Study(Problem.balanced(3, 2, 5, 2, 1e-2, loss="mse")), 3).counts == {"DNC": 3}


def test_a_survey_is_a_table_that_comes_back(tmp_path: Path) -> None:
    studies = [TINY, replace(TINY, feature_scale=0.1)]
    table = survey(studies, 2, tmp_path)
    assert sum(row.count for row in table) == 4
    assert sorted({row.feature_scale for row in table}) == [0.1, 1.0]
    assert [row.count for row in table if row.structure == "DNC" and row.feature_scale == 1.0] == [
        measure_prevalence(TINY, 2).counts.get("DNC", 0)
    ]
    write_table(table, tmp_path / "table.csv")
    assert read_table(tmp_path / "table.csv", PrevalenceRow) == table
    assert not list(tmp_path.rglob("*.safetensors"))
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="expected a table"):
        read_table(tmp_path / "table.csv", PrevalenceRow)


def test_two_methods_from_the_same_starts(tmp_path: Path) -> None:
    study = Study(Problem.balanced(4, 1, 4, 2, 5e-2))
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
    result = measure_prevalence(Study(paper), 100)
    assert result.non_converged == 0
    assert all(point.gradient_norm <= 1e-12 for point in result.ends)
    assert 10 <= result.counts["DNC"] <= 28
    assert set(result.counts) == {"DNC", "pairs", "partition:8,2", "partition:6,2,2"}
    assert (
        measure_prevalence(Study(paper), 20, size=7).labels
        == measure_prevalence(Study(paper), 20, size=1).labels
        == result.labels[:20]
    )
    for width in (10, 20):
        assert "DNC" not in measure_prevalence(Study(replace(paper, width=width)), 20).counts
    assert measure_prevalence(Study(replace(paper, width=150)), 20).counts["DNC"] > 16
