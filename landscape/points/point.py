"""A critical point: where it is, the evidence that it is one, and where it came from; one file, readable without this package.

The file is safetensors: the factors H_1, W_1, .., W_L and the thinned record of the solve as float64 arrays, and one metadata
key, `landscape`, with canonical JSON (format, problem, evidence, origin, versions, sha256 of the arrays, seal of all this).
"""

import math
from dataclasses import asdict, dataclass, field
from enum import Enum
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from landscape import __version__
from landscape.display import aligned, table
from landscape.errors import InputError
from landscape.model.objective import Objective, class_logits
from landscape.model.problem import Problem
from landscape.points.point_file import FORMAT, TRACE_COLUMNS, PointFile, factor_names, tensors_digest, write
from landscape.points.point_rounding import rounding_of


class Outcome(Enum):
    """Why a solve stopped; the value says what to do next.

    Example:
        >>> import landscape as ls
        >>> ls.Outcome.CONVERGED.value
        'the gradient norm is below the tolerance'
    """

    CONVERGED = "the gradient norm is below the tolerance"
    MAX_STEPS = "the steps ran out: continue with --start FILE and more --max-steps"
    STALLED = "no step lowers the loss any more: polish with newton, or accept the gradient norm (ReLU kinks stop here)"
    DIVERGED = "the loss is not finite: lower the learning rate or the initial scales"
    INTERRUPTED = "interrupted by hand: continue with --start FILE"
    GIVEN = "not solved here: imported or analytic, judged by the gradient norm alone"


@cache
def _version(name: str) -> str:
    """Read once from the package's files: every record of a sweep says it."""
    return version(name)


@dataclass(frozen=True)
class Origin:
    """Provenance of a point: its start, the methods that moved it, seed and software.

    Attributes:
        start: The starting point in words, or the file it was imported from.
        methods: Methods that moved the point, in order, with their settings.
        seed: Seed of the start or of the gauge; None where nothing was drawn.
        versions: Versions of the software that computed the point, by name.

    Example:
        >>> import landscape as ls
        >>> origin = ls.Origin("weights of a colleague", methods=("SGD",), seed=3)
        >>> origin.start, sorted(origin.versions)
        ('weights of a colleague', ['landscape', 'numpy', 'torch'])
    """

    start: str
    methods: tuple[str, ...] = ()
    seed: int | None = None
    versions: dict[str, str] = field(
        default_factory=lambda: {"landscape": __version__, "torch": _version("torch"), "numpy": _version("numpy")}
    )


@dataclass(frozen=True)
class CriticalPoint:
    """Parameters with the evidence of how critical they are.

    Attributes:
        problem: The model whose parameters these are.
        theta: Factors H_1, W_1, .., W_L, flattened row by row in that order.
        loss: Loss at the point, with weight decay.
        gradient_norm: Euclidean norm of the gradient at theta; recomputed when the point is made or loaded.
        outcome: Why the solve stopped.
        steps: Number of steps of all methods together; a step of plain descent and one of Newton count alike.
        origin: Where the point came from: start, methods, seed, versions.
        trace: Rows (steps, loss, gradient norm) along the way, thinned.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> problem = ls.Problem.balanced(classes=2, samples=1, width=2, depth=1, decay=0.1)
        >>> zero = ls.CriticalPoint.at(problem, torch.zeros(problem.parameters).double(), ls.Origin("by hand"))
        >>> zero
        CriticalPoint(linear CE model, K=2 n=1 d=2 L=1 decay=0.1 (P=8); loss 0.6931471806, gradient norm 0.0e+00, given)
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

    @property
    def class_logits(self) -> Float[Tensor, "k k"]:
        """The class-mean logits, one column per class."""
        return class_logits(self.problem, self.theta)

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
        return dict(zip(factor_names(self.problem), Objective.of(self.problem, self.theta).split(self.theta), strict=True))

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
            "trace_columns": TRACE_COLUMNS,
            "sha256": tensors_digest(arrays),
        }
        return header, arrays

    def save(self, path: Path | str) -> None:
        """Writes the file, whole or not at all; `landscape.load` reads it back.

        Raises:
            InputError: If it cannot be written.
        """
        write(Path(path), *self.contents())

    @classmethod
    def load(cls, path: Path, device: str | torch.device = "cpu") -> "CriticalPoint":
        """Reads a file that `save` wrote.

        Raises:
            InputError: If it is missing, not such a file, damaged, of a newer format, or its evidence is that of other parameters.
        """
        return cls.of_file(PointFile.read(path), device)

    @classmethod
    def of_file(cls, file: PointFile, device: str | torch.device = "cpu") -> "CriticalPoint":
        """Returns the point of a file, with its evidence computed again and compared with what the file says.

        Raises:
            InputError: If they differ by more than rounding does between machines, or the file names an unknown outcome.
        """
        evidence, origin = file.header["evidence"], file.header["origin"]
        if evidence["outcome"] not in Outcome.__members__:
            raise InputError(f"expected an outcome in the header of {file.path}, got {evidence['outcome']!r}: the file is damaged")
        factors = [file.arrays[name] for name in factor_names(file.problem)]
        point = cls.at(
            file.problem,
            torch.cat([factor.flatten() for factor in factors]).to(device, torch.float64),
            Origin(origin["start"], tuple(origin["methods"]), origin["seed"], origin["versions"]),
            Outcome[evidence["outcome"]],
            evidence["steps"],
            file.arrays["trace"],
        )
        point._require_agreement(file, max(torch.finfo(factor.dtype).eps for factor in factors))
        return point

    def _require_agreement(self, file: PointFile, eps: float) -> None:
        """Refuses a file whose loss or gradient norm is not that of its parameters."""
        allowed = rounding_of(self.problem, self.theta, self.loss, eps)
        said = file.header["evidence"]
        for name, stored, found, bound in (
            ("loss", said["loss"], self.loss, allowed.loss),
            ("gradient norm", said["gradient_norm"], self.gradient_norm, allowed.gradient),
        ):
            if not abs(stored - found) <= bound:
                raise InputError(
                    f"expected the {name} of the parameters in {file.path}, {found:.10g}, got {stored:.10g} in its header: "
                    "the file was changed, or is of another problem"
                )


def load(path: Path | str, device: str | torch.device = "cpu") -> CriticalPoint:
    """Reads a saved point, and computes loss and gradient norm again.

    Example:
        >>> import landscape as ls
        >>> import tempfile
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     ls.place(problem, ls.Collapse()).save(f"{folder}/point.safetensors")
        ...     point = ls.load(f"{folder}/point.safetensors")
        >>> ls.analyse(point).nullity
        24

    Raises:
        InputError: If it is missing, not such a file, damaged, of a newer format, or its evidence is that of other parameters.
    """
    return CriticalPoint.load(Path(path), device)
