"""Does degeneracy explain prevalence? Every proposed explanation of how often DNC is found, beside how often it is found.

An explanation is one number per setting (problem and start distribution), larger where it expects more DNC. It is judged by its
rank correlation with the observed shares and, calibrated by a logistic curve that has not seen the setting, by its Brier score.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import spearmanr

from landscape.archive.experiment import Experiment
from landscape.catalogue.row import AtlasRow, at_temperature
from landscape.catalogue.table import AtlasOptions, atlas
from landscape.errors import InputError
from landscape.model.problem import Problem
from landscape.solver.methods import Random
from landscape.studies.basins import alignment
from landscape.studies.ends import start_of
from landscape.studies.tables import PrevalenceRow

TEMPERATURES = (1e-6, 1e-5, 1e-4)  # of the free energies: descent has no temperature, so decades around the loss differences
_RIDGE = 1e-3  # on the standardised slope, so that perfectly separated settings have a finite fit


@dataclass(frozen=True)
class Evidence:
    """One setting: what every explanation says of it, and what was seen.

    Attributes:
        width: Width d of the model.
        decay: Weight decay lambda of all factors.
        feature_scale: Scale of the features at the start.
        found: Number of starts that ended at DNC.
        pairs: Number of starts that ended at pairs.
        seeds: Number of starts in all.
        dimension_ratio: Dimension of DNC's manifold over that of pairs, R(d), by the orbit (measured nullity).
        paper_ratio: Dimension of DNC's manifold over that of pairs by Theorem 5 of the paper.
        log_volume: Log volume of all copies of DNC's manifold minus that of pairs.
        free_energy_1e6: Log odds -(F of DNC - F of pairs) / T that Laplace's formula predicts at T = 1e-6.
        free_energy_1e5: Log odds that Laplace's formula predicts at T = 1e-5.
        free_energy_1e4: Log odds that Laplace's formula predicts at T = 1e-4.
        alignment: Mean over the starts of (cosine with the simplex - cosine with the best pairs).
    """

    width: int
    decay: float
    feature_scale: float
    found: int
    pairs: int
    seeds: int
    dimension_ratio: float
    paper_ratio: float
    log_volume: float
    free_energy_1e6: float
    free_energy_1e5: float
    free_energy_1e4: float
    alignment: float


EXPLANATIONS = (
    "dimension_ratio",
    "paper_ratio",
    "log_volume",
    "free_energy_1e6",
    "free_energy_1e5",
    "free_energy_1e4",
    "alignment",
)


@dataclass(frozen=True)
class Score:
    """How well one explanation does on a set of settings.

    Attributes:
        explanation: Name of the explanation, a field of `Evidence`.
        settings: Number of settings that are ranked.
        rank_correlation: Spearman's rank correlation with the observed shares; None where the explanation says the same of all
            settings.
        brier: Mean squared error of the predicted share per start, each setting predicted by a logistic fit to the others.
        brier_of_mean: Mean squared error of predicting each setting by the mean share of the others: what an explanation has to
            beat.
    """

    explanation: str
    settings: int
    rank_correlation: float | None
    brier: float
    brier_of_mean: float


@dataclass(frozen=True)
class SeedRow:
    """One start of an experiment: where it pointed, and where it ended.

    Attributes:
        seed: Seed of the start.
        structure: Name of the structure where descent ended.
        simplex: Cosine of the start's class-mean logits with the simplex.
        pairs: Cosine of the start's class-mean logits with the best pairs.
    """

    seed: int
    structure: str
    simplex: float
    pairs: float


def evidence(rows: Sequence[PrevalenceRow]) -> list[Evidence]:
    """Returns one line per setting of a table of prevalences.

    Raises:
        InputError: If a setting has an odd number of classes, or neither structure is a minimum there.
    """
    return [_evidence([row for row in rows if _key(row) == key]) for key in sorted({_key(row) for row in rows})]


def _key(row: PrevalenceRow) -> tuple[int, float, float, float, int, int, int]:
    return (row.width, row.decay, row.feature_scale, row.weight_scale, row.classes, row.samples, row.depth)


def _evidence(rows: Sequence[PrevalenceRow]) -> Evidence:
    first = rows[0]
    counts = {row.structure: row.count for row in rows}
    problem = Problem.balanced(first.classes, first.samples // first.classes, first.width, first.depth, first.decay)
    collapse, pairs = _minima(problem)
    if collapse.paper_dimension is None or pairs.paper_dimension is None:
        raise InputError(f"expected width >= classes for Theorem 5, got {problem.width} < {problem.classes}")
    experiment = Experiment(problem, Random(first.weight_scale, first.feature_scale))
    log_odds = [-(_free_energy(problem, collapse, t) - _free_energy(problem, pairs, t)) / t for t in TEMPERATURES]
    return Evidence(
        width=first.width,
        decay=first.decay,
        feature_scale=first.feature_scale,
        found=counts.get("DNC", 0),
        pairs=counts.get("pairs", 0),
        seeds=first.seeds,
        dimension_ratio=collapse.orbit_dimension / pairs.orbit_dimension,
        paper_ratio=collapse.paper_dimension / pairs.paper_dimension,
        log_volume=_log_volume(collapse) - _log_volume(pairs),
        free_energy_1e6=log_odds[0],
        free_energy_1e5=log_odds[1],
        free_energy_1e4=log_odds[2],
        alignment=fmean(row.simplex - row.pairs for row in alignments(experiment, dict.fromkeys(range(first.seeds), ""))),
    )


def alignments(experiment: Experiment, ends: Mapping[int, str]) -> list[SeedRow]:
    """Returns where the logits of each start pointed, beside the structure where it ended."""
    rows = []
    for seed, structure in ends.items():
        cosines = alignment(experiment.problem, start_of(experiment.with_seed(seed)).theta)
        if cosines.pairs is None:
            raise InputError(f"expected an even number of classes, got {experiment.problem.classes}")
        rows.append(SeedRow(seed, structure, cosines.simplex, cosines.pairs))
    return rows


@cache
def _minima(problem: Problem) -> tuple[AtlasRow, AtlasRow]:
    K = problem.classes
    if K % 2:
        raise InputError(f"expected an even number of classes, got {K}")
    entries = {entry.structure: entry for entry in atlas(problem, AtlasOptions(groups=((K,), (2,) * (K // 2)))).entries}
    return entries["DNC"], entries["pairs"]


def _log_volume(entry: AtlasRow) -> float:
    return math.log(entry.copies or 1) + entry.log_volume


def _free_energy(problem: Problem, entry: AtlasRow, temperature: float) -> float:
    energy = at_temperature(problem, entry, temperature).free_energy
    if energy is None:
        raise InputError(f"expected a minimum for a free energy, got {entry.structure} with index {entry.index} in the {problem}")
    return energy


def scores(lines: Sequence[Evidence], chosen: Callable[[Evidence], bool] = lambda line: True) -> list[Score]:
    """Returns every explanation's score on the chosen settings.

    Raises:
        InputError: If fewer than 4 settings are chosen: a fit to the others then says nothing.
    """
    kept = [line for line in lines if chosen(line)]
    if len(kept) < 4:
        raise InputError(f"expected at least 4 settings to judge an explanation, got {len(kept)}")
    found, seeds = np.array([line.found for line in kept]), np.array([line.seeds for line in kept])
    return [score(name, np.array([getattr(line, name) for line in kept], dtype=float), found, seeds) for name in EXPLANATIONS]


def score(name: str, values: np.ndarray, found: np.ndarray, seeds: np.ndarray) -> Score:
    """Returns the score of one number per setting against counts."""
    shares = found / seeds
    constant = float(np.ptp(values)) <= 1e-12 * float(np.abs(values).max() or 1.0) or float(np.ptp(shares)) == 0
    predicted, means = np.empty(len(values)), np.empty(len(values))
    for place in range(len(values)):
        others = np.arange(len(values)) != place
        means[place] = found[others].sum() / seeds[others].sum()
        predicted[place] = means[place] if constant else _predicted(values, found, seeds, place)
    return Score(
        explanation=name,
        settings=len(values),
        rank_correlation=None if constant else float(spearmanr(values, shares).statistic),
        brier=_brier(predicted, shares, seeds),
        brier_of_mean=_brier(means, shares, seeds),
    )


def _predicted(values: np.ndarray, found: np.ndarray, seeds: np.ndarray, place: int) -> float:
    """Fits found ~ Binomial(seeds, expit(a + b x)) to the other settings and returns its share at this one."""
    others = np.arange(len(values)) != place
    middle, spread = values[others].mean(), values[others].std() or 1.0
    x, k, n = (values - middle) / spread, found[others], seeds[others]

    def loss(ab: np.ndarray) -> float:
        linear = ab[0] + ab[1] * x[others]
        return float((n * np.logaddexp(0, linear) - k * linear).sum() / n.sum() + _RIDGE * ab[1] ** 2)

    fitted = minimize(loss, np.zeros(2), method="BFGS").x
    return float(expit(fitted[0] + fitted[1] * x[place]))


def _brier(predicted: np.ndarray, shares: np.ndarray, seeds: np.ndarray) -> float:
    """Mean over starts of (prediction - outcome)^2, outcome 1 for DNC and 0 for anything else."""
    per_start = shares * (1 - predicted) ** 2 + (1 - shares) * predicted**2
    return float((seeds * per_start).sum() / seeds.sum())
