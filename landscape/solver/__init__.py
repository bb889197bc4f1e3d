"""Finding critical points: methods as frozen settings, one loop that runs them and keeps the evidence."""

from landscape.solver.methods import LBFGS, GradientDescent, Method, Newton, PseudoTransient, SoftplusContinuation
from landscape.solver.moved import Move, Place
from landscape.solver.run import solve

__all__ = ["LBFGS", "GradientDescent", "Method", "Move", "Newton", "Place", "PseudoTransient", "SoftplusContinuation", "solve"]
