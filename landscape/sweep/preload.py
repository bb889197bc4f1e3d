"""Loaded by workers before they take a task.

Ctrl-C in the terminal reaches local workers too, but it is the driver that decides when they end. The solver is loaded now, which
takes seconds: a worker that is killed meanwhile has no task that would be held responsible.
"""

import signal
from typing import Any

import landscape.studies.prevalence  # noqa: F401

signal.signal(signal.SIGINT, signal.SIG_IGN)


def dask_setup(worker: Any) -> None:
    """Closes the port of a worker's pages where none are to be served; Dask calls this when the worker has started."""
    import dask

    if not dask.config.get("distributed.worker.http.routes"):
        worker.http_server.stop()
