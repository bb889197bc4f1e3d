"""Tolerances that mean one thing in several modules. One that a single module uses stands there."""

CRITICAL = 1e-12
"""Gradient norm up to which a polished point counts as critical; the paper's setting reaches 1e-15 after polishing."""

SAME_LOGITS = 1e-6
"""Difference of logits, relative to the largest, up to which two points are one structure; polished points agree to 1e-12."""

MISSED = 1e-9
"""The chance that a certificate of absence missed an eigenvalue, over the random starts, up to which a count is stated."""
