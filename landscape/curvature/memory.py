"""How much memory a method may use when its settings name no bound."""

import torch

from landscape.errors import InputError
from landscape.memory import allowed_memory

SHARE = 0.5  # of the memory of the device: the rest is for the data, the module and everybody else


def default_bound(device: torch.device) -> float:
    """Returns the bytes that may be taken of a device: half of the card for CUDA, what `landscape.memory` allows of main memory."""
    if device.type == "cuda":
        return SHARE * torch.cuda.mem_get_info(device)[1]
    return allowed_memory()


def require_room(needed: float, device: torch.device, remedy: str, bound: float | None = None) -> None:
    """Refuses what needs more memory than a bound allows, before anything is allocated.

    Args:
        needed: Predicted need, in bytes.
        device: Where they would be allocated.
        remedy: What to do instead; ends the message.
        bound: Bytes that may be used; None for half of the device's memory.

    Raises:
        InputError: If more is needed, or the prediction is not a number.
    """
    allowed = default_bound(device) if bound is None else bound
    if not needed <= allowed:
        raise InputError(f"expected to need at most {allowed / 1e9:.3g} GB of memory, got {needed / 1e9:.3g} GB: {remedy}")
