"""A grid: which jobs a sweep has and how it runs them, read from a TOML file and validated before anything runs.

Every setting is one value, a list or a range (`axis.py`). The jobs are all combinations; settings named together in `zip` advance
together. Combinations that are the same job count once.
"""

import itertools
import math
import re
import tomllib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import Field, SkipValidation, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from landscape.archive.experiment import RANDOM, UNSWAPPED, Altered, Analysis, Beginning, Experiment, SavedPoint
from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.plain_file import read_text
from landscape.solver.methods import BatchMethod, GradientDescent, PseudoTransient, Random
from landscape.structures.fit import require_fit
from landscape.structures.notation import parse_structure
from landscape.studies.starts.swap import altered, located, parse_swap, swap_of
from landscape.sweep.axis import CLOSED, LARGEST
from landscape.sweep.files import SavedFile, saved_files
from landscape.sweep.sections import Analyses, FlagOrPoints, Methods, Points, Problems, Starts
from landscape.sweep.settings import PATTERNS, EngineSettings

SEED = "start.seed"
_LARGEST_FILE = 1_000_000  # bytes
# of a job that does not fit
_SHOWN = (
    "classes",
    "samples",
    "class_sizes",
    "width",
    "depth",
    "loss",
    "activation",
    "kind",
    "root",
    "swap",
)  # of a job that does not fit
_NUMBERS = 10**10  # in one matrix or vector of a job: 80 GB, beyond what fits anywhere, and within what torch can count


@dataclass(frozen=True, config=CLOSED)
class Grid:
    """All combinations of the settings of four sections, or points that people have, and how to run them.

    Attributes:
        problem: The models; None where all jobs are saved points.
        start: Where descent begins.
        method: Methods that follow random starts.
        analysis: Analyses of the end points.
        zip: Groups of settings, each "section.name", that advance together and so have equally many values.
        points: Whether a record has the parameters of the point too; or a section of saved points to analyse.
        engine: Where the jobs run; not part of any job's identity.
        saved: The files that the section of saved points names; filled when the grid is read.
    """

    problem: Problems | None = None
    start: Starts = Field(default_factory=Starts)
    method: Methods = Field(default_factory=Methods)
    analysis: Analyses = Field(default_factory=Analyses)
    zip: tuple[tuple[str, ...], ...] = ()
    points: FlagOrPoints = True
    engine: EngineSettings = Field(default_factory=EngineSettings)
    saved: SkipValidation[tuple[SavedFile, ...]] = Field(default=(), init=False)

    @property
    def keeps_points(self) -> bool:
        """Whether records have the parameters of their points."""
        return self.points.keep if isinstance(self.points, Points) else self.points

    @property
    def axes(self) -> dict[str, tuple[Any, ...]]:
        """The values of every given setting, by "section.name"."""
        if self.problem is None:
            return {}
        sections = {"problem": self.problem, "start": self.start, "method": self.method, "analysis": self.analysis}
        named = {f"{part}.{name}": values for part, section in sections.items() for name, values in vars(section).items()}
        return {name: values for name, values in named.items() if isinstance(values, tuple)}

    @property
    def combinations(self) -> int:
        """How many there are, without making them."""
        return (math.prod(len(rows) for _, rows in self._groups()) if self.problem else 0) + len(self.saved)

    def jobs(self) -> Iterator[Experiment]:
        """Yields the jobs, each once."""
        seen: set[str] = set()
        for job in self.candidates():
            if job.digest not in seen:
                seen.add(job.digest)
                yield job

    def candidates(self) -> Iterator[Experiment]:
        """Yields the job of every combination, those that are the same more than once; starts of one family follow each other."""
        for job, seeds in self.families():
            yield from map(job.with_seed, seeds) if seeds else (job,)

    def families(self) -> Iterator[tuple[Experiment, tuple[int, ...]]]:
        """Yields one job of every family with all the seeds that it has, none where that is its only one.

        A million jobs that differ in their seeds alone are so named without being made.
        """
        *others, (names, rows) = self._groups() or [((), [])]
        if self.problem and names == (SEED,):
            seeds = tuple(seed for (seed,) in rows)
            for values in _combined(others):
                job = _job({**values, SEED: seeds[0]})
                yield job, () if job.random is None else seeds
        elif self.problem:
            yield from ((_job(values), ()) for values in _combined(self._groups()))
        yield from ((job, ()) for job in self._saved_jobs())

    def _saved_jobs(self) -> Iterator[Experiment]:
        if isinstance(self.points, Points):
            analysis = Analysis(self.points.method, self.points.spectrum, self.points.proof)
            for file in self.saved:
                yield Experiment(file.problem, file.start, analysis=analysis)

    def models(self) -> Iterator[dict[str, Any]]:
        """Yields the settings of every problem and structure that must fit each other, with the first of the others."""
        matter = {name for name in self.axes if name.startswith("problem.")} | {"start.kind", "start.root", "start.swap"}
        if self.problem is None:
            return
        if not any(isinstance(decay, tuple) for decay in self.problem.decay):
            matter.remove("problem.decay")
        groups = []
        for names, rows in self._groups():
            distinct = {tuple(value for name, value in zip(names, row, strict=True) if name in matter): row for row in rows}
            groups.append((names, list(distinct.values())))
        yield from _combined(groups)

    def _groups(self) -> list[tuple[tuple[str, ...], list[tuple[Any, ...]]]]:
        """Settings that advance together, with their rows; a setting that is in no group is one of its own. Seeds come last."""
        axes = self.axes
        grouped = {name for group in self.zip for name in group}
        groups = [*self.zip, *((name,) for name in axes if name not in grouped)]
        groups.sort(key=lambda group: SEED in group)
        return [(group, list(zip(*(axes[name] for name in group), strict=True))) for group in groups]


def _combined(groups: list[tuple[tuple[str, ...], list[tuple[Any, ...]]]]) -> Iterator[dict[str, Any]]:
    names = [name for group, _ in groups for name in group]
    for rows in itertools.product(*(rows for _, rows in groups)):
        yield dict(zip(names, itertools.chain.from_iterable(rows), strict=True))


def _job(values: dict[str, Any]) -> Experiment:
    return Experiment(_problem(values), _beginning(values), _method(values), Analysis(values["analysis.method"]))


def _problem(values: dict[str, Any]) -> Problem:
    sizes = values.get("problem.class_sizes") or (values["problem.samples"],) * values["problem.classes"]
    return _made(sizes, *(values[f"problem.{name}"] for name in ("width", "depth", "decay", "loss", "activation")))


@lru_cache(maxsize=16)
def _made(*settings: Any) -> Problem:
    """The same problem for all its seeds: it is checked once, and held once."""
    return Problem(*settings)


def _beginning(values: dict[str, Any]) -> Beginning:
    if values["start.kind"] == RANDOM:
        random = Random(values["start.weight_scale"], values["start.feature_scale"], values["start.seed"])
        swap = values.get("start.swap", UNSWAPPED)
        return random if swap == UNSWAPPED else altered(random, swap)
    return parse_structure(values["start.kind"], values["start.root"])


def _check_swap(problem: Problem, start: Altered) -> None:
    if (swap := swap_of(start)) is not None:
        swap.check(problem)


def _swaps(texts: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    """Returns the swaps with their files found from the folder of the grid, after reading each."""
    found = tuple(text if text == UNSWAPPED else located(text, folder) for text in texts)
    for text in {*found} - {UNSWAPPED}:
        parse_swap(text)
    return found


def _method(values: dict[str, Any]) -> BatchMethod:
    names = {"learning_rate": "learning_rate", "max_steps": "max_steps", "handover": "tolerance"}
    given = {ours: values[f"method.{name}"] for name, ours in names.items() if f"method.{name}" in values}
    if values["method.name"] == "gd":
        return GradientDescent(**given)
    return PseudoTransient(**{name: value for name, value in given.items() if name != "learning_rate"})


def _misfit(values: dict[str, Any]) -> tuple[tuple[str, ...], str] | None:
    """Returns the setting that does not fit the others of a job, and what was expected; None if they fit."""
    place: tuple[str, ...] = ("problem", "decay")
    try:
        problem, start = _problem(values), _beginning(values)
        place = ("problem",)
        random = isinstance(start, Random | Altered)
        numbers = problem.parameters if random else problem.classes * max(problem.total_samples, problem.classes)
        if numbers > _NUMBERS:
            raise InputError(f"expected at most {_NUMBERS} {'parameters' if random else 'logits'}, got {numbers}")
        place = ("start", "swap")
        if isinstance(start, Altered):
            _check_swap(problem, start)
        place = ("start", "kind")
        if not isinstance(start, Random | Altered | SavedPoint):
            require_fit(problem, start)
    except InputError as error:
        return place, str(error)
    return None


def read_grid(path: Path | str) -> Grid:
    r"""Reads a grid file.

    Example:
        >>> import landscape as ls
        >>> import tempfile
        >>> from pathlib import Path
        >>> text = "problem = { classes = 3, samples = 1, width = [4, 5], depth = 2, decay = 0.02 }\nengine = { workers = 0 }"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "grid.toml").write_text(text)
        ...     grid = ls.read_grid(f"{folder}/grid.toml")
        >>> grid.combinations
        2

    Raises:
        InputError: If it cannot be read or is no grid; the message names the line and the key.
    """
    path = Path(path)
    text = read_text(path, _LARGEST_FILE, "a grid in TOML")
    try:
        fields = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # not TOML, or a number of thousands of digits
        place = re.search(r"line (\d+)", str(error))
        raise InputError(f"{path}:{place[1] if place else 1}: expected TOML: {error}") from error
    return parse_grid(fields, lambda place: f"{path}:{line_of(text, place)}: ", path.parent)


def parse_grid(fields: dict[str, Any], where: Any = lambda place: "", folder: Path = Path()) -> Grid:
    """Returns the grid of a TOML table.

    Args:
        fields: Table of a TOML file.
        where: Function from the keys that lead to a fault to the beginning of the message.
        folder: Where the patterns of saved points and the files of swaps begin.

    Raises:
        InputError: If it is no grid, or has no job, or too many, or a saved point cannot be read.
    """
    try:
        grid = TypeAdapter(Grid).validate_python(fields)
    except ValidationError as error:
        raise InputError(_fault(error, fields, where)) from error
    for place, fault in _inconsistencies(grid):
        raise InputError(f"{where(place)}{'.'.join(map(str, place))}: {fault}")
    if grid.start.swap is not None:
        try:
            object.__setattr__(grid.start, "swap", _swaps(grid.start.swap, folder))
        except InputError as error:
            raise InputError(f"{where(('start', 'swap'))}start.swap: {error}") from error
    if isinstance(grid.points, Points):
        try:
            object.__setattr__(grid, "saved", saved_files(grid.points.files, folder))  # no key of the file: it cannot be given
        except InputError as error:
            raise InputError(f"{where(('points', 'files'))}points.files: {error}") from error
    if (count := grid.combinations) > LARGEST:
        sizes = ", ".join(f"{name} {len(values)}" for name, values in grid.axes.items() if len(values) > 1)
        raise InputError(f"{where(('problem',))}expected at most {LARGEST} jobs, got {count}: {sizes} values")
    for values in grid.models():
        if found := _misfit(values):
            place, fault = found
            job = ", ".join(f"{name.partition('.')[2]} {value}" for name, value in values.items() if name.split(".")[-1] in _SHOWN)
            raise InputError(f"{where(place)}{'.'.join(place)}: {fault} ({_cut(job, 160)})")
    return grid


def _inconsistencies(grid: Grid) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yields the place and the reason of what no single setting shows."""
    problem, axes = grid.problem, grid.axes
    if problem is None:
        if not isinstance(grid.points, Points):
            yield ("problem",), "expected a table of problems, or a table of points with files, got neither"
        if grid.zip:
            yield ("zip",), "expected it only with a table of problems"
        return
    if problem.class_sizes is not None and (problem.classes is not None or problem.samples is not None):
        yield ("problem", "class_sizes"), "expected either class_sizes, or classes and samples, got both"
    if problem.class_sizes is None and (problem.classes is None or problem.samples is None):
        yield ("problem",), "expected classes and samples, or class_sizes"
    if grid.method.learning_rate is not None and "gd" not in grid.method.name:
        yield ("method", "learning_rate"), "expected it only with name = 'gd'"
    yield from _uneven(grid.zip, axes)


def _uneven(groups: tuple[tuple[str, ...], ...], axes: dict[str, tuple[Any, ...]]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yields what is wrong with the groups of settings that advance together."""
    seen: set[str] = set()
    for index, group in enumerate(groups):
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
    place = tuple(
        part for part in first["loc"] if not (isinstance(part, str) and re.search(r"[\[\]()]|^(float|str|int|flag|table)$", part))
    )
    section = fields.get(str(place[0]))
    if len(place) == 3 and isinstance(section, dict) and not isinstance(section.get(place[1]), list):
        place = place[:2]  # one value is a list of one only to us
    key, message = ".".join(map(str, place)), first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return f"{where(place)}{key}: expected this setting, got none"
    if first["type"] == "unexpected_keyword_argument":
        return f"{where(place)}{key}: unknown key"
    if first["type"] == "string_pattern_mismatch":
        message = f"expected {PATTERNS[next(str(part) for part in reversed(place) if not isinstance(part, int))]}"
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
