"""Workers as jobs of SLURM, through dask-jobqueue: what the job script says, where its workers find us, what is waited for."""

import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from landscape.errors import InputError
from landscape.sweep.clusters import PRELOAD
from landscape.sweep.credentials import LOOPBACK, forget_jobs, guarded_scheduler, is_loopback, written_for_jobs
from landscape.sweep.settings import EngineSettings as Settings
from landscape.sweep.watchdog import ENVIRONMENT

_LOGS = "logs"
_PATIENCE = 30.0  # seconds to wait for a command of SLURM
_LONGEST = 290  # characters of what SLURM says that are repeated
_ANY_PORT = 9  # of a datagram that is never sent: only the route is asked for
# set for the worker before it starts; a worker serves no pages
_EXPORTS = {
    **ENVIRONMENT,
    "DASK_DISTRIBUTED__NANNY__PRE_SPAWN_ENVIRON": "{'MALLOC_TRIM_THRESHOLD_': None}",
    "DASK_DISTRIBUTED__WORKER__HTTP__ROUTES": "[]",
}


def slurm(settings: Settings, folder: Path, security: Any, page: str) -> Any:
    """Returns a scheduler in this process and SLURM jobs with a worker each; a job that SLURM kills is replaced.

    Args:
        settings: Settings of the engine.
        folder: Folder of the sweep; logs, and certificates while it runs, go into its folder `logs`.
        security: The certificates of every connection.
        page: The secret path of the dashboard.

    Raises:
        InputError: If SLURM would not take such a job, or its nodes cannot reach this machine.
    """
    from dask_jobqueue.slurm import SLURMCluster

    logs = folder / _LOGS
    output = "--output=" + quoted_pattern(logs, "job-%j.out")
    host = settings.host or host_for_nodes(settings.partition)
    logs.mkdir(exist_ok=True)
    paths = written_for_jobs(security, logs)

    class Cluster(SLURMCluster):
        """With certificates that stand in the job script as quoted paths; dask-jobqueue quotes nothing."""

        def _get_worker_security(self, security: Any) -> Any:
            return _Paths(paths)

    count = 1 if settings.workers is None else settings.workers
    gpus = [f"--gpus={settings.gpus}"] if settings.gpus else []
    resources = ["--resources", f"GPU={settings.gpus}"] if settings.gpus else []
    try:
        cluster: Any = Cluster(
            queue=settings.partition,
            cores=settings.threads,
            processes=1,
            memory=settings.memory or "2GiB",
            walltime=settings.walltime,
            job_extra_directives=[output, *gpus, *settings.directives],
            job_script_prologue=[*settings.prologue, *(f"export {name}={shlex.quote(value)}" for name, value in _EXPORTS.items())],
            worker_extra_args=["--preload", PRELOAD, *resources],
            scheduler_cls=guarded_scheduler(page),
            scheduler_options={"host": host, "dashboard_address": f"{host}:0", "http_prefix": page},
            local_directory=shlex.quote(str(logs)),
            python=shlex.quote(sys.executable),
            security=security,
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


class _Paths:
    """The certificates of a worker as words of a command line."""

    def __init__(self, paths: dict[str, str | None]) -> None:
        self._paths = paths

    def get_tls_config_for_role(self, role: str) -> dict[str, str | None]:
        """Returns them, whatever the role."""
        return self._paths


def forget_certificates(folder: Path) -> None:
    """Removes the certificates that `slurm` has written for its jobs."""
    forget_jobs(folder / _LOGS)


def quoted_pattern(folder: Path, name: str) -> str:
    """Returns a path, whose name is a pattern, as the value of a line `#SBATCH --output=`, where a percent sign begins a pattern.

    Raises:
        InputError: If SLURM has no way to write it: with a backslash in it nothing is replaced, and a line has an end.
    """
    text = str(folder)
    if "\\" in text or not text.isprintable():
        raise InputError(f"expected a folder without backslashes and line breaks for SLURM, got {text!r}: choose another --out")
    escaped = text.replace("%", "%%").replace('"', '\\"')
    return f'"{escaped}/{name}"'


def host_for_nodes(partition: str | None) -> str:
    """Returns the address of this machine on the way to SLURM's nodes; 127.0.0.1 if all of them are this machine.

    Raises:
        InputError: If SLURM does not say where its nodes are, or there is no way to them.
    """
    nodes = _asked("sinfo", "--noheader", "--Node", "--format=%o", *([f"--partition={partition}"] if partition else []))
    away = [node for node in dict.fromkeys(nodes.split()) if not is_loopback(node)]
    if nodes.split() and not away:
        return LOOPBACK
    for node in away:
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.connect((node, _ANY_PORT))
                return str(probe.getsockname()[0])
        except OSError:
            continue
    raise InputError(
        'expected host = ".." in the engine section, the address of this machine as SLURM\'s nodes see it: it was not found'
    )


def jobs_awaited(numbers: list[str]) -> str:
    """Returns what SLURM says of these jobs, such as "2 PENDING (Resources)", or that it has none of them."""
    if not numbers:
        return "SLURM has taken no job of this sweep yet"
    try:
        said = _asked("squeue", "--noheader", f"--jobs={','.join(numbers)}", "--format=%T (%r)")
    except InputError as error:
        return str(error)
    states = said.splitlines()
    counts = {state: states.count(state) for state in dict.fromkeys(states)}
    return (
        ", ".join(f"{count} {state.replace(' (None)', '')}" for state, count in counts.items()) or "its jobs have ended: see logs/"
    )


def _asked(*command: str) -> str:
    """Returns what a command of SLURM prints.

    Raises:
        InputError: If there is none, or it fails.
    """
    return _ran(list(command), "SLURM does not say where its nodes and jobs are")


def _require_submission(script: str) -> None:
    """Asks SLURM whether it would take a job, without submitting it: later its answer would be heard by nobody."""
    _ran(["sbatch", "--test-only"], "SLURM does not take a job", script)


def _ran(command: list[str], refusal: str, given: str | None = None) -> str:
    try:
        asked = subprocess.run(command, input=given, capture_output=True, text=True, timeout=_PATIENCE)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"SLURM does not answer: {' '.join(command)} took more than {_PATIENCE:g} s") from error
    except OSError as error:
        raise InputError(f"expected SLURM's {command[0]} on this machine: {error.strerror}") from error
    if asked.returncode != 0:
        raise InputError(f"{refusal}: {' '.join(asked.stderr.split()) or f'{command[0]} says nothing'}"[:_LONGEST])
    return asked.stdout
