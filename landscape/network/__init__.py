"""Any torch module with a loss and data: its second derivatives, checked, and the way to a critical point."""

from landscape.network.data import keywords
from landscape.network.kinks import Kinks, kinks
from landscape.network.loss import ModuleLoss, on, own_loss
from landscape.network.operators import ModuleGaussNewton, ModuleHessian

__all__ = ["Kinks", "ModuleGaussNewton", "ModuleHessian", "ModuleLoss", "keywords", "kinks", "on", "own_loss"]
