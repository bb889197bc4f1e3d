"""When is it decided where a start ends? The singular values of its logits along the gradient flow, and what they tell of the end.

Time is lambda t: the flow of W = e^(-lambda t) V has no decay in V (docs/why-collapse.md), so that a few units of it are the whole
descent. A mode that has died has a singular value far below the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.integrate import solve_ivp
from torch import Tensor

from landscape.display import brief
from landscape.errors import InputError
from landscape.model.objective import Objective, class_logits
from landscape.model.problem import Problem
from landscape.studies.ends import followed_problem, start_of
from landscape.studies.prediction.scores import Separation, separation
from landscape.studies.prevalence import Prevalence

TIMES = (0.0, 0.003, 0.1, 0.3, 1.0, 2.0, 3.0)  # lambda t at which the starts are looked at
_TOLERANCE = 1e-6  # of a step, relative and absolute: singular values to four digits


@dataclass(frozen=True)
class Walk:
    """The singular values of one start's logits along the gradient flow.

    Attributes:
        times: Products of decay and time, ascending.
        values: Singular values of the class-mean logits at each time, descending, without the one that softmax does not see.
    """

    times: tuple[float, ...]
    values: Float[np.ndarray, "t k"]

    __repr__ = brief

    @property
    def openness(self) -> tuple[float, ...]:
        """Smallest over median singular value at each time: near 1 at collapse, near 0 where a mode has died."""
        return tuple(float(row[-1] / np.median(row)) for row in self.values)


@dataclass(frozen=True)
class Decided:
    """How well the starts that miss DNC are told at one time of the flow.

    Attributes:
        time: Product of decay and time.
        separation: Separation of the starts by their smallest over median singular value; None if all ended alike.
    """

    time: float
    separation: Separation | None


def walk(problem: Problem, theta: Float[Tensor, " p"], times: Sequence[float]) -> Walk:
    """Returns the singular values of a start's logits along the gradient flow.

    Args:
        problem: A linear model with one decay.
        theta: The start, at time 0.
        times: Products of decay and time, ascending from 0 on.

    Raises:
        InputError: If the model is not linear or has several decays, or the times do not ascend from 0 on.
    """
    return Walk(tuple(times), np.stack([_singular(problem, place) for place in flowed(problem, theta, times)]))


def flowed(problem: Problem, theta: Float[Tensor, " p"], times: Sequence[float]) -> list[Float[Tensor, " p"]]:
    """Follows the gradient flow of a start, by explicit Runge-Kutta steps (Dormand and Prince 1980).

    Args:
        problem: A linear model with one decay.
        theta: The start, at time 0.
        times: Products of decay and time, ascending from 0 on, at which the parameters are wanted.

    Raises:
        InputError: If the model is not linear or has several decays, or the times do not ascend from 0 on.
    """
    if not problem.is_linear or (isinstance(problem.decay, tuple) and len(set(problem.decay)) > 1):
        raise InputError(f"expected linear layers and one decay for the walk of a start, got the {problem}")
    if not (len(times) > 0 and times[0] >= 0 and all(one < other for one, other in pairwise(times))):
        raise InputError(f"expected times that ascend from 0 on, got {', '.join(f'{time:g}' for time in times)}")
    objective, decay = Objective.of(problem, theta), problem.mean_decay

    def velocity(time: float, place: np.ndarray) -> np.ndarray:
        return (-objective.gradient(torch.from_numpy(place)) / decay).numpy()

    first = 1e-3 * decay  # the fast fit: the gradient of the data is 1 / decay times as strong as the decay
    span, begin = (0.0, float(times[-1])), theta.cpu().numpy()
    if not span[1] > 0:
        return [theta]
    done = solve_ivp(velocity, span, begin, "RK45", list(times), first_step=min(first, span[1]), rtol=_TOLERANCE, atol=_TOLERANCE)
    return [torch.from_numpy(place.copy()) for place in done.y.T]


def _singular(problem: Problem, theta: Float[Tensor, " p"]) -> np.ndarray:
    """Returns the singular values of class-mean logits whose columns have mean 0, without the zero that this makes."""
    logits = class_logits(problem, theta)
    return torch.linalg.svdvals(logits - logits.mean(0)).numpy()[: problem.classes - 1]


def when_decided(result: Prevalence, times: Sequence[float] = TIMES) -> list[Decided]:
    """Returns how well the end of a start can be told along the flow: when it is decided which starts miss DNC.

    Args:
        result: Where the starts ended; those that did not converge are left out.
        times: Products of decay and time.

    Raises:
        InputError: If the model is not linear or has several decays.
    """
    experiment, problem = result.experiment, followed_problem(result.experiment)
    closed: list[list[float]] = []
    missed = []
    for end, label in zip(result.ends, result.labels, strict=True):
        if end.converged:
            openness = walk(problem, start_of(experiment.with_seed(end.seed)).theta, times).openness
            closed.append([-value for value in openness])
            missed.append(label != "DNC")
    columns = zip(*closed, strict=True) if closed else [()] * len(times)
    return [Decided(time, separation(column, missed)) for time, column in zip(times, columns, strict=True)]


def decided_as_dict(rows: Sequence[Decided]) -> list[dict[str, Any]]:
    """Returns the JSON form: area under the ROC curve and its interval at each time, None if all ended alike."""
    return [
        {
            "lambda_t": row.time,
            "auc": None if row.separation is None else row.separation.area,
            "auc_interval": None if row.separation is None else [row.separation.low, row.separation.high],
        }
        for row in rows
    ]
