"""Where and how a sweep runs: the engine section of a grid. None of it changes a result."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from landscape.errors import InputError
from landscape.sweep.axis import CLOSED, Positive

_ADDRESS = re.compile(r"(?:tcp|tls)://(?:[\w.-]+|\[[0-9A-Fa-f:.]+(?:%\w+)?\]):([0-9]{1,5})", re.ASCII)
_MEMORY = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*(?:([kMGT])i?)?B")
_LARGEST_MEMORY = 2**60  # bytes; the system takes no limit beyond 2**63
PATTERNS = {  # the texts that a pattern accepts, in words
    "kind": "local, slurm or the address of a scheduler, tcp://HOST:PORT",
    "memory": "a size such as 2GiB",
    "device": "cpu or cuda",
    "walltime": "HH:MM:SS",
    "partition": "names of partitions, such as short or short,long",
    "directives": "lines for SLURM such as --exclusive, each one line that begins with a dash",
    "host": "an address or a name of this machine",
}


def _kind(text: str) -> str:
    found = _ADDRESS.fullmatch(text)
    if text not in ("local", "slurm") and not (found and 1 <= int(found[1]) <= 65535):
        raise ValueError(f"expected {PATTERNS['kind']}")
    return text


def _memory(text: str) -> str:
    found = _MEMORY.fullmatch(text)
    if not found or not 0 < float(found[1]) * 1024 ** " kMGT".index(found[2] or " ") <= _LARGEST_MEMORY:
        raise ValueError(f"expected {PATTERNS['memory']}")
    return text


@dataclass(frozen=True, config=CLOSED)
class EngineSettings:
    """Workers and their limits.

    Attributes:
        kind: "local", "slurm", or the address of a running scheduler, tcp://HOST:PORT.
        workers: Number of worker processes; 0 computes in this one; None is one per core, one per share of the devices with `gpus`,
            one under SLURM.
        threads: Threads of each worker's numerics; more than one is slower for matrices this small.
        memory: Memory of each worker, such as "2GiB"; None shares the machine's. Not kept where this process computes.
        gpus: Devices that a task needs of its worker; workers of `local` each see one of their own.
        device: Device where jobs are computed: cpu or cuda, chosen in the worker.
        timeout: Seconds after which a job counts as hanging.
        seconds: Seconds of work in one task, about; shorter tasks lose less to a killed worker, longer ones less to the engine.
        walltime: Time limit of a SLURM job, HH:MM:SS.
        partition: Partition that SLURM jobs are sent to.
        directives: More options for SLURM, such as "--exclusive".
        prologue: Lines that a shell runs before a SLURM worker starts, such as "module load python".
        host: Address of this machine where workers reach the scheduler of `local` and `slurm`; None is 127.0.0.1, under SLURM the
            address on the way to its nodes.
        tls: Paths of the certificate of the authority, of this node and of its key, for every connection; None is a temporary pair
            of this sweep's own, or nothing for a scheduler at tcp://.
    """

    kind: Annotated[str, AfterValidator(_kind)] = "local"
    workers: Annotated[int, Field(strict=True, ge=0, le=10_000)] | None = None
    threads: Annotated[int, Field(strict=True, ge=1, le=512)] = 1
    memory: Annotated[str, AfterValidator(_memory)] | None = None
    gpus: Annotated[int, Field(strict=True, ge=0, le=64)] = 0
    device: Annotated[str, Field(pattern=r"^(cpu|cuda)$")] = "cpu"
    timeout: Annotated[float, Field(strict=True, gt=0, le=1e9)] = 3600.0  # threads cannot wait for longer than 9e9
    seconds: Positive = 2.0
    walltime: Annotated[str, Field(pattern=r"^([0-9]+-)?[0-9]{1,2}:[0-9]{2}:[0-9]{2}$")] = "01:00:00"
    partition: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.][A-Za-z0-9_.,-]{0,254}$")] | None = None
    directives: tuple[Annotated[str, Field(pattern=r"^-[^\x00-\x1f\x7f]{1,999}$")], ...] = ()
    prologue: tuple[str, ...] = ()
    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:\[\]%-]{1,255}$")] | None = None
    tls: tuple[str, str, str] | None = None


def overridden(given: EngineSettings, *, engine: str | None = None, **options: Any) -> EngineSettings:
    """Returns the settings with those options in their place that are not None; `engine` is the kind.

    Raises:
        InputError: If an option is out of range.
    """
    wanted = {name: value for name, value in {"kind": engine, **options}.items() if value is not None}
    try:
        return TypeAdapter(EngineSettings).validate_python({**vars(given), **wanted})
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        name = str(fault["loc"][0])
        words = PATTERNS.get(name, fault["msg"].removeprefix("Input should be "))
        raise InputError(f"expected {words} as --{'engine' if name == 'kind' else name}, got {fault['input']!r}") from error
