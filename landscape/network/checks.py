"""What a module's loss is asked when it is made, so that a wrong Hessian is refused before anything is computed with it."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from landscape.curvature.operators.reverse import gradient, one_line, plain_autograd, require_dependence, scalar
from landscape.errors import InputError
from landscape.network.data import Batch, merged, part, require_repeatable
from landscape.network.trees import tensors

if TYPE_CHECKING:
    from landscape.network.loss import ModuleLoss

_RANDOM = (nn.modules.dropout._DropoutNd, nn.RReLU)
_ADDITIVE = {
    torch.float64: 1e-9,
    torch.float32: 1e-3,
}  # relative: sums in another order differ by rounding, wrong ones by 1e-2 and more
_OWN = {torch.float64: 1e-5, torch.float32: 1e-2}
_BOTH = 'pass weight= (what a batch counts), reduction="sum", or all data as one batch'


def require_sound_loss(problem: "ModuleLoss") -> None:
    """Makes every check of a loss; see `ModuleLoss`.

    Raises:
        InputError: If one fails.
    """
    require_evaluation_mode(problem.flat.module)
    with plain_autograd(problem.theta.device):
        if problem.check and not problem.theta.is_meta:
            require_repeatable(problem.data)
        if problem.own_samples == 0:
            raise InputError("expected at least one sample, got empty data" + (" on this rank" if problem.group else ""))
        if problem.theta.is_meta or not problem.check:
            return
        batch = next(problem.batches())
        require_deterministic(problem, batch)
        require_registered(problem, batch)
        require_own_gradient(problem, batch)
        require_additive(problem, batch)


def require_evaluation_mode(module: nn.Module) -> None:
    """Refuses parts whose training mode is random or couples samples.

    Raises:
        InputError: If there is one in training mode.
    """
    for name, place in module.named_modules():
        if not place.training:
            continue
        if isinstance(place, nn.modules.batchnorm._BatchNorm):
            raise InputError(f"expected batch normalisation in evaluation mode, got {name or 'it'} training: call module.eval()")
        dropout = getattr(place, "p", None) if isinstance(place, _RANDOM[0]) else getattr(place, "dropout", None)
        if isinstance(dropout, float) and dropout > 0 and isinstance(place, (*_RANDOM, nn.RNNBase, nn.MultiheadAttention)):
            raise InputError(f"expected no dropout, got {name or 'it'} training with dropout {dropout:g}: call module.eval()")


def require_deterministic(problem: "ModuleLoss", batch: Batch) -> None:
    """Evaluates one batch twice and compares the losses.

    Raises:
        InputError: If the two losses differ, or are not finite.
    """
    first, again = (problem.batch_loss(problem.theta, batch).detach() for _ in range(2))
    if not bool(torch.isfinite(first)):
        raise InputError(f"expected a finite loss, got {float(first)}: are all targets ignored, or the parameters too large?")
    if not torch.equal(first, again):
        raise InputError("expected a deterministic module, got two losses for one batch: is dropout on? call module.eval()")


def require_registered(problem: "ModuleLoss", batch: Batch) -> None:
    """Walks the graphs of two evaluations to their leaves; the flat vector must be the only lasting one that is trained.

    Leaves that a forward pass makes for itself, or that are inputs, belong to derivatives with respect to inputs.

    Raises:
        InputError: If another tensor that requires a gradient takes part.
    """
    leaf = problem.theta.clone().requires_grad_()
    values = [problem.batch_loss(leaf, batch) for _ in range(2)]
    require_dependence(values[0])
    own = {id(p): name for name, p in problem.flat.module.named_parameters()}
    first, second = (graph_leaves(value) for value in values)
    lasting = {id(other) for other in second} - {id(leaf), *map(id, tensors((batch.inputs, batch.targets)))}
    for other in first:
        if id(other) not in lasting:
            continue
        if id(other) in own:
            raise InputError(
                f"expected the loss to use {own[id(other)]} through the module alone, got a use of the tensor itself: "
                "take penalties out of the loss (decay= is the weight decay) and tensors out of Python lists"
            )
        raise InputError(
            f"expected all trained tensors among the module's parameters, got one of shape {tuple(other.shape)} that is not: "
            "put layers into nn.ModuleList and tensors into nn.ParameterList, or call requires_grad_(False) on it"
        )


def graph_leaves(value: Tensor) -> list[Tensor]:
    """Returns the tensors that collect a gradient in the graph of a value."""
    found, seen, queue = [], set(), [value.grad_fn]
    while queue:
        node: Any = queue.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.append(node.variable)
        queue += [following for following, _ in node.next_functions]
    return found


def require_own_gradient(problem: "ModuleLoss", batch: Batch) -> None:
    """Compares the gradient of one batch with that of the module itself, called in its own precision as its owner would.

    Only where the point is that of the module.

    Raises:
        InputError: If they differ by more than rounding.
    """
    trained = [p for p in problem.flat.module.parameters() if p.requires_grad]
    if problem.point is not None or len({p.dtype for p in trained}) > 1 or trained[0].dtype not in _OWN:
        return
    native = batch if problem.dtype in (None, trained[0].dtype) else _native(problem, batch, trained[0].dtype)
    with one_line("a module that can be called by itself", "see the exception that it names"):
        value = scalar(problem.loss(problem.flat.directly(native.inputs), native.targets))
        parts = torch.autograd.grad(value, trained, materialize_grads=True)
    own = torch.cat([each.reshape(-1) for each in parts]).to(problem.theta)
    _, ours = gradient(lambda theta: problem.batch_loss(theta, batch), problem.theta)
    tolerance = _OWN[trained[0].dtype]
    apart, scale = float((own - ours).norm()), float(own.norm() + ours.norm()) + 1e-2 * (1 + float(value.detach().abs()))
    if not apart <= tolerance * scale:
        raise InputError(
            f"expected the gradient that the module itself has, got one that differs by {apart:.1e} of {float(own.norm()):.1e}: "
            "the forward pass uses parameters in a way that a functional call does not see"
        )


def _native(problem: "ModuleLoss", batch: Batch, dtype: torch.dtype) -> Batch:
    """Returns a batch in the precision of the module, as the data give it where they are in that precision."""
    from landscape.network.functional import placed

    inputs, targets = problem.adapter(batch.raw)
    device = problem.theta.device
    return replace(batch, inputs=placed(inputs, dtype, device), targets=placed(targets, dtype, device))


def require_additive(problem: "ModuleLoss", batch: Batch) -> None:
    """Compares losses of batches with those of their parts, where the total is a sum over several batches.

    Two unequal parts of the first batch; then the first batch and the second as one, and the first and the last, where their
    shapes fit together.

    Raises:
        InputError: If the loss of the whole is not the weighted sum of the losses of the parts.
    """
    others: list[Batch] = []
    for place, other in enumerate(problem.batches()):
        others = [*others[:1], other] if place else others
    if not others:
        return
    if batch.samples % batch.units:
        raise InputError(
            f"expected a number of targets that is a multiple of the number of inputs, got {batch.samples} and {batch.units}: pass "
            "axis= if samples are not counted on axis 0, or all data as one batch"
        )
    if batch.units >= 3:
        cut = max(1, batch.units // 3)
        _compare(problem, batch, part(batch, 0, cut, problem.axis), part(batch, cut, batch.units, problem.axis))
    for other in others:
        both = merged(batch, other, problem.axis)
        if both is not None:
            _compare(problem, both, batch, other)


def _compare(problem: "ModuleLoss", whole: Batch, left: Batch, right: Batch) -> None:
    try:
        total, one, two = (problem.batch_loss(problem.theta, each).detach().double() for each in (whole, left, right))
    except InputError as failure:
        raise InputError(
            f"expected a loss of every part of a batch on axis {problem.axis} (pass axis=, or all data as one batch): {failure}"
        ) from failure
    counts = [problem.measure(each) for each in (left, right)]
    mean = (counts[0] * one + counts[1] * two) / (sum(counts) or 1.0)
    declared, other = (one + two, mean) if problem.reduction == "sum" and problem.weight is None else (mean, one + two)
    allowed = _ADDITIVE[problem.theta.dtype] * float(total.abs() + one.abs() + two.abs())
    # a part that holds nothing (all targets ignored) has a loss of 0 / 0, and counts 0
    if float((declared - total).abs()) <= allowed or (not all(counts) and not bool(torch.isfinite(one + two))):
        return
    remedy = _BOTH
    if float((other - total).abs()) <= allowed:
        right_word = "mean" if problem.reduction == "sum" else "sum"
        remedy = f'this loss is a {right_word}: pass reduction="{right_word}"'
    kind = "weighted mean" if declared is mean else "sum"
    raise InputError(
        f"expected the loss of {whole.samples} samples to be the {kind} of the losses of {left.samples} and {right.samples} of "
        f"them, got {float(total):.6g} and {float(declared):.6g}: {remedy}"
    )
