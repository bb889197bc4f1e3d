"""The table: rebuilt from records, filtered without evaluating anything, counted with intervals."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pandas
import pytest
import safetensors.torch
import scipy.stats

from landscape.archive.records import Archive
from landscape.cli import run
from landscape.errors import InputError
from landscape.seal import METADATA_KEY, canonical_json, digest_of
from landscape.studies.intervals import share_interval
from landscape.sweep.filter import rows_where
from landscape.sweep.grid import parse_grid
from landscape.sweep.results import COLUMNS, FAILED, frequencies, read_results, write_results
from landscape.sweep.run import run_sweep
from landscape.sweep.settings import EngineSettings
from tests.sweep import faults


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    problem = {"classes": [3, 4], "samples": 2, "width": [4, 6], "depth": 2, "decay": [1e-2, "1e-3,2e-3,2e-3"]}
    fields = {"problem": problem, "start": {"kind": ["random", "dnc"], "seed": [0, 1, 2]}}
    run_sweep(parse_grid(fields), folder, EngineSettings(workers=0), compute=faults.nothing)
    return folder


def table_of(**columns: Sequence[object]) -> pandas.DataFrame:
    """Returns a table as `read_results` does, of jobs that differ in their seeds and in what is given."""
    rows = len(next(iter(columns.values())))
    usual = {name: [None] * rows for name in COLUMNS} | {"seed": range(rows), "rank": [3] * rows, "singular": ["1"] * rows}
    return pandas.DataFrame({**usual, "start": ["random"] * rows, "outcome": ["CONVERGED"] * rows, "loss": [0.1] * rows, **columns})


@pytest.fixture
def table() -> pandas.DataFrame:
    return table_of(
        start=["random"] * 6 + ["dnc"],
        width=[4, 4, 4, 6, 6, 6, 6],
        structure=["DNC", "DNC", "pairs", "DNC", "pairs", "not converged, rank 2", "DNC"],
        outcome=["CONVERGED"] * 5 + ["STALLED", "GIVEN"],
        loss=[0.1, 0.1, 0.2, 0.3, 0.4, None, 0.3],
    )


def test_pandas_reads_what_is_written_in_one_line(folder: Path) -> None:
    table = pandas.read_parquet(write_results(folder))
    assert list(table.columns) == list(COLUMNS)
    assert len(table) == 2 * 2 * 2 * (3 + 1)
    assert table["seed"].isna().sum() == 8
    assert sorted(set(table["decay"])) == pytest.approx([(1e-3 * 2e-3 * 2e-3) ** (1 / 3), 1e-2])
    assert list(table["digest"]) == list(read_results(folder)[0]["digest"])


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("width > 4", [3, 4, 5, 6]),
        ("width>4 and structure=='DNC'", [3, 6]),
        ("not (width == 4 or structure != 'DNC')", [3, 6]),
        ("loss >= 0.2 and loss < 0.4", [2, 3, 6]),
        ("loss > -1", [0, 1, 2, 3, 4, 6]),
        ("loss != 0.1", [2, 3, 4, 6]),
    ],
)
def test_conditions(table: pandas.DataFrame, text: str, rows: list[int]) -> None:
    assert list(rows_where(table, text).index) == rows


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('x')",
        "width.real > 1",
        "(lambda: 1)() > 1",
        "width > width",
        "1 < width",
        "3 < width < 5",
        "width in [1]",
        "width = 4",
        "colour > 4",
        "width > 'x'",
        "width == '4'",
        "not loss != '0.1'",
        "structure == 3",
        "structure != 3",
        f"loss < {10**400}",
        r"structure == '\ud800'",
        "width",
        "",
        "width > 4 and",
        "@width > 4",
        "(" * 900,
        "not " * 2000 + "width > 4",
    ],
)
def test_anything_else_is_refused(table: pandas.DataFrame, text: str) -> None:
    with pytest.raises(InputError, match="expected"):
        rows_where(table, text)


def test_frequencies_have_scipys_intervals_and_what_is_lost_widens_them(table: pandas.DataFrame) -> None:
    found = frequencies(table, ["width"], "DNC")
    assert found[["width", "count", "seeds", "not_converged"]].to_numpy().tolist() == [[4, 2, 3, 0], [6, 1, 3, 1]]
    whole = scipy.stats.binomtest(2, 3).proportion_ci(0.95, method="wilson")
    assert found.loc[0, ["low", "high"]].tolist() == pytest.approx([whole.low, whole.high], abs=1e-12)
    low = scipy.stats.binomtest(1, 3).proportion_ci(0.95, method="wilson").low
    assert found.loc[1, ["low", "high"]].tolist() == pytest.approx([low, whole.high], abs=1e-12)
    everything = frequencies(table, [])
    assert everything[["structure", "count"]].to_numpy().tolist() == [["DNC", 3], ["pairs", 2]]
    assert frequencies(table, ["width"], "apex")["count"].tolist() == [0, 0]


@pytest.mark.parametrize("by", [["colour"], ["structure"], ["rank"], ["width", "width"], ["all"], [""]])
def test_groups_are_made_by_settings_each_once(table: pandas.DataFrame, by: list[str]) -> None:
    with pytest.raises(InputError, match=r"expected a column among classes, .*, each once"):
        frequencies(table, by)


def test_failures_widen_the_intervals_as_in_prevalence() -> None:
    table = table_of(width=[4, 4, 4, 4, 6], structure=["DNC", None, None, None, None], outcome=["CONVERGED"] + [FAILED] * 4)
    found = frequencies(table, ["width"])
    counts = found[["width", "count", "seeds", "not_converged"]].to_numpy().tolist()
    assert counts == [[4, 1, 4, 3], [6, 0, 1, 1]]  # all that is known of the second group is that it failed
    assert found["structure"].isna().tolist() == [False, True]
    assert found.loc[0, ["low", "high"]].tolist() == pytest.approx(share_interval(1, 4, 3))
    assert found.loc[1, ["low", "high"]].tolist() == [0.0, 1.0]


def test_a_descent_that_was_analysed_twice_counts_once() -> None:
    twice: dict[str, Sequence[object]] = {
        "analysis": ["reduction", "auto"] * 3,
        "seed": [0, 0, 1, 1, 2, 2],
        "structure": ["DNC"] * 4 + [None, "pairs"],
    }
    table = table_of(**twice, outcome=["CONVERGED"] * 4 + [FAILED, "CONVERGED"])  # one analysis of the last failed: it is known
    found = frequencies(table, [])
    assert found[["structure", "count", "seeds", "not_converged"]].to_numpy().tolist() == [["DNC", 2, 3, 0], ["pairs", 1, 3, 0]]
    each = frequencies(table, ["analysis"], "DNC")
    assert each[["analysis", "count", "seeds"]].to_numpy().tolist() == [["auto", 2, 3], ["reduction", 2, 3]]


def test_unnamed_structures_are_told_apart_as_in_prevalence() -> None:
    table = table_of(
        structure=["unnamed rank 3"] * 5 + ["DNC"],
        loss=[0.1, 0.1 + 1e-12, 0.2, 0.3, 0.3, 0.3],
        singular=["1", "1", "1", "1", "2", "1"],
    )
    found = frequencies(table, [])
    assert found[["structure", "count"]].to_numpy().tolist() == [
        ["unnamed rank 3, loss 0.10000000", 2],
        ["DNC", 1],
        ["unnamed rank 3, loss 0.20000000", 1],
        ["unnamed rank 3, loss 0.30000000", 1],
        ["unnamed rank 3, loss 0.30000000 (2)", 1],  # other singular values of the logits
    ]
    assert frequencies(table, [], "unnamed rank 3")["count"].tolist() == [5]
    assert frequencies(table, [], "unnamed rank 3, loss 0.10000000")["count"].tolist() == [2]


def test_the_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def printed(*options: str) -> str:
        assert run(["results", str(folder), *options]) == 0
        return capsys.readouterr().out

    rows = json.loads(printed("--format", "json", "--where", "width > 4 and start == 'random'", "--sort=-decay,seed"))
    assert [row["width"] for row in rows] == [6] * 12
    assert [row["seed"] for row in rows] == [0, 0, 1, 1, 2, 2] * 2
    csv = pandas.read_csv(io.StringIO(printed("--format", "csv")))
    assert len(csv) == 32
    assert "structure" in printed().splitlines()[0]
    counted = json.loads(printed("--by", "classes,width", "--structure", "DNC", "--format", "json"))
    assert [(row["classes"], row["width"], row["count"], row["seeds"]) for row in counted] == [
        (3, 4, 6, 6),
        (3, 6, 6, 6),
        (4, 4, 6, 6),
        (4, 6, 6, 6),
    ]
    assert json.loads(printed("--by", "all", "--format", "json"))[0]["seeds"] == 24
    out = tmp_path / "t.parquet"
    assert printed("--format", "parquet", "--out", str(out), "--where", "width > 4").strip() == str(out)
    assert len(pandas.read_parquet(out)) == 16
    assert printed("--format", "parquet").strip() == str(folder / "results.parquet")
    assert len(pandas.read_parquet(folder / "results.parquet")) == 32
    assert "seconds" in printed("--provenance").splitlines()[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--where", "colour > 1"), "expected a column among"),
        (("--sort", "colour"), "expected a column among"),
        (("--structure", "DNC"), "only with --by"),
        (("--by", "structure"), "expected a column among"),
        (("--by", "width,width"), "each once"),
        (("--format", "parquet", "--by", "width"), "expected --out"),
        (("--format", "parquet", "--where", "width > 4"), "expected --out"),
        (("--format", "table", "--out", "x.csv"), "expected --format csv or parquet"),
        (("--format", "csv", "--out", "x.parquet"), "expected --format csv or parquet"),
    ],
)
def test_bad_options_are_one_line(folder: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], words: str) -> None:
    assert run(["results", str(folder), *options]) == 2
    shown = capsys.readouterr()
    assert words in shown.err
    assert (shown.err.count("\n"), shown.out) == (1, "")


def test_a_damaged_record_is_left_out_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fields = {"problem": {"classes": 3, "samples": 1, "width": 3, "depth": 1, "decay": 1e-2}, "start": {"seed": [0, 1]}}
    run_sweep(parse_grid(fields), tmp_path, EngineSettings(workers=0), compute=faults.nothing)
    archive = Archive.existing(tmp_path)
    archive.path(next(archive.names())).write_bytes(b"nonsense")
    assert run(["results", str(tmp_path), "--format", "json"]) == 1
    shown = capsys.readouterr()
    assert len(json.loads(shown.out)) == 1
    assert "left out 1 damaged records" in shown.err
    assert run(["results", str(tmp_path / "nowhere")]) == 2


def test_failed_jobs_are_said_and_count_as_not_converged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    problem = {"classes": 3, "samples": 1, "width": 3, "depth": 1, "decay": 1e-2}
    grid = parse_grid({"problem": problem, "start": {"seed": [0, 1, 3, 4]}})
    run_sweep(grid, tmp_path, EngineSettings(workers=0), compute=faults.mixed)
    assert run(["results", str(tmp_path), "--by", "width", "--structure", "DNC", "--format", "json"]) == 0
    shown = capsys.readouterr()
    (row,) = json.loads(shown.out)
    assert (row["count"], row["seeds"], row["not_converged"], row["share"]) == (1, 4, 3, 0.25)
    assert [row["low"], row["high"]] == pytest.approx(share_interval(1, 4, 3))
    assert "3 jobs failed, those of random starts count as not converged" in shown.err
    assert run(["results", str(tmp_path), "--format", "json"]) == 0
    shown = capsys.readouterr()
    assert [row["outcome"] for row in json.loads(shown.out)] == ["CONVERGED"]
    assert "3 jobs failed, they are not in the table" in shown.err
    assert run(["results", str(tmp_path), "--where", "seed < 1"]) == 0  # what failed is filtered too
    assert capsys.readouterr().err == ""
    failure = next((tmp_path / "failures").glob("*.json"))
    failure.write_text(failure.read_text().replace('"depth":1', '"depth":[]'))
    assert run(["results", str(tmp_path), "--by", "all"]) == 1
    assert "it is the failure of another job" in capsys.readouterr().err


def forge(folder: Path, part: str, name: str, value: object) -> None:
    """Changes a record as its author could: what it says is sealed, under the name of its job."""
    archive = Archive.existing(folder)
    path = archive.path(next(archive.names()))
    with safetensors.safe_open(path, "pt") as file:
        header = json.loads(file.metadata()[METADATA_KEY])
    del header["seal"]
    header[part][name] = value
    forged = archive.path(digest_of(header["job"]))
    forged.parent.mkdir(exist_ok=True)
    text = canonical_json({**header, "seal": digest_of(header)})
    safetensors.torch.save_file(safetensors.torch.load_file(path), forged, metadata={METADATA_KEY: text})


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("result", "rank", "abc"),
        ("result", "rank", 2**70),
        ("result", "rank", 1.5),
        ("result", "rank", True),
        ("result", "rank", None),
        ("result", "loss", "x"),
        ("result", "loss", 10**400),
        ("result", "singular", ["a"]),
        ("result", "structure", "\ud800"),
        ("result", "structure", "\x1b[2J"),
        ("result", "outcome", ["CONVERGED"]),
        ("provenance", "seconds", "now"),
        ("job", "start", []),
        ("job", "start", {"kind": "random", "seed": -1.5}),
        ("job", "problem", {"class_sizes": "abc"}),
        ("job", "analysis", None),
    ],
)
def test_a_sealed_record_of_odd_types_is_left_out_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], part: str, name: str, value: object
) -> None:
    fields = {"problem": {"classes": 3, "samples": 1, "width": 3, "depth": 1, "decay": 1e-2}, "start": {"seed": [0, 1]}}
    run_sweep(parse_grid(fields), tmp_path, EngineSettings(workers=0), compute=faults.nothing)
    before = len(list(Archive.existing(tmp_path).names()))
    forge(tmp_path, part, name, value)
    after = len(list(Archive.existing(tmp_path).names()))
    assert run(["results", str(tmp_path), "--format", "json", "--provenance"]) == 1
    shown = capsys.readouterr()
    assert len(json.loads(shown.out)) == after - 1 >= before - 1
    assert "left out 1 damaged records" in shown.err
    assert shown.err.count("\n") == 1
    write_results(tmp_path)
