"""What may stand for a setting in a grid: one value, a list, or a range; read as the tuple of its values."""

import math
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

LARGEST = 1_000_000  # jobs of a sweep, and values of one setting: their list fits in memory, their records on a disk
# far above what is of use, and within what the numerics can count
MOST_CLASSES, MOST_SAMPLES, _MOST = 10_000, 10_000_000, 1_000_000_000
_FARTHEST = 1e300  # ends of a range: their difference does not overflow
_COUNTED = 1e15  # values of a range that is refused for its count, up to which the count is exact
CLOSED = ConfigDict(extra="forbid", allow_inf_nan=False)  # numbers are strict one by one: strict records would refuse tables

_RANGE = "expected a range such as {from = 6, to = 12, step = 2}, or {from = 1e-3, to = 1e-1, steps = 5} in equal ratios"


@dataclass(frozen=True, config=CLOSED)
class Range:
    """Values from one to another, both included: in equal differences (`step`) or in equal ratios (`steps` values).

    Attributes:
        low: First value, which is included.
        high: Last value, which is included.
        step: Difference of neighbouring values; None for equal ratios.
        steps: Number of values in equal ratios; None for equal differences.
    """

    low: int | float
    high: int | float
    step: int | float | None = None
    steps: int | None = None

    @property
    def count(self) -> int:
        """How many values there are, without making them."""
        return self.steps if self.steps is not None else math.floor((self.high - self.low) / (self.step or 1) + 1e-9) + 1

    def values(self) -> list[int | float]:
        """Returns them from low to high."""
        if self.steps is None:
            return [self.low + index * (self.step or 1) for index in range(self.count)]
        ratio = (self.high / self.low) ** (1 / max(self.steps - 1, 1))
        return [self.low, *(self.low * ratio**index for index in range(1, self.steps - 1)), *[self.high][: self.steps - 1]]


def read_range(given: dict[str, Any]) -> Range:
    """Reads a range, and refuses one that cannot be counted.

    Raises:
        ValueError: If it is not a range of the two kinds, or has more than `LARGEST` values.
    """
    if not all(type(value) in (int, float) and abs(value) <= _FARTHEST for value in given.values()):
        raise ValueError(_RANGE)
    if not {"from", "to"} <= set(given) <= {"from", "to", "step", "steps"} or {"step", "steps"} <= set(given):
        raise ValueError(_RANGE)
    if type(given.get("steps", 1)) is not int:
        raise ValueError(f"{_RANGE}: steps is a whole number")
    found = Range(given["from"], given["to"], given.get("step"), given.get("steps"))
    if found.low > found.high or (found.step is not None and found.step <= 0):
        raise ValueError(f"{_RANGE}, from small to large: it has no value")
    if found.steps is not None and (found.low <= 0 or found.steps < 1 or found.high / found.low > _FARTHEST):
        raise ValueError(f"{_RANGE}, with from > 0, steps >= 1 and a ratio that is a number")
    if (found.steps or (found.high - found.low) / (found.step or 1)) > _COUNTED:
        raise ValueError(f"expected at most {LARGEST} values, got a range of over {_COUNTED:g}")
    if found.count > LARGEST:
        raise ValueError(f"expected at most {LARGEST} values, got a range of {found.count}")
    return found


def values_of(given: Any) -> tuple[Any, ...]:
    """Returns the values of a setting.

    Raises:
        ValueError: If there are none, or too many.
    """
    if isinstance(given, dict):
        return tuple(read_range(given).values())
    values = tuple(given) if isinstance(given, list | tuple) else (given,)
    if not values:
        raise ValueError("expected at least one value")
    if len(values) > LARGEST:
        raise ValueError(f"expected at most {LARGEST} values, got {len(values)}")
    return values


Classes = Annotated[int, Field(strict=True, ge=2, le=MOST_CLASSES)]
Samples = Annotated[int, Field(strict=True, ge=1, le=MOST_SAMPLES)]
Width = Annotated[int, Field(strict=True, ge=1, le=_MOST)]
Depth = Annotated[int, Field(strict=True, ge=1, le=1_000)]  # as `problem.DEEPEST`, which needs torch
Steps = Annotated[int, Field(strict=True, ge=1, le=_MOST)]
Positive = Annotated[float, Field(strict=True, gt=0)]
Scale = Annotated[float, Field(strict=True, ge=0)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
Axis = BeforeValidator(values_of)
