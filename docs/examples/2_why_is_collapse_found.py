"""
Why is collapse found?
======================

Deep neural collapse is not the best solution, and descent finds it all the same. Count how often, at several widths, and put what
dimension and free energy predict beside the counts.
"""

# %%
# A model that is small enough to count in seconds: six classes with one sample each, two layers. Its critical points without
# negative eigenvalues, from the atlas: pairs have the lowest loss, that of DNC is higher, and DNC has the largest flat manifold.
import landscape as ls

widths = (6, 8, 12, 20)
problems = {
    width: ls.Problem.balanced(classes=6, samples=1, width=width, depth=2, decay=2e-3)
    for width in widths
}
for entry in ls.atlas(problems[12], ls.AtlasOptions(index=0)).entries:
    print(
        f"{entry.structure:16} loss {entry.loss:.8f}  rank {entry.rank}"
        f"  flat dimensions {entry.nullity}"
    )

# %%
# Forty random starts at each width, each followed to a critical point and named. The intervals are Wilson's, at 95 %.
found = {width: ls.prevalence(problem, seeds=40) for width, problem in problems.items()}
for width, result in found.items():
    low, high = result.interval("DNC")
    print(f"width {width:2}: {result.counts}, P(DNC) in [{low:.2f}, {high:.2f}]")

# %%
# The paper's explanation is dimension: R(d), the dimension of DNC's manifold over that of pairs. The dimensions are exact; they are
# the number of zero Hessian eigenvalues.
ratio = {
    width: ls.orbit_dimension(5, width, 2) / ls.orbit_dimension(3, width, 2)
    for width in widths
}

# %%
# The free energy of a minimum at temperature T weighs its loss, the volume of its orbit, its copies under relabelling and its
# curvature. The difference between pairs and DNC over T is the log odds that this picture predicts.
temperature = 1e-5
odds = {}
for width, problem in problems.items():
    table = {
        entry.structure: entry
        for entry in ls.atlas(
            problem, ls.AtlasOptions(index=0, temperature=temperature)
        ).entries
    }
    odds[width] = (table["pairs"].free_energy - table["DNC"].free_energy) / temperature
    print(
        f"width {width:2}: R(d) = {ratio[width]:.3f},"
        f" predicted log odds of DNC {odds[width]:+.0f}"
    )

# %%
# Beside each other:
figure, (left, right) = ls.new_figure(columns=2, width=7.0, height=3.0)
shares = [found[width].counts.get("DNC", 0) / 40 for width in widths]
bars = [
    [abs(end - share) for end in found[width].interval("DNC")]
    for width, share in zip(widths, shares)
]
for axes, values, name in (
    (left, ratio, "ratio of dimensions R(d)"),
    (right, odds, "predicted log odds, T = 1e-5"),
):
    axes.errorbar(
        list(values.values()), shares, list(zip(*bars)), fmt="o", color="#0173b2"
    )
    for width in widths:
        axes.annotate(
            f"d = {width}",
            (values[width], shares[widths.index(width)]),
            (5, 4),
            textcoords="offset points",
            fontsize=7,
        )
    axes.set(xlabel=name, ylabel="share of DNC", ylim=(-0.05, 1.1))
    axes.margins(x=0.2)
figure

# %%
# What can be said: as far as forty starts can tell, the share rises with R(d). But R(d) exceeds 1 where nearly every start ends at
# pairs, so dimension alone does not explain the counts. The free energy predicts log odds of hundreds against DNC even where most
# starts find it: descent does not sample the Boltzmann measure. The page "Why collapse is found" has the comparison in the paper's setting,
# with more explanations and two scales of the start.
assert all(value > 1 for value in ratio.values())
assert shares[0] < 0.5 < shares[-1]
