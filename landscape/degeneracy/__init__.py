"""How degenerate a point is: what is measured at it beside what must be true there, judged in one place."""
