"""The clusters that Dask starts for a sweep: workers on this machine, or jobs of SLURM; imported only where one is wanted."""

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

from landscape.errors import InputError
from landscape.sweep.settings import EngineSettings as Settings
from landscape.sweep.watchdog import ENVIRONMENT

MISSING = "expected the package {name} for this engine: pip install 'landscape-dufm[batch]', or use --workers 0"
_PRELOAD = "landscape.sweep.preload"
_PATIENCE = 30.0  # seconds to wait for sbatch


def local(settings: Settings, count: int) -> Any:
    """Returns a scheduler in this process and workers under nannies, each GPU worker with a device of its own."""
    import dask
    from dask.utils import parse_bytes
    from distributed import Nanny, Scheduler, SpecCluster

    # a nanny is not given up while the worker that it has started again still loads torch, which takes long on a busy machine
    dask.config.set({"distributed.deploy.lost-worker-timeout": "120s"})
    options: dict[str, Any] = {
        "nthreads": 1,  # of Dask: one task at a time
        "host": settings.host,
        "dashboard": False,
        "memory_limit": parse_bytes(settings.memory) if settings.memory else "auto",
        "preload": [_PRELOAD],
    }
    workers = {}
    for index in range(count):
        own = dict(options)
        if settings.gpus:
            devices = range(index * settings.gpus, (index + 1) * settings.gpus)
            own |= {"resources": {"GPU": settings.gpus}, "env": {"CUDA_VISIBLE_DEVICES": ",".join(map(str, devices))}}
        workers[index] = {"cls": Nanny, "options": own}
    scheduler = {"cls": Scheduler, "options": {"host": settings.host, "dashboard": True, "dashboard_address": f"{settings.host}:0"}}
    cluster = SpecCluster(scheduler=scheduler, silence_logs=logging.CRITICAL)
    cluster.worker_spec.update(workers)  # the client starts them: one that dies meanwhile is no reason to give up
    return cluster


def slurm(settings: Settings, folder: Path) -> Any:
    """Returns a scheduler in this process and SLURM jobs with a worker each; a job that SLURM kills is replaced.

    Raises:
        InputError: If the package is missing, or SLURM would not take such a job.
    """
    try:
        from dask_jobqueue.slurm import SLURMCluster
    except ImportError as error:
        raise InputError(MISSING.format(name=error.name)) from error
    count = 1 if settings.workers is None else settings.workers
    logs = folder / "logs"
    logs.mkdir(exist_ok=True)
    exports = {**ENVIRONMENT, "DASK_DISTRIBUTED__NANNY__PRE_SPAWN_ENVIRON": "{'MALLOC_TRIM_THRESHOLD_': None}"}
    gpus = [f"--gpus={settings.gpus}"] if settings.gpus else []
    try:
        cluster: Any = SLURMCluster(
            queue=settings.partition,
            cores=settings.threads,
            processes=1,
            memory=settings.memory or "2GiB",
            walltime=settings.walltime,
            job_extra_directives=[*gpus, *settings.directives],
            job_script_prologue=[*settings.prologue, *(f'export {name}="{value}"' for name, value in exports.items())],
            worker_extra_args=["--preload", _PRELOAD, *(["--resources", f"GPU={settings.gpus}"] if settings.gpus else [])],
            scheduler_options={"host": settings.host, "dashboard_address": f"{settings.host}:0"},
            log_directory=str(logs),
            local_directory=str(folder / "logs"),
            python=sys.executable,
            security=security(settings),
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise InputError(f"SLURM does not start a worker: {error}") from error
    try:
        _require_submission(cluster.job_script())
    except InputError:
        cluster.close(timeout=10)
        raise
    cluster.adapt(minimum=count, maximum=count, interval="2s")
    return cluster


def _require_submission(script: str) -> None:
    """Asks SLURM whether it would take a job, without submitting it: later its answer would be heard by nobody."""
    try:
        asked = subprocess.run(["sbatch", "--test-only"], input=script, capture_output=True, text=True, timeout=_PATIENCE)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"SLURM does not answer: sbatch --test-only took more than {_PATIENCE:g} s") from error
    except OSError as error:
        raise InputError(f"expected SLURM's sbatch on this machine: {error.strerror}") from error
    if asked.returncode != 0:
        raise InputError(f"SLURM does not take a job: {' '.join(asked.stderr.split()) or 'sbatch says nothing'}")


def security(settings: Settings) -> Any:
    """Returns the certificates for every connection, if the settings name some."""
    if settings.tls is None:
        return None
    from distributed.security import Security

    authority, certificate, key = settings.tls
    return Security(
        tls_ca_file=authority,
        tls_client_cert=certificate,
        tls_client_key=key,
        tls_scheduler_cert=certificate,
        tls_scheduler_key=key,
        tls_worker_cert=certificate,
        tls_worker_key=key,
        require_encryption=True,
    )
