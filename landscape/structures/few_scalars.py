"""Structures that a few scalars describe: apex, antiprism and bipyramid. Newton minimises the reduced loss in these scalars.

A structure with a symmetry of the classes is written with all scalars that its symmetry leaves free, so a critical point of the
reduced loss in the scalars is a critical point of the model (Palais, Commun. Math. Phys. 69, 19-30 (1979)).
"""

import math
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor

from landscape.errors import InputError
from landscape.model.logit_form import LogitForm
from landscape.model.problem import Problem
from landscape.structures.block_bases import basis_of
from landscape.structures.blocks import Antiprism, Bipyramid, Polygon, label
from landscape.structures.fit import require_apex_classes
from landscape.structures.kinds import Apex
from landscape.structures.names import name
from landscape.structures.scale_equation import simplex_equation
from landscape.tolerances import CRITICAL

FewScalars = Apex | Antiprism | Bipyramid
_FLOOR = 1e-9  # gradient norm below which the loss moves by less than its rounding, and decides nothing
_STEP, _RESOLVED = 0.01, 1e-6  # of the decay: the first and the last step where it is raised
_LATITUDE = 0.4  # of corners towards their pole, where Newton starts; the ends seen have 0.3 to 0.5


def _form(shape: FewScalars, classes: int, samples: int, scalars: Tensor) -> LogitForm:
    """Returns the logits of a structure with these scalars, differentiable in them; the first two are scales, and positive."""
    n = math.sqrt(samples)
    match shape:
        case Apex():
            ones, tail = torch.ones(classes - 1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
            basis, times = _pair_basis(classes), 2 * scalars[0]
            u, v = torch.cat([-ones / (classes - 1), tail]), torch.cat([-scalars[2] * ones, tail])
        case Antiprism(size):
            basis, times = basis_of(Polygon(size)), scalars[0]
            u = v = _alternating(size) / math.sqrt(size)
        case Bipyramid(size):
            basis, times = torch.nn.functional.pad(basis_of(Polygon(size - 2)), (0, 0, 0, 2)), scalars[0]
            poles = torch.tensor([1.0, -1.0], dtype=torch.float64)
            u, v = (torch.cat([scalars[place] * _alternating(size - 2), poles]) for place in (2, 3))
    singular = torch.cat([(times * n).expand(basis.shape[1]), (scalars[1] * u.norm() * v.norm() * n)[None]])
    left, right = torch.cat([basis, (u / u.norm())[:, None]], 1), torch.cat([basis, (v / v.norm())[:, None]], 1)
    return LogitForm(left, singular, right)


def _pair_basis(classes: int) -> Tensor:
    basis = torch.zeros(classes, classes // 2, dtype=torch.float64)
    for pair in range(classes // 2):
        basis[2 * pair : 2 * pair + 2, pair] = torch.tensor([1.0, -1.0], dtype=torch.float64) / math.sqrt(2)
    return basis


def _alternating(corners: int) -> Tensor:
    return torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(corners // 2)


def _start(shape: FewScalars, classes: int, pairs: float) -> Tensor:
    """Returns scalars with the logits of the classes' own columns about as large as in pairs of this scale."""
    match shape:
        case Apex():
            chosen = [pairs / 2, pairs, 1 / (classes - 1)]
        case Antiprism(size):
            chosen = [size * pairs / 6] * 2
        case Bipyramid(size):
            chosen = [size * pairs / 6, pairs / 2, _LATITUDE, _LATITUDE]
    return torch.tensor(chosen, dtype=torch.float64)


def _reduced_loss(problem: Problem, shape: FewScalars, samples: int, scalars: Tensor) -> Tensor:
    """What the block adds to the loss, decay included (Schatten quasi-norm); all other logits of its columns are 0."""
    form = _form(shape, problem.classes, samples, scalars)
    logits = (form.left * form.singular) @ form.right.mT / math.sqrt(samples)
    outside = logits.new_zeros(problem.classes - len(logits), len(logits))
    fit = (torch.logsumexp(torch.cat([logits, outside]), dim=0) - logits.diagonal()).sum() * samples / problem.total_samples
    return fit + problem.mean_decay * (problem.depth + 1) / 2 * (form.singular ** (2 / (problem.depth + 1))).sum()


@lru_cache(maxsize=1024)  # a tenth of a second, and the naming of every point of a problem asks
def _climbed(problem: Problem, shape: FewScalars, samples: int) -> tuple[float, Tensor | None]:
    """Returns the scalars at the decay of the problem, or at the largest smaller one that was reached; None where none were found.

    Newton starts from the pairs' own scale. Where pairs exist no longer the decay is raised step by step: rank 3 outlives them by
    some percent.
    """
    equation, target = simplex_equation(problem, 2, samples), problem.mean_decay
    pairs = equation.root("large")
    if pairs is not None:
        return target, _minimum(problem, shape, samples, _start(shape, problem.classes, pairs))
    decay, found = _climbed(replace(problem, decay=equation.largest_decay * (1 - _STEP)), shape, samples)
    step = _STEP
    while found is not None and decay < target and step > _RESOLVED:
        higher = min(decay * (1 + step), target)
        scalars = _minimum(replace(problem, decay=higher), shape, samples, found)
        if scalars is None:
            step /= 2
        else:
            decay, found = higher, scalars
    return decay, found


def _minimum(problem: Problem, shape: FewScalars, samples: int, scalars: Tensor) -> Tensor | None:
    """Newton on the scalars; None if it leaves the positive minimum."""

    def loss(x: Tensor) -> Tensor:
        return _reduced_loss(problem, shape, samples, x)

    best = math.inf
    for _ in range(200):
        gradient, curvature = torch.func.grad(loss)(scalars), torch.func.hessian(loss)(scalars)
        norm = float(gradient.norm())
        if norm < 1e-15 or (best < _FLOOR and norm >= best):
            break
        best = min(best, norm)
        values, vectors = torch.linalg.eigh(curvature)
        step = -vectors @ ((vectors.mT @ gradient) / (values.abs() + norm))
        while not (
            bool(((scalars + step)[:2] > 0).all()) and (best < _FLOOR or bool(loss(scalars + step) <= loss(scalars) + 1e-15))
        ):
            step = step / 2
            if not float(step.norm()) >= 1e-12:  # nowhere to go downhill: not a minimum in the interior
                return None
        scalars = scalars + step
    minimum = bool(torch.linalg.eigvalsh(torch.func.hessian(loss)(scalars))[0] > 0)
    critical = bool(torch.func.grad(loss)(scalars).norm() < CRITICAL) and bool(scalars[1] > 1e-3)
    return scalars if minimum and critical else None


def find_form(problem: Problem, shape: FewScalars, samples: int) -> LogitForm | None:
    """Returns the logits of a structure with its own classes alone, or None where there is no such point.

    Args:
        problem: The model, linear and under cross-entropy.
        shape: The structure; its classes have `samples` samples each.
        samples: Number of samples of each of its classes.
    """
    decay, scalars = _climbed(problem, shape, samples)
    return None if scalars is None or decay < problem.mean_decay else _form(shape, problem.classes, samples, scalars)


def require_form(problem: Problem, shape: FewScalars, samples: int) -> LogitForm:
    """Returns the same logits.

    Raises:
        InputError: If the problem has no such point; the message names the largest decay that has one.
    """
    form, called = find_form(problem, shape, samples), name(shape) if isinstance(shape, Apex) else label(shape)
    if form is not None:
        return form
    low, found = _climbed(problem, shape, samples)
    high = low
    while found is None:  # nor where it was climbed from
        low, high = low / 2, low
        if low < 1e-9:
            raise InputError(f"no {called} was found at decay {problem.mean_decay:g} or below: start from random")
        _, found = _climbed(replace(problem, decay=low), shape, samples)
    while high / low > 1 + 1e-5:
        middle = math.sqrt(low * high)
        none = find_form(replace(problem, decay=middle), shape, samples) is None
        low, high = (low, middle) if none else (middle, high)
    raise InputError(f"no {called} was found at decay {problem.mean_decay:g}: the largest decay that has one is {low:.6g}")


def require_apex(problem: Problem) -> LogitForm:
    """Returns the logits of apex.

    Raises:
        InputError: If the problem has none; the message names the largest decay that has one.
    """
    require_apex_classes(problem)
    return require_form(problem, Apex(), problem.class_sizes[0])


def find_apex(problem: Problem) -> LogitForm | None:
    """Returns the logits of apex, or None where there is no such point, without looking for the decay that has one."""
    if problem.classes % 2 == 0 or problem.loss != "ce" or not (problem.is_balanced and problem.is_linear):
        return None
    if problem.depth == 1 or problem.classes == 3:
        return None  # with one layer only DNC is a minimum; at K = 3 the rank is that of DNC, and no other point was seen
    return find_form(problem, Apex(), problem.class_sizes[0])
