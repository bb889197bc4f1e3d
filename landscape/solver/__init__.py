"""How a critical point is found: methods as frozen settings, one loop that runs them and keeps the evidence."""
