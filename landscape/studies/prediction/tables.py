"""Experiments with swapped and reduced starts as one table: a row per setting and structure."""

from dataclasses import dataclass

from landscape.archive.experiment import UNSWAPPED, Altered
from landscape.studies.intervals import share_interval
from landscape.studies.prevalence import Prevalence, random_of


@dataclass(frozen=True)
class SwapRow:
    """How often the starts of one setting ended at one structure.

    Attributes:
        classes: Number K of classes.
        samples: Number N of samples, of all classes together.
        width: Width d of the model whose starts are meant.
        depth: Number L of weight matrices.
        decay: Weight decay lambda (geometric mean over the factors).
        weight_scale: Scale c_W of the weights at the start.
        feature_scale: Scale c_H of the features at the start.
        swap: Change that was made to every start, or "none".
        groups: Groups of directions that reduced starts keep (T); 0 for full ones.
        structure: Name of the end; "DNC" and "not converged" always have a row.
        count: Seeds that ended at this structure.
        seeds: Number of seeds of the setting, from 0 on.
        low: Lower end of the 95 % interval of the share.
        high: Upper end of the 95 % interval of the share.
    """

    classes: int
    samples: int
    width: int
    depth: int
    decay: float
    weight_scale: float
    feature_scale: float
    swap: str
    groups: int
    structure: str
    count: int
    seeds: int
    low: float
    high: float


@dataclass(frozen=True)
class RankRow:
    """How often the starts of one setting ended at the rank of collapse, whatever its name is there.

    Attributes:
        problem: The model in words.
        weight_scale: c_W of the random starts.
        feature_scale: c_H of the random starts.
        swap: What was replaced in every start, or "none".
        full: Seeds that ended at DNC, or, where it has no name, at a critical point of rank K - 1.
        seeds: Seeds of the setting, from 0 on.
        low: Lower end of the 95 % interval of the share.
        high: Upper end of the 95 % interval of the share.
    """

    problem: str
    weight_scale: float
    feature_scale: float
    swap: str
    full: int
    seeds: int
    low: float
    high: float


@dataclass(frozen=True)
class FormulaRow:
    """What the formula says of one setting.

    Attributes:
        classes: Number K of classes.
        samples: Number N of samples, of all classes together.
        width: Width d of the model.
        decay: Weight decay lambda of all factors.
        feature_scale: Scale c_H of the features at the start; c_W is 1.
        effective_width: Effective width that the formula puts for d.
        r: Distance of the boundary in standard deviations.
        predicted: Predicted share of starts that end at DNC.
    """

    classes: int
    samples: int
    width: int
    decay: float
    feature_scale: float
    effective_width: float
    r: float
    predicted: float


@dataclass(frozen=True)
class AreaRow:
    """How well the largest pair score of a start, at time 0, tells whether it misses DNC.

    Attributes:
        classes: Number K of classes.
        samples: Number N of samples, of all classes together.
        width: Width d of the model.
        decay: Weight decay lambda of all factors.
        feature_scale: Scale c_H of the features at the start; c_W is 1.
        starts: Starts that were scored.
        found: Starts that ended at DNC.
        area: Area under the ROC curve.
        low: Lower end of the area's 95 % interval.
        high: Upper end of the area's 95 % interval.
    """

    classes: int
    samples: int
    width: int
    decay: float
    feature_scale: float
    starts: int
    found: int
    area: float
    low: float
    high: float


@dataclass(frozen=True)
class LawRow:
    """One width of the paper's setting: K = 10, n = 5, two layers, decay 2^-10.

    Attributes:
        width: Width d of the model.
        feature_scale: Scale c_H of the features at the start; c_W is 1.
        groups: Groups of directions that are kept (T).
        found: Starts that ended at DNC.
        starts: Starts that were followed.
        low: Lower end of the 95 % interval of the share.
        high: Upper end of the 95 % interval of the share.
        same: Starts with the same verdict at T and at T + 1.
        repeated: Starts that were followed with both T and T + 1.
        formula: Share that the formula predicts; -1 where it is refused.
    """

    width: int
    feature_scale: float
    groups: int
    found: int
    starts: int
    low: float
    high: float
    same: int
    repeated: int
    formula: float


@dataclass(frozen=True)
class ScoreRow:
    """One start.

    Attributes:
        seed: Seed of the random start.
        score: Largest pair score at time 0, in standard deviations.
        structure: Name of the structure where the start ended.
    """

    seed: int
    score: float
    structure: str


@dataclass(frozen=True)
class DecisionRow:
    """How well it can be told, at one time of the flow, which starts miss DNC.

    Attributes:
        time: Product of decay and time.
        starts: Starts that were followed.
        area: Area under the ROC curve of the smallest over the median singular value of the logits.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
    """

    time: float
    starts: int
    area: float
    low: float
    high: float


@dataclass(frozen=True)
class WalkRow:
    """One singular value of the class-mean logits of one start at one time of the flow.

    Attributes:
        seed: Seed of the random start.
        structure: Name of the structure where the start ended.
        time: Product of decay and time.
        place: Place of the singular value, counted from 1 for the largest.
        value: Singular value of the centred logits.
    """

    seed: int
    structure: str
    time: float
    place: int
    value: float


@dataclass(frozen=True)
class FeatureRow:
    """What given features of class means predict, in the place of random ones.

    Attributes:
        features: What made the features, or "none" for random ones.
        least: Smallest cosine between the features of two classes; 0 stands for random ones, which differ from start to start.
        most: Largest cosine between the features of two classes, likewise.
        found: Reduced starts that ended at DNC.
        starts: Reduced starts that were followed.
        low: Lower end of the 95 % interval of the share.
        high: Upper end of the 95 % interval of the share.
        undecided: Whether more groups of directions would change too many verdicts.
    """

    features: str
    least: float
    most: float
    found: int
    starts: int
    low: float
    high: float
    undecided: bool


@dataclass(frozen=True)
class PairRow:
    """How often one pair of classes splits off in one setting, by line sampling.

    Attributes:
        classes: K, the number of classes.
        samples: N, of all classes together.
        width: d of the model.
        decay: lambda of all factors.
        feature_scale: c_H of the starts; c_W is 1.
        lines: Lines that were followed to the boundary.
        probability: Probability of a given pair.
        error: Standard error of the probability.
        formula: What the formula has in its place, Phi(-r sqrt(d_eff)).
        shift: Effective width that the probability implies, less the width.
    """

    classes: int
    samples: int
    width: int
    decay: float
    feature_scale: float
    lines: int
    probability: float
    error: float
    formula: float
    shift: float


def swap_rows(result: Prevalence) -> list[SwapRow]:
    """Returns the rows of one setting."""
    problem, start, drawn = result.experiment.problem, result.experiment.start, random_of(result.experiment)
    altered = start if isinstance(start, Altered) else Altered(drawn)
    counts = {"DNC": 0, **result.counts, "not converged": result.non_converged}
    return [
        SwapRow(
            problem.classes,
            problem.total_samples,
            problem.width,
            problem.depth,
            problem.mean_decay,
            drawn.weight_scale,
            drawn.feature_scale,
            altered.changes or UNSWAPPED,
            altered.groups or 0,
            structure,
            count,
            len(result.ends),
            *result.interval(structure),
        )
        for structure, count in counts.items()
    ]


def rank_row(result: Prevalence) -> RankRow:
    """Returns the row of one setting whose structures have no common name."""
    experiment, drawn = result.experiment, random_of(result.experiment)
    start = experiment.start
    rank, seeds = experiment.problem.classes - 1, len(result.ends)
    ends = zip(result.ends, result.labels, strict=True)
    full = sum(end.converged and (label == "DNC" or end.rank == rank) for end, label in ends)
    return RankRow(
        str(experiment.problem),
        drawn.weight_scale,
        drawn.feature_scale,
        start.changes if isinstance(start, Altered) else UNSWAPPED,
        full,
        seeds,
        *share_interval(full, seeds, result.non_converged),
    )
