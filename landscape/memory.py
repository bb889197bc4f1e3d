"""How much memory may be taken, and the refusal of work that needs more. Asked before the work, so that no machine is filled.

Half of the machine's memory may be taken, unless the environment variable `LANDSCAPE_MEMORY` (a size such as 20GB) says otherwise.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from landscape.errors import InputError

VARIABLE = "LANDSCAPE_MEMORY"
_UNKNOWN = 8e9  # bytes, where the machine does not say
_CONTAINER = Path("/sys/fs/cgroup/memory.max")
_SIZE = re.compile(r"\s*(\d+(?:\.\d*)?)\s*([kMGT]?)(i?)B?\s*")


def allowed_memory(environment: Mapping[str, str] | None = None) -> float:
    """Returns the bytes of main memory that may be taken: half of the machine's, or of the container's, unless told.

    Raises:
        InputError: If `LANDSCAPE_MEMORY` is no size.
    """
    told = (os.environ if environment is None else environment).get(VARIABLE)
    if told is not None:
        found = _SIZE.fullmatch(told)
        if not found or not float(found[1]) > 0:
            raise InputError(f"expected {VARIABLE} to be a size such as 20GB, got {told[:40]!r}")
        return float(found[1]) * (1024.0 if found[3] else 1000.0) ** " kMGT".index(found[2] or " ")
    try:
        machine = float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        machine = _UNKNOWN
    return 0.5 * min(machine, _container())


def require_memory(needed: float, purpose: str, remedy: str, allowed: float | None = None) -> None:
    """Refuses work that needs more than may be taken.

    Args:
        needed: Bytes at the peak, predicted from the sizes.
        purpose: What takes them, for the error: "descent by ptc on 9100 parameters".
        remedy: What to do, in words that name options.
        allowed: Bytes that may be taken; None for `allowed_memory`.

    Raises:
        InputError: If more is needed.
    """
    allowed = allowed_memory() if allowed is None else allowed
    if not needed <= allowed:
        raise InputError(
            f"expected work within {allowed / 1e9:.3g} GB of memory, got {purpose}, which takes about {needed / 1e9:.3g} GB: "
            f"{remedy}, or set {VARIABLE}"
        )


def _container() -> float:
    try:
        return float(_CONTAINER.read_text())
    except (OSError, ValueError):  # no container, or "max"
        return float("inf")
