"""The options that name a network of the user's own: its code, weights, data and loss; and the loss that they make."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from landscape.cli.user_code import called, function
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.network.checkpoint import LoadedCheckpoint
    from landscape.network.loss import ModuleLoss

BuildText = Annotated[str, Parameter(help="FILE.py:NAME of the module, or of a function that returns it. The file is run.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """What a network is minimising, as typed.

    Attributes:
        data: Where the batches come from: a name in a Python file.
        checkpoint: A file of trained weights, or a saved point.
        loss: The loss function, by its name in torch.nn.functional or in a Python file.
        decay: The weight decay lambda, as typed, or a function in a Python file.
        reduction: Whether the loss averages over samples or adds.
        adapter: What turns a batch into inputs and targets.
        device: Where tensors live.
    """

    data: Annotated[str, Parameter(help="FILE.py:NAME of the batches (inputs, targets), or of a function that returns them.")]
    checkpoint: Annotated[Path | None, Parameter(help="Weights: .pt, .pth, .ckpt, .bin, .npz or .safetensors; never run.")] = None
    loss: Annotated[str, Parameter(help="Of torch.nn.functional; own: the model returns it; or FILE.py:NAME.")] = "cross_entropy"
    decay: Annotated[str, Parameter(help="lambda: 1e-3, 2**-10, or FILE.py:NAME of a function of name and tensor.")] = "0"
    reduction: Annotated[Literal["mean", "sum"], Parameter(help="Whether the loss averages over samples or adds.")] = "mean"
    adapter: Annotated[
        str | None, Parameter(help="keywords (the model is called as model(**batch)), or FILE.py:NAME from a batch to a pair.")
    ] = None
    device: Annotated[str, Parameter(help="Where tensors live: cpu, cuda or cuda:1.")] = "cpu"

    def problem(self, build: str) -> "tuple[ModuleLoss, LoadedCheckpoint | None]":
        """Returns the loss in float64 at the weights of the checkpoint, and what was found in that file.

        The module is put into evaluation mode.

        Raises:
            InputError: If the code of the user raises or returns something else, or a check of the loss fails.
        """
        import torch

        from landscape.cli.options import checked_device
        from landscape.network.data import keywords, pair, require_again
        from landscape.network.loss import ModuleLoss

        device = checked_device(self.device)
        module = called(build, "the module")
        if not isinstance(module, torch.nn.Module):
            raise InputError(f"expected {build} to be or to return a torch.nn.Module, got {type(module).__name__}")
        module = module.double().to(device).eval()
        loaded = None if self.checkpoint is None else weights_into(module, self.checkpoint)
        data = called(self.data, "--data")
        require_again(data)
        adapter = (
            pair if self.adapter is None else keywords() if self.adapter == "keywords" else function(self.adapter, "--adapter")
        )
        made = ModuleLoss(module, self._loss(), data, self._decay(), reduction=self.reduction, adapter=adapter, dtype=torch.float64)
        return made, loaded

    def _loss(self) -> Any:
        if ":" in self.loss:
            return function(self.loss, "--loss")
        from torch.nn import functional

        from landscape.network.loss import own_loss

        found = own_loss if self.loss == "own" else getattr(functional, self.loss, None)
        if not callable(found) or self.loss.startswith("_"):
            raise InputError(f"--loss: expected a function of torch.nn.functional, own, or FILE.py:NAME, got {self.loss!r}")
        return found

    def _decay(self) -> Any:
        if ".py:" in self.decay:
            return function(self.decay, "--decay")
        from landscape.numbers import parse_number

        return parse_number(self.decay, "a decay such as 1e-3, or FILE.py:NAME")


def is_network_point(path: Path | None) -> bool:
    """Says whether a file is the point of a network, by its header alone."""
    from landscape.network.point_file import KIND
    from landscape.seal import METADATA_KEY
    from landscape.tensor_file import TensorFile

    if path is None or path.suffix != ".safetensors":
        return False
    try:
        with TensorFile.opened(path) as file:
            header: Any = json.loads(file.metadata.get(METADATA_KEY, "{}"))
    except ValueError:  # damaged, missing: whoever reads it as a point says so
        return False
    return isinstance(header, dict) and header.get("kind") == KIND


def weights_into(module: Any, path: Path) -> "LoadedCheckpoint":
    """Writes the weights of a checkpoint or of a saved point of a network into a module.

    Raises:
        InputError: If they do not fit.
    """
    from landscape.network.checkpoint import LoadedCheckpoint, load_checkpoint, load_named
    from landscape.network.point_file import load_network_point

    if not is_network_point(path):
        return load_checkpoint(module, path)
    point = load_network_point(path)
    load_named(module, point.parameters | point.buffers, path)
    return LoadedCheckpoint(module, (), "", ())
