"""Eigenvalues with their errors: all of them, the outermost, their density, their moments."""
