"""One experiment as a value, and its identity: the digest of everything that its result depends on. Imports no torch."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, lru_cache
from typing import Any, Literal

from landscape.model.problem import Problem
from landscape.seal import canonical_json, digest_of, text_digest, text_digests
from landscape.solver.methods import BatchMethod, GradientDescent, PseudoTransient, Random
from landscape.structures.blocks import label
from landscape.structures.kinds import Apex, Blocks, Collapse, Pairs, Partition, Structure, Zero
from landscape.structures.names import name

NUMERICS = 1  # raised by whoever changes the code so that an experiment gives other numbers: all records are then computed anew
DTYPE = "float64"
RANDOM = "random"
UNSWAPPED = "none"  # among swaps: the start as drawn

AnalysisName = Literal["auto", "reduction", "dense", "inertia", "quotient", "deflated", "recurrence", "lowrank", "lanczos"]
_METHODS: dict[type[BatchMethod], str] = {PseudoTransient: "ptc", GradientDescent: "gd"}
_ONE_WORD: dict[type, str] = {Random: RANDOM, Collapse: "dnc", Pairs: "pairs", Apex: "apex", Zero: "zero"}
_WRITTEN = {"tolerance": "handover"}  # settings of the methods that an identity calls otherwise


@dataclass(frozen=True)
class SavedPoint:
    """A start that people have: the file of a saved point, analysed where it is.

    Attributes:
        content: The sha256 of the file, which is part of the identity.
        path: Where the file is, as the workers see it; not part of the identity.
        name: The file relative to the folder of its grid, as tables show it; not part of the identity.
    """

    content: str
    path: str = field(compare=False)
    name: str = field(compare=False)


@dataclass(frozen=True)
class Altered:
    """A random start with one part replaced, or in the few directions that descent reaches; `studies.starts` makes it.

    Attributes:
        random: The random start as it is drawn, before any change.
        swap: Change of the start, as typed; empty for none.
        groups: Groups of directions that are kept (T); None for a full start.
        content: The sha256 of given features, which is part of the identity in place of their file; empty without any.
    """

    random: Random
    swap: str = ""
    groups: int | None = None
    content: str = ""

    @property
    def changes(self) -> str:
        """The swap without the path of a file, as an identity has it."""
        if not self.content:
            return self.swap
        return "+".join("features:file" if part.startswith("features:") else part for part in self.swap.split("+"))


Beginning = Random | Altered | Structure | SavedPoint


@dataclass(frozen=True)
class Analysis:
    """What is computed at the end of an experiment.

    Attributes:
        method: How the zeros are counted: "reduction" alone, or "auto", which takes a second route. A saved point may have others.
        spectrum: Whether the record has the eigenvalues with their multiplicities too.
        proof: Whether the counts are proved wherever a proof exists, whatever it takes.
    """

    method: AnalysisName = "reduction"
    spectrum: bool = False
    proof: bool = False


@dataclass(frozen=True)
class Experiment:
    """A random start followed to a critical point and analysed; or a known structure or a saved point, analysed where it is.

    Two experiments that have the same result by definition are one value. A structure has no method. One layer has nothing to
    rectify, so its activation is linear. Equal decays of all factors are one decay. Groups of a partition of equal classes stand
    from large to small. A rectified model is counted by "auto", since the reduction is for linear models.

    Attributes:
        problem: The model whose loss is minimised.
        start: Where descent begins, or what is analysed.
        method: Method that follows a random start; None for the other starts.
        analysis: What is computed at the end point.
    """

    problem: Problem
    start: Beginning = field(default_factory=Random)
    method: BatchMethod | None = field(default_factory=PseudoTransient)
    analysis: Analysis = field(default_factory=Analysis)

    def __post_init__(self) -> None:
        problem = self.problem
        if problem.depth == 1 and problem.activation != "linear":
            problem = replace(problem, activation="linear")
        if isinstance(problem.decay, tuple) and len(set(problem.decay)) == 1:
            problem = replace(problem, decay=problem.decay[0])
        object.__setattr__(self, "problem", problem)
        if not problem.is_linear and self.analysis.method == "reduction" and not isinstance(self.start, SavedPoint):
            object.__setattr__(self, "analysis", replace(self.analysis, method="auto"))
        if isinstance(self.start, Partition) and problem.is_balanced:
            object.__setattr__(self, "start", _ordered(self.start))
        if isinstance(self.start, Altered) and not self.start.swap and self.start.groups is None:
            object.__setattr__(self, "start", self.start.random)
        object.__setattr__(self, "method", None if self.random is None else self.method or PseudoTransient())

    @property
    def random(self) -> Random | None:
        """The random start, before anything in it is altered; None for the other starts."""
        match self.start:
            case Random() as drawn:
                return drawn
            case Altered(random=drawn):
                return drawn
            case _:
                return None

    @property
    def seed(self) -> int | None:
        """The seed of a random start; None for the other starts."""
        return None if self.random is None else self.random.seed

    def with_seed(self, seed: int) -> "Experiment":
        """Returns the experiment from another random start.

        Raises:
            TypeError: If its start is not random.
        """
        if self.random is None:
            raise TypeError(f"expected a random start, got {start_text(self.start)}")
        drawn = replace(self.random, seed=seed)
        return replace(self, start=replace(self.start, random=drawn) if isinstance(self.start, Altered) else drawn)

    @property
    def family(self) -> "Experiment":
        """The experiment with seed 0: random starts of one family can be solved as one batch."""
        return self if self.random is None else self.with_seed(0)

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that the result depends on, as JSON; settings of the method at their defaults are left out."""
        problem, method = self.problem, self.method
        decay = [float(value) for value in problem.decay] if isinstance(problem.decay, tuple) else float(problem.decay)
        extras = {name: True for name in ("spectrum", "proof") if getattr(self.analysis, name)}
        return {
            "numerics": NUMERICS,
            "dtype": DTYPE,
            "problem": {**problem.as_dict(), "class_sizes": list(problem.class_sizes), "decay": decay},
            "start": _start_identity(self.start),
            "method": {} if method is None else {"name": _METHODS[type(method)], **_changed(method)},
            "analysis": {"method": self.analysis.method, **extras},
        }

    @cached_property
    def digest(self) -> str:
        """The name of the record, 64 hexadecimal digits."""
        if not isinstance(self.start, Random):
            return digest_of(self.identity)
        # the same text, of which a grid changes only the start: what stands around it is made once
        before, after = _around(self.problem, self.method, self.analysis, (NUMERICS, repr(self.method)))
        return text_digest(f"{before}{canonical_json(_start_identity(self.start))}{after}")

    def digests(self, seeds: Iterable[int]) -> Iterator[str]:
        """Yields the digest that the experiment has with each seed: their texts differ in the seed alone.

        Raises:
            TypeError: If its start is not random.
        """
        before, seed, after = canonical_json(self.with_seed(0).identity).partition('"seed":0')
        yield from text_digests(before + seed[:-1], map(str, seeds), after)

    def __str__(self) -> str:
        problem, seed = self.problem, "" if self.seed is None else f" seed={self.seed}"
        sizes, decay = ",".join(map(str, problem.class_sizes)), ",".join(f"{value:g}" for value in _listed(problem.decay))
        follows = "" if self.method is None else f" {_METHODS[type(self.method)]}"
        root = getattr(self.start, "root", None)
        start = f"{start_text(self.start)}{seed}{follows}" + (f" {root}" if isinstance(root, str) else "")
        return f"sizes={sizes} d={problem.width} L={problem.depth} decay={decay} {problem.loss} {problem.activation} {start}"


@lru_cache(maxsize=64)
def _around(problem: Problem, method: BatchMethod | None, analysis: Analysis, version: tuple[int, str]) -> tuple[str, str]:
    """Returns the canonical text of an identity before and after that of its start.

    Args:
        problem: The model.
        method: What follows the start.
        analysis: What is computed at the end.
        version: Of the numerics, and the settings as digits: 1 and 1.0 are equal, and two texts.
    """
    identity = {**Experiment(problem, Random(), method, analysis).identity, "start": None}
    before, _, after = canonical_json(identity).rpartition("null")
    return before, after


def _ordered(partition: Partition) -> Partition:
    """Returns the partition with its groups from large to small; of equal groups those at the large root come first."""
    pairs = sorted(zip(partition.groups, partition.roots, strict=True), key=lambda pair: (-pair[0], pair[1]))
    return Partition(tuple(size for size, _ in pairs), tuple(root for _, root in pairs))


def start_text(start: Beginning) -> str:
    """Returns what an identity calls a start. Folders hold records under these names, so that none of them may change."""
    match start:
        case Random() | Collapse() | Pairs() | Apex() | Zero():
            return _ONE_WORD[type(start)]
        case Partition() | Blocks() if isinstance(start.root, tuple):
            return name(start)
        case Partition(groups):
            return f"partition:{','.join(map(str, groups))}"
        case Blocks(blocks):
            return f"blocks:{'+'.join(map(label, blocks))}"
        case Altered():
            swap = f" {start.changes}" if start.swap else ""
            return f"{RANDOM}{swap}" + ("" if start.groups is None else f" groups={start.groups}")
        case SavedPoint():
            return f"file {start.name}"


def _start_identity(start: Beginning) -> dict[str, Any]:
    match start:
        case Random(weight_scale, feature_scale, seed):
            return {"kind": RANDOM, "seed": seed, "scales": [float(weight_scale), float(feature_scale)]}
        case Altered(random, swap, groups, content):
            said = {"swap": start.changes if swap else None, "groups": groups, "sha256": content or None}
            return {
                **_start_identity(random),
                "kind": start_text(start),
                **{name: value for name, value in said.items() if value is not None},
            }
        case SavedPoint(content):
            return {"kind": "file", "sha256": content}
        case Partition() | Blocks() if isinstance(start.root, tuple):  # the text has the root of each group
            return {"kind": start_text(start)}
        case Apex() | Zero():
            return {"kind": start_text(start)}
        case _:
            return {"kind": start_text(start), "root": start.root}


def _changed(method: BatchMethod) -> dict[str, Any]:
    """Returns the settings of a method that are not its defaults."""
    settings = {each.name: (getattr(method, each.name), each.default) for each in fields(method)}
    return {_WRITTEN.get(name, name): value for name, (value, default) in settings.items() if value != default}


def _listed(decay: float | tuple[float, ...]) -> tuple[float, ...]:
    return decay if isinstance(decay, tuple) else (decay,)
