"""Small modules with symmetries that are known by hand, for tests of what is found in them."""

import torch
from torch import Tensor, nn

from landscape.network.loss import Decay, ModuleLoss

CE = nn.functional.cross_entropy


def normal(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def loss_of(module: type[nn.Module], x: Tensor, decay: Decay = 1e-2, targets: Tensor | None = None, classes: int = 3) -> ModuleLoss:
    torch.manual_seed(1)
    y = torch.arange(len(x)) % classes if targets is None else targets
    return ModuleLoss(module().double().eval(), CE, [(x, y)], decay=decay)


def no_bias(inside: int, outside: int) -> nn.Linear:
    return nn.Linear(inside, outside, bias=False)


class TwoMaps(nn.Sequential):
    """Two linear maps with biases behind a smooth layer."""

    def __init__(self):
        super().__init__(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 5), nn.Linear(5, 3))


class Rectified(nn.Sequential):
    """One rectified hidden layer."""

    def __init__(self):
        super().__init__(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


class StridedHeads(nn.Module):
    """Attention whose entry of head h stands at index k * heads + h."""

    def __init__(self):
        super().__init__()
        self.e = no_bias(3, 6)
        self.q, self.k, self.v = (no_bias(6, 6) for _ in range(3))
        self.o = no_bias(6, 5)

    def forward(self, x):
        x = torch.tanh(self.e(x))
        q, k, v = (f(x).view(-1, 4, 3, 2).permute(0, 3, 1, 2) for f in (self.q, self.k, self.v))
        mixed = torch.softmax(q @ k.transpose(-1, -2), -1) @ v
        return self.o(mixed.permute(0, 2, 3, 1).reshape(-1, 4, 6)).mean(1)


class NormBlock(nn.Module):
    """A residual block of a transformer around layer normalisation without its own scales."""

    def __init__(self):
        super().__init__()
        self.e, self.u, self.d, self.h = nn.Linear(3, 5), nn.Linear(5, 4), nn.Linear(4, 5), nn.Linear(5, 3)
        self.n = nn.LayerNorm(5, elementwise_affine=False)

    def forward(self, x):
        x = self.e(x)
        return self.h(self.n(x + self.d(torch.tanh(self.u(self.n(x))))))


class FlattenedChannels(nn.Module):
    """Linear channels that are flattened with their pixels before the next map."""

    def __init__(self):
        super().__init__()
        self.c, self.h = nn.Conv2d(4, 3, 2, bias=False), no_bias(12, 3)

    def forward(self, x):
        return self.h(self.c(x.view(-1, 4, 3, 3)).flatten(1))


class Attention(nn.Module):
    """Torch's own attention with biases, before a linear map."""

    def __init__(self):
        super().__init__()
        self.a, self.h = nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(4, 3)

    def forward(self, x):
        return self.h(self.a(x, x, x, need_weights=False)[0].mean(1))


class Tied(nn.Module):
    """An embedding that is used at both ends."""

    def __init__(self):
        super().__init__()
        self.t, self.m = nn.Embedding(7, 4), no_bias(4, 4)

    def forward(self, tokens):
        return self.m(self.t(tokens[:, 0])) @ self.t.weight.T
