"""Structures as one line of text, read and written; ranges and scales as typed. Nothing is evaluated."""

from landscape.errors import InputError
from landscape.numbers import parse_number
from landscape.structures.kinds import Modes, Root, Structure, Unnamed
from landscape.structures.names import parse

_LONGEST_RANGE = 20_000  # whole numbers in one range; a table of more is refused anyway


def parse_range(text: str, name: str, steps: int | None = None) -> list[float]:
    """Reads one number, or `low:high` as the values from one to the other.

    Args:
        text: What was typed.
        name: Name of the setting, for the error.
        steps: How many values, in equal steps of the logarithm; None takes every whole number.

    Raises:
        InputError: If an end is not a positive (whole) number, or the ends are not in order.
    """
    wanted = f"{name} as a number or a range " + ("2:30" if steps is None else "1e-5:0.1")
    ends = [parse_number(part, wanted) for part in text.split(":")]
    if len(ends) > 2 or not 0 < ends[0] <= ends[-1] or (steps is None and not all(end.is_integer() for end in ends)):
        raise InputError(f"expected {wanted}, from small to large, got {text!r}")
    if steps is None:
        if ends[-1] - ends[0] >= _LONGEST_RANGE:
            raise InputError(f"expected at most {_LONGEST_RANGE} values of {name}, got {text!r}")
        return [float(value) for value in range(int(ends[0]), int(ends[-1]) + 1)]
    if len(ends) == 1:
        return ends
    ratio = ends[1] / ends[0]
    return [ends[0] * ratio ** (i / (steps - 1)) for i in range(steps)]


def parse_steps(text: str) -> int:
    """Reads the number of values in a range, at least 2."""
    steps = _whole(text, "the number of steps")
    if steps < 2:
        raise InputError(f"expected at least 2 steps, got {text}")
    return steps


def parse_scales(text: str) -> tuple[float, float]:
    """Reads the two initial scales `c_W,c_H`."""
    parts = [parse_number(part, "two scales c_W,c_H such as 1,0.1") for part in text.split(",")]
    if len(parts) != 2 or min(parts) < 0:
        raise InputError(f"expected two scales c_W,c_H >= 0 such as 1,0.1, got {text!r}")
    return parts[0], parts[1]


def parse_structure(text: str, root: Root = "large") -> Structure:
    """Reads a structure that has a closed form: `DNC`, `pairs`, `apex`, `zero`, `partition:6,2,2` or `blocks:polygon5+3+2`.

    Args:
        text: A printed name, as `landscape.structures.names.name` writes it.
        root: Root of the groups that are not marked `-small`.

    Raises:
        InputError: If the text is no name, or that of a point without a closed form.
    """
    kind = parse(text, root)
    if isinstance(kind, Modes | Unnamed):
        raise InputError(f"expected a structure with a closed form, got {text!r}: it says too little to write a point")
    return kind


def _whole(text: str | None, name: str) -> int:
    try:
        return int(text or "")
    except ValueError:
        raise InputError(f"expected {name} to be a whole number, got {text!r}") from None
