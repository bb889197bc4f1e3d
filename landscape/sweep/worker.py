"""What a worker does: a task of several jobs, each ending in a record or in a failure with its reason.

Random starts of one problem go through the batched solver as one pool; what a job gives does not depend on its neighbours, bit for
bit. Where a pool fails as a whole (an error, a hang) its jobs are done again one by one, once. One that has no memory is first done
again with half as many starts at once.
"""

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from landscape.archive.experiment import Experiment, SavedPoint
from landscape.archive.records import Archive
from landscape.display import brief
from landscape.errors import InputError
from landscape.sweep.watchdog import JobTimeout, limited, prepare, products_are_alike

if TYPE_CHECKING:
    from landscape.points.point import CriticalPoint
    from landscape.studies.ends import EndPoint

HUNG_IN_BATCH = "hung"  # kind of failure of jobs whose batch had to be ended with its process
_DANGEROUS = (HUNG_IN_BATCH, "timeout", "memory", "worker")  # kinds of failure after which a job is done alone
_HUNG_REASON = "its batch did not return from a call; it is done alone next"
_NO_MEMORY = ("can't allocate memory", "out of memory", "bad_alloc")  # how torch says it, without a type of its own

Compute = Callable[["tuple[Experiment, ...]", str, int | None], "Iterator[tuple[Experiment, EndPoint, CriticalPoint | None]]"]
Status = Literal["done", "failed", "unwritten", "skipped"]


@dataclass(frozen=True)
class RunSettings:
    """What all tasks of a sweep have in common.

    Attributes:
        folder: Folder of the sweep, as the workers see it.
        run: Name of this run: failures of another one are tried again.
        timeout: Time limit of one job, in seconds.
        device: Device where jobs are computed: cpu or cuda.
        threads: Number of threads that torch may use.
        memory: Memory of a worker, in bytes; None for no bound.
        points: Whether records have the parameters too.
        compute: Function from jobs of one family to their ends; another one for tests and benchmarks.
    """

    folder: Path
    run: str
    timeout: float
    device: str = "cpu"
    threads: int = 1
    memory: int | None = None
    points: bool = True
    compute: Compute | None = None

    __repr__ = brief

    @property
    def stop(self) -> Path:
        """The file whose existence tells workers to begin nothing more."""
        return self.folder / f"stop-{self.run}"


@dataclass(frozen=True)
class Task:
    """Jobs that go to a worker together.

    Attributes:
        jobs: Jobs of the task, all of one family.
        order: Settings that all tasks of the sweep have in common.
        alone: Number of times that the task was set apart, with nothing else under way, because its workers died.
    """

    jobs: tuple[Experiment, ...]
    order: RunSettings
    alone: int = 0

    def apart(self, jobs: tuple[Experiment, ...]) -> "list[Task]":
        """Returns what to do alone with the jobs that it had left undone when its workers died: first all of them, then each."""
        parts = [(job,) for job in jobs] if self.alone else [jobs]
        return [replace(self, jobs=part, alone=self.alone + 1) for part in parts if part]


@dataclass(frozen=True)
class JobEnd:
    """How one job of a task ended.

    Attributes:
        digest: Digest of the job.
        status: Status of the job: a record, a recorded failure, or neither: nothing could be written, or the sweep was told to stop
            before.
        structure: Name of the structure that was found.
        seconds: Time of solving and analysing, counted in seconds from the end before it in the same pool: only sums mean
            something.
        reason: Why the job failed; empty if it did not.
    """

    digest: str
    status: Status
    structure: str = ""
    seconds: float = 0.0
    reason: str = ""


def run_task(task: Task) -> tuple[JobEnd, ...]:
    """Computes what has no record yet and returns how every job of the task ended.

    Raises:
        InputError: If the folder or the device is not that of this worker.
    """
    order = task.order
    archive = Archive.existing(order.folder)
    prepare(order.threads, order.memory)
    _require_device(order.device)
    endings = []
    for _, group in groupby(task.jobs, key=lambda job: job.family):
        together: list[Experiment] = []
        apart: list[Experiment] = []
        for job in group:
            if archive.has(job.digest):  # by an earlier attempt at this task, or by another sweep
                endings.append(JobEnd(job.digest, "done"))
            elif (failure := archive.failure(job.digest)) is None:
                together.append(job)
            elif failure.run == order.run and failure.kind != HUNG_IN_BATCH:
                endings.append(JobEnd(job.digest, "failed", reason=failure.reason))
            else:
                (apart if failure.kind in _DANGEROUS else together).append(job)
        for part in filter(None, (tuple(together), *((job,) for job in apart))):
            stopped = order.stop.exists()
            endings += [JobEnd(job.digest, "skipped") for job in part] if stopped else _together(part, order, archive)
    return tuple(endings)


def _together(jobs: tuple[Experiment, ...], order: RunSettings, archive: Archive, size: int | None = None) -> list[JobEnd]:
    """Does jobs of one family as a pool, and those that a fault of the pool leaves one by one.

    Args:
        jobs: Which.
        order: What they have in common with all others.
        archive: Where the records go.
        size: How many are in the pool at once; None for as many as the memory is thought to hold.
    """
    endings: dict[str, JobEnd] = {}
    alone, here = len(jobs) == 1, threading.current_thread() is threading.main_thread()
    ends = (order.compute or compute)(jobs, order.device, 1 if alone or not _alike() else size)

    def give_up() -> None:
        for job in jobs:
            if job.digest not in endings:
                archive.fail(job, *(("timeout", _too_long(order)) if alone else (HUNG_IN_BATCH, _HUNG_REASON)), order.run)
        if here:
            print(f"landscape: {_too_long(order)} in a call that cannot be interrupted; the same command goes on", file=sys.stderr)

    def step() -> bool:
        begin = time.perf_counter()
        found = next(ends, None)
        if found is not None:
            job, end, point = found
            endings[job.digest] = _kept(job, end, point, time.perf_counter() - begin, order, archive)
        return found is not None

    try:
        while limited(step, order.timeout, give_up):
            pass
    except (Exception, JobTimeout) as error:
        rest = [job for job in jobs if job.digest not in endings]
        if not alone and size is None and len(rest) > 1 and _reason(error, order)[0] == "memory":
            endings |= {ending.digest: ending for ending in _together(tuple(rest), order, archive, (len(jobs) + 1) // 2)}
        elif not alone:
            endings |= {ending.digest: ending for job in rest for ending in _together((job,), order, archive)}
        elif rest:
            endings[jobs[0].digest] = failed(jobs[0], *_reason(error, order), order, archive)
    missing = [job for job in jobs if job.digest not in endings]
    return [*endings.values(), *(failed(job, "error", "it came to no end", order, archive) for job in missing)]


def _reason(error: BaseException, order: RunSettings) -> tuple[str, str]:
    if isinstance(error, JobTimeout):
        return "timeout", _too_long(order)
    text = str(error)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(sign in text for sign in _NO_MEMORY)):
        return "memory", f"out of memory: {text or 'the worker has no more'}"
    text = text.partition("\n")[0]  # torch adds its frames
    return "error", text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"


def _too_long(order: RunSettings) -> str:
    return f"no end after {order.timeout:g} s"


def failed(job: Experiment, kind: str, reason: str, order: RunSettings, archive: Archive) -> JobEnd:
    """Records why a job has no record, and returns that as its end."""
    try:
        return JobEnd(job.digest, "failed", reason=archive.fail(job, kind, reason, order.run).reason)
    except InputError as error:
        return JobEnd(job.digest, "unwritten", reason=str(error))


def _kept(
    job: Experiment, end: "EndPoint", point: "CriticalPoint | None", seconds: float, order: RunSettings, archive: Archive
) -> JobEnd:
    """Writes the record of an end, unless its numbers are no numbers."""
    from landscape.studies.ends import packed, poison

    if fault := poison(end, point):
        return failed(job, "poisoned", fault, order, archive)
    name = job.start.name if isinstance(job.start, SavedPoint) else ""
    try:
        archive.write(job, *packed(end, point if order.points else None, seconds, order.device, name))
    except InputError as error:
        return JobEnd(job.digest, "unwritten", reason=str(error))
    return JobEnd(job.digest, "done", end.structure, seconds)


def compute(
    jobs: tuple[Experiment, ...], device: str, size: int | None
) -> "Iterator[tuple[Experiment, EndPoint, CriticalPoint | None]]":
    """Yields the end of every job as `studies.ends.ends_of` computes it; loads torch only here.

    Raises:
        InputError: If the problem has no such structure, or a file cannot be used.
    """
    from landscape.studies.ends import ends_of

    yield from ends_of(jobs, device, size)


@cache
def _alike() -> bool:
    return products_are_alike()


@cache
def _require_device(device: str) -> None:
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise InputError(f"expected a CUDA device on {socket.gethostname()}, where this worker runs, got none: use --device cpu")
