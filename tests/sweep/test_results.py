"""The table: rebuilt from records, filtered without evaluating anything, counted with intervals."""

import io
import json
from pathlib import Path

import pandas
import pytest
import scipy.stats

from landscape.cli import run
from landscape.errors import InputError
from landscape.sweep.drive import sweep
from landscape.sweep.grid import parse_grid
from landscape.sweep.records import Archive
from landscape.sweep.results import COLUMNS, frequencies, read_results, write_results
from landscape.sweep.settings import Engine
from landscape.sweep.where import rows_where
from tests.sweep import faults


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    problem = {"classes": [3, 4], "samples": 2, "width": [4, 6], "depth": 2, "decay": [1e-2, "1e-3,2e-3,2e-3"]}
    fields = {"problem": problem, "start": {"kind": ["random", "dnc"], "seed": [0, 1, 2]}}
    sweep(parse_grid(fields), folder, Engine(workers=0), compute=faults.nothing)
    return folder


@pytest.fixture
def table() -> pandas.DataFrame:
    rows = {
        "start": ["random"] * 6 + ["dnc"],
        "width": [4, 4, 4, 6, 6, 6, 6],
        "structure": ["DNC", "DNC", "pairs", "DNC", "pairs", "not converged, rank 2", "DNC"],
        "outcome": ["CONVERGED"] * 5 + ["STALLED", "GIVEN"],
        "loss": [0.1, 0.1, 0.2, 0.3, 0.4, None, 0.3],
    }
    return pandas.DataFrame(rows)


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
    with pytest.raises(InputError, match="expected a column among"):
        frequencies(table, ["colour"])


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
    out = tmp_path / "t.parquet"
    assert printed("--format", "parquet", "--out", str(out)).strip() == str(out)
    assert len(pandas.read_parquet(out)) == 32
    assert "seconds" in printed("--provenance").splitlines()[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--where", "colour > 1"), "expected a column among"),
        (("--sort", "colour"), "expected a column among"),
        (("--structure", "DNC"), "only with --by"),
        (("--format", "table", "--out", "x.csv"), "expected --format csv or parquet"),
        (("--format", "csv", "--out", "x.parquet"), "expected --format csv or parquet"),
    ],
)
def test_bad_options_are_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], words: str
) -> None:
    assert run(["results", str(folder), *options]) == 2
    shown = capsys.readouterr()
    assert words in shown.err
    assert (shown.err.count("\n"), shown.out) == (1, "")


def test_a_damaged_record_is_left_out_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fields = {"problem": {"classes": 3, "samples": 1, "width": 3, "depth": 1, "decay": 1e-2}, "start": {"seed": [0, 1]}}
    sweep(parse_grid(fields), tmp_path, Engine(workers=0), compute=faults.nothing)
    archive = Archive.existing(tmp_path)
    archive.path(next(archive.names())).write_bytes(b"nonsense")
    assert run(["results", str(tmp_path), "--format", "json"]) == 1
    shown = capsys.readouterr()
    assert len(json.loads(shown.out)) == 1
    assert "left out 1 damaged records" in shown.err
    assert run(["results", str(tmp_path / "nowhere")]) == 2
