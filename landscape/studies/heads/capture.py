"""From a trained network to a point: the features below its head, recorded on the data, and the weights of the head."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from landscape.errors import InputError
from landscape.model.problem import ActivationName, Problem
from landscape.points.point import CriticalPoint, Origin

_SAME_OUTPUT = 1e-3  # relative; float32 networks agree to 1e-6, and a layer that was overlooked changes far more


def head_point(
    module: nn.Module,
    layers: Sequence[str],
    inputs: Float[Tensor, "m ..."],
    labels: Int[Tensor, " m"],
    decay: float | tuple[float, ...],
    activation: ActivationName = "linear",
    batch: int = 1024,
) -> CriticalPoint:
    """Returns the head of a network, with the features that it sees, as a point of a deep unconstrained features model.

    The network is run in evaluation mode and left as it was. With decays lambda_H, lambda_W1, .. the loss of the point is
    the mean cross-entropy of the network plus lambda_H/2 times the squared norms of all features, summed over the samples, plus
    lambda_Wl/2 times the squared norm of every head layer.

    Args:
        module: The network; its output are the logits.
        layers: Names of the head's linear layers in `module.named_modules()`, from first to last.
        inputs: Data, one sample per row of the first axis.
        labels: Classes from 0, one per sample; the samples are sorted by them.
        decay: Weight decay of the features and of each head layer, or one for all.
        activation: What stands between the head's layers.
        batch: Samples that are run at once.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> body, head = torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.Tanh()), torch.nn.Linear(6, 3, bias=False)
        >>> inputs, labels = torch.randn(12, 5), torch.arange(12) % 3
        >>> point = ls.head_point(torch.nn.Sequential(body, head), ["1"], inputs, labels, decay=(1e-3, 1e-2))
        >>> print(point.problem)
        linear CE model, K=3 n=4 d=6 L=1 decay=0.001,0.01 (P=90)

    Raises:
        InputError: If a layer has a bias or is no linear layer, the features and layers have different widths, the labels do
            not fit, the features have no decay, or the head's logits are not the network's output.
    """
    head = [_linear(module, name) for name in layers]
    if not head:
        raise InputError("expected the names of the head's layers, got none")
    if labels.shape != inputs.shape[:1]:
        raise InputError(f"expected one label per sample, {inputs.shape[0]} in all, got labels of shape {tuple(labels.shape)}")
    features, outputs = _run(module, head[0], inputs, batch)
    weights = [layer.weight.detach() for layer in head]
    width, classes = features.shape[1], weights[-1].shape[0]
    found = [tuple(weight.shape) for weight in weights]
    expected = [(width, width)] * (len(weights) - 1) + [(classes, width)]
    if found != expected:
        raise InputError(f"expected head layers of shapes {expected} for features of width {width}, got {found}")
    if outputs.shape[1] != classes:
        raise InputError(f"expected the head's last layer to give {outputs.shape[1]} logits, got {classes}: name all its layers")
    sizes = _class_sizes(labels, classes)
    problem = Problem(sizes, width, len(weights), require_feature_decay(decay), "ce", activation)
    _require_same(problem, features, weights, outputs)
    order = torch.argsort(labels, stable=True)
    theta = torch.cat([part.to(torch.float64).flatten() for part in (features[order].mT, *weights)])
    return CriticalPoint.at(problem, theta, Origin(f"head {', '.join(layers)} of {type(module).__name__}"))


def require_feature_decay(decay: float | tuple[float, ...]) -> float | tuple[float, ...]:
    """Returns the decays if the features have one: without, a network scales them as it likes, and no loss of the model is a bound.

    Raises:
        InputError: If the first decay is zero.
    """
    if (decay[0] if isinstance(decay, tuple) else decay) == 0:
        raise InputError("expected a decay on the features: without one the losses of the model bound nothing")
    return decay


def balanced_decay(module: nn.Module, layers: Sequence[str], inputs: Float[Tensor, "m ..."], decay: float) -> float:
    """Returns the decay of the features that balances them with the head's first layer: lambda_H |H_1|^2 = lambda |W_1|^2.

    Every critical point of the model is balanced so. For a network whose features have no decay of their own it is the model that
    the head can be compared with. The loss of that model bounds nothing.

    Args:
        module: The network whose head it is.
        layers: Names of the head's layers, from first to last.
        inputs: Data, one sample per row of the first axis.
        decay: Weight decay of the first layer.
    """
    first = _linear(module, layers[0])
    features, _ = _run(module, first, inputs, 1024)
    return decay * float(first.weight.detach().double().square().sum() / features.double().square().sum())


def _linear(module: nn.Module, name: str) -> nn.Linear:
    layer = dict(module.named_modules()).get(name)
    if not isinstance(layer, nn.Linear):
        linear = [key for key, part in module.named_modules() if isinstance(part, nn.Linear)]
        raise InputError(f"expected a linear layer {name!r}, got {type(layer).__name__}: its linear layers are {', '.join(linear)}")
    bias: Tensor | None = layer.bias
    if bias is not None and bool((bias != 0).any()):
        raise InputError(f"expected head layers without bias, got one in {name!r}: train the head with bias=False")
    return layer


def _run(module: nn.Module, first: nn.Linear, inputs: Tensor, batch: int) -> tuple[Tensor, Tensor]:
    """Returns what the first head layer sees and what the network says, for all samples."""
    seen: list[Tensor] = []
    was = [(part, part.training) for part in module.modules()]
    hook = first.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0].detach()))
    try:
        module.eval()
        with torch.no_grad():
            said = [module(part) for part in inputs.split(batch)]
    finally:
        hook.remove()
        for part, training in was:
            part.training = training
    if not said or len(seen) != len(said) or any(part.ndim != 2 for part in (*seen, *said)):
        raise InputError(f"expected one feature vector per sample at the head, got {[tuple(part.shape) for part in seen[:1]]}")
    return torch.cat(seen), torch.cat(said)


def _class_sizes(labels: Tensor, classes: int) -> tuple[int, ...]:
    if labels.is_floating_point() or int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise InputError(f"expected whole labels from 0 to {classes - 1}, got {labels.dtype} up to {labels.max().item():g}")
    return tuple(torch.bincount(labels, minlength=classes).tolist())


def _require_same(problem: Problem, features: Tensor, weights: list[Tensor], outputs: Tensor) -> None:
    signal = features
    for number, weight in enumerate(weights, start=1):
        signal = signal @ weight.mT
        if problem.activation == "relu" and number < len(weights):
            signal = signal.relu()
    apart = float((signal - outputs).norm())
    if not apart <= _SAME_OUTPUT * float(outputs.norm()):
        raise InputError(
            f"expected the head to give the network's output, got a relative difference of {apart / float(outputs.norm()):.1g}: "
            f"name all its layers, and --activation if it is not {problem.activation}"
        )
