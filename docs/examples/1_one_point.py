"""
One point
=========

Find a critical point of the paper's setting, count its flat directions, and see what the count rests on.
"""

# %%
# The model is the deep unconstrained features model of Garrod and Keating: ten classes of five samples, width 70, two weight
# matrices, weight decay 2**-10. A random start is followed by an implicit gradient flow until it ends; Newton's method then takes
# the gradient to rounding.
import landscape as ls
import torch

problem = ls.Problem.balanced(classes=10, samples=5, width=70, depth=2, decay=2**-10)
point = ls.solve(problem, ls.Random(seed=3))
point

# %%
# The report puts what is measured beside what symmetry predicts. Seed 3 ends at deep neural collapse (DNC): 1170 of the 9100
# Hessian eigenvalues are zero. The gauge group, rotations of the two hidden spaces, has an orbit of exactly that dimension, so
# nothing else is flat (excess 0). Theorem 5 of the paper counts 1098.
report = ls.analyse(point)
print(report)

# %%
# All 9100 eigenvalues, with their multiplicities. Zeros are drawn as the orange stem at 0.
figure, (axes,) = ls.new_figure(width=5.0, height=3.0)
ls.plot_spectrum(report, axes, "deep neural collapse").figure

# %%
# The count is a property of the point, not of the gauge in which it is written: rotate both hidden spaces at random, and neither
# the loss nor the counts change.
theta = ls.rotate(problem, point.theta, torch.Generator().manual_seed(0))
turned = ls.CriticalPoint.at(problem, theta, ls.Origin("a random gauge"))
print(
    f"distance {float((turned.theta - point.theta).norm()):.2f},"
    f" difference of the losses {turned.loss - point.loss:.1e}"
)
again = ls.analyse(turned)
print(again.nullity, again.index)

# %%
# A count needs a critical point. With noise of 0.001 in every parameter, zero and small eigenvalues can no longer be told apart,
# and the report says so instead of giving a number.
noise = torch.randn(
    problem.parameters, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
)
blurred = ls.analyse(
    ls.CriticalPoint.at(problem, point.theta + 1e-3 * noise, ls.Origin("with noise"))
)
print(blurred.nullity, "-", blurred.reason)

# %%
# Another start ends elsewhere: seed 2 at pairs, the low-rank solution. Its loss is lower, its flat manifold smaller.
other = ls.analyse(ls.solve(problem, ls.Random(seed=2)))
other

# %%
# To keep a point and send what is known of it:
#
# .. code-block:: text
#
#    landscape solve --classes 10 --samples 5 --width 70 --depth 2 --decay '2**-10' \
#        --seed 3 --out point.safetensors
#    landscape report point.safetensors --out report.html
assert (report.nullity, other.nullity) == (again.nullity, 670) == (1170, 670)
