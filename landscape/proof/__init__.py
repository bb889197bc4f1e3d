"""Index and nullity proved in ball arithmetic: of found points, and of named structures. Imports no torch."""
