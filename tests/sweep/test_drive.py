"""What a sweep costs before it computes anything."""

import subprocess
import sys


def test_torch_is_not_loaded_before_there_is_something_to_compute():
    """It takes seconds, which a finished sweep does not have."""
    program = "import sys, landscape.sweep.drive, landscape.sweep.results; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
