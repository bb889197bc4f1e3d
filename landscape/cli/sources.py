"""Where a command takes its point from: a saved file, or a problem and an analytic structure that are never written out."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, Token

from landscape.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.degeneracy.report import DegeneracyReport
    from landscape.model.problem import Problem
    from landscape.model.reduced_point import Core
    from landscape.points.point import CriticalPoint
    from landscape.structures.kinds import Structure


def whole_number(type_: object, tokens: Sequence[Token]) -> int:
    """Returns a whole number as typed; the converter of cyclopts would round 3.5."""
    return int(tokens[0].value)


MethodChoice = Literal["auto", "reduction", "dense", "inertia", "quotient", "deflated", "lowrank", "lanczos"]
LARGEST_WRITTEN = 10_000_000  # parameters of an analytic point that is written out: 80 MB
RootChoice = Literal["large", "small"]
ClassesNumber = Annotated[int | None, Parameter(converter=whole_number, help="K.")]
SamplesNumber = Annotated[int | None, Parameter(converter=whole_number, help="n, per class.")]
SizesText = Annotated[str | None, Parameter(help="Instead of --classes and --samples: 4,1,2.")]
WidthNumber = Annotated[int | None, Parameter(converter=whole_number, help="d.")]
DepthNumber = Annotated[int | None, Parameter(converter=whole_number, help="L, the number of weight matrices.")]
DecayText = Annotated[str | None, Parameter(help="lambda: 2**-10, 1e-3, or one per factor H_1,W_1,..,W_L.")]
LossChoice = Annotated[Literal["ce", "mse"] | None, Parameter(help="Cross-entropy (default) or squared error.")]
ActivationChoice = Annotated[Literal["linear", "relu"] | None, Parameter(help="linear (default) or relu.")]
PointFiles = Annotated[Path, Parameter(help="Points saved by landscape; several are printed side by side.")]
ProblemText = Annotated[str | None, Parameter(help="Instead of a file: K=10,n=5,d=20000,L=6,decay=1e-3.")]
StartText = Annotated[str | None, Parameter(help="With --problem: dnc, pairs, apex or partition:6,2,2.")]
RootText = Annotated[RootChoice, Parameter(help="Which scale of an analytic point; the small root is a saddle.")]
OptionalRoot = Annotated[RootChoice | None, Parameter(help="Of an analytic start: large (default) or small, a saddle.")]
ProveFlag = Annotated[bool, Parameter(name="--prove", negative="", help="Prove the counts in ball arithmetic, whatever it takes.")]
JsonFlag = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object and nothing else.")]
SwapText = Annotated[
    str | None,
    Parameter(help="Replace features:, weights: or block: of every start by identity, isometric, zero, width=150, anew or a FILE."),
]
DeviceText = Annotated[str, Parameter(help="cpu, cuda or cuda:1.")]


def analysed(
    point: Path | None,
    problem: str | None,
    start: str | None,
    root: RootChoice,
    method: MethodChoice,
    device: str,
    prove: bool = False,
) -> "DegeneracyReport":
    """Returns the report of a saved point, or of an analytic one that is never written out; --prove proves what it can."""
    from landscape.degeneracy.analysis import analyse
    from landscape.degeneracy.proved import Wanted, named_groups

    source, structure = _source(point, problem, start, root, device)
    groups = None if structure is None else named_groups(source.problem, structure)
    return analyse(source, method, Wanted("any" if prove else "small", groups))


def placed(point: Path | None, problem: str | None, start: str | None, root: RootChoice, device: str) -> "tuple[Problem, Tensor]":
    """Returns the model and the parameters of a saved point, or of an analytic one written out.

    Raises:
        InputError: If an analytic point is too large to write out.
    """
    import torch

    from landscape.points.point import CriticalPoint

    source, _ = _source(point, problem, start, root, device)
    if isinstance(source, CriticalPoint):
        return source.problem, source.theta
    model = source.problem
    if model.parameters > LARGEST_WRITTEN:
        raise InputError(f"expected at most {LARGEST_WRITTEN} parameters to write an analytic point out, got {model.parameters}")
    return model, source.embed([torch.eye(model.width, source.rank, dtype=torch.float64)] * model.depth).to(checked_device(device))


def _source(
    point: Path | None, problem: str | None, start: str | None, root: RootChoice, device: str
) -> "tuple[CriticalPoint | Core, Structure | None]":
    """Returns the point, and the structure that an analytic one was made from."""
    if (point is None) == (problem is None):
        raise InputError("expected either a point file or --problem with --start, got both or neither")
    if point is not None:
        if start is not None:
            raise InputError("expected --start only with --problem: a saved point has its own")
        return loaded(point, device), None
    from landscape.model.reduced_point import Core
    from landscape.structures.analytic import logit_form
    from landscape.structures.notation import parse_problem, parse_structure

    assert problem is not None
    if start is None:
        raise InputError("expected --start dnc, pairs, apex or partition:6,2,2 with --problem")
    model = parse_problem(problem)
    structure = parse_structure(start, root)
    return Core.from_form(model, logit_form(model, structure)), structure


def given_sizes(classes: int | None, samples: int | None, class_sizes: str | None) -> tuple[int, ...] | None:
    """Returns the class sizes that the options name, or None if they name none."""
    from landscape.numbers import parse_sizes
    from landscape.structures.notation import equal_sizes

    if class_sizes is not None:
        sizes = parse_sizes(class_sizes)
        if samples is not None or classes not in (None, len(sizes)):
            raise InputError(f"expected --class-sizes alone, or --classes and --samples, got {class_sizes!r} with others")
        return sizes
    if classes is None and samples is None:
        return None
    if classes is None or samples is None:
        raise InputError("expected --classes together with --samples")
    return equal_sizes(classes, samples)


def given_problem(
    sizes: tuple[int, ...] | None,
    width: int | None,
    depth: int | None,
    decay: str | None,
    loss: Literal["ce", "mse"] | None,
    activation: Literal["linear", "relu"] | None,
) -> "Problem":
    """Returns the problem that the options name."""
    from landscape.model.problem import Problem
    from landscape.numbers import parse_decay

    if sizes is None or width is None or depth is None or decay is None:
        raise InputError("expected --classes and --samples (or --class-sizes), --width, --depth and --decay")
    return Problem(sizes, width, depth, parse_decay(decay), loss or "ce", activation or "linear")


def check_steps(learning_rate: float, max_steps: int | None) -> None:
    """Refuses a learning rate or a number of steps with which no method moves.

    Raises:
        InputError: If they are out of range.
    """
    if not 0 < learning_rate < float("inf"):
        raise InputError(f"expected a positive finite --learning-rate, got {learning_rate:g}")
    if max_steps is not None and max_steps < 1:
        raise InputError(f"expected --max-steps of at least 1, got {max_steps}")


def loaded(path: Path, device: str) -> "CriticalPoint":
    """Returns a saved point on a device."""
    from landscape.points.point import CriticalPoint

    return CriticalPoint.load(path, checked_device(device))


def checked_device(name: str) -> str:
    """Returns the name if torch can compute there in this process.

    Raises:
        InputError: If there is no such device.
    """
    import torch

    try:
        torch.zeros(1, dtype=torch.float64, device=name).item()  # the meta device makes tensors that hold nothing
    except (RuntimeError, AssertionError, TypeError) as error:  # torch raises either, by how it was built
        raise InputError(f"expected a device of this machine with float64, got {name!r} ({str(error).splitlines()[0]})") from None
    return name
