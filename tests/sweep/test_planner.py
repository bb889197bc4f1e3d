"""Which jobs go together, in what order, and which must be alone."""

from itertools import pairwise
from pathlib import Path

import pytest

from landscape.archive.experiment import Experiment
from landscape.sweep import planner as planning
from landscape.sweep.grid import parse_grid
from landscape.sweep.planner import Planner
from landscape.sweep.worker import JobEnd, RunSettings, Task

PROBLEM = {"classes": 3, "samples": 1, "width": [3, 4], "depth": 1, "decay": 1e-2}
JOBS = list(parse_grid({"problem": PROBLEM, "start": {"seed": {"from": 0, "to": 99}}}).jobs())


def planner() -> Planner:
    return Planner(JOBS, RunSettings(Path("out"), "run", 60.0), 1.0)


def test_every_job_is_given_out_once_with_its_family() -> None:
    plan, tasks = planner(), list[Task]()
    while plan.ready(len(tasks)):
        tasks.append(plan.take(2))
        plan.learn(tasks[-1], [JobEnd(job.digest, "done", seconds=0.05) for job in tasks[-1].jobs])
    assert sorted(job.digest for task in tasks for job in task.jobs) == sorted(job.digest for job in JOBS)
    families = [job.family for task in tasks for job in task.jobs]
    assert sum(one != other for one, other in pairwise(families)) == 1
    assert any(len(task.jobs) > 5 for task in tasks)
    assert len(tasks[-1].jobs) < len(tasks[1].jobs)


def test_what_killed_its_worker_comes_last_and_with_nothing_beside_it() -> None:
    plan = planner()
    suspect = plan.take(2)
    (together,) = suspect.apart(suspect.jobs[1:])
    assert (together.jobs, together.alone) == (suspect.jobs[1:], 1)
    plan.again(together.apart(together.jobs))
    plan.again([lost := plan.take(2)])
    assert plan.take(2) is lost
    others = 0
    while plan.ready(1):
        assert not plan.take(2).alone
        others += 1
    assert others
    seen: list[Experiment] = []
    while plan.ready(0):
        assert not plan.ready(1)
        task = plan.take(2)
        assert (task.alone, len(task.jobs)) == (2, 1)
        seen += task.jobs
    assert seen == list(suspect.jobs[1:])
    assert suspect.apart(()) == together.apart(()) == []


def test_the_times_of_a_few_families_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A grid may have as many families as jobs."""
    monkeypatch.setattr(planning, "_WINDOW", 1)
    plan = planner()
    first = plan.take(2)
    plan.learn(first, [JobEnd(job.digest, "done", seconds=1e-5) for job in first.jobs])
    assert len(plan.take(2).jobs) > len(first.jobs)
    other = JOBS[-1]
    assert other.family != first.jobs[0].family
    plan.learn(Task((other,), first.order), [JobEnd(other.digest, "done", seconds=1e-5)])
    assert list(plan._means) == [other.family]
