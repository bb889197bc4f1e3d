"""Any torch module with a loss and data: its second derivatives, checked, and the way to a critical point."""

from landscape.network.data import keywords
from landscape.network.loss import ModuleLoss, on, own_loss
from landscape.network.operators import ModuleGaussNewton, ModuleHessian

__all__ = ["ModuleGaussNewton", "ModuleHessian", "ModuleLoss", "keywords", "on", "own_loss"]
