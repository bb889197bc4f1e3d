"""Where a command takes its point from: a saved file, or a problem and an analytic structure that are never written out."""

from pathlib import Path
from typing import TYPE_CHECKING

from landscape.cli.options import MethodChoice, ProblemOptions, RootChoice, checked_device
from landscape.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.degeneracy.report import DegeneracyReport
    from landscape.model.problem import Problem
    from landscape.model.reduced_point import Core
    from landscape.points.point import CriticalPoint
    from landscape.structures.kinds import Structure

LARGEST_WRITTEN = 10_000_000  # parameters of an analytic point that is written out: 80 MB


def analysed(
    point: Path | None,
    model: ProblemOptions,
    start: str | None,
    root: RootChoice,
    method: MethodChoice,
    device: str,
    prove: bool = False,
) -> "DegeneracyReport":
    """Returns the report of a saved point, or of an analytic one that is never written out; --prove proves what it can."""
    from landscape.degeneracy.analysis import analyse
    from landscape.degeneracy.proved import Wanted, named_groups

    source, structure = _source(point, model, start, root, device)
    if structure is not None and method not in ("auto", "reduction"):
        raise InputError(
            f"expected --method auto or reduction for a point that is not written out, got {method}: "
            "save it with landscape solve --out, and give the file"
        )
    groups = None if structure is None else named_groups(source.problem, structure)
    return analyse(source, method, Wanted("any" if prove else "small", groups))


def placed(point: Path | None, model: ProblemOptions, start: str | None, root: RootChoice, device: str) -> "tuple[Problem, Tensor]":
    """Returns the model and the parameters of a saved point, or of an analytic one written out.

    Raises:
        InputError: If an analytic point is too large to write out.
    """
    import torch

    from landscape.points.point import CriticalPoint

    source, _ = _source(point, model, start, root, device)
    if isinstance(source, CriticalPoint):
        return source.problem, source.theta
    problem = source.problem
    if problem.parameters > LARGEST_WRITTEN:
        raise InputError(f"expected at most {LARGEST_WRITTEN} parameters to write an analytic point out, got {problem.parameters}")
    frames = [torch.eye(problem.width, source.rank, dtype=torch.float64, device=source.theta.device)] * problem.depth
    return problem, source.embed(frames)


def check_source(point: Path | None, model: ProblemOptions, start: str | None) -> None:
    """Refuses a point that is named twice or not at all.

    Raises:
        InputError: If there is not either a file, or a problem with a structure.
    """
    if (point is None) == (not model.given):
        raise InputError("expected either a point file or --problem with --start, got both or neither")
    if point is not None and start is not None:
        raise InputError("expected --start only with --problem: a saved point has its own")
    if point is None and start is None:
        raise InputError("expected --start dnc, pairs, apex or partition:6,2,2 with --problem")


def _source(
    point: Path | None, model: ProblemOptions, start: str | None, root: RootChoice, device: str
) -> "tuple[CriticalPoint | Core, Structure | None]":
    """Returns the point, and the structure that an analytic one was made from."""
    check_source(point, model, start)
    if point is not None:
        return loaded(point, device), None
    from dataclasses import replace

    from landscape.model.reduced_point import Core
    from landscape.structures.analytic import logit_form
    from landscape.structures.notation import parse_structure

    assert start is not None
    problem = model.build()
    structure = parse_structure(start, root)
    core = Core.from_form(problem, logit_form(problem, structure))
    return replace(core, theta=core.theta.to(checked_device(device))), structure


def loaded(path: Path, device: str) -> "CriticalPoint":
    """Returns a saved point on a device."""
    from landscape.points.point import CriticalPoint

    return CriticalPoint.load(path, checked_device(device))
