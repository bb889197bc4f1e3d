"""The prediction by counting: reduced starts with the law of the width, followed to critical points, and how far to trust them."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from landscape.archive.experiment import UNSWAPPED, Altered, Experiment
from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.solver.methods import Random
from landscape.studies.ends import followed_problem
from landscape.studies.intervals import share_interval
from landscape.studies.prevalence import Prevalence, PrevalenceWatch, measure_prevalence, random_of
from landscape.studies.starts.krylov import check_reducible
from landscape.studies.starts.swap import altered, parse_swap

LEAST_AGREEMENT = 0.97  # of DNC verdicts at T and at T + 1, below which T groups are too few
REPEATED = 100  # starts that are repeated at T + 1
DEFAULT_GROUPS = 2


@dataclass(frozen=True)
class Agreement:
    """How often T and T + 1 groups say the same of a start.

    Attributes:
        same: Starts with the same verdict: DNC at both, or at neither.
        repeated: Starts that were followed with both numbers of groups.
    """

    same: int
    repeated: int

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the share that agrees."""
        return share_interval(self.same, self.repeated)

    @property
    def sufficient(self) -> bool:
        """Whether the interval reaches the least agreement that is asked for."""
        return self.interval[1] >= LEAST_AGREEMENT


@dataclass(frozen=True)
class LawPrediction:
    """Where starts of a width end, counted on reduced starts.

    Attributes:
        result: End points by seed, with names, counts and intervals.
        groups: Groups of directions that are kept (T); None where the width is too small to reduce and full starts were followed.
        agreement: Agreement of T with T + 1 groups; None for full starts, which leave nothing out, and where starts are missing.
    """

    result: Prevalence
    groups: int | None
    agreement: Agreement | None

    @classmethod
    def of_part(cls, result: Prevalence) -> "LawPrediction":
        """Returns what some of the starts say, with nothing known of one group more."""
        start = result.experiment.start
        return cls(result, start.groups if isinstance(start, Altered) else None, None)

    @property
    def undecided(self) -> bool:
        """Whether T groups were too few: the verdicts at T + 1 differ too often."""
        return self.agreement is not None and not self.agreement.sufficient

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form."""
        counts, seeds = {"DNC": 0, **self.result.counts}, len(self.result.ends)
        agreement, width = self.agreement, followed_problem(self.result.experiment).width
        return {
            "starts": seeds,
            "groups": self.groups,
            "follows": "full starts" if self.groups is None else f"reduced starts of width {width}",
            "counts": counts,
            "intervals": {name: list(self.result.interval(name)) for name in counts if seeds},
            "non_converged": self.result.non_converged,
            "agreement": None
            if agreement is None
            else {
                "groups": [self.groups, (self.groups or 0) + 1],
                "same": agreement.same,
                "repeated": agreement.repeated,
                "interval": list(agreement.interval),
            },
            "undecided": self.undecided,
        }


def predict(
    problem: Problem,
    starts: int,
    start: Random | None = None,
    groups: int | None = None,
    swap: str | None = None,
    folder: Path | str | None = None,
    device: str = "cpu",
) -> LawPrediction:
    """Returns where random starts of any width end, counted on starts in the few directions that descent reaches.

    Example:
        >>> import landscape as ls
        >>> wide = ls.Problem.balanced(classes=4, samples=1, width=10**6, depth=2, decay=2**-7)
        >>> found = ls.predict(wide, starts=5)
        >>> found.result.counts, found.undecided
        ({'DNC': 5}, False)

    Args:
        problem: A linear model of two layers at least.
        starts: How many, of seeds 0 .. starts - 1.
        start: Scales of the starts, whatever its seed; None for those of `Random()`.
        groups: T, the groups of directions that are kept; None for 2.
        swap: What is replaced in every start, as `features:identity`; None for nothing.
        folder: Archive that keeps every end point; an interrupted call goes on from it. None keeps nothing.
        device: Where to compute.

    Raises:
        InputError: As `predict_by_law`, or if it is no swap.
    """
    experiment = Experiment(problem, altered(start or Random(), swap, groups))
    return predict_by_law(experiment, starts, None if folder is None else Path(folder), device)


def swaps(
    problem: Problem, swap: str, seeds: int, start: Random | None = None, folder: Path | str | None = None, device: str = "cpu"
) -> dict[str, Prevalence]:
    """Returns where full starts end as drawn, with a part of them replaced, and with the same part drawn anew: the placebo.

    Example:
        >>> import landscape as ls
        >>> problem = ls.Problem.balanced(classes=6, samples=1, width=12, depth=2, decay=2**-7)
        >>> found = ls.swaps(problem, "features:identity", seeds=3)
        >>> {change: result.counts.get("DNC", 0) for change, result in found.items()}
        {'none': 1, 'features:identity': 3, 'features:anew': 1}

    Args:
        problem: A linear model of two layers at least.
        swap: What is replaced, as `features:identity`, `weights:width=150`, or several parts joined by `+`.
        seeds: How many starts, the same for all three.
        start: Scales of the starts, whatever its seed; None for those of `Random()`.
        folder: Archive that keeps every end point; an interrupted call goes on from it. None keeps nothing.
        device: Where to compute.

    Raises:
        InputError: As `measure_prevalence`, or if it is no swap, or the problem has no such parts.
    """
    place = None if folder is None else Path(folder)
    found = {}
    for change in (None, swap, parse_swap(swap).placebo):
        experiment = Experiment(problem, altered(start or Random(), change))
        found[change or UNSWAPPED] = measure_prevalence(experiment, seeds, place, device=device)
    return found


def predict_by_law(
    experiment: Experiment,
    starts: int,
    folder: Path | None = None,
    device: str = "cpu",
    watch: PrevalenceWatch = lambda so_far: None,
) -> LawPrediction:
    """Returns where starts of an experiment end, at the cost of starts of width K + N.

    Two layers: starts are drawn by the exact law of the width, in T groups of directions. More layers: full starts are drawn and
    projected, which saves the descent but not the draw. The first 100 starts are repeated at T + 1.

    Args:
        experiment: Experiment with a random start, whose `groups` are T; the default where it has none.
        starts: Seeds 0 .. starts - 1; fewer than 100 are all repeated.
        folder: An archive of the records and end points; an interrupted call goes on from there. None keeps nothing.
        device: Where to compute.
        watch: Called with what is known after every arrival.

    Raises:
        InputError: If the start is not random, the model is not linear or has one layer, or the swap does not fit.
    """
    if starts < 1:
        raise InputError(f"expected at least 1 start, got {starts}")
    problem, drawn = experiment.problem, random_of(experiment)
    start = experiment.start if isinstance(experiment.start, Altered) else Altered(drawn)
    groups = DEFAULT_GROUPS if start.groups is None else start.groups
    wide = replace(problem, width=max(problem.width, problem.classes + problem.total_samples))
    check_reducible(wide, groups)
    full, few, more = (replace(experiment, start=replace(start, groups=count)) for count in (None, groups, groups + 1))
    if wide != problem:
        return LawPrediction(measure_prevalence(full, starts, folder, device=device, watch=watch), None, None)
    result = measure_prevalence(few, starts, folder, device=device, watch=watch)
    repeated = min(starts, REPEATED)
    other = measure_prevalence(more, repeated, folder, keep_points=False, device=device, watch=watch)
    same = sum((one == "DNC") == (two == "DNC") for one, two in zip(result.labels[:repeated], other.labels, strict=True))
    return LawPrediction(result, groups, Agreement(same, repeated))
