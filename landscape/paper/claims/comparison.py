"""Losses of known structures side by side, for the claims that compare them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from scipy.optimize import brentq

from landscape.catalogue.search import search
from landscape.errors import InputError
from landscape.model.logit_form import LogitForm
from landscape.model.problem import Problem
from landscape.model.reduced_point import Core
from landscape.structures.analytic import logit_form
from landscape.structures.blocks import Polygon
from landscape.structures.few_scalars import find_apex
from landscape.structures.kinds import Apex, Blocks, Collapse, Pairs, Partition, Structure
from landscape.structures.scale_equation import simplex_equation


def paper_setting(width: int = 70, decay: float = 2.0**-10) -> Problem:
    """Returns the problem of Figs. 1, 2 and 5: K = 10, n = 5, L = 2, lambda = 2^-10."""
    return Problem.balanced(10, 5, width, 2, decay)


def single_sample_fold(classes: int, depth: int) -> float:
    """Returns the largest decay at which DNC exists, for one sample per class."""
    return simplex_equation(Problem.balanced(classes, 1, classes, depth, 1.0), classes, 1).largest_decay


def loss_of(problem: Problem, structure: Structure) -> float | None:
    """Returns the loss of an analytic point, None where the problem has no such point."""
    form = _form(problem, structure)
    if form is None:
        return None
    return Core.from_form(problem, form).loss


def _form(problem: Problem, structure: Structure) -> LogitForm | None:
    if isinstance(structure, Apex):
        return find_apex(problem)
    try:
        return logit_form(problem, structure)
    except InputError:
        return None


def low_rank(classes: int) -> tuple[Structure, ...]:
    """Returns the critical points that rival DNC: pairs, or for odd K one group of three, and the apex."""
    if classes % 2 == 0:
        return (Pairs(),)
    return (Partition((3, *(2,) * ((classes - 3) // 2))), Apex())


def margin(problem: Problem, rivals: Sequence[Structure]) -> float | None:
    """Returns by what part of the loss of DNC the best rival lies below it (negative: above); None where there is no rival."""
    collapse = loss_of(problem, Collapse())
    losses = [loss for rival in rivals if (loss := loss_of(problem, rival)) is not None]
    if collapse is None or not losses:
        return None
    return 1 - min(losses) / collapse


def crossing(problem: Problem, rival: Structure, low: float, high: float) -> float:
    """Returns the decay between two others at which DNC and a rival have the same loss, to a millionth."""

    def difference(log_decay: float) -> float:
        here = margin(replace(problem, decay=math.exp(log_decay)), [rival])
        assert here is not None
        return here

    return math.exp(brentq(difference, math.log(low), math.log(high), xtol=1e-6))


@dataclass(frozen=True)
class Best:
    """The lowest known point of a problem.

    Attributes:
        loss: Lowest known loss, with weight decay.
        singular: Singular values of the point's logits times sqrt(class size), descending; empty for the zero point.
        collapsed: The lowest loss among the points found of rank K - 1, None if there was none.
    """

    loss: float
    singular: tuple[float, ...]
    collapsed: float | None

    @property
    def rank(self) -> int:
        """Of its logits."""
        return len(self.singular)


def best_known(problem: Problem, starts: int, seed: int = 0) -> Best:
    """Returns the lowest of what a search ends at, a polygon of all classes, DNC, and zero.

    An upper bound on the global minimum: nothing certifies that no point is lower.
    """
    zero = Core.from_form(problem, logit_form(problem, Partition((1,) * problem.classes)))
    found: list[tuple[float, tuple[float, ...]]] = [(zero.loss, ())]
    found += [(item.fingerprint.loss, item.fingerprint.singular) for item in search(problem, starts, seed).found]
    if problem.is_balanced:
        for structure in (Collapse(), *((Blocks((Polygon(problem.classes),)),) if problem.classes >= 5 else ())):
            loss = loss_of(problem, structure)
            if loss is not None:
                found.append((loss, tuple(logit_form(problem, structure).singular.tolist())))
    loss, singular = min(found)
    full = [value for value, values in found if len(values) == problem.classes - 1]
    return Best(loss, tuple(sorted(singular, reverse=True)), min(full, default=None))
