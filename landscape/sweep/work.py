"""What a worker does: a task of several jobs, each ending in a record or in a failure with its reason.

Random starts of one problem go through the batched solver as one pool; what a job gives does not depend on its neighbours, bit for
bit. Where a pool fails as a whole (an error, a hang, no memory) its jobs are done again one by one, once.
"""

import math
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from landscape.display import brief
from landscape.errors import InputError
from landscape.sweep.job import Job
from landscape.sweep.limits import JobTimeout, limited, prepare, products_are_alike
from landscape.sweep.records import FORMAT, Archive

if TYPE_CHECKING:
    from landscape.point import CriticalPoint
    from landscape.prevalence import EndPoint
    from landscape.problem import Problem

HUNG_IN_BATCH = "hung"  # kind of failure of jobs whose batch had to be ended with its process
_DANGEROUS = (HUNG_IN_BATCH, "timeout", "memory", "worker")  # kinds of failure after which a job is done alone
_HUNG_REASON = "its batch did not return from a call; it is done alone next"
_NO_MEMORY = ("can't allocate memory", "out of memory", "bad_alloc")  # how torch says it, without a type of its own

Compute = Callable[["tuple[Job, ...]", str, int | None], "Iterator[tuple[Job, EndPoint, CriticalPoint | None]]"]
Status = Literal["done", "failed", "unwritten", "skipped"]


@dataclass(frozen=True)
class Order:
    """What all tasks of a sweep have in common.

    Attributes:
        folder: Of the sweep, as the workers see it.
        run: Names this run: failures of another one are tried again.
        timeout: Seconds of one job.
        device: cpu or cuda.
        threads: Of torch.
        memory: Bytes of a worker, or None.
        points: Whether records have the parameters too.
        compute: From jobs of one family to their ends; another one for tests and benchmarks.
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
        jobs: Which.
        order: What they have in common with all others.
        alone: How often it has been set apart, with nothing else under way, because its workers died; 0 if never.
    """

    jobs: tuple[Job, ...]
    order: Order
    alone: int = 0

    def apart(self, jobs: tuple[Job, ...]) -> "list[Task]":
        """Returns what to do alone with the jobs that it had left undone when its workers died: first all of them, then each."""
        parts = [(job,) for job in jobs] if self.alone else [jobs]
        return [replace(self, jobs=part, alone=self.alone + 1) for part in parts if part]


@dataclass(frozen=True)
class Ending:
    """How one job of a task ended.

    Attributes:
        digest: Of the job.
        status: A record, a recorded failure, or neither: nothing could be written, or the sweep was told to stop before.
        structure: Name of what was found.
        seconds: Of solving and analysing, counted from the end before it in the same pool: only sums mean something.
        reason: Of a failure.
    """

    digest: str
    status: Status
    structure: str = ""
    seconds: float = 0.0
    reason: str = ""


def run_task(task: Task) -> tuple[Ending, ...]:
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
        together: list[Job] = []
        apart: list[Job] = []
        for job in group:
            if archive.has(job.digest):  # by an earlier attempt at this task, or by another sweep
                endings.append(Ending(job.digest, "done"))
            elif (failure := archive.failure(job.digest)) is None:
                together.append(job)
            elif failure.run == order.run and failure.kind != HUNG_IN_BATCH:
                endings.append(Ending(job.digest, "failed", reason=failure.reason))
            else:
                (apart if failure.kind in _DANGEROUS else together).append(job)
        for part in filter(None, (tuple(together), *((job,) for job in apart))):
            stopped = order.stop.exists()
            endings += [Ending(job.digest, "skipped") for job in part] if stopped else _together(part, order, archive)
    return tuple(endings)


def _together(jobs: tuple[Job, ...], order: Order, archive: Archive) -> list[Ending]:
    """Does jobs of one family as a pool, and those that a fault of the pool leaves one by one."""
    endings: dict[str, Ending] = {}
    alone, here = len(jobs) == 1, threading.current_thread() is threading.main_thread()
    ends = (order.compute or compute)(jobs, order.device, 1 if alone or not _alike() else None)

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
        if not alone:
            endings |= {ending.digest: ending for job in rest for ending in _together((job,), order, archive)}
        elif rest:
            endings[jobs[0].digest] = failed(jobs[0], *_reason(error, order), order, archive)
    missing = [job for job in jobs if job.digest not in endings]
    return [*endings.values(), *(failed(job, "error", "it came to no end", order, archive) for job in missing)]


def _reason(error: BaseException, order: Order) -> tuple[str, str]:
    if isinstance(error, JobTimeout):
        return "timeout", _too_long(order)
    text = str(error)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(sign in text for sign in _NO_MEMORY)):
        return "memory", f"out of memory: {text or 'the worker has no more'}"
    text = text.partition("\n")[0]  # torch adds its frames
    return "error", text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"


def _too_long(order: Order) -> str:
    return f"no end after {order.timeout:g} s"


def failed(job: Job, kind: str, reason: str, order: Order, archive: Archive) -> Ending:
    """Records why a job has no record, and returns that as its end."""
    try:
        return Ending(job.digest, "failed", reason=archive.fail(job, kind, reason, order.run).reason)
    except InputError as error:
        return Ending(job.digest, "unwritten", reason=str(error))


def _kept(job: Job, end: "EndPoint", point: "CriticalPoint | None", seconds: float, order: Order, archive: Archive) -> Ending:
    """Writes the record of an end, unless its numbers are no numbers."""
    if poison := _poison(end, point):
        return failed(job, "poisoned", poison, order, archive)
    try:
        archive.write(job, *packed(end, point if order.points else None, seconds, order.device))
    except InputError as error:
        return Ending(job.digest, "unwritten", reason=str(error))
    return Ending(job.digest, "done", end.structure, seconds)


def _poison(end: "EndPoint", point: "CriticalPoint | None") -> str:
    """Returns which number of an end is none, or nothing; a descent that diverged has no numbers and says so."""
    if end.outcome == "DIVERGED":
        return ""
    numbers = {"loss": (end.loss,), "gradient norm": (end.gradient_norm,), "singular values": end.singular}
    for name, values in numbers.items():
        if any(value is None or not math.isfinite(value) for value in values):
            return f"the {name} of a point that is said to be {end.outcome.lower()} is not finite"
    if point is not None and not bool(point.theta.isfinite().all()):
        return f"the parameters of a point that is said to be {end.outcome.lower()} are not finite"
    return ""


def packed(end: "EndPoint", point: "CriticalPoint | None", seconds: float, device: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the header and the arrays of a record; with a point it is a file of that point too."""
    import torch

    from landscape.point import Origin
    from landscape.point_file import arrays_digest

    result = {name: value for name, value in asdict(end).items() if name not in ("record", "seed")}
    header: dict[str, Any] = {}
    ranks = torch.tensor([row[3] for row in end.record], dtype=torch.float64)
    if point is not None and end.outcome != "DIVERGED":
        header, arrays = point.contents()
        arrays["ranks"] = ranks
    else:
        rows = [row[:3] for row in end.record]
        arrays = {"trace": torch.tensor(rows, dtype=torch.float64).reshape(-1, 3), "ranks": ranks}
    provenance = {
        "seconds": seconds,
        "host": socket.gethostname(),
        "process": os.getpid(),
        "device": device,
        "mkl_cbwr": os.environ.get("MKL_CBWR"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": Origin("").versions,
    }
    return {**header, "format": FORMAT, "result": result, "provenance": provenance, "sha256": arrays_digest(arrays)}, arrays


def compute(jobs: tuple[Job, ...], device: str, size: int | None) -> "Iterator[tuple[Job, EndPoint, CriticalPoint | None]]":
    """Yields the end of every job as it arrives, with its point if it has parameters.

    Args:
        jobs: Of one family.
        device: Where to compute.
        size: Of the pool; None fits the memory.

    Raises:
        InputError: If the problem has no such structure.
    """
    from landscape.prevalence import EndPoint, Study
    from landscape.solver.batch import solve_batch

    first = jobs[0]
    problem = problem_of(first)
    if not first.is_random:
        yield first, _structure_end(first, problem), None
        return
    assert first.scales is not None
    study = Study(problem, *first.scales, _method(first))
    by_seed = {job.seed: job for job in jobs}
    starts = (study.start(job.seed or 0, device) for job in jobs)
    for arrival in solve_batch(problem, starts, study.method, size):
        yield by_seed[arrival.point.origin.seed], EndPoint.of(arrival, first.analysis), arrival.point


def problem_of(job: Job) -> "Problem":
    """Returns the problem of a job.

    Raises:
        InputError: If its settings do not fit together.
    """
    from typing import cast

    from landscape.problem import Activation, Loss, Problem

    return Problem(job.class_sizes, job.width, job.depth, job.decay, cast(Loss, job.loss), cast(Activation, job.activation))


def _method(job: Job) -> Any:
    from landscape.solver.methods import GradientDescent, PseudoTransient

    given = {"learning_rate": job.learning_rate, "max_steps": job.max_steps, "tolerance": job.handover}
    settings: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return GradientDescent(**settings) if job.method == "gd" else PseudoTransient(**settings)


def _structure_end(job: Job, problem: "Problem") -> "EndPoint":
    """Returns what is known of a structure, without parameters: its width may be anything."""
    from typing import cast

    from landscape.degeneracy import analyse
    from landscape.notation import parse_structure
    from landscape.point import Outcome
    from landscape.prevalence import EndPoint
    from landscape.proved import Wanted, named_groups
    from landscape.reduction import Core
    from landscape.structures import analytic
    from landscape.theory import Root

    structure = parse_structure(job.start, cast(Root, job.root or "large"))
    form = analytic(problem, structure)
    report = analyse(Core.from_form(problem, form), job.analysis, Wanted(groups=named_groups(problem, structure)))
    return EndPoint(
        seed=-1,
        structure=report.structure,
        rank=form.rank,
        loss=report.loss,
        gradient_norm=report.gradient_norm,
        outcome=Outcome.GIVEN.name,
        steps=0,
        products=0,
        index=report.index,
        nullity=report.nullity,
        orbit_dimension=report.orbit_dimension,
        singular=tuple(form.singular.sort(descending=True).values.tolist()),
        record=(),
    )


@cache
def _alike() -> bool:
    return products_are_alike()


@cache
def _require_device(device: str) -> None:
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise InputError(f"expected a CUDA device on {socket.gethostname()}, where this worker runs, got none: use --device cpu")
