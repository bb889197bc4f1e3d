"""
My own network
==============

The curvature engine takes any torch module. Here: how many flat directions has a small classifier of handwritten digits, and does
symmetry explain them?
"""

# %%
# The network has a smooth hidden layer and a head of two linear layers without biases. A rotation between the two layers of the
# head changes nothing, so its generators are flat directions that one can count by hand and compare.
import torch
from sklearn.datasets import load_digits
from torch import nn

import landscape as ls

digits = load_digits()
inputs = torch.tensor(digits.data[:200] / 16, dtype=torch.float64)
targets = torch.tensor(digits.target[:200])
with torch.random.fork_rng():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(64, 8), nn.Softplus(), nn.Linear(8, 8, bias=False), nn.Linear(8, 10, bias=False)).double()

# %%
# Weight decay is part of the loss: without it, rescaling the layers would be flat too, and nothing would bound them. The loss is
# checked when it is made: the same result twice, the gradient that the module itself has, parts of a batch that add up. A count of
# zeros needs a critical point to rounding, and `polish` goes there. It leaves the module alone.

decay = 2e-3
trained = ls.polish(ls.ModuleLoss(network, nn.functional.cross_entropy, [(inputs, targets)], decay))
print(f"{trained.stopped.value}: loss {trained.loss:.6f}, gradient norm {trained.gradient_norm:.0e}")
print(f"{trained.gradients} gradients and {trained.products} Hessian products")

# %%
# Three ways to count, which share nothing but the Hessian products: all eigenvalues; pivot signs of a factorisation; the range of
# the Hessian minus the decay, which needs no matrix of the size of the network. How far from zero a flat direction may lie because
# the gradient is not exactly zero is measured.
hessian = ls.ModuleHessian(trained.problem)
methods = (ls.Dense(), ls.Inertia(), ls.LowRank(decay))
counts = {type(method).__name__: ls.nullity(hessian, method) for method in methods}
for name, count in counts.items():
    print(f"{name:8} {count.count} zero, {count.negative} negative, resolved: {count.resolved}, chance of error {count.delta:.0e}")

# %%
# Symmetry: the head has rank r in a space of dimension 8, and the rotations move it along a Stiefel manifold of dimension
# 8 r - r (r + 1) / 2. Weight decay has chosen the rank: some of the eight directions are unused.
weights = trained.problem.flat.split(trained.problem.theta)
singular = torch.linalg.svdvals(weights["3.weight"] @ weights["2.weight"])
rank = int((singular > 1e-8 * singular[0]).sum())
explained = 8 * rank - rank * (rank + 1) // 2
print(f"rank {rank}, {explained} dimensions explained, {counts['Dense'].count} measured")
assert rank < 8
assert {count.count for count in counts.values()} == {explained}

# %%
# A network's eigenvalues differ from each other, but for the zeros and those that weight decay alone makes (the decay and twice the
# decay). So the others are drawn as a histogram.
every = ls.eigenvalues(hessian)
figure, (axes,) = ls.new_figure(width=5.0, height=3.0)
ls.plot_spectrum(every, axes, "digits classifier", zero_radius=counts["Dense"].cutoff, decay=decay)

# %%
# Beyond what fits as a matrix, stochastic Lanczos quadrature gives shares with error bars. It is good for the bulk, and it never
# gives an integer. Zeros beside eigenvalues of 0.00005 are too much to ask of 60 Lanczos steps, and the error bar says so.
estimate = ls.density(hessian, ls.Quadrature(probes=20, steps=60, seed=0))
for low, high in ((0.05, 1e3), (-1e-8, 1e-8)):
    share, exact = estimate.fraction(low, high), float(((every.values >= low) & (every.values <= high)).double().mean())
    print(f"share in [{low:g}, {high:g}]: {share.mean:.4f} +- {share.error:.4f}, exact {exact:.4f}")
