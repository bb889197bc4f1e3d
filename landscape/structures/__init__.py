"""Which critical points are known: their kinds, their logits in closed form, and how a point is recognised."""
