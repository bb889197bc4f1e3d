"""The sections of a grid file: which models, which starts, which methods, what is analysed, and which saved points."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag
from pydantic.dataclasses import dataclass

from landscape.archive.experiment import RANDOM, AnalysisName, start_text
from landscape.errors import InputError
from landscape.numbers import parse_decay, parse_sizes
from landscape.structures.notation import parse_structure
from landscape.sweep.axis import (
    CLOSED,
    MOST_CLASSES,
    MOST_SAMPLES,
    Axis,
    Classes,
    Depth,
    Positive,
    Samples,
    Scale,
    Seed,
    Steps,
    Width,
)


def _decay(value: float | str) -> float | tuple[float, ...]:
    found = parse_decay(value) if isinstance(value, str) else float(value)
    if not all(number > 0 for number in (found if isinstance(found, tuple) else (found,))):
        raise ValueError("expected a positive decay such as 1e-3, '2**-10', or one per factor '1e-3,2e-3,2e-3'")
    return found


def _sizes(text: str) -> tuple[int, ...]:
    sizes = parse_sizes(text)
    if not 2 <= len(sizes) <= MOST_CLASSES or not 1 <= min(sizes) <= max(sizes) <= MOST_SAMPLES:
        raise ValueError(f"expected 2 to {MOST_CLASSES} class sizes from 1 to {MOST_SAMPLES}, such as '4,1,2'")
    return sizes


def _start(text: str) -> str:
    try:
        return RANDOM if text == RANDOM else start_text(parse_structure(text, "large"))
    except InputError:
        raise ValueError("expected random, DNC, pairs, apex, zero, partition:6,2,2 or blocks:polygon5+3+2") from None


@dataclass(frozen=True, config=CLOSED)
class Problems:
    """The models: `classes` and `samples`, or `class_sizes`; the rest as in `landscape solve`.

    Attributes:
        width: Values of the width d.
        depth: Values of the number L of weight matrices.
        decay: Values of the weight decay: numbers, or texts such as "2**-10" and one number per factor "1e-3,2e-3,2e-3".
        classes: Values of the number K of equal classes; None where `class_sizes` is given.
        samples: Values of the number n of samples per class; None where `class_sizes` is given.
        class_sizes: Values of the samples of each class, texts such as "4,1,2"; None for equal classes.
        loss: Names of the loss functions, "ce" or "mse".
        activation: Names of the activation functions, "linear" or "relu".
    """

    width: Annotated[tuple[Width, ...], Axis]
    depth: Annotated[tuple[Depth, ...], Axis]
    decay: Annotated[tuple[Annotated[Annotated[float, Field(strict=True)] | str, AfterValidator(_decay)], ...], Axis]
    classes: Annotated[tuple[Classes, ...], Axis] | None = None
    samples: Annotated[tuple[Samples, ...], Axis] | None = None
    class_sizes: Annotated[tuple[Annotated[str, AfterValidator(_sizes)], ...], Axis] | None = None
    loss: Annotated[tuple[Literal["ce", "mse"], ...], Axis] = ("ce",)
    activation: Annotated[tuple[Literal["linear", "relu"], ...], Axis] = ("linear",)


@dataclass(frozen=True, config=CLOSED)
class Starts:
    """Where descent begins: random starts have seeds, scales and swaps, structures a root; those are analysed where they are.

    Attributes:
        kind: Kinds of start: "random", or names of known structures.
        seed: Seeds of the random starts.
        weight_scale: Scales of the weights of random starts.
        feature_scale: Scales of the features of random starts.
        root: Roots of the scale equation that known structures take.
        swap: Changes of the random starts, as in `landscape prevalence --swap`; None for none.
    """

    kind: Annotated[tuple[Annotated[str, AfterValidator(_start)], ...], Axis] = (RANDOM,)
    seed: Annotated[tuple[Seed, ...], Axis] = (0,)
    weight_scale: Annotated[tuple[Scale, ...], Axis] = (1.0,)
    feature_scale: Annotated[tuple[Scale, ...], Axis] = (1.0,)
    root: Annotated[tuple[Literal["large", "small"], ...], Axis] = ("large",)
    swap: Annotated[tuple[str, ...], Axis] | None = None


@dataclass(frozen=True, config=CLOSED)
class Methods:
    """What follows a random start, as in `landscape prevalence`; what is not given is the method's own default.

    Attributes:
        name: Names of the methods that follow a random start.
        learning_rate: Learning rates of plain descent; None for the method's default.
        max_steps: Most steps of the method; None for the method's default.
        handover: Gradient norms at which Newton steps take over; None for the method's default.
    """

    name: Annotated[tuple[Literal["ptc", "gd"], ...], Axis] = ("ptc",)
    learning_rate: Annotated[tuple[Positive, ...], Axis] | None = None
    max_steps: Annotated[tuple[Steps, ...], Axis] | None = None
    handover: Annotated[tuple[Positive, ...], Axis] | None = None


@dataclass(frozen=True, config=CLOSED)
class Analyses:
    """How zeros are counted: "reduction" alone (linear models), or "auto", which confirms it by a second route.

    Attributes:
        method: Methods that count the zeros, "reduction" or "auto".
    """

    method: Annotated[tuple[Literal["auto", "reduction"], ...], Axis] = ("reduction",)


@dataclass(frozen=True, config=CLOSED)
class Points:
    """Points that people have, analysed where they are: one job a file.

    Attributes:
        files: One or several patterns such as "runs/*.safetensors", relative to the grid file.
        method: How the zeros are counted, as in `landscape degeneracy --method`.
        spectrum: Whether records have the eigenvalues with their multiplicities too.
        proof: Whether counts are proved wherever a proof exists, as in `landscape degeneracy --prove`.
        keep: Whether a record has the parameters of its point too.
    """

    files: Annotated[tuple[str, ...], Axis]
    method: AnalysisName = "auto"
    spectrum: Annotated[bool, Field(strict=True)] = False
    proof: Annotated[bool, Field(strict=True)] = False
    keep: Annotated[bool, Field(strict=True)] = True


FlagOrPoints = Annotated[
    Annotated[bool, Field(strict=True), Tag("flag")] | Annotated[Points, Tag("table")],
    Discriminator(lambda given: "table" if isinstance(given, dict | Points) else "flag"),
]
