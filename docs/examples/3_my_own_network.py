"""
My own network
==============

How many flat directions has a small classifier of handwritten digits, and why? A model, data, and five lines.
"""

# %%
# The model and the data are what you have anyway. This head has two linear layers without biases.
import landscape as ls
import torch
from sklearn.datasets import load_digits
from torch import nn

digits = load_digits()
data = [(torch.tensor(digits.data[:200] / 16), torch.tensor(digits.target[:200]))]
with torch.random.fork_rng():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Linear(64, 8),
        nn.Softplus(),
        nn.Linear(8, 8, bias=False),
        nn.Linear(8, 10, bias=False),
    )

# %%
# The five lines. Weight decay is part of the loss, which is checked when it is made. A count of zeros needs a critical point to
# rounding, and `polish` goes there; the module is left alone. The report has the counts with their evidence, and the cause of every
# zero, by the names of the parameters.
loss = ls.ModuleLoss(
    network, nn.functional.cross_entropy, data, decay=2e-3, dtype=torch.float64
)
trained = ls.polish(loss)
report = ls.analyse(trained)
print(report)
ls.plot_spectrum(
    report.spectrum,
    title="digits classifier",
    zero_radius=report.zeros.cutoff,
    decay=2e-3,
).figure

# %%
# The zeros are rotations between the two layers of the head: of rank r in a space of dimension 8, it moves along a Stiefel manifold
# of dimension 8 r - r (r + 1) / 2. Weight decay has chosen the rank.
weights = trained.problem.flat.split(trained.problem.theta)
singular = torch.linalg.svdvals(weights["3.weight"] @ weights["2.weight"])
rank = int((singular > 1e-8 * singular[0]).sum())
print(
    f"rank {rank}, {8 * rank - rank * (rank + 1) // 2} dimensions by hand,"
    f" {report.nullity} counted, {report.predicted} explained"
)
assert report.nullity == report.predicted == 8 * rank - rank * (rank + 1) // 2

# %%
# A slice shows what the numbers say: from the point up along the stiffest direction, and along a random one.
ls.plot_slice(
    ls.slice_plane(trained.problem, ("random", "stiffest"), span=4.0, steps=21)
).figure
