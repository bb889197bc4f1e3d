"""Weights trained elsewhere, read without running anything, as a point of a DUFM.

Accepted: .safetensors, .npz, and .pt/.pth (torch's weights-only loader). Either arrays named H_1 and W_1 .. W_L, or a state dict
whose weight matrices are taken in order, with the features named by the caller.
"""

import io
import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from landscape.errors import InputError
from landscape.memory import require_memory
from landscape.model.problem import ActivationName, LossName, Problem
from landscape.plain_file import Missing, ordinary, read_ordinary
from landscape.points.point import CriticalPoint, Origin
from landscape.tensor_file import TensorFile

_LONGEST_LABELS = 1_000_000_000  # bytes of a file of labels
_NAMED = re.compile(r"([wh])_?(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class WeightsLayout:
    """Names and sizes that a file of weights does not state: feature array, class sizes, labels.

    Attributes:
        features: Name of the feature array; None looks for H_1. Stored as width x samples, or samples x width if only that fits.
        class_sizes: Number of samples per class in class order; None with no labels means equal classes.
        labels: Name of an integer array in the file, or a path to a .npy or text file; the samples are then sorted by class.

    Example:
        >>> import landscape as ls
        >>> ls.WeightsLayout(features="embeddings", labels="y").features
        'embeddings'
    """

    features: str | None = None
    class_sizes: tuple[int, ...] | None = None
    labels: str | None = None


def import_weights(
    path: Path | str,
    decay: float | tuple[float, ...],
    loss: LossName = "ce",
    activation: ActivationName = "linear",
    layout: WeightsLayout | None = None,
    device: str = "cpu",
) -> CriticalPoint:
    """Returns weights trained elsewhere as a point, exactly as they are (float32 is widened to float64), on a device.

    The file is .safetensors, .npz, .pt or .pth, with arrays H_1 and W_1 .. W_L. Nothing in it is run. Such weights are rarely
    critical to rounding: `solve` goes on from the point.

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
    path, layout = Path(path), layout or WeightsLayout()
    arrays = read_arrays(path)
    features, layers = _factors(arrays, layout.features, path)
    width, classes = features.shape[0], layers[-1].shape[0]
    _check_chain(layers, width, path)
    sizes, order = _classes(arrays, layout, classes, features.shape[1], path)
    problem = Problem(sizes, width, len(layers), decay, loss, activation)
    theta = torch.cat([part.flatten().to(torch.float64) for part in (features[:, order], *layers)])
    note = "" if layout.labels is None else ", samples sorted by label"
    start = f"imported from {path.name} ({features.dtype}{note})".replace("torch.", "")
    return CriticalPoint.at(problem, theta.to(device), Origin(start))


def read_arrays(path: Path) -> dict[str, Tensor]:
    """Returns the arrays of a file by name, in the file's order (safetensors: in natural order of the names, which it sorts).

    Raises:
        InputError: If the file is missing, damaged, of another kind, or holds anything but arrays.
    """
    try:
        with warnings.catch_warnings():  # torch warns about what it then refuses
            warnings.simplefilter("ignore")
            return _read(path)
    except InputError:  # itself a ValueError
        raise
    except Missing as error:
        raise InputError(f"no such file: {path}") from error
    except pickle.UnpicklingError as error:
        raise InputError(f"refused {path}: it holds more than tensors, and reading that could run code") from error
    except Exception as error:  # on damaged files the readers fail with nearly every kind: zlib.error, KeyError, AssertionError, ..
        raise InputError(f"expected arrays in {path}, got a damaged or foreign file ({_first_line(error)})") from error


def _read(path: Path) -> dict[str, Tensor]:
    match path.suffix:
        case ".safetensors":
            with TensorFile.opened(path) as file:
                return {name: file.tensor(name) for name in sorted(file.layouts, key=_natural)}
        case ".npz":
            with _opened(path) as handle, np.load(handle, allow_pickle=False) as archive:
                return {name: torch.from_numpy(archive[name]) for name in archive.files}
        case ".pt" | ".pth":
            with _opened(path) as handle:
                return _state_dict(torch.load(handle, map_location="cpu", weights_only=True), path)
        case _:
            raise InputError(f"expected a .safetensors, .npz, .pt or .pth file, got {path.name}")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Yields a file of arrays whose unpacked size fits in memory: a small zip file may hold an endless array of zeros."""
    with ordinary(path) as handle:
        size = os.fstat(handle.fileno()).st_size
        if zipfile.is_zipfile(handle):
            with zipfile.ZipFile(handle) as archive:
                size = max(size, sum(part.file_size for part in archive.infolist()))
        require_memory(float(size), f"the file {path.name}", "import fewer arrays")
        handle.seek(0)
        yield handle


def _state_dict(loaded: object, path: Path) -> dict[str, Tensor]:
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise InputError(f"expected a dictionary of tensors in {path}, got {type(loaded).__name__}")
    return {str(name): value for name, value in loaded.items()}


def _factors(arrays: dict[str, Tensor], features: str | None, path: Path) -> tuple[Tensor, list[Tensor]]:
    """Returns the features as width x samples and the weight matrices from first to last."""
    named = {(match[1].lower(), int(match[2])): name for name in arrays if (match := _NAMED.fullmatch(name))}
    weights = sorted(index for kind, index in named if kind == "w")
    features = features or named.get(("h", 1))
    if features is None or features not in arrays:
        missing = f"{features!r}" if features else "an array H_1"
        raise InputError(f"expected {missing} in {path.name}, got {', '.join(arrays)}: name the features with --features")
    if weights:
        if weights != list(range(1, len(weights) + 1)):
            raise InputError(f"expected W_1 .. W_{weights[-1]} in {path.name}, got {', '.join(f'W_{index}' for index in weights)}")
        names = [named["w", index] for index in weights]
    else:
        names = [name for name, array in arrays.items() if array.ndim == 2 and name != features and array.is_floating_point()]
    used = set(names) | {features}
    biases = [name for name, array in arrays.items() if name not in used and array.is_floating_point() and bool((array != 0).any())]
    if biases:
        raise InputError(f"expected weight matrices without biases, got {', '.join(biases)} in {path.name}")
    if not names:
        raise InputError(f"expected weight matrices in {path.name}, got {', '.join(arrays)}")
    matrix, first = arrays[features], arrays[names[0]]
    for name in used:
        if arrays[name].ndim != 2 or not arrays[name].is_floating_point():
            raise InputError(f"expected a real matrix {name} in {path.name}, got {arrays[name].dtype} {tuple(arrays[name].shape)}")
    if matrix.shape[0] != first.shape[1] and matrix.shape[1] == first.shape[1]:
        matrix = matrix.mT
    return matrix, [arrays[name] for name in names]


def _check_chain(layers: list[Tensor], width: int, path: Path) -> None:
    shapes = [tuple(layer.shape) for layer in layers]
    expected = [(width, width)] * (len(layers) - 1) + [(shapes[-1][0], width)]
    if shapes != expected:
        raise InputError(f"expected matrices of shapes {expected} for features of width {width} in {path.name}, got {shapes}")


def _classes(
    arrays: dict[str, Tensor], layout: WeightsLayout, classes: int, samples: int, path: Path
) -> tuple[tuple[int, ...], Float[Tensor, " n"] | Tensor]:
    """Returns the class sizes and the order that sorts the samples by class."""
    order = torch.arange(samples)
    if layout.labels is not None:
        labels = _labels(arrays, layout.labels, path)
        if labels.shape != (samples,) or samples == 0 or int(labels.min()) < 0 or int(labels.max()) >= classes:
            raise InputError(f"expected {samples} labels between 0 and {classes - 1} in {layout.labels}, got {tuple(labels.shape)}")
        sizes = tuple(torch.bincount(labels, minlength=classes).tolist())
        if layout.class_sizes not in (None, sizes):
            raise InputError(f"expected class sizes {sizes} as in {layout.labels}, got {layout.class_sizes}")
        return sizes, torch.argsort(labels, stable=True)
    if layout.class_sizes is not None:
        if len(layout.class_sizes) != classes or sum(layout.class_sizes) != samples:
            raise InputError(f"expected {classes} class sizes that sum to {samples} samples, got {layout.class_sizes}")
        return layout.class_sizes, order
    if classes == 0 or samples % classes:
        raise InputError(f"expected --class-sizes or --labels: {samples} samples do not make {classes} equal classes")
    return (samples // classes,) * classes, order


def _labels(arrays: dict[str, Tensor], name: str, path: Path) -> Tensor:
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
            raise InputError(f"expected labels as an array of {path.name} or as a file, got {name!r}") from error
        except Exception as error:  # on damaged headers numpy fails with nearly every kind: tokenize.TokenError, SyntaxError, ..
            raise InputError(f"expected integer labels in {name}, got {_first_line(error)}") from error
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise InputError(f"expected integer labels in {name}, got {labels.dtype}")
    return labels.to(torch.int64)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _natural(name: str) -> list[tuple[int, str]]:
    """Orders layers.2 before layers.10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
