"""`landscape prove` and `landscape check` on known and found points, with the CPU seconds of each beyond start-up.

Paper setting: the four index-0 partitions by name, the code T(5), the minima of a search without a name, and the points of
random seeds. Then minima of searches on ten problems. Counts are compared with those that `degeneracy` states for the same point.

    python scripts/proved_points.py
"""

import contextlib
import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from landscape.catalogue.search import search
from landscape.cli.options import ProblemOptions
from landscape.cli.prove import check, prove
from landscape.degeneracy.analysis import analyse
from landscape.degeneracy.proved import Wanted, named_groups
from landscape.degeneracy.report import DegeneracyReport
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.points.point import CriticalPoint, Origin
from landscape.solver.run import solve
from landscape.solver.starts import Random, random_start
from landscape.structures.analytic import logit_form
from landscape.structures.notation import parse_structure
from landscape.studies.tables import read_table, write_table

PAPER = Problem.balanced(classes=10, samples=5, width=70, depth=2, decay=2.0**-10)
PAPER_TEXT = "K=10,n=5,d=70,L=2,decay=0.0009765625"
NAMED = (
    (PAPER_TEXT, "dnc"), (PAPER_TEXT, "pairs"), (PAPER_TEXT, "partition:6,2,2"), (PAPER_TEXT, "partition:8,2"),
    (PAPER_TEXT, "blocks:T5"), ("K=1000,n=100,d=5000,L=8,decay=1e-5", "dnc"),
)  # fmt: skip
SEEDS = 20
PROBLEMS = (
    Problem.balanced(4, 2, 5, 2, 2.0**-8), Problem.balanced(6, 1, 6, 3, 2.0**-9), Problem.balanced(10, 5, 10, 2, 2.0**-10),
    Problem.balanced(8, 3, 9, 4, 2.0**-10), Problem.balanced(7, 2, 7, 2, 2.0**-12), Problem.balanced(9, 1, 9, 3, 2.0**-10),
    Problem((3, 3, 2, 2, 1, 1), 6, 2, (2.0**-9, 2.0**-8, 2.0**-10)), Problem((4, 2, 1), 3, 1, 2.0**-6, "mse"),
    Problem((5, 5, 4, 4, 3, 3, 2, 2), 8, 2, 2.0**-10), Problem((3, 2, 2, 1, 1), 5, 2, 2.0**-6, "mse"),
)  # fmt: skip
FOUND = 50
TABLE = Path(__file__).resolve().parent.parent / "figures" / "data" / "proved_points.csv"


@dataclass(frozen=True)
class Row:
    """One point: what double precision states, what is proved, and what it costs."""

    source: str
    problem: str
    structure: str
    rank: int
    nullity: int
    index: int
    proved: int
    proved_nullity: int
    proved_index: int
    bits: int
    accepted: int
    prove_seconds: float
    check_seconds: float

    @property
    def right(self) -> bool:
        """Whether it is proved, accepted, and as stated."""
        return bool(self.proved and self.accepted) and (self.nullity, self.index) == (self.proved_nullity, self.proved_index)


def named(problem_text: str, start: str, folder: Path) -> Row:
    """Proves a named structure."""
    problem, structure = Problem.parse(problem_text), parse_structure(start, "large")
    form = logit_form(problem, structure)
    large = problem.classes > 100
    source = Core.from_form(problem, form)
    report = None if large else analyse(source, wanted=Wanted("doubtful", named_groups(problem, structure)))
    facts = _proved(folder, model=ProblemOptions(problem=problem_text), start=start)
    counts = (facts["nullity"], facts["index"]) if report is None else _stated(report)
    return _row("named", problem, start, form.rank, counts, facts)


def points(seeds: range) -> Iterator[tuple[str, CriticalPoint]]:
    """Yields the points of random seeds of the paper setting."""
    for seed in seeds:
        yield f"seed {seed}", solve(PAPER, random_start(PAPER, Random(seed=seed)))


def minima(problem: Problem, most: int) -> Iterator[tuple[str, CriticalPoint]]:
    """Yields what a search finds, lowest loss first."""
    for place, found in enumerate(search(problem, 128).found[:most]):
        frame = torch.eye(problem.width, found.core.rank, dtype=torch.float64)
        theta = found.core.embed([frame] * problem.depth)
        yield f"search {place}", CriticalPoint.at(problem, theta, Origin("scripts/proved_points.py"))


def saved(source: str, point: CriticalPoint, folder: Path) -> Row:
    """Proves a saved point."""
    path = folder / "point.safetensors"
    path.unlink(missing_ok=True)
    point.save(path)
    report = analyse(point)
    return _row(source, point.problem, report.structure, report.rank or 0, _stated(report), _proved(folder, point=path))


def _stated(report: DegeneracyReport) -> tuple[int, int]:
    return (-1 if report.nullity is None else report.nullity, -1 if report.index is None else report.index)


def _row(source: str, problem: Problem, structure: str, rank: int, counts: tuple[int, int], facts: dict[str, Any]) -> Row:
    decays = "decays " + " ".join(f"{decay:g}" for decay in problem.decays)
    words = f"{problem.loss} {'+'.join(map(str, problem.class_sizes))} d={problem.width} L={problem.depth} {decays}"
    if problem.classes > 100:
        words = str(problem)
    return Row(
        source, words, structure, rank, *counts, int(facts["proved"]), facts.get("nullity", -1), facts.get("index", -1),
        facts.get("bits", 0), int(facts["accepted"]), round(facts["prove_seconds"], 2), round(facts["check_seconds"], 2),
    )  # fmt: skip


def _proved(folder: Path, **asked: object) -> dict[str, Any]:
    """Runs both commands in this process, which has started already."""
    out = folder / "proof.json"
    out.unlink(missing_ok=True)
    proving = _run(prove, out=out, **asked)
    compared = {key: value for key, value in asked.items() if key in ("point", "problem")}
    checking = _run(check, out, **compared) if out.exists() else {"proved": False, "seconds": 0.0}
    return proving | {"accepted": checking["proved"], "prove_seconds": proving["seconds"], "check_seconds": checking["seconds"]}


def _run(command: Callable[..., int], *arguments: object, **settings: object) -> dict[str, Any]:
    text, began = io.StringIO(), time.process_time()
    with contextlib.redirect_stdout(text):
        command(*arguments, json=True, **settings)
    return json.loads(text.getvalue()) | {"seconds": time.process_time() - began}


def all_rows(folder: Path) -> Iterator[Row]:
    """Yields the whole table."""
    named("K=2,n=1,d=1,L=1,decay=0.01", "dnc", folder)  # what is imported at the first call
    for text, start in NAMED:
        yield named(text, start, folder)
    for name, point in (*points(range(SEEDS)), *minima(PAPER, 10)):
        yield saved(f"paper {name}", point, folder)
    left = FOUND
    for place, problem in enumerate(PROBLEMS, 1):
        for name, point in minima(problem, 12):
            yield saved(f"problem {place} {name}", point, folder)
            left -= 1
    assert left <= 0, f"{left} minima too few"


def read() -> list[Row]:
    """Returns the committed table."""
    return read_table(TABLE, Row)


if __name__ == "__main__":
    torch.set_num_threads(1)
    table: list[Row] = []
    with tempfile.TemporaryDirectory() as place:
        for row in all_rows(Path(place)):
            table.append(row)
            print(f"{len(table)} {'' if row.right else 'NOT '}proved: {row}", flush=True)
    write_table(table, TABLE)
    print(f"{sum(row.right for row in table)} of {len(table)} proved, accepted and as stated")
