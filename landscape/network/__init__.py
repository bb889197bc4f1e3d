"""Any torch module with a loss and data: its second derivatives, checked, and the way to a critical point."""

from landscape.network.data import keywords
from landscape.network.loss import ModuleLoss, on, own_loss
from landscape.network.operators import ModuleGaussNewton, ModuleHessian
from landscape.network.polishing import Polished, PolishStep, Stop, polish
from landscape.network.smoothness import Kinks, kinks

__all__ = [
    "Kinks",
    "ModuleGaussNewton",
    "ModuleHessian",
    "ModuleLoss",
    "PolishStep",
    "Polished",
    "Stop",
    "keywords",
    "kinks",
    "on",
    "own_loss",
    "polish",
]
