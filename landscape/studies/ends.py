"""Where experiments end: computed here for every command, and written as records of an archive."""

import math
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from landscape.archive.experiment import Altered, Analysis, Experiment, SavedPoint
from landscape.archive.records import RECORD_FORMAT
from landscape.degeneracy.analysis import analyse
from landscape.degeneracy.methods import MethodName
from landscape.degeneracy.proved import Wanted, named_groups
from landscape.degeneracy.report import DegeneracyReport
from landscape.display import brief
from landscape.errors import InputError
from landscape.model.objective import Objective, class_means
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.plain_file import Damaged, file_digest
from landscape.points.point import CriticalPoint, Origin, Outcome
from landscape.points.point_file import tensors_digest
from landscape.solver.methods import Random
from landscape.solver.pool import Arrival, Start, solve_batch
from landscape.solver.run import require_solve_memory
from landscape.solver.starts import random_origin, random_start
from landscape.structures.analytic import logit_form
from landscape.structures.fingerprint import Fingerprint
from landscape.structures.kinds import Structure
from landscape.structures.old_names import current_name
from landscape.studies.starts.krylov import gauge_zeros_outside
from landscape.studies.starts.seeds import altered_origin, altered_start, followed

_TEXT, _COUNT, _REAL = (str,), (int,), (float, int, type(None))
_RESULT: dict[str, tuple[type, ...]] = {  # entries of a result, and of what type they are
    "structure": _TEXT,
    "rank": _COUNT,
    "loss": _REAL,
    "gradient_norm": _REAL,
    "outcome": _TEXT,
    "steps": _COUNT,
    "products": _COUNT,
    "index": (int, type(None)),
    "nullity": (int, type(None)),
    "orbit_dimension": (int, type(None)),
}


@dataclass(frozen=True)
class EndPoint:
    """End point of one experiment: outcome, structure and degeneracy, in the types of a record.

    Attributes:
        seed: Seed of the random start.
        structure: Name of the structure, "unnamed rank r", or the last look at a seed that did not converge.
        rank: Rank of the factors; without a common rank that of the class-mean logits (singular values above 1 % of the largest).
        loss: Loss at the end, with weight decay.
        gradient_norm: Gradient norm at the end.
        outcome: Name of the `Outcome`; anything but CONVERGED is counted as not converged.
        steps: Number of steps of descent and polish.
        products: Number of gradients and Hessian products.
        index: Number of negative Hessian eigenvalues; None where that is not certain.
        nullity: Number of zero Hessian eigenvalues; None where that is not certain.
        orbit_dimension: Number of zeros that the gauge group explains; None where that is not certain.
        singular: Singular values of the class-mean logits times sqrt(class size), descending.
        record: Rows (steps, loss, gradient norm, rank) along the way, thinned; empty when read from an archive.
        statement: Statement of what is proved of the counts, or why nothing is; empty where no proof was asked for.
        spectrum: Eigenvalues with multiplicities, if they were asked for; empty when read from an archive.
    """

    seed: int
    structure: str
    rank: int
    loss: float | None
    gradient_norm: float | None
    outcome: str
    steps: int
    products: int
    index: int | None
    nullity: int | None
    orbit_dimension: int | None
    singular: tuple[float, ...]
    record: tuple[tuple[int, float, float, int], ...] = field(default=(), compare=False)
    statement: str = ""
    spectrum: tuple[tuple[float, int], ...] = field(default=(), compare=False)

    __repr__ = brief

    @classmethod
    def of(cls, arrival: Arrival, method: MethodName | None = None, width: int | None = None) -> "EndPoint":
        """Returns the record of an arrival, with its name and its measured degeneracy.

        Args:
            arrival: Where the seed ended.
            method: Method that counts; None takes one route alone where that is exact, since there may be thousands of seeds.
            width: Width of the model that the counts are for; None for that of the arrival.
        """
        point = arrival.point
        method = method or ("reduction" if point.problem.is_linear else "auto")
        report = analyse(point, method) if point.outcome is Outcome.CONVERGED else None
        wider = 0 if report is None or width is None else gauge_zeros_outside(point.problem, report.rank or 0, width)
        last = arrival.ranks[-1] if arrival.ranks else 0
        rank = report.rank if report and report.rank is not None else last
        mark = Fingerprint.of(point.loss, point.class_logits, point.problem.class_sizes, rank)
        rows = zip(point.trace.tolist(), arrival.ranks, strict=True)
        return cls(
            seed=-1 if point.origin.seed is None else point.origin.seed,
            structure=report.structure if report else f"not converged, rank {rank}",
            rank=rank,
            loss=_finite(point.loss),
            gradient_norm=_finite(point.gradient_norm),
            outcome=point.outcome.name,
            steps=point.steps,
            products=arrival.products,
            index=report.index if report else None,
            nullity=None if report is None or report.nullity is None else report.nullity + wider,
            orbit_dimension=None if report is None or report.orbit_dimension is None else report.orbit_dimension + wider,
            singular=mark.singular,
            record=tuple((int(steps), loss, norm, visible) for (steps, loss, norm), visible in rows),
        )

    @classmethod
    def of_result(cls, seed: int, result: dict[str, Any]) -> "EndPoint":
        """Returns the end point in a record.

        Raises:
            Damaged: If an entry is missing or of another type: a seal says that a record is whole, not what is in it.
        """
        try:
            values = {name: result[name] for name in (*_RESULT, "singular")}
        except KeyError as error:
            raise Damaged(f"its result has no {error.args[0]}") from error
        for name, value in values.items():
            kinds = _RESULT.get(name, ())
            sound = isinstance(value, list) and all(map(_is_number, value)) if name == "singular" else type(value) in kinds
            if not sound or (isinstance(value, float) and not math.isfinite(value)):
                raise Damaged(f"its {name} is {value!r:.40}")
        changed = {"structure": current_name(values["structure"]), "singular": tuple(map(float, values["singular"]))}
        return cls(seed, **{**values, **changed})

    @property
    def converged(self) -> bool:
        """Whether it is a critical point."""
        return self.outcome == Outcome.CONVERGED.name

    @property
    def fingerprint(self) -> Fingerprint:
        """What makes it the same structure as another without a name."""
        return Fingerprint(self.rank, math.inf if self.loss is None else self.loss, self.singular)


def start_of(experiment: Experiment, device: str = "cpu") -> Start:
    """Returns the random start of an experiment, the same on every device; its parameters are those of the followed problem."""
    match experiment.start:
        case Altered() as start:
            _, theta = altered_start(experiment.problem, start)
            return Start(theta.to(device), altered_origin(experiment.problem, start))
        case start:
            assert isinstance(start, Random)
            return Start(random_start(experiment.problem, start).to(device), random_origin(start))


def followed_problem(experiment: Experiment) -> Problem:
    """Returns the problem in which the starts are followed: narrower than that of the experiment if few directions are kept.

    Raises:
        InputError: If the problem has no such starts.
    """
    start = experiment.start
    return followed(experiment.problem, start) if isinstance(start, Altered) else experiment.problem


def ends_of(
    experiments: Sequence[Experiment], device: str = "cpu", size: int | None = None
) -> Iterator[tuple[Experiment, EndPoint, CriticalPoint | None]]:
    """Yields the end of every experiment as it arrives, with its point if it has parameters.

    Args:
        experiments: Experiments of one family, which share a pool.
        device: Where to compute.
        size: Random starts in the pool at once; None fits the memory. No end depends on it.

    Raises:
        InputError: If the problem has no such structure, or the file of a saved point cannot be read or has changed.
    """
    first = experiments[0]
    match first.start:
        case Random() | Altered():
            assert first.method is not None
            problem = followed_problem(first)
            width = None if problem == first.problem else first.problem.width
            require_solve_memory(problem, (first.method,), device)
            by_seed = {experiment.seed: experiment for experiment in experiments}
            starts = (start_of(experiment, device) for experiment in experiments)
            for arrival in solve_batch(problem, starts, first.method, size):
                found = EndPoint.of(arrival, first.analysis.method, width)
                yield by_seed[arrival.point.origin.seed], found, arrival.point
        case SavedPoint():
            yield first, *_saved_end(first, first.start, device)
        case _:
            yield first, _structure_end(first, first.start), None


def _structure_end(experiment: Experiment, structure: Structure) -> EndPoint:
    """Returns what is known of a structure, without parameters: its width may be anything."""
    problem = experiment.problem
    form = logit_form(problem, structure)
    wanted = Wanted(groups=named_groups(problem, structure))
    report = analyse(Core.from_form(problem, form), experiment.analysis.method, wanted)
    singular = form.singular.sort(descending=True).values.tolist()
    return _analysed_end(report, form.rank, Outcome.GIVEN, singular, experiment.analysis)


def _saved_end(experiment: Experiment, start: SavedPoint, device: str) -> tuple[EndPoint, CriticalPoint]:
    """Returns what is known of a point that somebody has, and the point."""
    path = Path(start.path)
    point = CriticalPoint.load(path, device)
    if file_digest(path) != start.content:
        raise InputError(f"expected {path} as it was when the grid was read, got another content: run the command again")
    analysis, problem = experiment.analysis, point.problem
    report = analyse(point, analysis.method, Wanted("any" if analysis.proof else "doubtful"))
    logits = class_means(problem, Objective.of(problem, point.theta).logits(point.theta))
    rank = problem.classes if report.rank is None else report.rank
    singular = Fingerprint.of(point.loss, logits, problem.class_sizes, rank).singular
    return replace(_analysed_end(report, rank, point.outcome, singular, analysis), steps=point.steps), point


def _analysed_end(report: DegeneracyReport, rank: int, outcome: Outcome, singular: Sequence[float], analysis: Analysis) -> EndPoint:
    """Returns the end of what was analysed where it is."""
    return EndPoint(
        seed=-1,
        structure=report.structure,
        rank=rank,
        loss=report.loss,
        gradient_norm=report.gradient_norm,
        outcome=outcome.name,
        steps=0,
        products=0,
        index=report.index,
        nullity=report.nullity,
        orbit_dimension=report.orbit_dimension,
        singular=tuple(singular),
        statement=report.proved if analysis.proof else "",
        spectrum=tuple(report.spectrum.atoms()) if analysis.spectrum and report.spectrum else (),
    )


def poison(end: EndPoint, point: CriticalPoint | None) -> str:
    """Returns which number of an end is none, or nothing; a descent that diverged has no numbers and says so."""
    if end.outcome == "DIVERGED":
        return ""
    numbers = {"loss": (end.loss,), "gradient norm": (end.gradient_norm,), "singular values": end.singular}
    for name, values in numbers.items():
        if any(value is None or not math.isfinite(value) for value in values):
            return f"the {name} of a point that is said to be {end.outcome.lower()} is not finite"
    if point is not None and not bool(point.theta.isfinite().all()):
        return f"the parameters of a point that is said to be {end.outcome.lower()} are not finite"
    return ""


def packed(
    end: EndPoint, point: CriticalPoint | None, seconds: float, device: str, file: str = ""
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the header and the arrays of a record; with a point it is a file of that point too.

    Args:
        end: What the record says.
        point: Whose parameters the record has; None for a record without.
        seconds: Time of computing it, in seconds.
        device: Where it was computed.
        file: Name of the file of a point that somebody had.
    """
    result = {name: value for name, value in asdict(end).items() if name not in ("record", "seed", "statement", "spectrum")}
    if end.statement:
        result["statement"] = end.statement
    header: dict[str, Any] = {}
    ranks = torch.tensor([row[3] for row in end.record], dtype=torch.float64)
    if point is not None and end.outcome != "DIVERGED":
        header, arrays = point.contents()
        arrays["ranks"] = ranks
    else:
        rows = [row[:3] for row in end.record]
        arrays = {"trace": torch.tensor(rows, dtype=torch.float64).reshape(-1, 3), "ranks": ranks}
    if end.spectrum:
        arrays["spectrum"] = torch.tensor(end.spectrum, dtype=torch.float64)
    provenance = {
        "seconds": seconds,
        "host": socket.gethostname(),
        "process": os.getpid(),
        "device": device,
        "mkl_cbwr": os.environ.get("MKL_CBWR"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": Origin("").versions,
        **({"file": file} if file else {}),
    }
    return {**header, "format": RECORD_FORMAT, "result": result, "provenance": provenance, "sha256": tensors_digest(arrays)}, arrays


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
