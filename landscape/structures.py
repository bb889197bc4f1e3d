"""Starting points and analytic critical points, each a frozen description that a problem turns into numbers.

An analytic point is first a singular value decomposition of its class-mean logits, K numbers wide whatever the width and
the number of samples (`LogitForm`); `embed` writes it out as parameters, in any gauge.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from landscape.codes import Block, Simplex, basis_of, block_equation, label, size_of
from landscape.display import brief
from landscape.errors import InputError
from landscape.problem import Problem
from landscape.theory import Root, ScaleEquation, mode_equation, simplex_equation
from landscape.tolerances import CRITICAL


@dataclass(frozen=True)
class Random:
    """W_l ~ N(0, weight_scale^2 / d) and H_1 ~ N(0, feature_scale^2), entry by entry, from one seed.

    The paper does not state its scales; both change which structure descent finds.
    """

    weight_scale: float = 1.0
    feature_scale: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Partition:
    """Classes split in their order into groups, logits blockdiag(a_g S_g): (K) is DNC, (2, .., 2) are pairs.

    Cross-entropy only. Every group's scale solves its own equation; classes of one group must have equal sizes. A group of one
    class has zero logits.
    """

    groups: tuple[int, ...]
    root: Root = "large"


@dataclass(frozen=True)
class Collapse:
    """Deep neural collapse: the simplex alpha S_K under cross-entropy, one orthogonal mode per class under squared error."""

    root: Root = "large"


@dataclass(frozen=True)
class Pairs:
    """The low-rank structure of the paper for even K: (2, .., 2), rank K/2."""

    root: Root = "large"


@dataclass(frozen=True)
class Apex:
    """The pairs' companion for odd K: K-1 classes in pairs and one apart, logits b * pairs + c u v^T, rank (K+1)/2.

    u = (-1/(K-1), .., -1/(K-1), 1), v = (-t, .., -t, 1); b, c and t minimise the reduced loss.
    """


@dataclass(frozen=True)
class Coded:
    """Classes split in their order into blocks that may be polygons or codes too, each at its own scale; cross-entropy only."""

    blocks: tuple[Block, ...]
    root: Root = "large"


Structure = Partition | Collapse | Pairs | Apex | Coded


@dataclass(frozen=True)
class LogitForm:
    """Class-mean logits times sqrt(class size), as left * diag(singular) * right^T with orthonormal columns.

    All factors share these singular vectors at a critical point; each factor's own singular values follow from
    `factor_values` (Lemma 1 of the paper).
    """

    left: Float[Tensor, "k r"]
    singular: Float[Tensor, " r"]
    right: Float[Tensor, "k r"]

    __repr__ = brief

    @property
    def rank(self) -> int:
        """The number of singular values; the form stores no zeros."""
        return self.singular.numel()


def analytic(problem: Problem, structure: Structure) -> LogitForm:
    """Returns the logits of an analytic critical point.

    Raises:
        InputError: If the problem has no such point; the message names the largest decay that has, where that is the reason.
    """
    if not problem.is_linear:
        raise InputError(f"expected linear layers for {describe(structure)}, got {problem.activation}: start from random")
    match structure:
        case Partition(groups, root):
            form = _partition(problem, groups, root)
        case Pairs(root):
            if problem.classes % 2:
                raise InputError(f"expected an even number of classes for pairs, got {problem.classes}: use apex")
            form = _partition(problem, (2,) * (problem.classes // 2), root)
        case Collapse(root):
            form = _partition(problem, (problem.classes,), root) if problem.loss == "ce" else _modes(problem, root)
        case Coded(blocks, root):
            form = _blocks(problem, blocks, root, describe(structure))
        case Apex():
            form = _apex(problem)
    if form.rank > problem.width:
        raise InputError(f"expected width >= {form.rank}, the rank of {describe(structure)}, got {problem.width}")
    return form


def describe(structure: Structure) -> str:
    """Returns the name that the command line and the reports use."""
    match structure:
        case Partition(groups, root):
            name = f"partition ({','.join(map(str, groups))})"
        case Pairs(root):
            name = "pairs"
        case Collapse(root):
            name = "DNC"
        case Coded(blocks, root):
            name = f"blocks {'+'.join(map(label, blocks))}"
        case Apex():
            return "pairs+apex"
    return name if root == "large" else f"{name} at the small root"


def random_start(problem: Problem, start: Random) -> Float[Tensor, " p"]:
    """Returns a random start, drawn on the CPU in float64 so that a seed means the same on every device."""
    generator = torch.Generator().manual_seed(start.seed)
    scales = (start.feature_scale, *(start.weight_scale / math.sqrt(problem.width),) * problem.depth)
    return torch.cat(
        [
            scale * torch.randn(rows * columns, dtype=torch.float64, generator=generator)
            for (rows, columns), scale in zip(problem.shapes, scales, strict=True)
        ]
    )


def factor_values(problem: Problem, singular: Float[Tensor, " r"]) -> list[Float[Tensor, " r"]]:
    """Returns the singular values of H_1, W_1, .., W_L at a critical point with these singular values of the logits.

    decay_l * s_l^2 is the same for all factors and the product of the s_l is the logits' value.
    """
    shared = singular ** (1 / (problem.depth + 1))
    return [shared * math.sqrt(problem.mean_decay / decay) for decay in problem.decays]


def embed(problem: Problem, form: LogitForm, gauge: int | None = None) -> Float[Tensor, " p"]:
    """Returns the parameters of a point in aligned frames.

    Args:
        problem: The model.
        form: The logits.
        gauge: None puts every interface's frame on the first coordinates; a seed draws them uniformly (Haar).
    """
    generator = None if gauge is None else torch.Generator().manual_seed(gauge)
    frames = [_frame(problem.width, form.rank, generator) for _ in range(problem.depth)]
    sizes = torch.tensor(problem.class_sizes)
    columns = (form.right / sizes.double().sqrt()[:, None]).repeat_interleave(sizes, dim=0)
    ends = [columns, *frames, form.left]
    values = factor_values(problem, form.singular)
    return torch.cat([((ends[i + 1] * values[i]) @ ends[i].mT).flatten() for i in range(problem.depth + 1)])


def _frame(width: int, rank: int, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        return torch.eye(width, rank, dtype=torch.float64)
    draw = torch.randn(width, rank, dtype=torch.float64, generator=generator)
    basis, triangle = torch.linalg.qr(draw)
    return basis * triangle.diagonal().sign()  # without the signs QR is not uniform


def _solve_scale(problem: Problem, equation: ScaleEquation, root: Root, name: str) -> float:
    scale = equation.root(root)
    if scale is not None:
        return scale
    if root == "small" and problem.depth == 1:
        raise InputError(f"expected depth >= 2 for {name}: with one layer there is no small root")
    raise InputError(
        f"no {name} exists at decay {problem.mean_decay:g}: the largest decay that has one is {equation.largest_decay:.6g}"
    )


def _partition(problem: Problem, groups: tuple[int, ...], root: Root) -> LogitForm:
    name = describe(Collapse(root) if groups == (problem.classes,) else Partition(groups, root))
    if any(g < 1 for g in groups) or sum(groups) != problem.classes:
        raise InputError(f"expected groups of at least 1 that sum to {problem.classes} classes, got {','.join(map(str, groups))}")
    return _blocks(problem, tuple(Simplex(group) for group in groups), root, name)


def _blocks(problem: Problem, blocks: tuple[Block, ...], root: Root, name: str) -> LogitForm:
    if problem.loss != "ce":
        raise InputError(f"expected loss ce for {name}, got {problem.loss}: use dnc or random")
    if sum(map(size_of, blocks)) != problem.classes:
        raise InputError(f"expected blocks for {problem.classes} classes, got {sum(map(size_of, blocks))} in {name}")
    scales, start = [], 0
    for block in blocks:
        sizes = set(problem.class_sizes[start : start + size_of(block)])
        if len(sizes) > 1:
            raise InputError(f"expected equal class sizes within each group of {name}, got {sorted(sizes)}: start from random")
        single = size_of(block) == 1
        scales.append(0.0 if single else _solve_scale(problem, scale_equation(problem, block, sizes.pop()), root, name))
        start += size_of(block)
    return block_form(problem, blocks, scales)


def scale_equation(problem: Problem, block: Block, samples: int) -> ScaleEquation:
    """Returns the equation of a block's scale; the simplex has one in closed form."""
    return simplex_equation(problem, block.size, samples) if isinstance(block, Simplex) else block_equation(problem, block, samples)


def block_form(problem: Problem, blocks: Sequence[Block], scales: Sequence[float]) -> LogitForm:
    """Returns the logits blockdiag(scale * projector), whether or not the scales make it critical.

    Args:
        problem: Its class sizes are equal within each block.
        blocks: In the order of the classes.
        scales: One per block; that of a block of one class does not matter.
    """
    bases, singular, start = [torch.zeros(problem.classes, 0, dtype=torch.float64)], [], 0
    for block, scale in zip(blocks, scales, strict=True):
        basis = basis_of(block)
        bases.append(torch.nn.functional.pad(basis, (0, 0, start, problem.classes - start - basis.shape[0])))
        singular += [scale * math.sqrt(problem.class_sizes[start])] * basis.shape[1]
        start += basis.shape[0]
    basis = torch.cat(bases, dim=1)
    return LogitForm(basis, torch.tensor(singular, dtype=torch.float64), basis)


def _modes(problem: Problem, root: Root) -> LogitForm:
    name = describe(Collapse(root))
    scales = [_solve_scale(problem, mode_equation(problem, n), root, name) * math.sqrt(n) for n in problem.class_sizes]
    identity = torch.eye(problem.classes, dtype=torch.float64)
    return LogitForm(identity, torch.tensor(scales, dtype=torch.float64), identity)


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


def _apex(problem: Problem) -> LogitForm:
    if problem.classes % 2 == 0 or problem.loss != "ce" or not problem.is_balanced:
        raise InputError("expected an odd number of equal classes and loss ce for pairs+apex: use pairs, dnc or random")
    scalars = _apex_scalars(problem)
    if scalars is None:
        low, high = problem.mean_decay / 2, problem.mean_decay
        while _apex_scalars(replace(problem, decay=low)) is None:
            low, high = low / 2, low
            if low < 1e-9:
                raise InputError(f"no pairs+apex was found at decay {problem.mean_decay:g} or below: start from random")
        while high / low > 1 + 1e-5:
            middle = math.sqrt(low * high)
            low, high = (low, middle) if _apex_scalars(replace(problem, decay=middle)) is None else (middle, high)
        raise InputError(f"no pairs+apex exists at decay {problem.mean_decay:g}: the largest decay that has one is {low:.6g}")
    return _apex_form(problem, scalars)


def find_apex(problem: Problem) -> LogitForm | None:
    """Returns the logits of pairs+apex, or None where there is no such point, without looking for the decay that has one."""
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
