"""Experiments that are kept: the identity of a job and its sealed record."""
