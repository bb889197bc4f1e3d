"""Pairs and one apex, the structure of odd K: three scalars that minimise the reduced loss, found by Newton."""

import math
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor

from landscape.errors import InputError
from landscape.model.logit_form import LogitForm
from landscape.model.problem import Problem
from landscape.structures.fit import require_apex_classes
from landscape.structures.scale_equation import simplex_equation
from landscape.tolerances import CRITICAL


def _apex_parts(problem: Problem, scalars: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the pair scale, the unit left and unit right vectors of the apex term, its singular value folded in none."""
    ones = torch.ones(problem.classes - 1, dtype=torch.float64)
    tail = torch.ones(1, dtype=torch.float64)
    return scalars[0], torch.cat([-ones / (problem.classes - 1), tail]), torch.cat([-scalars[2] * ones, tail])


def _apex_loss(problem: Problem, scalars: Tensor) -> Tensor:
    """The reduced loss (Schatten quasi-norm) of b pairs + c u v^T."""
    scale, u, v = _apex_parts(problem, scalars)
    pair_basis = _pair_basis(problem.classes)
    logits = 2 * scale * pair_basis @ pair_basis.mT + scalars[1] * torch.outer(u, v)
    fit = (torch.logsumexp(logits, dim=0) - logits.diagonal()).mean()
    n, power = problem.class_sizes[0], 2 / (problem.depth + 1)
    pairs = (problem.classes // 2) * (2 * scale * math.sqrt(n)) ** power
    apex = (scalars[1] * u.norm() * v.norm() * math.sqrt(n)) ** power
    return fit + problem.mean_decay * (problem.depth + 1) / 2 * (pairs + apex)


def _pair_basis(classes: int) -> Tensor:
    basis = torch.zeros(classes, classes // 2, dtype=torch.float64)
    for pair in range(classes // 2):
        basis[2 * pair : 2 * pair + 2, pair] = torch.tensor([1.0, -1.0], dtype=torch.float64) / math.sqrt(2)
    return basis


@lru_cache(maxsize=1024)  # a tenth of a second, and the naming of every point of a problem asks
def _apex_scalars(problem: Problem) -> Tensor | None:
    """Newton on the three scalars from the pairs' own scale; None if it leaves the positive minimum."""
    pairs = simplex_equation(problem, 2, problem.class_sizes[0]).root("large")
    if pairs is None:
        return None

    def loss(x: Tensor) -> Tensor:
        return _apex_loss(problem, x)

    scalars = torch.tensor([pairs / 2, pairs, 1 / (problem.classes - 1)], dtype=torch.float64)
    best = math.inf
    for _ in range(200):
        gradient, curvature = torch.func.grad(loss)(scalars), torch.func.hessian(loss)(scalars)
        norm = float(gradient.norm())
        if norm < 1e-15 or (best < 1e-9 and norm >= best):  # at the floor of rounding, where the loss decides nothing
            break
        best = min(best, norm)
        values, vectors = torch.linalg.eigh(curvature)
        step = -vectors @ ((vectors.mT @ gradient) / (values.abs() + norm))
        while not (bool(((scalars + step)[:2] > 0).all()) and bool(loss(scalars + step) <= loss(scalars) + 1e-15)):
            step = step / 2
            if not float(step.norm()) >= 1e-12:  # nowhere to go downhill: not a minimum in the interior
                return None
        scalars = scalars + step
    minimum = bool(torch.linalg.eigvalsh(torch.func.hessian(loss)(scalars))[0] > 0)
    critical = bool(torch.func.grad(loss)(scalars).norm() < CRITICAL) and bool(scalars[1] > 1e-3)
    return scalars if minimum and critical else None


def require_apex(problem: Problem) -> LogitForm:
    """Returns the logits of apex.

    Raises:
        InputError: If the problem has none; the message names the largest decay that has one.
    """
    require_apex_classes(problem)
    scalars = _apex_scalars(problem)
    if scalars is None:
        low, high = problem.mean_decay / 2, problem.mean_decay
        while _apex_scalars(replace(problem, decay=low)) is None:
            low, high = low / 2, low
            if low < 1e-9:
                raise InputError(f"no apex was found at decay {problem.mean_decay:g} or below: start from random")
        while high / low > 1 + 1e-5:
            middle = math.sqrt(low * high)
            low, high = (low, middle) if _apex_scalars(replace(problem, decay=middle)) is None else (middle, high)
        raise InputError(f"no apex exists at decay {problem.mean_decay:g}: the largest decay that has one is {low:.6g}")
    return _apex_form(problem, scalars)


def find_apex(problem: Problem) -> LogitForm | None:
    """Returns the logits of apex, or None where there is no such point, without looking for the decay that has one."""
    if problem.classes % 2 == 0 or problem.loss != "ce" or not (problem.is_balanced and problem.is_linear):
        return None
    if problem.depth == 1 or problem.classes == 3:
        return None  # with one layer only DNC is a minimum; at K = 3 the rank is that of DNC, and no other point was seen
    scalars = _apex_scalars(problem)
    return None if scalars is None else _apex_form(problem, scalars)


def _apex_form(problem: Problem, scalars: Tensor) -> LogitForm:
    scale, u, v = _apex_parts(problem, scalars)
    n = math.sqrt(problem.class_sizes[0])
    basis, pairs = _pair_basis(problem.classes), problem.classes // 2
    singular = torch.cat([(2 * scale * n).expand(pairs), (scalars[1] * u.norm() * v.norm() * n)[None]])
    left, right = torch.cat([basis, (u / u.norm())[:, None]], 1), torch.cat([basis, (v / v.norm())[:, None]], 1)
    return LogitForm(left, singular, right)
