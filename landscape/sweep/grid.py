"""A grid: which jobs a sweep has and how it runs them, read from a TOML file and validated before anything runs.

Every setting is one value, a list or a range (`axis.py`). The jobs are all combinations; settings named together in `zip` advance
together. Combinations that are the same job count once.
"""

import itertools
import math
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from landscape.archive.job import RANDOM, AnalysisName, DescentName, Job
from landscape.errors import InputError
from landscape.numbers import parse_decay, parse_sizes
from landscape.plain_file import read_text
from landscape.sweep.axis import (
    CLOSED,
    LARGEST,
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
from landscape.sweep.settings import PATTERNS, EngineSettings
from landscape.sweep.starts import checked_start, misfit

_LARGEST_FILE = 1_000_000  # bytes


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


@dataclass(frozen=True, config=CLOSED)
class Problems:
    """The models: `classes` and `samples`, or `class_sizes`; the rest as in `landscape solve`."""

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
    """Where descent begins: random starts have seeds and scales, known structures a root; those are analysed where they are."""

    kind: Annotated[tuple[Annotated[str, AfterValidator(checked_start)], ...], Axis] = (RANDOM,)
    seed: Annotated[tuple[Seed, ...], Axis] = (0,)
    weight_scale: Annotated[tuple[Scale, ...], Axis] = (1.0,)
    feature_scale: Annotated[tuple[Scale, ...], Axis] = (1.0,)
    root: Annotated[tuple[Literal["large", "small"], ...], Axis] = ("large",)


@dataclass(frozen=True, config=CLOSED)
class Methods:
    """What follows a random start, as in `landscape prevalence`; what is not given is the method's own default."""

    name: Annotated[tuple[DescentName, ...], Axis] = ("ptc",)
    learning_rate: Annotated[tuple[Positive, ...], Axis] | None = None
    max_steps: Annotated[tuple[Steps, ...], Axis] | None = None
    handover: Annotated[tuple[Positive, ...], Axis] | None = None


@dataclass(frozen=True, config=CLOSED)
class Analyses:
    """How zeros are counted: "reduction" alone (linear models), or "auto", which confirms it by a second route."""

    method: Annotated[tuple[AnalysisName, ...], Axis] = ("reduction",)


@dataclass(frozen=True, config=CLOSED)
class Grid:
    """All combinations of the settings of four sections, and how to run them.

    Attributes:
        problem: The models.
        start: Where descent begins.
        method: What follows.
        analysis: What is counted at the end.
        zip: Groups of settings, each "section.name", that advance together and so have equally many values.
        points: Whether a record has the parameters of the point too, as a file that `landscape degeneracy` reads.
        engine: Where the jobs run; not part of any job's identity.
    """

    problem: Problems
    start: Starts = Field(default_factory=Starts)
    method: Methods = Field(default_factory=Methods)
    analysis: Analyses = Field(default_factory=Analyses)
    zip: tuple[tuple[str, ...], ...] = ()
    points: Annotated[bool, Field(strict=True)] = True
    engine: EngineSettings = Field(default_factory=EngineSettings)

    @property
    def axes(self) -> dict[str, tuple[Any, ...]]:
        """The values of every given setting, by "section.name"."""
        sections = {"problem": self.problem, "start": self.start, "method": self.method, "analysis": self.analysis}
        named = {f"{part}.{name}": values for part, section in sections.items() for name, values in vars(section).items()}
        return {name: values for name, values in named.items() if isinstance(values, tuple)}

    @property
    def combinations(self) -> int:
        """How many there are, without making them."""
        return math.prod(len(rows) for _, rows in self._groups())

    def jobs(self) -> Iterator[Job]:
        """Yields the jobs, each once."""
        seen: set[str] = set()
        for job in _combined(self._groups()):
            if job.digest not in seen:
                seen.add(job.digest)
                yield job

    def models(self) -> Iterator[Job]:
        """Yields a job of every problem and structure: the settings that must fit each other, with the first of the others."""
        matter = {name for name in self.axes if name.startswith("problem.")} | {"start.kind", "start.root"}
        if not any(isinstance(decay, tuple) for decay in self.problem.decay):
            matter.remove("problem.decay")
        groups = []
        for names, rows in self._groups():
            distinct = {tuple(value for name, value in zip(names, row, strict=True) if name in matter): row for row in rows}
            groups.append((names, list(distinct.values())))
        return _combined(groups)

    def _groups(self) -> list[tuple[tuple[str, ...], list[tuple[Any, ...]]]]:
        """Settings that advance together, with their rows; a setting that is in no group is one of its own."""
        axes = self.axes
        grouped = {name for group in self.zip for name in group}
        groups = [*self.zip, *((name,) for name in axes if name not in grouped)]
        return [(group, list(zip(*(axes[name] for name in group), strict=True))) for group in groups]


def _combined(groups: list[tuple[tuple[str, ...], list[tuple[Any, ...]]]]) -> Iterator[Job]:
    names = [name for group, _ in groups for name in group]
    for rows in itertools.product(*(rows for _, rows in groups)):
        yield _job(dict(zip(names, itertools.chain.from_iterable(rows), strict=True)))


def _job(values: dict[str, Any]) -> Job:
    sizes = values.get("problem.class_sizes") or (values["problem.samples"],) * values["problem.classes"]
    return Job(
        class_sizes=sizes,
        width=values["problem.width"],
        depth=values["problem.depth"],
        decay=values["problem.decay"],
        loss=values["problem.loss"],
        activation=values["problem.activation"],
        start=values["start.kind"],
        seed=values["start.seed"],
        scales=(values["start.weight_scale"], values["start.feature_scale"]),
        root=values["start.root"],
        method=values["method.name"],
        learning_rate=values.get("method.learning_rate"),
        max_steps=values.get("method.max_steps"),
        handover=values.get("method.handover"),
        analysis=values["analysis.method"],
    ).canonical


def read_grid(path: Path) -> Grid:
    r"""Reads a grid file.

    Example:
        >>> import landscape as ls
        >>> import tempfile
        >>> from pathlib import Path
        >>> text = "problem = { classes = 3, samples = 1, width = [4, 5], depth = 2, decay = 0.02 }\nengine = { workers = 0 }"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "grid.toml").write_text(text)
        ...     grid = ls.read_grid(Path(folder, "grid.toml"))
        >>> grid.combinations
        2

    Raises:
        InputError: If it cannot be read or is no grid; the message names the line and the key.
    """
    text = read_text(path, _LARGEST_FILE, "a grid in TOML")
    try:
        fields = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # not TOML, or a number of thousands of digits
        place = re.search(r"line (\d+)", str(error))
        raise InputError(f"{path}:{place[1] if place else 1}: expected TOML: {error}") from error
    return parse_grid(fields, lambda place: f"{path}:{line_of(text, place)}: ")


def parse_grid(fields: dict[str, Any], where: Any = lambda place: "") -> Grid:
    """Returns the grid of a TOML table.

    Args:
        fields: The table.
        where: From the keys that lead to a fault to what the message begins with.

    Raises:
        InputError: If it is no grid, or has no job, or too many.
    """
    try:
        grid = TypeAdapter(Grid).validate_python(fields)
    except ValidationError as error:
        raise InputError(_fault(error, fields, where)) from error
    for place, fault in _inconsistencies(grid):
        raise InputError(f"{where(place)}{'.'.join(map(str, place))}: {fault}")
    if (count := grid.combinations) > LARGEST:
        sizes = ", ".join(f"{name} {len(values)}" for name, values in grid.axes.items() if len(values) > 1)
        raise InputError(f"{where(('problem',))}expected at most {LARGEST} jobs, got {count}: {sizes} values")
    for job in grid.models():
        if found := misfit(job):
            place, fault = found
            raise InputError(f"{where(place)}{'.'.join(place)}: {fault}, got {_cut(str(job), 160)}")
    return grid


def _inconsistencies(grid: Grid) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yields the place and the reason of what no single setting shows."""
    problem, axes = grid.problem, grid.axes
    if problem.class_sizes is not None and (problem.classes is not None or problem.samples is not None):
        yield ("problem", "class_sizes"), "expected either class_sizes, or classes and samples, got both"
    if problem.class_sizes is None and (problem.classes is None or problem.samples is None):
        yield ("problem",), "expected classes and samples, or class_sizes"
    if grid.method.learning_rate is not None and "gd" not in grid.method.name:
        yield ("method", "learning_rate"), "expected it only with name = 'gd'"
    seen: set[str] = set()
    for index, group in enumerate(grid.zip):
        if not group:
            yield ("zip", index), "expected at least one setting, got []"
        for name in group:
            if name not in axes:
                yield ("zip", index), f"expected settings that the grid has, such as problem.width, got {name!r}"
            elif name in seen:
                yield ("zip", index), f"expected every setting once, got {name!r} again"
            seen.add(name)
        lengths = {name: len(axes[name]) for name in group if name in axes}
        if len(set(lengths.values())) > 1:
            yield ("zip", index), f"expected equally many values of each, got {lengths}"


def _fault(error: ValidationError, fields: dict[str, Any], where: Any) -> str:
    """Returns the worst fault in one line: the place, what was expected, what came."""
    faults = error.errors(include_url=False)
    first = next((fault for fault in faults if fault["type"] == "unexpected_keyword_argument"), faults[0])
    place = tuple(part for part in first["loc"] if not (isinstance(part, str) and re.search(r"[\[\]()]|^(float|str|int)$", part)))
    section = fields.get(str(place[0]))
    if len(place) == 3 and isinstance(section, dict) and not isinstance(section.get(place[1]), list):
        place = place[:2]  # one value is a list of one only to us
    key, message = ".".join(map(str, place)), first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return f"{where(place)}{key}: expected this setting, got none"
    if first["type"] == "unexpected_keyword_argument":
        return f"{where(place)}{key}: unknown key"
    if first["type"] == "string_pattern_mismatch":
        message = f"expected {PATTERNS[str(place[-1])]}"
    if first["type"] == "dataclass_type":
        message = "expected a table"
    message = re.sub(r"^(Input|String) should be", "expected", message)
    return f"{where(place)}{key}: {_cut(message, 200)}, got {_cut(repr(first['input']), 80)}"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."


def line_of(text: str, place: tuple[str | int, ...]) -> int:
    """Returns the line of a TOML text where the key that `place` leads to is set, or the nearest table above it."""
    names = [str(part) for part in place if isinstance(part, str)]
    table: list[str] = []
    found = 1
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[+\s*([^\[\]#]+?)\s*\]+\s*(?:#.*)?$", line)
        setting = re.match(r"""\s*([\w.\s"'-]+?)\s*=""", line)
        found_keys = header or setting
        keys = [part.strip(" \"'") for part in found_keys[1].split(".")] if found_keys else []
        if header:
            table, path = keys, keys
        else:
            path = [*table, *keys]
        if path and path[: len(names)] == names:
            return number
        if keys and path == names[: len(path)]:
            found = number
    return found
