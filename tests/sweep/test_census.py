"""The census of a grid against sets of digests: the same jobs, the same places, each once."""

import random
import tracemalloc
from typing import Any

import pytest

from landscape.sweep.census import Census
from landscape.sweep.grid import parse_grid

PROBLEM = {
    "classes": 4,
    "samples": [1, 2],
    "width": [4, 9],
    "depth": [1, 2],
    "decay": [1e-2, "1e-2,1e-2,1e-2"],
    "activation": "relu",
}
GRIDS: dict[str, dict[str, Any]] = {
    "random starts and structures": {
        "problem": {**PROBLEM, "activation": "linear", "decay": 1e-2},
        "start": {"kind": ["random", "dnc", "pairs"], "seed": {"from": 3, "to": 12}},
    },
    "combinations that are one job": {
        "problem": {**PROBLEM, "depth": 1, "decay": [1e-2, "1e-2,1e-2"]},
        "start": {"seed": [5, 1, 5]},
    },
    "seeds that advance with widths": {
        "problem": {**PROBLEM, "decay": 1e-2},
        "start": {"seed": [1, 2]},
        "zip": [["start.seed", "problem.width"]],
    },
    "swaps": {
        "problem": {"classes": 3, "samples": 1, "width": 6, "depth": 2, "decay": 1e-2},
        "start": {"swap": ["none", "features:identity"], "seed": {"from": 0, "to": 4}},
    },
}


@pytest.mark.parametrize("name", GRIDS)
def test_it_has_every_job_once_and_no_other(name: str) -> None:
    grid = parse_grid(GRIDS[name])
    digests = [job.digest for job in grid.jobs()]
    census = Census(grid)
    assert (census.jobs, census.missing) == (len(digests), len(digests))
    assert [job.digest for job in census.missing_jobs()] == digests
    assert all(digest in census and census.lacks(digest) for digest in digests)
    others = [digests[0][:-2], digests[0].replace(digests[0][5], "x"), f"{digests[0][:40]} {digests[0][41:]}", "0" * 64, ""]
    assert not any(other in census or census.lacks(other) for other in others)
    assert None not in census


@pytest.mark.parametrize("name", GRIDS)
def test_what_has_a_record_is_missing_no_more(name: str) -> None:
    grid = parse_grid(GRIDS[name])
    census, jobs = Census(grid), list(grid.jobs())
    whole = census.work()
    done = set(random.Random(0).sample([job.digest for job in jobs], len(jobs) // 2))
    for digest in done:
        census.find(digest)
        census.find(digest)
    census.find("0" * 64)
    left = [job.digest for job in jobs if job.digest not in done]
    assert [job.digest for job in census.missing_jobs()] == left
    assert (census.jobs, census.missing) == (len(jobs), len(left))
    assert [digest for digest in (job.digest for job in jobs) if census.lacks(digest)] == left
    assert all(digest in census for digest in done)
    assert 0 < census.work() < whole


def test_a_job_takes_some_twenty_bytes() -> None:
    def held(seeds: int) -> int:
        grid = parse_grid(
            {
                "problem": {"classes": 3, "samples": [1, 2], "width": 4, "depth": 1, "decay": 0.01},
                "start": {"seed": {"from": 0, "to": seeds - 1}},
            }
        )
        tracemalloc.start()
        census = Census(grid)
        taken = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return taken // census.jobs

    assert held(20_000) < 32
