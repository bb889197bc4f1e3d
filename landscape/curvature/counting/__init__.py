"""How many eigenvalues are zero, by methods that share a question and disagree only if one of them errs."""
