"""Small torch modules, for the table of what `landscape.network` supports.

Every module maps its inputs to outputs of 3 numbers per sample, and has few enough parameters to write its Hessian down.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

SAMPLES = 5
OUTPUTS = 3


class Chain(nn.Sequential):
    """nn.Sequential under a name of its own."""


class Apply(nn.Module):
    """A function as a layer."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        """Returns what the function does."""
        return self.function(*inputs)


class Branches(nn.Module):
    """Named layers with a forward pass given as a function of them and the inputs."""

    def __init__(self, forward: Callable[..., Tensor], **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.run = forward

    def forward(self, *inputs: Tensor, **named: Tensor) -> Tensor:
        """Returns what the function makes of the layers and the inputs."""
        return self.run(self, *inputs, **named)


def vectors(width: int = 3) -> Tensor:
    """Returns samples that are vectors."""
    return torch.randn(SAMPLES, width, dtype=torch.float64)


def images(channels: int = 1, side: int = 4) -> Tensor:
    """Returns samples that are images."""
    return torch.randn(SAMPLES, channels, side, side, dtype=torch.float64)


def sequences(length: int = 3, width: int = 2) -> Tensor:
    """Returns samples that are sequences of vectors."""
    return torch.randn(SAMPLES, length, width, dtype=torch.float64)


def tokens(length: int = 4, words: int = 5) -> Tensor:
    """Returns samples that are sequences of integers."""
    return torch.randint(0, words, (SAMPLES, length))


def _normalised(norm: nn.Module, width: int = 4) -> nn.Module:
    return Chain(nn.Linear(3, width), norm, nn.Tanh(), nn.Linear(width, OUTPUTS))


def _convolved(norm: nn.Module) -> nn.Module:
    return Chain(nn.Conv1d(1, 4, 2), norm, nn.Tanh(), nn.Flatten(), nn.Linear(8, OUTPUTS))


def _batch_normalised() -> nn.Module:
    net = _normalised(nn.BatchNorm1d(4))
    for _ in range(3):
        net(torch.randn(8, 3))
    return net


def _recurrent(cell: nn.Module, width: int = 2) -> nn.Module:
    return Branches(lambda self, x: self.head(self.cell(x)[0][:, -1]), cell=cell, head=nn.Linear(width, OUTPUTS))


def _cells(kind: Callable[[int, int], nn.RNNCellBase]) -> nn.Module:
    def forward(self: Any, x: Tensor) -> Tensor:
        state = None
        for step in x.unbind(1):
            state = self.cell(step, state)
        return self.head(state[0] if isinstance(state, tuple) else state)

    return Branches(forward, cell=kind(2, 2), head=nn.Linear(2, OUTPUTS))


def _residual(change: Callable[[Tensor, Tensor], Tensor]) -> nn.Module:
    def forward(self: Any, x: Tensor) -> Tensor:
        hidden = self.first(x)
        return self.last(change(self.second(hidden.tanh()), hidden).tanh())

    return Branches(forward, first=nn.Linear(3, 3), second=nn.Linear(3, 3), last=nn.Linear(3, OUTPUTS))


def _add(new: Tensor, old: Tensor) -> Tensor:
    new += old
    return new


def _assign(new: Tensor, old: Tensor) -> Tensor:
    new[:, 0] = 0.5
    new[:, 1] = old[:, 2] * 2
    return new


def _resnet_block() -> nn.Module:
    def forward(self: Any, x: Tensor) -> Tensor:
        entry = self.stem(x)
        out = functional.relu(self.norm1(self.conv1(entry)), inplace=True)
        out = self.norm2(self.conv2(out))
        out += entry
        return self.head(functional.relu(out, inplace=True).mean((2, 3)))

    def convolution(into: int) -> nn.Module:
        return nn.Conv2d(into, 2, 3, padding=1, bias=False)

    return Branches(
        forward, stem=convolution(1), conv1=convolution(2), conv2=convolution(2),
        norm1=nn.BatchNorm2d(2), norm2=nn.BatchNorm2d(2), head=nn.Linear(2, OUTPUTS),
    )  # fmt: skip


def _attention(**settings: Any) -> nn.Module:
    def forward(self: Any, x: Tensor) -> Tensor:
        return self.head(self.attention(x, x, x, need_weights=False)[0].mean(1))

    attention = nn.MultiheadAttention(4, 2, batch_first=True, **settings)
    return Branches(forward, attention=attention, head=nn.Linear(4, OUTPUTS))


def _causal() -> nn.Module:
    def forward(self: Any, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).unflatten(-1, (3, 2, 2)).movedim(2, 0).transpose(2, 3)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.head(mixed.transpose(1, 2).flatten(2)[:, -1])

    return Branches(forward, qkv=nn.Linear(2, 12), head=nn.Linear(4, OUTPUTS))


def _tiny_gpt(tied: bool) -> nn.Module:
    def forward(self: Any, ids: Tensor) -> Tensor:
        x = self.words(ids) + self.places(torch.arange(ids.shape[1]))
        mask = torch.full((ids.shape[1],) * 2, -math.inf, dtype=x.dtype).triu(1)
        x = self.norm(self.block(x, src_mask=mask))
        logits = x @ self.words.weight.T if tied else self.head(x)
        return logits[:, -1, :OUTPUTS]

    layers: dict[str, nn.Module] = {
        "words": nn.Embedding(5, 2),
        "places": nn.Embedding(4, 2),
        "block": nn.TransformerEncoderLayer(2, 1, 3, 0.0, activation=functional.gelu, norm_first=True, batch_first=True),
        "norm": nn.LayerNorm(2),
    }
    return Branches(forward, **layers, **({} if tied else {"head": nn.Linear(2, 5, bias=False)}))


def _decoder() -> nn.Module:
    layer = nn.TransformerDecoderLayer(2, 1, 2, 0.0, batch_first=True)
    return Branches(lambda self, x, memory: self.head(self.layer(x, memory)[:, 0]), layer=layer, head=nn.Linear(2, OUTPUTS))


def _lora() -> nn.Module:
    net = Branches(
        lambda self, x: self.head((self.frozen(x) + self.up(self.down(x))).tanh()),
        frozen=nn.Linear(3, 4), down=nn.Linear(3, 2, bias=False), up=nn.Linear(2, 4, bias=False), head=nn.Linear(4, OUTPUTS),
    )  # fmt: skip
    net.get_submodule("frozen").requires_grad_(False)
    return net


def _tied_autoencoder() -> nn.Module:
    return Branches(lambda self, x: functional.linear(self.first(x).tanh(), self.first.weight.T), first=nn.Linear(3, 4))


def _shared() -> nn.Module:
    layer = nn.Linear(3, 3)
    return Chain(layer, nn.Tanh(), layer, nn.Tanh(), nn.Linear(3, OUTPUTS))


def _old_weight_norm() -> nn.Module:
    net = Chain(nn.utils.weight_norm(nn.Linear(3, 4)), nn.Tanh(), nn.Linear(4, OUTPUTS))
    return net


def _experts() -> nn.Module:
    def forward(self: Any, x: Tensor) -> Tensor:
        gates = self.gate(x).softmax(-1)
        return torch.stack([self.one(x), self.two(x)], -1) @ gates[..., None] @ x.new_ones(1, 1) @ x.new_ones(1, 1)

    return Chain(Branches(forward, gate=nn.Linear(3, 2), one=nn.Linear(3, 3), two=nn.Linear(3, 3)), nn.Flatten())


def _bag() -> nn.Module:
    return Chain(nn.EmbeddingBag(5, 3, mode="mean"), nn.Linear(3, OUTPUTS))


def _parameter_list() -> nn.Module:
    class Stack(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = nn.ParameterList([nn.Parameter(torch.randn(3, 3)) for _ in range(2)])
            self.register_buffer("scale", torch.tensor(0.7))

        def forward(self, x: Tensor) -> Tensor:
            for weight in self.weights:
                x = torch.einsum("bi,ij->bj", x, weight).mul(self.get_buffer("scale")).tanh()
            return x

    return Stack()


def _returns(kind: str) -> nn.Module:
    def forward(self: Any, x: Tensor) -> Any:
        logits = self.net(x)
        return {"logits": logits, "hidden": x} if kind == "dict" else (logits, x)

    return Branches(forward, net=nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, OUTPUTS)))


def _named() -> nn.Module:
    def forward(self: Any, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.head((self.words(input_ids) * attention_mask[..., None]).sum(1))

    return Branches(forward, words=nn.Embedding(5, 3), head=nn.Linear(3, OUTPUTS))


def _physics() -> nn.Module:
    def forward(self: Any, x: Tensor) -> Tensor:
        if not x.requires_grad:
            x = x.clone().requires_grad_()
        energy = self.net(x).square().sum()
        return torch.autograd.grad(energy, x, create_graph=True)[0]

    return Branches(forward, net=nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)))


def _upsampled() -> nn.Module:
    return Chain(
        nn.Conv2d(1, 2, 3), nn.Tanh(), nn.ConvTranspose2d(2, 1, 2, stride=2), nn.Tanh(), nn.Flatten(), nn.Linear(16, OUTPUTS)
    )


MODULES: dict[str, tuple[Callable[[], nn.Module], Callable[[], Any]]] = {
    "Linear": (lambda: nn.Linear(3, OUTPUTS), vectors),
    "MLP tanh": (lambda: Chain(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, OUTPUTS)), vectors),
    "MLP ReLU": (lambda: Chain(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, OUTPUTS)), vectors),
    "MLP GELU, SiLU, Mish": (
        lambda: Chain(nn.Linear(3, 3), nn.GELU(), nn.Linear(3, 3), nn.SiLU(), nn.Linear(3, 3), nn.Mish(), nn.Linear(3, OUTPUTS)),
        vectors,
    ),
    "MLP PReLU, ELU, GLU": (
        lambda: Chain(nn.Linear(3, 4), nn.PReLU(), nn.Linear(4, 4), nn.ELU(), nn.Linear(4, 4), nn.GLU(), nn.Linear(2, OUTPUTS)),
        vectors,
    ),
    "Linear on 4-D input": (
        lambda: Chain(nn.Linear(2, 4), nn.Tanh(), nn.Flatten(), nn.Linear(16, OUTPUTS)),
        lambda: torch.randn(SAMPLES, 2, 2, 2, dtype=torch.float64),
    ),
    "Bilinear": (lambda: nn.Bilinear(3, 2, OUTPUTS), lambda: (vectors(), vectors(2))),
    "two convolutions": (
        lambda: Chain(nn.Conv2d(1, 2, 2), nn.Tanh(), nn.Conv2d(2, 2, 2), nn.Flatten(), nn.Linear(8, OUTPUTS)),
        images,
    ),
    "Conv1d": (lambda: Chain(nn.Conv1d(2, 3, 2), nn.Tanh(), nn.Flatten(), nn.Linear(6, OUTPUTS)), lambda: sequences(2, 3)),
    "Conv3d": (
        lambda: Chain(nn.Conv3d(1, 2, 2), nn.Tanh(), nn.Flatten(), nn.Linear(16, OUTPUTS)),
        lambda: torch.randn(SAMPLES, 1, 3, 3, 3, dtype=torch.float64),
    ),
    "grouped convolution": (
        lambda: Chain(nn.Conv2d(1, 4, 2), nn.Tanh(), nn.Conv2d(4, 4, 2, groups=2), nn.Flatten(), nn.Linear(16, OUTPUTS)),
        images,
    ),
    "depthwise and pointwise": (
        lambda: Chain(nn.Conv2d(2, 2, 3, groups=2), nn.SiLU(), nn.Conv2d(2, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        lambda: images(2),
    ),
    "dilated and strided": (
        lambda: Chain(nn.Conv2d(1, 3, 2, stride=2, dilation=2), nn.Tanh(), nn.Flatten(), nn.Linear(3, OUTPUTS)),
        images,
    ),
    "transposed convolution": (_upsampled, images),
    "convolutions and max pooling": (
        lambda: Chain(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, OUTPUTS)),
        images,
    ),
    "average pooling, upsampling": (
        lambda: Chain(
            nn.Conv2d(1, 2, 3, padding=1),
            nn.AvgPool2d(2),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(32, OUTPUTS),
        ),
        images,
    ),
    "PixelShuffle": (
        lambda: Chain(nn.Conv2d(1, 4, 2), nn.PixelShuffle(2), nn.Tanh(), nn.Flatten(), nn.Linear(36, OUTPUTS)),
        images,
    ),
    "ResNet block with +=": (_resnet_block, images),
    "BatchNorm (eval)": (_batch_normalised, vectors),
    "LayerNorm": (lambda: _normalised(nn.LayerNorm(4)), vectors),
    "RMSNorm": (lambda: _normalised(nn.RMSNorm(4)), vectors),
    "GroupNorm": (lambda: _convolved(nn.GroupNorm(2, 4)), lambda: sequences(1, 3)),
    "InstanceNorm": (lambda: _convolved(nn.InstanceNorm1d(4, affine=True)), lambda: sequences(1, 3)),
    "LocalResponseNorm": (
        lambda: Chain(nn.Conv2d(1, 3, 2), nn.LocalResponseNorm(2), nn.Flatten(), nn.Linear(27, OUTPUTS)),
        images,
    ),
    "RNN": (lambda: _recurrent(nn.RNN(2, 2, batch_first=True)), sequences),
    "RNN ReLU": (lambda: _recurrent(nn.RNN(2, 2, nonlinearity="relu", batch_first=True)), sequences),
    "GRU": (lambda: _recurrent(nn.GRU(2, 2, batch_first=True)), sequences),
    "LSTM": (lambda: _recurrent(nn.LSTM(2, 2, batch_first=True)), sequences),
    "LSTM, two layers, both directions": (lambda: _recurrent(nn.LSTM(2, 1, 2, batch_first=True, bidirectional=True)), sequences),
    "GRUCell": (lambda: _cells(nn.GRUCell), sequences),
    "LSTMCell": (lambda: _cells(nn.LSTMCell), sequences),
    "MultiheadAttention": (_attention, lambda: sequences(3, 4)),
    "MultiheadAttention, bias_k": (lambda: _attention(add_bias_kv=True), lambda: sequences(3, 4)),
    "TransformerEncoderLayer": (
        lambda: Chain(nn.TransformerEncoderLayer(2, 1, 4, 0.1, batch_first=True), nn.Flatten(), nn.Linear(6, OUTPUTS)),
        sequences,
    ),
    "TransformerDecoderLayer": (_decoder, lambda: (sequences(), sequences())),
    "causal attention": (_causal, sequences),
    "Embedding": (lambda: Chain(nn.Embedding(5, 2), nn.Flatten(), nn.Linear(8, OUTPUTS)), tokens),
    "EmbeddingBag": (_bag, tokens),
    "tiny GPT": (lambda: _tiny_gpt(tied=False), tokens),
    "tiny GPT, tied embedding": (lambda: _tiny_gpt(tied=True), tokens),
    "tied autoencoder": (_tied_autoencoder, vectors),
    "layer used twice": (_shared, vectors),
    "weight_norm": (
        lambda: Chain(nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), nn.Tanh(), nn.Linear(4, OUTPUTS)),
        vectors,
    ),
    "weight_norm, old": (_old_weight_norm, vectors),
    "spectral_norm": (
        lambda: Chain(nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4)), nn.Tanh(), nn.Linear(4, OUTPUTS)),
        vectors,
    ),
    "orthogonal": (lambda: Chain(nn.utils.parametrizations.orthogonal(nn.Linear(3, 3)), nn.Tanh(), nn.Linear(3, OUTPUTS)), vectors),
    "+= in place": (lambda: _residual(_add), vectors),
    "mul_ in place": (lambda: _residual(lambda new, old: new.mul_(2).add_(old)), vectors),
    "silu in place": (lambda: _residual(lambda new, old: functional.silu(new, inplace=True)), vectors),
    "index assignment": (lambda: _residual(_assign), vectors),
    "masked_fill_ in place": (lambda: _residual(lambda new, old: new.masked_fill_(old.detach() > 0, 0.3)), vectors),
    "LoRA": (_lora, vectors),
    "mixture of experts": (_experts, vectors),
    "ParameterList, buffer, einsum": (_parameter_list, vectors),
    "dictionary of outputs": (lambda: _returns("dict"), vectors),
    "tuple of outputs": (lambda: _returns("tuple"), vectors),
    "named arguments": (_named, lambda: {"input_ids": tokens(), "attention_mask": torch.ones(SAMPLES, 4, dtype=torch.int64)}),
    "gradient in the forward pass": (_physics, vectors),
}
