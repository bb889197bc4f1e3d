"""Grids: which jobs they name, and how they are refused."""

from pathlib import Path
from typing import get_args

import pytest

from landscape.cli import run
from landscape.errors import InputError
from landscape.model.problem import DEEPEST
from landscape.sweep.axis import LARGEST, Depth, Range, read_range
from landscape.sweep.grid import line_of, parse_grid, read_grid

SMALL = """
[problem]
classes = [4, 5]
samples = 2
width = { from = 6, to = 10, step = 2 }
depth = 2
decay = "2**-8"

[start]
kind = ["random", "dnc"]
seed = { from = 0, to = 4 }
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "grid.toml"
    path.write_text(text)
    return path


def test_the_jobs_are_all_combinations_each_once(tmp_path: Path) -> None:
    grid = read_grid(written(tmp_path, SMALL))
    jobs = list(grid.jobs())
    assert grid.combinations == 2 * 3 * 2 * 5
    assert len(jobs) == len({job.digest for job in jobs}) == 2 * 3 * (5 + 1)  # DNC has no seed
    assert {(job.problem.classes, job.problem.width) for job in jobs} == {(k, d) for k in (4, 5) for d in (6, 8, 10)}
    assert {job.problem.decay for job in jobs} == {2.0**-8}


def test_settings_in_a_zip_advance_together() -> None:
    fields = {"problem": {"classes": 4, "samples": 1, "width": [5, 6, 7], "depth": [1, 2, 3], "decay": [1e-3, 1e-2]}}
    grid = parse_grid(fields | {"zip": [["problem.width", "problem.depth"]]})
    assert grid.combinations == 6
    assert sorted({(job.problem.width, job.problem.depth) for job in grid.jobs()}) == [(5, 1), (6, 2), (7, 3)]


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ({"from": 6, "to": 12, "step": 3}, [6, 9, 12]),
        ({"from": 6, "to": 8}, [6, 7, 8]),
        ({"from": 6, "to": 11, "step": 3}, [6, 9]),
        ({"from": 0.1, "to": 0.3, "step": 0.1}, [0.1, 0.2, 0.3]),
        ({"from": 1e-4, "to": 1e-2, "steps": 3}, [1e-4, 1e-3, 1e-2]),
        ({"from": 5.0, "to": 5.0, "steps": 1}, [5.0]),
        ({"from": 1.0, "to": 8.0, "steps": 2}, [1.0, 8.0]),
    ],
)
def test_ranges(given: dict[str, float], values: list[float]) -> None:
    found = read_range(given)
    assert found.values() == pytest.approx(values, rel=1e-14)
    assert found.count == len(values)
    assert found.values()[-1] <= given["to"] * (1 + 1e-15)


def test_a_range_is_counted_and_not_made() -> None:
    assert Range(0, 10**15).count == 10**15 + 1


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("width =", "widht =", 5, "problem.widht: unknown key"),
        ("samples = 2", "samples = 'x'", 4, "problem.samples: expected a valid integer, got 'x'"),
        ("samples = 2", "samples = true", 4, "problem.samples: expected a valid integer, got True"),
        ("samples = 2", "samples = []", 4, "problem.samples: expected at least one value, got []"),
        ("samples = 2", "", 2, "problem: expected classes and samples, or class_sizes"),
        ("samples = 2", "samples = 2 2", 4, "expected TOML"),
        ("[4, 5]", "[4, 5.5]", 3, "problem.classes.1: expected a valid integer, got 5.5"),
        ("[4, 5]", "[4, 1]", 3, "problem.classes.1: expected greater than or equal to 2, got 1"),
        ("step = 2", "step = 0", 5, "it has no value"),
        ("to = 10", "to = 5", 5, "it has no value"),
        ("to = 10", "to = 'x'", 5, "expected a range"),
        ("to = 4", "to = 1000000000", 11, f"expected at most {LARGEST} values, got a range of 1000000001"),
        ("to = 4", "to = 500000", 2, f"expected at most {LARGEST} jobs, got 6000012: problem.width 3"),
        ('"2**-8"', "nan", 7, "problem.decay: expected a finite number"),
        ('"2**-8"', "[1e-3, -1.0]", 7, "problem.decay.1: expected a positive decay"),
        ('"2**-8"', '"x"', 7, "problem.decay: expected a decay such as"),
        ('"dnc"', '"dcn"', 10, "start.kind.1: expected random, DNC, pairs"),
        ("[start]", "[strat]", 9, "strat: unknown key"),
        ("[start]", "[engine]\nkind = 'ray'\n[start]", 10, "engine.kind: expected local, slurm or the address of a scheduler"),
        ("[start]", "[engine]\nmemory = '2 GB or so'\n[start]", 10, "engine.memory: expected a size such as 2GiB"),
        ("[start]", "[start]\nfoo.bar = 1", 10, "start.foo: unknown key"),
        ("\n[problem]", "zip = [['problem.width', 'problem.classes']]\n[problem]", 1, "equally many values"),
        ("\n[problem]", "zip = [['problem.colour']]\n[problem]", 1, "expected settings that the grid has"),
        ("\n[problem]", "zip = [['problem.width'], ['problem.width']]\n[problem]", 1, "every setting once"),
        ("\n[problem]", "zip = [[1]]\n[problem]", 1, "zip.0.0: expected a valid string, got 1"),
        ("\n[problem]", "zip = [[]]\n[problem]", 1, "zip.0: expected at least one setting, got []"),
        ("\n[problem]", "method = 1\n[problem]", 1, "method: expected a table, got 1"),
        ("to = 10, step = 2", "to = 1e300, step = 1e-300", 5, f"expected at most {LARGEST} values, got a range of over 1e+15"),
        ("from = 6, to = 10", "from = -1e308, to = 1e308", 5, "expected a range"),
        ("from = 6, to = 10", f"from = 6, to = {'9' * 400}", 5, "expected a range"),
        ("to = 10, step = 2", f"to = 10, steps = {'9' * 30}", 5, f"expected at most {LARGEST} values, got a range of over 1e+15"),
        ("to = 10, step = 2", "to = 10, steps = 2.5", 5, "steps is a whole number"),
        ('"2**-8"', "{ from = 1e-300, to = 1e300, steps = 3 }", 7, "and a ratio that is a number"),
        ('"2**-8"', f'"{"9" * 5000}"', 7, "problem.decay: expected a decay such as"),
        ('"2**-8"', '"1e-3,1e-3"', 7, "problem.decay: expected one decay, or 3 of them (H_1, W_1 .. W_2), got 2"),
        ("[4, 5]", "9" * 5000, 1, "expected TOML"),
        ("[4, 5]", "9" * 26, 3, "problem.classes: expected less than or equal to 10000, got 999"),
        ("samples = 2", f"samples = {'9' * 26}", 4, "problem.samples: expected less than or equal to 10000000, got 999"),
        ("classes = [4, 5]\nsamples = 2", "class_sizes = '2,10000001'", 3, "class sizes from 1 to 10000000"),
        ("{ from = 6, to = 10, step = 2 }", "9" * 26, 5, "problem.width: expected less than or equal to 1000000000, got 999"),
        ("{ from = 6, to = 10, step = 2 }", "100_000", 2, "expected at most 10000000000 parameters, got 10001200000"),
        ("depth = 2", "depth = 1001", 6, "problem.depth: expected less than or equal to 1000, got 1001"),
        ("[start]", "[method]\nmax_steps = 1000000001\n[start]", 10, "method.max_steps: expected less than or equal to 1000000000"),
        ("[start]", "[engine]\nthreads = 100000\n[start]", 10, "engine.threads: expected less than or equal to 512, got 100000"),
        ("[start]", "[engine]\ngpus = 65\n[start]", 10, "engine.gpus: expected less than or equal to 64, got 65"),
        ("[start]", "[engine]\ntimeout = 1e10\n[start]", 10, "engine.timeout: expected less than or equal to 1000000000"),
        ("[start]", "[engine]\nmemory = '2٢GiB'\n[start]", 10, "engine.memory: expected a size such as 2GiB"),
        ("[start]", "[engine]\nmemory = '9999999TiB'\n[start]", 10, "engine.memory: expected a size such as 2GiB"),
        ("[start]", "[engine]\nwalltime = '٠١:00:00'\n[start]", 10, "engine.walltime: expected HH:MM:SS"),
        ("[start]", "[engine]\nkind = 'tcp://127.0.0.1:70000'\n[start]", 10, "engine.kind: expected local, slurm or the address"),
        ('"dnc"', '"blocks:x"', 10, "start.kind.1: expected random, DNC, pairs"),
        ('"dnc"', '"blocks:polygon4"', 10, "start.kind.1: expected random, DNC, pairs"),
        ('"dnc"', '"partition:x,2"', 10, "start.kind.1: expected random, DNC, pairs"),
        ('"dnc"', '"partition:0,2"', 10, "start.kind: expected groups of at least 1 that sum to 4 classes, got 0,2"),
        (
            '"dnc"',
            '"partition:99,1"',
            10,
            "start.kind: expected groups of at least 1 that sum to 4 classes, got 99,1 (width 6",
        ),
        (
            '"dnc"',
            '"partition:2,2"',
            10,
            "start.kind: expected groups of at least 1 that sum to 5 classes, got 2,2 (width 6",
        ),
    ],
)
def test_a_bad_grid_is_one_line_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, line: int, words: str
) -> None:
    assert SMALL.count(old) == 1
    path = written(tmp_path, SMALL.replace(old, new))
    assert run(["sweep", str(path), "--out", str(tmp_path / "out")]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith(f"landscape: {path}:{line}: ")
    assert words in shown.err
    assert (shown.err.count("\n"), shown.out) == (1, "")
    assert not (tmp_path / "out").exists()


def test_settings_that_advance_together_must_fit_row_by_row() -> None:
    fields: dict[str, object] = {"problem": {"classes": [4, 5], "samples": 1, "width": [6, 7], "depth": 2, "decay": 1e-2}}
    fields |= {"start": {"kind": ["pairs", "apex"], "seed": {"from": 0, "to": 9}}, "zip": [["problem.classes", "start.kind"]]}
    assert len(list(parse_grid(fields).jobs())) == 4
    assert len(list(parse_grid(fields).models())) == 4
    with pytest.raises(InputError, match="expected an odd number of equal classes"):
        parse_grid(fields | {"zip": []})


def test_no_problem_is_refused_later_than_the_grid() -> None:
    assert get_args(Depth)[1].metadata[-1].le == DEEPEST


@pytest.mark.parametrize("kind", ["missing", "folder", "binary", "large"])
def test_a_file_that_cannot_be_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "grid.toml"
    match kind:
        case "folder":
            path.mkdir()
        case "binary":
            path.write_bytes(b"\xff\x00")
        case "large":
            path.write_text("#" * 2_000_000)
    with pytest.raises(InputError, match=r"grid\.toml"):
        read_grid(path)


def test_the_line_of_a_key() -> None:
    text = "a = 1\n[one]\nb = 1 # b =\n\n[two.three] # x\n'c' = 1\nd.e = 2\n"
    assert line_of(text, ("a",)) == 1
    assert line_of(text, ("one", "b", 3)) == 3
    assert line_of(text, ("one", "z")) == 2
    assert line_of(text, ("two", "three", "c")) == 6
    assert line_of(text, ("two", "three", "d", "e")) == 7
    assert line_of(text, ("none",)) == 1
