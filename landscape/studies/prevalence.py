"""How often does descent from random starts end at each structure? Counts with intervals, in a folder that can be continued.

A study is a problem, a distribution of starts and a method; seed i of a study is one experiment, and its record is one file.
What is asked of a study is always the first n seeds, so that fast descents are not counted before slow ones.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import NormalDist
from typing import Any

import torch

from landscape import __version__
from landscape.atomic_files import atomic_write
from landscape.degeneracy.analysis import analyse
from landscape.degeneracy.methods import MethodName
from landscape.display import brief
from landscape.errors import InputError
from landscape.model.objective import Objective, class_means
from landscape.model.problem import Problem
from landscape.points.point import Origin, Outcome
from landscape.solver.methods import PseudoTransient
from landscape.solver.pool import Arrival, BatchMethod, Start, solve_batch
from landscape.structures.fingerprint import Fingerprint, label_unnamed
from landscape.studies.starts.krylov import gauge_zeros_outside
from landscape.studies.starts.seeds import describe, followed, seeded_start
from landscape.studies.starts.swap import Swap

FOLDER_FORMAT = 1  # of the folder; records of another format are refused, never mixed
CONFIDENCE = 0.95
_FEWEST = 10  # seeds before a sequential run may stop: Wilson's interval of fewer is never narrow by more than luck


@dataclass(frozen=True)
class Study:
    """What is sampled: W_l ~ N(0, weight_scale^2 / d), H_1 ~ N(0, feature_scale^2), followed by one method.

    The paper does not state its scales; both decide how often DNC is found. A swap replaces a part of every start. With `groups`
    the starts are followed in the directions that descent reaches first (`studies.starts.krylov`); the counts stay those of the width.
    """

    problem: Problem
    weight_scale: float = 1.0
    feature_scale: float = 1.0
    method: BatchMethod = field(default_factory=PseudoTransient)
    swap: Swap | None = None
    groups: int | None = None

    @property
    def followed(self) -> Problem:
        """The problem in which the starts are followed: narrower than `problem` if there are groups."""
        return followed(self.problem, self.swap, self.groups)

    def start(self, seed: int, device: str = "cpu") -> Start:
        """Returns the start of a seed, the same on every device."""
        scales = self.weight_scale, self.feature_scale
        _, theta = seeded_start(self.problem, scales, seed, self.swap, self.groups)
        return Start(theta.to(device), Origin(describe(scales, self.swap, self.groups, self.problem), seed=seed))

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form of everything that an end point depends on."""
        return {
            "problem": self.problem.as_dict(),
            "weight_scale": self.weight_scale,
            "feature_scale": self.feature_scale,
            "method": repr(self.method),
            **({} if self.swap is None else {"swap": self.swap.as_dict()}),
            **({} if self.groups is None else {"groups": self.groups}),
        }

    @property
    def folder_name(self) -> str:
        """The same for equal studies: width, decay and a digest of the rest."""
        digest = hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()[:12]
        return f"d{self.problem.width}-decay{self.problem.mean_decay:.3g}-{digest}"


@dataclass(frozen=True)
class EndPoint:
    """Where one seed ended, what that is and how degenerate.

    Attributes:
        seed: Of the start.
        structure: Its name, "unnamed rank r", or for a seed that did not converge its last look.
        rank: Of the factors; without a common rank that of the class-mean logits (singular values above 1 % of the largest).
        loss: With weight decay.
        gradient_norm: There.
        outcome: Name of the `Outcome`; anything but CONVERGED is counted as not converged.
        steps: Of descent and polish.
        products: Gradients and Hessian products.
        index: Negative Hessian eigenvalues, None where that is not certain.
        nullity: Zero eigenvalues, likewise.
        orbit_dimension: Zeros that the gauge group explains, likewise.
        singular: Of the class-mean logits times sqrt(class size), descending.
        record: Rows (steps, loss, gradient norm, rank) along the way, thinned.
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
    record: tuple[tuple[int, float, float, int], ...]

    __repr__ = brief

    @classmethod
    def of(cls, arrival: Arrival, method: MethodName | None = None, width: int | None = None) -> "EndPoint":
        """Returns the record of an arrival, with its name and its measured degeneracy.

        Args:
            arrival: Where the seed ended.
            method: Of the count; None takes one route alone where that is exact, since there may be thousands of seeds.
            width: Of the model that the counts are for; None for that of the arrival.
        """
        point = arrival.point
        method = method or ("reduction" if point.problem.is_linear else "auto")
        report = analyse(point, method) if point.outcome is Outcome.CONVERGED else None
        wider = 0 if report is None or width is None else gauge_zeros_outside(point.problem, report.rank or 0, width)
        last = arrival.ranks[-1] if arrival.ranks else 0
        rank = report.rank if report and report.rank is not None else last
        logits = class_means(point.problem, Objective.of(point.problem, point.theta).logits(point.theta))
        mark = Fingerprint.of(point.loss, logits, point.problem.class_sizes, rank)
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
    def from_dict(cls, fields: dict[str, Any]) -> "EndPoint":
        """Reads the JSON form back (`dataclasses.asdict` writes it)."""
        lists = {"singular": tuple(fields["singular"]), "record": tuple(tuple(row) for row in fields["record"])}
        return cls(**{**fields, **lists})

    @property
    def converged(self) -> bool:
        """Whether it is a critical point."""
        return self.outcome == Outcome.CONVERGED.name

    @property
    def fingerprint(self) -> Fingerprint:
        """What makes it the same structure as another without a name."""
        return Fingerprint(self.rank, math.inf if self.loss is None else self.loss, self.singular)


@dataclass(frozen=True)
class Prevalence:
    """The first n seeds of a study.

    Attributes:
        study: What was sampled.
        ends: One per seed, in the order of the seeds.
        labels: Of each end point: its structure, with the loss where it has no name.
    """

    study: Study
    ends: tuple[EndPoint, ...]
    labels: tuple[str, ...]

    @classmethod
    def of(cls, study: Study, ends: Sequence[EndPoint]) -> "Prevalence":
        """Returns the end points with those of one unnamed structure under one label."""
        labels = label_unnamed([(end.structure, end.fingerprint) for end in ends])
        return cls(study, tuple(ends), tuple(labels))

    def __repr__(self) -> str:
        found = ", ".join(f"{name} {count}" for name, count in self.counts.items())
        return f"Prevalence({len(self.ends)} seeds: {found}; {self.non_converged} not converged; {self.study.problem})"

    @property
    def counts(self) -> dict[str, int]:
        """How many seeds ended at each structure, the most frequent first; those that did not converge are not in it."""
        found = Counter(label for label, end in zip(self.labels, self.ends, strict=True) if end.converged)
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    @property
    def non_converged(self) -> int:
        """Seeds that did not reach a critical point, whatever the reason."""
        return sum(not end.converged for end in self.ends)

    def interval(self, structure: str) -> tuple[float, float]:
        """Returns the 95 % interval of a structure's share of all seeds.

        Seeds that did not converge widen it: they may all belong to the structure, or none.
        """
        return share_interval(self.counts.get(structure, 0), self.non_converged, len(self.ends))

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form."""
        counts = self.counts
        examples = {label: end for label, end in zip(self.labels, self.ends, strict=True) if label in counts}
        products = sorted(end.products for end in self.ends)
        return {
            **self.study.as_dict(),
            "seeds": len(self.ends),
            "counts": counts,
            "intervals": {name: list(self.interval(name)) for name in {"DNC": 0, **counts}},
            "non_converged": self.non_converged,
            "outcomes": dict(Counter(end.outcome.lower() for end in self.ends)),
            "structures": {
                name: {
                    "rank": end.rank,
                    "loss": end.loss,
                    "index": end.index,
                    "nullity": end.nullity,
                    "orbit_dimension": end.orbit_dimension,
                }
                for name, end in ((name, examples[name]) for name in counts)
            },
            "ranks": {str(rank): times for rank, times in sorted(Counter(end.rank for end in self.ends).items())},
            "products": {"median": products[len(products) // 2], "total": sum(products)} if products else None,
        }


def wilson(count: int, total: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Returns Wilson's score interval of a proportion (1927), which keeps its coverage at 0 and at 1.

    Raises:
        InputError: If count is not between 0 and total, or total is 0.
    """
    if not 0 <= count <= total or total < 1:
        raise InputError(f"expected 0 <= count <= total and total >= 1, got {count} of {total}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, spread = count / total, z * z / total
    middle = (share + spread / 2) / (1 + spread)
    radius = z * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    # at 0 and 1 the formula gives the end itself, up to rounding
    return (0.0 if count == 0 else middle - radius), (1.0 if count == total else middle + radius)


def share_interval(count: int, unknown: int, total: int) -> tuple[float, float]:
    """Returns Wilson's interval of a share, wide enough for all of the unknown to be in it, or none."""
    return wilson(count, total)[0], wilson(count + unknown, total)[1]


PrevalenceWatch = Callable[[Prevalence], None]


def measure_prevalence(
    study: Study,
    seeds: int,
    folder: Path | None = None,
    *,
    narrower_than: float | None = None,
    size: int | None = None,
    keep_points: bool = True,
    device: str = "cpu",
    watch: PrevalenceWatch = lambda so_far: None,
) -> Prevalence:
    """Returns where the first `seeds` seeds of a study end; what the folder already holds is not computed again.

    Ctrl-C (KeyboardInterrupt) passes through; every seed that had arrived is in the folder, and the same call goes on from there.

    Args:
        study: What to sample.
        seeds: 0 .. seeds - 1, the most that are used.
        folder: Made if missing; None keeps nothing.
        narrower_than: Stop at the first n >= 10 seeds whose interval of P(DNC) is at most this wide. Under a stopping rule the
            coverage of the interval is only approximately nominal.
        size: Seeds at once; the result does not depend on it.
        keep_points: Also save every end point, for `landscape degeneracy`.
        device: Where to compute.
        watch: Called with what is known after every arrival.

    Raises:
        InputError: If the numbers are out of range, or the folder belongs to another study or version, or cannot be written.
    """
    if seeds < 1:
        raise InputError(f"expected at least 1 seed, got {seeds}")
    if narrower_than is not None and not 0 < narrower_than < 1:
        raise InputError(f"expected a width between 0 and 1 for the interval of P(DNC), got {narrower_than:g}")
    known = {} if folder is None else _opened(study, folder, seeds)

    def so_far() -> Prevalence:
        return Prevalence.of(study, [known[seed] for seed in sorted(known)])

    watch(so_far())
    stop = _enough(study, known, seeds, narrower_than)
    missing = (study.start(seed, device) for seed in range(seeds) if seed not in known)
    arrivals: Iterator[Arrival] = iter(()) if stop else solve_batch(study.followed, missing, study.method, size)
    for arrival in arrivals:
        end = EndPoint.of(arrival, width=study.problem.width if study.groups else None)
        if folder is not None:
            if keep_points:
                arrival.point.save(point_path(folder, end.seed))
            _write_json(_record_path(folder, end.seed), asdict(end))
        known[end.seed] = end
        watch(so_far())
        stop = _enough(study, known, seeds, narrower_than)
        if stop:
            break
    return Prevalence.of(study, [known[seed] for seed in range(stop or seeds)])


def _enough(study: Study, known: dict[int, EndPoint], seeds: int, narrower_than: float | None) -> int | None:
    """Returns how many first seeds suffice, or None: only complete prefixes count, since fast descents are not like slow ones."""
    if narrower_than is None:
        return None
    first: list[EndPoint] = []
    for seed in range(seeds):
        if seed not in known:
            return None
        first.append(known[seed])
        if len(first) >= _FEWEST:
            low, high = Prevalence.of(study, first).interval("DNC")
            if high - low <= narrower_than:
                return len(first)
    return None


def point_path(folder: Path, seed: int) -> Path:
    """Returns where the end point of a seed is saved."""
    return folder / "points" / f"seed-{seed:05d}.safetensors"


def _record_path(folder: Path, seed: int) -> Path:
    return folder / "seeds" / f"seed-{seed:05d}.json"


def _opened(study: Study, folder: Path, seeds: int) -> dict[int, EndPoint]:
    """Makes the folder or checks whose it is, and returns the records of the first seeds that it has."""
    mine = {"format": FOLDER_FORMAT, "versions": {"landscape": __version__, "torch": torch.__version__}, **study.as_dict()}
    mine = json.loads(json.dumps(mine))  # as it comes back from the file: lists for tuples
    header = folder / "study.json"
    try:
        for part in (folder, folder / "seeds", folder / "points"):
            part.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    if not header.exists():
        if any((folder / "seeds").iterdir()):
            raise InputError(f"expected a study.json in {folder}, which holds seeds: choose another --out")
        _write_json(header, mine)
    theirs = _read_json(header)
    if theirs.get("format") != FOLDER_FORMAT or theirs.get("versions", {}).get("landscape") != __version__:
        version = theirs.get("versions", {}).get("landscape", "unknown")
        raise InputError(
            f"{folder} was written by version {version} (format {theirs.get('format')}), "
            f"this is {__version__} (format {FOLDER_FORMAT}): choose another --out"
        )
    for name in ("problem", "weight_scale", "feature_scale", "method", "swap", "groups"):
        if theirs.get(name) != mine.get(name):
            raise InputError(f"{folder} holds another study: {name} {theirs.get(name)}, not {mine.get(name)}: choose another --out")
    known = {}
    for seed in range(seeds):
        path = _record_path(folder, seed)
        if path.exists():
            try:
                known[seed] = EndPoint.from_dict(_read_json(path))
            except (KeyError, TypeError) as error:
                raise InputError(f"damaged record {path}: delete it and run the command again") from error
    return known


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"damaged record {path}: delete it and run the command again") from error
    if not isinstance(value, dict):
        raise InputError(f"damaged record {path}: delete it and run the command again")
    return value


def _write_json(path: Path, value: dict[str, Any]) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, allow_nan=False))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
