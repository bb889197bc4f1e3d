"""How much memory a method may use when its settings name no bound."""

import os
from pathlib import Path

import torch

from landscape.errors import InputError

SHARE = 0.5  # of the memory of the device: the rest is for the data, the module and everybody else
_GROUP = Path("/sys/fs/cgroup/memory.max")  # the bound of the container, "max" where there is none


def default_bound(device: torch.device) -> float:
    """Returns half of the memory of a device, in bytes: of the machine or its container for the CPU, of the card for CUDA."""
    if device.type == "cuda":
        return SHARE * torch.cuda.mem_get_info(device)[1]
    return SHARE * _machine()


def _machine() -> float:
    """Returns the bytes of the machine, or fewer where its container grants fewer."""
    physical = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    try:
        granted = _GROUP.read_text().strip()
    except OSError:
        return physical
    return min(physical, float(granted)) if granted.isdigit() else physical


def require_room(needed: float, device: torch.device, remedy: str, bound: float | None = None) -> None:
    """Refuses what needs more memory than a bound allows, before anything is allocated.

    Args:
        needed: Predicted bytes.
        device: Where they would be allocated.
        remedy: What to do instead; ends the message.
        bound: Bytes that may be used; None for half of the device's memory.

    Raises:
        InputError: If more is needed, or the prediction is not a number.
    """
    allowed = default_bound(device) if bound is None else bound
    if not needed <= allowed:
        raise InputError(f"expected to need at most {allowed / 1e9:.3g} GB of memory, got {needed / 1e9:.3g} GB: {remedy}")
