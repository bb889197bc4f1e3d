"""Many small jobs: a grid of them, on this machine or a cluster, nothing computed twice and nothing lost.

    grid -> jobs -> tasks -> engine -> records -> results

A `Grid` (a TOML file) names jobs; a `Job` has an identity, the digest of what its result depends on; a record under that name is
its result, and its existence says that the job is done. Nothing here imports torch before there is something to compute.
"""
