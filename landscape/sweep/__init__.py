"""Many experiments, anywhere: a grid of them, on this machine or a cluster, nothing computed twice and nothing lost."""
