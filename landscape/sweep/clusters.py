"""The cluster of Dask that a sweep starts on this machine; imported only where one is wanted."""

import logging
import os
from collections.abc import Mapping
from typing import Any

from landscape.errors import InputError
from landscape.sweep.credentials import LOOPBACK, guarded_scheduler
from landscape.sweep.settings import EngineSettings as Settings

PRELOAD = "landscape.sweep.preload"
_VISIBLE = "CUDA_VISIBLE_DEVICES"


def local(settings: Settings, count: int, security: Any, page: str) -> Any:
    """Returns a scheduler in this process and workers under nannies, each GPU worker with a device of its own.

    Args:
        settings: Settings of the engine.
        count: Number of workers.
        security: The certificates of every connection.
        page: The secret path of the dashboard.
    """
    import dask
    from dask.utils import parse_bytes
    from distributed import Nanny, SpecCluster

    # a nanny is not given up while the worker that it has started again still loads torch, which takes long on a busy machine
    dask.config.set({"distributed.deploy.lost-worker-timeout": "120s"})
    host = settings.host or LOOPBACK
    both: dict[str, Any] = {"host": host, "protocol": "tls://", "security": security}
    options: dict[str, Any] = {
        **both,
        "nthreads": 1,  # of Dask: one task at a time
        "dashboard": False,
        "memory_limit": parse_bytes(settings.memory) if settings.memory else "auto",
        "preload": [PRELOAD],
    }
    workers = {}
    for index in range(count):
        own = dict(options)
        if settings.gpus:
            devices = visible_devices(settings.gpus * count)[index * settings.gpus : (index + 1) * settings.gpus]
            own |= {"resources": {"GPU": settings.gpus}, "env": {_VISIBLE: ",".join(devices)}}
        workers[index] = {"cls": Nanny, "options": own}
    pages = {"dashboard": True, "dashboard_address": f"{host}:0", "http_prefix": page}
    scheduler = {"cls": guarded_scheduler(page), "options": {**both, **pages}}
    cluster = SpecCluster(scheduler=scheduler, security=security, silence_logs=logging.CRITICAL)
    cluster.worker_spec.update(workers)  # the client starts them: one that dies meanwhile is no reason to give up
    return cluster


def visible_devices(wanted: int, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Returns the names of so many devices, as CUDA_VISIBLE_DEVICES has them: the first of those that this process may see.

    Raises:
        InputError: If it may see fewer.
    """
    outer = environment.get(_VISIBLE)
    if outer is None:
        return [str(number) for number in range(wanted)]
    names = [name.strip() for name in outer.split(",") if name.strip()]
    names = names[: names.index("-1")] if "-1" in names else names  # CUDA sees none from the first bad one on
    if len(names) < wanted:
        raise InputError(f"expected {wanted} devices for these workers, got {_VISIBLE}={outer[:40]!r}: fewer workers or gpus")
    return names[:wanted]
