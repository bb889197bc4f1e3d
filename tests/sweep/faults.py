"""Jobs that end otherwise than the solver's: at once, by an error, never, without memory, without a number, with their process."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from landscape.archive.experiment import Experiment
from landscape.studies.ends import EndPoint
from landscape.sweep.worker import compute  # noqa: F401 (the solver's own, under a name like the others)

Found = Iterator[tuple[Experiment, EndPoint, None]]


def end_of(job: Experiment, loss: float | None = 1.0) -> EndPoint:
    return EndPoint(job.seed or 0, "DNC", 3, loss, 0.0, "CONVERGED", 1, 1, 0, 1, 1, (1.0,), ((0, 2.0, 1.0, 3), (1, 1.0, 0.0, 3)))


def nothing(jobs: tuple[Experiment, ...], device: str, size: int | None) -> Found:
    """Every job ends at once."""
    for job in jobs:
        yield job, end_of(job), None


def mixed(jobs: tuple[Experiment, ...], device: str, size: int | None) -> Found:
    """Seed 1 raises, 2 hangs in Python, 3 has no memory, 4 has no loss; the others end."""
    for job in jobs:
        match job.seed:
            case 1:
                raise ZeroDivisionError("division by zero")
            case 2:
                while True:
                    time.sleep(0.01)
            case 3:
                raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")
            case 4:
                yield job, end_of(job, None), None
            case _:
                yield job, end_of(job), None


def deadly(jobs: tuple[Experiment, ...], device: str, size: int | None) -> Found:
    """Seed 2 ends its process, as a crash in a library does; the others end."""
    for job in jobs:
        if job.seed == 2:
            os._exit(1)
        yield job, end_of(job), None


def deaf(jobs: tuple[Experiment, ...], device: str, size: int | None) -> Found:
    """Seed 2 never returns to Python; the others end."""
    for job in jobs:
        if job.seed == 2:
            os.read(os.pipe()[0], 1)
        yield job, end_of(job), None


def greedy(jobs: tuple[Experiment, ...], device: str, size: int | None) -> Found:
    """Seed 2 wants a terabyte; the others end."""
    for job in jobs:
        if job.seed == 2:
            torch.ones(1 << 37, dtype=torch.float64)
        yield job, end_of(job), None


def crowded(jobs: tuple[Experiment, ...], device: str, size: int | None) -> Found:
    """There is memory for one job at a time."""
    if len(jobs) > 1:
        raise MemoryError
    yield from nothing(jobs, device, size)


def halved(jobs: tuple[Experiment, ...], device: str, size: int | None) -> Found:
    """There is memory for half of six jobs at a time, and the structure says how many there were."""
    if size is None or size > 3:
        raise MemoryError
    for job in jobs:
        yield job, replace(end_of(job), structure=f"{size} at once"), None


def slow(jobs: tuple[Experiment, ...], device: str, size: int | None) -> Found:
    """Half a second each."""
    for job in jobs:
        time.sleep(0.5)
        yield job, end_of(job), None


def endless(jobs: tuple[Experiment, ...], device: str, size: int | None) -> Found:
    """Never ends, and says by a file that it has begun."""
    Path(os.environ["BEGUN"]).touch()
    while True:
        time.sleep(0.05)
    yield from ()


def seen_devices(jobs: tuple[Experiment, ...], device: str, size: int | None) -> Found:
    """The structure is named after the devices that the worker sees."""
    for job in jobs:
        time.sleep(0.3)
        yield job, replace(end_of(job), structure=f"devices {os.environ['CUDA_VISIBLE_DEVICES']}"), None
