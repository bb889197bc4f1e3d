"""The file of a network's point: parameters and buffers as safetensors, with a sealed header. Nothing of it is ever run.

The module, its loss and its data are the user's code: the header names them by import path, as text for whoever rebuilds them.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from landscape.display import brief
from landscape.errors import InputError
from landscape.network.loss import ModuleLoss
from landscape.network.polishing import Polished
from landscape.plain_file import Damaged, Missing
from landscape.points.point_file import tensors_digest, write
from landscape.seal import METADATA_KEY, SEAL, canonical_json, seal_of
from landscape.tensor_file import TensorFile

KIND = "network"
FORMAT = 1
_PARAMETER, _BUFFER = "parameter/", "buffer/"
_ENTRIES = {"kind", "format", "names", "decays", "loss", "gradient_norm", "sources", "versions", "sha256", SEAL}
_AGAIN = 1e-6  # relative difference of the loss up to which a rebuilt module is the one that was saved


@dataclass(frozen=True)
class NetworkPoint:
    """A saved point of a module's loss.

    Attributes:
        parameters: Trained parameters by name, in the order of the flat vector.
        buffers: Buffers and frozen parameters by place.
        decays: Weight decay of every trained parameter by name.
        loss: Value that was saved, decay included.
        gradient_norm: Norm of the gradient that was saved.
        sources: What the point was made from, as text: "module", "data" and "loss" by import path, and whatever was given.
        versions: Versions of torch and landscape that wrote the file.
    """

    parameters: dict[str, Tensor]
    buffers: dict[str, Tensor]
    decays: dict[str, float]
    loss: float
    gradient_norm: float
    sources: dict[str, str]
    versions: dict[str, str]

    __repr__ = brief

    def of(self, problem: ModuleLoss) -> ModuleLoss:
        """Returns a loss at this point.

        Args:
            problem: The loss of the same module, data and decay, made anew.

        Raises:
            InputError: If names, shapes, decays or buffers differ, or the loss there is another than was saved.
        """
        shapes = {name: tuple(value.shape) for name, value in self.parameters.items()}
        own = {name: tuple(shape) for name, shape in problem.flat.shapes.items()}
        if own != shapes:
            name = next((n for n in {**own, **shapes} if own.get(n) != shapes.get(n)), "another order")
            raise InputError(
                f"expected a module with the saved parameters, got {name} of shape {own.get(name)} instead of {shapes.get(name)}"
            )
        decays = _decays(problem)
        if decays != self.decays:
            name = next(name for name in decays if decays[name] != self.decays.get(name))
            raise InputError(f"expected the saved decay {self.decays.get(name)} of {name}, got {decays[name]}: pass decay=")
        for name, value in problem.flat.constants.items():
            saved = self.buffers.get(name)
            if saved is None or saved.shape != value.shape or not torch.equal(saved.to(value), value):
                raise InputError(f"expected the saved buffer {name}, got another: load the module's own checkpoint first")
        theta = torch.cat([value.reshape(-1) for value in self.parameters.values()])
        moved = problem.at(theta.to(problem.theta))
        now = float(moved.gradient()[0])
        if not abs(now - self.loss) <= _AGAIN * (1 + abs(self.loss)):
            raise InputError(f"expected the saved loss {self.loss:.10g} at the saved point, got {now:.10g}: other data or loss?")
        return moved


def save_network_point(path: Path | str, source: ModuleLoss | Polished, sources: Mapping[str, str] | None = None) -> None:
    """Writes the point of a loss, whole or not at all.

    Example:
        >>> import landscape as ls
        >>> import tempfile, torch
        >>> batch = (torch.eye(3, dtype=torch.float64), torch.tensor([0, 1, 1]))
        >>> loss = ls.ModuleLoss(torch.nn.Linear(3, 2).double(), torch.nn.functional.cross_entropy, [batch], decay=0.1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     ls.save_network_point(f"{folder}/point.safetensors", ls.polish(loss), {"module": "my_model.py:build"})
        ...     again = ls.load_network_point(f"{folder}/point.safetensors")
        >>> again.sources, again.of(loss).theta.shape
        ({'module': 'my_model.py:build'}, torch.Size([8]))

    Args:
        path: Path of the file.
        source: The loss at the point.
        sources: Where module, data and loss come from, by import path; text that is kept and never run.

    Raises:
        InputError: If the file cannot be written, or the loss is not finite.
    """
    from landscape import __version__

    problem = source.problem if isinstance(source, Polished) else source
    value, slope = problem.gradient()
    parameters = problem.flat.split(problem.theta)
    arrays = {_PARAMETER + name: each.detach().cpu().clone() for name, each in parameters.items()}
    arrays |= {_BUFFER + name: each.detach().cpu().clone() for name, each in problem.flat.constants.items()}
    header = {
        "kind": KIND,
        "format": FORMAT,
        "names": list(parameters),
        "decays": _decays(problem),
        "loss": float(value),
        "gradient_norm": float(slope.norm()),
        "sources": dict(sources or {}),
        "versions": {"torch": torch.__version__, "landscape": __version__},
        "sha256": tensors_digest(arrays),
    }
    write(Path(path), header, arrays)


def load_network_point(path: Path | str) -> NetworkPoint:
    """Reads the point of a loss; nothing in the file is run.

    Example:
        >>> import landscape as ls
        >>> ls.load_network_point("absent.safetensors")
        Traceback (most recent call last):
        landscape.errors.InputError: no such file: absent.safetensors

    Raises:
        InputError: If the file is missing, no ordinary file, no network's point, damaged, or of a newer format.
    """
    path = Path(path)
    try:
        with TensorFile.opened(path) as file:
            header = _header(file.metadata.get(METADATA_KEY), path)
            arrays = {name: file.tensor(name) for name in file.layouts}
    except Missing as error:
        raise InputError(f"no such file: {path}") from error
    except Damaged as error:
        raise InputError(f"expected a network's point saved by landscape, got a damaged or foreign file {path}: {error}") from error
    if header["sha256"] != tensors_digest(arrays):
        raise InputError(f"the arrays of {path} do not match their checksum: the file is damaged")
    names = header["names"]
    if sorted(_PARAMETER + name for name in names) != sorted(name for name in arrays if name.startswith(_PARAMETER)):
        raise InputError(f"the parameters of {path} are not those of its header: the file is damaged")
    return NetworkPoint(
        parameters={name: arrays[_PARAMETER + name] for name in names},
        buffers={name.removeprefix(_BUFFER): value for name, value in arrays.items() if name.startswith(_BUFFER)},
        decays={name: float(decay) for name, decay in header["decays"].items()},
        loss=float(header["loss"]),
        gradient_norm=float(header["gradient_norm"]),
        sources=header["sources"],
        versions=header["versions"],
    )


def _header(text: str | None, path: Path) -> dict[str, Any]:
    """Returns the header, its seal and the types of its entries checked."""
    if text is None:
        raise InputError(f"expected a network's point saved by landscape, got other tensors in {path}")
    try:
        header = json.loads(text)
        written = canonical_json(header)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the header of {path} is not JSON of finite numbers: the file is damaged") from error
    if not isinstance(header, dict) or header.get("kind") != KIND:
        raise InputError(f"expected a network's point in {path}, got a point of another kind: use landscape.load")
    if header.get("format") != FORMAT or isinstance(header["format"], bool):
        raise InputError(f"expected format {FORMAT} in {path}, got {header.get('format')}: update landscape to read it")
    if set(header) != _ENTRIES or header[SEAL] != seal_of(header) or text != written:
        raise InputError(f"the header of {path} does not match its seal: the file is damaged")
    sound = (
        isinstance(header["names"], list)
        and all(isinstance(name, str) for name in header["names"])
        and isinstance(header["decays"], dict)
        and all(_is_number(value) for value in [*header["decays"].values(), header["loss"], header["gradient_norm"]])
        and all(
            isinstance(header[key], dict) and all(isinstance(word, str) for word in header[key].values())
            for key in ("sources", "versions")
        )
    )
    if not sound:
        raise InputError(f"expected names, numbers and texts in the header of {path}, got others: the file is damaged")
    return header


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _decays(problem: ModuleLoss) -> dict[str, float]:
    return {name: float(problem.decays[place.start]) for name, place in problem.layers.items()}
