"""What the same command costs again where everything is done: a folder of many records, with its index and without.

    OMP_NUM_THREADS=1 MKL_CBWR=AVX2 python benchmarks/rerun.py [--jobs 100000] [--again 3] [--results] [--folder DIR]

Makes the folder with records of jobs that did nothing, without workers. Then a process of its own runs the sweep again: once as it
was before there was an index, which makes one, and some times with it. With --results `landscape results` reads the folder too.
Prints wall and CPU seconds and the memory at the peak.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from landscape.archive.records import Archive
from landscape.seal import METADATA_KEY, sealed
from landscape.sweep.grid import parse_grid
from landscape.sweep.run import run_sweep


def once(fields: dict[str, Any], folder: Path) -> str:
    """Runs the sweep again in this process, and returns what that took, the start of Python with it."""
    begin = time.perf_counter()
    done = run_sweep(parse_grid(fields), folder)
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert peak is not None
    took = {"found": done.found, "wall": time.perf_counter() - begin, "cpu": time.process_time(), "MiB": int(peak[1]) / 1024}
    return json.dumps(took)


def fill(fields: dict[str, Any], folder: Path) -> None:
    """Writes a sound record for every job, as a worker would, but without syncs: only their number and size matter."""
    from safetensors.torch import save

    from landscape.studies.ends import EndPoint, packed

    archive = Archive.create(folder)
    end = EndPoint(0, "DNC", 3, 1.0, 0.0, "CONVERGED", 1, 1, 0, 1, 1, (1.0,), ())
    header, arrays = packed(end, None, 0.1, "cpu")
    for job in parse_grid(fields).jobs():
        path = archive.path(job.digest)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(save(arrays, metadata={METADATA_KEY: sealed({**header, "job": job.identity})}))


def again(fields: dict[str, Any], folder: Path) -> str:
    """Does so in a process of its own."""
    command = [sys.executable, __file__, "--once", json.dumps(fields), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def results(folder: Path) -> str:
    """Reads all records into a table by the command, and returns what that took, the start of Python with it."""
    begin = time.perf_counter()
    table = folder.with_name("results.csv")
    command = [sys.executable, "-m", "landscape", "results", str(folder), "--format", "csv", "--out", str(table)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"error: landscape results ended with {process.returncode}")
    took = {"wall": time.perf_counter() - begin, "cpu": used.ru_utime + used.ru_stime, "MiB": used.ru_maxrss / 1024}
    return json.dumps(took)


def main() -> None:
    """Prints a line for each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--again", type=int, default=3, help="runs with an index")
    parser.add_argument("--results", action="store_true", help="read the folder with `landscape results` too")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--once", nargs=2, metavar=("GRID", "DIR"), help="run one sweep again, the grid as JSON")
    options = parser.parse_args()
    if options.once:
        print(once(json.loads(options.once[0]), Path(options.once[1])))
        return
    problem = {"classes": 4, "samples": 1, "width": [4, 5, 6, 7, 8], "depth": [1, 2], "decay": 3e-2}
    fields: dict[str, Any] = {"problem": problem, "start": {"seed": {"from": 0, "to": options.jobs // 10 - 1}}}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name) / "sweep"
        begin, before = time.perf_counter(), time.process_time()
        fill(fields, folder)
        took = {"jobs": options.jobs, "wall": time.perf_counter() - begin, "cpu": time.process_time() - before}
        print("made            ", json.dumps(took), flush=True)
        print("without an index", again(fields, folder), flush=True)
        for _ in range(options.again):
            print("with an index   ", again(fields, folder), flush=True)
        if options.results:
            print("results         ", results(folder), flush=True)


if __name__ == "__main__":
    main()
