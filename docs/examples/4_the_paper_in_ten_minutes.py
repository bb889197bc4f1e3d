"""
The paper in ten minutes
========================

What Garrod and Keating (arXiv:2410.23169) claim of deep neural collapse, each claim with a number computed here and a picture.
`landscape verify` checks all of them; the pages on the paper and on proofs have the derivations.
"""

# %%
# The setting: ten classes of five samples, width 70, two weight matrices, weight decay 2**-10 on weights and features.
import landscape as ls

problem = ls.Problem.balanced(classes=10, samples=5, width=70, depth=2, decay=2**-10)
points = {
    "DNC": ls.place(problem, ls.Collapse()),
    "pairs": ls.place(problem, ls.Pairs()),
}

# %%
# Deep neural collapse (DNC) puts the ten classes on a simplex, of rank 9. The low-rank solution puts them in opposite pairs, of
# rank 5. This is what their class-mean logits look like.
figure, axes = ls.new_figure(columns=2, width=6.0, height=2.6)
for place, (name, point) in zip(axes, points.items()):
    ls.plot_logits(point, place, name)
figure

# %%
# **Weight decay favours low rank: DNC is not optimal.** Pairs have the lower loss.
losses = {name: point.loss for name, point in points.items()}
print(losses)
assert losses["pairs"] < losses["DNC"]

# %%
# **It is one of many critical points.** The atlas lists those that are known, each with its rank, loss and index. Besides the
# zero point six of them are minima; the triangles are saddles.
atlas = ls.atlas(problem)
minima = [entry for entry in atlas.entries if entry.index == 0]
print([entry.structure for entry in minima])
figure, (axes,) = ls.new_figure(width=5.2, height=3.6)
ls.plot_atlas(atlas, axes).figure

# %%
# **DNC is a minimum below a threshold only.** It is a saddle from there to the fold, where it ceases to exist. The threshold comes
# sooner the deeper the network is; with one layer DNC is the best point known.
decays = tuple(1e-4 * 2000 ** (step / 29) for step in range(30))
diagram = ls.phase_diagram(problem, ("decay", "depth"), decays, (1.0, 2.0, 3.0, 4.0))
print({row[0].problem.depth: row[0].state for row in diagram.cells})
figure, (axes,) = ls.new_figure(width=4.5, height=3.2)
ls.plot_phase(diagram, axes).figure

# %%
# **DNC is more degenerate than the low-rank solution.** Zero eigenvalues of the full Hessian: 1170 against 670, all of them
# rotations of the hidden spaces. Theorem 5 counts 1098 and 650: it leaves out the rotations inside equal singular values.
reports = {name: ls.analyse(point) for name, point in points.items()}
for name, report in reports.items():
    print(
        name,
        report.nullity,
        report.orbit_dimension,
        report.paper_dimension,
        report.index,
    )
assert [report.nullity for report in reports.values()] == [1170, 670]
axes = ls.plot_spectra(reports, width=6.75, height=2.9)
axes[0].figure

# %%
# **And it is found.** Eight random starts, each followed to a critical point. Of a hundred, 16 end at DNC at this width, and more
# do the wider the network is; the page on prevalence has the curve, that on why collapse is found the reason.
ends = [
    ls.analyse(ls.solve(problem, ls.Random(seed=seed))).structure for seed in range(8)
]
print({name: ends.count(name) for name in sorted(set(ends))})
assert "DNC" in ends
