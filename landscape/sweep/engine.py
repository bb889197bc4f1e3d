"""Where tasks run: in this process, on workers of this machine, on those of a running scheduler, or on SLURM.

An engine takes tasks and hands back how each of them ended. Killed workers, scheduling by resource and the cluster's own ways are
Dask's; it is imported only here, and only when it is used.
"""

import contextlib
import logging
import queue
import shutil
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from landscape.errors import InputError
from landscape.sweep.clusters import local
from landscape.sweep.credentials import credentials, dashboard_settings, require_encryption
from landscape.sweep.settings import EngineSettings as Settings
from landscape.sweep.slurm import forget_certificates, jobs_awaited, slurm
from landscape.sweep.watchdog import ENVIRONMENT
from landscape.sweep.worker import JobEnd, Task, run_task

_DEATHS = 2  # of workers that the scheduler forgives a task before that is done alone, then cut into single jobs
_PATIENCE = 30.0  # seconds to wait for a scheduler that does not answer
_BARREN = 120.0  # seconds without a worker on this machine, after which they are said not to start
_EARLY = 10.0  # seconds without a worker, after which it is said what is awaited, and between two questions for it
_AHEAD = 2  # tasks per worker: one under way, one waiting, so that nobody waits for the driver
_PARTS = ("client", "core", "nanny", "scheduler", "worker")
_LOGGERS = ("asyncio", "tornado", "distributed", *(f"distributed.{part}" for part in _PARTS))
_MISSING = "expected the package {name} for this engine: pip install 'landscape-dufm[batch]', or use --workers 0"
_QUIET = str(dict.fromkeys(_LOGGERS, "critical"))


@dataclass(frozen=True)
class Finished:
    """A task that has left the engine.

    Attributes:
        task: Task that has left the engine.
        kind: How the task left: it ended; its worker died or could not run it; it was refused for its input; the scheduler was
            lost.
        endings: Ends of the task's jobs; empty unless it ended.
        reason: Why the task did not end; empty if it did.
    """

    task: Task
    kind: Literal["ended", "worker", "refused", "lost"]
    endings: tuple[JobEnd, ...] = ()
    reason: str = ""


@runtime_checkable
class Engine(Protocol):
    """Takes tasks and hands them back."""

    @property
    def workers(self) -> int:
        """How many there are now."""

    @property
    def slots(self) -> int:
        """How many tasks to have under way so that no worker waits."""

    @property
    def dashboard(self) -> str | None:
        """Where to watch it."""

    @property
    def awaited(self) -> str:
        """What is missing before a task can begin; empty if nothing is."""

    @property
    def busy(self) -> bool:
        """Whether a task has begun, or will without waiting for a worker."""

    def submit(self, task: Task) -> None:
        """Takes a task."""

    def next(self, seconds: float) -> Finished | None:
        """Returns a task that has finished, or None after about so many seconds."""

    def close(self) -> None:
        """Ends what was started."""


class InProcess:
    """One task after the other, here."""

    workers = 1
    slots = 1
    busy = True
    dashboard = None
    awaited = ""

    def __init__(self) -> None:
        self._waiting: deque[Task] = deque()

    def submit(self, task: Task) -> None:
        """Takes a task."""
        self._waiting.append(task)

    def next(self, seconds: float) -> Finished | None:
        """Runs a task to its end, however long that takes."""
        if not self._waiting:
            return None
        task = self._waiting.popleft()
        try:
            return Finished(task, "ended", run_task(task))
        except InputError as error:
            return Finished(task, "refused", reason=str(error))

    def close(self) -> None:
        """Forgets what was not begun."""
        self._waiting.clear()


class Distributed:
    """Dask's scheduler and workers: a cluster of our own, or the scheduler at an address.

    Args:
        cluster: Our own; None where there is a scheduler already.
        settings: Of the engine.
        security: The certificates of every connection, or None.
        wanted: Workers of a cluster on this machine, whose nannies give up where a worker dies while it starts.
        last: Is called when it closes.
    """

    def __init__(
        self, cluster: Any, settings: Settings, security: Any, wanted: int = 0, last: Callable[[], object] = lambda: None
    ) -> None:
        self._cluster, self._settings, self._security = cluster, settings, security
        self._wanted, self._last = wanted, last
        self._finished: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._flying: dict[str, tuple[Task, Any]] = {}
        self._counted, self._count, self._renewed, self._seen = 0.0, 0, 0.0, time.monotonic()
        self._asked, self._awaited = 0.0, ""
        self._client = self._connected()

    def _connected(self) -> Any:
        from distributed import Client

        target = self._settings.kind if self._cluster is None else self._cluster
        try:
            return Client(target, timeout=_PATIENCE, security=self._security, set_as_default=False)
        except (OSError, TimeoutError, ValueError, TypeError, RuntimeError) as error:
            self._last()
            raise InputError(f"cannot reach a scheduler at {self._settings.kind}: {str(error) or 'no answer'}") from error

    @property
    def workers(self) -> int:
        """How many are connected, counted once a second."""
        if time.monotonic() - self._counted > 1:
            with contextlib.suppress(OSError, TimeoutError, ValueError):
                self._count = len(self._client.scheduler_info(n_workers=-1).get("workers", ()))
            self._counted = time.monotonic()
            self._seen = self._counted if self._count else self._seen
        return self._count

    @property
    def slots(self) -> int:
        """Two tasks per worker."""
        return _AHEAD * max(self.workers, 1)

    @property
    def dashboard(self) -> str | None:
        """Address of the scheduler's live page."""
        return str(self._client.dashboard_link) or None

    @property
    def awaited(self) -> str:
        """What is missing while no worker is connected; asked again every few seconds at most."""
        if self.workers or time.monotonic() - self._seen < _EARLY:
            return ""
        if time.monotonic() - self._asked > _EARLY:
            self._asked, self._awaited = time.monotonic(), self._missing()
        return self._awaited

    def _missing(self) -> str:
        match self._settings.kind:
            case "local":
                return f"{self._wanted} workers on this machine: they load torch"
            case "slurm":
                jobs = [str(job.job_id) for job in list(self._cluster.workers.values()) if getattr(job, "job_id", None)]
                return f"workers of SLURM: {jobs_awaited(jobs)}"
            case address:
                return f"workers of the scheduler at {address}: it has none"

    @property
    def busy(self) -> bool:
        """Whether a worker has a task, or the scheduler does not say."""
        try:
            return any(self._client.processing().values())
        except (OSError, TimeoutError, ValueError):
            return True

    def submit(self, task: Task) -> None:
        """Sends a task to the scheduler."""
        key = f"sweep-{uuid.uuid4().hex}"
        if self._client.status in ("closed", "closing"):
            self._flying[key] = task, None
            return
        resources = {"GPU": self._settings.gpus} if self._settings.gpus else None
        future = self._client.submit(run_task, task, key=key, pure=False, resources=resources)
        self._flying[key] = task, future
        future.add_done_callback(lambda done: self._finished.put((key, done)))

    def next(self, seconds: float) -> Finished | None:
        """Returns a task that has finished, or None."""
        self._renew_if_short()
        try:
            key, future = self._finished.get(timeout=seconds)
        except queue.Empty:
            if self._client.status not in ("closed", "closing") or not self._flying:
                return None
            key, (_, future) = next(iter(self._flying.items()))
        if key not in self._flying:
            return None
        return _finished(self._flying.pop(key)[0], future)

    def _renew_if_short(self) -> None:
        if self.workers >= self._wanted or time.monotonic() - self._renewed < 1:
            return
        if time.monotonic() - self._seen > _BARREN:
            memory = f" with memory = {self._settings.memory!r}" if self._settings.memory else ""
            raise InputError(f"expected workers on this machine{memory}, got none for {_BARREN:g} s: --workers 0 may show why")
        self._renewed = time.monotonic()
        for name, nanny in list(self._cluster.workers.items()):
            if nanny.status.name in ("closed", "failed"):
                self._cluster.workers.pop(name, None)
        self._cluster.scale(self._wanted)

    def close(self) -> None:
        """Takes back what has not finished and ends our own cluster."""
        with contextlib.suppress(Exception):
            self._client.cancel([future for _, future in self._flying.values() if future], force=True)
        with contextlib.suppress(Exception):
            self._client.close(timeout=2)
        if self._cluster is not None:
            with contextlib.suppress(Exception):
                self._cluster.close(timeout=10)
        self._last()


def _finished(task: Task, future: Any) -> Finished:
    """Returns how a task has left the scheduler."""
    from distributed import KilledWorker

    if future is not None and future.status == "finished":
        with contextlib.suppress(Exception):
            return Finished(task, "ended", future.result(timeout=_PATIENCE))
        return Finished(task, "lost", reason="its result was lost with its worker")
    if future is None or future.status != "error":
        return Finished(task, "lost", reason="the scheduler is gone")
    kind: Literal["worker", "refused"] = "worker"
    match error := future.exception():
        case InputError():
            kind, reason = "refused", str(error)
        case ImportError() | AttributeError():  # none of ours leaves a task: what it came with could not be read
            kind, reason = "refused", f"expected this version of landscape on the workers, got {error}"
        case KilledWorker():
            reason = "killed its workers again and again with nothing beside it: a crash, or more memory than they have"
        case _:
            reason = f"{type(error).__name__}: {error}"
    return Finished(task, kind, reason=reason)


def require_packages(settings: Settings) -> None:
    """Refuses an engine whose packages are missing.

    Raises:
        InputError: If Dask is needed and not there.
    """
    if settings.kind == "local" and settings.workers == 0:
        return
    try:
        import distributed  # noqa: F401 (only to see whether it is there, and to load its settings before they are changed)
    except ImportError as error:
        raise InputError(_MISSING.format(name=error.name)) from error


def open_engine(settings: Settings, folder: Path) -> Engine:
    """Returns the engine that the settings name, with its workers started or asked for.

    Args:
        settings: Which, and how many workers.
        folder: Folder of the sweep; SLURM's logs go there.

    Raises:
        InputError: If a package is missing, or the scheduler, SLURM or a device.
    """
    if settings.kind == "local" and settings.workers == 0:
        return InProcess()
    require_encryption(settings)
    require_packages(settings)
    import dask

    dask.config.set(
        {
            "distributed.scheduler.allowed-failures": _DEATHS,
            # the first of these sends freed memory back to the system all the time, which triples the time of small torch jobs
            "distributed.nanny.pre-spawn-environ": {
                "MALLOC_TRIM_THRESHOLD_": None,
                **ENVIRONMENT,
                "DASK_DISTRIBUTED__LOGGING": _QUIET,
            },
            "distributed.comm.timeouts.connect": "30s",
            "distributed.admin.low-level-log-length": 1,  # kept messages; a thousand of them are a million jobs
        }
    )
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # a killed worker is no news: what cannot be done is said at the end
    try:
        return _opened(settings, folder, credentials(settings))
    except ImportError as error:
        raise InputError(_MISSING.format(name=error.name)) from error


def _opened(settings: Settings, folder: Path, security: Any) -> Distributed:
    """Returns the engine with its workers; what they write beside their tasks is where nobody else can write."""
    import dask
    from dask.system import CPU_COUNT

    page, pages = dashboard_settings()
    with contextlib.ExitStack() as undo:
        match settings.kind:
            case "local":
                count = CPU_COUNT if settings.workers is None else settings.workers
                scratch = tempfile.mkdtemp(prefix="landscape-")
                undo.callback(shutil.rmtree, scratch, ignore_errors=True)
                dask.config.set({**pages, "temporary-directory": scratch})
                cluster = local(settings, count, security, page)
            case "slurm":
                count = 0
                undo.callback(forget_certificates, folder)
                dask.config.set(pages)
                cluster = slurm(settings, folder, security, page)
            case _:
                count, cluster = 0, None
        engine = Distributed(cluster, settings, security, count, undo.pop_all().close)
    _require_resource(engine, settings)
    return engine


def _require_resource(engine: Distributed, settings: Settings) -> None:
    if not settings.gpus or settings.kind in ("local", "slurm"):
        return
    workers = engine._client.scheduler_info(n_workers=-1)["workers"].values()
    if workers and not any(worker.get("resources", {}).get("GPU", 0) >= settings.gpus for worker in workers):
        engine.close()
        raise InputError(f"expected workers with --resources GPU={settings.gpus} at {settings.kind}, got {len(workers)} without")
