"""A critical point: where it is, the evidence that it is one, and where it came from; one file, readable without this package.

The file is safetensors: the factors H_1, W_1, .., W_L and the thinned record of the solve as float64 arrays, and one metadata
key, `landscape`, with canonical JSON (format, problem, evidence, origin, versions, sha256 of the arrays).
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from enum import Enum
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from landscape import __version__
from landscape.display import aligned, table
from landscape.errors import InputError
from landscape.objective import Objective
from landscape.problem import Problem
from landscape.store import replacing

FORMAT = 1
_METADATA_KEY = "landscape"
_TRACE_COLUMNS = ("steps", "loss", "gradient_norm")


class Outcome(Enum):
    """Why a solve stopped; the value says what to do next."""

    CONVERGED = "the gradient norm is below the tolerance"
    MAX_STEPS = "the steps ran out: continue with --start FILE and more --max-steps"
    STALLED = "no step lowers the loss any more: polish with newton, or accept the gradient norm (ReLU kinks stop here)"
    DIVERGED = "the loss is not finite: lower the learning rate or the initial scales"
    INTERRUPTED = "interrupted by hand: continue with --start FILE"
    GIVEN = "not solved here: imported or analytic, judged by the gradient norm alone"


@dataclass(frozen=True)
class Origin:
    """Where a point came from.

    Attributes:
        start: The starting point in words, or the file it was imported from.
        methods: What moved it, in order, with their settings.
        seed: Of the start or of the gauge; None where nothing was drawn.
        versions: Of what computed it.
    """

    start: str
    methods: tuple[str, ...] = ()
    seed: int | None = None
    versions: dict[str, str] = field(
        default_factory=lambda: {"landscape": __version__, "torch": version("torch"), "numpy": version("numpy")}
    )


@dataclass(frozen=True)
class CriticalPoint:
    """Parameters with the evidence of how critical they are.

    Attributes:
        problem: The model.
        theta: H_1, W_1, .., W_L, flattened row by row in that order.
        loss: With weight decay.
        gradient_norm: Euclidean, of the loss at theta; recomputed when the point is made or loaded.
        outcome: Why the solve stopped.
        steps: Steps of all methods together; a step of plain descent and one of Newton count alike.
        origin: Provenance.
        trace: Rows (steps, loss, gradient norm) along the way, thinned.
    """

    problem: Problem
    theta: Float[Tensor, " p"]
    loss: float
    gradient_norm: float
    outcome: Outcome
    steps: int
    origin: Origin
    trace: Float[Tensor, "t 3"]

    @classmethod
    def at(
        cls,
        problem: Problem,
        theta: Tensor,
        origin: Origin,
        outcome: Outcome = Outcome.GIVEN,
        steps: int = 0,
        trace: Tensor | None = None,
    ) -> "CriticalPoint":
        """Returns the point at `theta`, with loss and gradient norm evaluated there.

        Raises:
            InputError: If theta has another size than the problem, or it, its loss or its gradient is not finite.
        """
        if theta.shape != (problem.parameters,):
            raise InputError(f"expected {problem.parameters} parameters for the {problem}, got {tuple(theta.shape)}")
        if not bool(torch.isfinite(theta).all()):
            raise InputError(f"expected finite parameters, got {int((~torch.isfinite(theta)).sum())} that are NaN or infinite")
        loss, gradient = Objective.of(problem, theta).value_and_gradient(theta)
        value, norm = float(loss), float(gradient.norm())
        if not (math.isfinite(value) and math.isfinite(norm)):
            raise InputError(f"expected parameters of finite loss, got loss {value} and gradient norm {norm}: they are too large")
        rows = torch.zeros(0, 3, dtype=torch.float64) if trace is None else trace
        return cls(problem, theta, value, norm, outcome, steps, origin, rows)

    def rows(self) -> list[tuple[str, str]]:
        """Returns what the point is and where it came from, as name and value."""
        origin = self.origin
        return [
            ("problem", str(self.problem)),
            ("loss", repr(self.loss)),
            ("gradient norm", f"{self.gradient_norm:.1e}"),
            ("outcome", f"{self.outcome.name.lower()}: {self.outcome.value}"),
            ("steps", str(self.steps)),
            ("start", origin.start + ("" if origin.seed is None else f", seed {origin.seed}")),
            *(("method", method) for method in origin.methods),
            ("versions", ", ".join(f"{name} {number}" for name, number in origin.versions.items())),
            *(("array", f"{name} {tuple(factor.shape)} {factor.dtype}") for name, factor in self.factors().items()),
        ]

    def __repr__(self) -> str:
        evidence = f"loss {self.loss:.10f}, gradient norm {self.gradient_norm:.1e}, {self.outcome.name.lower()}"
        return f"CriticalPoint({self.problem}; {evidence})"

    def __str__(self) -> str:
        return aligned(self.rows())

    def _repr_html_(self) -> str:
        """What a notebook shows: the rows of `landscape show`."""
        return table(repr(self), self.rows())

    def factors(self) -> dict[str, Tensor]:
        """Returns the factors by name: H_1, W_1, .., W_L."""
        names = ["H_1", *(f"W_{index}" for index in range(1, self.problem.depth + 1))]
        return dict(zip(names, Objective.of(self.problem, self.theta).split(self.theta), strict=True))

    def contents(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Returns what a file of the point holds: the header, and the arrays whose checksum is in it."""
        arrays = {name: factor.detach().cpu().contiguous().clone() for name, factor in self.factors().items()}
        arrays["trace"] = self.trace.detach().cpu().contiguous().clone()
        header = {
            "format": FORMAT,
            "problem": self.problem.as_dict(),
            "evidence": {
                "loss": self.loss,
                "gradient_norm": self.gradient_norm,
                "outcome": self.outcome.name,
                "steps": self.steps,
            },
            "origin": asdict(self.origin),
            "trace_columns": _TRACE_COLUMNS,
            "sha256": arrays_digest(arrays),
        }
        return header, arrays

    def save(self, path: Path) -> None:
        """Writes the file, whole or not at all.

        Raises:
            InputError: If it cannot be written.
        """
        header, arrays = self.contents()
        with replacing(path) as temporary:
            try:
                save_file(arrays, temporary, metadata={_METADATA_KEY: _canonical(header)})
            except SafetensorError as error:  # safetensors reports a full disk and a missing folder in its own type
                raise InputError(f"cannot write {path}: {error}") from error

    @classmethod
    def load(cls, path: Path, device: str | torch.device = "cpu") -> "CriticalPoint":
        """Reads a file that `save` wrote.

        Raises:
            InputError: If it is missing, not such a file, damaged, or of another format version.
        """
        try:
            with safe_open(path, framework="pt") as handle:
                metadata = handle.metadata() or {}
                arrays = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118 (not a dict)
        except FileNotFoundError as error:
            raise InputError(f"no such file: {path}") from error
        except (SafetensorError, OSError) as error:
            raise InputError(f"expected a point saved by landscape, got a damaged or foreign file {path} ({error})") from error
        header = _header(metadata, path)
        foreign = sorted(name for name, array in arrays.items() if array.dtype not in (torch.float32, torch.float64))
        if foreign:
            raise InputError(f"expected float64 arrays in {path}, got {arrays[foreign[0]].dtype} in {foreign[0]}: it is damaged")
        if header["sha256"] != arrays_digest(arrays):
            raise InputError(f"the arrays of {path} do not match their checksum: the file is damaged")
        problem = Problem.from_dict(header["problem"])
        evidence, origin = header["evidence"], header["origin"]
        try:
            names = ["H_1", *(f"W_{index}" for index in range(1, problem.depth + 1))]
            shapes = tuple(tuple(arrays[name].shape) for name in names)
            if shapes != problem.shapes:
                raise InputError(f"expected factors of shapes {problem.shapes} in {path}, got {shapes}")
            if arrays["trace"].dim() != 2 or arrays["trace"].shape[1] != len(_TRACE_COLUMNS):
                raise InputError(f"expected a trace of {len(_TRACE_COLUMNS)} columns in {path}, got {tuple(arrays['trace'].shape)}")
            theta = torch.cat([arrays[name].flatten() for name in names]).to(device, torch.float64)
            return cls.at(
                problem,
                theta,
                Origin(origin["start"], tuple(origin["methods"]), origin["seed"], origin["versions"]),
                Outcome[evidence["outcome"]],
                evidence["steps"],
                arrays["trace"],
            )
        except KeyError as error:
            raise InputError(f"the file {path} has no {error}: it is damaged") from error


def _header(metadata: dict[str, str], path: Path) -> dict[str, Any]:
    if _METADATA_KEY not in metadata:
        raise InputError(f"expected a point saved by landscape, got other tensors in {path}: use landscape import")
    try:
        header = json.loads(metadata[_METADATA_KEY])
    except (ValueError, RecursionError) as error:
        raise InputError(f"the header of {path} is not JSON: the file is damaged") from error
    if not isinstance(header, dict):
        raise InputError(f"expected an object as the header of {path}, got {type(header).__name__}: the file is damaged")
    missing = {"format", "problem", "evidence", "origin", "sha256"} - set(header)
    if header.get("format") != FORMAT:
        raise InputError(f"expected format {FORMAT} in {path}, got {header.get('format')}: update landscape to read it")
    if missing:
        raise InputError(f"the header of {path} lacks {', '.join(sorted(missing))}: the file is damaged")
    evidence, origin = _section(header, "evidence", path), _section(header, "origin", path)
    _section(header, "problem", path)
    checks = {
        "an outcome": evidence.get("outcome") in list(Outcome.__members__),
        "a number of steps": _is_whole(evidence.get("steps")) and evidence["steps"] >= 0,
        "a start in words": isinstance(origin.get("start"), str),
        "a list of methods": _are_words(origin.get("methods"), list),
        "a seed": "seed" in origin and (origin["seed"] is None or _is_whole(origin["seed"])),
        "versions": _are_words(origin.get("versions"), dict),
    }
    for expected, met in checks.items():
        if not met:
            raise InputError(f"expected {expected} in the header of {path}, got {evidence} and {origin}: the file is damaged")
    return header


def _section(header: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    section = header[name]
    if not isinstance(section, dict):
        raise InputError(f"expected an object as {name} in the header of {path}, got {section!r}: the file is damaged")
    return section


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are_words(value: Any, kind: type) -> bool:
    words = list(value.values()) if isinstance(value, dict) else value
    return isinstance(value, kind) and all(isinstance(word, str) for word in words)


def arrays_digest(arrays: dict[str, Tensor]) -> str:
    """Returns the sha256 of named arrays: names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name].contiguous()
        digest.update(f"{name}{array.dtype}{tuple(array.shape)}".encode())
        digest.update(array.numpy().tobytes())
    return digest.hexdigest()


def _canonical(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"expected finite numbers to save, got {value}")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
