"""What keeps one job from spoiling the others: limits of time and memory, one thread, products that do not depend on the batch."""

import ctypes
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # MKL rounds a product by where its operands lie in memory, and in a batch that depends on the neighbours; this makes it not
    "MKL_CBWR": "AVX2",
}
_GRACE = 5.0  # seconds that a job has to hear that its time is over; then its process ends
HUNG = 75  # exit code of a worker that ended itself


class JobTimeout(Exception):
    """A job took longer than its limit."""


def prepare(threads: int, memory: int | None) -> None:
    """Sets the threads of torch, and the memory above which an allocation fails instead of the machine."""
    import torch

    torch.set_num_threads(threads)
    if memory is not None:
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
        if soft != wanted:
            resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


def products_are_alike() -> bool:
    """Whether a product of matrices in a batch is that of the matrices alone, bit for bit, in this process.

    It is not where MKL was used before `MKL_CBWR` was set; matrices with an odd number of entries then lie at two alignments.
    """
    import torch

    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(16, 9, 9, dtype=torch.float64, generator=generator) for _ in range(2))
    both = left @ right
    return all(torch.equal(left[index].clone() @ right[index].clone(), both[index]) for index in range(16))


@contextmanager
def time_limit(seconds: float, last: Callable[[], object]) -> Iterator[None]:
    """Raises `JobTimeout` in the calling thread where the block takes longer; a process that does not hear it ends itself.

    Python code hears it between two instructions. A call that never returns does not, so a worker ends after a grace period: its
    nanny starts another one, and the engine runs the task again, which is then cut into single jobs.

    Args:
        seconds: Of the block.
        last: Called before the process ends, from another thread.
    """
    thread, over, lock, state = threading.get_ident(), threading.Event(), threading.Lock(), {"fired": False}

    def watch() -> None:
        if over.wait(seconds):
            return
        with lock:
            if over.is_set():
                return
            state["fired"] = True
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(JobTimeout))
        if not over.wait(_GRACE):
            try:
                last()
            finally:
                os._exit(HUNG)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        with lock:
            over.set()
        if state["fired"]:
            _hear()


def _hear() -> None:
    """Takes an exception that was sent and has not arrived yet, so that it does not arrive later."""
    deadline = time.monotonic() + 0.1
    try:
        while time.monotonic() < deadline:
            time.sleep(0.001)
    except JobTimeout:
        pass
