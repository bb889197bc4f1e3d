"""A saved point and its evidence: the file, weights trained elsewhere, how collapsed it is."""
