"""Symmetric operators whose primitive is the product with a block of vectors."""
