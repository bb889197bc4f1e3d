"""The options that several commands share: the problem, its ranges, devices and output. Each has one name and one meaning."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, Token

from landscape.cli.applies import Chosen, Needs
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.model.problem import Problem


def whole_number(type_: object, tokens: Sequence[Token]) -> int:
    """Returns a whole number as typed; the converter of cyclopts would round 3.5."""
    return int(tokens[0].value)


def within(low: int | float, high: int | float = float("inf"), what: str = "") -> Callable[[Any, Any], None]:
    """Returns a validator of numbers from `low` to `high`; NaN and infinity are in no range.

    Args:
        low: The smallest number allowed.
        high: The largest number allowed; infinity for any finite one.
        what: The range in words, where the numbers alone do not say it.
    """
    words = what or (f"at least {low:g}" if high == float("inf") else f"{low:g} to {high:g}")

    def check(type_: Any, value: Any) -> None:
        if value is not None and not (low <= value <= high and value < float("inf")):
            raise ValueError(f"expected {words}, got {value:g}" if isinstance(value, float) else f"expected {words}, got {value}")

    return check


def positive(type_: Any, value: Any) -> None:
    """Refuses a number that is not positive and finite."""
    if value is not None and not 0 < value < float("inf"):
        raise ValueError(f"expected a positive finite number, got {value:g}")


SEEDS = within(0, 2**63 - 1, "0 to 2**63 - 1")
RootChoice = Literal["large", "small"]
MethodChoice = Literal["auto", "reduction", "dense", "inertia", "quotient", "deflated", "recurrence", "lowrank", "lanczos"]
MethodOption = Annotated[MethodChoice, Parameter(help="How zeros are counted; auto confirms by a second, independent route.")]
LossChoice = Literal["ce", "mse"]
ActivationChoice = Literal["linear", "relu"]

PointFiles = Annotated[Path, Parameter(help="Points saved by landscape; several are printed side by side.")]
StartText = Annotated[str | None, Parameter(help="With a problem instead of a file: dnc, pairs, apex or partition:6,2,2.")]
RootText = Annotated[
    RootChoice, Parameter(help="Which scale of an analytic point; the small root is a saddle."), Needs(("--start",))
]
OptionalRoot = Annotated[RootChoice | None, Parameter(help="Of an analytic start: large (default) or small, a saddle.")]
ProveFlag = Annotated[bool, Parameter(name="--prove", negative="", help="Prove the counts in ball arithmetic, whatever it takes.")]
JsonFlag = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON value and nothing else.")]
SwapText = Annotated[
    str | None,
    Parameter(help="Replace features:, weights: or block: of every start by identity, isometric, zero, width=150, anew or a FILE."),
]
DeviceText = Annotated[str, Parameter(help="Where tensors live: cpu, cuda or cuda:1.")]
SeedNumber = Annotated[int, Parameter(converter=whole_number, validator=SEEDS, help="Of every random draw.")]
StepsLimit = Annotated[
    int | None, Parameter(converter=whole_number, validator=within(1), help="Of the method; its own default otherwise.")
]
LearningRate = Annotated[float, Parameter(validator=positive, help="Of gd, the same at every step."), Chosen("--method", ("gd",))]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ProblemOptions:
    """The model, as one text or as one option each; the two may be mixed, and mean the same.

    Attributes:
        problem: The model as one text, in the letters of the field.
        classes: The number K of classes.
        samples: The number n of samples of each class.
        class_sizes: The samples of each class, where they differ.
        width: The width d of the hidden spaces.
        depth: The number L of weight matrices.
        decay: The weight decay lambda, as typed.
        loss: The loss function, cross-entropy where nothing is given.
        activation: The activation function, linear where nothing is given.
    """

    problem: Annotated[str | None, Parameter(help="All of the model at once: K=10,n=5,d=70,L=2,decay=2**-10.")] = None
    classes: Annotated[int | None, Parameter(converter=whole_number, validator=within(2), help="K, the number of classes.")] = None
    samples: Annotated[int | None, Parameter(converter=whole_number, validator=within(1), help="n, per class.")] = None
    class_sizes: Annotated[str | None, Parameter(help="Instead of --classes and --samples: 4,1,2.")] = None
    width: Annotated[int | None, Parameter(converter=whole_number, validator=within(1), help="d, of the hidden spaces.")] = None
    depth: Annotated[
        int | None, Parameter(converter=whole_number, validator=within(1, 1000), help="L, the number of weight matrices.")
    ] = None
    decay: Annotated[str | None, Parameter(help="lambda: 2**-10, 1e-3, or one per factor H_1,W_1,..,W_L.")] = None
    loss: Annotated[LossChoice | None, Parameter(help="ce, cross-entropy (default), or mse, squared error.")] = None
    activation: Annotated[ActivationChoice | None, Parameter(help="linear (default) or relu.")] = None

    @property
    def given(self) -> tuple[str, ...]:
        """The options that were given, as typed."""
        return tuple(f"--{field.name.replace('_', '-')}" for field in fields(self) if getattr(self, field.name) is not None)

    def build(self, **defaults: str) -> "Problem":
        """Returns the problem that text and options name together.

        Args:
            defaults: Values by the keys of the text, for what was not given.

        Raises:
            InputError: If something is missing, given twice, or out of range.
        """
        from landscape.model.problem import Problem

        typed = _texts(self)
        if "sizes" in typed and {"K", "n"} & set(typed):
            raise InputError("expected --class-sizes alone, or --classes and --samples, got both")
        needed = ["d", "L", "decay", *(() if "sizes" in typed else ("K", "n"))]
        typed = {key: value for key, value in defaults.items() if key in needed or key not in ("K", "n")} | typed
        missing = [key for key in needed if key not in typed]
        if missing:
            names = ", ".join(f"--{_OPTIONS[key]} ({key})" for key in missing)
            raise InputError(f"expected {names}: give the options, or --problem K=10,n=5,d=70,L=2,decay=2**-10")
        return Problem.from_text_fields(typed)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ProblemRanges:
    """The models of a diagram: the options of one model, of which two may be ranges.

    Attributes:
        problem: The model as one text, in which ranges may stand.
        classes: The number K of classes, or a range.
        samples: The number n of samples of each class.
        width: The width d, or a range; as wide as needed where it is not given.
        depth: The number L of weight matrices, or a range.
        decay: The weight decay lambda, or a range.
    """

    problem: Annotated[str | None, Parameter(help="All of the model at once: K=10,n=1,L=1:8,decay=1e-5:0.1.")] = None
    classes: Annotated[str | None, Parameter(help="K, or a range 2:30 (10 if not given).")] = None
    samples: Annotated[str | None, Parameter(help="n, per class (1 if not given).")] = None
    width: Annotated[str | None, Parameter(help="d, or a range 5:100; as wide as needed if not given.")] = None
    depth: Annotated[str | None, Parameter(help="L, or a range 1:8 (2 if not given).")] = None
    decay: Annotated[str | None, Parameter(help="lambda, or a range 1e-5:0.1 if it is varied.")] = None

    def texts(self) -> dict[str, str]:
        """Returns what was typed, by the keys of a problem's text.

        Raises:
            InputError: If a setting is given twice, or a diagram has none of the name.
        """
        typed = _texts(self)
        if foreign := set(typed) & {"sizes", "loss", "activation"}:
            raise InputError(f"expected balanced classes, cross-entropy and linear layers for a diagram, got {min(foreign)}")
        return typed


def _texts(options: ProblemOptions | ProblemRanges) -> dict[str, str]:
    """Returns what the text and the options say, by the keys of the text."""
    from landscape.model.problem import text_fields

    typed = {} if options.problem is None else text_fields(options.problem)
    for key, option in _OPTIONS.items():
        value = getattr(options, option, None)
        if value is None:
            continue
        if key in typed:
            raise InputError(f"expected {key} once, got it in --problem and as --{option.replace('_', '-')}")
        typed[key] = str(value)
    return typed


_OPTIONS = {
    "K": "classes",
    "n": "samples",
    "sizes": "class_sizes",
    "d": "width",
    "L": "depth",
    "decay": "decay",
    "loss": "loss",
    "activation": "activation",
}
NO_PROBLEM, NO_RANGES = ProblemOptions(), ProblemRanges()


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
