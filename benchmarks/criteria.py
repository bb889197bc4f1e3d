"""The losses of torch.nn with targets that suit them, for the table of what `landscape.network` supports."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.zoo import OUTPUTS, SAMPLES


@dataclass(frozen=True)
class Criterion:
    """A loss with targets that suit it.

    Attributes:
        targets: Makes the targets of all samples.
        loss: Maps outputs of 3 numbers per sample and targets to a scalar.
    """

    targets: Callable[[], Any]
    loss: Callable[[Any, Any], Tensor]


def _labels() -> Tensor:
    return torch.randint(0, OUTPUTS, (SAMPLES,))


def _real() -> Tensor:
    return torch.randn(SAMPLES, OUTPUTS, dtype=torch.float64)


def _signs() -> Tensor:
    return _real().sign()


def _shares() -> Tensor:
    return _real().softmax(1)


WEIGHTS = torch.tensor([1.0, 5.0, 2.0], dtype=torch.float64)

CRITERIA: dict[str, Criterion] = {
    "CrossEntropyLoss": Criterion(_labels, nn.CrossEntropyLoss()),
    "CrossEntropyLoss, class weights": Criterion(_labels, nn.CrossEntropyLoss(weight=WEIGHTS)),
    "CrossEntropyLoss, ignore_index": Criterion(_labels, nn.CrossEntropyLoss(ignore_index=0)),
    "CrossEntropyLoss, label smoothing": Criterion(_labels, nn.CrossEntropyLoss(label_smoothing=0.1)),
    "CrossEntropyLoss, shares": Criterion(_shares, nn.CrossEntropyLoss()),
    "NLLLoss": Criterion(_labels, lambda z, y: nn.NLLLoss()(z.log_softmax(1), y)),
    "MSELoss": Criterion(_real, nn.MSELoss()),
    "L1Loss": Criterion(_real, nn.L1Loss()),
    "SmoothL1Loss": Criterion(_real, nn.SmoothL1Loss()),
    "HuberLoss": Criterion(_real, nn.HuberLoss(delta=0.5)),
    "BCELoss": Criterion(lambda: _real().sigmoid(), lambda z, y: nn.BCELoss()(z.sigmoid(), y)),
    "BCEWithLogitsLoss": Criterion(lambda: _real().sigmoid(), nn.BCEWithLogitsLoss(pos_weight=WEIGHTS)),
    "KLDivLoss": Criterion(_shares, lambda z, y: nn.KLDivLoss(reduction="batchmean")(z.log_softmax(1), y)),
    "PoissonNLLLoss": Criterion(lambda: _real().abs(), nn.PoissonNLLLoss()),
    "GaussianNLLLoss": Criterion(_real, lambda z, y: nn.GaussianNLLLoss()(z, y, functional.softplus(z) + 0.1)),
    "SoftMarginLoss": Criterion(_signs, nn.SoftMarginLoss()),
    "MultiLabelSoftMarginLoss": Criterion(lambda: (_real() > 0).double(), nn.MultiLabelSoftMarginLoss()),
    "MultiMarginLoss": Criterion(_labels, nn.MultiMarginLoss(p=2)),
    "MultiLabelMarginLoss": Criterion(lambda: torch.tensor([[1, -1, 0]] * SAMPLES), nn.MultiLabelMarginLoss()),
    "HingeEmbeddingLoss": Criterion(_signs, nn.HingeEmbeddingLoss()),
    "MarginRankingLoss": Criterion(lambda: _signs()[:, 0], lambda z, y: nn.MarginRankingLoss(margin=0.1)(z[:, 0], z[:, 1], y)),
    "CosineEmbeddingLoss": Criterion(
        lambda: (_real(), _signs()[:, 0]), lambda z, y: nn.CosineEmbeddingLoss(margin=-0.5)(z, y[0], y[1])
    ),
    "TripletMarginLoss": Criterion(lambda: (_real(), _real()), lambda z, y: nn.TripletMarginLoss()(z, y[0], y[1])),
    "CTCLoss": Criterion(
        lambda: torch.tensor([[1, 2]] * SAMPLES),
        lambda z, y: nn.CTCLoss()(z[None].log_softmax(2).expand(4, -1, -1), y, torch.full((len(y),), 4), torch.full((len(y),), 2)),
    ),
}
