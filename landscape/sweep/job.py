"""One job of a sweep as a value, and its identity: the digest of everything that its result depends on."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from landscape.seal import digest_of

NUMERICS = 1  # raised by whoever changes the code so that a job gives other numbers: all records are then computed anew
DTYPE = "float64"
RANDOM = "random"
METHOD_DEFAULTS: dict[str, dict[str, float]] = {  # of this version of the numerics; their owner loads torch
    "ptc": {"max_steps": 5_000, "handover": 1e-10},
    "gd": {"learning_rate": 0.5, "max_steps": 2_000_000, "handover": 1e-10},
}

MethodName = Literal["ptc", "gd"]
AnalysisName = Literal["auto", "reduction"]


@dataclass(frozen=True)
class Job:
    """A start of a problem, followed to a critical point and analysed; or a known structure, analysed where it is.

    What does not matter for the result is None, so that equal jobs have one identity: a known structure has no seed, scales or
    method. Settings of the method that are None are its own defaults.

    Attributes:
        class_sizes: Samples of each class.
        width: d.
        depth: L.
        decay: lambda, one for all factors or one per factor (H_1, W_1, .., W_L).
        loss: "ce" or "mse".
        activation: "linear" or "relu".
        start: "random", or a structure as typed: dnc, pairs, apex, partition:6,2,2, blocks:polygon5+3+2.
        seed: Of a random start.
        scales: Of a random start: weights, features.
        root: Of a structure: "large" or "small".
        method: What follows a random start.
        learning_rate: Of gd.
        max_steps: Of the method.
        handover: Gradient norm where Newton's polish takes over.
        analysis: How the zeros are counted: "reduction" alone, or "auto", which takes a second route.
    """

    class_sizes: tuple[int, ...]
    width: int
    depth: int
    decay: float | tuple[float, ...]
    loss: str = "ce"
    activation: str = "linear"
    start: str = RANDOM
    seed: int | None = 0
    scales: tuple[float, float] | None = (1.0, 1.0)
    root: str | None = None
    method: MethodName | None = "ptc"
    learning_rate: float | None = None
    max_steps: int | None = None
    handover: float | None = None
    analysis: AnalysisName = "reduction"

    @property
    def is_random(self) -> bool:
        """Whether it is solved, from a random start."""
        return self.start == RANDOM

    @property
    def canonical(self) -> "Job":
        """The job without what does not matter for its result, and what can be said in several ways in one of them.

        One layer has nothing to rectify; equal decays of all factors are one; classes of one size can be partitioned in any order.
        """
        changes: dict[str, Any] = {"root": None}
        if self.depth == 1:
            changes["activation"] = "linear"
        elif self.activation != "linear":
            changes["analysis"] = "auto"  # the reduction is for linear models
        if isinstance(self.decay, tuple) and len(self.decay) == self.depth + 1 and len(set(self.decay)) == 1:
            changes["decay"] = self.decay[0]
        if self.is_random:
            defaults = METHOD_DEFAULTS[self.method or "ptc"]
            for name in ("learning_rate", "max_steps", "handover"):
                value = getattr(self, name)
                changes[name] = value if name in defaults and value != defaults[name] else None
        else:
            changes |= dict.fromkeys(("seed", "scales", "method", "learning_rate", "max_steps", "handover"))
            changes["root"] = None if self.start == "apex" else self.root or "large"
            changes["start"] = _in_order(self.start) if len(set(self.class_sizes)) == 1 else self.start
        return replace(self, **changes)

    @property
    def family(self) -> "Job":
        """The job without its seed: jobs of one family can be solved as one batch."""
        return replace(self, seed=None)

    @property
    def parameters(self) -> int:
        """P, the number of parameters of the problem."""
        return self.width * (sum(self.class_sizes) + (self.depth - 1) * self.width + len(self.class_sizes))

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that the result depends on, as JSON."""
        return {
            "numerics": NUMERICS,
            "dtype": DTYPE,
            "problem": {
                "class_sizes": list(self.class_sizes),
                "width": self.width,
                "depth": self.depth,
                "decay": list(self.decay) if isinstance(self.decay, tuple) else self.decay,
                "loss": self.loss,
                "activation": self.activation,
            },
            "start": _given(kind=self.start, seed=self.seed, scales=self.scales and list(self.scales), root=self.root),
            "method": _given(name=self.method, learning_rate=self.learning_rate, max_steps=self.max_steps, handover=self.handover),
            "analysis": {"method": self.analysis},
        }

    @cached_property
    def digest(self) -> str:
        """The name of the record, 64 hexadecimal digits."""
        return digest_of(self.identity)

    def __str__(self) -> str:
        sizes = ",".join(map(str, self.class_sizes))
        decay = ",".join(f"{value:g}" for value in self.decay) if isinstance(self.decay, tuple) else f"{self.decay:g}"
        start = f"{self.start} seed={self.seed} {self.method}" if self.is_random else f"{self.start} {self.root or ''}".rstrip()
        return f"sizes={sizes} d={self.width} L={self.depth} decay={decay} {self.loss} {self.activation} {start}"


def _given(**settings: Any) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def _in_order(start: str) -> str:
    """Returns a start with the groups of a partition from large to small."""
    kind, _, groups = start.partition(":")
    ordered = sorted(groups.split(","), key=lambda size: (len(size), size), reverse=True)  # digits, however many
    return f"{kind}:{','.join(ordered)}" if kind == "partition" else start
