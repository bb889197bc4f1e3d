"""Where a head stands during training: called after any step, it adds a row."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from landscape.studies.heads.capture import head_point
from landscape.studies.heads.standing import Lines, standing


class HeadRecorder:
    """Records where the head of a network stands, each time that it is called with the number of a step.

    Example:
        >>> import landscape as ls
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> net = torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.Tanh(), torch.nn.Linear(6, 4, bias=False))
        >>> inputs, labels = torch.randn(12, 5), torch.arange(12) % 4
        >>> record = ls.HeadRecorder(net, ["2"], inputs, labels, decay=(1e-3, 3e-3))
        >>> record(0)
        >>> [(row["step"], row["rank"]) for row in record.rows]
        [(0, 4)]
    """

    def __init__(
        self, module: nn.Module, layers: Sequence[str], inputs: Tensor, labels: Tensor, decay: float | tuple[float, ...]
    ) -> None:
        self.head = module, layers, inputs, labels, decay
        self.rows: list[dict[str, Any]] = []
        self.lines = Lines.of(head_point(*self.head).problem)

    def __call__(self, step: int) -> None:
        """Adds where the head stands now."""
        self.rows.append({"step": step, **standing(head_point(*self.head), self.lines).as_dict()})
