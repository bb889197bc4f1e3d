"""A torch module as a function of one flat vector of its trained parameters, with everything else held fixed and nothing written.

Frozen parameters (`requires_grad=False`) and buffers are constants; they are copied, so that what is done to the module later
does not move them. The call goes through `torch.func.functional_call`.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from landscape.curvature.operators.reverse import one_line
from landscape.display import brief
from landscape.errors import InputError
from landscape.network.trees import mapped, tensors

_WRAPPED = {  # kinds of wrapper by name, so that nothing is imported for them, and the attribute that holds what they wrap
    "OptimizedModule": "_orig_mod",
    "DataParallel": "module",
    "DistributedDataParallel": "module",
    "_FabricModule": "module",
    "AveragedModel": "module",
}


def unwrapped(module: nn.Module) -> nn.Module:
    """Returns what wrappers of torch.compile, data parallelism, Fabric and weight averaging hold; other modules as they are.

    Raises:
        InputError: If the module is compiled by TorchScript, which cannot be called with other parameters.
    """
    if not isinstance(module, nn.Module):
        raise InputError(f"expected a torch.nn.Module, got {type(module).__name__}: put the function into a module's forward")
    while type(module).__name__ in _WRAPPED and isinstance(getattr(module, _WRAPPED[type(module).__name__], None), nn.Module):
        module = getattr(module, _WRAPPED[type(module).__name__])
    if isinstance(module, torch.jit.ScriptModule):
        raise InputError("expected a Python module, got one compiled by TorchScript: pass the module that it was compiled from")
    return module


def places(module: nn.Module, kind: Literal["named_parameters", "named_buffers"]) -> Iterator[tuple[str, Tensor]]:
    """Yields every place of a parameter or buffer: each attribute of each submodule once, under one name of that submodule."""
    for prefix, part in module.named_modules():
        yield from getattr(part, kind)(prefix, recurse=False, remove_duplicate=False)


@dataclass(frozen=True)
class FlatModule:
    """A module called with its trained parameters taken from one flat vector.

    Attributes:
        module: Module that is called, without its wrappers.
        shapes: The shape of every trained parameter, by name, in the order of the flat vector.
        homes: Name in `shapes` of what stands at every place of a trained parameter; a tied one has several places.
        constants: Copies of everything that is not trained, by place.
        modes: Whether each submodule was in training mode when the copy was made.
        compiled: Whether a submodule is compiled by torch.compile, which has no second derivative: it then runs uncompiled.
    """

    module: nn.Module
    shapes: dict[str, torch.Size]
    homes: dict[str, str]
    constants: dict[str, Tensor]
    modes: tuple[bool, ...] = field(repr=False)
    compiled: bool = False

    __repr__ = brief

    @classmethod
    def of(cls, module: nn.Module, dtype: torch.dtype | None) -> tuple["FlatModule", Float[Tensor, " p"]]:
        """Returns the module as a function, and its trained parameters as one flat vector.

        Args:
            module: Module whose trained parameters are of one dtype and device.
            dtype: What floating-point parameters and buffers are converted to; None for no conversion.

        Raises:
            InputError: If nothing is trained, or the parameters are of several dtypes or devices, or of too few digits.
        """
        module = unwrapped(module)
        trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        if not trained:
            raise InputError("expected a module with trainable parameters, got none: is everything frozen or quantised?")
        if any(isinstance(p, nn.parameter.UninitializedParameter) for p in trained.values()):
            raise InputError("expected initialised parameters, got a lazy module: call it once on a batch first")
        kinds = {(p.dtype, p.device) for p in trained.values()}
        if len(kinds) > 1 and (dtype is None or len({device for _, device in kinds}) > 1):
            raise InputError("expected parameters of one dtype and device, got several: call module.to(dtype, device)")
        held = dtype or next(iter(kinds))[0]
        if held not in (torch.float64, torch.float32):
            raise InputError(
                f"expected parameters in float64 (float32 for estimates only), got {held}, which has too few digits: "
                "pass dtype=torch.float64"
            )
        names = {id(parameter): name for name, parameter in trained.items()}
        constants = {n: p.detach().clone() for n, p in places(module, "named_parameters") if not p.requires_grad}
        constants |= {name: buffer.detach().clone() for name, buffer in places(module, "named_buffers")}
        flat = cls(
            module,
            {name: p.shape for name, p in trained.items()},
            {place: names[id(p)] for place, p in places(module, "named_parameters") if p.requires_grad},
            {name: lifted(value, dtype) for name, value in constants.items()},
            tuple(part.training for part in module.modules()),
            any(type(part).__name__ == "OptimizedModule" for part in module.modules()),
        )
        return flat, torch.cat([p.detach().to(held).reshape(-1) for p in trained.values()]).clone()

    def split(self, theta: Float[Tensor, " p"]) -> dict[str, Tensor]:
        """Returns the parameter tensors of a flat vector, as views of it."""
        parts = theta.split([shape.numel() for shape in self.shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    @property
    def held(self) -> dict[str, int]:
        """The row of every embedding's weight that gets no gradient (`padding_idx`), by the name of the weight."""
        rows = {}
        for prefix, part in self.module.named_modules():
            home = self.homes.get(f"{prefix}.weight" if prefix else "weight")
            if isinstance(part, nn.Embedding | nn.EmbeddingBag) and part.padding_idx is not None and home is not None:
                rows[home] = part.padding_idx
        return rows

    def __call__(self, theta: Float[Tensor, " p"], inputs: Any) -> Any:
        """Returns the module's outputs as a function of the flat vector.

        Raises:
            InputError: If the module raises.
        """
        shaped = self.split(theta)
        values = {place: shaped[name] for place, name in self.homes.items()}
        # A forward pass may write to its buffers, in place or by assignment: it is given copies.
        values |= {place: value.clone() for place, value in self.constants.items()}
        arguments, named = arguments_of(inputs)
        with self.undisturbed(), one_line("a module that can be called with the inputs", remedy_for_call(inputs)):
            # Places are named here, not tied by torch: with a shared submodule its own restoring leaves the module broken.
            return torch.func.functional_call(self.module, values, arguments, named, tie_weights=False)

    def directly(self, inputs: Any) -> Any:
        """Returns the outputs of the module itself, called without any of this."""
        arguments, named = arguments_of(inputs)
        with self.undisturbed():
            return self.module(*arguments, **named)

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Runs the module in the modes that it had, and takes back what a forward pass assigned or wrote to attributes."""
        parts = list(self.module.modules())
        before = [(dict(vars(part)), dict(part._buffers)) for part in parts]
        held = [(buffer, buffer.detach().clone()) for _, buffer in places(self.module, "named_buffers")]
        with ExitStack() as stack:
            if self.compiled:
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            for part, mode in zip(parts, self.modes, strict=False):
                part.training = mode
            try:
                yield
            finally:
                for part, (attributes, buffers) in zip(parts, before, strict=True):
                    vars(part).clear()
                    vars(part).update(attributes)
                    part._buffers.clear()
                    part._buffers.update(buffers)
                with torch.no_grad():
                    for buffer, value in held:
                        if not buffer.is_meta and buffer.device == value.device and not torch.equal(buffer, value):
                            buffer.copy_(value)


def lifted(value: Tensor, dtype: torch.dtype | None) -> Tensor:
    """Returns a tensor in another floating-point type; integers, booleans and complex numbers as they are."""
    return value.to(dtype) if dtype is not None and value.is_floating_point() else value


def placed(tree: Any, dtype: torch.dtype | None, device: torch.device) -> Any:
    """Returns a batch on the device of the parameters, in their type if one was asked for, without inference tensors."""

    def move(leaf: Tensor) -> Tensor:
        moved = lifted(leaf.detach(), dtype).to(device)
        moved = moved.clone() if moved.is_inference() else moved
        return moved.requires_grad_() if leaf.requires_grad and moved is not leaf else moved

    return mapped(tree, move)


def arguments_of(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns inputs as positional and named arguments: a mapping is named, a tuple or list positional, else there is one."""
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (tuple(inputs), {}) if isinstance(inputs, list | tuple) else ((inputs,), {})


def remedy_for_call(inputs: Any) -> str:
    """Returns what to do where a module cannot be called, from what it was called with."""
    if isinstance(inputs, Mapping):
        called = f"module({', '.join(f'{key}=..' for key in list(inputs)[:6])})"
    else:
        called = "module(*inputs)" if isinstance(inputs, list | tuple) else "module(inputs)"
    kinds = sorted({str(leaf.dtype).removeprefix("torch.") for leaf in tensors(inputs)})
    return f"it was called as {called} with {', '.join(kinds) or 'no tensors'}; pass adapter= for another call, dtype= to convert"
