"""The start of a seed: as drawn, in the few directions that descent reaches, or with one part of it swapped."""
