"""Index and nullity proved in ball arithmetic: statements, proofs of found points and of named structures, certificates. No torch."""
