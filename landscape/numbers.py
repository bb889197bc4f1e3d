"""Numbers as users type them: decays and class sizes. Imports nothing heavy, so that a grid is read without torch."""

import re

from landscape.errors import InputError

_NUMBER = r"[+-]?(?:\d++\.?\d*+|\.\d++)(?:[eE][+-]?\d++)?"  # possessive: no backtracking, however long the text
_POWER = re.compile(rf"\s*({_NUMBER})\s*(?:\*\*|\^)\s*({_NUMBER})\s*")


def parse_decay(text: str) -> float | tuple[float, ...]:
    """Reads `2**-10`, `1e-3`, or one decay per factor (H_1, W_1, .., W_L) separated by commas or colons."""
    parts = [parse_number(part, "a decay such as 2**-10 or 1e-3") for part in re.split("[,:]", text)]
    return parts[0] if len(parts) == 1 else tuple(parts)


def parse_number(text: str, expected: str) -> float:
    """Reads a number or a power of two numbers; nothing is evaluated.

    Raises:
        InputError: If it is neither, or not finite.
    """
    try:
        power = _POWER.fullmatch(text)
        value = float(power[1]) ** float(power[2]) if power else float(text)
        if isinstance(value, float) and abs(value) < float("inf"):
            return value
    except (ValueError, OverflowError, ZeroDivisionError):
        pass
    raise InputError(f"expected {expected}, got {text!r}")


def parse_sizes(text: str) -> tuple[int, ...]:
    """Reads class sizes or groups such as `4,1,2` (or with colons)."""
    try:
        return tuple(int(part) for part in re.split("[,:]", text))
    except ValueError:
        raise InputError(f"expected whole numbers separated by commas, got {text!r}") from None
