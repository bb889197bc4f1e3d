"""Where a module is not smooth: pre-activations of piecewise-linear operations that are near their kink on the data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from landscape.curvature.krylov import seeded
from landscape.curvature.operators.reverse import plain_autograd
from landscape.display import brief
from landscape.network.loss import ModuleLoss
from landscape.network.shards import smallest, summed

NEAR = 1e-8  # of the root mean square of the distances: by chance one in 1e8 is as near, at a kink that descent found all are
_NUDGE = 1e-3  # relative size of the move that tells a distance that stays 0, as of padding, from one that a parameter moves
_aten = torch.ops.aten


def _from(*kinks: float) -> Callable[..., list[Tensor]]:
    return lambda x, *_, **__: [x - kink for kink in kinks]


def _threshold(x: Tensor, threshold: float, *_: Any) -> list[Tensor]:
    return [x - threshold]


def _bounds(x: Tensor, low: Any = None, high: Any = None) -> list[Tensor]:
    return [x - bound for bound in (low, high) if bound is not None]


def _hardtanh(x: Tensor, low: float = -1.0, high: float = 1.0) -> list[Tensor]:
    return [x - low, x - high]


def _shrink(x: Tensor, threshold: float = 0.5) -> list[Tensor]:
    return [x - threshold, x + threshold]


def _elu(x: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> list[Tensor]:
    """Returns the distances from 0 where the slopes on both sides differ, as in SELU but not in ELU with alpha 1 or CELU."""
    return [] if abs(alpha * input_scale - 1) < 1e-12 else [x]


def _lead(x: Tensor, dim: int, *_: Any) -> list[Tensor]:
    """Returns by how much the largest entry leads the second along an axis."""
    if not x.is_floating_point() or x.ndim == 0 or x.shape[dim] < 2:
        return []
    two = x.topk(2, dim=dim).values
    return [two.select(dim, 0) - two.select(dim, 1)]


def _amax(x: Tensor, dim: Any = (), *_: Any) -> list[Tensor]:
    axes = [dim] if isinstance(dim, int) else list(dim) or list(range(x.ndim))
    kept = [axis for axis in range(x.ndim) if axis not in {a % x.ndim for a in axes}]
    flat = x.permute(*kept, *(a % x.ndim for a in axes)).reshape(*(x.shape[axis] for axis in kept), -1)
    return _lead(flat, -1)


def _pool(x: Tensor, kernel: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, *_: Any) -> list[Tensor]:
    """Returns by how much the largest entry of every window leads the second; windows over the far edge are left out."""
    axes = len(kernel) if len(kernel) > 1 else x.ndim - 2
    sizes, steps, pads, spreads = (_each(value, axes) for value in (kernel, stride or kernel, padding, dilation))
    around = [width for pad in reversed(pads) for width in (pad, pad)]
    windows = torch.nn.functional.pad(x, around, value=-torch.inf)
    for axis, (size, step, spread) in enumerate(zip(sizes, steps, spreads, strict=True)):
        place = x.ndim - axes + axis
        windows = windows.unfold(place, (size - 1) * spread + 1, step)[..., ::spread]
    flat = windows.reshape(*windows.shape[: x.ndim], -1)
    lead = _lead(flat, -1)
    return [torch.where(torch.isfinite(part), part, torch.inf) for part in lead]


def _adaptive(x: Tensor, sizes: Any) -> list[Tensor]:
    """Returns by how much the largest entry of every window leads the second, for windows as torch cuts them."""
    regions = [x]
    for axis, size in enumerate(_each(sizes, len(sizes))):
        place = x.ndim - len(sizes) + axis
        length = x.shape[place]
        cuts = [(i * length // size, -(-(i + 1) * length // size)) for i in range(size)]
        regions = [region.narrow(place, start, stop - start) for region in regions for start, stop in cuts]
    return [part for region in regions for part in _lead(region.flatten(x.ndim - len(sizes)), -1)]


def _each(value: Any, axes: int) -> list[int]:
    return [value] * axes if isinstance(value, int) else list(value) * (axes if len(value) == 1 else 1)


_DISTANCES: dict[str, Callable[..., list[Tensor]]] = {
    "relu": _from(0.0),
    "leaky_relu": _from(0.0),
    "_prelu_kernel": _from(0.0),
    "rrelu_with_noise": _from(0.0),
    "abs": _from(0.0),
    "elu": _elu,
    "hardsigmoid": _from(-3.0, 3.0),
    "hardswish": _from(-3.0, 3.0),
    "threshold": _threshold,
    "hardtanh": _hardtanh,
    "clamp": _bounds,
    "clamp_min": _bounds,
    "clamp_max": _bounds,
    "softshrink": _shrink,
    "hardshrink": _shrink,
    "maximum": lambda x, other: [x - other],
    "minimum": lambda x, other: [x - other],
    "max_pool2d_with_indices": _pool,
    "max_pool3d_with_indices": _pool,
    "adaptive_max_pool2d": _adaptive,
    "adaptive_max_pool3d": _adaptive,
    "amax": _amax,
    "amin": lambda x, *rest: _amax(-x, *rest),
    "max": lambda x, *rest: _lead(x, *rest) if rest else _amax(x),
    "min": lambda x, *rest: _lead(-x, *rest) if rest else _amax(-x),
}


class _Watch(TorchDispatchMode):
    """Notes the distance from the kink of every entry that a piecewise-linear operation is given."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: list[tuple[str, Tensor]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__.removesuffix("_")
        distances = _DISTANCES.get(name)
        if distances is not None and isinstance(args[0], Tensor) and args[0].is_floating_point():
            given = {key: value for key, value in (kwargs or {}).items() if key in ("min", "max")}
            found = distances(*args, *([given.get("min"), given.get("max")] if given else []))
            self.seen += [(name, each.detach().abs()) for each in found if each.numel()]
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True)
class Kinks:
    """How near a module is to where it is not differentiable, on the data.

    Attributes:
        near: Number of pre-activations nearer to a kink than the tolerance.
        watched: Number of pre-activations of piecewise-linear operations.
        smallest: The smallest distance from a kink, relative to the root mean square of its operation; infinite if none.
        operation: Operation where the smallest was seen, by the name that torch has for it.
        tolerance: Relative distance below which a pre-activation is near.
    """

    near: int
    watched: int
    smallest: float
    operation: str
    tolerance: float

    __repr__ = brief


def kinks(problem: ModuleLoss, tolerance: float = NEAR) -> Kinks:
    """Counts the pre-activations of a module within a tolerance of a kink, over all its data, of all ranks."""
    if problem.group is None:
        return kinks_here(problem, tolerance)
    names, found = sorted(_DISTANCES), [Kinks(0, 0, float("inf"), "", tolerance)]

    def count() -> Tensor:
        found[0] = kinks_here(problem, tolerance)
        return torch.tensor([found[0].near, found[0].watched], dtype=torch.float64, device=device)

    device, here = problem.theta.device, found[0]
    near, watched = summed(problem.group, count, torch.zeros(2, dtype=torch.float64, device=device)).tolist()
    here = found[0]
    nearest = float(smallest(problem.group, torch.tensor([here.smallest], dtype=torch.float64, device=device)))
    place = names.index(here.operation) if here.operation and here.smallest == nearest else len(names)
    first = int(smallest(problem.group, torch.tensor([float(place)], dtype=torch.float64, device=device)))
    return Kinks(int(near), int(watched), nearest, [*names, ""][first], tolerance)


def kinks_here(problem: ModuleLoss, tolerance: float = NEAR) -> Kinks:
    """Counts the pre-activations of a module within a tolerance of a kink, over the data of this rank.

    Watched are rectifiers, absolute values, clamps, hard sigmoids and tanh, shrinkage, maxima and maximum pooling. A distance
    that is exactly 0 and stays 0 when the parameters move (padding, dead inputs, two equal entries of a constant window) is no
    kink. One or two forward passes over the data.
    """
    near, watched, nearest, operation = 0, 0, float("inf"), ""
    drawn = torch.randn(problem.theta.numel(), generator=seeded(0, "kinks"), dtype=torch.float64).to(problem.theta)
    move = drawn * (_NUDGE * (float(problem.theta.norm()) or 1.0) / float(drawn.norm()))
    with plain_autograd(problem.theta.device):
        for batch in problem.batches():
            first = _distances(problem, problem.theta, batch)
            again = first
            if any(bool((distance == 0).any()) for _, distance in first):
                again = _distances(problem, problem.theta + move, batch)
            for (name, distance), (_, moved) in zip(first, again, strict=True):
                scale = _scale(distance)
                still = (distance == 0) & (moved == 0)
                relative = torch.where(still | ~torch.isfinite(distance), torch.inf, distance / scale)
                near += int((relative <= tolerance).sum())
                watched += distance.numel()
                if float(relative.min()) < nearest:
                    nearest, operation = float(relative.min()), name
    return Kinks(near, watched, nearest, operation, tolerance)


def _distances(problem: ModuleLoss, theta: Float[Tensor, " p"], batch: Any) -> list[tuple[str, Tensor]]:
    leaf = theta.detach().clone().requires_grad_()  # without a gradient attention would take a kernel that hides its rectifier
    with _Watch() as watch:
        problem.batch_loss(leaf, batch)
    return watch.seen


def _scale(distance: Tensor) -> float:
    """Returns the root mean square of finite distances, or 1 where all are 0."""
    finite = distance[torch.isfinite(distance)]
    return float(finite.double().square().mean().sqrt()) or 1.0 if finite.numel() else 1.0
