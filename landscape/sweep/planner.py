"""How jobs are cut into tasks: as many of one family as take the wanted seconds, by what such jobs took before."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from types import MappingProxyType

from landscape.archive.experiment import Altered, Experiment, SavedPoint
from landscape.solver.methods import GradientDescent, Random
from landscape.sweep.worker import HUNG_IN_BATCH, JobEnd, RunSettings, Task

_MOST = 1_000  # jobs of one task, whatever they are thought to cost
_WINDOW = 4_096  # jobs that are held at once, and families whose times are remembered
_LEAST = 0.2  # seconds of the last tasks, which are cut small so that no worker idles while another ends
FACTOR = 5.0  # within which `estimate` holds for a grid, either way: benchmarks/estimates.py
_FORGET = 0.3  # weight of the newest task in the mean


def estimate(job: Experiment) -> float:
    """Returns the seconds that a job takes on one core; that of a grid is within `FACTOR`.

    Fitted to jobs of 3 to 10 classes, widths to 70 and depths to 3 in pools. Descent on flat problems takes much longer.
    """
    fixed, growing = 0.05, 1.5e-5 * job.problem.parameters * job.problem.depth
    match job.start:
        case Random() | Altered():
            return 6.0 * fixed + 40.0 * growing if isinstance(job.method, GradientDescent) else fixed + growing
        case SavedPoint():
            return fixed + growing
        case _:
            return 0.03


class Planner:
    """The jobs that no task has yet. Those of a family come together, those that have failed before come last.

    Only a window of the jobs is held, so that a million of them take no more memory than some thousands.

    Args:
        jobs: All, once; starts of one family follow each other but for a few.
        order: Of every task.
        seconds: Of work in one task, about.
        failed: Of earlier runs, what kind of failure by digest; what hung in a batch comes before what failed alone.
        work: Seconds that all jobs are thought to take; None adds up the estimates, for which it takes all of them at once.
    """

    def __init__(
        self,
        jobs: Iterable[Experiment],
        order: RunSettings,
        seconds: float,
        failed: Mapping[str, str] = MappingProxyType({}),
        work: float | None = None,
    ) -> None:
        if work is None:
            jobs = list(jobs)
            work = sum(map(estimate, jobs))
        self._stream = self._ordered(iter(jobs), failed)
        self._jobs: deque[Experiment] = deque(islice(self._stream, 1))
        self._again: deque[Task] = deque()
        self._alone: deque[Task] = deque()
        self._order, self._seconds = order, seconds
        self._means: dict[Experiment, float] = {}
        self._ratio = 1.0
        self._guess = work

    @staticmethod
    def _ordered(jobs: Iterator[Experiment], failed: Mapping[str, str]) -> Iterator[Experiment]:
        """Yields the jobs family by family within a window, those that have failed last."""
        held: tuple[list[Experiment], list[Experiment]] = ([], [])
        while window := list(islice(jobs, _WINDOW)):
            families: dict[Experiment, list[Experiment]] = {}
            for job in window:
                kind = failed.get(job.digest)
                if kind is None:
                    families.setdefault(job.family, []).append(job)
                else:
                    held[kind != HUNG_IN_BATCH].append(job)
            yield from chain.from_iterable(families.values())
        for part in held:
            again: dict[Experiment, list[Experiment]] = {}
            for job in part:
                again.setdefault(job.family, []).append(job)
            yield from chain.from_iterable(again.values())

    def ready(self, flying: int) -> bool:
        """Whether there is a task that may go with so many others under way."""
        return bool(self._jobs or self._again or (self._alone and not flying))

    @property
    def remaining(self) -> float:
        """Seconds of work that no task has yet."""
        return self._guess * self._ratio

    def take(self, workers: int) -> Task:
        """Returns the next task; what must be alone comes last."""
        if self._again:
            return self._again.popleft()
        if not self._jobs:
            return self._alone.popleft()
        goal = max(min(self._seconds, self.remaining / (2 * max(workers, 1))), _LEAST)
        taken: list[Experiment] = []
        cost = 0.0
        while self._jobs and len(taken) < _MOST:
            job = self._jobs[0]
            cost += self._means.get(job.family, estimate(job) * self._ratio)
            if taken and cost > goal:
                break
            self._guess = max(self._guess - estimate(job), 0.0)
            taken.append(self._jobs.popleft())
            self._jobs.extend(islice(self._stream, 1))
        return Task(tuple(taken), self._order)

    def again(self, tasks: Sequence[Task]) -> None:
        """Takes tasks back, to be given out first, or last if they must be alone."""
        for task in tasks:
            (self._alone if task.alone else self._again).append(task)

    def learn(self, task: Task, endings: Sequence[JobEnd]) -> None:
        """Remembers what the jobs of a task took."""
        by_digest = {job.digest: job for job in task.jobs}
        took: dict[Experiment, list[float]] = {}
        for ending in endings:
            if ending.seconds > 0:
                took.setdefault(by_digest[ending.digest].family, []).append(ending.seconds)
        for family, seconds in took.items():
            mean = sum(seconds) / len(seconds)
            self._means[family] = mean + (1 - _FORGET) * (self._means.get(family, mean) - mean)
            self._ratio += _FORGET * (mean / estimate(family) - self._ratio)
        for family in list(self._means)[:-_WINDOW]:  # a grid may have as many families as jobs
            del self._means[family]
