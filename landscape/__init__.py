"""The degeneracy of critical points: find them, save them, count their flat directions exactly."""

__version__ = "0.1.0"
