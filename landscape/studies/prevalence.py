"""How often does descent from random starts end at each structure? Counts with intervals, in an archive that can be continued.

Seed i of an experiment is the experiment with the random start of that seed. Its record is that of any sweep: named by its digest,
sealed, usable as a saved point. What is asked is always the first n seeds: else fast descents would be counted before slow ones.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landscape.archive.experiment import Altered, Experiment
from landscape.archive.lease import while_leased
from landscape.archive.records import Archive, Record
from landscape.errors import InputError
from landscape.points.point import CriticalPoint
from landscape.solver.methods import Random
from landscape.structures.fingerprint import label_unnamed
from landscape.structures.names import known_name
from landscape.studies.ends import EndPoint, ends_of, packed, poison
from landscape.studies.intervals import share_interval
from landscape.studies.old_prevalence import is_old, old_ends
from landscape.studies.starts.swap import swap_of

_FEWEST = 10  # seeds before a sequential run may stop: Wilson's interval of fewer is never narrow by more than luck
_LINES = 3  # damaged records that are said one by one

log = logging.getLogger("landscape")


@dataclass(frozen=True)
class Prevalence:
    """End points of the first n seeds of an experiment.

    Attributes:
        experiment: Experiment that was repeated; the seed of its start says nothing.
        ends: End points in the order of the seeds, one per seed.
        labels: Labels of the end points: the name of the structure, with the loss where it has none.
    """

    experiment: Experiment
    ends: tuple[EndPoint, ...]
    labels: tuple[str, ...]

    @classmethod
    def of(cls, experiment: Experiment, ends: Sequence[EndPoint]) -> "Prevalence":
        """Returns the end points with those of one unnamed structure under one label."""
        labels = label_unnamed([(known_name(end.structure), end.structure, end.fingerprint) for end in ends])
        return cls(experiment, tuple(ends), tuple(labels))

    def __repr__(self) -> str:
        found = ", ".join(f"{name} {count}" for name, count in self.counts.items())
        return f"Prevalence({len(self.ends)} seeds: {found}; {self.non_converged} not converged; {self.experiment.problem})"

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
        return share_interval(self.counts.get(structure, 0), len(self.ends), self.non_converged)

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form."""
        start = random_of(self.experiment)
        counts = self.counts
        examples = {label: end for label, end in zip(self.labels, self.ends, strict=True) if label in counts}
        products = sorted(end.products for end in self.ends)
        return {
            "problem": self.experiment.problem.as_dict(),
            "weight_scale": start.weight_scale,
            "feature_scale": start.feature_scale,
            "method": repr(self.experiment.method),
            **_alterations(self.experiment),
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
                    "record": self.experiment.with_seed(end.seed).digest,
                }
                for name, end in ((name, examples[name]) for name in counts)
            },
            "ranks": {str(rank): times for rank, times in sorted(Counter(end.rank for end in self.ends).items())},
            "products": {"median": products[len(products) // 2], "total": sum(products)} if products else None,
        }


PrevalenceWatch = Callable[[Prevalence], None]


def measure_prevalence(
    experiment: Experiment,
    seeds: int,
    folder: Path | None = None,
    *,
    narrower_than: float | None = None,
    size: int | None = None,
    keep_points: bool = True,
    device: str = "cpu",
    watch: PrevalenceWatch = lambda so_far: None,
) -> Prevalence:
    """Returns where the first `seeds` seeds of an experiment end; what the folder already holds is not computed again.

    Ctrl-C (KeyboardInterrupt) passes through; every seed that had arrived is in the folder, and the same call goes on from there.
    Records that are damaged, or not those of their seed, are said on the log and computed again.

    Args:
        experiment: What to sample; seed 0 of its start stands for all.
        seeds: 0 .. seeds - 1, the most that are used.
        folder: An archive, made if missing, which other experiments may share; None keeps nothing.
        narrower_than: Stop at the first n >= 10 seeds whose interval of P(DNC) is at most this wide. Under a stopping rule the
            coverage of the interval is only approximately nominal.
        size: Seeds at once; the result does not depend on it.
        keep_points: Also keep the parameters of every end point, so that its record is a file for `landscape degeneracy`.
        device: Where to compute.
        watch: Called with what is known after every arrival.

    Raises:
        InputError: If the start is not random, a number is out of range, or the folder holds something else or cannot be written.
    """
    random_of(experiment)
    if seeds < 1:
        raise InputError(f"expected at least 1 seed, got {seeds}")
    if narrower_than is not None and not 0 < narrower_than < 1:
        raise InputError(f"expected a width between 0 and 1 for the interval of P(DNC), got {narrower_than:g}")
    if folder is not None and is_old(folder):
        old = dict(enumerate(old_ends(folder, experiment, seeds)))
        if len(old) < seeds and _enough(experiment, old, seeds, narrower_than) is None:
            got = f"the first {len(old)}, and nothing is added to a folder of an earlier version: choose another --out"
            raise InputError(f"expected {seeds} seeds in {folder}, got {got}")
        return _first(experiment, old, seeds, narrower_than)
    each = [experiment.with_seed(seed) for seed in range(seeds)]
    archive = None if folder is None else Archive.create(folder.absolute())
    known = {} if archive is None else _kept(archive, each)

    def so_far() -> Prevalence:
        return Prevalence.of(experiment, [known[seed] for seed in sorted(known)])

    watch(so_far())
    missing = [one for seed, one in enumerate(each) if seed not in known]
    arrivals: Iterator[tuple[Experiment, EndPoint, CriticalPoint | None]] = iter(())
    if missing and _enough(experiment, known, seeds, narrower_than) is None:
        found = ends_of(missing, device, size)
        arrivals = found if archive is None else while_leased(archive.folder, found)
    before = time.perf_counter()
    for one, end, point in arrivals:
        if fault := poison(end, point):
            raise InputError(f"seed {end.seed} has no result: {fault}")
        if archive is not None:
            archive.write(one, *packed(end, point if keep_points else None, time.perf_counter() - before, device))
        known[end.seed], before = end, time.perf_counter()
        watch(so_far())
        if _enough(experiment, known, seeds, narrower_than):
            break
    return _first(experiment, known, seeds, narrower_than)


def arrived(experiment: Experiment, seeds: int, folder: Path) -> Prevalence:
    """Returns what a folder has of the first `seeds` seeds of an experiment, however many: nothing is computed.

    Fast descents arrive first, so the shares of a part of the seeds are not those of all.
    """
    known = _kept(Archive.create(folder.absolute()), [experiment.with_seed(seed) for seed in range(seeds)])
    return Prevalence.of(experiment, [known[seed] for seed in sorted(known)])


def random_of(experiment: Experiment) -> Random:
    """Returns the distribution of the starts, before anything in them is altered.

    Raises:
        InputError: If the start is not random.
    """
    if experiment.random is None:
        raise InputError(f"expected a random start to sample, got {experiment}")
    return experiment.random


def _alterations(experiment: Experiment) -> dict[str, Any]:
    """Returns what an altered start adds to the JSON form."""
    start = experiment.start
    if not isinstance(start, Altered):
        return {}
    swap = swap_of(start)
    return {**({} if swap is None else {"swap": swap.as_dict()}), **({} if start.groups is None else {"groups": start.groups})}


def _kept(archive: Archive, each: Sequence[Experiment]) -> dict[int, EndPoint]:
    """Returns the ends that an archive has, by seed; damaged records are removed and said."""
    seeds = {one.digest: seed for seed, one in enumerate(each)}
    known: dict[int, EndPoint] = {}

    def check(record: Record) -> None:
        known[seeds[record.digest]] = EndPoint.of_result(seeds[record.digest], record.result)

    _, damaged = archive.done(seeds, check)
    for digest, fault in list(damaged.items())[:_LINES]:
        log.warning(f"landscape: the record of seed {seeds[digest]}, {digest[:12]}, was refused and is computed again: {fault}")
    if len(damaged) > _LINES:
        log.warning(f"landscape: so were {len(damaged) - _LINES} more records")
    return known


def _first(experiment: Experiment, known: dict[int, EndPoint], seeds: int, narrower_than: float | None) -> Prevalence:
    """Returns the first seeds that suffice."""
    stop = _enough(experiment, known, seeds, narrower_than)
    return Prevalence.of(experiment, [known[seed] for seed in range(stop or seeds)])


def _enough(experiment: Experiment, known: dict[int, EndPoint], seeds: int, narrower_than: float | None) -> int | None:
    """Returns how many first seeds suffice, or None: only complete prefixes count, since fast descents are not like slow ones."""
    if narrower_than is None:
        return None
    first: list[EndPoint] = []
    for seed in range(seeds):
        if seed not in known:
            return None
        first.append(known[seed])
        if len(first) >= _FEWEST:
            low, high = Prevalence.of(experiment, first).interval("DNC")
            if high - low <= narrower_than:
                return len(first)
    return None
