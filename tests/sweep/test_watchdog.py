"""What ends a job that takes too long, and what it must not end."""

import resource
import subprocess
import sys
from pathlib import Path

from landscape.sweep.watchdog import HUNG, prepare

ROOT = Path(__file__).resolve().parents[2]

# calls that take as long as they may, give or take: the end of a call and its time limit meet at every instruction between them
CLOSE = """
import sys
import time
from landscape.sweep.watchdog import JobTimeout, limited
sys.setswitchinterval(1e-5)  # of threads: 5 ms is more than a call takes
late = 0
def call(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
    return seconds
for turn in range(400):
    wanted = 2e-3 + (turn % 40 - 20) * 1e-5
    try:
        assert limited(lambda: call(wanted), 2e-3, lambda: print("ended")) == wanted
    except JobTimeout:
        late += 1
time.sleep(5.5)
print(0 < late < 400)
"""

DEAF = """
import os
from landscape.sweep.watchdog import limited
limited(lambda: os.read(os.pipe()[0], 1), 0.1, lambda: print("ended", flush=True))
"""


def run(program: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_a_call_that_ends_at_its_limit_ends_well_or_late_and_never_its_process() -> None:
    done = run(CLOSE)
    assert (done.stdout, done.stderr, done.returncode) == ("True\n", "", 0)


def test_a_call_that_never_returns_ends_its_process() -> None:
    done = run(DEAF)
    assert (done.stdout, done.returncode) == ("ended\n", HUNG)


def test_the_memory_of_one_sweep_is_not_that_of_the_next() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    prepare(1, 1 << 40)
    assert resource.getrlimit(resource.RLIMIT_DATA)[0] == 1 << 40
    prepare(1, None)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
