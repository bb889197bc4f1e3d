"""Weights trained elsewhere as a point of a DUFM, with what had to be guessed about them.

Either arrays named H_1 and W_1 .. W_L, or a state dict whose weight matrices are taken in order, with the features named by the
caller. Which files are read says `foreign_arrays`.
"""

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from landscape.display import aligned
from landscape.errors import InputError
from landscape.model.objective import Objective
from landscape.model.problem import ActivationName, LossName, Problem
from landscape.plain_file import Missing, read_ordinary
from landscape.points.foreign_arrays import first_line, listed, read_arrays
from landscape.points.point import CriticalPoint, Origin

_LONGEST_LABELS = 1_000_000_000  # bytes of a file of labels
_NAMED = re.compile(r"([wh])_?(\d+)", re.IGNORECASE)
_LABELS = ("labels", "label", "targets", "target", "y", "classes")  # names of labels, in order of preference
_CLEAR = 2.0  # the quotient of two gradient norms from which on the smaller one decides
_CONVENTION = {
    "ce": "mean cross-entropy over the samples",
    "mse": "mean over the samples of half the squared distance to the one-hot label",
}


@dataclass(frozen=True)
class WeightsLayout:
    """Names and sizes that a file of weights does not state: feature array, class sizes, labels.

    Attributes:
        features: Name of the feature array, or path to a .npy file; None looks for H_1.
        class_sizes: Number of samples per class in class order; None with no labels means those in the file, or else equal classes.
        labels: Name of an integer array in the file, or a path to a .npy or text file; the samples are then sorted by class.
        transpose: Whether the features are stored as samples x width; None takes what fits, and where both do the orientation of
            the smaller gradient.

    Example:
        >>> import landscape as ls
        >>> ls.WeightsLayout(features="embeddings", labels="y").features
        'embeddings'
    """

    features: str | None = None
    class_sizes: tuple[int, ...] | None = None
    labels: str | None = None
    transpose: bool | None = None


@dataclass(frozen=True)
class ImportedWeights:
    """A point, and what was taken for what in the file that it came from.

    Attributes:
        point: The weights, exactly as they are; float32 is widened.
        entry: Keys that lead to the weights in a nested checkpoint.
        features: Name of the array that was taken for H_1.
        weights: Names of the arrays that were taken for W_1 .. W_L, in this order.
        unused: Arrays and entries that were not used.
        transposed: Whether the features were stored as samples x width.
        gradient_norms: As stored and transposed, where both fit and nobody said which; else empty.
        labels: Where the classes came from: an array or a file; None for class sizes that were given, or equal ones.
        labels_found: Whether the labels were found in the file without being named.
        chance: The loss of equal logits without decay, which any trained point beats.
        fit: The loss of the point without decay.
    """

    point: CriticalPoint
    entry: tuple[str, ...]
    features: str
    weights: tuple[str, ...]
    unused: tuple[str, ...]
    transposed: bool
    gradient_norms: tuple[float, ...]
    labels: str | None
    labels_found: bool
    chance: float
    fit: float

    @property
    def above_chance(self) -> bool:
        """Whether equal logits fit the labels better than these weights: labels or orientation are then probably wrong."""
        return not self.fit <= self.chance

    def rows(self) -> list[tuple[str, str]]:
        """Returns what was taken for what, as name and value."""
        problem = self.point.problem
        stored = f"{self.features}, stored as {'samples x width' if self.transposed else 'width x samples'}"
        if self.gradient_norms:
            kept, other = (self.gradient_norms[int(way)] for way in (self.transposed, not self.transposed))
            why = "as good, say which with --transpose or --no-transpose" if self._undecided else "rejected"
            stored += f" (gradient norm {kept:.1e}; the other way {other:.1e}, {why})"
        classes = f"sizes {listed(map(str, problem.class_sizes))}"
        if self.labels is not None:
            classes += f", labels {self.labels}" + (" found in the file" if self.labels_found else "")
        fit = f"{self.fit:.6g}, equal logits {self.chance:.6g}"
        penalty = "decay/2 times the squared norms (weight_decay of torch.optim.SGD)"
        return [
            *([("read from", ".".join(self.entry))] if self.entry else []),
            ("features", stored),
            ("weights", listed(self.weights)),
            *([("not used", listed(self.unused))] if self.unused else []),
            ("classes", classes),
            ("loss is", f"{_CONVENTION[problem.loss]}, plus {penalty}"),
            ("fit", fit + ("; loss above chance: wrong labels or orientation?" if self.above_chance else "")),
        ]

    @property
    def _undecided(self) -> bool:
        return bool(self.gradient_norms) and max(self.gradient_norms) < _CLEAR * min(self.gradient_norms)

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form."""
        names = ("features", "transposed", "labels", "labels_found", "chance", "fit", "above_chance")
        lists = ("entry", "weights", "unused", "gradient_norms")
        return {name: getattr(self, name) for name in names} | {name: list(getattr(self, name)) for name in lists}

    def __str__(self) -> str:
        return aligned(self.rows())


def import_weights(
    path: Path | str | Sequence[Path | str],
    decay: float | tuple[float, ...],
    loss: LossName = "ce",
    activation: ActivationName = "linear",
    layout: WeightsLayout | None = None,
    device: str = "cpu",
) -> CriticalPoint:
    """Returns weights trained elsewhere as a point, exactly as they are (float32 is widened to float64), on a device.

    The file is .safetensors, .npz, .pt, .pth, .ckpt or .bin, with arrays H_1 and W_1 .. W_L, also inside a nested checkpoint, or
    a .npy file for each layer, from first to last, and one for the features that the layout names. Nothing in them is run. Such
    weights are rarely critical to rounding: `solve` goes on from the point.

    Example:
        >>> import landscape as ls
        >>> import numpy as np
        >>> import tempfile
        >>> problem = ls.Problem.balanced(classes=4, samples=2, width=6, depth=2, decay=1e-2)
        >>> arrays = ls.place(problem, ls.Collapse()).factors()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/trained.npz", **arrays)
        ...     point = ls.import_weights(f"{folder}/trained.npz", decay=1e-2)
        >>> point.problem == problem
        True

    Raises:
        InputError: If the file cannot be read safely, or its arrays do not fit one model.
    """
    return read_weights(path, decay, loss, activation, layout, device).point


def read_weights(
    path: Path | str | Sequence[Path | str],
    decay: float | tuple[float, ...],
    loss: LossName = "ce",
    activation: ActivationName = "linear",
    layout: WeightsLayout | None = None,
    device: str = "cpu",
) -> ImportedWeights:
    """Returns what `import_weights` does, with what was guessed on the way.

    Raises:
        InputError: If the file cannot be read safely, or its arrays do not fit one model.
    """
    paths, layout = [Path(path)] if isinstance(path, Path | str) else [Path(each) for each in path], layout or WeightsLayout()
    file, called = read_arrays(*paths), listed(each.name for each in paths)
    arrays = file.without_prefixes()
    wanted = layout.features
    if wanted is not None and wanted not in arrays and wanted.endswith(".npy"):
        wanted = str(Path(wanted))
        arrays |= read_arrays(Path(wanted)).tensors
    name, names = _chosen(arrays, wanted, called)
    layers = [arrays[each] for each in names]
    stored, classes = arrays[name], layers[-1].shape[0]
    ways = _ways(stored, layers, layout.transpose)
    found = [_placed(arrays, stored.mT if way else stored, layers, layout, (decay, loss, activation), called) for way in ways]
    norms = [float(Objective.of(problem, theta).gradient(theta).norm()) for problem, theta, _ in found] if len(found) > 1 else []
    best = int(bool(norms) and not norms[1] * _CLEAR > norms[0])
    problem, theta, labels = found[best]
    note = "" if labels is None else ", samples sorted by label"
    start = f"imported from {called} ({stored.dtype}{note})".replace("torch.", "")
    objective = Objective.of(problem, theta)
    return ImportedWeights(
        CriticalPoint.at(problem, theta.to(device), Origin(start)),
        file.entry,
        name,
        names,
        (*(each for each in arrays if each not in {name, *names, labels}), *file.ignored),
        ways[best],
        tuple(norms),
        labels,
        labels is not None and layout.labels is None,
        float(objective.fit(torch.zeros(classes, problem.total_samples, dtype=theta.dtype))),
        float(objective.fit(objective.logits(theta))),
    )


def _ways(stored: Tensor, layers: list[Tensor], transpose: bool | None) -> list[bool]:
    """Returns whether to transpose the features, or both answers where both fit and nobody said which."""
    if transpose is not None:
        return [transpose]
    width = layers[0].shape[1]
    fits = [way for way in (False, True) if stored.shape[int(way)] == width]
    return fits or [False]


def _placed(
    arrays: Mapping[str, Tensor],
    features: Tensor,
    layers: list[Tensor],
    layout: WeightsLayout,
    model: tuple[float | tuple[float, ...], LossName, ActivationName],
    file: str,
) -> tuple[Problem, Float[Tensor, " p"], str | None]:
    """Returns the problem and the parameters of one orientation, and where its labels came from."""
    width, samples = features.shape
    _check_chain(layers, width, file)
    classes = layers[-1].shape[0]
    labels = layout.labels
    if labels is None and layout.class_sizes is None:
        labels = _found_labels(arrays, classes, samples, file)
    sizes, order = _classes(arrays, layout.class_sizes, labels, classes, samples, file)
    decay, loss, activation = model
    problem = Problem(sizes, width, len(layers), decay, loss, activation)
    return problem, torch.cat([part.flatten().to(torch.float64) for part in (features[:, order], *layers)]), labels


def _found_labels(arrays: Mapping[str, Tensor], classes: int, samples: int, file: str) -> str | None:
    """Returns the name of the one integer array that can only be labels, if there is one.

    Raises:
        InputError: If several could be and none has a name of labels.
    """
    able = [name for name, array in arrays.items() if _can_be_labels(array, classes, samples)]
    named = sorted((name for name in able if name.lower() in _LABELS), key=lambda name: _LABELS.index(name.lower()))
    if len(able) > 1 and not named:
        raise InputError(f"expected one array of labels in {file}, got {listed(able)}: say which with --labels or --class-sizes")
    return next(iter([*named, *able]), None)


def _can_be_labels(array: Tensor, classes: int, samples: int) -> bool:
    if array.dtype == torch.bool or array.is_floating_point() or array.is_complex() or array.shape != (samples,):
        return False
    return samples > 0 and set(array.tolist()) == set(range(classes))


def _chosen(arrays: Mapping[str, Tensor], features: str | None, file: str) -> tuple[str, tuple[str, ...]]:
    """Returns the names of the features and of the weight matrices from first to last."""
    named = {(match[1].lower(), int(match[2])): name for name in arrays if (match := _NAMED.fullmatch(name))}
    weights = sorted(index for kind, index in named if kind == "w")
    features = features or named.get(("h", 1))
    if features is None or features not in arrays:
        missing = f"{features!r}" if features else "an array H_1"
        raise InputError(f"expected {missing} in {file}, got {listed(arrays)}: name the features with --features")
    if weights:
        if weights != list(range(1, len(weights) + 1)):
            got = listed(f"W_{index}" for index in weights)
            raise InputError(f"expected W_1 .. W_{weights[-1]} in {file}, got {got}")
        names = [named["w", index] for index in weights]
    else:
        names = [name for name, array in arrays.items() if array.ndim == 2 and name != features and array.is_floating_point()]
    used = set(names) | {features}
    biases = [name for name, array in arrays.items() if name not in used and array.is_floating_point() and bool((array != 0).any())]
    if biases:
        raise InputError(f"expected weight matrices without biases, got {listed(biases)} in {file}")
    if not names:
        raise InputError(f"expected weight matrices in {file}, got {listed(arrays)}")
    for name in used:
        if arrays[name].ndim != 2 or not arrays[name].is_floating_point():
            raise InputError(f"expected a real matrix {name} in {file}, got {arrays[name].dtype} {tuple(arrays[name].shape)}")
    return features, tuple(names)


def _check_chain(layers: list[Tensor], width: int, file: str) -> None:
    shapes = [tuple(layer.shape) for layer in layers]
    expected = [(width, width)] * (len(layers) - 1) + [(shapes[-1][0], width)]
    if shapes != expected:
        raise InputError(f"expected matrices of shapes {expected} for features of width {width} in {file}, got {shapes}")


def _classes(
    arrays: Mapping[str, Tensor], given: tuple[int, ...] | None, source: str | None, classes: int, samples: int, file: str
) -> tuple[tuple[int, ...], Int[Tensor, " n"]]:
    """Returns the class sizes and the order that sorts the samples by class."""
    order = torch.arange(samples)
    if source is not None:
        labels = _labels(arrays, source, file)
        if labels.shape != (samples,) or samples == 0 or int(labels.min()) < 0 or int(labels.max()) >= classes:
            raise InputError(f"expected {samples} labels between 0 and {classes - 1} in {source}, got {tuple(labels.shape)}")
        sizes = tuple(torch.bincount(labels, minlength=classes).tolist())
        if 0 in sizes:
            missing = f"none of class {sizes.index(0)}: are all layers given, in order?"
            raise InputError(f"expected labels of all {classes} classes of the last layer in {source}, got {missing}")
        if given not in (None, sizes):
            raise InputError(f"expected class sizes {sizes} as in {source}, got {given}")
        return sizes, torch.argsort(labels, stable=True)
    if given is not None:
        if len(given) != classes or sum(given) != samples:
            raise InputError(f"expected {classes} class sizes that sum to {samples} samples, got {given}")
        return given, order
    if classes == 0 or samples % classes:
        raise InputError(f"expected --class-sizes or --labels: {samples} samples do not make {classes} equal classes")
    return (samples // classes,) * classes, order


def _labels(arrays: Mapping[str, Tensor], name: str, file: str) -> Tensor:
    if name in arrays:
        labels = arrays[name]
    else:
        try:
            data = io.BytesIO(read_ordinary(Path(name), _LONGEST_LABELS))
            with warnings.catch_warnings():  # numpy warns about an empty file, which the count of labels then refuses
                warnings.simplefilter("ignore")
                loaded = np.load(data, allow_pickle=False) if name.endswith(".npy") else np.loadtxt(data, dtype=np.int64, ndmin=1)
            labels = torch.from_numpy(np.asarray(loaded))
        except Missing as error:
            raise InputError(f"expected labels as an array of {file} or as a file, got {name!r}") from error
        except Exception as error:  # on damaged headers numpy fails with nearly every kind: tokenize.TokenError, SyntaxError, ..
            raise InputError(f"expected integer labels in {name}, got {first_line(error)}") from error
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise InputError(f"expected integer labels in {name}, got {labels.dtype}")
    return labels.to(torch.int64)
