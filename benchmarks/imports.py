"""What `import landscape` costs beside an empty interpreter, and what the first use of a name adds: medians in milliseconds."""

import statistics
import subprocess
import sys
import time

RUNS = 7
PROGRAMS = {
    "an empty interpreter": "pass",
    "import landscape as ls": "import landscape as ls",
    "ls.Problem (no numpy, no torch)": "import landscape as ls; ls.Problem",
    "import torch": "import torch",
    "ls.analyse (with torch)": "import landscape as ls; ls.analyse",
}


def milliseconds(program: str, runs: int = RUNS) -> float:
    """Returns the median wall time of a program in a fresh interpreter."""
    times = []
    for _ in range(runs):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", program], check=True)
        times.append(1e3 * (time.perf_counter() - begun))
    return statistics.median(times)


if __name__ == "__main__":
    for name, program in PROGRAMS.items():
        print(f"{name:<34}{milliseconds(program):8.0f} ms")
