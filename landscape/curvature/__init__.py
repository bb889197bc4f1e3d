"""Curvature of any scalar function: operators, spectra and exact counts of zeros. Knows nothing of the model."""
