"""What keeps one job from spoiling the others: limits of time and memory, one thread, products that do not depend on the batch."""

import ctypes
import os
import resource
import threading
from collections.abc import Callable
from functools import cache
from typing import TypeVar

T = TypeVar("T")

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # MKL rounds a product by where its operands lie in memory, and in a batch that depends on the neighbours; this makes it not
    "MKL_CBWR": "AVX2",
}
_GRACE = 5.0  # seconds that a job has to hear that its time is over; then its process ends
HUNG = 75  # exit code of a worker that ended itself


class JobTimeout(BaseException):
    """A job took longer than its limit; no code on the way may take it for a failure of its own."""


def prepare(threads: int, memory: int | None) -> None:
    """Sets the threads of torch, and the memory above which an allocation fails instead of the machine."""
    import torch

    torch.set_num_threads(threads)
    before, (soft, hard) = _own_limit(), resource.getrlimit(resource.RLIMIT_DATA)
    wanted = before if memory is None else memory if hard == resource.RLIM_INFINITY else min(memory, hard)
    if soft != wanted:
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


@cache
def _own_limit() -> int:
    """What this process had before any sweep: a worker may serve another one next."""
    return resource.getrlimit(resource.RLIMIT_DATA)[0]


def products_are_alike() -> bool:
    """Whether a product of matrices in a batch is that of the matrices alone, bit for bit, in this process.

    It is not where MKL was used before `MKL_CBWR` was set; matrices with an odd number of entries then lie at two alignments.
    """
    import torch

    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(16, 9, 9, dtype=torch.float64, generator=generator) for _ in range(2))
    both = left @ right
    return all(torch.equal(left[index].clone() @ right[index].clone(), both[index]) for index in range(16))


def limited(call: Callable[[], T], seconds: float, last: Callable[[], object]) -> T:
    """Returns what a call returns, or raises `JobTimeout` where it takes longer; a process that does not hear it ends itself.

    Python code hears it between two instructions. A call that never returns to Python does not, so its process ends after a grace
    period: a worker's nanny starts another one, and the engine runs the task again.

    Args:
        call: In this thread.
        seconds: Time that the job may take, in seconds.
        last: Called before the process ends, from another thread.
    """
    thread, send = ctypes.c_ulong(threading.get_ident()), ctypes.pythonapi.PyThreadState_SetAsyncExc
    # bare locks, whose methods are one instruction each: an Event that is interrupted while it is set stays locked
    running, gate, fired = threading.Lock(), threading.Lock(), list[bool]()
    running.acquire()

    def watch() -> None:
        if running.acquire(timeout=seconds) or not gate.acquire(blocking=False):
            return
        fired.append(True)
        send(thread, ctypes.py_object(JobTimeout))
        gate.release()
        if not running.acquire(timeout=_GRACE):
            try:
                last()
            finally:
                os._exit(HUNG)

    try:
        try:
            threading.Thread(target=watch, daemon=True).start()
            return call()
        finally:
            gate.acquire()
            running.release()
            if fired:
                send(thread, None)  # takes back what has been sent and not heard, so that it is not heard later
    except JobTimeout:
        if running.locked():  # it was heard before the line that says so; it is heard once
            running.release()
        raise
