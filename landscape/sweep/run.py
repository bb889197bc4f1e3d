"""The loop of a sweep: what is missing becomes tasks, a few per worker are under way, and how they end is counted."""

import contextlib
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from landscape.archive.lease import leased
from landscape.archive.records import Archive
from landscape.atomic_files import check_writable
from landscape.errors import InputError
from landscape.sweep.census import Census
from landscape.sweep.engine import Engine, Finished, open_engine, require_packages
from landscape.sweep.grid import Grid
from landscape.sweep.planner import Planner
from landscape.sweep.settings import EngineSettings as Settings
from landscape.sweep.worker import Compute, JobEnd, RunSettings, failed

_TICK = 0.25  # seconds after which the loop looks up when nothing finishes
_APART = 3  # times that a job is set apart before the deaths of its workers are its own doing
_LOSSES = 5  # results lost in a row, after which the scheduler is taken for gone; tasks refused in a row that end the sweep


@dataclass
class SweepProgress:
    """A sweep under way; `watch` sees it after every change and at least a few times a second.

    Attributes:
        jobs: Number of distinct jobs of the grid.
        found: Number of jobs that had a record already.
        done: Number of jobs that were computed now.
        failed: Digest and reason of the jobs that ended without a record.
        structures: Number of times that each structure was found now.
        damaged: Digest and fault of records that were no records, and are computed again.
        work: Seconds that the jobs took, all workers together.
        remaining: Seconds of work that the rest will take, by what was seen so far.
        workers: Number of workers connected now.
        dashboard: Address of the page where the engine can be watched.
        awaited: What is missing before work can begin; empty if nothing is.
        stopped: Why the sweep ended early; empty if it did not.
        begun: Time at which the sweep began.
    """

    jobs: int
    found: int
    done: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    structures: Counter[str] = field(default_factory=Counter)
    damaged: dict[str, str] = field(default_factory=dict)
    work: float = 0.0
    remaining: float = 0.0
    workers: int = 0
    dashboard: str | None = None
    awaited: str = ""
    stopped: str = ""
    begun: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since the begin."""
        return time.monotonic() - self.begun

    @property
    def left(self) -> int:
        """Jobs that have neither a record nor a failure."""
        return self.jobs - self.found - self.done - len(self.failed)

    def count(self, ending: JobEnd) -> None:
        """Adds how one job ended."""
        match ending.status:
            case "done":
                self.done += 1
                self.work += ending.seconds
                if ending.structure:
                    self.structures[ending.structure] += 1
            case "failed":
                self.failed[ending.digest] = ending.reason
            case "unwritten":
                self.stopped = ending.reason
            case "skipped":
                pass


SweepWatch = Callable[[SweepProgress], None]


def run_sweep(
    grid: Grid,
    folder: Path | str,
    settings: Settings | None = None,
    watch: SweepWatch = lambda tally: None,
    compute: Compute | None = None,
) -> SweepProgress:
    r"""Computes the jobs of a grid that have no record yet, and returns how that went.

    Example:
        >>> import landscape as ls
        >>> import tempfile
        >>> from pathlib import Path
        >>> text = "problem = { classes = 3, samples = 1, width = [4, 5], depth = 2, decay = 0.02 }\nengine = { workers = 0 }"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "grid.toml").write_text(text)
        ...     grid = ls.read_grid(Path(folder, "grid.toml"))
        ...     done = ls.run_sweep(grid, f"{folder}/sweep")
        >>> done.jobs, done.done, dict(done.structures)
        (2, 2, {'DNC': 2})

    Ctrl-C lets the jobs under way finish and ends; a second one raises KeyboardInterrupt at once. Both leave a folder from which
    the same call goes on. A job that fails is recorded with its reason, and tried again by the next call.

    Args:
        grid: Grid whose jobs are computed.
        folder: Folder where the records go.
        settings: Settings of the engine; None takes those of the grid.
        watch: Function that is called with the progress after every change.
        compute: Function from jobs of one family to their ends, in place of the solver.

    Raises:
        InputError: If the folder or the engine cannot be used, or another process computes into the folder.
    """
    begun, settings = time.monotonic(), settings or grid.engine
    folder = Path(folder).absolute()
    if not folder.exists():
        require_packages(settings)  # before a folder is made that nothing would be in
    census = Census(grid)
    archive = Archive.create(folder)
    damaged: dict[str, str] = {}
    for digest, fault in archive.examined(census):
        if fault:
            damaged[digest] = fault
        else:
            census.find(digest)
    tally = SweepProgress(census.jobs, census.jobs - census.missing, damaged=damaged, begun=begun)
    if census.missing:
        check_writable(archive.folder / "probe")
        with leased(archive.folder):
            unread = {digest for digest in archive.names() if census.lacks(digest)}  # since then, by another driver
            for digest in unread:
                census.find(digest)
            tally.found = census.jobs - census.missing
            if census.missing:
                _compute(grid, settings, archive, tally, census, watch, compute)
            archive.index(_Sound(census, unread))
    watch(tally)
    return tally


@dataclass(frozen=True)
class _Sound:
    """The records of a grid that were read before, and those that have been written since."""

    census: Census
    unread: set[str]

    def __contains__(self, digest: object) -> bool:
        return digest in self.census and digest not in self.unread


def _compute(
    grid: Grid,
    settings: Settings,
    archive: Archive,
    tally: SweepProgress,
    census: Census,
    watch: SweepWatch,
    compute: Compute | None,
) -> None:
    """Computes the jobs that are missing; they are made again from the grid as they are needed."""
    order = _order(grid, settings, archive.folder, compute)
    failed = {failure.digest: failure.kind for failure in archive.failures()}
    planner = Planner(census.missing_jobs(), order, settings.seconds, failed, census.work())
    engine = open_engine(settings, archive.folder)
    try:
        tally.dashboard = engine.dashboard
        with _stopping(order) as stop:
            _run(engine, planner, archive, tally, watch, stop)
    finally:
        engine.close()
        order.stop.unlink(missing_ok=True)
    if tally.left or tally.failed:  # workers may have written more than could be heard of
        tally.failed = {digest: reason for digest, reason in tally.failed.items() if not archive.has(digest)}
        tally.done = sum(census.lacks(digest) and archive.has(digest) for digest in archive.names())


def _order(grid: Grid, settings: Settings, folder: Path, compute: Compute | None) -> RunSettings:
    memory = None
    if settings.memory is not None and settings.device == "cpu" and settings.workers != 0:
        from dask.utils import parse_bytes

        memory = parse_bytes(settings.memory)
    run = uuid.uuid4().hex
    return RunSettings(folder, run, settings.timeout, settings.device, settings.threads, memory, grid.keeps_points, compute)


def _run(
    engine: Engine, planner: Planner, archive: Archive, tally: SweepProgress, watch: SweepWatch, stop: threading.Event
) -> None:
    flying, losses = 0, 0
    while True:
        while planner.ready(flying) and flying < engine.slots and not stop.is_set() and not tally.stopped:
            engine.submit(planner.take(engine.workers))
            flying += 1
        if not flying or (stop.is_set() and not engine.busy):
            break
        finished = engine.next(_TICK)
        if finished is not None:
            flying -= 1
            losses = losses + 1 if finished.kind in ("lost", "refused") else 0
            _settle(finished, planner, archive, tally, losses)
        tally.workers, tally.remaining = engine.workers, planner.remaining
        tally.awaited = engine.awaited
        watch(tally)
    if stop.is_set() and tally.left and not tally.stopped:
        tally.stopped = "interrupted"


def _settle(finished: Finished, planner: Planner, archive: Archive, tally: SweepProgress, losses: int) -> None:
    """Counts the endings of a task, and decides what becomes of one that has none."""
    task = finished.task
    match finished.kind:
        case "ended":
            for ending in finished.endings:
                tally.count(ending)
            planner.learn(task, finished.endings)
        case "refused" if losses > _LOSSES:
            raise InputError(finished.reason)
        case "lost" if losses > _LOSSES:
            tally.stopped = f"{finished.reason}: what it had finished is kept"
        case "lost" | "refused":  # a file system may hesitate, a worker be of another version
            planner.again([task])
        case "worker":
            rest = tuple(job for job in task.jobs if not archive.has(job.digest))
            tally.done += len(task.jobs) - len(rest)
            if len(task.jobs) > 1 or task.alone < _APART:  # its workers may have died of something else
                planner.again(task.apart(rest))
            elif rest:
                tally.count(failed(rest[0], "worker", finished.reason, task.order, archive))


@contextlib.contextmanager
def _stopping(order: RunSettings) -> Iterator[threading.Event]:
    """Yields what the first Ctrl-C (or SIGTERM) sets; the second one interrupts."""
    stop = threading.Event()

    def hear(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        with contextlib.suppress(OSError):
            order.stop.touch()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
