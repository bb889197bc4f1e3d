"""Swapped starts in a grid: jobs of their own, described in the table, refused in one line with its place."""

from pathlib import Path

import numpy as np
import pytest

from landscape.archive.experiment import Altered
from landscape.errors import InputError
from landscape.solver.methods import Random
from landscape.studies.starts.swap import altered
from landscape.sweep.grid import parse_grid, read_grid
from landscape.sweep.results import frequencies, read_results
from landscape.sweep.run import run_sweep
from landscape.sweep.settings import EngineSettings

PROBLEM = "[problem]\nclasses = 4\nsamples = 1\nwidth = 8\ndepth = 2\ndecay = 1e-3\n"
START = '[start]\nkind = ["random", "dnc"]\nseed = [0, 1, 2]\n'


def written(folder: Path, swap: str, problem: str = PROBLEM, start: str = START) -> Path:
    path = folder / "grid.toml"
    path.write_text(f"{problem}{start}swap = {swap}\n")
    return path


def test_every_swap_has_jobs_of_its_own_and_structures_have_none(tmp_path: Path) -> None:
    jobs = list(read_grid(written(tmp_path, '["none", "features:identity", "features:anew"]')).jobs())
    assert len({job.digest for job in jobs}) == len(jobs) == 3 * 3 + 1
    assert {job.start for job in jobs if job.random} == {
        altered(Random(seed=seed), swap) if swap else Random(seed=seed)
        for seed in range(3)
        for swap in (None, "features:identity", "features:anew")
    }


def test_a_grid_without_swaps_has_the_jobs_that_it_had(tmp_path: Path) -> None:
    (tmp_path / "plain.toml").write_text(PROBLEM + START)
    plain, none = read_grid(tmp_path / "plain.toml"), read_grid(written(tmp_path, '"none"'))
    assert [job.digest for job in plain.jobs()] == [job.digest for job in none.jobs()]


@pytest.mark.slow
def test_the_table_says_what_was_swapped_and_counts_by_it(tmp_path: Path) -> None:
    np.save(tmp_path / "gram.npy", np.eye(4))
    grid = read_grid(written(tmp_path, '["none", "features:identity", "features:gram.npy"]'))
    run_sweep(grid, tmp_path / "out", EngineSettings(workers=0))
    table, damaged = read_results(tmp_path / "out")
    assert not damaged
    counted = frequencies(table, ["swap"], "DNC")
    given = next(job.start.content for job in grid.jobs() if isinstance(job.start, Altered) and job.start.content)
    assert list(counted["swap"]) == [f"features:file {given[:12]}", "features:identity", "none"]
    assert list(counted["seeds"]) == [3, 3, 3]
    assert list(counted["count"][:2]) == [3, 3]  # the identity is the identity, typed or in a file
    assert table["swap"].isna().sum() == 1  # DNC, analysed where it is


def test_a_file_is_found_from_the_folder_of_the_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savetxt(tmp_path / "gram.csv", np.eye(4), delimiter=",")
    monkeypatch.chdir("/")
    jobs = list(read_grid(written(tmp_path, '"features:gram.csv+weights:isometric"')).jobs())
    swaps = {job.start.swap for job in jobs if isinstance(job.start, Altered)}
    assert swaps == {f"features:{tmp_path / 'gram.csv'}+weights:isometric"}


@pytest.mark.parametrize(
    ("swap", "problem", "words"),
    [
        ('"colour:red"', PROBLEM, "start.swap: expected features:, weights: or block:"),
        ('["none", "features:missing.npy"]', PROBLEM, "start.swap: expected a matrix of numbers"),
        ("3", PROBLEM, "start.swap: expected a valid string"),
        ('"features:five.npy"', PROBLEM, "start.swap: expected features of 4 samples"),
        ('"features:identity"', PROBLEM.replace("width = 8", "width = 3"), "start.swap: expected width >= 4"),
        ('"block:zero"', PROBLEM.replace("depth = 2", "depth = 3"), "start.swap: expected depth 2"),
        ('"features:identity"', PROBLEM + 'activation = "relu"\n', "start.swap: expected a linear model"),
    ],
)
def test_a_swap_that_cannot_be_is_one_line_with_its_place(tmp_path: Path, swap: str, problem: str, words: str) -> None:
    np.save(tmp_path / "five.npy", np.eye(5))
    path = written(tmp_path, swap, problem, '[start]\nkind = "random"\n')
    with pytest.raises(InputError) as refused:
        read_grid(path)
    message = str(refused.value)
    assert message.startswith(f"{path}:{path.read_text().count(chr(10))}: {words}")
    assert "\n" not in message


def test_a_table_in_memory_has_swaps_too() -> None:
    problem = {"classes": 4, "samples": 1, "width": 8, "depth": 2, "decay": 1e-3}
    assert len(list(parse_grid({"problem": problem, "start": {"swap": ["none", "weights:anew"]}}).jobs())) == 2
